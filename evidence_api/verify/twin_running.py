"""M11 稳定运行 in plain integers: docs/metrics.md, M11.

In: `Obligation`. Out: one `Twin` per representative line; members are the days of three months. Device-days become line-days
(E excused, R run, S stopped, U unknown), once for the lower and once for the value; line-hours give the longest stop.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from evidence_api.verify.evidence import DAY_US, Device, Register, to_us
from evidence_api.verify.obligation import Obligation, total
from evidence_api.verify.twin_result import Twin, TwinMember, empty

MONTHS, COVERAGE_PERCENT, MAX_STOP_H, UNKNOWN_PERCENT, EXCUSED_PERCENT = 3, 90, 24, 5, 20
_FACTS = (("R", "run"), ("S", "stopped"), ("U", "unknown"), ("E", "excused"))
_WHY = {"R": "ok", "E": "excused", "S": "stopped", "U": "unknown"}


def stable_running(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M11: one result per representative line."""
    register, window = obligation.register, obligation.last_months(MONTHS)
    if register is None:
        return [empty("M11", "line:-", window, simulated)]
    lines = [line for line in register.lines if line.get("representative")]
    if not lines:
        return [empty("M11", "line:-", window, simulated)]
    return [_line(obligation, register, line, window, simulated) for line in lines]


def device_strips(obligation: Obligation) -> list[list[str]]:
    """[device, one letter per day by the lower] for every device of the revision of T, as results.json shows them."""
    register, window = obligation.register, obligation.last_months(MONTHS)
    if register is None:
        return []
    days = range(window[0], window[1], DAY_US)
    return [[i, "".join(_device_day(obligation, d, day)[0] for day in days)] for i, d in register.devices.items()]


def _line(
    obligation: Obligation, register: Register, line: dict[str, Any], window: tuple[int, int], simulated: bool
) -> Twin:
    devices = [d for d in register.devices.values() if d.production and d.line == line["id"]]
    keys = {i for i, p in register.processes.items() if p.get("key") and p["line"] == line["id"]}
    members, statuses = [], []
    for start in range(window[0], window[1], DAY_US):
        days = {d.id: _device_day(obligation, d, start) for d in devices}
        lower, value = (_line_day(devices, {i: s[which] for i, s in days.items()}, keys) for which in (0, 1))
        statuses.append(lower)
        excused = lower == "E"
        run, run_value = not excused and lower == "R", not excused and "R" in (lower, value)
        name = datetime.fromtimestamp(start // 1_000_000, UTC).astimezone(register.tz).date().isoformat()
        letters = Counter(s[0] for s in days.values())
        facts = {word: letters[letter] for letter, word in _FACTS}
        upper = run_value or (not excused and value == "U")
        members.append(TwinMember(name, run, run_value, upper, _WHY[lower], facts))
    parameters = _parameters(obligation, register, devices, line, window, statuses)
    n = len(statuses) - statuses.count("E")
    lower_n, value_n, upper_n = (sum(getattr(m, k) for m in members) for k in ("lower", "value", "upper"))
    return Twin(
        *("M11", f"line:{line['id']}", window, (lower_n, n), (value_n, n), (upper_n, n), None, tuple(members)),
        *(parameters, "ok" if n else "insufficient_data", simulated),
    )


def _device_day(obligation: Obligation, device: Device, start: int) -> tuple[str, str]:
    """Status by the lower and by the value; `-` when not in service that day."""
    hours = obligation.hours(start, start + DAY_US)
    if not any(obligation.in_service(device, h) for h in hours):
        return "-", "-"
    counts = total(obligation.masks(device, h) for h in hours)
    if counts.owed == 0:
        return "E", "E"
    lines = obligation.evidence.devices.get(device.id, {})
    there = [lines[h] for h in hours if h in lines]
    ran = any((x.run_s or 0) > 0 or (x.output_delta or 0) > 0 for x in there)
    told = any(x.run_s is not None or x.output_delta is not None for x in there)

    def status(covered: int, owed: int) -> str:
        if owed <= 0 or 100 * covered < COVERAGE_PERCENT * owed:
            return "U"
        return "R" if ran else "S" if told else "U"

    return status(counts.covered, counts.owed), status(counts.with_late, counts.owed - counts.unwatched)


def _line_day(devices: list[Device], status: dict[str, str], keys: set[str]) -> str:
    there = [d for d in devices if status[d.id] != "-"]
    if not there:
        return "U"
    if all(status[d.id] == "E" for d in there):
        return "E"
    if _runs(there, status, keys, "R"):
        return "R"
    return "U" if _runs(there, status, keys, "RU") else "S"


def _runs(devices: list[Device], status: dict[str, str], keys: set[str], counted: str) -> bool:
    owing = [d for d in devices if status[d.id] != "E"]
    processes = {d.process for d in owing if d.process in keys}
    if not processes:
        return any(status[d.id] in counted for d in owing)
    return all(any(status[d.id] in counted for d in owing if d.process == p) for p in processes)


def _parameters(
    obligation: Obligation,
    register: Register,
    devices: list[Device],
    line: dict[str, Any],
    window: tuple[int, int],
    statuses: list[str],
) -> dict[str, int | str]:
    longest, stops, run_h, possible = _stops(obligation, devices, window)
    n, count = len(statuses), Counter(statuses)
    commissioned = line.get("commissioned")
    first = datetime.fromtimestamp(window[0] // 1_000_000, UTC).astimezone(register.tz)
    ready = commissioned is not None and to_us(
        datetime.fromisoformat(commissioned).replace(tzinfo=register.tz)
    ) <= to_us(first)
    hours = obligation.hours(*window)
    lines = [x for d in devices for h, x in obligation.evidence.devices.get(d.id, {}).items() if h in hours]
    sums = {name: sum(getattr(x, name) or 0 for x in lines) for name in ("run_s", "stop_s", "unknown_s")}
    return {
        "condition.longest_stop": int(longest <= MAX_STOP_H),
        "condition.unknown_days": int(100 * count["U"] <= UNKNOWN_PERCENT * n),
        "condition.excused_days": int(100 * count["E"] <= EXCUSED_PERCENT * n),
        "condition.commissioned": int(ready),
        "days": n,
        "run_days": count["R"],
        "stopped_days": count["S"],
        "unknown_days": count["U"],
        "excused_days": count["E"],
        "longest_stop_h": longest,
        "stops": stops,
        "longest_possible_stop_h": possible,
        **sums,
        "availability_numerator": sums["run_s"],
        "availability_denominator": sum(sums.values()),
        "run_h": run_h,
        "mtbf_divisor": stops + 1,
        "mtbf_s": run_h * 3600 // (stops + 1),
    }


def _stops(obligation: Obligation, devices: list[Device], window: tuple[int, int]) -> tuple[int, int, int, int]:
    """Most S hours in one stop (a series of S, broken by R only), how many stops, how many R hours, most S and U hours between R."""
    longest = stops = running = possible = 0
    stopped = unwatched = 0  # S hours, S and U hours since the last R
    for hour in obligation.hours(*window):
        status = _line_hour(obligation, devices, hour)
        if status == "R":
            running += 1
            stopped = unwatched = 0
        elif status in ("S", "U"):
            unwatched += 1
            possible = max(possible, unwatched)
            if status == "S":
                stops += stopped == 0
                stopped += 1
                longest = max(longest, stopped)
    return longest, stops, running, possible


def _line_hour(obligation: Obligation, devices: list[Device], hour: int) -> str:
    owing = [d for d in devices if obligation.masks(d, hour).owed]
    lines = [x for d in owing if (x := obligation.evidence.devices.get(d.id, {}).get(hour)) is not None]
    if not owing:
        return "-"
    if any((x.run_s or 0) > 0 or (x.output_delta or 0) > 0 for x in lines):
        return "R"
    stopped = any((x.stop_s or 0) > 0 or (x.run_s is None and x.output_delta == 0 and x.covered) for x in lines)
    return "S" if stopped else "U"
