"""Curves: the values a machine shows, made from the script of its day. Smooth, quantised, never by a loop over rows.

In: a profile's points, the scripts of a day and of the evening before (heat remembers), a generator.
Out: one array or list per column. A rejected or failed poll has no values; that is cut out by the caller.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.batch import NUMPY_TYPE, ValueType
from simulators.profiles import ALARM, IDLE, OFF, RUN, STATE_NAMES, PointSpec
from simulators.script import MINUTES, Day

NONSENSE = 999.9  # what a broken thermocouple reads
_MEMORY = 180  # minutes a machine takes to warm through
_KERNEL = np.exp(-np.arange(_MEMORY) / 45.0) / np.exp(-np.arange(_MEMORY) / 45.0).sum()
_STATES = np.array(STATE_NAMES, dtype=object)
PROGRAMS = np.array(["O1201", "O1305", "O2042"], dtype=object)
AUTO_STATES = (RUN, IDLE, ALARM)

Values = NDArray[np.generic] | list[str]


def column(point: PointSpec, day: Day, before: Day | None, rng: np.random.Generator) -> Values:
    """The values of one point over a day."""
    shape = point.signal.shape
    if shape == "state":
        return _STATES[day.state].tolist() if point.type is ValueType.STR else day.state.astype("<i8")
    if shape == "auto":
        return np.isin(day.state, AUTO_STATES)
    if shape == "program":
        return PROGRAMS[day.program].tolist() if point.type is ValueType.STR else day.program.astype("<i8") + 101
    if shape == "counter":
        return day.counter.astype(NUMPY_TYPE[point.type])
    values = _level(point, day, rng) if shape == "level" else _thermal(point, day, before, rng)
    if point.key and shape == "thermal" and day.sensor_bad.any():
        values = np.where(day.sensor_bad, NONSENSE, values)
    return values.astype(NUMPY_TYPE[point.type])


def _level(point: PointSpec, day: Day, rng: np.random.Generator) -> NDArray[np.float64]:
    signal = point.signal
    noise = rng.normal(0.0, signal.noise, MINUTES)
    values = np.where(day.state == RUN, signal.full + noise, signal.rest)
    values[day.state == OFF] = 0.0
    return _quantise(values, signal.step)


def _thermal(point: PointSpec, day: Day, before: Day | None, rng: np.random.Generator) -> NDArray[np.float64]:
    signal = point.signal
    load = np.zeros(MINUTES + _MEMORY - 1)
    load[_MEMORY - 1 :] = day.state == RUN
    if before is not None:
        load[: _MEMORY - 1] = before.state[MINUTES - _MEMORY + 1 :] == RUN
    warmth = np.convolve(load, _KERNEL, "valid")
    values = signal.rest + (signal.full - signal.rest) * warmth + rng.normal(0.0, signal.noise, MINUTES)
    return _quantise(values, signal.step)


def _quantise(values: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    steps: NDArray[np.float64] = np.maximum(np.round(values / step) * step, 0.0)
    return np.round(steps, 1)
