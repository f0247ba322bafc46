"""稳定运行 (M11): did the representative line run on the days of the last three calendar months.

Line-days RUN / (days - EXCUSED days), lower bound >= 95/100, and four conditions: no stop over 24 obligated hours,
UNKNOWN days <= 5 %, EXCUSED days <= 20 %, commissioned before the window. A day nobody watched is UNKNOWN, never STOPPED.
Status letters: R run, E excused, S stopped, U unknown, - not in service. Exact rules: docs/metrics.md, M11.
Undetermined: no representative line. Source: GS25 第十二条(二) 稳定运行≥3个月; the day rules are ours (catalogue §4.1 M11).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.register import Line
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register, without_representative_line
from metrics.minutes import Minutes, by_day, count, matrix
from metrics.result import Member, MetricResult, Pair
from metrics.window import days_of, local_day

COVERAGE_PERCENT = 90
RUN_RATIO_PERCENT = 95
MAX_STOP_H = 24
MAX_UNKNOWN_PERCENT = 5
MAX_EXCUSED_PERCENT = 20

WHY = {"R": "ok", "E": "excused", "S": "stopped", "U": "unknown"}
Days = list[str]  # one string per device, one letter per day


def stable_running(inputs: Inputs) -> list[MetricResult]:
    """M11 稳定运行, one result per representative line; members are days."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M11", "line:-", window, inputs)]
    lines = [line for line in inputs.register.lines if line.representative]
    if not lines:
        return [without_representative_line("M11", window, inputs)]
    return [_line_result(inputs, line) for line in lines]


def device_days(inputs: Inputs, devices: list[str]) -> tuple[Days, Days]:
    """(lower, value) day statuses of each device over the three months: `RRSU…`, one letter per local day."""
    part = inputs.minutes.part(inputs.three_months, devices)
    state = _State.of(inputs, part)
    owed = by_day(count(part.owed))
    lower = _letters(part, state, by_day(count(part.covered & part.owed)), owed)
    value = _letters(part, state, by_day(count(part.seen & part.owed)), by_day(count(part.owed_seen)))
    return lower, value


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Machine state of each device and hour; -1 stands for an empty field."""

    run_s: NDArray[np.int64]
    stop_s: NDArray[np.int64]
    unknown_s: NDArray[np.int64]
    output: NDArray[np.int64]

    @staticmethod
    def of(inputs: Inputs, part: Minutes) -> _State:
        names = ("run_s", "stop_s", "unknown_s", "output_delta")
        return _State(*(matrix(inputs.lines.device, part, name, -1) for name in names))

    @property
    def ran(self) -> NDArray[np.bool_]:
        return np.asarray((self.run_s > 0) | (self.output > 0))

    @property
    def told(self) -> NDArray[np.bool_]:
        return np.asarray((self.run_s >= 0) | (self.output >= 0))


def _letters(part: Minutes, state: _State, covered: NDArray[np.int64], obligated: NDArray[np.int64]) -> Days:
    owed = by_day(count(part.owed)) > 0
    served = by_day(part.in_service.astype(np.int64)) > 0
    ran = by_day(state.ran.astype(np.int64)) > 0
    told = by_day(state.told.astype(np.int64)) > 0
    well = (obligated > 0) & (100 * covered >= COVERAGE_PERCENT * obligated)
    letters = np.full(owed.shape, "U")
    letters[well & told & ~ran] = "S"
    letters[well & ran] = "R"
    letters[~owed] = "E"
    letters[~served] = "-"
    return ["".join(row) for row in letters]


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
        status = _line_day(column, groups)
        seen = _line_day([row[i] for row in value_days], groups)
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


_DAY_FACTS = (("run", "R"), ("stopped", "S"), ("unknown", "U"), ("excused", "E"))


def _line_day(letters: list[str], groups: list[str | None]) -> str:
    """One day of a line from its devices' days; `groups`: the key process of each device, None for the others."""
    served = [(x, g) for x, g in zip(letters, groups, strict=True) if x != "-"]
    if not served:
        return "U"
    if all(x == "E" for x, _ in served):
        return "E"
    owing = {g for x, g in served if g is not None and x != "E"}

    def runs(running: str) -> bool:
        if owing:
            return all(any(x in running for x, g in served if g == key) for key in owing)
        return any(x in running for x, _ in served)

    return "R" if runs("R") else "U" if runs("RU") else "S"


def _conditions(
    inputs: Inputs, line: Line, devices: list[str], statuses: str
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    part = inputs.minutes.part(inputs.three_months, devices)
    state = _State.of(inputs, part)
    longest, stops = _stops(_line_hours(part, state))
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
        *sums.items(),
        ("run_ratio_min_percent", RUN_RATIO_PERCENT),
    ), notes


def _line_hours(part: Minutes, state: _State) -> str:
    """R, S or U for each hour in which some device owed a minute, in order."""
    owed = part.owed != 0
    silent_counter = (state.run_s < 0) & (state.output == 0) & (part.covered != 0)
    stopped = (state.stop_s > 0) | silent_counter
    any_owed = owed.any(axis=0)
    any_run = (owed & state.ran).any(axis=0)
    any_stop = (owed & stopped).any(axis=0)
    letters = np.where(any_run, "R", np.where(any_stop, "S", "U"))
    return "".join(letters[any_owed])


def _stops(hours: str) -> tuple[int, int]:
    """(hours of the longest stop, how many stops): series of S broken by R only; U neither counts nor breaks."""
    series = [part.count("S") for part in hours.split("R")]
    return max(series, default=0), sum(n > 0 for n in series)
