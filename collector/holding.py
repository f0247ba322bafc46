"""How long what a row says holds: until the next row that speaks of the same, at most 2 x interval_s, within the hour's service. Pure.

In: contacts of device-hours in the order of contact time (`ORDER`), what the register says of each device-hour (`begin_us`, `end_us`,
`hold_us`). Out: the rows that speak, each with the time it holds. Rule: docs/format/hour-lines.md, State.
"""

from __future__ import annotations

import polars as pl

from collector.minutes import KEYS

ORDER = ["t_us", "frame", "ord"]  # rows of equal time: by journal frame, in one frame by template, then as they came


def held(contacts: pl.DataFrame, name: str, service: pl.DataFrame) -> pl.DataFrame:
    """Rows that speak of `name` (state, auto), with `us`: how long. `contacts` ascend by device, hour, ORDER."""
    limits = service.select(*KEYS, "begin_us", "end_us", "hold_us")
    says = contacts.filter(pl.col(f"{name}_says")).join(limits, on=KEYS, maintain_order="left")
    end = pl.min_horizontal(pl.col("t_us").shift(-1).over(KEYS), pl.col("t_us") + pl.col("hold_us"), "end_us")
    return says.with_columns((end - pl.max_horizontal("t_us", "begin_us")).clip(lower_bound=0).alias("us"))
