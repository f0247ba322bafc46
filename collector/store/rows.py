"""Stored rows of some hours, by template, in journal order per device: what seals and recomputation read.

In: the catalog's segments. Out: polars frames with the base columns, `p.<column>` and, where any, `server_lag_us` and `q.<column>`.
"""

from __future__ import annotations

import polars as pl

from adapters.batch import Template
from collector.folder import DataFolder
from collector.store.catalog import Catalog
from collector.store.schema import arrow_schema, is_optional
from collector.store.segment import Segment

DeviceRange = tuple[str, str | None]  # device ids [first, end) as they sort; None: to the last
ALL: DeviceRange = ("", None)
ROWS_AT_ONCE = 200_000  # bounds the memory of sealing, whatever a plant delivers


def rows_of_hours(
    folder: DataFolder, catalog: Catalog, first_hour: int, end_hour: int, devices: DeviceRange = ALL
) -> dict[Template, pl.DataFrame]:
    """Rows whose journal hour lies in [first_hour, end_hour)."""
    templates = catalog.templates()
    parts: dict[str, list[Segment]] = {}
    for segment in catalog.segments(first_hour, end_hour):
        parts.setdefault(segment.template, []).append(segment)
    found = {}
    for template_id, segments in parts.items():
        template = templates[template_id]
        frames = [_read(folder, s, template, first_hour, end_hour, devices) for s in segments]
        frame = pl.concat(frames, how="diagonal")
        if len(frame):
            found[template] = frame
    return found


def device_ranges(
    folder: DataFolder, catalog: Catalog, first_hour: int, end_hour: int, rows_at_once: int
) -> list[DeviceRange]:
    """All devices as ranges of about so many rows of these hours each (a device is never cut): what is read at once."""
    segments = catalog.segments(first_hour, end_hour)
    if sum(s.rows for s in segments) <= rows_at_once:
        return [ALL]
    each = [
        _of_hours(folder, s, first_hour, end_hour).group_by("device").len().collect(engine="streaming")
        for s in segments
    ]
    counts = pl.concat(each).group_by("device").agg(pl.col("len").sum()).sort("device")
    found, start, held = [], "", 0
    for device, rows in counts.iter_rows():
        if held and held + rows > rows_at_once:
            found.append((start, device))
            start, held = device, 0
        held += rows
    return [*found, (start, None)]


def _of_hours(folder: DataFolder, segment: Segment, first_hour: int, end_hour: int) -> pl.LazyFrame:
    rows = pl.scan_parquet(folder.segments / segment.path)
    return rows.filter(pl.col("hour").is_between(first_hour, end_hour - 1))


def _read(
    folder: DataFolder,
    segment: Segment,
    template: Template,
    first_hour: int,
    end_hour: int,
    devices: DeviceRange,
) -> pl.DataFrame:
    rows = _of_hours(folder, segment, first_hour, end_hour)
    start, end = devices
    if start:
        rows = rows.filter(pl.col("device") >= start)  # comparisons, so that row groups of other devices are not read
    if end is not None:
        rows = rows.filter(pl.col("device") < end)
    there = set(rows.collect_schema().names())
    names = [n for n in arrow_schema(template).names if n in there or not is_optional(n)]
    return rows.select(names).collect()
