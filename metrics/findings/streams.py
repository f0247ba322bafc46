"""数据流的疑点: several machines with the same figures, time stamps on a perfect grid, coverage that rose only in the last week.

In: `Inputs`; `stamps_and_values`: for some hours the raw readings as (device, point, source_us, value text), read by whoever has the store.
Out: findings `identical_streams`, `identical_hours`, `perfect_grid`, `coverage_rose`. The ledger's root draws the hours.
A machine that is polled has stamps of the poll; only stamps that a source gave itself can lie on a grid by themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import polars as pl

from metrics.findings.finding import Finding, finding
from metrics.inputs import Inputs
from metrics.minutes import count
from metrics.result import MetricResult
from metrics.window import hours_of

Raw = Callable[[Sequence[int]], pl.DataFrame]  # hours -> device, point, source_us, value
DRAWN_HOURS = 12
LEAST_HOURS = 100
LEAST_STAMPS = 60
LEAST_VALUES = 30
WEEK_DAYS = 7
FIGURES = ("run_s", "stop_s", "output_delta", "auto_s", "points_changed", "values_bad")


def identical_hours(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Machines whose hour figures are equal in every running hour of 30 days (at least 100, with changing figures)."""
    first, end = hours_of(inputs.thirty_days)
    within = (pl.col("hour") >= first) & (pl.col("hour") < end)
    ran = inputs.lines.device.filter(within & (pl.col("run_s") > 0) & (pl.col("output_delta") > 0))
    prints = (
        ran.sort("device", "hour")
        .group_by("device", maintain_order=True)
        .agg(
            pl.len().alias("hours"),
            pl.col("output_delta").n_unique().alias("varied"),
            pl.struct("hour", *FIGURES).alias("figures"),
        )
        .filter((pl.col("hours") >= LEAST_HOURS) & (pl.col("varied") > 3))
    )
    same: dict[str, list[str]] = {}
    for device, figures in prints.select("device", "figures").rows():
        same.setdefault(hashlib.sha256(repr(figures).encode()).hexdigest(), []).append(device)
    hours = dict(prints.select("device", "hours").rows())
    rows = [("、".join(group), str(hours[group[0]])) for group in same.values() if len(group) > 1]
    why = "30 天里每个运行小时的运行、停机、产量都完全相同 (equal figures in every running hour)"
    return finding("identical_hours", "几台设备的数据为什么一模一样？", why, ("设备", "小时数"), rows)


def sampled(inputs: Inputs, raw: Raw | None) -> list[Finding]:
    """Findings from raw readings of twelve hours drawn by the ledger's root."""
    hours = _drawn_hours(inputs)
    if raw is None or not hours:
        return []
    readings = raw(hours)
    return [*_identical_streams(readings), *_perfect_grid(inputs, readings)]


def coverage_rose(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Machines covered by 90 % in the last week and by less than half in the weeks before."""
    if inputs.revision is None:
        return []
    devices = [d.id for d in inputs.register.devices if d.connection is not None]
    part = inputs.minutes.part(inputs.thirty_days, devices)
    cut = part.owed.shape[1] - WEEK_DAYS * 24
    covered, owed = count(part.covered & part.owed), count(part.owed)
    rows = []
    for i, device in enumerate(devices):
        before, owed_before = int(covered[i, :cut].sum()), int(owed[i, :cut].sum())
        last, owed_last = int(covered[i, cut:].sum()), int(owed[i, cut:].sum())
        if owed_last and owed_before and 10 * last >= 9 * owed_last and 2 * before < owed_before:
            rows.append((device, f"{before}/{owed_before}", f"{last}/{owed_last}"))
    why = "只在最后一周采集完整 (coverage rose only in the last week)"
    return finding("coverage_rose", "设备什么时候真正联网？", why, ("设备", "此前覆盖分钟", "最后一周"), rows)


def _drawn_hours(inputs: Inputs) -> list[int]:
    first, end = hours_of(inputs.thirty_days)
    lively = inputs.lines.device.filter((pl.col("hour") >= first) & (pl.col("hour") < end) & (pl.col("run_s") > 0))
    left = sorted(set(lively["hour"].to_list()))
    drawn = []
    for i in range(min(DRAWN_HOURS, len(left))):
        digest = hashlib.sha256(inputs.ledger_root + b"findings" + str(i).encode()).digest()
        drawn.append(left.pop(int.from_bytes(digest[:8], "big") % len(left)))
    return sorted(drawn)


def _identical_streams(readings: pl.DataFrame) -> list[Finding]:
    """Points of different machines with the same sequence of values: at least 30 readings, at least 10 different ones."""
    streams = (
        readings.sort("device", "point", "source_us")
        .group_by("device", "point", maintain_order=True)
        .agg(pl.col("value"), pl.len().alias("n"), pl.col("value").n_unique().alias("varied"))
        .filter((pl.col("n") >= LEAST_VALUES) & (pl.col("varied") >= 10))
    )
    same: dict[str, list[str]] = {}
    for device, point, values in streams.select("device", "point", "value").rows():
        same.setdefault(hashlib.sha256("\n".join(values).encode()).hexdigest(), []).append(f"{device}.{point}")
    counts = {f"{d}.{p}": n for d, p, n in streams.select("device", "point", "n").rows()}
    rows = [
        ("、".join(group), str(counts[group[0]]))
        for group in same.values()
        if len({name.split(".")[0] for name in group}) > 1
    ]
    why = "抽查的小时里数值序列逐个相同 (the same sequence of values on several machines)"
    return finding("identical_streams", "几台设备的数据为什么一模一样？", why, ("测点", "读数"), rows)


def _perfect_grid(inputs: Inputs, readings: pl.DataFrame) -> list[Finding]:
    """Machines whose own stamps stand exactly one interval apart, to the microsecond, at least 60 times."""
    if inputs.revision is None:
        return []
    own = [
        d.id
        for d in inputs.register.devices
        if d.connection is not None and d.connection.protocol in ("mqtt", "sparkplug", "opcua")
    ]
    stamps = (
        readings.filter(pl.col("device").is_in(own))
        .select("device", "source_us")
        .unique()
        .sort("device", "source_us")
        .with_columns(pl.col("source_us").diff().over("device").alias("step"))
    )
    steps = (
        stamps.filter(pl.col("step") < 3_600_000_000)
        .group_by("device", maintain_order=True)
        .agg(
            pl.len().alias("n"),
            pl.col("step").mode().first().alias("usual"),
            (pl.col("step") == pl.col("step").mode().first()).sum().alias("on"),
        )
    )
    rows = [
        (device, str(n), f"{usual / 1_000_000:g} 秒")
        for device, n, usual, on in steps.rows()
        if n >= LEAST_STAMPS and on == n and usual % 1_000_000 == 0
    ]
    why = "设备自带的时间戳一微秒不差地落在整齐的间隔上 (own stamps on a perfect grid)"
    return finding("perfect_grid", "时间戳是设备产生的吗？", why, ("设备", "时间戳", "间隔"), rows)
