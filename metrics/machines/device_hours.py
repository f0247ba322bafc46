"""台时: the minutes of one device, day by day, down to the sealed hours they come from.

In: `Inputs`, a device, a window. Out: `DeviceDay`s. docs/metrics.md §0: owed, covered, late and unseen are counted in the bits of the
hour lines; the name of an hour is that of its seal. Hours without a line say so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from metrics.inputs import Inputs
from metrics.machines.minutes import count
from metrics.result import Window
from metrics.window import DAY_US, HOUR_US, days_of, hour_text, hours_of, midnight_us


@dataclass(frozen=True, slots=True)
class DeviceHour:
    """One hour of one device. sealed: a line of it stands in a sealed hour."""

    hour: int
    owed: int
    covered: int
    late: int
    unseen: int
    cause: str
    sealed: bool

    @property
    def name(self) -> str:
        """As the seal names it: `2026-11-22T03Z`."""
        return hour_text(self.hour)

    @property
    def full(self) -> bool:
        """Every minute that was owed was covered in time."""
        return self.covered >= self.owed


@dataclass(frozen=True, slots=True)
class DeviceDay:
    """A plant day: sums over its hours, and the cause with most minutes missing."""

    day: date
    hours: tuple[DeviceHour, ...]

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """(owed, covered, late, unseen) minutes."""
        owed, covered, late, unseen = (
            sum(getattr(h, k) for h in self.hours) for k in ("owed", "covered", "late", "unseen")
        )
        return owed, covered, late, unseen

    @property
    def cause(self) -> str:
        """Of the minutes that were owed and not covered."""
        lost: Counter[str] = Counter()
        for hour in self.hours:
            if hour.cause and not hour.full:
                lost[hour.cause] += hour.owed - hour.covered
        return min(lost, key=lambda c: (-lost[c], c)) if lost else ""


def device_days_of(inputs: Inputs, device: str, window: Window) -> list[DeviceDay]:
    """The device's days in the window, ascending; empty for a device that is not in the register of T."""
    if device not in inputs.minutes.devices:
        return []
    reading = inputs.reading
    window = Window(max(window.start_us, reading.start_us), min(window.end_us, reading.end_us))
    part = inputs.minutes.part(window, [device])
    counted = [count(m)[0] for m in (part.owed, part.covered & part.owed, part.late & part.owed & ~part.covered)]
    unseen = count(part.unseen & part.owed & ~part.seen)[0]
    causes = _causes(inputs, device, window)
    hours = []
    for i in range(len(unseen)):
        hour = part.first_hour + i
        owed, covered, late = (int(c[i]) for c in counted)
        hours.append(DeviceHour(hour, owed, covered, late, int(unseen[i]), causes.get(hour, ""), hour in causes))
    found = []
    for day in days_of(window, inputs.tz):
        start = midnight_us(day, inputs.tz)
        mine = tuple(h for h in hours if start <= h.hour * HOUR_US < start + DAY_US)
        found.append(DeviceDay(day, mine))
    return found


def _causes(inputs: Inputs, device: str, window: Window) -> dict[int, str]:
    first, end = hours_of(window)
    lines: Any = inputs.lines.device.filter(
        (pl.col("device") == device) & pl.col("hour").is_between(first, end - 1)
    ).select("hour", "cause")
    return dict(lines.iter_rows())
