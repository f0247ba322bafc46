"""A real machine's quarter at rest: NIST's Mazak03 (../shared/data), a million values with stamps of their own, all of them text.

In: the recording. Out: its size in the store, gzipped as it was published, and an estimate of its information
(`bound.recording_bits`: which tag, the time step, the value, each stream by the cheapest of a few models, LZMA among them).
Every delivery is kept, repeated ones too; rows come in the order the agent delivered them, a frame an hour of the driven clock.
Data: NIST Smart Manufacturing Systems Test Bed.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.batch import Batch, Column, Template, TemplatePoint, ValueType
from benchmarks.bound import recording_bits
from benchmarks.size import Stored, fill, stored
from benchmarks.workload import HOUR_S, SECOND_US
from collector.clock import DrivenClock
from collector.folder import create_folder
from collector.revisions import apply_register
from config.settings import DEMO_PLANT

RECORDING = Path(__file__).resolve().parents[2] / "shared/data/nist-2019q2/Mazak03.csv.gz"
MACHINE = "Mazak03"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A recording as columns, in delivered order. `delivered_us`: the latest stamp so far."""

    stamps_us: NDArray[np.int64]
    delivered_us: NDArray[np.int64]
    tag: NDArray[np.int64]
    tags: tuple[str, ...]
    values: list[str]


@dataclass(frozen=True, slots=True)
class Quarter:
    """The figures."""

    stored: Stored
    bound_bytes: float
    parts: dict[str, float]  # bytes a row: tag, time, value
    gzip_bytes: float


def quarter(place: Path, recording: Path = RECORDING) -> Quarter:
    """Store the recording and weigh it."""
    rows = read(recording)
    n = len(rows.values)
    start_us = int(rows.delivered_us[0]) // (HOUR_S * SECOND_US) * HOUR_S * SECOND_US
    clock = DrivenClock(start_us)
    folder = create_folder(place / "nist", DEMO_PLANT, "replay", clock)
    register = place / "nist.toml"
    register.write_text(register_toml(rows.tags), encoding="utf-8")
    apply_register(folder, register, "benchmark", clock, "benchmarks")
    spent_s = fill(folder, clock, batches(rows, start_us), start_us)
    parts = {k: bits / 8 / n for k, bits in recording_bits(rows.stamps_us, rows.tag, rows.values).items()}
    return Quarter(stored(folder, n, n, spent_s), sum(parts.values()), parts, recording.stat().st_size / n)


def read(recording: Path) -> Rows:
    """The file's rows, repeated and late ones too."""
    with gzip.open(recording, "rt", encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        texts, names, values = zip(*lines, strict=True)
    stamps_us = np.array([(datetime.fromisoformat(t) - _EPOCH) // timedelta(microseconds=1) for t in texts], np.int64)
    tags = tuple(dict.fromkeys(names))
    number = {tag: i for i, tag in enumerate(tags)}
    codes = np.array([number[n] for n in names], np.int64)
    return Rows(stamps_us, np.maximum.accumulate(stamps_us), codes, tags, list(values))


def batches(rows: Rows, start_us: int) -> Iterator[tuple[int, list[Batch]]]:
    """(seconds since the start, batch) of each hour in which something was delivered."""
    template = Template("event", tuple(TemplatePoint(t, ValueType.STR) for t in rows.tags))
    hour = (rows.delivered_us - start_us) // (HOUR_S * SECOND_US)
    edges = [0, *(np.flatnonzero(np.diff(hour)) + 1).tolist(), len(hour)]
    for first, end in pairwise(edges):
        part = slice(first, end)
        n = end - first
        columns = (Column(rows.tag[part].astype(np.uint64)), Column(rows.values[part]))
        batch = Batch(
            MACHINE,
            template,
            rows.stamps_us[part],
            rows.delivered_us[part] - rows.stamps_us[part],
            np.zeros(n, np.uint8),
            np.zeros(n, np.uint32),
            columns,
            (None, None),
        )
        yield (int(hour[first]) + 1) * HOUR_S, [batch]


def register_toml(tags: tuple[str, ...]) -> str:
    """One machine whose points are all text; UNAVAILABLE is the agent's word for no value."""
    points = "".join(
        f'\n[[points.point]]\nname = "{t}"\ntype = "str"\nno_value = ["UNAVAILABLE"]\nnode = "ns=2;s={t}"\n'
        for t in tags
    )
    return _HEAD + points + _DEVICE


_HEAD = """format = "plantproof-register/1"

[[line]]
id = "NIST"
name = "NIST 智能制造试验台"

[[process]]
id = "cutting"
name = "切削加工"
line = "NIST"
key = true

[[points]]
id = "Mazak03"
kind = "event"
"""
_DEVICE = """
[[device]]
id = "Mazak03"
name = "Mazak03"
line = "NIST"
process = "cutting"
digital = true
in_service_from = 2019-04-01
interval_s = 3600
points = "Mazak03"
connection = { protocol = "opcua", endpoint = "opc.tcp://127.0.0.1:4840" }
"""
