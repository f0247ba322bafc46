"""Open segments of a day read together, device by device, without holding more than a slice of them.

In: files of one template in journal order, each sorted by device. Out: one table per device, ascending, its rows in journal order.
A slice is a run of devices of about SLICE_ROWS rows: each row group is read once, or twice where a slice begins within it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.batch import Template
from collector.store.schema import arrow_schema
from collector.store.segment import by_device

SLICE_ROWS = 250_000


def merged(paths: Sequence[Path], template: Template, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Every device's rows over all files; a column that a file left out comes as nulls."""
    for rows in merged_slices(paths, template, columns):
        yield from by_device(rows)


def merged_slices(paths: Sequence[Path], template: Template, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The same, a run of devices at a time."""
    schema = pa.schema([arrow_schema(template).field(name) for name in columns])
    files = [pq.ParquetFile(p) for p in paths]
    try:
        for first, last in _slices(files):
            yield _sorted(pa.concat_tables(_padded(_rows(file, first, last), schema) for file in files))
    finally:
        for file in files:
            file.close()


def columns_in(paths: Sequence[Path], template: Template) -> list[str]:
    """The columns that any of the files has, in the template's order."""
    there = {name for path in paths for name in pq.read_schema(path).names}
    return [name for name in arrow_schema(template).names if name in there]


def _slices(files: Sequence[pq.ParquetFile]) -> Iterator[tuple[str, str]]:
    """(first, last) device of runs of devices with about SLICE_ROWS rows."""
    rows: dict[str, int] = {}
    for file in files:
        for count in pc.value_counts(file.read(["device"])["device"]).to_pylist():
            rows[count["values"]] = rows.get(count["values"], 0) + count["counts"]
    first, held = "", 0
    devices = sorted(rows)
    for device, following in zip(devices, [*devices[1:], None], strict=True):
        first, held = first or device, held + rows[device]
        if following is None or held + rows[following] > SLICE_ROWS:
            yield first, device
            first, held = "", 0


def _rows(file: pq.ParquetFile, first: str, last: str) -> pa.Table:
    """Rows of devices first..last; row groups outside are not read (statistics of column 0, the device)."""
    wanted = []
    for group in range(file.num_row_groups):
        statistics = file.metadata.row_group(group).column(0).statistics
        if statistics is None or not statistics.has_min_max or (statistics.min <= last and statistics.max >= first):
            wanted.append(group)
    rows = file.read_row_groups(wanted)
    device = rows["device"]
    return rows.filter(pc.and_(pc.greater_equal(device, first), pc.less_equal(device, last)))


def _sorted(rows: pa.Table) -> pa.Table:
    """By device, each device's rows in the order they have."""
    device = rows["device"].combine_chunks().dictionary_encode()
    rank = pc.rank(device.dictionary, sort_keys="ascending").to_numpy()
    return rows.take(pa.array(np.argsort(rank[device.indices.to_numpy()], kind="stable")))


def _padded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.schema.equals(schema):
        return table
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)
