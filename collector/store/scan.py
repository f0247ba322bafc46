"""The reader: distinct recorded values of devices and times, long or wide, from segments and the journal's tail.

In: a data folder, devices, a window of source time. Out: a lazy polars frame. Every delivery is kept at rest; `scan` gives distinct
(device, point, source time, value). The same key with different values is a conflict: both come, `conflicts` lists them.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from adapters.batch import Outcome, Template, ValueType
from collector import journal
from collector.folder import DataFolder
from collector.frame import ROWS
from collector.store.catalog import open_catalog
from collector.store.schema import BASE, SERVER, tables_of

LONG_KEY = ["device", "point", "source_us"]
HOUR_US = 3_600_000_000
VALUE_COLUMNS = [f"v_{t}" for t in ValueType]


def scan(
    folder: DataFolder,
    *,
    devices: Sequence[str] | None = None,
    start_us: int | None = None,
    end_us: int | None = None,
    hours: Sequence[int] | None = None,
    shape: str = "long",
    template_id: str | None = None,
) -> pl.LazyFrame:
    """Long: device, point, source_us, server_us, lag_us, outcome, quality, v_<type>…, hour; one row per distinct value.

    Wide: one template's rows as stored (`template_id` needed when there are several), distinct. Window [start_us, end_us) of source time,
    and of it only some UTC hours since 1970 where `hours` names them: one pass over the files, however many there are.
    Receipt is source_us + lag_us; server_us is null where the protocol has none.
    """
    if shape not in ("long", "wide"):
        raise ValueError(f"shape: expected long or wide, found {shape!r}")
    sources = _sources(folder, template_id)
    narrowed = {
        t: [_of_hours(_narrow(f, devices, start_us, end_us), hours) for f in frames] for t, frames in sources.items()
    }
    if shape == "wide":
        frames = [f for parts in narrowed.values() for f in parts]
        together = (
            pl.concat(frames, how="diagonal") if frames else pl.LazyFrame(schema=dict.fromkeys(["device"], pl.String))
        )
        names = [n for n in together.collect_schema().names() if n not in ("frame", "lag_us", "server_us", "hour")]
        return together.unique(names, keep="first", maintain_order=True)
    longs = [_long(f, t) for t, parts in narrowed.items() for f in parts]
    if not longs:
        return pl.LazyFrame(schema=_LONG_SCHEMA)
    values = pl.concat([pl.LazyFrame(schema=_LONG_SCHEMA), *longs], how="diagonal_relaxed")
    first = pl.col("outcome").sort_by("outcome").first()  # a delivery before its confirmation
    return values.group_by([*LONG_KEY, *VALUE_COLUMNS], maintain_order=True).agg(
        pl.col("server_us").min(), pl.col("lag_us").min(), first, pl.col("quality").first(), pl.col("hour").min()
    )


def conflicts(
    folder: DataFolder,
    *,
    devices: Sequence[str] | None = None,
    start_us: int | None = None,
    end_us: int | None = None,
) -> pl.DataFrame:
    """Values that share device, point and source time and differ: both are kept, here is the list."""
    values = scan(folder, devices=devices, start_us=start_us, end_us=end_us)
    return values.filter(pl.len().over(LONG_KEY) > 1).sort(LONG_KEY).collect()


_POLARS = {
    ValueType.BOOL: pl.Boolean,
    ValueType.I64: pl.Int64,
    ValueType.U64: pl.UInt64,
    ValueType.F32: pl.Float32,
    ValueType.F64: pl.Float64,
    ValueType.STR: pl.String,
}
_LONG_SCHEMA = {
    "device": pl.String,
    "point": pl.String,
    "source_us": pl.Int64,
    "server_us": pl.Int64,
    "lag_us": pl.Int64,
    "outcome": pl.UInt8,
    "quality": pl.UInt32,
    "hour": pl.Int32,
    **{f"v_{t}": _POLARS[t] for t in ValueType},
}


def _sources(folder: DataFolder, template_id: str | None) -> dict[Template, list[pl.LazyFrame]]:
    found: dict[Template, list[pl.LazyFrame]] = {}
    with open_catalog(folder) as catalog:
        templates, done = catalog.templates(), catalog.last_seq()
        for segment in catalog.segments():
            template = templates[segment.template]
            frame = pl.scan_parquet(folder.segments / segment.path)
            found.setdefault(template, []).append(_all_columns(frame, template))
    paths = journal.files(folder.journal)
    frames = [
        f
        for i, path in enumerate(paths)
        for f in journal.read_file(path, tail=i == len(paths) - 1)
        if f.kind == ROWS and f.seq > done
    ]
    for template, table in tables_of(frames).items():
        tail = pl.from_arrow(table)
        if isinstance(tail, pl.DataFrame):
            found.setdefault(template, []).append(_all_columns(tail.lazy(), template))
    return {t: f for t, f in found.items() if template_id in (None, t.id)}


def _all_columns(frame: pl.LazyFrame, template: Template) -> pl.LazyFrame:
    there = set(frame.collect_schema().names())
    qualities = [f"q.{n}" for n, _ in template.columns]
    absent = [pl.lit(None, pl.UInt32).alias(q) for q in qualities if q not in there]
    server_us = pl.col("source_us") + pl.col(SERVER) if SERVER in there else pl.lit(None, pl.Int64)
    base = [n for n, _ in BASE]
    values = [f"p.{n}" for n, _ in template.columns]
    return frame.with_columns(server_us.alias("server_us"), *absent).select([*base, "server_us", *values, *qualities])


def _narrow(
    frame: pl.LazyFrame, devices: Sequence[str] | None, start_us: int | None, end_us: int | None
) -> pl.LazyFrame:
    if devices is not None:
        frame = frame.filter(pl.col("device").is_in(list(devices)))
    if start_us is not None:
        frame = frame.filter(pl.col("source_us") >= start_us)
    if end_us is not None:
        frame = frame.filter(pl.col("source_us") < end_us)
    return frame


def _of_hours(frame: pl.LazyFrame, hours: Sequence[int] | None) -> pl.LazyFrame:
    if hours is None:
        return frame
    spans = [pl.col("source_us").is_between(h * HOUR_US, (h + 1) * HOUR_US, closed="left") for h in hours]
    return frame.filter(pl.any_horizontal(spans) if spans else pl.lit(value=False))


def _long(frame: pl.LazyFrame, template: Template) -> pl.LazyFrame:
    contact = frame.filter(pl.col("outcome") <= int(Outcome.CONFIRMED))
    base = ["device", "source_us", "server_us", "lag_us", "outcome", "hour"]
    if template.kind == "event":
        names = [p.name for p in template.points]
        point = pl.col("p.point").replace_strict(range(len(names)), names, default=None, return_dtype=pl.String)
        values = [pl.col(f"p.{n}").alias(n) for n, _ in template.columns if n != "point"]
        quality = [pl.col(f"q.{n}") for n, _ in template.columns if n != "point"]
        there = pl.any_horizontal(pl.col(n).is_not_null() for n, _ in template.columns if n != "point")
        valued = contact.select(*base, point.alias("point"), pl.coalesce(*quality, "q").alias("quality"), *values)
        return valued.filter(there)  # a bad status without a value is none
    return pl.concat(
        [
            contact.filter(pl.col(f"p.{name}").is_not_null()).select(
                *base,
                pl.lit(name).alias("point"),
                pl.coalesce(f"q.{name}", "q").alias("quality"),
                pl.col(f"p.{name}").alias(f"v_{kind}"),
            )
            for name, kind in template.columns
        ],
        how="diagonal",
    )
