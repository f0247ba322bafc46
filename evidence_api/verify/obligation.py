"""What a device owed, gave and could have given, minute by minute: docs/metrics.md §0, in plain integers.

In: `Evidence` and the moment of evaluation. Out: `Obligation`: T, the revision of T, and per device and hour the masks
o (obligated), c (covered), l (late), u (unseen); `Counts` sums them over hours. 60 bits per hour, minute 0 the highest.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import NamedTuple

from evidence_api.verify.evidence import DAY_US, HOUR_US, MINUTE_US, Closure, Device, Evidence, Register, to_us
from evidence_api.verify.lines import ALL_MINUTES

ENTERED_WITHIN_US = 72 * HOUR_US
LATE_HOURS = 168


class Masks(NamedTuple):
    """One device-hour."""

    owed: int
    covered: int
    late: int
    unseen: int


@dataclass(slots=True)
class Counts:
    """`C1`, `O`, `C2`, `K` of docs/metrics.md §0."""

    covered: int = 0
    owed: int = 0
    with_late: int = 0
    unwatched: int = 0

    def add(self, m: Masks) -> None:
        """Take in one device-hour."""
        seen = m.covered | m.late
        self.covered += (m.covered & m.owed).bit_count()
        self.owed += m.owed.bit_count()
        self.with_late += (seen & m.owed).bit_count()
        self.unwatched += (m.unseen & m.owed & ~seen).bit_count()


class Obligation:
    """Everything that depends on T; made once per evaluation."""

    def __init__(self, evidence: Evidence, at_us: int) -> None:
        self.evidence = evidence
        self.tz = next((r.tz for r in reversed(evidence.registers) if r.effective_us < at_us), evidence.registers[0].tz)
        self.day = datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(self.tz).date().isoformat()
        self.end_us = _midnight(date.fromisoformat(self.day), self.tz)
        self.registers = [r for r in evidence.registers if r.effective_us < self.end_us]
        self.by_rev = {r.rev: r for r in self.registers}
        self._effective = [r.effective_us for r in self.registers]
        self._intervals: dict[str, list[tuple[int, int]]] = {}
        self._masks: dict[tuple[str, int], Masks] = {}

    @property
    def register(self) -> Register | None:
        """The revision of T."""
        return self.registers[-1] if self.registers else None

    def last_days(self, days: int) -> tuple[int, int]:
        """[T - days, T) in µs."""
        return self.end_us - days * DAY_US, self.end_us

    def last_months(self, months: int) -> tuple[int, int]:
        """[T - months, T) in µs, the day clamped to the month's end."""
        day = datetime.fromtimestamp(self.end_us // 1_000_000, UTC).astimezone(self.tz).date()
        return self.months_to(day, months, self.tz)

    @staticmethod
    def months_to(day: date, months: int, tz: timezone) -> tuple[int, int]:
        """[day - months, day) in µs."""
        return _midnight(months_before(day, months), tz), _midnight(day, tz)

    def members(self, register: Register, at_us: int) -> list[Device]:
        """Devices of `register` in service at a moment, by id."""
        return [d for _, d in sorted(register.devices.items()) if d.from_us <= at_us < d.to_us]

    def day_registers(self, window: tuple[int, int]) -> Iterator[tuple[int, Register]]:
        """(last microsecond, revision in force) of each day of the window that has one."""
        for start in range(window[0], window[1], DAY_US):
            last = start + DAY_US - 1
            index = bisect_left(self._effective, last + 1) - 1
            if index >= 0:
                yield last, self.registers[index]

    def hours(self, start_us: int, end_us: int) -> range:
        """UTC hours of a window whose ends are whole hours."""
        return range(start_us // HOUR_US, -(-end_us // HOUR_US))

    def masks(self, device: Device, hour: int) -> Masks:
        """o, c, l, u of a device of the revision of T."""
        key = (device.id, hour)
        found = self._masks.get(key)
        if found is None:
            found = self._masks[key] = self._make(device, hour)
        return found

    def in_service(self, device: Device, hour: int) -> bool:
        """By the revision of T or by the revision of the hour."""
        start = hour * HOUR_US
        if device.from_us <= start < device.to_us:
            return True
        then = self._revision_of(hour).devices.get(device.id)
        return then is not None and then.from_us <= start < then.to_us

    def excusing(self) -> list[tuple[str, str, int, int, bool, frozenset[str] | None]]:
        """(kind, id, from, to, counts, devices) of each closure and exclusion; devices None: all."""
        register = self.registers[-1]
        found: list[tuple[str, str, int, int, bool, frozenset[str] | None]] = []
        for c in register.closures:
            devices = frozenset(d.id for d in register.devices.values() if d.line in c.lines) if c.lines else None
            counts = self._entered(c) <= c.from_us + ENTERED_WITHIN_US
            found.append(("closure", c.id, c.from_us, c.to_us, counts, devices))
        for e in self.evidence.exclusions:
            counts = e.entered_us <= e.from_us + ENTERED_WITHIN_US
            found.append(("exclusion", e.id, e.from_us, e.to_us, counts, e.devices))
        return found

    def _make(self, device: Device, hour: int) -> Masks:
        line = self.evidence.devices.get(device.id, {}).get(hour)
        late = 0
        for arrived, minutes in self.evidence.late.get(device.id, {}).get(hour, ()):
            if arrived * HOUR_US < self.end_us and arrived - hour <= LATE_HOURS:
                late |= minutes
        unseen = ALL_MINUTES if line is None else _down_minutes(self.evidence.down.get(hour, ()))
        return Masks(self._owed(device, hour), line.covered if line else 0, late, unseen)

    def _owed(self, device: Device, hour: int) -> int:
        if not self.in_service(device, hour):
            return 0
        register = self._revision_of(hour)
        offset_h = int(register.tz.utcoffset(None) / timedelta(hours=1))
        owed = register.shift_minutes[(hour + offset_h) % 24]
        for start, end in self._excused(device.id):
            owed &= ~_minutes_between(hour, start, end)
        return owed

    def _excused(self, device: str) -> list[tuple[int, int]]:
        found = self._intervals.get(device)
        if found is None:
            found = self._intervals[device] = [
                (start, end)
                for _, _, start, end, counts, devices in self.excusing()
                if counts and (devices is None or device in devices)
            ]
        return found

    def _revision_of(self, hour: int) -> Register:
        register = self.by_rev.get(self.evidence.hour_rev.get(hour, -1))
        if register is not None:
            return register
        index = bisect_left(self._effective, (hour + 1) * HOUR_US) - 1
        return self.registers[max(index, 0)]

    def _entered(self, closure: Closure) -> int:
        return min(r.effective_us for r in self.registers if any(c.key == closure.key for c in r.closures))


def total(masks: Iterable[Masks]) -> Counts:
    """`Counts` over device-hours."""
    counts = Counts()
    for m in masks:
        counts.add(m)
    return counts


def months_before(day: date, months: int) -> date:
    """Calendar months back, the day clamped to the month's end."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _midnight(day: date, tz: timezone) -> int:
    return to_us(datetime(day.year, day.month, day.day, tzinfo=tz))


def _minutes_between(hour: int, from_us: int, to_us: int) -> int:
    """Minutes of the hour that start in [from, to)."""
    first = max(-(-(from_us - hour * HOUR_US) // MINUTE_US), 0)
    end = min(-(-(to_us - hour * HOUR_US) // MINUTE_US), 60)
    return ((1 << (end - first)) - 1) << (60 - end) if first < end else 0


def _down_minutes(down: Iterable[tuple[int, int]]) -> int:
    """Minutes whose end (seconds of the hour) lies in a down interval, from < end <= to."""
    mask = 0
    for from_s, to_s in down:
        for minute in range(60):
            if from_s < (minute + 1) * 60 <= to_s:
                mask |= 1 << (59 - minute)
    return mask
