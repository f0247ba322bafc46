"""Sums of D lines per device over a window: the facts that stand beside a flag.

In: `Inputs`, a window, columns of docs/format/hour-lines.md. Out: device -> column -> integer; an empty field adds nothing.
Never a bound by itself: hours without a line are absent here, whoever judges has to count them (`metrics/machines/minutes.py`).
"""

from __future__ import annotations

import polars as pl

from metrics.inputs import Inputs
from metrics.result import Window
from metrics.window import hours_of


def device_sums(inputs: Inputs, window: Window, *columns: str) -> dict[str, dict[str, int]]:
    """Sums of some integer columns; devices without a line are absent."""
    first, end = hours_of(window)
    within = (pl.col("hour") >= first) & (pl.col("hour") < end)
    sums = (
        inputs.lines.device.lazy()
        .filter(within)
        .group_by("device")
        .agg(pl.col(*columns).cast(pl.Int64).sum())
        .collect(engine="streaming")
    )
    return {row["device"]: {name: int(row[name]) for name in columns} for row in sums.iter_rows(named=True)}
