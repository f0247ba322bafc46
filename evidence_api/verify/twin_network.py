"""M01 设备联网率, M02 of the digital ones, M03 主要数控设备全部联网 in plain integers: docs/metrics.md, M01.

In: `Obligation`. Out: `Twin`. networked = a connection, 7 obligated days, 90 % of the obligated minutes covered in 30 days,
at most 1440 obligated minutes silent at the end, something changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evidence_api.verify.evidence import DAY_US, Device, Register
from evidence_api.verify.lines import DeviceHour
from evidence_api.verify.obligation import Masks, Obligation, total
from evidence_api.verify.twin_result import Pair, Twin, TwinMember, bounds, empty

WINDOW_DAYS, MIN_DAYS, MAX_SILENT_MIN, COVERAGE_PERCENT = 30, 7, 1440, 90


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one device showed in the window."""

    connected: bool
    covered: Pair  # C1, O
    with_late: Pair  # C2, O - K
    possible: Pair  # C2 + K, O
    days: int
    value_days: int
    silent: int
    value_silent: int
    upper_silent: int
    changed: int
    late: int
    cause: str

    @property
    def facts(self) -> dict[str, int | str]:
        """The integers behind the flags."""
        return {
            "covered_min": self.covered[0],
            "obligated_min": self.covered[1],
            "value_covered_min": self.with_late[0],
            "value_obligated_min": self.with_late[1],
            "upper_covered_min": self.possible[0],
            "obligated_days": self.days,
            "silent_min": self.silent,
            "points_changed": self.changed,
            "configured": int(self.connected),
            "late_min": self.late,
            "cause": self.cause,
        }

    def lower(self, percent: int) -> bool:
        """The strict reading."""
        return self._holds(self.days, self.covered, self.silent, percent)

    def value(self, percent: int) -> bool:
        """As seen, late data included, unwatched minutes left out."""
        return self.lower(percent) or self._holds(self.value_days, self.with_late, self.value_silent, percent)

    @property
    def upper(self) -> bool:
        """What is possible in the plant's favour."""
        if self.value(COVERAGE_PERCENT):
            return True
        if not self.connected or self.possible[1] == 0:
            return self.connected
        unwatched = self.covered[1] - self.with_late[1]
        enough = _covers(self.possible, COVERAGE_PERCENT) and self.upper_silent <= MAX_SILENT_MIN
        return enough and (self.changed >= 1 or unwatched > 0)

    @property
    def why(self) -> str:
        """First condition that fails for the lower."""
        for code, fails in (
            ("not_configured", not self.connected),
            ("no_obligation", self.covered[1] == 0),
            ("pending", self.days < MIN_DAYS),
            ("coverage", not _covers(self.covered, COVERAGE_PERCENT)),
            ("silent", self.silent > MAX_SILENT_MIN),
            ("no_change", self.changed < 1),
        ):
            if fails:
                return code
        return "ok"

    def _holds(self, days: int, covered: Pair, silent: int, percent: int) -> bool:
        reached = self.connected and days >= MIN_DAYS and _covers(covered, percent)
        return reached and silent <= MAX_SILENT_MIN and self.changed >= 1


def networked(obligation: Obligation, metric: str, simulated: bool) -> Twin:
    """M01 (production devices), M02 (digital ones of these) or M03 (major NC devices and machining centres)."""
    window = obligation.last_days(WINDOW_DAYS)
    register = obligation.register
    if register is None:
        return empty(metric, "plant", window, simulated)
    counted = {"M01": _production, "M02": _digital, "M03": _major}[metric]
    devices = [d for d in obligation.members(register, window[1] - 1) if counted(register, d)]
    seen = {d.id: _look(obligation, d, window) for d in devices}
    members = tuple(
        TwinMember(i, s.lower(COVERAGE_PERCENT), s.value(COVERAGE_PERCENT), s.upper, s.why, s.facts)
        for i, s in seen.items()
    )
    lower, value, upper = bounds(members)
    parameters: dict[str, int | str] = dict(denominators(obligation, window, counted))
    for percent in (80, 95):
        parameters[f"lower_at_{percent}"] = sum(s.lower(percent) for s in seen.values())
        parameters[f"value_at_{percent}"] = sum(s.value(percent) for s in seen.values())
    return Twin(
        *(metric, "plant", window, lower, value, upper, (sum(d.connected for d in devices), len(devices)), members),
        *(parameters, "ok" if members else "insufficient_data", simulated),
    )


def denominators(
    obligation: Obligation, window: tuple[int, int], counted: Callable[[Register, Device], bool]
) -> dict[str, int | str]:
    """Smallest, largest and first member count over the days of the window; their sum and how many days: the mean over time."""
    return day_counts(obligation, window, lambda r, last: _count(obligation, r, last, counted))


def day_counts(
    obligation: Obligation, window: tuple[int, int], count: Callable[[Register, int], int]
) -> dict[str, int | str]:
    """The same of anything that a register counts at a moment."""
    counts = [count(r, last) for last, r in obligation.day_registers(window)]
    if not counts:
        return {}
    return {
        "denominator_min": min(counts),
        "denominator_max": max(counts),
        "denominator_start": counts[0],
        "denominator_sum": sum(counts),
        "denominator_days": len(counts),
    }


def by_line_and_plant(
    obligation: Obligation,
    metric: str,
    window: tuple[int, int],
    simulated: bool,
    scope: Callable[[Register, str, frozenset[str]], Twin],
) -> list[Twin]:
    """`scope(register, name, lines)` per representative line, then over all lines."""
    register = obligation.register
    if register is None:
        return [empty(metric, name, window, simulated) for name in ("line:-", "plant")]
    every = frozenset(line["id"] for line in register.lines)
    lines = [line["id"] for line in register.lines if line.get("representative")]
    by_line = [scope(register, f"line:{i}", frozenset({i})) for i in lines]
    return [*(by_line or [empty(metric, "line:-", window, simulated)]), scope(register, "plant", every)]


def _count(obligation: Obligation, register: Register, at_us: int, counted: Callable[[Register, Device], bool]) -> int:
    return sum(counted(register, d) for d in obligation.members(register, at_us))


def _production(_: Register, device: Device) -> bool:
    return device.production


def _digital(_: Register, device: Device) -> bool:
    return device.production and device.digital


def _major(_: Register, device: Device) -> bool:
    return device.major


def _covers(pair: Pair, percent: int) -> bool:
    return pair[1] > 0 and 100 * pair[0] >= percent * pair[1]


def _look(obligation: Obligation, device: Device, window: tuple[int, int]) -> _Seen:
    days, value_days = 0, 0
    masks: list[Masks] = []
    for start in range(window[0], window[1], DAY_US):
        day = [obligation.masks(device, h) for h in obligation.hours(start, start + DAY_US)]
        days += any(m.owed for m in day)
        value_days += any(_value_owed(m) for m in day)
        masks += day
    c = total(masks)
    lines = obligation.evidence.devices.get(device.id, {})
    hours = obligation.hours(*window)
    return _Seen(
        device.connected,
        (c.covered, c.owed),
        (c.with_late, c.owed - c.unwatched),
        (c.with_late + c.unwatched, c.owed),
        days,
        value_days,
        _silent((m.covered, m.owed) for m in reversed(masks)),
        _silent((m.covered | m.late, _value_owed(m)) for m in reversed(masks)),
        _silent((m.covered | m.late | m.unseen, m.owed) for m in reversed(masks)),
        sum(lines[h].points_changed for h in hours if h in lines),
        sum((m.late & ~m.covered & m.owed).bit_count() for m in masks),
        _cause(lines[h] for h in hours if h in lines),
    )


def _cause(lines: Iterable[DeviceHour]) -> str:
    """The cause of the largest sum of gap seconds; ties by name."""
    gaps: Counter[str] = Counter()
    for line in lines:
        if line.gap_s:
            gaps[line.cause] += line.gap_s
    return min(gaps, key=lambda cause: (-gaps[cause], cause), default="")


def _value_owed(m: Masks) -> int:
    return m.owed & ~(m.unseen & ~(m.covered | m.late))


def _silent(backwards: Iterable[tuple[int, int]]) -> int:
    """Obligated minutes after the last covered one; hours newest first."""
    silent = 0
    for covered, owed in backwards:
        if covered:
            lowest = (covered & -covered).bit_length() - 1  # the last covered minute is the lowest set bit
            return silent + (owed & ((1 << lowest) - 1)).bit_count()
        silent += owed.bit_count()
    return silent
