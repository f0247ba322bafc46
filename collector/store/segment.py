"""Parquet segments: written whole or not at all, merged one device at a time, read with polars.

In: Arrow tables of one template. Out: files with their own description in the footer (docs/format/segments.md).
Refuses (`StoreError`): files whose footer is not ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.batch import Template
from collector.durable import fsync_folder
from collector.store.schema import arrow_schema

ABOUT, TEMPLATE = b"plantproof", b"plantproof.template"
ROW_GROUP_ROWS = 65_536
DISTINCT_SHARE = 4  # an integer column with more than 1/4 distinct values is delta-encoded, else a dictionary
OPEN_LEVEL, DAY_LEVEL = 3, 9


class StoreError(Exception):
    """Stored rows that cannot be read as what they say they are (exit code 5)."""


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
    root: Path, path: str, template: Template, groups: Sequence[pa.Table], about: dict[str, Any]
) -> Segment:
    """Write `groups` (one row group each) durably to `root/path`. Repeating it gives the same content."""
    schema = arrow_schema(template)
    rows = sum(len(g) for g in groups)
    hours = [pc.min_max(g["hour"]).as_py() for g in groups]
    stamps = [pc.min_max(g["source_us"]).as_py() for g in groups]
    segment = Segment(
        path=path,
        template=template.id,
        level=about["level"],
        first_seq=about["first_seq"],
        last_seq=about["last_seq"],
        hour_min=min(h["min"] for h in hours),
        hour_end=max(h["max"] for h in hours) + 1,
        ts_min=min(s["min"] for s in stamps),
        ts_max=max(s["max"] for s in stamps),
        rows=rows,
        parents=tuple(about.get("parents", ())),
    )
    used = _used_columns(schema, groups)
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with _writer(aside, schema, used, groups, segment) as writer:
            for group in groups:
                writer.write_table(group.select(used), row_group_size=max(len(group), 1))
            writer.add_key_value_metadata(_footer(segment, template))
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


def read_device(paths: Sequence[Path], template: Template, device: str) -> pa.Table:
    """All rows of one device over several files, in journal order: what a merge holds in memory at a time."""
    schema = arrow_schema(template)
    parts = [_padded(pq.read_table(p, filters=[("device", "=", device)]), schema) for p in paths]
    return pa.concat_tables(parts).combine_chunks()


def devices_in(paths: Sequence[Path]) -> list[str]:
    """Every device with rows in the files, ascending."""
    found: set[str] = set()
    for path in paths:
        found |= set(pc.unique(pq.read_table(path, columns=["device"])["device"]).to_pylist())
    return sorted(found)


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


def _padded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns left out because they held nothing come back as nulls."""
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)


def _used_columns(schema: pa.Schema, groups: Sequence[pa.Table]) -> list[str]:
    """All but the column qualities that say nothing anywhere."""
    return [n for n in schema.names if not n.startswith("q.") or any(g[n].null_count < len(g) for g in groups)]


def _footer(segment: Segment, template: Template) -> dict[bytes, bytes]:
    """Written as the file's own keys: metadata of an Arrow schema is dropped where the schema itself is not stored."""
    about = {k: getattr(segment, k) for k in Segment.__slots__ if k != "path"}
    return {ABOUT: json.dumps(about, sort_keys=True).encode(), TEMPLATE: template.to_json()}


def _writer(
    path: Path, schema: pa.Schema, used: list[str], groups: Sequence[pa.Table], segment: Segment
) -> pq.ParquetWriter:
    delta = [n for n in used if _is_delta(schema.field(n).type, n, groups)]
    return pq.ParquetWriter(
        path,
        pa.schema([schema.field(n) for n in used]),
        version="2.6",
        data_page_version="2.0",
        compression="zstd",
        compression_level=DAY_LEVEL if segment.level == "day" else OPEN_LEVEL,
        use_dictionary=[n for n in used if n not in delta],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        write_statistics=["device", "hour", "source_us"],
        store_schema=False,
    )


def _is_delta(kind: pa.DataType, name: str, groups: Sequence[pa.Table]) -> bool:
    if kind not in (pa.int64(), pa.uint64()):
        return False
    if name in ("frame", "source_us", "lag_us"):  # stamps and the cursor of every template
        return True
    sample = groups[len(groups) // 2][name]
    return bool(pc.count_distinct(sample).as_py() * DISTINCT_SHARE > len(sample))
