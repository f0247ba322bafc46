"""A register applied while collecting: only the connections it changes are touched, whatever happens to one of them."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.batch import Batch, Outcome
from adapters.contract import Emit, Identify, Site
from adapters.registry import connections
from adapters.rows import failed_batch
from adapters.template import Source
from collector import journal, run
from collector.folder import DataFolder
from collector.revisions import registers
from collector.run import Collector
from config.settings import StoreTable
from simulators.story import Story
from simulators.workshop import Ports, register_toml
from tests.builders import FIRST_HOUR, HOUR_US, SECOND_US, Driver

T0 = FIRST_HOUR * HOUR_US
PATIENCE_S = 20
HEAD = """
format = "plantproof-register/1"
[[line]]
id = "L1"
name = "一线"
[[points]]
id = "m"
[[points.point]]
name = "speed"
type = "f64"
table = "holding_register"
address = 0
wire = "f32"
"""


def a_register(*devices: tuple[str, int, int, int]) -> str:
    """Devices of (id, port, unit, interval_s): those of one port share a connection."""
    return HEAD + "".join(
        f"""
[[device]]
id = "{device}"
name = "{device}"
line = "L1"
in_service_from = 2026-01-01
interval_s = {interval_s}
points = "m"
connection = {{ protocol = "modbus", host = "127.0.0.1", port = {port}, unit = {unit} }}
"""
        for device, port, unit, interval_s in devices
    )


A, B, C = ("A", 1502, 1, 1), ("B", 1502, 2, 1), ("C", 1503, 1, 1)


@dataclass
class Fake:
    """An adapter that writes down what is done to it."""

    sources: Sequence[Source]
    done: list[str] = field(default_factory=list)
    given: list[dict[str, int]] = field(default_factory=list)
    fails: bool = False

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(s.device for s in self.sources)

    async def run(self, emit: Emit, identify: Identify) -> None:
        self.done.append("began")
        try:
            await emit(failed_batch(self.sources[0].device, self.sources[0].template, T0, Outcome.SILENT))
            await asyncio.Event().wait()
        finally:
            self.done.append("ended")

    async def apply(self, sources: Sequence[Source]) -> None:
        self.done.append("applied")
        self.given.append({s.device: s.interval_s for s in sources})
        if self.fails:
            raise RuntimeError("a bug")
        self.sources = sources

    async def read_once(self) -> list[Batch]:
        return []


class Plant:
    """A collector at work with fakes; `made` holds every adapter ever made, in order."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.made: list[Fake] = []
        self.collector = Collector(driver.folder, StoreTable(flush_ms=20))
        self.task: asyncio.Task[None] | None = None

    def make(self, sources: Sequence[Source], _site: Site) -> Fake:
        self.made.append(Fake(sources))
        return self.made[-1]

    def of(self, *devices: str) -> Fake:
        """The newest adapter made for these devices."""
        return [f for f in self.made if f.devices == devices][-1]

    async def apply(self, *devices: tuple[str, int, int, int]) -> None:
        """Apply a register and wait until the collector has taken it over."""
        self.driver.clock.advance_to(self.driver.clock.now_us() + 1_000_000)
        rev = self.driver.register(a_register(*devices))
        self.collector._register_changed.set()
        await self.until(lambda: self.collector._revision == rev and not self.collector._register_changed.is_set())

    async def until(self, true: Callable[[], Any]) -> None:
        assert self.task is not None
        async with asyncio.timeout(PATIENCE_S):
            while not true() or any(f.done == [] for f in self.made):
                assert not self.task.done(), self.task
                await asyncio.sleep(0.01)


@asynccontextmanager
async def collecting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *devices: tuple[str, int, int, int]
) -> AsyncIterator[Plant]:
    driver = Driver(tmp_path, T0)
    driver.register(a_register(*devices))
    plant = Plant(driver)
    monkeypatch.setattr(run, "adapter_of", plant.make)
    await plant.collector._capture.start("test")
    plant.task = asyncio.create_task(plant.collector._collect())
    try:
        await plant.until(lambda: plant.made)
        yield plant
    finally:
        plant.task.cancel()
        await asyncio.gather(plant.task, return_exceptions=True)
        await plant.collector._capture.stop("test")


async def test_a_new_connection_begins_and_the_others_are_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(tmp_path, monkeypatch, A, B) as plant:
        await plant.apply(A, B, C)
        assert [f.devices for f in plant.made] == [("A", "B"), ("C",)]
        assert [f.done for f in plant.made] == [["began"], ["began"]]


async def test_a_device_that_joins_a_connection_is_handed_to_its_adapter_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(tmp_path, monkeypatch, A, C) as plant:
        before = list(plant.of("A").sources)
        await plant.apply(A, B, C)
        assert len(plant.made) == 2
        assert plant.of("A", "B").done == ["began", "applied"]
        assert plant.of("A", "B").sources[0] == before[0]  # equal: the adapter leaves it alone
        assert plant.of("C").done == ["began"]


async def test_a_connection_without_devices_ends_and_the_others_are_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(tmp_path, monkeypatch, A, B, C) as plant:
        await plant.until(lambda: set(plant.collector._state) == {"A", "C"})
        await plant.apply(A, B)
        assert plant.of("C").done == ["began", "ended"]
        assert plant.of("A", "B").done == ["began"]
        assert set(plant.collector._state) == {"A"}  # nothing is shown of a device that is no longer there


async def test_a_changed_interval_is_told_to_its_connection_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(tmp_path, monkeypatch, A, B, C) as plant:
        await plant.apply(A, ("B", 1502, 2, 30), C)
        assert plant.of("A", "B").given == [{"A": 1, "B": 30}]
        assert plant.of("C").done == ["began"]
        await plant.apply(A, ("B", 1502, 2, 30), ("C", 1503, 1, 5))
        assert plant.of("A", "B").done == ["began", "applied"]
        assert plant.of("C").given == [{"C": 5}]


async def test_a_register_that_changes_nothing_of_the_connections_touches_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(tmp_path, monkeypatch, A, C) as plant:
        manual = '[[device]]\nid = "M"\nname = "M"\nline = "L1"\nin_service_from = 2026-01-01\n'
        rev = plant.driver.register(a_register(A, C) + manual)
        plant.collector._register_changed.set()
        await plant.until(lambda: plant.collector._revision == rev)
        assert [f.done for f in plant.made] == [["began"], ["began"]]


async def test_an_adapter_that_cannot_take_over_begins_anew_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(tmp_path, monkeypatch, A, C) as plant:
        broken = plant.of("A")
        broken.fails = True
        await plant.apply(A, B, C)
        await plant.until(lambda: len(plant.made) == 3)
        assert broken.done == ["began", "applied", "ended"]
        assert plant.of("A", "B").done == ["began"]
        assert plant.of("C").done == ["began"]


@pytest.fixture
def ports() -> Iterator[Ports]:
    """The demo's machines as real servers on loopback."""
    with subprocess.Popen(
        [sys.executable, "-m", "plantproof", "simulate"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Ports(**json.loads(process.stdout.readline()))
        process.terminate()


def workshop(ports: Ports, *left_out: str, **interval_s: int) -> str:
    """The demo's register, polled each second: MQTT nodes say what they say by themselves. What names a machine left out goes too."""
    found = re.split(r"^(?=\[\[)", register_toml(Story(date(2026, 11, 22)), 2, ports), flags=re.M)
    kept = []
    for text in found:
        kind, _, body = text.partition("]]")
        table = tomllib.loads(body) if kind in ("[[device", "[[parameter", "[[item") else {}
        device = table.get("device", table.get("id", "") if kind == "[[device" else "")
        every = interval_s.get(device.replace("-", "_"), 60 if "mqtt" in text else 1)
        if device not in left_out:
            kept.append(text.replace("interval_s = 60", f"interval_s = {every}"))
    return "".join(kept)


def stored(folder: DataFolder) -> tuple[dict[str, list[tuple[int, int]]], Counter[str]]:
    """(source time, outcome) of each device's rows in the journal, in order; how often each peer said who it is."""
    rows: dict[str, list[tuple[int, int]]] = {}
    identities: Counter[str] = Counter()
    for path in journal.files(folder.journal):
        for frame in journal.read_file(path, tail=True):
            if frame.control and frame.control["kind"] == "identity":
                identities[frame.control["device"]] += 1
            for block in frame.blocks:
                devices = [d for d, n in zip(block.devices, block.counts.tolist(), strict=True) for _ in range(n)]
                for device, at, outcome in zip(devices, block.source_us.tolist(), block.outcome.tolist(), strict=True):
                    rows.setdefault(device, []).append((at, outcome))
    return rows, identities


async def test_theme_20_real_machines_that_a_register_does_not_change_notice_nothing(
    tmp_path: Path, ports: Ports
) -> None:
    added, gone, slower = "L2-INJ-02", "L1-SAW-01", "L1-CNC-02"
    driver = Driver(tmp_path, T0)
    driver.register(workshop(ports, added))
    collector = Collector(driver.folder, StoreTable(flush_ms=50))
    await collector._capture.start("test")
    task = asyncio.create_task(collector._collect())

    async def until(true: Callable[[dict[str, list[tuple[int, int]]]], Any]) -> None:
        async with asyncio.timeout(60):
            while not true(stored(driver.folder)[0]):
                assert not task.done(), task
                await asyncio.sleep(0.2)

    links = connections(registers(driver.folder)[-1].register, collector._clock.now_us())
    polled = [s.device for link, sources in links.items() for s in sources if link[0] != "mqtt"]
    await until(lambda rows: all(len(rows.get(d, [])) >= 3 for d in polled))
    before, said = stored(driver.folder)
    driver.clock.advance_to(driver.clock.now_us() + SECOND_US)
    driver.register(workshop(ports, gone, L1_CNC_02=2))
    collector._register_changed.set()
    await until(lambda rows: len(rows.get(added, [])) >= 3)
    ended = len(stored(driver.folder)[0][gone])
    untouched = [d for d in polled if d not in (gone, slower)]
    await until(lambda rows: all(len(rows[d]) >= len(before[d]) + 4 for d in untouched))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await collector._capture.stop("test")
    rows, said_later = stored(driver.folder)
    for device, seen in rows.items():
        stamps = [at for at, outcome in seen if outcome == 0]
        if device != slower:  # that one began anew: its standing value is read again, under the same source time
            assert sorted(set(stamps)) == stamps, f"{device}: a row twice or out of order"
        since = {outcome for _, outcome in seen[len(before.get(device, [])) :]}
        assert since <= {0, 1}, f"{device}: {seen}"  # 1: asked again, nothing had moved
    assert len(rows[gone]) == ended
    assert {d: n for d, n in said_later.items() if d != added} == dict(said)  # nobody was connected to a second time
    assert len({at // SECOND_US for at, _ in rows[slower]}) < len({at // SECOND_US for at, _ in rows["L1-CNC-01"]})
