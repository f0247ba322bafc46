"""Bytes a point at rest: a whole day through emit, journal, segments, seal and day file, by a driven clock with a frame an hour.

In: a workload, or rows with stamps of their own. Out: `Stored`. Ten or twenty machines stand for two hundred: a day file has one row
group per device, so bytes a point do not depend on how many there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvloop

from adapters.batch import Batch, Column, ValueType
from benchmarks.ingest import cpu_s, new_folder
from benchmarks.workload import DAY_US, EVENT, HOUR_S, SECOND_US, WIDE, Workload, hour_batches, texts
from collector.capture import DRIVEN, Capture
from collector.clock import DrivenClock
from collector.folder import DataFolder
from collector.maintain import maintain

HOURS_AT_ONCE = 7 * 24


@dataclass(frozen=True, slots=True)
class Stored:
    """What a run left on disk."""

    folder: DataFolder
    points: int
    rows: int
    segment_bytes: int
    line_bytes: int
    cpu_s: float  # emit to sealed day

    @property
    def bytes_per_point(self) -> float:
        """Segments only: lines are evidence of an hour, not of a point."""
        return self.segment_bytes / self.points


def wide_day(path: Path, work: Workload) -> Stored:
    """Polls of a day, stamps shared by a poll."""
    folder, clock = new_folder(path, work)
    spent = fill(folder, clock, hour_batches(work), work.start_us)
    return stored(folder, work.points, work.source_us.size, spent)


def event_day(path: Path, work: Workload) -> Stored:
    """The same values, each with stamps of its own, in the order of arrival."""
    folder, clock = new_folder(path, work, "event")
    spent = fill(folder, clock, event_batches(work), work.start_us)
    return stored(folder, work.points, work.points, spent)


def fill(folder: DataFolder, clock: DrivenClock, hours: Iterable[tuple[int, list[Batch]]], start_us: int) -> float:
    """Emit (seconds since the start, batches) in turn, seal as it goes, and begin the day after; CPU seconds, without making batches."""
    return uvloop.run(_fill(folder, clock, hours, start_us))


def stored(folder: DataFolder, points: int, rows: int, spent_s: float) -> Stored:
    """Sizes of a finished folder."""
    segments = sum(p.stat().st_size for p in folder.segments.rglob("*.parquet"))
    lines = sum(p.stat().st_size for p in folder.hours.rglob("*.csv"))
    return Stored(folder, points, rows, segments, lines, spent_s)


def event_batches(work: Workload, seed: int = 7) -> Iterator[tuple[int, list[Batch]]]:
    """Hourly batches of single values: each point is sampled at its own moment of the second, with its own jitter and lag."""
    rng = np.random.default_rng(seed)
    moments_us = np.sort(rng.integers(0, 800_000, len(WIDE.points)))
    for first in range(0, work.seconds, HOUR_S):
        end = min(first + HOUR_S, work.seconds)
        seconds = slice(first, end)
        yield end, [_event_batch(work, d, seconds, moments_us, rng) for d in range(len(work.devices))]


def _event_batch(
    work: Workload, device: int, seconds: slice, moments_us: np.ndarray, rng: np.random.Generator
) -> Batch:
    n, points = seconds.stop - seconds.start, len(WIDE.points)
    grid_us = work.start_us + np.arange(seconds.start, seconds.stop, dtype=np.int64)[:, None] * SECOND_US
    source_us = (grid_us + moments_us + 20_000 + rng.normal(0, 1500, (n, points)).astype(np.int64)).reshape(-1)
    lag_us = np.median(work.lag_us[device]) * rng.lognormal(0, 0.4, n * points)
    order = np.argsort(source_us + lag_us, kind="stable")
    point = np.tile(np.arange(points, dtype=np.uint64), n)[order]
    columns = [Column(point)]
    for _, kind in EVENT.columns[1:]:
        columns.append(_typed(work, device, seconds, kind, order))
    return Batch(
        work.devices[device],
        EVENT,
        source_us[order],
        lag_us.astype(np.int64)[order],
        np.zeros(n * points, np.uint8),
        np.repeat(work.quality[device, seconds], points)[order],
        tuple(columns),
        (None,) * len(columns),
    )


def _typed(work: Workload, device: int, seconds: slice, kind: ValueType, order: np.ndarray) -> Column:
    """The column of one value type: values of the points that have it, nothing in the rows of the others."""
    n = seconds.stop - seconds.start
    mine = np.array([p.type is kind for p in WIDE.points])
    valid = np.tile(mine, n)[order]
    if kind is ValueType.STR:
        words = np.full((n, len(mine)), "", dtype=object)
        for i in np.flatnonzero(mine):
            name = WIDE.points[i].name
            words[:, i] = texts(name, work.values[name][device, seconds])
        return Column(words.reshape(-1)[order].tolist(), valid)
    values = np.zeros((n, len(mine)), work.values[WIDE.points[int(np.flatnonzero(mine)[0])].name].dtype)
    for i in np.flatnonzero(mine):
        values[:, i] = work.values[WIDE.points[i].name][device, seconds]
    return Column(values.reshape(-1)[order], valid)


async def _fill(
    folder: DataFolder, clock: DrivenClock, hours: Iterable[tuple[int, list[Batch]]], start_us: int
) -> float:
    capture = Capture(folder, clock, DRIVEN)
    await capture.start("benchmark")
    spent = 0.0
    for count, (end_s, batches) in enumerate(hours, 1):
        begun = cpu_s()
        clock.advance_to(start_us + end_s * SECOND_US - 1)
        await asyncio.gather(*(capture.emit(b) for b in batches))
        if count % HOURS_AT_ONCE == 0:
            maintain(folder)
        spent += cpu_s() - begun
    begun = cpu_s()
    clock.advance_to((clock.now_us() // DAY_US + 1) * DAY_US)
    await capture.tick()
    await capture.stop("benchmark done")
    maintain(folder)
    return spent + cpu_s() - begun
