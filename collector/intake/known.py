"""What has been accepted already, by key: what a new row is compared with, and what it may refer to.

In: a data folder; kinds are read when first asked for, and followed up by `catch_up` (revisions are only ever added).
Out: the merged cells of a key, ids of batches and orders, the span of a batch's operations. Kept by `records follow` from delivery to
delivery.
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.folder import DataFolder
from collector.ledger import log
from collector.record_revisions import ImportRevision, canonical_rows, imports
from config.record_kinds import KINDS, Kind

Cells = tuple[str, ...]
Key = tuple[str, ...]


class Known:
    """Accepted rows as of the newest import revision it has seen."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._size = 0  # of the ledger, when it was last looked at: a leaf is parsed once, not at every delivery
        self._revisions: list[ImportRevision] = []
        self._sources: set[str] = set()
        self._rows: dict[str, dict[Key, Cells]] = {}
        self._spans: dict[str, tuple[str, str]] | None = None

    def catch_up(self) -> None:
        """Read what was imported since. Errors: `LedgerError`."""
        size = len(log.read_lines(self._folder.ledger))
        new = imports(self._folder, size, since=self._size)
        for name in self._rows:
            self._read(KINDS[name], new)
        self._revisions += new
        self._sources.update(s["sha256"] for r in new for s in r.sources)
        self._size = size

    @property
    def revisions(self) -> Sequence[ImportRevision]:
        """Import revisions it has seen, oldest first."""
        return self._revisions

    def of(self, kind: Kind) -> dict[Key, Cells]:
        """Key -> merged cells. Not to be changed by the caller."""
        if kind.name not in self._rows:
            self._rows[kind.name] = {}
            self._read(kind, self._revisions)
        return self._rows[kind.name]

    def span(self, batch_id: str) -> tuple[str, str] | None:
        """(first start, last start or end) of the operations of a batch, as comparable text; None without operations."""
        if self._spans is None:
            operations = KINDS["operations"]
            self._spans = {}
            for cells in self.of(operations).values():
                widen(self._spans, operations, cells)
        return self._spans.get(batch_id)

    def has_source(self, sha256: str) -> bool:
        """These very bytes were imported before."""
        return sha256 in self._sources

    def _read(self, kind: Kind, revisions: Sequence[ImportRevision]) -> None:
        rows, at = self._rows[kind.name], key_places(kind)
        name = f"{kind.name}.csv"
        for revision in revisions:
            if not revision.has(kind):
                continue
            for cells, _, _ in canonical_rows(kind, revision.read(name), str(revision.place / name)):
                key = tuple(cells[i] for i in at)
                before = rows.get(key)
                rows[key] = overlay(before, cells)
                if self._spans is not None and kind.name == "operations":
                    if before is None:
                        widen(self._spans, kind, cells)
                    else:  # an end may have been replaced by an earlier one: count again when asked
                        self._spans = None


def key_places(kind: Kind) -> tuple[int, ...]:
    """Where the key's columns stand among the kind's."""
    names = [c.name for c in kind.columns]
    return tuple(names.index(k) for k in kind.key)


def overlay(before: Cells | None, after: Cells) -> Cells:
    """The later cell where it says something, else the earlier one."""
    return after if before is None else tuple(b or a for a, b in zip(before, after, strict=True))


def comparable(time: str) -> str:
    """Canonical times without their Z sort as moments do, with or without a fraction."""
    return time.removesuffix("Z")


def widen(spans: dict[str, tuple[str, str]], operations: Kind, cells: Cells) -> None:
    """Take one operation into the span of its batch."""
    row = dict(zip((c.name for c in operations.columns), cells, strict=True))
    start, end = comparable(row["start"]), comparable(row["end"])
    last = max(start, end)
    first, until = spans.get(row["batch_id"], (start, last))
    spans[row["batch_id"]] = (min(first, start), max(until, last))
