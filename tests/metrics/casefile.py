"""Case files: hour lines, register, records and documents in, integers out, in words a plant engineer can check by hand.

In: `cases/*.yaml`. Out: `Inputs` for the metrics, and the same as a language-neutral vector (tests/vectors/metrics/*.json)
whose lines are texts with `{hour}` (and `{source}` = hour - lag) to be put in for `hours` hours from `first_hour`.
`records`: kind -> rows, each a list in the order of the kind's columns or a table by column name, cells as a clerk writes them;
a key given again completes or repeats (docs/format/records.md); `entered` in a table: when the row came in (else: long ago);
a table cell that is a list: a row of each; `repeat: {days: 7, times: 12, on: day}`: the day moved on, `{n}` in a cell counts.
`scenes`: number of the adopted guide -> its 环节 (M20).
`documents`: tables {id, kind, issued_on, valid_until, years, level, criteria}. Register tables stand in the register's `body`.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from collector.store.record_frames import RecordFrames, frame_of_rows
from config.documents import Document
from config.load import parse_register
from config.record_cells import take
from config.record_kinds import KINDS, Kind
from config.register import Register
from config.ruleset import Scene
from metrics.inputs import Inputs
from metrics.registry import METRICS
from metrics.result import MetricResult
from metrics.window import cut_off_us, hour_text

CASES = Path(__file__).parent / "cases"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FULL = "f" * 15
ALWAYS = ("batches", "operations", "lots", "inspections", "shipments")  # files of every records folder

DEVICE = (
    "device hour register_rev origin in_service_s covered polls_ok polls_failed values_bad losses late gap_s cause "
    "run_s stop_s unknown_s output_delta auto_s points_changed identity_rev presence_commit process_commit"
).split()
PARAMETER = "device hour point covered ok bad run_ok_s run_in_s".split()
LATE = "device hour source_hour minutes count commit".split()
TEXT = {"device", "point", "origin", "cause", "presence_commit", "process_commit", "commit"}


@dataclass(frozen=True)
class Revision:
    rev: int
    effective_us: int
    register: Register
    sha256: str
    reason: str = "测试"


@dataclass(frozen=True)
class Exclusion:
    id: str
    devices: tuple[str, ...]
    from_us: int
    to_us: int
    reason: str
    approver: str
    entered_us: int


@dataclass(frozen=True)
class Frames:
    device: pl.DataFrame
    parameter: pl.DataFrame
    late: pl.DataFrame


def us(text: str | datetime) -> int:
    """A time with its offset, as microseconds."""
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    assert at.tzinfo is not None, f"{text}: write the offset"
    return (at - EPOCH) // timedelta(microseconds=1)


def minutes(text: str) -> int:
    """`all`, `none`, `0-44` (minutes 0 to 44), `0-9,30-59` -> 60-bit mask, minute 0 highest."""
    if text in ("all", "none"):
        return (1 << 60) - 1 if text == "all" else 0
    mask = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        for minute in range(int(first), int(last or first) + 1):
            mask |= 1 << (59 - minute)
    return mask


def load(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return body


def vector_of(case: dict[str, Any]) -> dict[str, Any]:
    """The case with everything spelled out: what another implementation reads."""
    registers = case["register"] if isinstance(case["register"], list) else [case["register"]]
    parsed = [(us(r["effective"]), parse_register(r["body"], "case")) for r in registers]
    return {
        "at_us": us(case["at"]),
        "origin_class": case.get("origin_class", "live"),
        "ledger_root": case.get("ledger_root", "00" * 32),
        "registers": [
            {"rev": i + 1, "effective_ms": at // 1000, "sha256": r.sha256, "register": json.loads(r.canonical_json())}
            for i, (at, r) in enumerate(parsed)
        ],
        "exclusions": [_exclusion(i, x) for i, x in enumerate(case.get("exclusions", []))],
        "down": [[us(d["hour"]) // 3_600_000_000, d["from_s"], d["to_s"]] for d in case.get("down", [])],
        "lines": [block for x in case.get("lines", []) for block in _blocks(x)],
        "records": _records(case["records"], parsed[-1][1].calendar.tz) if "records" in case else None,
        "documents": [_document(x) for x in case.get("documents", [])],
        "recomputed": case.get("recomputed"),
        **({"scenes": {str(no): stage for no, stage in case["scenes"].items()}} if "scenes" in case else {}),
    }


def _exclusion(index: int, x: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"X{index + 1:06d}",
        "devices": x["devices"],
        "from_ms": us(x["from"]) // 1000,
        "to_ms": us(x["to"]) // 1000,
        "entered_ms": us(x["entered"]) // 1000,
        "reason": x.get("reason", "检修"),
        "approver": x.get("approver", "王主任"),
    }


def _blocks(x: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry of `lines`: D lines of some devices for [from, to), every day only `hours` of it where given (UTC)."""
    first, end = us(x["from"]) // 3_600_000_000, us(x["to"]) // 3_600_000_000
    spans = [(first, end - first)]
    if "daily" in x:  # local (+08:00) hours of each day, e.g. [8, 16]
        spans = [(day + a, b - a) for day in range(first, end, 24) for a, b in [x["daily"]]]
    blocks = []
    for device in x["device"] if isinstance(x["device"], list) else [x["device"]]:
        for start, hours in spans:
            blocks.append({"first_hour": start, "hours": hours, **_template(device, x)})
    return blocks


def _template(device: str, x: dict[str, Any]) -> dict[str, Any]:
    mask = minutes(x.get("minutes", "all"))
    if "point" in x:
        counts = ",".join(str(x.get(k, d)) for k, d in (("ok", 60), ("bad", 0), ("run_ok_s", ""), ("run_in_s", "")))
        return {"line": f"P,{device},{{hour}},{x['point']},{mask:015x},{counts}"}
    if "lag" in x:
        return {"line": f"L,{device},{{hour}},{{source}},{mask:015x},{x.get('count', 60)},c", "lag": x["lag"]}
    gap_s = 3600 - 60 * mask.bit_count()
    fields = {
        "register_rev": 1,
        "origin": "live",
        "in_service_s": 3600,
        "covered": f"{mask:015x}",
        "polls_ok": mask.bit_count(),
        "polls_failed": 0,
        "values_bad": 0,
        "losses": 0,
        "late": 0,
        "gap_s": gap_s,
        "cause": "timeout" if gap_s else "",
        "run_s": "",
        "stop_s": "",
        "unknown_s": "",
        "output_delta": "",
        "auto_s": "",
        "points_changed": 1 if mask else 0,
        "identity_rev": 0,
        "presence_commit": "p",
        "process_commit": "q",
    }
    fields |= {k: v for k, v in x.items() if k in fields}
    return {"line": f"D,{device},{{hour}}," + ",".join(str(fields[f]) for f in DEVICE[2:])}


def _records(tables: dict[str, list[Any]], tz: timezone) -> dict[str, str]:
    """Rows of every kind given (and the five that always stand there) as canonical CSV, `entered_us` behind the columns."""
    unknown = set(tables) - set(KINDS)
    assert not unknown, f"no such kind of record: {sorted(unknown)}"
    return {f"{name}.csv": _csv(KINDS[name], tables.get(name, []), tz) for name in KINDS if name in {*ALWAYS, *tables}}


def _csv(kind: Kind, rows: list[Any], tz: timezone) -> str:
    merged: dict[tuple[str, ...], dict[str, str]] = {}
    for row in itertools.chain.from_iterable(_spread(x) for x in rows):
        cells = _cells(kind, row, tz)
        known = merged.setdefault(tuple(cells[c] for c in kind.key), cells)
        known |= {name: text for name, text in cells.items() if text and name != "entered_us"}
    out = io.StringIO()
    writer = csv.DictWriter(out, [*kind.column, "entered_us"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(merged.values())
    return out.getvalue()


def _spread(row: Any) -> list[Any]:
    """A table with lists and `repeat` -> one table per row; a list of cells is one row."""
    if not isinstance(row, dict):
        return [row]
    repeat = row.get("repeat", {"times": 1, "days": 0})
    on, cells = repeat.get("on", "day"), {k: v for k, v in row.items() if k != "repeat"}
    choices = [[(k, x) for x in v] if isinstance(v, list) else [(k, v)] for k, v in cells.items()]
    out: list[Any] = []
    for i in range(repeat["times"]):
        for pairs in itertools.product(*choices):
            table = {k: v.replace("{n}", str(len(out) + 1)) if isinstance(v, str) else v for k, v in pairs}
            if i:
                table[on] = date.fromisoformat(str(table[on])) + timedelta(days=i * repeat.get("days", 1))
            out.append(table)
    return out


def _cells(kind: Kind, row: Any, tz: timezone) -> dict[str, str]:
    """A list or a table of cells as people write them -> canonical text of every column."""
    table = dict(row) if isinstance(row, dict) else dict(zip(kind.column, row, strict=False))
    assert isinstance(row, dict) or len(row) <= len(kind.columns), f"{kind.name}: too many cells in {row}"
    entered = table.pop("entered", None)
    extra = set(table) - set(kind.column)
    assert not extra, f"{kind.name}: no such column: {sorted(extra)}"
    cells = {c.name: take(c, _written(table.get(c.name)), tz).text for c in kind.columns}
    return cells | {"entered_us": str(us(entered) if entered else 0)}


def _written(cell: Any) -> str:
    if cell is None or isinstance(cell, bool):
        return "" if cell is None else str(int(cell))
    return str(cell)


def _document(x: dict[str, Any]) -> dict[str, Any]:
    return {
        "doc_id": x["id"],
        "kind": x["kind"],
        "name": x.get("name", x["id"]),
        "issuer": x.get("issuer", ""),
        "issued_on": str(x["issued_on"]) if "issued_on" in x else None,
        "valid_until": str(x["valid_until"]) if "valid_until" in x else None,
        "level": x.get("level"),
        "years": x.get("years", []),
        "criteria": x.get("criteria", []),
        "entered_us": us(x["entered"]) if "entered" in x else 0,
    }


def expand(blocks: list[dict[str, Any]]) -> list[str]:
    """Blocks of a vector -> the text lines of docs/format/hour-lines.md."""
    return [
        b["line"].replace("{hour}", hour_text(h)).replace("{source}", hour_text(h - b.get("lag", 0)))
        for b in blocks
        for h in range(b["first_hour"], b["first_hour"] + b["hours"])
    ]


def inputs_of(vector: dict[str, Any]) -> Inputs:
    """A vector -> what the metrics take."""
    revisions = tuple(
        Revision(
            r["rev"],
            r["effective_ms"] * 1000,
            Register.model_validate_json(json.dumps(r["register"])),
            r["sha256"],
        )
        for r in vector["registers"]
    )
    tz = revisions[-1].register.calendar.tz
    root = bytes.fromhex(vector["ledger_root"])
    recomputed = vector["recomputed"]
    lines = expand(vector["lines"])
    return Inputs(
        end_us=cut_off_us(vector["at_us"], tz),
        tz=tz,
        lines=frames(lines),
        revisions=revisions,
        exclusions=tuple(
            Exclusion(
                x["id"],
                tuple(x["devices"]),
                x["from_ms"] * 1000,
                x["to_ms"] * 1000,
                x["reason"],
                x["approver"],
                x["entered_ms"] * 1000,
            )
            for x in vector["exclusions"]
        ),
        records=_parsed(vector["records"], tz),
        documents=tuple(_held(x) for x in vector.get("documents", [])),
        scenes={int(no): _scene(int(no), stage) for no, stage in vector.get("scenes", {}).items()},
        down=tuple(
            (h * 3_600_000_000 + a * 1_000_000, h * 3_600_000_000 + b * 1_000_000) for h, a, b in vector["down"]
        ),
        origin_class=vector["origin_class"],
        ledger_root=root,
        recompute=None if recomputed is None else _recompute(lines, recomputed),
    )


def compute(inputs: Inputs, wanted: set[str]) -> list[MetricResult]:
    """The results of some metrics, in the registry's order."""
    return [result for metric, function in METRICS.items() if metric in wanted for result in function(inputs)]


def _recompute(lines: list[str], how: dict[str, Any]) -> Any:
    """Raw rows that agree with the lines, but for hours named `unreadable` and devices named `changed`."""

    def of_hours(hours: Sequence[int]) -> dict[int, list[str]]:
        return {hour: of_hour(hour) for hour in hours}

    def of_hour(hour: int) -> list[str]:
        text = hour_text(hour)
        if text in how.get("unreadable", []):
            raise OSError("segment missing")
        found = [x for x in lines if x.startswith("D,") and x.split(",")[2] == text]
        return [x + "x" if x.split(",")[1] in how.get("changed", []) else x for x in found]

    return of_hours


def _parsed(files: dict[str, str] | None, tz: timezone) -> RecordFrames | None:
    if files is None:
        return None
    found = {}
    for name, text in files.items():
        kind = KINDS[name.removesuffix(".csv")]
        rows = [_row(kind, i, cells, tz) for i, cells in enumerate(csv.DictReader(io.StringIO(text)), 2)]
        found[kind.name] = frame_of_rows(kind, rows)
    return RecordFrames(1, found)


def _row(kind: Kind, number: int, cells: dict[str, str], tz: timezone) -> dict[str, str | int]:
    texts = {c.name: take(c, cells.get(c.name) or "", tz).text for c in kind.columns}
    return {**texts, "source": "", "source_row": number, "entered_us": int(cells.get("entered_us") or 0)}


def _held(x: dict[str, Any]) -> Document:
    days = {k: date.fromisoformat(x[k]) if x[k] else None for k in ("issued_on", "valid_until")}
    return Document(
        doc_id=x["doc_id"],
        sha256="00" * 32,
        kind=x["kind"],
        name=x["name"],
        issuer=x["issuer"],
        issued_on=days["issued_on"],
        valid_until=days["valid_until"],
        level=x["level"],
        years=tuple(x["years"]),
        criteria=tuple(x["criteria"]),
        size_bytes=1,
        entered_us=x["entered_us"],
    )


def _scene(no: int, stage: str) -> Scene:
    return Scene(no=no, name=f"场景 {no}", stage8=stage, stage5=stage, plant_floor="none")


def frames(lines: list[str]) -> Frames:
    """Text lines -> the frames of `collector.store.lines.HourLines`."""
    rows: dict[str, list[list[str]]] = {"D": [], "P": [], "L": []}
    for line in lines:
        kind, *fields = line.split(",")
        rows[kind].append(fields)
    return Frames(_frame(rows["D"], DEVICE), _frame(rows["P"], PARAMETER), _frame(rows["L"], LATE))


def _frame(rows: list[list[str]], names: list[str]) -> pl.DataFrame:
    columns = {name: _column(name, [r[i] for r in rows]) for i, name in enumerate(names)}
    return pl.DataFrame(columns)


def _column(name: str, texts: list[str]) -> pl.Series:
    if name in TEXT:
        return pl.Series(name, texts, pl.String)
    if name in ("covered", "minutes"):
        return pl.Series(name, [int(t, 16) for t in texts], pl.UInt64)
    if name in ("hour", "source_hour"):
        return pl.Series(name, [us(t.replace("Z", ":00+00:00")) // 3_600_000_000 for t in texts], pl.Int64)
    return pl.Series(name, [int(t) if t else None for t in texts], pl.Int64)
