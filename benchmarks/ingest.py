"""Durable ingest, from batches to a sealed day: CPU per point of each stage, and how long one second's frame waits for the disk.

In: devices and seconds. Out: `Ingest`. The way is the product's own: `Capture.emit` from one task per device (a frame a second,
each fdatasynced and acknowledged), a journal file each ten minutes, `maintain` after each (segments, and hours as they end:
lines, commitments, Merkle root, leaf), at the end the day file. The workload ends with its UTC day. Making the batches is the
adapters' work and not counted. `maintain` runs in a child, as with a live collector; its start and imports are not counted.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import uvloop

from adapters.batch import Batch
from benchmarks.workload import SECOND_US, Workload, register_toml, second_batches
from collector.capture import Capture, Cutting
from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder, open_folder
from collector.maintain import maintain
from collector.revisions import apply_register
from collector.seal import seal_hours
from config.settings import DEMO_PLANT

FILE_US = 600 * SECOND_US


@dataclass(slots=True)
class Ingest:
    """CPU seconds by stage and the latencies of each second's frame."""

    points: int
    capture_cpu_s: float = 0.0
    maintain_cpu_s: float = 0.0
    seal_cpu_s: float = 0.0  # of maintain
    append_ms: list[float] = field(default_factory=list)
    frames: int = 0
    sealed: int = 0

    @property
    def cpu_s(self) -> float:
        """The whole path."""
        return self.capture_cpu_s + self.maintain_cpu_s

    @property
    def unsealed_cpu_s(self) -> float:
        """Journal, segments and day file."""
        return self.cpu_s - self.seal_cpu_s

    def append_p(self, percent: float) -> float:
        """Percentile of the acknowledgement latency in ms."""
        return float(np.percentile(self.append_ms, percent))


def new_folder(path: Path, work: Workload, kind: str = "wide") -> tuple[DataFolder, DrivenClock]:
    """A simulated plant whose register holds the workload's devices."""
    clock = DrivenClock(work.start_us)
    folder = create_folder(path, DEMO_PLANT, "simulated", clock)
    file = path.parent / f"{path.name}.toml"
    file.write_text(register_toml(work.devices, kind), encoding="utf-8")
    apply_register(folder, file, "benchmark", clock, "benchmarks")
    return folder, clock


def ingest(path: Path, work: Workload) -> Ingest:
    """Run the whole path over the workload."""
    found = Ingest(work.points)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as maintainer:
        maintainer.submit(cpu_s).result()  # started and imported before anything counts
        uvloop.run(_ingest(path, work, found, maintainer))
    return found


def maintain_counted(path: Path) -> tuple[float, float, int]:
    """`maintain` in a process of its own: (CPU seconds, of these for sealing, hours sealed)."""
    sealing = 0.0

    def sealed(*arguments: Any) -> Any:
        nonlocal sealing
        begun = cpu_s()
        lines = seal_hours(*arguments)
        sealing += cpu_s() - begun
        return lines

    begun = cpu_s()
    with patch("collector.maintain.seal_hours", sealed):
        report = maintain(open_folder(path))
    return cpu_s() - begun, sealing, report.sealed


async def _ingest(path: Path, work: Workload, found: Ingest, maintainer: Executor) -> None:
    folder, clock = new_folder(path, work)

    async def rotated() -> (
        None
    ):  # the driven clock is in a hurry: what happens beside the next ten minutes happens before them here
        cpu, sealing, sealed = maintainer.submit(maintain_counted, folder.path).result()
        found.maintain_cpu_s, found.seal_cpu_s = found.maintain_cpu_s + cpu, found.seal_cpu_s + sealing
        found.sealed += sealed

    capture = Capture(folder, clock, Cutting(flush_ms=0, file_us=FILE_US), rotated)
    await capture.start("benchmark")
    plant = _Plant(work, clock, capture, found)
    begun = time.process_time()
    await asyncio.gather(plant.first_device(), *(plant.device(i) for i in range(1, len(work.devices))))
    clock.advance_to(
        work.start_us + work.seconds * SECOND_US
    )  # the next day: the last hour is sealed, the day file written
    await capture.tick()
    found.capture_cpu_s = time.process_time() - begun - plant.making_cpu_s
    await capture.stop("benchmark done")
    found.frames = capture.frames
    await rotated()


class _Plant:
    """One task per device: the next poll is handed over when the last one is acknowledged, as adapters do."""

    def __init__(self, work: Workload, clock: DrivenClock, capture: Capture, found: Ingest) -> None:
        self._work, self._clock, self._capture, self._found = work, clock, capture, found
        self._polls: list[Batch] = []
        self._before: list[Batch] = []  # freed where they are made: the adapters' work, too
        self.making_cpu_s = 0.0

    async def first_device(self) -> None:
        """Also makes everybody's polls of a second, moves the clock, and measures: one frame takes what one turn of the loop emits."""
        found = self._found
        for second in range(self._work.seconds):
            begun = time.process_time()
            self._before, self._polls = self._polls, second_batches(self._work, second)
            self.making_cpu_s += time.process_time() - begun
            self._clock.advance_to(self._work.start_us + (second + 1) * SECOND_US - 1)
            wall, maintained = time.perf_counter(), found.maintain_cpu_s
            await self._capture.emit(self._polls[0])
            if found.maintain_cpu_s == maintained:  # live, that is a child's work
                found.append_ms.append((time.perf_counter() - wall) * 1000)

    async def device(self, number: int) -> None:
        """Any other device."""
        for _ in range(self._work.seconds):
            await self._capture.emit(self._polls[number])


def cpu_s() -> float:
    """CPU seconds of this process with all its threads and ended children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
