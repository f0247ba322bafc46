"""M07 关键工艺参数数字化率, M26 关键过程精准控制 in plain integers: docs/metrics.md, M07 and M26.

In: `Obligation`. Out: one `Twin` per representative line, and the plant. Both count seconds of the points that the control plan names,
over three months, in the hours in which the device owed a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evidence_api.verify.evidence import DAY_US, Device, Register
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.twin_network import MIN_DAYS, by_line_and_plant, day_counts
from evidence_api.verify.twin_result import Pair, Twin, TwinMember, bounds

MONTHS, KNOWN_PERCENT, HOUR_S = 3, 90, 3600
_SUMS = ("inside_s", "judged_s", "known_s", "ran_s", "possible_s")


@dataclass(slots=True)
class _Seconds:
    """One (device, point): inside <= judged <= known <= ran <= possible."""

    possible_s: int = 0
    ran_s: int = 0
    known_s: int = 0
    judged_s: int = 0
    inside_s: int = 0
    days: int = 0
    told: bool = False


def parameter_rate(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M07."""
    window = obligation.last_months(MONTHS)
    seconds = _Table(obligation, window)

    def scope(register: Register, name: str, lines: frozenset[str]) -> Twin:
        listed = _listed(register, lines)
        members = tuple(_known(p, seconds.of(register, p)) for p in listed)
        parameters = day_counts(obligation, window, lambda r, _: len(_listed(r, lines)))
        declared = (sum(p.get("point") is not None for p in listed), len(listed))
        status = "ok" if members else "insufficient_data"
        return Twin("M07", name, window, *bounds(members), declared, members, parameters, status, simulated)

    return by_line_and_plant(obligation, "M07", window, simulated, scope)


def precise_control(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M26."""
    window = obligation.last_months(MONTHS)
    seconds = _Table(obligation, window)

    def scope(register: Register, name: str, lines: frozenset[str]) -> Twin:
        limited = [(p, s) for p in _listed(register, lines) if _limits(register, p) and (s := seconds.of(register, p))]
        counted = {(p["device"], p["point"]): s for p, s in limited}.values()  # a point listed twice counts once
        sums: dict[str, int | str] = {k: sum(getattr(s, k) for s in counted) for k in _SUMS}
        inside, judged, possible = (sum(getattr(s, k) for s in counted) for k in ("inside_s", "judged_s", "possible_s"))
        lower: Pair = (inside, possible)
        value, upper = (inside, judged) if judged else lower, (inside + possible - judged, possible)
        status = "ok" if possible else "insufficient_data"
        members = tuple(_inside(p, s) for p, s in limited)
        return Twin("M26", name, window, lower, value, upper, None, members, sums, status, simulated)

    return by_line_and_plant(obligation, "M26", window, simulated, scope)


def _listed(register: Register, lines: frozenset[str]) -> list[dict[str, Any]]:
    """Lines of the control plan whose process is on these lines."""
    processes = {i for i, p in register.processes.items() if p["line"] in lines}
    return [p for p in register.body.get("parameter", []) if p["process"] in processes]


def _limits(register: Register, parameter: dict[str, Any]) -> bool:
    device = register.devices.get(parameter.get("device") or "")
    points = device.points if device else ()
    mine = [p for p in points if p["name"] == parameter.get("point")]
    return any(p.get("spec_low") is not None or p.get("spec_high") is not None for p in mine)


class _Table:
    """Seconds of each (device, point), summed once."""

    def __init__(self, obligation: Obligation, window: tuple[int, int]) -> None:
        self.obligation, self.window = obligation, window
        self._found: dict[tuple[str, str], _Seconds] = {}

    def of(self, register: Register, parameter: dict[str, Any]) -> _Seconds | None:
        """None for a parameter without a point, or whose device is not in service at T."""
        device = register.devices.get(parameter.get("device") or "")
        if device is None or not parameter.get("point") or not device.from_us < self.window[1] <= device.to_us:
            return None
        key = (device.id, parameter["point"])
        if key not in self._found:
            self._found[key] = self._sum(device, key)
        return self._found[key]

    def _sum(self, device: Device, key: tuple[str, str]) -> _Seconds:
        evidence, s = self.obligation.evidence, _Seconds()
        lines, points = evidence.devices.get(device.id, {}), evidence.parameters.get(key, {})
        s.told = any(lines[h].run_s is not None for h in self.obligation.hours(*self.window) if h in lines)
        for start in range(self.window[0], self.window[1], DAY_US):
            hours = self.obligation.hours(start, start + DAY_US)
            owed = [h for h in hours if self.obligation.masks(device, h).owed]
            s.days += bool(owed)
            for hour in owed:
                line, point = lines.get(hour), points.get(hour)
                run_s = line.run_s if line else None
                s.possible_s += HOUR_S if line is None or run_s is None else run_s + (line.unknown_s or 0)
                if point is not None and point.run_ok_s is not None:
                    s.ran_s += run_s or 0
                    s.known_s += point.run_ok_s
                    s.judged_s += point.run_ok_s if point.run_in_s is not None else 0
                    s.inside_s += point.run_in_s or 0
        return s


def _known(parameter: dict[str, Any], s: _Seconds | None) -> TwinMember:
    facts: dict[str, int | str] = {"process": parameter["process"]}
    if s is None:
        why = "on_paper" if parameter.get("point") is None else "device_not_in_service"
        return TwinMember(parameter["id"], False, False, False, why, facts)
    long_enough, some = s.days >= MIN_DAYS, s.known_s > 0
    lower = long_enough and some and 100 * s.known_s >= KNOWN_PERCENT * s.possible_s
    value = lower or (long_enough and some and 100 * s.known_s >= KNOWN_PERCENT * s.ran_s)
    upper = value or 100 * (s.possible_s - (s.ran_s - s.known_s)) >= KNOWN_PERCENT * s.possible_s
    why = "pending" if not long_enough else "never_ran" if s.possible_s == 0 else "no_state" if not s.told else ""
    facts |= {"device": parameter["device"], "point": parameter["point"], "known_s": s.known_s, "ran_s": s.ran_s}
    facts |= {"possible_s": s.possible_s, "obligated_days": s.days}
    return TwinMember(parameter["id"], lower, value, upper, why or ("ok" if lower else "value_unknown"), facts)


def _inside(parameter: dict[str, Any], s: _Seconds) -> TwinMember:
    upper = s.inside_s == s.judged_s
    value = upper and s.judged_s > 0
    lower = value and s.inside_s == s.possible_s
    why = "ok" if lower else "outside" if not upper else "never_ran" if s.possible_s == 0 else "value_unknown"
    facts: dict[str, int | str] = {k: parameter[k] for k in ("process", "device", "point")}
    return TwinMember(parameter["id"], lower, value, upper, why, facts | {k: getattr(s, k) for k in _SUMS})
