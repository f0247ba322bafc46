"""Parquet segments: written whole or not at all, one row group after the other, read with polars.

In: Arrow tables of one template. Out: files with their own description in the footer (docs/format/segments.md).
Refuses (`StoreError`): files whose footer is not ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.batch import Template
from collector.durable import fsync_folder
from collector.store.encoding import choose_encodings, writer_options
from collector.store.errors import StoreError
from collector.store.schema import arrow_schema, is_optional

ABOUT, TEMPLATE = b"plantproof", b"plantproof.template"
ROW_GROUP_ROWS = 16_384  # of an open segment: small, so that a merge by device reads each row group about once
SAMPLES = {"open": (1, 4096), "day": (2, None)}  # row groups on which encodings are tried, and how many rows of each
ZSTD_LEVELS = {"open": (3, 3), "day": (9, 15)}  # of all columns; of texts that hardly repeat


@dataclass(frozen=True, slots=True)
class Segment:
    """One file and what its footer says. `hours` is half-open; `path` is relative to the segments folder."""

    path: str
    template: str
    level: str  # "open" | "day"
    first_seq: int
    last_seq: int
    hour_min: int
    hour_end: int
    ts_min: int
    ts_max: int
    rows: int
    parents: tuple[str, ...]


def write_segment(
    root: Path,
    path: str,
    template: Template,
    groups: Iterable[pa.Table],
    about: dict[str, Any],
    columns: Sequence[str],
) -> Segment:
    """Write `groups` (one row group each) of these columns durably to `root/path`. Repeating it gives the same content.

    Only a few groups are held at a time.
    """
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        segment = _write(aside, path, template, (g.select(columns) for g in groups), about)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.rename(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    fsync_folder(target.parent)
    return segment


def by_device(table: pa.Table) -> Iterator[pa.Table]:
    """A table sorted by device, one slice per device."""
    encoded = table["device"].combine_chunks().dictionary_encode().indices.to_numpy()
    start = 0
    for end in [*((encoded[1:] != encoded[:-1]).nonzero()[0] + 1), len(table)]:
        yield table.slice(start, end - start)
        start = int(end)


def in_row_groups(table: pa.Table) -> list[pa.Table]:
    """Row groups for a short segment: cut by size only."""
    return [table.slice(i, ROW_GROUP_ROWS) for i in range(0, len(table), ROW_GROUP_ROWS)]


def used_columns(template: Template, groups: Sequence[pa.Table]) -> list[str]:
    """A template's columns but the optional ones that say nothing in any of the groups."""
    names = arrow_schema(template).names
    return [n for n in names if not is_optional(n) or any(g[n].null_count < len(g) for g in groups)]


def read_footer(root: Path, path: Path) -> tuple[Segment, Template]:
    """What a file says of itself. Errors: `StoreError`."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        template = Template.from_json(metadata[TEMPLATE])
        body = json.loads(metadata[ABOUT])
        body["parents"] = tuple(body["parents"])
        segment = Segment(path=str(path.relative_to(root)), **body)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as err:
        raise StoreError(f"{path}: expected a segment of ours, found: {err}") from err
    if template.id != segment.template:
        raise StoreError(f"{path}: template {template.id} does not fit the footer's {segment.template}")
    return segment, template


def _footer(segment: Segment, template: Template) -> dict[bytes, bytes]:
    """Written as the file's own keys: metadata of an Arrow schema is dropped where the schema itself is not stored."""
    about = {k: getattr(segment, k) for k in Segment.__slots__ if k != "path"}
    return {ABOUT: json.dumps(about, sort_keys=True).encode(), TEMPLATE: template.to_json()}


def _write(aside: Path, path: str, template: Template, groups: Iterator[pa.Table], about: dict[str, Any]) -> Segment:
    """The file's bytes; what they turned out to be goes into the footer."""
    count, rows_each = SAMPLES[about["level"]]
    first = list(islice(groups, count))
    encodings = choose_encodings([g.slice(0, rows_each) for g in first])
    hours: list[int] = []
    stamps: list[int] = []
    rows = 0
    with pq.ParquetWriter(
        aside,
        first[0].schema,
        version="2.6",
        data_page_version="1.0",
        write_statistics=["device", "hour", "source_us"],
        store_schema=False,
        **writer_options(first[0].schema, encodings, *ZSTD_LEVELS[about["level"]]),
    ) as writer:
        for group in chain(first, groups):
            writer.write_table(group, row_group_size=max(len(group), 1))
            hours += pc.min_max(group["hour"]).as_py().values()
            stamps += pc.min_max(group["source_us"]).as_py().values()
            rows += len(group)
        segment = Segment(
            path=path,
            template=template.id,
            level=about["level"],
            first_seq=about["first_seq"],
            last_seq=about["last_seq"],
            hour_min=min(hours),
            hour_end=max(hours) + 1,
            ts_min=min(stamps),
            ts_max=max(stamps),
            rows=rows,
            parents=tuple(about.get("parents", ())),
        )
        body = {k: getattr(segment, k) for k in Segment.__slots__ if k != "path"}
        footer = {ABOUT: json.dumps(body, sort_keys=True).encode(), TEMPLATE: template.to_json()}
        writer.add_key_value_metadata(footer)
    return segment
