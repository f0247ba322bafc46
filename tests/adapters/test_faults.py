"""What can go wrong on the way, over every protocol, and what arrived held against what the server says it served.

For each protocol one real server counts (counting.py) while every fault (faults.py) runs at once, each through a proxy of its own: m1 and
m3 are behind the proxy, m2 is at the server itself. Then each fault is a test: nothing invented, nothing under another tag, nothing
twice, what is missing stands beside a recorded reason, and each device has a row in each interval throughout.

Bits are flipped in headers only: in the first byte's upper half and the length of an MQTT packet; in kind, size, sequence and request
number of an OPC UA chunk; in transaction, length, unit, function and byte count of a Modbus answer. These protocols carry no checksum: a
value, a topic or the retain bit that TCP let pass altered cannot be told from another value, topic or retained message.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from adapters.batch import Batch, Outcome
from adapters.mqtt import link
from tests.adapters.counting import COUNTING, DEVICES, Counting, number_of
from tests.adapters.faults import ABSURD, FAULTS, Fault, counted, one_byte_at_a_time
from tests.adapters.plant import PATIENCE_S, Recorder, Running, rows_of
from tests.adapters.proxy import FaultProxy, proxied, unchanged

SLACK_US = 3_000_000  # a missing number in a Sparkplug sequence is waited for


@dataclass
class Story:
    """One fault: who served, what came, how often was connected."""

    server: Counting
    recorder: Journal
    connections: int = 0
    took_s: float = 0.0
    failure: BaseException | None = None
    contact_in_fault: int = 0
    settled: dict[str, int] = field(default_factory=dict)  # numbers up to here have come, or will not come any more


@dataclass
class Journal(Recorder):
    """Rows with the time at which they were handed over."""

    came: list[tuple[float, Batch]] = field(default_factory=list)

    async def emit(self, *batches: Batch, urgent: bool = False) -> None:
        self.came += [(time.monotonic(), b) for b in batches]
        await super().emit(*batches, urgent=urgent)

    def numbers(self, device: str) -> set[int]:
        """Every number that arrived."""
        return {number_of(v) for row in self.rows(device) for v in row["values"].values()}


@dataclass
class World:
    """One protocol: its server, what came of each fault, and what was left open at the end."""

    name: str
    stories: dict[str, Story] = field(default_factory=dict)
    late_s: float = 0.0  # the loop's own worst
    left_tasks: list[str] = field(default_factory=list)
    left_files: int = 0

    @property
    def protocol(self) -> str:
        return "mqtt" if self.name == "sparkplug" else self.name.split("-")[0]

    async def live(self) -> None:
        """Every fault at once, behind one server; a Modbus server counts its answers, so each fault has its own."""
        shared = COUNTING[self.name]()
        own = {f: COUNTING[self.name]() for f in FAULTS if self.name == "modbus"}
        servers = [*own.values()] or [shared]
        for server in servers:
            await server.start()
        try:
            await self._live({f: own.get(f, shared) for f in FAULTS})
            for server in servers:
                await server.pause()
        finally:
            for server in servers:
                await server.stop()

    async def _live(self, servers: dict[Fault, Counting]) -> None:
        heart = asyncio.create_task(self._beat())
        tasks, files = set(asyncio.all_tasks()), open_files()
        await asyncio.gather(*(self._suffer(f, s) for f, s in servers.items()))
        deadline = time.monotonic() + PATIENCE_S / 3
        while time.monotonic() < deadline:
            left = [t.get_coro() for t in asyncio.all_tasks() - tasks if not t.done()]
            self.left_tasks = [repr(c) for c in left if "/asyncua/server/" not in str(c.cr_code)]
            self.left_files = open_files() - files
            if not self.left_tasks and self.left_files <= 0:
                break
            await asyncio.sleep(0.1)
        heart.cancel()

    async def _beat(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            self.late_s = max(self.late_s, time.monotonic() - before - 0.05)

    async def _suffer(self, fault: Fault, server: Counting) -> None:
        story = self.stories[fault.__name__] = Story(server, Journal())
        try:
            async with proxied(server.port) as proxy:
                register = server.register(f"f{FAULTS.index(fault)}", proxy.port)
                began = time.monotonic()
                async with Running(register, story.recorder):
                    await self._through(fault, proxy, story)
                story.connections, story.took_s = proxy.connections, time.monotonic() - began
        except Exception as err:  # told by the fault's own test
            story.failure = err

    async def _through(self, fault: Fault, proxy: FaultProxy, story: Story) -> None:
        recorder = story.recorder
        await recorder.until(lambda: all(map(recorder.numbers, DEVICES)), "values of all devices")
        before = len(recorder.batches)
        await fault(proxy, self.protocol)
        during = [r for b in recorder.batches[before:] if b.device != "m2" for r in rows_of(b)]
        story.contact_in_fault = sum(r["outcome"].is_contact for r in during)
        proxy.up = proxy.down = unchanged
        proxy.drip, proxy.delay_s = False, 0.0
        proxy.flowing.set()
        newest = {d: max(story.server.numbers(d) or {0}) for d in DEVICES}
        await recorder.until(
            lambda: all(max(recorder.numbers(d)) > newest[d] for d in DEVICES), "values served after it was healed"
        )
        story.settled = {d: max(recorder.numbers(d)) for d in DEVICES}
        if (
            story.server.kind == "event"
        ):  # a read is ahead of the notifications of its second, by five numbers five of them
            await recorder.until(
                lambda: all(len([n for n in recorder.numbers(d) if n > story.settled[d]]) > 5 for d in DEVICES),
                "what was on its way",
            )


def open_files() -> int:
    """Descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=sorted(COUNTING))
async def world(request: pytest.FixtureRequest) -> World:
    """Lived through once for all tests of a protocol."""
    made = World(request.param)
    await made.live()
    return made


@pytest.fixture(params=[f.__name__ for f in FAULTS])
def story(world: World, request: pytest.FixtureRequest) -> Story:
    found = world.stories[request.param]
    if found.failure is not None:
        raise found.failure
    return found


def keys(world: World, story: Story, rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What makes an arrived value the same as another: its point, its value, its source time where the protocol has one."""
    for row in rows:
        if row["outcome"] is Outcome.OK:
            stamp = 0 if world.name == "modbus" else row["source_us"]
            if story.server.kind == "wide":
                yield tuple(sorted(row["values"].items())), stamp
            else:
                yield row["point"], row["values"].get(row["point"]), stamp


def test_nothing_is_invented_and_nothing_comes_under_another_tag(world: World, story: Story) -> None:
    for device in DEVICES:
        for row in story.recorder.rows(device):
            stamps: set[int] = set()
            for point, value in row["values"].items():
                assert (device, point, value) in story.server.served
                stamps |= story.server.served[device, point, value]
            if row["values"] and world.name != "modbus":
                assert row["source_us"] in stamps


def test_answers_of_a_poll_belong_to_its_own_questions(world: World, story: Story) -> None:
    for device in ("m1", "m3"):
        before = 0
        for row in story.recorder.rows(device) if world.name == "modbus" else ():  # which alone counts its answers
            found = sorted(number_of(v) for v in row["values"].values())
            if found:
                assert found[0] > before
                assert found == list(range(found[0], found[0] + len(found)))
                before = found[-1]


def test_nothing_is_stored_twice(world: World, story: Story) -> None:
    for device in DEVICES:
        found = Counter(keys(world, story, story.recorder.rows(device)))
        assert {key: n for key, n in found.items() if n > 1} == {}


def test_what_is_missing_stands_beside_a_recorded_reason(world: World, story: Story) -> None:
    for device in DEVICES:
        rows = story.recorder.rows(device)
        if world.name == "mqtt":  # QoS 1 and a session that stays: nothing may be missing but what could not be read
            missing = missing_numbers(story, device, rows)
            assert len(missing) <= [r["outcome"] for r in rows].count(Outcome.REJECTED)
        elif story.server.kind == "event":
            assert unexplained(story, device, rows) == []
        else:
            assert [r for r in rows if r["outcome"].is_contact and not r["values"]] == []


def missing_numbers(story: Story, device: str, rows: list[dict[str, Any]]) -> set[int]:
    found = {number_of(v) for row in rows for v in row["values"].values()}
    return {n for n in story.server.numbers(device) if min(found) < n < max(found)} - found


def unexplained(story: Story, device: str, rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Values that never came, with no failed row between the one before and the one after."""
    reasons = [r["source_us"] for r in rows if not r["outcome"].is_contact]
    left = []
    for point in ("alpha", "beta", "label"):
        here = {number_of(r["values"][point]): r for r in rows if point in r["values"]}
        numbers = sorted(n for n in here if n <= story.settled[device])
        for one, two in itertools.pairwise(numbers):
            lost = [n for n in story.server.numbers(device) if one < n < two]
            since = here[one]["source_us"]
            until = here[two]["source_us"] + here[two]["lag_us"] + SLACK_US
            if lost and not any(since <= r <= until for r in reasons):
                left += [(point, n) for n in lost]
    return left


def test_every_device_has_a_row_in_each_interval(world: World, story: Story) -> None:
    for device in DEVICES:
        came = [at for at, b in story.recorder.came if b.device == device]
        pauses = [b - a for a, b in itertools.pairwise(came)]
        assert max(pauses) < 2.5 + world.late_s


def test_the_device_at_the_healthy_port_is_in_contact_throughout(world: World, story: Story) -> None:
    outcomes = itertools.dropwhile(
        lambda o: not o.is_contact, story.recorder.outcomes("m2")
    )  # Sparkplug: before a birth
    assert {o for o in outcomes if not o.is_contact} == set()


def test_slow_bytes_are_no_fault(world: World) -> None:
    story = world.stories[one_byte_at_a_time.__name__]
    assert story.contact_in_fault >= 2


def test_theme_3_a_port_that_comes_and_goes_is_not_stormed(world: World) -> None:
    for story in world.stories.values():
        assert story.connections <= 2 * story.took_s + 4


def test_nothing_is_left_open_at_the_end(world: World) -> None:
    assert world.left_tasks == []
    assert world.left_files <= 0


@pytest.mark.parametrize("name", ["mqtt", "sparkplug"])
async def test_a_false_length_does_not_swallow_a_broker_for_good(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "KEEP_ALIVE_S", 1)
    monkeypatch.setattr(link, "_SLOWEST", 1_000_000)
    server = COUNTING[name]()
    await server.start()
    try:
        async with proxied(server.port) as proxy, Running(server.register("x", proxy.port), Journal()) as recorder:
            assert isinstance(recorder, Journal)
            await recorder.until(lambda: all(map(recorder.numbers, DEVICES)), "values of all devices")
            place, length = ABSURD["mqtt"]
            proxy.down = counted(lambda k, data: data if k > 1 else data[:place] + length + data[place + 1 :])
            connections, newest = proxy.connections, max(recorder.numbers("m1"))
            await recorder.until(lambda: proxy.connections > connections, "a new connection")
            await recorder.until(lambda: max(recorder.numbers("m1")) > newest + 20, "values again")
            assert Outcome.PROTOCOL in recorder.outcomes("m1")
    finally:
        await server.stop()
