"""Recordings collected over the wire: real servers in another process, real adapters, the clock moved in step with the recorded time.

An hour is two steps: at its start the confirming reads, which must all be on disk; at its last microsecond the rows delivered in it, which must
be acknowledged (OPC UA: the server has our acknowledgement; MQTT: as many rows on disk as were recorded). So each row lies in the hour it came in.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.batch import Batch, Outcome
from adapters.contract import Identity
from adapters.registry import build
from collector.capture import DRIVEN, Capture
from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.maintain import maintain
from collector.revisions import apply_register, registers
from config.register import Register
from config.settings import PlantTable
from simulators.recordings import read_rows
from simulators.replay import BY_MQTT
from tests.adapters.plant import free_port, wait_for_port

HOUR_US = 3_600_000_000
PLANT = PlantTable(name="NIST 智能制造试验台", credit_code="91620100MA0000000X", site="盖瑟斯堡")
PATIENCE_S = 120.0


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Debian's broker on a free port; 0 where it is not installed (the servers then bring an embedded one)."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
    if program is None:
        yield 0
        return
    port, config = free_port(), folder / "mosquitto.conf"
    limits = "max_inflight_messages 0\nmax_queued_messages 0\n"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{limits}")
    folder.chmod(0o755)
    config.chmod(0o644)  # mosquitto gives up root before it reads it
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([program, "-c", str(config)], **quiet) as process:
        try:
            yield port
        finally:
            process.terminate()


class Servers:
    """The recorded machines in the other process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.register = ""
        self.next_us: int | None = None
        self.rows = 0

    async def advance(self, until_us: int) -> None:
        """Everything delivered by that moment is told."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{until_us}\n".encode())
        answer = await self.answer()
        self.rows += answer["rows"]

    async def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        body: dict[str, Any] = json.loads(line)
        self.next_us = body["next_us"]
        return body


@asynccontextmanager
async def servers(recordings: Path, broker_port: int) -> AsyncIterator[Servers]:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.e2e.replay_servers", str(recordings), str(broker_port)]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 20)
    try:
        found = Servers(process)
        found.register = (await found.answer())["register"]
        yield found
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


@dataclass
class Stored:
    """What the adapters have handed over and the journal has on disk."""

    capture: Capture
    delivered: Counter[str] = field(default_factory=Counter)  # rows with outcome ok
    received_us: dict[str, int] = field(default_factory=dict)
    identified: dict[str, str] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def emit(self, batch: Batch) -> None:
        await self.capture.emit(batch)
        self.delivered[batch.device] += int((batch.outcome == int(Outcome.OK)).sum())
        self.received_us[batch.device] = int(batch.source_us[-1] + batch.lag_us[-1])
        self._news.set()

    async def identify(self, identity: Identity) -> None:
        await self.capture.identify(identity)
        self.identified[identity.device] = identity.origin
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()


async def collect_nist(recordings: Path, path: Path, start_us: int, end_us: int, *, every_hour: bool) -> DataFolder:
    """The recordings from `start_us` to `end_us` (whole hours) as a sealed data folder. Hours without rows are passed over unless `every_hour`."""
    clock = DrivenClock(start_us)
    folder = create_folder(path / "data", PLANT, "replay", clock)
    with mosquitto(path) as port:
        async with servers(recordings, port) as machines:
            (path / "register.toml").write_text(machines.register)
            apply_register(folder, path / "register.toml", "首次建立台账", clock, "设备科")
            await _collect(folder, machines, clock, mqtt_deliveries(recordings), end_us, every_hour=every_hour)
            assert machines.next_us is None
    return folder


async def _collect(
    folder: DataFolder, machines: Servers, clock: DrivenClock, by_mqtt: dict[str, list[int]], end_us: int, *, every_hour: bool
) -> None:
    async def rotated() -> None:
        if len(list(folder.journal.iterdir())) > DAYS_AT_ONCE:
            await asyncio.to_thread(maintain, folder)

    capture = Capture(folder, clock, DRIVEN, rotated)
    await capture.start("replay")
    stored = Stored(capture)
    register: Register = registers(folder)[-1].register
    polled = [d.id for d in register.devices if d.connection and d.connection.protocol == "opcua"]
    tasks = [asyncio.create_task(a.run(stored.emit, stored.identify)) for a in build(register, clock)]
    try:
        await stored.until(lambda: len(stored.identified) == len(register.devices))
        while clock.now_us() < end_us:
            await stored.until(lambda: all(stored.received_us.get(d) == clock.now_us() for d in polled))
            hour_end_us = (clock.now_us() // HOUR_US + 1) * HOUR_US
            if machines.next_us is not None and machines.next_us < hour_end_us:
                clock.advance_to(hour_end_us - 1)
                await machines.advance(clock.now_us())
                told = {m: sum(t < hour_end_us for t in times) for m, times in by_mqtt.items()}
                await stored.until(lambda told=told: all(stored.delivered[m] >= n for m, n in told.items()))
            clock.advance_to(hour_end_us if every_hour else _next_hour(machines, hour_end_us, end_us))
    finally:
        for task in tasks:
            task.cancel()
        failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(f, asyncio.CancelledError) for f in failures), failures
    await capture.stop("replay")
    after = Capture(folder, clock, DRIVEN)  # the next start closes the file and the last hour
    clock.advance_to(end_us + 24 * HOUR_US)
    await after.start("replay")
    await after.stop("replay")
    maintain(folder)


DAYS_AT_ONCE = 4


def _next_hour(machines: Servers, hour_end_us: int, end_us: int) -> int:
    if machines.next_us is None:
        return end_us
    return max(hour_end_us, machines.next_us // HOUR_US * HOUR_US)


def mqtt_deliveries(recordings: Path) -> dict[str, list[int]]:
    """When each row of the machines that speak MQTT was delivered."""
    files = {m: recordings / f"{m}.csv.gz" for m in BY_MQTT}
    return {m: [r.delivered_us for r in read_rows(p)] for m, p in files.items() if p.exists()}
