"""Records, exclusions and documents in the pack, with the standard library alone (docs/format/records.md). One step:

C-26 every import revision's files have the bytes their leaf names, none missing and none more (what stays with the plant is named in
     `WITHHELD_FILES`); each is a canonical CSV; as many rows as the leaf counts; a stated cell changes only where replaced.csv of that
     revision says so; every leaf of records and documents was entered after each hour that was sealed before it

Rows merge by key: of each column the last cell that is not empty, revisions ascending; `entered_us` is when the key first came, and
of a batch also when its trial flag was set or changed, or its stated closing moved.
In: a `Container`, the `Ledger`. Out: rows by kind, exclusions, documents, text to print.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from collector.ledger.entry import Entry, strict_json
from evidence_api.verify.container import Container
from evidence_api.verify.evidence import Document, Exclusion
from evidence_api.verify.findings import PackRefused
from evidence_api.verify.history import TITLES, Ledger, sealed_ends_ms

RECORDS, EXCLUSION, REPLACED = "data/records/", "exclusion.json", "replaced.csv"
WITHHELD_FILES = ("quarantine.csv", "corrected.csv")  # refused rows and spellings: their SHA-256 stand in the leaf
_KEYS = """batches batch_id; operations batch_id process_id device_id start; lots batch_id item lot_id;
inspections batch_id process_id at; shipments batch_id at kind; links parent child kind; orders order_id; dispatches job_id;
alarms alarm_id; projects project_id; drawings drawing_id version; transactions domain day; exchanges interface_id day;
changes change_id; inferences scene_id day; effects indicator scope period; benchmarks indicator reach year; investments item_id;
finance year; energy meter first_day; titles title_id; applications application_id; incidents incident_id; awards award_id;
evaluations title_id on; declarations metric scope; index_scores index part name; profile name"""
KEYS: dict[str, tuple[str, ...]] = {w[0]: tuple(w[1:]) for w in (x.split() for x in _KEYS.split(";"))}
ORIGIN, ENTERED = ("source", "source_row"), "entered_us"  # the moment is the leaf's, never a cell's
REPLACED_COLUMNS = ["kind", "key", "column", "before", "after", *ORIGIN]
Row = dict[str, str]
Rows = dict[str, list[Row]]


class _Merged:
    """Rows of every kind as revisions are taken in, oldest first."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[str, ...], Row]] = {}
        self.replaced = 0

    def add(self, kind: str, rows: Sequence[Row], at_ms: int, allowed: set[tuple[str, ...]]) -> None:
        """One file of one revision. `allowed`: (kind, key, column, before, after) that replaced.csv states."""
        merged = self.rows.setdefault(kind, {})
        for row in rows:
            key = tuple(row[k] for k in KEYS[kind])
            known = merged.setdefault(key, {ENTERED: str(at_ms * 1000)})
            for name, cell in row.items():
                before = known.get(name, "")
                if cell and before and cell != before and name not in ORIGIN:
                    if (kind, " ".join(key), name, before, cell) not in allowed:
                        raise _refused(
                            f"{kind} {' '.join(key)}: {name} 由 {before!r} 改为 {cell!r}，而 {REPLACED} 没有写明"
                        )
                    self.replaced += 1
                if kind == "batches" and _moves_the_entry(name, before, cell):
                    known[ENTERED] = str(max(int(known[ENTERED]), at_ms * 1000))
                if cell or name not in known:
                    known[name] = cell


def _moves_the_entry(name: str, before: str, cell: str) -> bool:
    """A trial flag set or changed, or a stated closing moved: what is said afterwards was not said beforehand."""
    return bool(cell) and cell != before and (name == "trial" or (name == "closed_at" and before != ""))


def read_records(pack: Container, ledger: Ledger) -> tuple[Rows | None, list[Exclusion], list[Document], str]:
    """C-26. Rows are None without an import."""
    leaves = ledger.of("records")
    if [e.body["rev"] for _, e in leaves] != list(range(1, len(leaves) + 1)):
        raise _refused("记录与豁免的版次应从 1 起逐一增加")
    _check_files(pack, [e.body for _, e in leaves])
    _check_moments(ledger)
    excluded = [_exclusion(pack, e) for _, e in leaves if e.body["kind"] == "exclusion"]
    held = _documents(ledger)
    imports = [e for _, e in leaves if e.body["kind"] == "import"]
    merged = _Merged()
    for entry in imports:
        _take_in(pack, entry, merged)
    rows = {kind: list(found.values()) for kind, found in merged.rows.items()} if imports else None
    also = f"停机豁免 {len(excluded)} 项，材料 {len(held)} 份 (原件未随包)"
    if rows is None:
        return None, excluded, held, f"未导入生产记录；{also}"
    refused = sum(e.body["counts"]["quarantined"] for e in imports)
    changed = f"，其中凭 --replace 改动 {merged.replaced} 处" if merged.replaced else ""
    total = sum(len(r) for r in rows.values())
    text = f"导入 {len(imports)} 次，{len(rows)} 类 {total:,} 条{changed}，隔离 {refused:,} 行 (未随包)；{also}"
    return rows, excluded, held, text


def read_table(raw: bytes) -> list[Row]:
    """A canonical CSV: UTF-8, `\\n`, quoted only where needed. Errors: `ValueError`, `csv.Error` for another spelling."""
    lines = list(csv.reader(io.StringIO(raw.decode("utf-8"), newline=""), strict=True))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    if not lines or out.getvalue().encode() != raw or len(set(lines[0])) != len(lines[0]):
        raise ValueError("expected a canonical CSV with a header")
    return [dict(zip(lines[0], cells, strict=True)) for cells in lines[1:]]


def _check_files(pack: Container, leaves: list[dict[str, Any]]) -> None:
    """Exactly the files that the leaves name, but for those withheld, with their bytes."""
    names = {
        f"{RECORDS}{b['rev']:06d}/{f}": digest
        for b in leaves
        for f, digest in b["files"].items()
        if f not in WITHHELD_FILES
    }
    there = {n for n in pack.names if n.startswith(RECORDS)}
    if there != set(names):
        raise _refused(f"与登记不符的文件: {', '.join(sorted(there ^ set(names))[:5])}")
    for name, digest in names.items():
        if pack.sha256(name) != digest:
            raise _refused(f"{name} 与登记的 SHA-256 不符")
    for b in leaves:
        known = {EXCLUSION} if b["kind"] == "exclusion" else {*(f"{k}.csv" for k in KEYS), REPLACED, *WITHHELD_FILES}
        if b["kind"] not in ("import", "exclusion") or not set(b["files"]) <= known:
            raise _refused(f"第 {b['rev']} 版：登记的种类或文件名不认识")


def _check_moments(ledger: Ledger) -> None:
    earliest_ms = sealed_ends_ms(ledger)
    for kind in ("records", "document"):
        for index, entry in ledger.of(kind):
            if entry.at_ms < earliest_ms[index]:
                raise _refused(f"第 {index + 1} 条：登记时刻早于其前已封存的小时 (倒签, back-dated)")


def _take_in(pack: Container, entry: Entry, merged: _Merged) -> None:
    """One import revision."""
    body, place = entry.body, f"{RECORDS}{entry.body['rev']:06d}/"
    allowed: set[tuple[str, ...]] = set()
    if REPLACED in body["files"]:
        stated = read_table(pack.read(place + REPLACED))
        allowed = {tuple(r[c] for c in REPLACED_COLUMNS[:5]) for r in stated}
    counted = 0
    for kind, key in KEYS.items():
        if f"{kind}.csv" in body["files"]:
            rows = read_table(pack.read(f"{place}{kind}.csv"))
            if not rows or not {*key, *ORIGIN} <= set(rows[0]) or ENTERED in rows[0]:
                raise _refused(f"{place}{kind}.csv: 没有行，缺少编号列，或自称登记时刻")
            merged.add(kind, rows, entry.at_ms, allowed)
            counted += len(rows)
    counts = Counter(body["counts"])
    if counted != counts["accepted"] + counts["completed"]:
        raise _refused(f"第 {body['rev']} 版：登记 {counts['accepted'] + counts['completed']} 行，文件 {counted} 行")


def _exclusion(pack: Container, entry: Entry) -> Exclusion:
    body = strict_json(pack.read(f"{RECORDS}{entry.body['rev']:06d}/{EXCLUSION}"))
    if body["entered_ms"] != entry.at_ms:
        raise _refused(f"{body['id']}: 登记时刻不是账本所记 (倒签, back-dated)")
    return exclusion_of(body)


def exclusion_of(body: Any) -> Exclusion:
    """The content of exclusion.json."""
    times = (body[k] * 1000 for k in ("from_ms", "to_ms", "entered_ms"))
    return Exclusion(body["id"], frozenset(body["devices"]), *times)


def _documents(ledger: Ledger) -> list[Document]:
    """The newest statement of each document, by id."""
    newest = {e.body["id"]: document_of(e.body, e.at_ms * 1000) for _, e in ledger.of("document")}
    for digest in (e.body["sha256"] for _, e in ledger.of("document")):
        if len(bytes.fromhex(digest)) != hashlib.sha256().digest_size:
            raise _refused("材料的 SHA-256 不是 64 位十六进制")
    return [newest[i] for i in sorted(newest)]


def document_of(body: dict[str, Any], entered_us: int) -> Document:
    """The body of a `document` leaf."""
    issued, until = (date.fromisoformat(body[k]) if body[k] else None for k in ("issued", "valid_until"))
    years, criteria = tuple(body["years"]), tuple(body["criteria"])
    return Document(body["id"], body["kind"], body["name"], issued, until, body["level"], years, criteria, entered_us)


def _refused(found: str) -> PackRefused:
    return PackRefused("C-26", TITLES["C-26"], found)
