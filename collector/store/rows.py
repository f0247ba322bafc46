"""Stored rows of some hours, by template, in journal order per device: what seals and recomputation read.

In: the catalog's segments. Out: polars frames with the base columns, `p.<column>` and, where any, `q.<column>`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from adapters.batch import Template
from collector.folder import DataFolder
from collector.store.catalog import Catalog
from collector.store.schema import BASE
from collector.store.segment import Segment


def rows_of_hours(
    folder: DataFolder, catalog: Catalog, first_hour: int, end_hour: int, devices: Sequence[str] | None = None
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


def _read(
    folder: DataFolder,
    segment: Segment,
    template: Template,
    first_hour: int,
    end_hour: int,
    devices: Sequence[str] | None,
) -> pl.DataFrame:
    rows = pl.scan_parquet(folder.segments / segment.path).filter(pl.col("hour").is_between(first_hour, end_hour - 1))
    if devices is not None:
        rows = rows.filter(pl.col("device").is_in(list(devices)))
    names = [n for n, _ in BASE] + [f"p.{n}" for n, _ in template.columns]
    qualities = [f"q.{n}" for n, _ in template.columns]
    there = set(rows.collect_schema().names())
    return rows.select([*names, *(q for q in qualities if q in there)]).collect()
