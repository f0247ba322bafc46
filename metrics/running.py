"""运行时间: seconds of running per device, and per key parameter those in which its value was known and inside its limits.

In: `Inputs`, a window. Out: one row per device, or per device and point, with integer sums over the hours of the window. A sum is null
where no line of the window states the figure (no state rule, no limits): unknown is not zero. Hours without a line add nothing;
who judges coverage compares with the hours that ought to be there. Used by M07 关键工艺参数数字化率, M09, M26 精准控制.
Fields: docs/format/hour-lines.md.
"""

from __future__ import annotations

import polars as pl

from metrics.inputs import Inputs
from metrics.result import Window
from metrics.window import hours_of

RUNNING = ("run_s", "stop_s", "unknown_s", "auto_s", "output_delta")


def running(inputs: Inputs, window: Window) -> pl.DataFrame:
    """device, run_s, stop_s, unknown_s, auto_s, output_delta: sums of D lines, by device."""
    return (
        _within(inputs.lines.device, window)
        .group_by("device")
        .agg(*[_stated_sum(name, pl.col(name)) for name in RUNNING])
        .sort("device")
    )


def parameter_running(inputs: Inputs, window: Window) -> pl.DataFrame:
    """device, point, covered_min, ok, bad, run_ok_s, run_in_s, run_s_known, run_s_limited: sums of P lines, by device and point.

    run_s_known, run_s_limited: `run_s` of the same device's D lines of the hours whose P line states run_ok_s, or run_in_s: limits
    that came in mid-window judge only the hours since.
    """
    run_s = _within(inputs.lines.device, window).select("device", "hour", "run_s")
    lines = _within(inputs.lines.parameter, window).join(run_s, on=["device", "hour"], how="left")
    stated = [("run_s_known", "run_ok_s"), ("run_s_limited", "run_in_s")]
    return (
        lines.group_by("device", "point")
        .agg(
            pl.col("covered").bitwise_count_ones().cast(pl.Int64).sum().alias("covered_min"),
            pl.col("ok", "bad").sum(),
            *[_stated_sum(name, pl.col(name)) for name in ("run_ok_s", "run_in_s")],
            *[_stated_sum(name, pl.col("run_s").filter(pl.col(by).is_not_null())) for name, by in stated],
        )
        .sort("device", "point")
    )


def _within(lines: pl.DataFrame, window: Window) -> pl.DataFrame:
    first, end = hours_of(window)
    return lines.filter((pl.col("hour") >= first) & (pl.col("hour") < end))


def _stated_sum(name: str, figures: pl.Expr) -> pl.Expr:
    """Sum of what is stated; null where nothing is."""
    return pl.when(figures.is_not_null().any()).then(figures.sum()).alias(name)
