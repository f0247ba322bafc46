"""The script of one machine's day, minute by minute: what it does, how many parts, when it is polled, what comes of it.

In: a story, a machine, a local day. Out: `Day`: arrays of 1440 minutes. History, live servers and truth log all read
this and nothing else, so the truth is what the machine did, not what somebody stored.
Pure and repeatable: each (seed, machine, day) has a generator of its own; part counters add up whole days from day -95.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adapters.batch import Outcome
from simulators.fleet import FLEET, Machine
from simulators.profiles import ALARM, IDLE, OFF, RUN, SETUP
from simulators.story import FIRST_DAY, MINUTE_US, US, Story

MINUTES = 1440
BREAKS = ((12 * 60, 12 * 60 + 30), (16 * 60, 16 * 60 + 15), (20 * 60, 20 * 60 + 20))
PLANNED_FROM = 8 * 60  # the two shifts run from 08:00 to midnight; at night the machines stand switched on
_PLAN, _POLL, VALUES = 1, 2, 3  # streams of random numbers of one machine's day
_INDEX = {m.id: i for i, m in enumerate(FLEET)}


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """One machine's local day: 1440 minutes each."""

    poll_us: NDArray[np.int64]  # when the poll of that minute happens
    outcome: NDArray[np.uint8]
    state: NDArray[np.uint8]  # OFF IDLE RUN ALARM SETUP
    counter: NDArray[np.int64]  # part counter as the machine shows it
    program: NDArray[np.uint8]  # index of the running program
    sensor_bad: NDArray[np.bool_]  # the key parameter reads nonsense

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Minutes whose poll delivered values."""
        return np.equal(self.outcome, Outcome.OK)


def random(story: Story, machine: Machine, day: int, stream: int) -> np.random.Generator:
    """The generator of one machine's day."""
    return np.random.Generator(np.random.PCG64([story.seed, _INDEX[machine.id], day + 10_000, stream]))


def phase_us(machine: Machine) -> int:
    """Second of the minute in which this machine is polled: 2 to 55, away from the minute's edges."""
    return (2 + _INDEX[machine.id] * 7 % 54) * US


@lru_cache(maxsize=128)
def day_script(story: Story, machine: Machine, day: int) -> Day:
    """What the machine did on that day, and what polling it gave."""
    rng = random(story, machine, day, _POLL)
    start_us = story.day_start_us(day)
    poll_us = start_us + np.arange(MINUTES) * MINUTE_US + phase_us(machine) + rng.integers(0, 20_000, MINUTES)
    outcome = np.zeros(MINUTES, np.uint8)
    stray = Outcome.SILENT if machine.protocol == "mqtt" else Outcome.TIMEOUT
    if day < 0:  # a lost poll now and then; today is live and fails by itself
        outcome[rng.random(MINUTES) < 0.0004] = stray
    sensor_bad = np.zeros(MINUTES, np.bool_)
    for incident in story.incidents_of(machine.id):
        first, last = incident.minutes_on(day)
        if first < last and incident.outcome is not None:
            outcome[first:last] = incident.outcome
        if first < last and incident.effect == "sensor":
            sensor_bad[first:last] = True
    state, program = _plan(story, machine, day)
    parts = _parts(state, machine)
    counter = _counter_at(story, machine, day) + parts
    for incident in story.incidents_of(machine.id):  # a swapped controller counts from zero again
        if incident.effect == "reset" and incident.end[0] == day:
            at = incident.end[1]
            counter[at:] = parts[at:] - parts[at - 1]
    return Day(poll_us, outcome, state, counter, program, sensor_bad)


def _plan(story: Story, machine: Machine, day: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Working state and program of each minute: runs of 10 minutes to hours, short waits, a rare alarm, meal breaks."""
    rng = random(story, machine, day, _PLAN)
    n = 40
    lengths = np.empty(2 * n, np.int64)
    lengths[0::2] = 10 + rng.gamma(2.0, 38.0, n).astype(np.int64)
    lengths[1::2] = 2 + rng.gamma(1.5, 4.0, n).astype(np.int64)
    kinds = np.empty(2 * n, np.uint8)
    kinds[0::2] = RUN
    kinds[1::2] = np.where(rng.random(n) < 0.2, SETUP, IDLE)
    if rng.random() < 0.22:
        at = 2 * int(rng.integers(1, 8)) - 1
        kinds[at], lengths[at] = ALARM, int(rng.integers(6, 40))
    state = np.full(MINUTES, IDLE, np.uint8)
    state[PLANNED_FROM:] = np.repeat(kinds, lengths)[: MINUTES - PLANNED_FROM]
    for first, last in BREAKS:
        state[first:last] = IDLE
    for incident in story.incidents_of(machine.id):
        first, last = incident.minutes_on(day)
        if first < last and incident.effect in ("off", "reset"):
            state[first:last] = OFF
        if first < last and incident.effect == "alarm":
            state[first:last] = ALARM
    program = np.full(MINUTES, rng.integers(0, 3), np.uint8)
    program[int(rng.integers(13 * 60, 18 * 60)) :] = rng.integers(0, 3)
    return state, program


def _parts(state: NDArray[np.uint8], machine: Machine) -> NDArray[np.int64]:
    """Parts finished since midnight, as of each minute's poll."""
    return np.floor(np.cumsum(state == RUN) / machine.cycle_min).astype(np.int64)


@lru_cache(maxsize=8192)
def _parts_of_day(story: Story, machine: Machine, day: int) -> int:
    return int(_parts(_plan(story, machine, day)[0], machine)[-1])


def _counter_at(story: Story, machine: Machine, day: int) -> int:
    """Part counter at the day's midnight."""
    base, first = 1000 + _INDEX[machine.id] * 977, FIRST_DAY
    if machine.from_day is not None:
        base, first = 0, machine.from_day
    for incident in story.incidents_of(machine.id):
        if incident.effect == "reset" and incident.end[0] < day:
            parts = _parts(_plan(story, machine, incident.end[0])[0], machine)
            base, first = int(parts[-1] - parts[incident.end[1] - 1]), incident.end[0] + 1
    return base + sum(_parts_of_day(story, machine, d) for d in range(first, day))
