"""OPC UA connections: a newer register, servers that vanish, freeze, forget, refuse; nothing lost, nothing twice, no storm."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import signal
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor

from adapters.batch import Outcome
from adapters.contract import ReadError, Site
from adapters.opcua import adapter as adapter_module
from adapters.opcua import subscription
from adapters.opcua.adapter import OpcUaAdapter
from adapters.opcua.connected import Connected
from adapters.opcua.device import STORING_MOST
from adapters.opcua.items import Items
from adapters.opcua.subscription import Notification, Subscriptions
from adapters.opcua.values.responses import Message
from adapters.registry import build, connections
from config.register import Register
from tests.adapters.plant import VALUES, OpcUaWire, Recorder, Running, WallClock, free_port, register_of
from tests.adapters.proxy import FaultProxy, proxied
from tests.adapters.stacks import NodeServer, opcua_register

CREATE_SESSION, ACTIVATE_SESSION, CREATE_SUBSCRIPTION, PUBLISH = 461, 467, 787, 826


@pytest.fixture
async def wire() -> AsyncIterator[OpcUaWire]:
    made = OpcUaWire("subscribe")
    yield made
    await made.stop()


def asked(proxy: FaultProxy, service: int) -> int:
    """How often a service was asked for, by the ids in the requests (IEC 62541-6 §6.7.2: 24 bytes of headers)."""
    return len(re.findall(b"MSGF.{20}\x01\x00" + service.to_bytes(2, "little"), bytes(proxy.said_up), re.DOTALL))


async def apply(running: Running, register: Register) -> None:
    (sources,) = connections(register, WallClock().now_us()).values()
    await running.adapters[0].apply(sources)


def counts(recorder: Recorder, device: str) -> list[int]:
    rows = recorder.rows(device)
    return [r["values"]["count"] for r in rows if r["outcome"] is Outcome.OK and "count" in r["values"]]


@contextlib.asynccontextmanager
async def counting(wire: OpcUaWire, *devices: str) -> AsyncIterator[None]:
    async def count() -> None:
        for k in itertools.count(100):
            for device in devices:
                await wire.nodes[f"{device}.count"].write_value(k)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(count())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_theme_20_a_newer_register_leaves_untouched_devices_without_a_gap_or_a_repeat(wire: OpcUaWire) -> None:
    port = free_port()
    await wire.start(port)
    async with proxied(port) as proxy, counting(wire, "m1", "m2"):

        def register(*devices: dict[str, Any]) -> Register:
            return register_of(wire.points(), list(devices), "event")

        m1 = wire.device("m1", proxy.port, 60)
        running = Running(register(m1, wire.device("m2", proxy.port, 60)), Recorder())
        async with running as recorder:
            await recorder.until(lambda: len(counts(recorder, "m1")) > 20, "the counter of the untouched device")
            await apply(running, register(m1))
            await asyncio.sleep(0)
            gone = len(recorder.rows("m2"))
            seen = len(counts(recorder, "m1"))
            await recorder.until(lambda: len(counts(recorder, "m1")) > seen + 20, "more of it")
            assert len(recorder.rows("m2")) == gone
            await apply(running, register(m1, wire.device("m2", proxy.port, 60, sampling_ms=200)))
            await recorder.until(lambda: len(counts(recorder, "m2")[gone:]) > 20, "the device that came back")
            await apply(running, register(m1, wire.device("m2", proxy.port, 2)))
            seen = len(counts(recorder, "m1"))
            await recorder.until(lambda: len(counts(recorder, "m1")) > seen + 20, "more of the untouched one")
            assert running.adapters[0].devices == ("m1", "m2")
        assert asked(proxy, CREATE_SESSION) == 1
        assert asked(proxy, CREATE_SUBSCRIPTION) == 1
    got = [k for k in counts(recorder, "m1") if k >= 100]
    assert got == list(range(got[0], got[0] + len(got)))
    assert all(o.is_contact for o in recorder.outcomes("m1"))


async def test_a_device_added_while_the_server_is_away_is_there_when_it_returns(wire: OpcUaWire) -> None:
    port = free_port()
    running = Running(register_of(wire.points(), [wire.device("m1", port)], "event"), Recorder())
    async with running as recorder:
        await recorder.until(lambda: Outcome.REFUSED in recorder.outcomes("m1"), "a refused interval")
        await apply(running, register_of(wire.points(), [wire.device("m2", port)], "event"))
        await wire.start(port)
        await recorder.until(lambda: counts(recorder, "m2"), "values of the new device")
    assert Outcome.OK not in recorder.outcomes("m1")


async def test_theme_1_values_are_fresh_soon_after_a_server_returns_however_long_the_interval(wire: OpcUaWire) -> None:
    port = free_port()
    await wire.start(port)
    async with proxied(port) as proxy:
        register = register_of(wire.points(), [wire.device("m1", proxy.port, 3600)], "event")
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: counts(recorder, "m1"), "values")
            await proxy.refuse()
            await recorder.until(lambda: recorder.outcomes("m1")[-1] is Outcome.DISCONNECTED, "the loss")
            await wire.nodes["m1.count"].write_value(77)
            await proxy.listen()
            await recorder.until(
                lambda: counts(recorder, "m1")[-1] == 77, "the value that was missed, long before an hour"
            )


QUICK = 30


class QuickClock(WallClock):
    """A minute in two seconds."""

    def __init__(self) -> None:
        self._start = time.time_ns() // 1000

    def now_us(self) -> int:
        return self._start + (time.time_ns() // 1000 - self._start) * QUICK

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / QUICK)


async def test_theme_3_a_server_that_accepts_and_fails_is_asked_for_few_sessions(wire: OpcUaWire) -> None:
    port = free_port()
    await wire.start(port)
    for service in (CREATE_SESSION, ACTIVATE_SESSION, CREATE_SUBSCRIPTION, PUBLISH):
        async with proxied(port) as proxy:
            request = re.compile(b"MSGF.{20}\x01\x00" + service.to_bytes(2, "little"), re.DOTALL)

            def fail(data: bytes, proxy: FaultProxy = proxy, request: re.Pattern[bytes] = request) -> bytes:
                if request.search(data):
                    for writer in proxy._writers:
                        writer.transport.abort()
                return data

            proxy.up = fail
            register = register_of(wire.points(), [wire.device("m1", proxy.port, 1)], "event")
            async with Running(register, Recorder(), QuickClock()):
                await asyncio.sleep(60 / QUICK)
            assert 2 <= asked(proxy, CREATE_SESSION) <= 8
            assert proxy.said_up.count(b"OPNF") <= 8


async def test_a_server_that_freezes_is_recorded_and_comes_back_by_itself() -> None:
    async with NodeServer("opcua_server.js") as server:
        register = opcua_register(server.port, "subscribe", timeout_ms=1000)
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: Outcome.CONFIRMED in recorder.outcomes("m1"), "values")
            assert server._process is not None
            server._process.send_signal(signal.SIGSTOP)
            await recorder.until(lambda: Outcome.TIMEOUT in recorder.outcomes("m1"), "a recorded time-out")
            await asyncio.sleep(3)
            seen = len(recorder.outcomes("m1"))
            server._process.send_signal(signal.SIGCONT)
            await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1")[seen:], "values again")


async def test_theme_1_a_subscription_the_server_forgot_is_made_anew(
    wire: OpcUaWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, forgets = UaProcessor._process_message, asyncio.Event()

    async def forgetful(self: Any, typeid: Any, header: Any, seqhdr: Any, body: Any) -> Any:
        if forgets.is_set() and typeid == ua.NodeId(ua.Int32(PUBLISH)):
            forgets.clear()
            raise ua.uaerrors.BadNoSubscription
        return await process(self, typeid, header, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", forgetful)
    port = free_port()
    await wire.start(port)
    register = register_of(wire.points(), [wire.device("m1", port, 3600)], "event")
    async with Running(register, Recorder()) as recorder:
        await recorder.until(lambda: counts(recorder, "m1"), "values")
        forgets.set()
        await wire.nodes["m1.count"].write_value(50)
        await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("m1"), "the loss")
        await wire.nodes["m1.count"].write_value(51)
        await recorder.until(lambda: counts(recorder, "m1")[-1] == 51, "the next value")


async def test_a_server_that_sends_not_even_keep_alives_is_left(
    wire: OpcUaWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, deaf = UaProcessor._process_message, asyncio.Event()

    async def silent(self: Any, typeid: Any, header: Any, seqhdr: Any, body: Any) -> Any:
        if deaf.is_set() and typeid == ua.NodeId(ua.Int32(PUBLISH)):
            return True
        return await process(self, typeid, header, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", silent)
    monkeypatch.setattr(subscription, "_KEEP_ALIVE_S", 1)
    monkeypatch.setattr(adapter_module, "LISTEN_S", 0.2)
    port = free_port()
    await wire.start(port)
    async with proxied(port) as proxy:
        register = register_of(wire.points(), [wire.device("m1", proxy.port, 3600, timeout_ms=1000)], "event")
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: counts(recorder, "m1"), "values")
            deaf.set()
            await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("m1"), "the silence noticed")
            deaf.clear()
            await recorder.until(lambda: recorder.outcomes("m1")[-1].is_contact, "contact again")


async def test_reads_go_on_while_rows_are_stored_and_what_is_passed_over_is_counted(wire: OpcUaWire) -> None:
    port = free_port()
    await wire.start(port)
    running = Running(register_of(wire.points(), [wire.device("m1", port, 1, mode="poll")], "wide"), Recorder())
    async with running as recorder:
        await recorder.until(lambda: recorder.batches, "a poll")
        recorder.gate.clear()
        entered = recorder.entered
        (adapter,) = running.adapters
        assert isinstance(adapter, OpcUaAdapter)
        device = adapter._devices["m1"]
        await recorder.until(lambda: device.skipped >= 1, "a read that was passed over")
        assert STORING_MOST - 1 <= recorder.entered - entered <= STORING_MOST
        recorder.gate.set()
        done = len(recorder.rows("m1"))
        await recorder.until(lambda: len(recorder.rows("m1")) > done + STORING_MOST, "polls as before")
    assert recorder.rows("m1")[-1]["values"] == VALUES


async def test_one_byte_at_a_time_is_as_good_and_a_body_with_an_endless_array_is_named_and_got_over(
    wire: OpcUaWire,
) -> None:
    port = free_port()
    await wire.start(port)
    async with proxied(port) as proxy, counting(wire, "m1"):
        proxy.drip = True
        register = register_of(wire.points(), [wire.device("m1", proxy.port, 1)], "event")
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: len(counts(recorder, "m1")) > 5, "values through the dripping line")
            proxy.drip = False
            endless = re.compile(b"(\x01\x00[+]\x03\x01.{4}).{4}", re.DOTALL)  # DataChangeNotification, its first array

            def once(data: bytes) -> bytes:
                if endless.search(data):
                    proxy.down = lambda d: d
                return endless.sub(b"\\1\xff\xff\xff\x7f", data)

            proxy.down = once
            await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("m1"), "the loss")
            seen = len(counts(recorder, "m1"))
            await recorder.until(lambda: len(counts(recorder, "m1")) > seen + 5, "values again")
    got = counts(recorder, "m1")
    assert len(got) == len(set(got))


async def test_rows_on_their_way_to_the_disk_while_the_register_changes_are_no_other_points_history(
    wire: OpcUaWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    await wire.start(port)
    device = wire.device("m1", port, 3600)
    running = Running(register_of(wire.points(), [device], "event"), Recorder())
    async with running as recorder:
        await recorder.until(lambda: counts(recorder, "m1"), "values")
        (adapter,) = running.adapters
        assert isinstance(adapter, OpcUaAdapter)
        recorder.gate.clear()
        entered = recorder.entered
        await wire.nodes["m1.count"].write_value(70)
        await recorder.until(lambda: recorder.entered > entered, "a notification on its way to the disk")
        await apply(running, register_of(wire.points()[::-1], [device], "event"))
        told: list[Any] = []
        stored = adapter._history.stored
        monkeypatch.setattr(
            adapter._history, "stored", lambda b, *, notified: (told.extend(b), stored(b, notified=notified))
        )
        recorder.gate.set()
        await recorder.until(lambda: told, "rows of the new points")
        current = adapter._devices["m1"].source.template
        assert {b.template for b in told} == {current}
    assert 70 in counts(recorder, "m1")


async def test_values_that_were_read_are_not_lost_because_the_server_says_no_more_to_a_device_of_events(
    wire: OpcUaWire,
) -> None:
    register = register_of(wire.points(), [wire.device("m1", 1), wire.device("m2", 1)], "event")
    (adapter,) = build(register, Site(WallClock()))
    assert isinstance(adapter, OpcUaAdapter)
    m1, m2 = adapter._devices.values()
    m2._values = ()  # events only

    async def fails(_: object) -> None:
        raise ReadError(Outcome.TIMEOUT, "no answer")

    async def nothing(*_: object, **__: object) -> list[Any]:
        return []

    async def connect(*, subscribe: bool) -> Any:
        return SimpleNamespace(read=nothing, session=SimpleNamespace(read=fails))

    adapter._connect = connect  # type: ignore[assignment]
    rows = await adapter._read([m1, m2], subscribe=True)
    assert [(d.name, int(b.outcome[-1])) for d, b in rows] == [("m2", Outcome.CONFIRMED)]
    rows = await adapter._read([m2], subscribe=True)
    assert [(d.name, int(b.outcome[-1])) for d, b in rows] == [("m2", Outcome.TIMEOUT)]


async def never(_: Notification) -> None:
    raise AssertionError("nothing to deliver")


def subscriptions(*heard_s: float) -> Subscriptions:
    made = Subscriptions(cast(Any, SimpleNamespace(where="server", alive=True)), never, 1.0)
    for number, at_s in enumerate(heard_s):
        items = cast(Items, None)
        made._all[number] = subscription._Subscription(number, 1000, 10.0, items, heard_s=at_s)
    return made


async def test_a_subscription_is_missed_while_another_one_is_stored_and_not_while_nobody_listens() -> None:
    now = asyncio.get_running_loop().time()
    made = subscriptions(now - 100, now)
    made._lanes = {asyncio.create_task(asyncio.sleep(60)) for _ in range(2)}
    await asyncio.sleep(0)
    found = []
    for made._delivering in range(3):
        found.append(made.silent_too_long)
    assert found == [True, True, False]
    await made.close()


def test_a_sequence_number_beyond_measure_is_no_list_of_all_that_is_missing() -> None:
    made = subscriptions()
    kept = subscription._Subscription(1, 1000, 10.0, cast(Items, None), sequence=1)
    assert made._missing(kept, Message(2**32 - 1, status=0)) == range(2, 2**32 - 1)


async def test_points_that_are_watched_already_are_not_read_too_when_the_server_refuses_the_rest(
    wire: OpcUaWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    (adapter,) = build(register_of(wire.points(), [wire.device("m1", 1)], "event"), Site(WallClock()))
    assert isinstance(adapter, OpcUaAdapter)
    device = adapter._devices["m1"]
    device.node_ids = [ua.NodeId(i + 1) for i in range(len(device.source.points))]
    made = Connected(cast(Any, SimpleNamespace(where="server", alive=True, read_limit=100)), never, 1.0)

    async def watch(self: Subscriptions, watches: Any) -> list[int]:
        one = subscription._Subscription(1, 1000, 10.0, cast(Items, None), handles={watches[0].index: 77})
        self._all[1] = one
        raise ReadError(Outcome.DEVICE_FAILURE, "no more")

    monkeypatch.setattr(Subscriptions, "watch", watch)
    await made._watch([device])
    assert device.refused == set(device.values[1:])
