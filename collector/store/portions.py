"""The rows of one journal file as the row groups of its segments, without holding more than a portion of them.

In: row frames in order, a folder for parts. Out: per template, the columns that say something and the row groups, devices ascending, each
device's rows in journal order. A file of few rows goes straight through; of a larger one each portion is sorted and put aside as a
Parquet part, and the parts are read together device by device (collector/store/merge.py). Parts are swept after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.batch import Template
from collector.frame import Frame
from collector.store.merge import columns_in, merged_slices
from collector.store.schema import tables_of
from collector.store.segment import ROW_GROUP_ROWS, by_device, in_row_groups, used_columns

PORTION_ROWS = 250_000


@dataclass(frozen=True, slots=True)
class Groups:
    """Row groups of one segment, and its columns."""

    template: Template
    columns: Sequence[str]
    tables: Iterable[pa.Table]


def row_groups(frames: Iterable[Frame], aside: Path, *, per_device: bool) -> Iterator[Groups]:
    """A segment's groups for each template. Take each segment's tables before the next; parts go when all are taken."""
    portions = _portions(frames)
    first, second = next(portions, []), next(portions, None)
    if second is None:
        for template, table in tables_of(first).items():
            groups = list(by_device(table)) if per_device else in_row_groups(table)
            yield Groups(template, used_columns(template, groups), groups)
        return
    parts: dict[Template, list[Path]] = {}
    for number, portion in enumerate(_chained(first, second, portions)):
        for template, table in tables_of(portion).items():
            parts.setdefault(template, []).append(_put_aside(aside, template, number, table))
    first = second = []  # the parts have them
    for template, paths in parts.items():
        columns = columns_in(paths, template)
        slices = merged_slices(paths, template, columns)
        split = by_device if per_device else in_row_groups
        yield Groups(template, columns, (group for rows in slices for group in split(rows)))
        for path in paths:
            path.unlink()


def _portions(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Frames in runs of about PORTION_ROWS rows, one frame at least."""
    held: list[Frame] = []
    rows = 0
    for frame in frames:
        here = sum(len(b.source_us) for b in frame.blocks)
        if held and rows + here > PORTION_ROWS:
            yield held
            held, rows = [], 0
        held.append(frame)
        rows += here
    if held:
        yield held


def _chained(first: list[Frame], second: list[Frame], rest: Iterator[list[Frame]]) -> Iterator[list[Frame]]:
    yield first
    yield second
    yield from rest


def _put_aside(aside: Path, template: Template, number: int, table: pa.Table) -> Path:
    aside.mkdir(parents=True, exist_ok=True)
    path = aside / f".{template.id}.{number:06d}.part"
    columns = used_columns(template, [table])
    pq.write_table(table.select(columns), path, row_group_size=ROW_GROUP_ROWS, compression="zstd", compression_level=1)
    return path
