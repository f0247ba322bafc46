"""Import revisions of production records on disk: which there are, and their proven bytes (docs/format/records.md).

In: a data folder, a ledger size. Out: `ImportRevision`s, oldest first; the bytes of a file of one, checked against its leaf.
Refuses (`LedgerError`): files that are missing or were changed after their leaf; imports written before records accumulated.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.change import proven
from collector.folder import DataFolder
from collector.ledger import log
from collector.ledger.entry import LedgerError
from config.record_kinds import KINDS, Kind

QUARANTINE, CORRECTED, REPLACED = "quarantine.csv", "corrected.csv", "replaced.csv"
SOURCES = "sources"
ORIGIN_COLUMNS = ("source", "source_row")
csv.field_size_limit(2**31 - 1)  # quarantine.csv keeps a row as it was found, however long: it must be readable again
SHORT = 16  # hex digits of a delivery's SHA-256 that stand in a row


@dataclass(frozen=True, slots=True)
class ImportRevision:
    """One import. files: {name: sha256}; sources: what was handed in ({"sha256", "name", "rows"})."""

    rev: int
    entered_us: int
    actor: str
    reason: str
    place: Path
    files: dict[str, str]
    counts: dict[str, int]
    sources: tuple[dict[str, Any], ...]

    def read(self, name: str) -> bytes:
        """The proven bytes of one file. Errors: `LedgerError`."""
        return proven(self.place / name, self.files[name])

    def has(self, kind: Kind) -> bool:
        """True when it brought rows of that kind."""
        return f"{kind.name}.csv" in self.files


def imports(folder: DataFolder, size: int | None = None, since: int = 0) -> list[ImportRevision]:
    """Import revisions among the first `size` ledger entries, behind the first `since`, oldest first. Errors: `LedgerError`."""
    found = []
    for entry in log.read_of(folder.ledger, "records", size=size, since=since):
        body = entry.body
        if body["kind"] != "import":
            continue
        place = folder.records / f"{body['rev']:06d}"
        if "sources" not in body:
            raise LedgerError(f"{place}: 旧格式的记录，须以现在的版本重新建立 (an import of a version before 0.2)")
        sources = tuple(body["sources"])
        at_us = entry.at_ms * 1000
        found.append(
            ImportRevision(
                body["rev"], at_us, entry.actor, body["reason"], place, body["files"], body["counts"], sources
            )
        )
    return found


def prove_all(folder: DataFolder, size: int | None = None) -> int:
    """Read every file of every import; how many revisions. Errors: `LedgerError`."""
    found = imports(folder, size)
    for revision in found:
        for name in revision.files:
            revision.read(name)
        for source in revision.sources:
            proven(folder.records / SOURCES / source["sha256"], source["sha256"])
    return len(found)


def header(kind: Kind) -> tuple[str, ...]:
    """The first line of a canonical CSV."""
    return (*(c.name for c in kind.columns), *ORIGIN_COLUMNS)


def canonical_rows(kind: Kind, raw: bytes, place: str) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """(cells in the order of the kind's columns, source, source row) of each row of a canonical CSV. Errors: `LedgerError`."""
    reader = csv.reader(io.StringIO(raw.decode("utf-8"), newline=""), strict=True)
    names = next(reader, [])
    if tuple(names) == header(kind):
        for *cells, source, number in reader:
            yield tuple(cells), source, int(number)
        return
    if not set(ORIGIN_COLUMNS) <= set(names):  # columns may have been added since; none is ever taken away
        raise LedgerError(f"{place}: expected the columns of docs/format/records.md, found {names}")
    for values in reader:
        row = dict(zip(names, values, strict=True))
        yield tuple(row.get(c.name, "") for c in kind.columns), row["source"], int(row["source_row"])


def table_rows(raw: bytes) -> list[dict[str, str]]:
    """Rows of quarantine.csv, corrected.csv or replaced.csv."""
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8"), newline="")))


def kinds_of(revision: ImportRevision) -> list[Kind]:
    """Kinds it brought rows of."""
    return [k for k in KINDS.values() if revision.has(k)]
