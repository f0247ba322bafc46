"""Parameter-hours of key parameters 关键工艺参数: coverage, counts, running time known and inside limits (docs/format/hour-lines.md, P).

In: what rows say of key parameters (`collector/readings.py`), the rows that speak of the machine state, what the register says of each
device-hour, its minutes. Out: one row per key parameter of every device-hour: covered, ok, bad, run_ok_s, run_in_s. Pure.
Used by M07 关键工艺参数数字化率 (run_ok_s of run_s) and M26 精准控制 (run_in_s of run_s).
"""

from __future__ import annotations

import polars as pl

from collector.holding import ORDER
from collector.minutes import KEYS, covered_minutes, mask

_POINT_KEYS = [*KEYS, "point"]
_RUNNING = 1
_UNKNOWN, _GOOD, _INSIDE = -1, 0, 1  # what a row says of a point


def parameter_hours(
    values: pl.DataFrame, states: pl.DataFrame, service: pl.DataFrame, minutes: pl.DataFrame
) -> pl.DataFrame:
    """Sorted by device, hour, point. Seconds are null without a state rule, `run_in_s` also without limits."""
    wanted = service.select(*KEYS, "has_state", pl.col("parameters").alias("point"), "limited")
    wanted = wanted.explode("point", "limited").drop_nulls("point")
    values = values.join(wanted.select(_POINT_KEYS), on=_POINT_KEYS, how="semi")
    grid = minutes.join(wanted.select(_POINT_KEYS), on=KEYS).sort("end_us")
    covered = mask(covered_minutes(grid, values.filter("good"), _POINT_KEYS), _POINT_KEYS)
    return (
        wanted.join(_counts(values), on=_POINT_KEYS, how="left")
        .join(covered, on=_POINT_KEYS, how="left")
        .join(_running(values, states, wanted, service), on=_POINT_KEYS, how="left")
        .with_columns(
            pl.col("covered", "ok", "bad").fill_null(0),
            pl.when("has_state").then(pl.col("run_ok_s").fill_null(0)).alias("run_ok_s"),
            pl.when(pl.col("has_state") & pl.col("limited")).then(pl.col("run_in_s").fill_null(0)).alias("run_in_s"),
        )
        .sort(_POINT_KEYS)
    )


def _counts(values: pl.DataFrame) -> pl.DataFrame:
    """Good and other values of this hour's rows; a failed poll and a row without the point have none."""
    good = pl.col("good")
    return (
        values.filter("value", ~pl.col("carried"))
        .group_by(_POINT_KEYS)
        .agg(good.sum().cast(pl.Int64).alias("ok"), (~good).sum().cast(pl.Int64).alias("bad"))
    )


def _running(values: pl.DataFrame, states: pl.DataFrame, wanted: pl.DataFrame, service: pl.DataFrame) -> pl.DataFrame:
    """Seconds in which the state is run and a good value is known, and those in which it lies inside its limits."""
    by_event = states.filter("event").select(KEYS).unique()
    timed = wanted.filter("has_state").select(_POINT_KEYS)
    at_once = _of_wide_rows(values, states, timed.join(by_event, on=KEYS, how="anti"))
    ends = service.select(*KEYS, "begin_us", "end_us", "hold_us")
    series = timed.join(by_event, on=KEYS, how="semi").join(ends, on=KEYS).with_row_index("series")
    known = pl.concat([at_once, _of_events(_timeline(values, states, series), series)])
    return known.group_by(_POINT_KEYS).agg(
        (pl.col("us").sum() // 1_000_000).alias("run_ok_s"),
        (pl.col("us").filter("inside").sum() // 1_000_000).alias("run_in_s"),
    )


def _of_wide_rows(values: pl.DataFrame, states: pl.DataFrame, timed: pl.DataFrame) -> pl.DataFrame:
    """Rows of wide templates speak of state and points at once: a value is known exactly as long as its row's state."""
    runs = states.filter(pl.col("state") == _RUNNING).select("ord", "us")
    known = values.filter("good").join(timed, on=_POINT_KEYS, how="semi").join(runs, on="ord")
    return known.select(*_POINT_KEYS, "us", "inside")


def _timeline(values: pl.DataFrame, states: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Per parameter-hour (`series`), in order: rows that speak of the state, and rows that speak of the point."""
    says = pl.when("good").then(pl.when("inside").then(_INSIDE).otherwise(_GOOD)).otherwise(_UNKNOWN)
    of_state = states.join(series.select(*KEYS, "series"), on=KEYS).select(
        "series", *ORDER, pl.col("state").fill_null(_UNKNOWN), pl.col("t_us").alias("state_us")
    )
    of_point = values.join(series.select(*_POINT_KEYS, "series"), on=_POINT_KEYS).select(
        "series", *ORDER, says.cast(pl.Int8).alias("says"), pl.col("t_us").alias("says_us")
    )
    return pl.concat([of_state, of_point], how="diagonal").sort("series", *ORDER)


def _of_events(timeline: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """From each row to the next: both known, neither older than it may be."""
    first = pl.col("series").ne_missing(pl.col("series").shift(1))
    following = pl.when(pl.col("series") == pl.col("series").shift(-1)).then(pl.col("t_us").shift(-1))
    told = timeline.with_columns(
        *[
            pl.when(first).then(pl.col(c).fill_null(_UNKNOWN)).otherwise(pl.col(c)).forward_fill()
            for c in ("state", "says")
        ],
        *[pl.col(c).forward_fill() for c in ("state_us", "says_us")],  # of another series only where it says unknown
        following.alias("following_us"),
    )
    known = told.filter(pl.col("state") == _RUNNING, pl.col("says") != _UNKNOWN).join(series, on="series")
    until = pl.min_horizontal(
        "following_us", pl.col("state_us") + pl.col("hold_us"), pl.col("says_us") + pl.col("hold_us"), "end_us"
    )
    length = (until - pl.max_horizontal("t_us", "begin_us")).clip(lower_bound=0)
    return known.select(*_POINT_KEYS, length.alias("us"), (pl.col("says") == _INSIDE).alias("inside"))
