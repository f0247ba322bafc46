"""Rows of an hour together with what is carried into it from the hour before, and only from there.

In: rows of one template over hours [first - 1, end), in journal order per device. Out: the same rows of [first, end) preceded, per device
and hour, by the carried-in ones (`carried` true, `hour` the one they are carried into), also into hours that have no rows of
their own: what an hour holds does not depend on which hours are read with it (docs/format/rows.md).
"""

from __future__ import annotations

import polars as pl

from adapters.batch import Outcome, Template

IS_CONTACT = pl.col("outcome") <= int(Outcome.CONFIRMED)
IS_LOSS = pl.col("outcome").is_in([int(o) for o in Outcome if o.is_loss])


def with_carried(frame: pl.DataFrame, template: Template, first_hour: int, end_hour: int) -> pl.DataFrame:
    """Adds `ord` (journal order within the device) and `carried`; sorted by device, hour, ord."""
    ordered = frame.sort("device", maintain_order=True).with_row_index("ord")
    keys = ["device", "hour"]
    per_point = [*keys, "p.point"] if template.kind == "event" else keys
    last_contact = ordered.filter(IS_CONTACT).group_by(per_point).agg(pl.col("ord").last())["ord"]
    last_of_all = ordered.group_by(keys).agg(pl.col("ord").last())["ord"]
    wanted = pl.concat([last_contact, last_of_all]).unique()
    carried = ordered.filter(pl.col("ord").is_in(wanted.implode())).with_columns(
        pl.col("hour") + 1, pl.lit(value=True).alias("carried")
    )
    own = ordered.with_columns(pl.lit(value=False).alias("carried"))
    wanted_hours = pl.col("hour").is_between(first_hour, end_hour - 1)
    return pl.concat([carried.filter(wanted_hours), own.filter(wanted_hours)]).sort("device", "hour", "ord")
