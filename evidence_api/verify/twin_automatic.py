"""M22 关键工序自动化率 in plain integers: docs/metrics.md, M22.

In: `Obligation`. Out: one `Twin` per representative line, and the plant; members are key processes. An hour's line holds seconds running
and seconds in automatic mode but not their overlap: lower takes the least there can be, value and upper the most.
"""

from __future__ import annotations

from dataclasses import dataclass

from evidence_api.verify.evidence import DAY_US, Device, Register
from evidence_api.verify.lines import DeviceHour
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.twin_network import MIN_DAYS, WINDOW_DAYS, by_line_and_plant, day_counts
from evidence_api.verify.twin_result import Twin, TwinMember, bounds

AUTO_PERCENT, HOUR_S = 90, 3600


@dataclass(slots=True)
class _Ran:
    """Seconds of one device over its obligated hours: automatic (low, seen, high), running (possible, ran)."""

    device: Device
    low: int = 0
    seen: int = 0
    high: int = 0
    possible: int = 0
    ran: int = 0
    told: bool = False
    days: int = 0

    def add(self, line: DeviceHour | None) -> None:
        """One obligated hour."""
        run, auto = (line.run_s, line.auto_s) if line else (None, None)
        if line is None or run is None:
            self.possible, self.high = self.possible + HOUR_S, self.high + HOUR_S
            return
        self.told = True
        unknown = line.unknown_s or 0
        self.ran += run
        self.possible += run + unknown
        if auto is None:
            self.high += run + unknown
            return
        self.low += max(0, run + auto - line.in_service_s)
        self.seen += min(run, auto)
        self.high += run + unknown if line.values_bad else min(run, auto) + unknown

    @property
    def shortfall(self) -> int:
        """How far the lower is from the bar; 0 or less when it is reached."""
        return AUTO_PERCENT * self.possible - 100 * self.low


def key_process_automation(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M22."""
    window, ran = obligation.last_days(WINDOW_DAYS), dict[str, _Ran]()

    def scope(register: Register, name: str, lines: frozenset[str]) -> Twin:
        members = []
        for process in _keys(register, lines):
            devices = [d for d in obligation.members(register, window[1] - 1) if d.production and d.process == process]
            for device in devices:
                if device.id not in ran:
                    ran[device.id] = _look(obligation, device, window)
            members.append(_member(process, [ran[d.id] for d in devices]))
        parameters = day_counts(obligation, window, lambda r, _: len(_keys(r, lines)))
        status = "ok" if members else "insufficient_data"
        found = tuple(members)
        return Twin("M22", name, window, *bounds(found), None, found, parameters, status, simulated)

    return by_line_and_plant(obligation, "M22", window, simulated, scope)


def _keys(register: Register, lines: frozenset[str]) -> list[str]:
    return [i for i, p in register.processes.items() if p.get("key") and p["line"] in lines]


def _look(obligation: Obligation, device: Device, window: tuple[int, int]) -> _Ran:
    lines, found = obligation.evidence.devices.get(device.id, {}), _Ran(device)
    for start in range(window[0], window[1], DAY_US):
        owed = [h for h in obligation.hours(start, start + DAY_US) if obligation.masks(device, h).owed]
        found.days += bool(owed)
        for hour in owed:
            found.add(lines.get(hour))
    return found


def _member(process: str, devices: list[_Ran]) -> TwinMember:
    sure = [r for r in devices if r.possible > 0]  # may have run
    long_enough = all(r.days >= MIN_DAYS for r in sure)
    lower = bool(sure) and long_enough and all(r.shortfall <= 0 for r in sure)
    seen = [r for r in devices if r.ran > 0]
    told = all(r.told for r in sure)
    value = lower or (bool(seen) and long_enough and told and all(_reaches(r.seen, r.ran) for r in seen))
    upper = value or (bool(devices) and all(r.device.connected and _reaches(r.high, r.possible) for r in sure))
    reasons = (
        ("no_device", not devices),
        ("ok", lower),
        ("never_ran", not sure),
        ("not_configured", not all(r.device.connected for r in sure)),
        ("pending", not long_enough),
        ("no_state", not told),
        ("auto_unproven", value),
    )
    worst = max(sure, key=lambda r: (r.shortfall, r.device.id), default=None)
    facts: dict[str, int | str] = {
        "devices": len(devices),
        "run_s": sum(r.ran for r in devices),
        "auto_run_s": sum(r.seen for r in devices),
        "sure_auto_s": sum(r.low for r in devices),
        "possible_run_s": sum(r.possible for r in devices),
        "worst": "" if lower or worst is None else worst.device.id,
    }
    return TwinMember(process, lower, value, upper, next((c for c, h in reasons if h), "not_automatic"), facts)


def _reaches(automatic: int, running: int) -> bool:
    return running > 0 and 100 * automatic >= AUTO_PERCENT * running
