"""Minute masks: which minutes each device owed, which were covered, late, unseen. docs/metrics.md §0 in arrays.

In: `Inputs`. Out: `Minutes`: one uint64 per device and hour, minute 0 in the highest of 60 bits (docs/format/hour-lines.md).
Rows of the arrays are devices of the register of T in its order, columns are UTC hours. Everything after is counting bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from config.register import Calendar, Device, Register
from metrics.fields import Counts, Fields, place_lines
from metrics.inputs import HourFrames, Inputs
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
        """The same for some devices and the hours of a window."""
        first, end = hours_of(window)
        columns = slice(first - self.first_hour, end - self.first_hour)
        names = list(self.devices) if devices is None else devices
        position = {name: i for i, name in enumerate(self.devices)}
        rows = np.array([position[name] for name in names], np.int64)
        masks = [a[rows][:, columns] for a in (self.owed, self.covered, self.late, self.unseen)]
        return Minutes(tuple(names), first, self.in_service[rows][:, columns], *masks)

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


def by_day(values: Counts) -> Counts:
    """[device, hour] -> [device, day]: sums of 24 hours; windows begin at local midnight."""
    return np.asarray(values.reshape(values.shape[0], values.shape[1] // 24, 24).sum(axis=2), np.int64)


def silent_minutes(covered: Masks, owed: Masks) -> Counts:
    """Per device: obligated minutes after its last covered minute, all of them when there is none."""
    out = np.zeros(len(covered), np.int64)
    for i, row in enumerate(covered):
        hours = np.flatnonzero(row)
        if len(hours) == 0:
            out[i] = count(owed[i]).sum()
            continue
        last = int(hours[-1])
        mask = int(row[last])
        lowest = mask & -mask
        out[i] = (int(owed[i, last]) & (lowest - 1)).bit_count() + int(count(owed[i, last + 1 :]).sum())
    return out


def field(inputs: Inputs, part: Minutes, column: str) -> Counts:
    """One integer column of D lines for the devices and hours of a part; `ABSENT` where there is no line or no value."""
    return inputs.fields.part(column, part.devices, part.first_hour, part.owed.shape[1])


def build_minutes(inputs: Inputs) -> Minutes:
    """All masks over `inputs.reading` for every device of the register of T."""
    return _masks_of(inputs, inputs.fields, inputs.lines)


def extend_minutes(known: Minutes, inputs: Inputs, new: HourFrames, first_hour: int, hours: int) -> Minutes:
    """`known` with the lines of hours that had none before: their columns anew, and what the new lines credit to earlier hours."""
    part = _masks_of(inputs, place_lines(new.device, known.devices, first_hour, hours), new)
    columns = slice(first_hour - known.first_hour, first_hour - known.first_hour + hours)
    late = known.late | _late(new, known.devices, known.first_hour, known.late.shape[1])
    pairs = [(known.owed, part.owed), (known.covered, part.covered), (late, part.late), (known.unseen, part.unseen)]
    owed, covered, late, unseen = (_with_columns(whole, columns, anew) for whole, anew in pairs)
    in_service = known.in_service.copy()
    in_service[:, columns] = part.in_service
    return Minutes(known.devices, known.first_hour, in_service, owed, covered, late, unseen)


def _with_columns(whole: Masks, columns: slice, anew: Masks) -> Masks:
    out = whole.copy()
    out[:, columns] = anew
    return out


def _masks_of(inputs: Inputs, fields: Fields, lines: HourFrames) -> Minutes:
    """The masks over the hours of `fields`; `lines` for the late ones among them."""
    devices, first, shape = fields.devices, fields.first_hour, (len(fields.devices), fields.hours)
    covered, present = np.zeros(shape, np.uint64), np.zeros(shape, np.bool_)
    covered[fields.rows, fields.columns] = fields.lines["covered"].cast(pl.UInt64).to_numpy()
    present[fields.rows, fields.columns] = True
    down = np.zeros(shape[1], np.uint64)
    for from_us, to_us in inputs.down:
        down |= _span(from_us // MINUTE_US, to_us // MINUTE_US, first, shape[1])
    in_service, owed = _obligation(inputs, devices, first, shape[1])
    unseen = np.where(present, down[np.newaxis, :], np.uint64(FULL))
    return Minutes(devices, first, in_service, owed, covered, _late(lines, devices, first, shape[1]), unseen)


def hours_not_live(device: pl.DataFrame) -> frozenset[int]:
    """Hours of which some D line has an origin other than live."""
    return frozenset(device.filter(pl.col("origin") != "live")["hour"].unique().to_list())


def _late(lines: HourFrames, devices: tuple[str, ...], first: int, hours: int) -> Masks:
    out = np.zeros((len(devices), hours), np.uint64)
    timely = lines.late.filter(
        (pl.col("hour") < first + hours) & (pl.col("hour") - pl.col("source_hour") <= LATE_HOURS)
    ).select("device", pl.col("source_hour").alias("hour"), "minutes")
    placed = place_lines(timely, devices, first, hours)
    np.bitwise_or.at(out, (placed.rows, placed.columns), placed.lines["minutes"].cast(pl.UInt64).to_numpy())
    return out


def _obligation(inputs: Inputs, devices: tuple[str, ...], first: int, hours: int) -> tuple[NDArray[np.bool_], Masks]:
    """In service, and the obligated minutes: service, shifts of the hour's revision, excusing intervals that count."""
    register = inputs.register
    index = np.arange(first, first + hours)
    in_service = np.zeros((len(devices), hours), np.bool_)
    shifts = np.zeros(hours, np.uint64)
    for i, device_id in enumerate(devices):
        in_service[i] = _service(register, register.device[device_id], index)
    for then, chosen in _registers_of_hours(inputs, first, hours):
        shifts[chosen] = _shift_masks(then.calendar, index[chosen])
        for i, device_id in enumerate(devices):
            if device_id in then.device:
                in_service[i, chosen] |= _service(then, then.device[device_id], index[chosen])
    owed = np.where(in_service, shifts[np.newaxis, :], np.uint64(0))
    for excuse in inputs.excusing:
        if excuse.counts:
            span = _span(-(-excuse.from_us // MINUTE_US), -(-excuse.to_us // MINUTE_US), first, hours)
            rows = [i for i, device_id in enumerate(devices) if device_id in excuse.devices]
            owed[rows] &= ~span
    return in_service, owed


def _registers_of_hours(inputs: Inputs, first: int, hours: int) -> list[tuple[Register, NDArray[np.int64]]]:
    """Each register and the columns of the hours it was in force in (docs/metrics.md §0, revision of an hour)."""
    by_rev = {r.rev: r for r in inputs.revisions if r.effective_us < inputs.end_us}
    sealed = np.zeros(hours, np.int64)
    lines = inputs.lines.device.select("hour", "register_rev").filter(
        pl.col("hour").is_between(first, first + hours - 1)
    )
    np.maximum.at(sealed, (lines["hour"] - first).to_numpy(), lines["register_rev"].fill_null(0).to_numpy())
    chosen: dict[int, list[int]] = {}
    for column in range(hours):
        hour = first + column
        rev = int(sealed[column])
        if rev not in by_rev:
            in_force = inputs.revision_before((hour + 1) * HOUR_US)
            rev = in_force.rev if in_force else min(by_rev)
        chosen.setdefault(rev, []).append(column)
    return [(by_rev[rev].register, np.array(columns, np.int64)) for rev, columns in chosen.items()]


def _service(register: Register, device: Device, hours: NDArray[np.int64]) -> NDArray[np.bool_]:
    start_us, end_us = register.in_service_us(device)
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
