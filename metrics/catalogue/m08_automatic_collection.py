"""M08 数据自动采集率 = items of the data dictionary that arrive automatically / all its items.

Numerator: source point: coverage >= 90/100 of the obligated minutes of 30 days and 7 obligated days, of the point where it is a key
parameter, else of its device; scan, system: a row of the named records in the 30 days (of the item's line); manual: never.
Denominator and members: items of the register of T, those of one point once. Excluded minutes: as M01.
Undetermined: no register, no dictionary.
Source: GB/T 37393-2019 §6.1 90%的数据可自动采集 (GS25 第十七条(五)); catalogue §4.1 M08: 扫码 is automatic, 手工录入 is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from config.plan import Item
from config.points import Point
from config.register import Register
from metrics.inputs import Inputs, in_service_at_end
from metrics.machines.fields import place_pairs
from metrics.machines.minutes import FULL, Masks, by_day, count
from metrics.machines.networked import COVERAGE_PERCENT, MIN_DAYS, reaches
from metrics.members import ratio_of_members, without_register
from metrics.office.arrivals import rows_of
from metrics.result import Member, MetricResult, Pair
from metrics.window import hours_of

Coverages = dict[tuple[str, str | None], "_Coverage"]  # by device and key parameter; None: the device itself
NO_DICTIONARY = "台账没有数据项表 item，无从计算 (the register has no data dictionary)"


def automatic_collection(inputs: Inputs) -> list[MetricResult]:
    """M08 数据自动采集率 over the plant."""
    window = inputs.thirty_days
    if inputs.revision is None:
        return [without_register("M08", "plant", window, inputs)]
    items = _distinct(inputs.register)
    once = {x.id for x in items}
    again = [x.id for x in inputs.register.items if x.id not in once]
    coverages = _coverages(inputs, items)
    members = tuple(
        _point_member(inputs, x, coverages) if x.source == "point" else _row_member(inputs, x) for x in items
    )
    return [
        ratio_of_members(
            "M08",
            "plant",
            window,
            inputs,
            members,
            declared=sum(x.source != "manual" for x in items),
            exclusions=(
                *((name, "同一测点已列过，只算一次 (a point listed twice counts once)") for name in again),
                *inputs.excuses_of(frozenset(x.device for x in items if x.device), window),
            ),
            parameters=(
                ("coverage_min_percent", COVERAGE_PERCENT),
                ("min_obligated_days", MIN_DAYS),
                *inputs.denominators(window, lambda r, _: len(_distinct(r))),
            ),
            notes=() if items else (NO_DICTIONARY,),
        )
    ]


def _distinct(register: Register) -> list[Item]:
    """Items of the dictionary; of several that name one point the first, so that a list is not lengthened with what works."""
    first: dict[tuple[str | None, ...], Item] = {}
    for item in register.items:
        key = (item.device, item.point) if item.source == "point" else (item.id,)
        first.setdefault(key, item)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class _Coverage:
    """(covered, obligated) minutes of lower, value, upper; obligated days of lower and value."""

    lower: tuple[int, int]
    value: tuple[int, int]
    upper: tuple[int, int]
    days: int
    value_days: int


def _point_member(inputs: Inputs, item: Item, coverages: Coverages) -> Member:
    register = inputs.register
    device = register.device.get(item.device or "")
    if device is None or not in_service_at_end(register, device.id, inputs.end_us):
        return Member(item.id, item.name, False, False, False, "device_not_in_service", (("source", item.source),))
    point = _point(inputs, item)
    if point is None:
        return Member(item.id, item.name, False, False, False, "no_point", (("source", item.source),))
    found = coverages[device.id, point.name if point.key_parameter else None]
    configured = device.connection is not None
    lower = configured and found.days >= MIN_DAYS and reaches(found.lower, COVERAGE_PERCENT)
    value = lower or (configured and found.value_days >= MIN_DAYS and reaches(found.value, COVERAGE_PERCENT))
    upper = value or (configured and (found.upper[1] == 0 or reaches(found.upper, COVERAGE_PERCENT)))
    reasons = (
        ("not_configured", not configured),
        ("no_obligation", found.lower[1] == 0),
        ("pending", found.days < MIN_DAYS),
        ("coverage", not lower),
    )
    facts: tuple[Pair, ...] = (
        ("source", item.source),
        ("device", device.id),
        ("point", point.name),
        ("covered_min", found.lower[0]),
        ("obligated_min", found.lower[1]),
        ("value_covered_min", found.value[0]),
        ("value_obligated_min", found.value[1]),
        ("upper_covered_min", found.upper[0]),
    )
    return Member(item.id, item.name, lower, value, upper, next((c for c, holds in reasons if holds), "ok"), facts)


def _row_member(inputs: Inputs, item: Item) -> Member:
    """Scanned and system items: rows are either there, or not at hand (which the upper grants); typed ones never count."""
    if item.source == "manual":
        return Member(item.id, item.name, False, False, False, "typed_in", (("source", item.source),))
    rows = rows_of(inputs, item.records, item.line, inputs.thirty_days)
    facts: tuple[Pair, ...] = (("source", item.source), ("records", item.records), ("rows", rows))
    return Member(item.id, item.name, rows > 0, rows > 0, True, "ok" if rows else "no_rows", facts)


def _point(inputs: Inputs, item: Item) -> Point | None:
    register = inputs.register
    points = register.point_set.get(register.device[item.device or ""].points or "")
    return next((p for p in points.points if p.name == item.point), None) if points else None


def _coverages(inputs: Inputs, items: list[Item]) -> Coverages:
    """Of each point of the dictionary that the register of T knows; points that are not key parameters share their device's."""
    known = [x for x in items if x.source == "point" and x.device in inputs.register.device]
    points = [(x.device, point) for x in known for point in [_point(inputs, x)] if point is not None]
    wanted = list(dict.fromkeys((device or "", p.name if p.key_parameter else None) for device, p in points))
    part = inputs.minutes.part(inputs.thirty_days, [device for device, _ in wanted])
    covered, unseen = part.covered, part.unseen
    keyed = [
        row for row, (_, name) in enumerate(wanted) if name is not None
    ]  # have P lines; an hour without one is unseen
    first, end = hours_of(inputs.thirty_days)
    places, pair = place_pairs(
        inputs.lines.parameter, [(d, name) for d, name in wanted if name is not None], first, end
    )
    lines = inputs.lines.parameter.select("hour", "covered")[places]
    at = (np.array(keyed, np.int64)[pair], (lines["hour"] - first).to_numpy())
    watched = unseen[at]
    covered[keyed], unseen[keyed] = 0, FULL
    covered[at], unseen[at] = lines["covered"].cast(pl.UInt64).to_numpy(), watched
    seen = covered | part.late
    left = part.owed & ~(unseen & ~seen)
    sums = [_minutes(x) for x in (covered & part.owed, seen & part.owed, part.owed, left)]
    days = [((by_day(count(x)) > 0).sum(axis=1)).tolist() for x in (part.owed, left)]
    return {
        key: _Coverage((timely, owed), (credited, rest), (credited + owed - rest, owed), *day)
        for key, timely, credited, owed, rest, day in zip(wanted, *sums, zip(*days, strict=True), strict=True)
    }


def _minutes(masks: Masks) -> list[int]:
    found: list[int] = count(masks).sum(axis=1).tolist()
    return found
