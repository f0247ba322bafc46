"""产量的疑点: production without energy, energy without production, more output than the machine can make.

In: `Inputs`. Out: findings `output_without_energy`, `energy_without_output`, `beyond_capacity`.
Energy is what meters of the register counted (`Device.meter`, its point of role output) on the same line; a plant
without a metered line has nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from metrics.findings.finding import Finding, finding
from metrics.inputs import Inputs
from metrics.result import MetricResult
from metrics.window import HOUR_US, hours_of, local_day


def output_without_energy(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Days on which a line with a meter made parts while its meters stood still, though they were heard."""
    days = _days(inputs)
    rows = [
        (line, str(day), str(made), str(used))
        for line, day, made, used, heard in days
        if made > 0 and used == 0 and heard > 0
    ]
    why = "有产量而电表（能源表计）一天没有走字 (output on a day without energy)"
    return finding("output_without_energy", "没有用能怎么会有产量？", why, ("产线", "日期", "产量", "用能"), rows)


def energy_without_output(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Days without a part on which at least half of a usual producing day's energy was used."""
    days = _days(inputs)
    usual: dict[str, list[int]] = {}
    for line, _day, made, used, _heard in days:
        if made > 0 and used > 0:
            usual.setdefault(line, []).append(used)
    rows = []
    for line, day, made, used, _heard in days:
        typical = sorted(usual.get(line, [0]))[len(usual.get(line, [0])) // 2]
        if made == 0 and typical and 2 * used >= typical:
            rows.append((line, str(day), str(used), str(typical)))
    why = "没有产量而用能达到正常生产日的一半以上 (energy without output)"
    return finding(
        "energy_without_output", "没有产量为什么用这么多能？", why, ("产线", "日期", "用能", "正常日用能"), rows
    )


def beyond_capacity(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Operations that say more parts than the machine's stated capacity allows in their time."""
    if inputs.records is None or inputs.revision is None:
        return []
    capacity = {d.id: d.capacity_per_h for d in inputs.register.devices if d.capacity_per_h is not None}
    window = inputs.three_months
    operations = inputs.records.frame("operations").filter(
        pl.col("device_id").is_in(list(capacity))
        & pl.col("end").is_between(window.start_us, window.end_us, closed="left")
        & (pl.col("end") > pl.col("start"))
    )
    rows = []
    for batch, device, start, end, good, scrap in operations.select(
        "batch_id", "device_id", "start", "end", "good", "scrap"
    ).rows():
        made = (good or 0) + (scrap or 0)
        possible = capacity[device] * (end - start)  # parts x µs per hour, exact Decimal
        if made * HOUR_US > possible:
            hours = f"{(end - start) // 60_000_000} 分钟"
            rows.append((batch, device, str(made), hours, f"{capacity[device]} 件/时"))
    why = "一道工序报的件数超过设备产能 (output beyond capacity)"
    return finding("beyond_capacity", "这台设备做得出这么多吗？", why, ("批次", "设备", "件数", "用时", "产能"), rows)


def _days(inputs: Inputs) -> list[tuple[str, date, int, int, int]]:
    """(line, local day, parts made, energy used, contacts of the meters) of every line that has a meter, over three months."""
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
    offset_h = int(inputs.tz.utcoffset(None).total_seconds()) // 3600
    sums = (
        inputs.lines.device.filter((pl.col("hour") >= first) & (pl.col("hour") < end))
        .join(kinds, on="device", how="inner")
        .with_columns(((pl.col("hour") + offset_h) // 24).alias("day"))
        .group_by("line", "day")
        .agg(
            pl.col("output_delta").filter(~pl.col("meter")).sum().alias("made"),
            pl.col("output_delta").filter(pl.col("meter")).sum().alias("used"),
            pl.col("polls_ok").filter(pl.col("meter")).sum().alias("heard"),
        )
        .sort("line", "day")
    )
    return [
        (line, local_day((day * 24 - offset_h) * HOUR_US, inputs.tz), made, used, heard)
        for line, day, made, used, heard in sums.rows()
    ]
