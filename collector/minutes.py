"""Minutes of device-hours as 60-bit masks, and which of them contacts cover (docs/format/hour-lines.md, Covered). Pure.

In: one row per minute in service (`end_us`, `bit`, `cover_us`), contacts with their time. Out: covered minutes, and their sums as masks.
`KEYS` name a device-hour; a parameter-hour has the point beside them.
"""

from __future__ import annotations

import polars as pl

from collector.plan import MINUTE_US

KEYS = ["device", "hour"]


def bit(minute: pl.Expr) -> pl.Expr:
    """Minute 0 is the highest of 60 bits."""
    return minute.replace_strict(range(60), [1 << (59 - m) for m in range(60)], return_dtype=pl.UInt64)


def covered_minutes(minutes: pl.DataFrame, contacts: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """The minutes at whose end the newest contact is young enough. `minutes` ascend by `end_us`."""
    ends = ((pl.col("t_us") + MINUTE_US - 1) // MINUTE_US).alias(
        "ends"
    )  # of a minute's contacts only the newest counts
    newest = contacts.group_by(*keys, ends).agg(pl.col("t_us").max())
    seen = minutes.join_asof(
        newest.select(*keys, "t_us").sort("t_us"),
        left_on="end_us",
        right_on="t_us",
        by=keys,
        strategy="backward",
        check_sortedness=False,
    )
    return seen.filter(pl.col("end_us") - pl.col("t_us") <= pl.col("cover_us")).select(*keys, "minute", "bit")


def mask(covered: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Column `covered`: the minutes of each key as one mask."""
    return covered.group_by(keys).agg(pl.col("bit").sum().alias("covered"))
