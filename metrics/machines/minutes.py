"""Minute masks: which minutes each device owed, which were covered, late, unseen. docs/metrics.md §0 in arrays.

In: `Inputs`. Out: `Minutes`: one uint64 per device and hour, minute 0 in the highest of 60 bits (docs/format/hour-lines.md).
Rows of the arrays are devices of the register of T in its order, columns are UTC hours. Everything after is counting bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from config.register import Calendar
from metrics.inputs import HourFrames, Inputs, Revision
from metrics.machines.fields import Counts, Fields, place, place_lines
from metrics.result import Window
from metrics.window import HOUR_US, hours_of

Masks = NDArray[np.uint64]

FULL = (1 << 60) - 1
MINUTE_US = 60_000_000
LATE_HOURS = 168  # backfill counts up to 7 days (catalogue §4.0)


@dataclass(frozen=True, slots=True, eq=False)
class Minutes:
    """Arrays [device, hour]. `unseen`: minutes nobody watched. `owed`: obligated."""

    devices: tuple[str, ...]
    first_hour: int
    in_service: NDArray[np.bool_]
    owed: Masks
    covered: Masks
    late: Masks
    unseen: Masks

    def part(self, window: Window, devices: list[str] | None = None) -> Minutes:
        """The same for some devices and the hours of a window: views of these arrays where it can be."""
        first, end = hours_of(window)
        columns = slice(first - self.first_hour, end - self.first_hour)
        names = self.devices if devices is None else tuple(devices)
        masks = [a[:, columns] for a in (self.owed, self.covered, self.late, self.unseen)]
        in_service = self.in_service[:, columns]
        if names != self.devices:
            position = {name: i for i, name in enumerate(self.devices)}
            rows = np.array([position[name] for name in names], np.int64)
            masks, in_service = [a[rows] for a in masks], in_service[rows]
        return Minutes(names, first, in_service, *masks)

    @property
    def seen(self) -> Masks:
        """Covered, or credited by late lines."""
        return self.covered | self.late

    @property
    def owed_seen(self) -> Masks:
        """Obligation of the value: without the uncovered minutes nobody watched."""
        return self.owed & ~(self.unseen & ~self.seen)


def count(masks: Masks) -> Counts:
    """Set bits of each element."""
    return np.bitwise_count(masks).astype(np.int64)


def total(masks: Masks) -> Counts:
    """Set bits of each device."""
    return np.asarray(np.bitwise_count(masks).sum(axis=1, dtype=np.int64))


def daily(masks: Masks) -> Counts:
    """[device, hour] -> [device, day]: set bits."""
    return by_day(np.bitwise_count(masks))


def by_day(values: NDArray[np.integer | np.bool_]) -> Counts:
    """[device, hour] -> [device, day]: sums of 24 hours; windows begin at local midnight."""
    return np.asarray(values.reshape(values.shape[0], values.shape[1] // 24, 24).sum(axis=2, dtype=np.int64))


def silent_minutes(covered: Masks, owed: Masks) -> Counts:
    """Per device: obligated minutes after its last covered minute, all of them when there is none."""
    any_covered = covered != 0
    hours = covered.shape[1]
    last = np.where(any_covered.any(axis=1), hours - 1 - np.argmax(any_covered[:, ::-1], axis=1), -1)
    after = np.where(np.arange(hours)[np.newaxis, :] > last[:, np.newaxis], np.bitwise_count(owed), 0)
    rows = np.arange(len(covered))
    mask = covered[rows, last]
    below = (mask & (~mask + np.uint64(1))) - np.uint64(1)  # the minutes after the last one: bits below the lowest set
    rest = np.where(last >= 0, np.bitwise_count(owed[rows, last] & below), 0)
    return np.asarray(after.sum(axis=1, dtype=np.int64) + rest, np.int64)


def field(inputs: Inputs, part: Minutes, column: str) -> Counts:
    """One integer column of D lines for the devices and hours of a part; `ABSENT` where there is no line or no value."""
    return inputs.fields.part(column, part.devices, part.first_hour, part.owed.shape[1])


def build_minutes(inputs: Inputs) -> Minutes:
    """All masks over `inputs.reading` for every device of the register of T."""
    return _masks_of(inputs, inputs.fields, inputs.lines)


def extend_minutes(known: Minutes, inputs: Inputs, new: HourFrames, first_hour: int, hours: int) -> Minutes:
    """`known` with the lines of hours that had none before: their columns anew, and what the new lines credit to earlier hours.

    Its arrays are taken over and written to (copies of them would be most of the time): `known` is spent.
    """
    part = _masks_of(inputs, place_lines(new.device, known.devices, first_hour, hours), new)
    columns = slice(first_hour - known.first_hour, first_hour - known.first_hour + hours)
    known.owed[:, columns], known.covered[:, columns], known.unseen[:, columns] = part.owed, part.covered, part.unseen
    known.in_service[:, columns] = part.in_service
    _credit(known.late, new, known.devices, known.first_hour)
    return known


def _masks_of(inputs: Inputs, fields: Fields, lines: HourFrames) -> Minutes:
    """The masks over the hours of `fields`; `lines` for the late ones among them."""
    devices, first, shape = fields.devices, fields.first_hour, (len(fields.devices), fields.hours)
    covered, present = np.zeros(shape, np.uint64), np.zeros(shape, np.bool_)
    for placed in fields.placed:
        covered[placed.rows, placed.columns] = placed.lines["covered"].cast(pl.UInt64).to_numpy()
        present[placed.rows, placed.columns] = True
    down = np.zeros(shape[1], np.uint64)
    for from_us, to_us in inputs.down:
        down |= _span(from_us // MINUTE_US, to_us // MINUTE_US, first, shape[1])
    in_service, owed = _obligation(inputs, lines, devices, first, shape[1])
    late = np.zeros(shape, np.uint64)
    _credit(late, lines, devices, first)
    unseen = np.where(present, down[np.newaxis, :], np.uint64(FULL))
    return Minutes(devices, first, in_service, owed, covered, late, unseen)


def hours_not_live(device: pl.DataFrame) -> frozenset[int]:
    """Hours of which some D line has an origin other than live."""
    return frozenset(device.filter(pl.col("origin") != "live")["hour"].unique().to_list())


def _credit(late: Masks, lines: HourFrames, devices: tuple[str, ...], first: int) -> None:
    """Set the minutes that late lines bring, in the hours they are of."""
    hours = late.shape[1]
    timely = lines.late.filter(
        (pl.col("hour") < first + hours) & (pl.col("hour") - pl.col("source_hour") <= LATE_HOURS)
    ).select("device", pl.col("source_hour").alias("hour"), "minutes")
    placed = place(timely, devices, first, hours)
    np.bitwise_or.at(late, (placed.rows, placed.columns), placed.lines["minutes"].cast(pl.UInt64).to_numpy())


def _obligation(
    inputs: Inputs, lines: HourFrames, devices: tuple[str, ...], first: int, hours: int
) -> tuple[NDArray[np.bool_], Masks]:
    """In service, and the obligated minutes: service, shifts of the hour's revision, excusing intervals that count."""
    of_now = inputs.service_us(inputs.in_force)
    index = np.arange(first, first + hours)
    in_service = np.zeros((len(devices), hours), np.bool_)
    shifts = np.zeros(hours, np.uint64)
    for i, device_id in enumerate(devices):
        in_service[i] = _service(of_now[device_id], index)
    for then, chosen in _revisions_of_hours(inputs, lines, first, hours):
        shifts[chosen] = _shift_masks(then.register.calendar, index[chosen])
        served = inputs.service_us(then)
        for i, device_id in enumerate(devices):
            if device_id in served:
                in_service[i, chosen] |= _service(served[device_id], index[chosen])
    owed = np.where(in_service, shifts[np.newaxis, :], np.uint64(0))
    for excuse in inputs.excusing:
        if excuse.counts:
            span = _span(-(-excuse.from_us // MINUTE_US), -(-excuse.to_us // MINUTE_US), first, hours)
            rows = [i for i, device_id in enumerate(devices) if device_id in excuse.devices]
            owed[rows] &= ~span
    return in_service, owed


def _revisions_of_hours(
    inputs: Inputs, lines: HourFrames, first: int, hours: int
) -> list[tuple[Revision, NDArray[np.int64]]]:
    """Each revision and the columns of the hours it was in force in (docs/metrics.md §0, revision of an hour)."""
    by_rev = {r.rev: r for r in inputs.revisions if r.effective_us < inputs.end_us}
    sealed = np.zeros(hours, np.int64)
    known = lines.device.select("hour", "register_rev").filter(pl.col("hour").is_between(first, first + hours - 1))
    np.maximum.at(sealed, (known["hour"] - first).to_numpy(), known["register_rev"].fill_null(0).to_numpy())
    chosen: dict[int, list[int]] = {}
    for column in range(hours):
        hour = first + column
        rev = int(sealed[column])
        if rev not in by_rev:
            in_force = inputs.revision_before((hour + 1) * HOUR_US)
            rev = in_force.rev if in_force else min(by_rev)
        chosen.setdefault(rev, []).append(column)
    return [(by_rev[rev], np.array(columns, np.int64)) for rev, columns in chosen.items()]


def _service(service_us: tuple[int, int], hours: NDArray[np.int64]) -> NDArray[np.bool_]:
    start_us, end_us = service_us
    return np.asarray((hours >= start_us // HOUR_US) & (hours < -(-end_us // HOUR_US)))


def _shift_masks(calendar: Calendar, hours: NDArray[np.int64]) -> Masks:
    """Minutes of each hour inside a shift; all of them without shifts."""
    if not calendar.shifts:
        return np.full(len(hours), FULL, np.uint64)
    day = np.zeros(24 * 60, np.bool_)
    for shift in calendar.shifts:
        start, end = (int(t[:2]) * 60 + int(t[3:]) for t in (shift.start, shift.end))
        if start < end:
            day[start:end] = True
        else:
            day[start:] = True
            day[:end] = True
    masks = [sum(1 << (59 - m) for m in range(60) if day[h * 60 + m]) for h in range(24)]
    offset = int(calendar.utc_offset[:3])
    return np.array(masks, np.uint64)[(hours + offset) % 24]


def _span(from_minute: int, to_minute: int, first: int, hours: int) -> Masks:
    """Masks over `hours` hours with the minutes [from, to) since 1970 set."""
    out = np.zeros(hours, np.uint64)
    start, end = max(from_minute, first * 60), min(to_minute, (first + hours) * 60)
    if start >= end:
        return out
    head, tail = start // 60 - first, (end - 1) // 60 - first
    out[head : tail + 1] = FULL
    out[head] &= np.uint64(FULL >> (start % 60))
    out[tail] &= np.uint64(FULL & ~(FULL >> ((end - 1) % 60 + 1)))
    return out
