"""Recordings collected over the wire: real servers, real adapters, the clock moved in step with the recorded time.

NIST: an hour is two steps. After its first second (the slots of all devices) the confirming reads, which must all be on disk; at its
last microsecond the rows delivered in it, which must be acknowledged (OPC UA: the server has our acknowledgement; MQTT: as many rows
are on disk as were recorded).
So each row lies in the hour in which it was delivered.
NAB: each sample is a step; the clock stands a second after its recorded time when it is read: every slot has come.
"""

from __future__ import annotations

import asyncio
import json
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.batch import Batch, Outcome
from adapters.contract import Identity, Site
from adapters.registry import build
from adapters.schedule import SLOT_US, SLOTS
from collector.capture import DRIVEN, Capture
from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.maintain import maintain
from collector.revisions import apply_register, registers
from config.settings import PlantTable
from simulators.recordings import Sample, read_rows
from simulators.replay import BY_MQTT, nab_register_toml
from simulators.replay_modbus import ModbusReplay

SLOTS_US = SLOTS * SLOT_US  # after a whole interval, until every device has had its slot
HOUR_US = 3_600_000_000
PLANT = PlantTable(name="NIST 智能制造试验台", credit_code="91620100MA0000000X", site="盖瑟斯堡")
PATIENCE_S = 120.0
FILES_AT_ONCE = 7  # days of journal that one maintenance takes in hand: what bounds its memory


async def collect_nist(
    recordings: Path, path: Path, start_us: int, end_us: int, *, broker_port: int, every_hour: bool
) -> DataFolder:
    """The recordings between two whole hours as a sealed data folder. Hours without rows are passed over unless `every_hour`."""
    clock = DrivenClock(start_us)
    folder = create_folder(path / "data", PLANT, "replay", clock)
    async with machines_of(recordings, broker_port) as machines:
        _apply(folder, path / "register.toml", machines.register, clock)
        async with collecting(folder, clock) as stored:
            await _nist_hours(stored, machines, clock, mqtt_deliveries(recordings), end_us, every_hour=every_hour)
        assert machines.next_us is None
    await _seal(folder, clock, end_us)
    return folder


async def collect_nab(samples: Sequence[Sample], path: Path) -> DataFolder:
    """Each sample read once. Where the recording's own clock goes back, the collector is started again with the clock set back."""
    clock = DrivenClock(samples[0].at_us + SLOTS_US)
    folder = create_folder(path / "data", PLANT, "replay", clock)
    machine = ModbusReplay(samples)
    await machine.start()
    try:
        _apply(folder, path / "register.toml", nab_register_toml(machine.port), clock)
        while machine.next_us is not None:
            clock = DrivenClock(machine.next_us + SLOTS_US)
            async with collecting(folder, clock) as stored:
                while machine.next_us is not None and machine.next_us + SLOTS_US >= clock.now_us():
                    clock.advance_to(machine.next_us + SLOTS_US)
                    wanted = stored.delivered["NAB"] + 1
                    await stored.until(lambda n=wanted: stored.delivered["NAB"] >= n)  # type: ignore[misc]
        assert machine.position == len(samples)
    finally:
        await machine.stop()
    await _seal(folder, clock, clock.now_us())
    return folder


class Machines:
    """The recorded NIST machines in the other process (`tests/e2e/replay_servers.py`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.register = ""
        self.next_us: int | None = None

    async def advance(self, until_us: int) -> None:
        """Everything delivered by that moment is told."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{until_us}\n".encode())
        await self.answer()

    async def answer(self) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        assert line, "the servers' process has ended"
        body: dict[str, Any] = json.loads(line)
        self.next_us = body["next_us"]
        self.register = body.get("register", self.register)


@asynccontextmanager
async def machines_of(recordings: Path, broker_port: int) -> AsyncIterator[Machines]:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.e2e.replay_servers", str(recordings), str(broker_port)]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 20)
    try:
        machines = Machines(process)
        await machines.answer()
        yield machines
    finally:
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


@dataclass
class Stored:
    """What the adapters have handed over and the journal has on disk."""

    folder: DataFolder
    capture: Capture
    rows: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)  # rows with outcome ok
    received_us: dict[str, int] = field(default_factory=dict)
    identified: set[str] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def emit(self, *batches: Batch, urgent: bool = False) -> None:
        await self.capture.emit(*batches, urgent=urgent)
        for batch in batches:
            self.rows[batch.device] += len(batch)
            self.delivered[batch.device] += int((batch.outcome == int(Outcome.OK)).sum())
            self.received_us[batch.device] = int(batch.source_us[-1] + batch.lag_us[-1])
        self._news.set()

    async def identify(self, identity: Identity) -> None:
        await self.capture.identify(identity)
        self.identified.add(identity.device)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()
        for _ in range(10):  # an adapter's round ends some turns of the loop after its rows are on disk
            await asyncio.sleep(0)


@asynccontextmanager
async def collecting(folder: DataFolder, clock: DrivenClock) -> AsyncIterator[Stored]:
    """Adapters and capture at work on the folder's register; on leaving, everything that was emitted is on disk."""
    maintenance = Maintenance(folder)
    capture = Capture(folder, clock, DRIVEN, maintenance.rotated)
    await capture.start("replay")
    stored = Stored(folder, capture)
    register = registers(folder)[-1].register
    tasks = [asyncio.create_task(a.run(stored.emit, stored.identify)) for a in build(register, Site(clock))]
    try:
        yield stored
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await capture.stop("replay")
        await maintenance.finish()
    assert all(isinstance(e, asyncio.CancelledError) for e in ends), ends


class Maintenance:
    """`plantproof store maintain` in a child, as in a plant, each time some days are in the journal."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._child: asyncio.subprocess.Process | None = None

    async def rotated(self) -> None:
        running = self._child is not None and self._child.returncode is None
        if not running and len(list(self._folder.journal.glob("*.jrn"))) > FILES_AT_ONCE:
            await self.finish()
            command = ["-m", "plantproof", "store", "maintain", "--data", str(self._folder.path)]
            quiet, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
            self._child = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=quiet, stderr=pipe)

    async def finish(self) -> None:
        if self._child is not None:
            _, talk = await asyncio.wait_for(self._child.communicate(), PATIENCE_S)
            assert self._child.returncode == 0, talk.decode()
            self._child = None


async def _nist_hours(
    stored: Stored,
    machines: Machines,
    clock: DrivenClock,
    by_mqtt: dict[str, list[int]],
    end_us: int,
    *,
    every_hour: bool,
) -> None:
    register = registers(stored.folder)[-1].register
    points = {d.id: len(register.point_set[d.id].points) for d in register.devices}
    read = [d.id for d in register.devices if d.connection and d.connection.protocol == "opcua"]
    await stored.until(lambda: len(stored.identified) == len(register.devices))
    await stored.until(lambda: all(stored.rows[d] > points[d] for d in read))  # each point's first value, and a read
    while clock.now_us() < end_us:
        await stored.until(lambda: all(stored.received_us.get(d) == clock.now_us() for d in read))
        hour_end_us = (clock.now_us() // HOUR_US + 1) * HOUR_US
        if machines.next_us is not None and machines.next_us < hour_end_us:
            clock.advance_to(hour_end_us - 1)
            await machines.advance(clock.now_us())
            told = {m: bisect_left(times, hour_end_us) for m, times in by_mqtt.items()}
            await stored.until(lambda n=told: all(stored.delivered[m] >= n[m] for m in n))  # type: ignore[misc]
        next_us = end_us if machines.next_us is None else machines.next_us // HOUR_US * HOUR_US
        clock.advance_to(SLOTS_US + (hour_end_us if every_hour else max(hour_end_us, next_us)))


async def _seal(folder: DataFolder, clock: DrivenClock, end_us: int) -> None:
    """The next start closes the last file and the last hour."""
    clock.advance_to((end_us // HOUR_US + 1) * HOUR_US)
    after = Capture(folder, clock, DRIVEN)
    await after.start("replay")
    await after.stop("replay")
    await asyncio.to_thread(maintain, folder)


def _apply(folder: DataFolder, path: Path, register: str, clock: DrivenClock) -> None:
    path.write_text(register, "utf-8")
    apply_register(folder, path, "首次建立台账", clock, "设备科")


def mqtt_deliveries(recordings: Path) -> dict[str, list[int]]:
    """When each row of the machines that speak MQTT was delivered, ascending."""
    files = {m: recordings / f"{m}.csv.gz" for m in BY_MQTT}
    return {m: [r.delivered_us for r in read_rows(p)] for m, p in files.items() if p.exists()}
