"""产量的疑点: production without energy, energy without production, more output than the machine can make.

In: `Inputs`. Out: findings `output_without_energy`, `energy_without_output`, `beyond_capacity`.
Energy is what meters of the register counted (`Device.meter`, its point of role output) on the same line; a plant
without a metered line has nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from metrics.findings.finding import Finding, finding
from metrics.inputs import Inputs
from metrics.result import MetricResult
from metrics.window import DAY_US, EPOCH, HOUR_US, hours_of

EPOCH_DAY = EPOCH.date()


def output_without_energy(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Days on which a line with a meter made parts while its meters stood still, though they were heard."""
    days = _days(inputs)
    rows = [(line, str(day), str(made), str(used)) for line, day, made, used in days if made > 0 and used == 0]
    why = "有产量而电表（能源表计）一天没有走字 (output on a day without energy)"
    return finding("output_without_energy", "没有用能怎么会有产量？", why, ("产线", "日期", "产量", "用能"), rows)


def energy_without_output(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Days without a part on which at least half of a usual producing day's energy was used."""
    days = _days(inputs)
    usual: dict[str, list[int]] = {}
    for line, _day, made, used in days:
        if made > 0 and used > 0:
            usual.setdefault(line, []).append(used)
    rows = []
    for line, day, made, used in days:
        typical = sorted(usual.get(line, [0]))[len(usual.get(line, [0])) // 2]
        if made == 0 and typical and 2 * used >= typical:
            rows.append((line, str(day), str(used), str(typical)))
    why = "没有产量而用能达到正常生产日的一半以上 (energy without output)"
    return finding(
        "energy_without_output", "没有产量为什么用这么多能？", why, ("产线", "日期", "用能", "正常日用能"), rows
    )


def beyond_capacity(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Operations that say more parts than the machine's stated capacity allows in their time; those that overlap share that time."""
    if inputs.records is None or inputs.revision is None:
        return []
    capacity = {d.id: d.capacity_per_h for d in inputs.register.devices if d.capacity_per_h is not None}
    window = inputs.three_months
    stretches = (
        inputs.records.frame("operations")
        .filter(
            pl.col("device_id").is_in(list(capacity))
            & pl.col("end").is_between(window.start_us, window.end_us, closed="left")
            & (pl.col("end") >= pl.col("start"))
        )
        .with_columns((pl.col("good").fill_null(0) + pl.col("scrap").fill_null(0)).alias("made"))
        .sort("device_id", "start", "end", "batch_id")
        .with_columns(pl.col("end").cum_max().shift(1).over("device_id").alias("busy_until"))
        .with_columns((pl.col("start") >= pl.col("busy_until")).fill_null(value=True).cum_sum().alias("stretch"))
        .group_by("device_id", "stretch", maintain_order=True)
        .agg(
            pl.col("batch_id").unique(maintain_order=True),
            pl.col("start").min(),
            pl.col("end").max(),
            pl.col("made").sum(),
        )
    )
    rows = []
    for device, _stretch, batches, start, end, made in stretches.rows():
        possible = capacity[device] * (end - start)  # parts x µs per hour, exact Decimal
        if made * HOUR_US > possible:
            minutes = f"{(end - start) // 60_000_000} 分钟"
            rows.append(("、".join(batches[:8]), device, str(made), minutes, f"{capacity[device]} 件/时"))
    why = "工序报的件数超过设备在这段时间的产能，时间重叠的合并计 (output beyond capacity)"
    return finding("beyond_capacity", "这台设备做得出这么多吗？", why, ("批次", "设备", "件数", "用时", "产能"), rows)


def _days(inputs: Inputs) -> list[tuple[str, date, int, int]]:
    """(line, local day, parts made, energy used) of every line that has a meter, over three months.

    Parts count in hours in which a meter was heard, energy in hours in which a machine was: silence on either side accuses nobody.
    Parts are what machines counted and what operations report, whichever is more.
    """
    if inputs.revision is None:
        return []
    devices = inputs.register.devices
    metered = {d.line for d in devices if d.meter is not None}
    kinds = pl.DataFrame(
        [(d.id, d.line, d.meter is not None) for d in devices if d.line in metered and (d.production or d.meter)],
        {"device": pl.String, "line": pl.String, "meter": pl.Boolean},
        orient="row",
    )
    first, end = hours_of(inputs.three_months)
    heard = pl.col("polls_ok") > 0
    hours = (
        inputs.lines.device.filter((pl.col("hour") >= first) & (pl.col("hour") < end))
        .join(kinds, on="device", how="inner")
        .group_by("line", "hour")
        .agg(
            pl.col("output_delta").filter(~pl.col("meter")).sum().alias("made"),
            pl.col("output_delta").filter(pl.col("meter")).sum().alias("used"),
            (heard & pl.col("meter")).any().alias("metered"),
            (heard & ~pl.col("meter")).any().alias("attended"),
        )
        .join(_reported(inputs, kinds), on=("line", "hour"), how="left")
        .with_columns(pl.max_horizontal("made", pl.col("reported").fill_null(0)).alias("made"))
    )
    sums = (
        hours.with_columns(((pl.col("hour") * HOUR_US + _offset_us(inputs)) // DAY_US).alias("day"))
        .group_by("line", "day")
        .agg(
            pl.col("made").filter(pl.col("metered")).sum(),
            pl.col("used").filter(pl.col("attended")).sum(),
        )
        .sort("line", "day")
    )
    return [(line, EPOCH_DAY + timedelta(days=day), made, used) for line, day, made, used in sums.rows()]


def _reported(inputs: Inputs, kinds: pl.DataFrame) -> pl.DataFrame:
    """line, hour, reported: parts of operations on a line's machines, in the hour in which they began (its day is that of the energy)."""
    if inputs.records is None:
        return pl.DataFrame(schema={"line": pl.String, "hour": pl.Int64, "reported": pl.Int64})
    operations = inputs.records.frame("operations").filter(pl.col("end").is_not_null())
    return (
        operations.with_columns((pl.col("good").fill_null(0) + pl.col("scrap").fill_null(0)).alias("made"))
        .join(kinds, left_on="device_id", right_on="device", how="inner")
        .group_by("line", (pl.col("start") // HOUR_US).alias("hour"))
        .agg(pl.col("made").sum().alias("reported"))
    )


def _offset_us(inputs: Inputs) -> int:
    return int(inputs.tz.utcoffset(None).total_seconds()) * 1_000_000
