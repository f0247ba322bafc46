"""Recordings of real machines, read row by row as they were delivered (../shared/data/README.md says whose they are).

In: NIST `<machine>.csv.gz` (`time,tag,value`), the NAB CSV (`timestamp,value`). Out: `Row`s and `Sample`s; nothing is sorted,
cleaned or joined. A row's *delivery* is the latest stamp seen so far in its file: agents repeat old states, and those come
when they come. Stamps are kept as recorded text too, since that is what goes onto the wire.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded value of one tag."""

    delivered_us: int
    at: datetime
    text: str  # the stamp as recorded
    tag: str
    value: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of the NAB machine; its stamps are naive and taken as UTC."""

    at_us: int
    value: float


class Recording:
    """One machine's file, read once from the front: `take` hands out what has been delivered by a moment."""

    def __init__(self, machine: str, path: Path) -> None:
        self.machine = machine
        self.path = path
        self._rows = read_rows(path)
        self._next: Row | None = next(self._rows, None)
        self._tags: list[str] = []

    @property
    def next_us(self) -> int | None:
        """When the next row is delivered; None at the end."""
        return self._next.delivered_us if self._next is not None else None

    def take(self, until_us: int) -> Iterator[Row]:
        """Rows delivered by that moment and not handed out before, in the file's order."""
        while self._next is not None and self._next.delivered_us <= until_us:
            row = self._next
            self._next = next(self._rows, None)
            yield row

    def tags(self) -> list[str]:
        """Every tag of the file, in order of its first row (reads the whole file, once)."""
        if not self._tags:
            with gzip.open(self.path, "rt", encoding="utf-8", newline="") as file:
                self._tags = list(dict.fromkeys(row[1] for row in _body(csv.reader(file))))
        return list(self._tags)


def open_recordings(folder: Path) -> dict[str, Recording]:
    """Every `<machine>.csv.gz` of a folder, by machine."""
    return {p.name.removesuffix(".csv.gz"): Recording(p.name.removesuffix(".csv.gz"), p) for p in _files(folder)}


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of one NIST file."""
    delivered = 0
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for text, tag, value in _body(csv.reader(file)):
            at = datetime.fromisoformat(text)
            delivered = max(delivered, (at - _EPOCH) // _MICROSECOND)
            yield Row(delivered, at, text, tag, value)


def read_samples(path: Path) -> list[Sample]:
    """Samples of the NAB file."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(_body(csv.reader(file)))
    return [Sample((datetime.fromisoformat(t).replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND, float(v)) for t, v in rows]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.csv.gz"))


def _body(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    next(rows)  # header
    return rows
