"""M22 关键工序自动化率 = key processes in automatic mode for at least 90/100 of their running time / key processes.

Numerator: key processes each of whose production devices reaches 90/100 over 30 days, 7 of them obligated. An hour's line tells
seconds running and seconds in automatic mode, not their overlap: lower takes the least overlap possible, value the most; unknown and
unsealed time counts against in the lower, for in the upper. A device that never ran neither helps nor hinders, one without a connection
always hinders. Denominator and members: 关键工序 of the register of T. Exclusions: hours without an obligated minute. Undetermined: no
register, no representative line, no key process; a process that never ran is not in the lower and is in the upper.
Source: TJ 第五条(一), GS25 第十条 关键生产工序自动化; catalogue §4.1 M22.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from config.register import Process, Register
from metrics.inputs import Inputs, in_service_at_end
from metrics.machines.fields import Counts
from metrics.machines.minutes import by_day, count, field
from metrics.machines.networked import MIN_DAYS
from metrics.members import by_line_and_plant, ratio_of_members
from metrics.result import Member, MetricResult, Pair

AUTO_PERCENT = 90
HOUR_S = 3600
COLUMNS = ("run_s", "unknown_s", "auto_s", "in_service_s", "values_bad")


def key_process_automation(inputs: Inputs) -> list[MetricResult]:
    """M22 关键工序自动化率: one result per representative line, and one over the plant."""
    running = {} if inputs.revision is None else _running(inputs)
    return by_line_and_plant(
        "M22", inputs.thirty_days, inputs, lambda scope, lines: _scope(inputs, running, scope, lines)
    )


@dataclass(frozen=True, slots=True)
class _Running:
    """Seconds of one device over its obligated hours: (in automatic mode, running) of lower, value, upper."""

    device: str
    lower: tuple[int, int]
    value: tuple[int, int]
    upper: tuple[int, int]
    told: bool  # some line tells its state
    days: int  # obligated
    configured: bool

    def shortfall(self) -> int:
        """How far the lower is from the bar, in hundredths of a second; 0 or less when it is reached."""
        return AUTO_PERCENT * self.lower[1] - 100 * self.lower[0]


def _scope(inputs: Inputs, running: dict[str, _Running], scope: str, lines: frozenset[str]) -> MetricResult:
    register, window = inputs.register, inputs.thirty_days
    processes = [p for p in register.processes if p.key and p.line in lines]
    keys = {p.id for p in processes}
    devices = [d for d in register.devices if d.process in keys and d.id in running]
    members = tuple(_member(p, [running[d.id] for d in devices if d.process == p.id]) for p in processes)

    def key_processes(then: Register, _: int) -> int:
        return sum(p.key and p.line in lines for p in then.processes)

    return ratio_of_members(
        "M22",
        scope,
        window,
        inputs,
        members,
        exclusions=inputs.excuses_of(frozenset(d.id for d in devices), window),
        parameters=(("auto_min_percent", AUTO_PERCENT), *inputs.denominators(window, key_processes)),
    )


def _running(inputs: Inputs) -> dict[str, _Running]:
    """Production devices of key processes, in service at T."""
    register = inputs.register
    keys = {p.id for p in register.processes if p.key}
    devices = [
        d
        for d in register.devices
        if d.production and d.process in keys and in_service_at_end(register, d.id, inputs.end_us)
    ]
    part = inputs.minutes.part(inputs.thirty_days, [d.id for d in devices])
    run, unknown, auto, service, bad = (field(inputs, part, name) for name in COLUMNS)
    owed, told, mode = part.owed != 0, run >= 0, auto >= 0
    both = np.minimum(run, auto)
    possible = np.where(told, run + np.maximum(unknown, 0), HOUR_S)  # at most this long it ran
    lower = np.where(told & mode, np.maximum(run + auto - service, 0), 0)
    value = np.where(told & mode, both, 0)
    upper = np.where(told & mode & (bad <= 0), both + np.maximum(unknown, 0), possible)

    def total(seconds: Counts) -> list[int]:
        return [int(n) for n in np.where(owed, seconds, 0).sum(axis=1)]

    counts = (total(x) for x in (lower, value, upper, np.maximum(run, 0), possible, told.astype(np.int64)))
    days = (by_day(count(part.owed)) > 0).sum(axis=1).tolist()
    return {
        d.id: _Running(d.id, (low, most), (seen, ran), (high, most), hours > 0, n, d.connection is not None)
        for d, low, seen, high, ran, most, hours, n in zip(devices, *counts, days, strict=True)
    }


def _member(process: Process, running: list[_Running]) -> Member:
    sure = [r for r in running if r.lower[1] > 0]  # may have run
    long_enough = all(r.days >= MIN_DAYS for r in sure)
    lower = bool(sure) and long_enough and all(r.shortfall() <= 0 for r in sure)
    seen = [r for r in running if r.value[1] > 0]
    told = long_enough and all(r.told for r in sure)
    value = lower or (bool(seen) and told and all(_reaches(r.value) for r in seen))
    upper = value or (bool(running) and all(r.configured and _reaches(r.upper) for r in sure))
    worst = max(sure, key=lambda r: (r.shortfall(), r.device), default=None)
    facts: tuple[Pair, ...] = (
        ("devices", len(running)),
        ("run_s", sum(r.value[1] for r in running)),
        ("auto_run_s", sum(r.value[0] for r in running)),
        ("sure_auto_s", sum(r.lower[0] for r in running)),
        ("possible_run_s", sum(r.lower[1] for r in running)),
        ("worst", "" if lower or worst is None else worst.device),
    )
    return Member(process.id, process.name, lower, value, upper, _why(running, sure, lower, value), facts)


def _why(running: list[_Running], sure: list[_Running], lower: bool, value: bool) -> str:
    """First reason that keeps the process out of the lower bound."""
    reasons = (
        ("no_device", not running),
        ("ok", lower),
        ("never_ran", not sure),
        ("not_configured", not all(r.configured for r in sure)),
        ("pending", not all(r.days >= MIN_DAYS for r in sure)),
        ("no_state", not all(r.told for r in sure)),
        ("auto_unproven", value),
    )
    return next((code for code, holds in reasons if holds), "not_automatic")


def _reaches(pair: tuple[int, int]) -> bool:
    return pair[1] > 0 and 100 * pair[0] >= AUTO_PERCENT * pair[1]
