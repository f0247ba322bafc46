"""运行日: what each day and hour of a device and of a line was: the core of M11 稳定运行, and the strips of the report.

In: `Inputs`, devices. Out: letters: R run, E excused, S stopped, U unknown, - not in service. A day nobody watched is U, never S:
a collector outage is not a stop. Exact rules: docs/metrics.md, M11.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.inputs import Inputs
from metrics.machines.fields import ABSENT
from metrics.machines.minutes import Minutes, by_day, daily, field

COVERAGE_PERCENT = 90
Days = list[str]  # one string per device, one letter per day


def device_days(inputs: Inputs, devices: list[str]) -> tuple[Days, Days]:
    """(lower, value) day statuses of each device over the three months: `RRSU…`, one letter per local day."""
    part = inputs.minutes.part(inputs.three_months, devices)
    state = State.of(inputs, part)
    owed = daily(part.owed)
    lower = _letters(part, state, daily(part.covered & part.owed), owed)
    value = _letters(part, state, daily(part.seen & part.owed), daily(part.owed_seen))
    return lower, value


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Machine state of each device and hour; `ABSENT` stands for an empty field."""

    run_s: NDArray[np.int64]
    stop_s: NDArray[np.int64]
    unknown_s: NDArray[np.int64]
    output: NDArray[np.int64]

    @staticmethod
    def of(inputs: Inputs, part: Minutes) -> State:
        names = ("run_s", "stop_s", "unknown_s", "output_delta")
        return State(*(field(inputs, part, name) for name in names))

    @property
    def ran(self) -> NDArray[np.bool_]:
        return np.asarray((self.run_s > 0) | (self.output > 0))

    @property
    def told(self) -> NDArray[np.bool_]:
        return np.asarray((self.run_s > ABSENT) | (self.output > ABSENT))


def _letters(part: Minutes, state: State, covered: NDArray[np.int64], obligated: NDArray[np.int64]) -> Days:
    owed = daily(part.owed) > 0
    served = by_day(part.in_service) > 0
    ran = by_day(state.ran) > 0
    told = by_day(state.told) > 0
    well = (obligated > 0) & (100 * covered >= COVERAGE_PERCENT * obligated)
    letters = np.full(owed.shape, "U")
    letters[well & told & ~ran] = "S"
    letters[well & ran] = "R"
    letters[~owed] = "E"
    letters[~served] = "-"
    return ["".join(row) for row in letters]


def line_day(letters: list[str], groups: list[str | None]) -> str:
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


def line_hours(part: Minutes, state: State) -> str:
    """R, S or U for each hour in which some device owed a minute, in order."""
    owed = part.owed != 0
    silent_counter = (state.run_s < 0) & (state.output == 0) & (part.covered != 0)
    stopped = (state.stop_s > 0) | silent_counter
    any_owed = owed.any(axis=0)
    any_run = (owed & state.ran).any(axis=0)
    any_stop = (owed & stopped).any(axis=0)
    letters = np.where(any_run, "R", np.where(any_stop, "S", "U"))
    return "".join(letters[any_owed])


def stops_of(hours: str) -> tuple[int, int]:
    """(hours of the longest stop, how many stops): series of S broken by R only; U neither counts nor breaks."""
    series = [part.count("S") for part in hours.split("R")]
    return max(series, default=0), sum(n > 0 for n in series)
