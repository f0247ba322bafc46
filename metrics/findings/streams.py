"""数据流的疑点: several machines with the same figures or the same address, stamps on a perfect grid, coverage that rose in the last week.

In: `Inputs`; `Raw`: for some hours the raw readings as (device, point, source_us, value text), read by whoever has the store.
Out: findings `same_address`, `identical_hours`, `identical_streams`, `perfect_grid`, `coverage_rose`. The ledger's root draws the hours.
A machine that is polled has stamps of the poll; only stamps that a source gave itself can lie on a grid by themselves.
Exact conditions and what they cannot see: docs/findings.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import polars as pl

from config.register import Device, Register
from metrics.findings.finding import Finding, finding
from metrics.findings.likeness import copied_streams, like_hours
from metrics.inputs import Inputs
from metrics.machines.minutes import count
from metrics.result import MetricResult
from metrics.window import hours_of

Raw = Callable[[Sequence[int]], pl.DataFrame]  # hours -> device, point, source_us, value
DRAWN_HOURS = 12
LEAST_STAMPS = 60
WEEK_DAYS = 7
SECOND_US = 1_000_000
SESSION_US = 3600 * SECOND_US  # a longer step lies between two drawn hours
TOLERANCE_US = 1000
OWN_STAMPS = ("mqtt", "sparkplug", "opcua")


def same_address(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Machines of the register that are read at the same place: one controller counted several times."""
    if inputs.revision is None:
        return []
    register = inputs.register
    places: dict[str, list[str]] = {}
    for device in register.devices:
        if device.production and device.retired_at is None and (place := _place(register, device)):
            places.setdefault(place, []).append(device.id)
    rows = [("、".join(group), str(len(group))) for group in places.values() if len(group) > 1]
    why = "台账里几台设备的连接和测点地址完全相同，读的是同一处 (several machines read at one address)"
    return finding("same_address", "这是几台设备还是一台？", why, ("设备", "台数"), rows)


def identical_hours(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Machines whose hour figures are the same, or all but the same, over at least 100 running hours of 30 days."""
    first, end = hours_of(inputs.thirty_days)
    within = (pl.col("hour") >= first) & (pl.col("hour") < end)
    ran = inputs.lines.device.filter(within & (pl.col("run_s") > 0) & (pl.col("output_delta") > 0))
    rows = [("、".join(group), str(hours)) for group, hours in like_hours(ran)]
    why = "30 天里运行小时的运行、停机、产量相同或几乎相同 (equal or nearly equal figures in the running hours)"
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


def _place(register: Register, device: Device) -> str:
    """Connection and addresses in one text; empty where nothing is read. `{device}` in an address makes it the machine's own."""
    if device.connection is None or device.points is None:
        return ""
    points = register.point_set[device.points].points
    addresses = {"path", "element", "node", "table", "address", "bit", "metric"}
    named = [p.model_dump_json(include=addresses).replace("{device}", device.id) for p in points]
    connection = device.connection.model_dump_json().replace("{device}", device.id)
    return "\n".join([connection, *sorted(named)])


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
    """Points of different machines that share most runs of twelve values, at whatever moments the values came."""
    rows = [("、".join(group), str(values)) for group, values in copied_streams(readings)]
    why = "抽查的小时里数值序列相同，或错开时间后相同 (the same sequence of values on several machines)"
    return finding("identical_streams", "几台设备的数据为什么一模一样？", why, ("测点", "读数"), rows)


def _perfect_grid(inputs: Inputs, readings: pl.DataFrame) -> list[Finding]:
    """Machines of whose own steps 95 % are whole multiples of one interval of whole seconds, at least 60 of them.

    Steps that hit it within a millisecond count when the stamps also stand on whole seconds: nothing that runs by itself does both.
    """
    if inputs.revision is None:
        return []
    stamps = (
        readings.filter(pl.col("device").is_in(_stamping(inputs.register.devices)))
        .select("device", "source_us")
        .unique()
        .sort("device", "source_us")
        .with_columns(pl.col("source_us").diff().over("device").alias("step"))
        .filter(pl.col("step") < SESSION_US)
        .with_columns(((pl.col("step") + SECOND_US // 2) // SECOND_US * SECOND_US).alias("whole"))
    )
    usual = pl.col("whole").mode().min().over("device").alias("usual")
    off = (pl.col("step") - (pl.col("step") + pl.col("usual") // 2) // pl.col("usual") * pl.col("usual")).abs()
    phase = pl.min_horizontal(pl.col("source_us") % SECOND_US, SECOND_US - pl.col("source_us") % SECOND_US)
    hit = (pl.col("step") > 0) & ((off == 0) | ((off <= 2 * TOLERANCE_US) & (phase <= TOLERANCE_US)))
    steps = (
        stamps.with_columns(usual)
        .filter(pl.col("usual") > 0)
        .group_by("device", maintain_order=True)
        .agg(pl.len().alias("n"), pl.col("usual").first(), hit.sum().alias("on"))
        .filter((pl.col("n") >= LEAST_STAMPS) & (20 * pl.col("on") >= 19 * pl.col("n")))
    )
    rows = [(device, f"{on}/{n}", f"{usual_us // SECOND_US} 秒") for device, n, usual_us, on in steps.rows()]
    why = "设备自带的时间戳落在整秒的整齐间隔上，几乎没有偏差 (own stamps on a perfect grid)"
    return finding("perfect_grid", "时间戳是设备产生的吗？", why, ("设备", "合格间隔/间隔", "间隔"), rows)


def _stamping(devices: Iterable[Device]) -> list[str]:
    """Machines that stamp their values themselves."""
    return [d.id for d in devices if d.connection is not None and d.connection.protocol in OWN_STAMPS]
