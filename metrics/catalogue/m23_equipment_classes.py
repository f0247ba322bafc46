"""M23 关键技术装备互联 = classes of key equipment with a networked device that exchanges data / the 4 classes.

Numerator: lower = the class has a device that is networked as in M01 (lower) and that an operation, a dispatch over the network or an
automatic inspection of the 30 days names; value = has a networked device; upper = has one that may be networked or has a connection.
Denominator and members: the four classes of `Device.equipment_class`, devices in service at T, `production` or not.
Exclusions: minutes as M01. Undetermined: no register, or a register that puts no device in a class.
Source: GS25 第十二条(四)3 …等关键技术装备在生产管控中的互联互通; catalogue §4.1 M23 (4/4).
"""

from __future__ import annotations

import polars as pl

from metrics.inputs import Inputs, in_service_at_end
from metrics.machines.networked import COVERAGE_PERCENT, contacts
from metrics.members import ratio_of_members, without_register
from metrics.result import Member, MetricResult, Pair, Window

# names as GS25 第十二条(四)3 writes them
CLASSES: dict[str, str] = {
    "nc_robot": "高档数控机床与工业机器人",
    "sensing_control": "智能传感与控制设备",
    "inspection_assembly": "智能检测与装配装备",
    "logistics_storage": "智能物流与仓储装备",
}
NO_CLASS = "台账没有给任何设备填关键技术装备类别 (no device has equipment_class)"


def equipment_classes(inputs: Inputs) -> list[MetricResult]:
    """M23 关键技术装备互联 over the plant; members are the four classes."""
    window = inputs.thirty_days
    if inputs.revision is None:
        return [without_register("M23", "plant", window, inputs)]
    register = inputs.register
    devices = [d for d in register.devices if d.equipment_class and in_service_at_end(register, d.id, inputs.end_us)]
    named = _exchanging(inputs, window)
    found: dict[str, list[tuple[str, tuple[bool, bool, bool], str]]] = {name: [] for name in CLASSES}
    for contact in contacts(inputs, devices):
        lower, value, upper = contact.flags(COVERAGE_PERCENT)
        exchanged = contact.device.id in named
        why = "ok" if lower and exchanged else "no_production_record" if lower else contact.why()
        flags = (lower and exchanged, value, upper or contact.device.connection is not None)
        found[str(contact.device.equipment_class)].append((contact.device.id, flags, why))
    return [
        ratio_of_members(
            "M23",
            "plant",
            window,
            inputs,
            tuple(_member(name, rows) for name, rows in found.items()),
            declared=sum(bool(rows) for rows in found.values()),
            exclusions=inputs.excuses_of(frozenset(d.id for d in devices), window),
            parameters=(("coverage_min_percent", COVERAGE_PERCENT), ("exchanging_devices", len(named))),
            notes=() if devices else (NO_CLASS,),
            status="ok" if devices else "insufficient_data",
        )
    ]


def _member(name: str, rows: list[tuple[str, tuple[bool, bool, bool], str]]) -> Member:
    lower, value, upper = (any(flags[i] for _, flags, _ in rows) for i in range(3))
    value, upper = value or lower, upper or value or lower
    reasons = [why for _, _, why in rows]
    why = (
        "class_empty"
        if not rows
        else "ok"
        if lower
        else "no_production_record"
        if "no_production_record" in reasons
        else reasons[0]
    )
    facts: tuple[Pair, ...] = (
        ("devices", len(rows)),
        ("counted", ",".join(i for i, flags, _ in rows if flags[0])),
        ("networked", ",".join(i for i, flags, _ in rows if flags[1])),
        ("reasons", ",".join(f"{i}:{reason}" for i, flags, reason in rows if not flags[0])),
    )
    return Member(name, CLASSES[name], lower, value, upper, why, facts)


def _exchanging(inputs: Inputs, window: Window) -> frozenset[str]:
    """Devices that an operation, a network dispatch or an automatic inspection of the window names."""
    if inputs.records is None:
        return frozenset()
    wanted = (
        ("operations", "start", pl.lit(True)),
        ("dispatches", "at", pl.col("method") == "network"),
        ("inspections", "at", pl.col("automatic")),
    )
    found: set[str] = set()
    for kind, at, chosen in wanted:
        within = (pl.col(at) >= window.start_us) & (pl.col(at) < window.end_us)
        found |= set(inputs.records.frame(kind).filter(within & chosen)["device_id"].to_list())
    return frozenset(found - {""})
