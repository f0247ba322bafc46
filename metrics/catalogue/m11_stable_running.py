"""M11 稳定运行 = days on which the representative line ran / days of the last three calendar months that are not excused.

Numerator: line-days R (metrics/machines/stable_running.py). Denominator: days less excused ones; members: all days.
Exclusions: closures and exclusions entered within 72 h of their start make excused days. Beside the fraction stand
four conditions: no stop over 24 obligated hours, UNKNOWN days <= 5 %, EXCUSED days <= 20 %, commissioned before the
window. Undetermined: no register, no representative line. Source: GS25 第十二条(二) 稳定运行≥3个月; the day rules are ours
(catalogue §4.1 M11); Availability and MTBF: ISO 22400-2.
"""

from __future__ import annotations

import numpy as np

from config.register import Line
from metrics.inputs import Inputs
from metrics.machines.stable_running import State, device_days, line_day, line_hours, stops_of
from metrics.members import ratio_of_members, without_register, without_representative_line
from metrics.result import Member, MetricResult, Pair
from metrics.window import days_of, local_day

RUN_RATIO_PERCENT = 95
MAX_STOP_H = 24
MAX_UNKNOWN_PERCENT = 5
MAX_EXCUSED_PERCENT = 20

WHY = {"R": "ok", "E": "excused", "S": "stopped", "U": "unknown"}
_DAY_FACTS = (("run", "R"), ("stopped", "S"), ("unknown", "U"), ("excused", "E"))


def stable_running(inputs: Inputs) -> list[MetricResult]:
    """M11 稳定运行, one result per representative line; members are days."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M11", "line:-", window, inputs)]
    lines = [line for line in inputs.register.lines if line.representative]
    if not lines:
        return [without_representative_line("M11", window, inputs)]
    return [_line_result(inputs, line) for line in lines]


def _line_result(inputs: Inputs, line: Line) -> MetricResult:
    window = inputs.three_months
    devices = [d for d in inputs.register.devices if d.production and d.line == line.id]
    keys = {p.id for p in inputs.register.processes if p.key and p.line == line.id}
    groups = [d.process if d.process in keys else None for d in devices]
    names = [d.id for d in devices]
    lower_days, value_days = device_days(inputs, names)
    days = days_of(window, inputs.tz)
    members = []
    statuses = ""
    for i, day in enumerate(days):
        column = [row[i] for row in lower_days]
        status = line_day(column, groups)
        seen = line_day([row[i] for row in value_days], groups)
        statuses += status
        lower = status == "R"
        value = lower or seen == "R"
        upper = value or seen == "U"
        facts = tuple((word, column.count(x)) for word, x in _DAY_FACTS)
        members.append(Member(day.isoformat(), day.isoformat(), lower, value, upper, WHY[status], facts))
    parameters, notes = _conditions(inputs, line, names, statuses)
    return ratio_of_members(
        "M11",
        f"line:{line.id}",
        window,
        inputs,
        tuple(members),
        denominator=len(days) - statuses.count("E"),
        exclusions=inputs.excuses_of(frozenset(names), window),
        parameters=parameters,
        notes=notes,
    )


def _conditions(
    inputs: Inputs, line: Line, devices: list[str], statuses: str
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    part = inputs.minutes.part(inputs.three_months, devices)
    state = State.of(inputs, part)
    hours = line_hours(part, state)
    longest, stops = stops_of(hours)
    unknown, excused, days = statuses.count("U"), statuses.count("E"), len(statuses)
    start = local_day(inputs.three_months.start_us, inputs.tz)
    commissioned = line.commissioned is not None and line.commissioned <= start
    notes = () if line.commissioned else (f"台账没有写产线 {line.id} 的投产日期 commissioned (no commissioning date)",)
    sums = {
        name: int(np.maximum(values, 0).sum())
        for name, values in (("run_s", state.run_s), ("stop_s", state.stop_s), ("unknown_s", state.unknown_s))
    }
    return (
        ("condition.longest_stop", int(longest <= MAX_STOP_H)),
        ("condition.unknown_days", int(100 * unknown <= MAX_UNKNOWN_PERCENT * days)),
        ("condition.excused_days", int(100 * excused <= MAX_EXCUSED_PERCENT * days)),
        ("condition.commissioned", int(commissioned)),
        ("days", days),
        ("run_days", statuses.count("R")),
        ("stopped_days", statuses.count("S")),
        ("unknown_days", unknown),
        ("excused_days", excused),
        ("longest_stop_h", longest),
        ("stops", stops),
        ("longest_possible_stop_h", max(len(part) for part in hours.split("R"))),
        *sums.items(),
        ("availability_numerator", sums["run_s"]),
        ("availability_denominator", sum(sums.values())),
        ("run_h", hours.count("R")),
        ("mtbf_divisor", stops + 1),
        ("mtbf_s", hours.count("R") * 3600 // (stops + 1)),
        ("run_ratio_min_percent", RUN_RATIO_PERCENT),
    ), notes
