"""The five derived tables of a pack, for people with a spreadsheet: same bytes from builder and verifier.

In: register revisions, ledger entries, hours as they pass. Out: CSV bytes: UTF-8 with BOM (Excel), `\\n`, fields quoted where needed.
They say nothing that register, ledger and lines do not say. A text that a spreadsheet would take for a formula gets a `'` in front.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timezone
from typing import Any

from collector.ledger.entry import Entry
from evidence_api.verify.evidence import Register
from evidence_api.verify.lines import Hour, hour_text

DEVICE_COLUMNS = (
    "device,asset_no,name,maker,model,line,process,key_process,production,digital,nc,major_nc,machining_centre,controller,"
    "protocol,interval_s,in_service_from,retired_at"
).split(",")
CHANGE_COLUMNS = "rev,effective,actor,reason,devices,added,removed,changed,sha256".split(",")
GAP_COLUMNS = "device,first_hour,end_hour,gap_s,cause".split(",")
DOCUMENT_COLUMNS = "id,entered,kind,name,issuer,issued,valid_until,level,years,criteria,size_bytes,sha256".split(",")
PACK_COLUMNS = "number,asked_at,pack_id,profile,built,manifest_sha256,size_bytes".split(",")


class Gaps:
    """Runs of hours in which a device has a gap of one cause; fed hour by hour."""

    def __init__(self) -> None:
        self._open: dict[str, list[Any]] = {}  # device -> [first hour, end hour, gap seconds, cause]
        self._rows: list[tuple[str, int, int, int, str]] = []

    def add(self, hour: Hour) -> None:
        """Take in the next hour."""
        for d in hour.devices:
            run = self._open.get(d.device)
            if run is not None and (d.gap_s == 0 or run[1] != d.hour or run[3] != d.cause):
                self._close(d.device)
                run = None
            if d.gap_s and run is None:
                self._open[d.device] = [d.hour, d.hour + 1, d.gap_s, d.cause]
            elif d.gap_s and run is not None:
                run[1], run[2] = d.hour + 1, run[2] + d.gap_s

    def table(self) -> bytes:
        """gaps.csv, by device and time."""
        for device in sorted(self._open):
            self._close(device)
        rows = [(d, hour_text(a), hour_text(b), s, c) for d, a, b, s, c in sorted(self._rows)]
        return _csv(GAP_COLUMNS, rows)

    def _close(self, device: str) -> None:
        first, end, seconds, cause = self._open.pop(device)
        self._rows.append((device, first, end, seconds, cause))


def devices_table(registers: Sequence[Register], at_us: int) -> bytes:
    """devices.csv: the revision in force at the cut-off (the first one when none was yet)."""
    register = next((r for r in reversed(registers) if r.effective_us < at_us), registers[0])
    keys = {p["id"] for p in register.body.get("process", []) if p.get("key")}
    rows = [_device(d, keys) for d in sorted(register.body.get("device", []), key=lambda d: str(d["id"]))]
    return _csv(DEVICE_COLUMNS, rows)


def changes_table(entries: Iterable[Entry], tz: timezone) -> bytes:
    """changes.csv: every application of the register; `denominators` where a leaf names those that moved (older ones do not)."""
    entries = [e for e in entries if e.t == "register"]
    told = any("denominators" in e.body for e in entries)
    rows = []
    for e in entries:
        b, diff = e.body, e.body["diff"]
        lists = [" ".join(diff[k]) for k in ("added", "removed", "changed")]
        when = _time(b["effective_ms"], tz)
        moves = "; ".join(f"{m} {scope} {was}->{now}" for m, scope, was, now in b.get("denominators", []))
        rows.append(
            [b["rev"], when, e.actor, b["reason"], b["devices"], *lists, b["sha256"], *([moves] if told else [])]
        )
    return _csv([*CHANGE_COLUMNS, *(["denominators"] if told else [])], rows)


def packs_table(entries: Sequence[Entry], tz: timezone) -> bytes:
    """packs.csv: every pack begun, built or not; a pack's own line, the last, cannot know how it ended."""
    done = {e.body["pack_id"]: e.body for e in entries if e.t == "pack"}
    rows: list[list[Any]] = []
    for e in entries:
        if e.t == "pack_intent":
            end = done.get(e.body["pack_id"], {})
            shown = [int(bool(end)), end.get("manifest_sha256", ""), end.get("size_bytes", "")]
            rows.append([len(rows) + 1, _time(e.at_ms, tz), e.body["pack_id"], e.body["profile"], *shown])
    return _csv(PACK_COLUMNS, rows)


def documents_table(entries: Iterable[Entry], tz: timezone) -> bytes:
    """documents.csv: every statement about a document, superseded ones too; the files stay with the plant."""
    rows = []
    for e in entries:
        if e.t == "document":
            b = e.body
            lists = (" ".join(str(y) for y in b["years"]), " ".join(b["criteria"]))
            level = "" if b["level"] is None else b["level"]
            said = (b["kind"], b["name"], b["issuer"], b["issued"], b["valid_until"], level)
            rows.append([b["id"], _time(e.at_ms, tz), *said, *lists, b["size_bytes"], b["sha256"]])
    return _csv(DOCUMENT_COLUMNS, rows)


def _device(d: dict[str, Any], keys: set[str]) -> list[Any]:
    flags = [int(d.get("production", True)), *(int(d.get(k, False)) for k in ("digital", "nc", "major_nc"))]
    return [
        *(d["id"], d.get("asset_no", ""), d["name"], d.get("maker", ""), d.get("model", ""), d["line"]),
        *(d.get("process") or "", int(d.get("process") in keys), *flags, int(d.get("machining_centre", False))),
        *(d.get("controller", ""), (d.get("connection") or {}).get("protocol", ""), d.get("interval_s", 60)),
        *(d["in_service_from"], d.get("retired_at") or ""),
    ]


def _time(at_ms: int, tz: timezone) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(tz).isoformat()


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell
