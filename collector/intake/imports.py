"""Deliveries of records -> one import revision: all of it or nothing, and every row accounted for.

In: deliveries (bytes), a reason, an actor, the clock. Out: `Imported`: rows = accepted + completed + duplicates + quarantined, always.
 1 read every delivery as tables (else nothing happens: ConfigError)  2 judge every row  3 the delivered bytes to records/sources/<sha256>
 4 the revision's files aside, fsync  5 rename, fsync  6 the ledger leaf.
If the process dies before 6, what was there before is what counts: a revision without a leaf is overwritten by the next one, sources
without a leaf are never read. The same bytes again bring no new revision, unless rows that were quarantined can now be taken.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.change import entered_ms, need_reason, one_at_a_time
from collector.clock import Clock
from collector.durable import fsync_folder, write_durably
from collector.folder import DataFolder
from collector.intake.judge import Judgement, Offered, Refused, Setting, judge
from collector.intake.known import Known
from collector.intake.tables import Delivery, delivery_of_file, tables
from collector.ledger import log
from collector.ledger.entry import Entry
from collector.record_revisions import CORRECTED, QUARANTINE, REPLACED, SHORT, SOURCES, header
from collector.register_revisions import registers
from collector.revisions import documents, record_revision
from config.errors import ConfigError, Problem
from config.record_kinds import KINDS
from config.record_rows import Correction, Table, rows_of
from config.register import Register

MAX_DELIVERIES = 100  # their hashes stand in one ledger leaf
MAX_NAME = 120
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OUTCOMES = ("accepted", "completed", "duplicates", "quarantined")


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it. rev: the new revision, None when there was nothing new. counts: by kind, then by outcome. corrections: by
    delivery name."""

    rev: int | None
    rows: int
    counts: Mapping[str, Mapping[str, int]]
    quarantined: tuple[Refused, ...]
    corrections: tuple[tuple[str, Correction], ...]
    recognised: tuple[str, ...] = ()

    def total(self, outcome: str) -> int:
        """Rows of all kinds with that outcome."""
        return sum(of_kind.get(outcome, 0) for of_kind in self.counts.values())


@dataclass(frozen=True, slots=True)
class _Read:
    """Deliveries as tables, and what they are judged against."""

    deliveries: tuple[Delivery, ...]
    tables: tuple[tuple[Delivery, Table], ...]
    known: Known
    register: Register


@one_at_a_time
def import_deliveries(
    folder: DataFolder,
    deliveries: Sequence[Delivery],
    *,
    reason: str,
    clock: Clock,
    actor: str,
    replace: bool = False,
    dry_run: bool = False,
    gathered: bool = False,
    known: Known | None = None,
) -> Imported:
    """Import them in one revision. Errors: `ConfigError`: nothing of any of them has been applied.

    known: what was accepted before, where the caller keeps it from import to import. dry_run: judge only. gathered: deliveries that
    came one after the other; rows of one key that contradict each other are an error then, so that the first can be taken by itself.
    """
    if not dry_run:
        need_reason(reason)
    read = _read(folder, deliveries, known or Known(folder))
    at_ms = entered_ms(folder, clock)
    now = _EPOCH + timedelta(milliseconds=at_ms)
    setting = Setting(read.known, read.register, frozenset(d.doc_id for d in documents(folder)), now, replace)
    offered, corrections = _offer(read)
    judgement = judge(offered, setting)
    if gathered and any(f.code == "contradiction" for r in judgement.quarantined for f in r.faults):
        raise ConfigError([Problem("records", "", "几份交付说法不一 (deliveries contradict each other)")])
    counts = _counts(judgement)
    seen = tuple(d.name for d in read.deliveries if read.known.has_source(d.sha256))
    nothing_new = not judgement.taken and len(seen) == len(read.deliveries)
    rev = None
    if not dry_run and not nothing_new:
        rev = _write(
            folder, read, judgement, counts, corrections, {"reason": reason.strip(), "at_ms": at_ms, "actor": actor}
        )
    return Imported(rev, len(offered), counts, judgement.quarantined, tuple(corrections), seen)


def import_records(folder: DataFolder, source: Path, reason: str, clock: Clock, actor: str) -> int:
    """Import every CSV and xlsx of a folder in one revision; the revision (the newest one, when nothing was new). Errors: `ConfigError`."""

    files = sorted(p for p in source.iterdir() if p.suffix.lower() in (".csv", ".xlsx"))
    done = import_deliveries(folder, [delivery_of_file(p) for p in files], reason=reason, clock=clock, actor=actor)
    newest = record_revision(folder)
    return done.rev or (newest[0] if newest else 0)


def _read(folder: DataFolder, deliveries: Sequence[Delivery], known: Known) -> _Read:
    revisions = registers(folder)
    problems: list[Problem] = []
    if not deliveries:
        problems.append(Problem("records", "", "没有要导入的文件 (expected one file at least, found none)"))
    if len(deliveries) > MAX_DELIVERIES:
        problems.append(
            Problem("records", "", f"一次最多 {MAX_DELIVERIES} 个文件，实有 {len(deliveries)} 个 (too many files)")
        )
    if not revisions:
        fix = "plantproof register apply …"
        problems.append(Problem("records", "", "先要有设备台账 (expected a register first, found none)", fix))
    found = []
    once = {d.sha256: d for d in deliveries}  # the same bytes twice in one go are one delivery
    for delivery in once.values():
        try:
            found += [(delivery, t) for t in tables(delivery)]
        except ConfigError as err:
            problems += err.problems
    if problems:
        raise ConfigError(problems)
    known.catch_up()
    return _Read(tuple(once.values()), tuple(found), known, revisions[-1].register)


def _offer(read: _Read) -> tuple[list[Offered], list[tuple[str, Correction]]]:
    offered: list[Offered] = []
    corrections: list[tuple[str, Correction]] = []
    tz = read.register.calendar.tz
    for delivery, table in read.tables:
        source = delivery.sha256[:SHORT]
        corrections += [(table.place, Correction(n, "", "标题行", "跳过")) for n in table.skipped]
        for row in rows_of(table, tz):
            offered.append(Offered(row, source, table.place))
            corrections += [(table.place, c) for c in row.corrections]
    return offered, corrections


def _counts(judgement: Judgement) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for t in judgement.taken:
        found.setdefault(t.offered.row.kind.name, Counter())[t.how] += 1
    for o in judgement.duplicates:
        found.setdefault(o.row.kind.name, Counter())["duplicates"] += 1
    for r in judgement.quarantined:
        found.setdefault(r.offered.row.kind.name, Counter())["quarantined"] += 1
    return {name: {o: found[name][o] for o in OUTCOMES} for name in KINDS if name in found}


def _write(
    folder: DataFolder,
    read: _Read,
    judgement: Judgement,
    counts: Mapping[str, Mapping[str, int]],
    corrections: Sequence[tuple[str, Correction]],
    change: Mapping[str, Any],
) -> int:
    newest = log.last_of(folder.ledger, "records")
    rev = (newest.body["rev"] if newest else 0) + 1
    for delivery in read.deliveries:  # 3
        place = folder.records / SOURCES / delivery.sha256
        if not place.exists():
            write_durably(place, delivery.raw)
    files = _files(judgement, corrections)
    aside = folder.records / f".{rev:06d}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, raw in files.items():  # 4
        write_durably(aside / name, raw)
    shutil.rmtree(folder.records / f"{rev:06d}", ignore_errors=True)  # a revision without a leaf counts for nothing
    aside.rename(folder.records / f"{rev:06d}")  # 5
    fsync_folder(folder.records)
    leaf = {
        "rev": rev,
        "kind": "import",
        "reason": change["reason"],
        "files": {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()},
        "counts": {o: sum(c[o] for c in counts.values()) for o in OUTCOMES},
        "sources": _sources(read.deliveries, judgement),
    }
    folder.append(Entry("records", change["at_ms"], change["actor"], leaf))  # 6
    return rev


def _sources(deliveries: Sequence[Delivery], judgement: Judgement) -> list[dict[str, Any]]:
    """What became of the rows of each delivery: the answer to its sender, also after a crash."""
    found: Counter[tuple[str, str]] = Counter((t.offered.source, t.how) for t in judgement.taken)
    found.update((o.source, "duplicates") for o in judgement.duplicates)
    found.update((r.offered.source, "quarantined") for r in judgement.quarantined)
    return [
        {"sha256": d.sha256, "name": d.name[:MAX_NAME], **{o: found[d.sha256[:SHORT], o] for o in OUTCOMES}}
        for d in deliveries
    ]


def _files(judgement: Judgement, corrections: Sequence[tuple[str, Correction]]) -> dict[str, bytes]:
    """Name -> bytes of every file of the revision. Kinds without accepted rows have none."""
    found: dict[str, bytes] = {}
    for kind in KINDS.values():
        lines = [
            (*t.offered.row.cells, t.offered.source, t.offered.row.number)
            for t in judgement.taken
            if t.offered.row.kind is kind
        ]
        if lines:
            found[f"{kind.name}.csv"] = csv_bytes(header(kind), lines)
    if judgement.quarantined:
        found[QUARANTINE] = csv_bytes(QUARANTINE_COLUMNS, [quarantine_line(r) for r in judgement.quarantined])
    if corrections:
        heads = ("name", "row", "column", "found", "taken")
        found[CORRECTED] = csv_bytes(heads, [(n, c.number, c.column, c.found, c.taken) for n, c in corrections])
    replaced = [
        (t.offered.row.kind.name, _key_text(t.offered), name, before, after, t.offered.source, t.offered.row.number)
        for t in judgement.taken
        for name, before, after in t.replaced
    ]
    if replaced:
        named = ("kind", "key", "column", "before", "after", "source", "source_row")
        found[REPLACED] = csv_bytes(named, replaced)
    return found


QUARANTINE_COLUMNS = ("kind", "source", "name", "source_row", "code", "column", "words", "cells")


def quarantine_line(refused: Refused) -> tuple[str, ...]:
    """A line of quarantine.csv: every fault of the row, and its cells as they were found (JSON, by column)."""
    row = refused.offered.row
    return (
        row.kind.name,
        refused.offered.source,
        refused.offered.name,
        str(row.number),
        ";".join(f.code for f in refused.faults),
        ";".join(f.column for f in refused.faults),
        "；".join(f.words for f in refused.faults),
        json.dumps(row.raw, ensure_ascii=False, separators=(",", ":")),
    )


def _key_text(offered: Offered) -> str:
    row = offered.row
    cells = dict(zip((c.name for c in row.kind.columns), row.cells, strict=True))
    return " ".join(cells[k] for k in row.kind.key)


def csv_bytes(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    """RFC 4180 with LF."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    return out.getvalue().encode("utf-8", errors="replace")
