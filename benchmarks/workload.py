"""The reference workload (research/store.md §1): machines of ten points, polled once a second, their stamps shared by a poll.

In: how many devices and seconds, a seed. Out: `Workload`, arrays of shape (device, second), and the register and batches made of it.
Per device: a machine state with exponential dwell times (run 10, idle 2, set-up 6, alarm 3 minutes on average), mode, program, part
counter, spindle speed (a set point that changes every 30 s, ±1.5 rpm), spindle load (noisy integer), feed override, temperature
(slow approach with noise, 0.1 °C), power (0.01 kW, noisy), alarm; a network that fails now and then makes the row's quality bad.
Source stamp: poll phase + N(0, 1.5 ms); receipt: a log-normal lag of about 8 ms. Same seed, same workload.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.batch import BAD_COMMUNICATION, GOOD, Batch, Column, Template, TemplatePoint, ValueType
from adapters.rows import Rows
from adapters.values import Value

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
REFERENCE_DAY_US = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp()) * SECOND_US
HOUR_S = 3600
OFF, IDLE, RUN, SETUP, ALARM = range(5)
PROGRAMS = tuple(f"//CNC_MEM/USER/PATH1/O{1000 + 37 * k}" for k in range(60))
MODES = ("AUTO", "MDI", "JOG", "EDIT")
SPEEDS_RPM = np.array([800, 1200, 2000, 3500, 6000, 8000])
OVERRIDES = np.array([100, 100, 100, 80, 50, 120])
_DWELL_S = {OFF: 1800, IDLE: 120, RUN: 600, SETUP: 360, ALARM: 180}
_NEXT = {
    OFF: (0, 0.8, 0, 0.2, 0),
    IDLE: (0.03, 0, 0.72, 0.2, 0.05),
    RUN: (0, 0.75, 0, 0.1, 0.15),
    SETUP: (0.02, 0.28, 0.7, 0, 0),
    ALARM: (0, 0.6, 0, 0.4, 0),
}

WIDE = Template(
    "wide",
    (
        TemplatePoint("state", ValueType.I64),
        TemplatePoint("mode", ValueType.STR),
        TemplatePoint("program", ValueType.STR),
        TemplatePoint("part_count", ValueType.I64, "1"),
        TemplatePoint("spindle_speed", ValueType.I64, "{rev}/min"),
        TemplatePoint("spindle_load", ValueType.I64, "%"),
        TemplatePoint("feed_override", ValueType.I64, "%"),
        TemplatePoint("temp", ValueType.F64, "Cel"),
        TemplatePoint("power_kw", ValueType.F64, "kW"),
        TemplatePoint("alarm", ValueType.BOOL),
    ),
)
EVENT = Template("event", WIDE.points)
WORDS: dict[str, tuple[str, ...]] = {"mode": MODES, "program": PROGRAMS}  # codes of text points


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Arrays (device, second). `values` holds text points as codes into `WORDS`; `lag_us` is receipt minus source."""

    devices: tuple[str, ...]
    start_us: int
    source_us: NDArray[np.int64]
    lag_us: NDArray[np.int64]
    quality: NDArray[np.uint32]
    values: dict[str, NDArray[Any]]

    @property
    def seconds(self) -> int:
        """Polls of each device."""
        return int(self.source_us.shape[1])

    @property
    def points(self) -> int:
        """Values in all."""
        return self.source_us.size * len(WIDE.points)


def generate(devices: int, seconds: int, seed: int = 2026) -> Workload:
    """The last `seconds` of the reference day: a store can finish the day, whatever part of it there is."""
    start_us = REFERENCE_DAY_US + DAY_US - seconds * SECOND_US
    rng = np.random.default_rng(seed)
    machines = [_machine(np.random.default_rng((seed, d)), seconds) for d in range(devices)]
    values = {name: np.stack([m[name] for m in machines]) for name in machines[0] if name != "linked"}
    linked = np.stack([m["linked"] for m in machines])
    values["temp"] = _temperature(rng, values["state"] == RUN)
    phase_us = rng.integers(0, 900_000, (devices, 1))
    jitter_us = rng.normal(0, 1500, (devices, seconds))
    grid_us = start_us + np.arange(seconds, dtype=np.int64)[None, :] * SECOND_US
    lag_us = rng.uniform(4000, 12000, (devices, 1)) * rng.lognormal(0, 0.4, (devices, seconds))
    return Workload(
        tuple(f"CNC-{d + 1:03d}" for d in range(devices)),
        start_us,
        grid_us + phase_us + 10_000 + jitter_us.astype(np.int64),
        lag_us.astype(np.int64),
        np.where(linked, 0, BAD_COMMUNICATION).astype(np.uint32),
        values,
    )


def second_batches(work: Workload, second: int) -> list[Batch]:
    """What 200 adapters hand over in one second: a row for each device, of plain values, as `Rows` makes it of an answer."""
    cells = []
    for point in WIDE.points:
        now = work.values[point.name][:, second]
        cells.append(texts(point.name, now) if point.name in WORDS else now.tolist())
    good = [GOOD] * len(WIDE.points)
    source_us, lag_us = work.source_us[:, second].tolist(), work.lag_us[:, second].tolist()
    quality = work.quality[:, second].tolist()
    polls = zip(work.devices, source_us, lag_us, quality, zip(*cells, strict=True), strict=True)
    return [_poll(d, at, at + lag, values, good if q == GOOD else [q] * len(good)) for d, at, lag, q, values in polls]


def _poll(device: str, source_us: int, received_us: int, values: Sequence[Value], qualities: Sequence[int]) -> Batch:
    rows = Rows(device, WIDE)
    rows.wide(source_us, received_us, values, qualities)
    batch = rows.batch()
    if batch is None:
        raise AssertionError("a batch of one row cannot be empty")
    return batch


def hour_batches(work: Workload) -> Iterator[tuple[int, list[Batch]]]:
    """(second after the last row, batches) for each hour: a batch of 3,600 rows for each device."""
    for first in range(0, work.seconds, HOUR_S):
        end = min(first + HOUR_S, work.seconds)
        yield end, [_batch(work, d, slice(first, end)) for d in range(len(work.devices))]


def register_toml(devices: tuple[str, ...], kind: str = "wide") -> str:
    """The register of these machines: state map, output, automatic mode, two key parameters."""
    points = "".join(_POINT.format(name=p.name, type=p.type, extra=_EXTRA.get(p.name, "")) for p in WIDE.points)
    machines = "".join(_DEVICE.format(id=device) for device in devices)
    return _HEAD.format(kind=kind) + points + machines


def texts(name: str, codes: NDArray[Any]) -> list[str]:
    """Codes of a text point as text."""
    words = WORDS[name]
    return [words[c] for c in codes.tolist()]


def _machine(rng: np.random.Generator, seconds: int) -> dict[str, NDArray[Any]]:
    state, segment = _states(rng, seconds)
    run = state == RUN
    changed = run & (rng.random(seconds) < 1 / 30)
    step = np.cumsum(changed)
    speed = rng.choice(SPEEDS_RPM, step[-1] + 1)[step]
    base = rng.uniform(15, 70, step[-1] + 1)[step]
    load = np.where(run, np.clip(base + 6 * rng.standard_normal(seconds), 0, 150), 0)
    noise = rng.standard_normal(seconds)
    power = np.where(run, 3 + 0.08 * load + 0.2 * noise, 0.8 + 0.02 * noise).clip(0)
    turn = np.cumsum(rng.random(seconds) < 1 / 900)
    segments = int(segment[-1]) + 1
    by_hand = rng.integers(1, len(MODES), segments)[segment]
    return {
        "state": state,
        "mode": np.where((state == OFF) | (state == SETUP), by_hand, 0),
        "program": _programs(rng, state, segment),
        "part_count": rng.integers(0, 90_000) + (np.cumsum(run) / rng.uniform(60, 240)).astype(np.int64),
        "spindle_speed": np.where(run, speed + np.rint(1.5 * rng.standard_normal(seconds)), 0).astype(np.int64),
        "spindle_load": np.rint(load).astype(np.int64),
        "feed_override": rng.choice(OVERRIDES, turn[-1] + 1)[turn],
        "power_kw": np.rint(power * 100) / 100,
        "alarm": state == ALARM,
        "linked": _linked(rng, seconds),
    }


def _states(rng: np.random.Generator, seconds: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """State of each second, and the number of the stay it belongs to."""
    states, lengths = [int(rng.choice([IDLE, RUN, RUN, RUN, SETUP]))], []
    while True:
        lengths.append(max(1, int(rng.exponential(_DWELL_S[states[-1]]))))
        if sum(lengths) >= seconds:
            break
        states.append(int(rng.choice(5, p=_NEXT[states[-1]])))
    segment: NDArray[np.int64] = np.repeat(np.arange(len(states), dtype=np.int64), lengths)[:seconds]
    by_second: NDArray[np.int64] = np.repeat(np.array(states, np.int64), lengths)[:seconds]
    return by_second, segment


def _programs(rng: np.random.Generator, state: NDArray[np.int64], segment: NDArray[np.int64]) -> NDArray[np.int64]:
    """A set-up ends with another program."""
    ended = np.concatenate([[False], (segment[1:] != segment[:-1]) & (state[:-1] == SETUP)])
    change = np.cumsum(ended)
    loaded: NDArray[np.int64] = rng.integers(0, len(PROGRAMS), change[-1] + 1)[change]
    return loaded


def _linked(rng: np.random.Generator, seconds: int) -> NDArray[np.bool_]:
    """Connected except for stretches of about a minute, one in eleven hours."""
    linked = np.ones(seconds, np.bool_)
    for start in np.flatnonzero(rng.random(seconds) < 1 / 40_000):
        linked[start : start + 1 + int(rng.exponential(60))] = False
    return linked


def _temperature(rng: np.random.Generator, run: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One pass over time for all devices at once."""
    at = rng.uniform(25, 40, len(run))
    target = np.where(run, 42.0, 26.0).T.copy()
    found = rng.standard_normal(target.shape) * 0.03
    for second in range(len(target)):
        at = at + 0.001 * (target[second] - at) + found[second]
        found[second] = at
    return np.ascontiguousarray(np.rint(found.T * 10) / 10)


def _batch(work: Workload, device: int, rows: slice) -> Batch:
    source_us = work.source_us[device, rows]
    columns = []
    for name, values in work.values.items():
        part = values[device, rows]
        columns.append((name, Column(texts(name, part) if name in WORDS else part)))
    found = dict(columns)
    return Batch(
        work.devices[device],
        WIDE,
        source_us,
        work.lag_us[device, rows],
        np.zeros(len(source_us), np.uint8),
        work.quality[device, rows],
        tuple(found[p.name] for p in WIDE.points),
        (None,) * len(WIDE.points),
    )


_EXTRA = {
    "state": 'role = "state"\n',
    "part_count": 'role = "output"\n',
    "mode": 'role = "auto"\n',
    "program": 'role = "program"\n',
    "spindle_speed": "key_parameter = true\nlow = 0\nhigh = 12000\n",
    "temp": "key_parameter = true\nlow = -20\nhigh = 90\n",
}
_HEAD = """format = "plantproof-register/1"

[[line]]
id = "L1"
name = "基准产线"

[[process]]
id = "cutting"
name = "切削加工"
line = "L1"
key = true

[[points]]
id = "CNC"
kind = "{kind}"
state_map = {{ "0" = "off", "1" = "stop", "2" = "run", "3" = "stop", "4" = "stop" }}
"""
_POINT = """
[[points.point]]
name = "{name}"
type = "{type}"
node = "ns=2;s={{device}}.{name}"
{extra}"""
_DEVICE = """
[[device]]
id = "{id}"
name = "{id}"
line = "L1"
process = "cutting"
digital = true
in_service_from = 2026-01-01
interval_s = 1
points = "CNC"
connection = {{ protocol = "opcua", endpoint = "opc.tcp://127.0.0.1:4840", mode = "poll" }}
"""
