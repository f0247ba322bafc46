"""A Sparkplug host over mosquitto: births, losses, deaths, rebirths, STATE, and that nothing else ever leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from adapters.batch import GOOD, Outcome
from adapters.contract import Site
from adapters.deadletter import read_letters
from adapters.mqtt import packets
from adapters.mqtt.link import ForbiddenPublish
from adapters.mqtt.sparkplug.adapter import SparkplugAdapter
from adapters.mqtt.sparkplug.metric import DataType
from adapters.mqtt.sparkplug.wire import PayloadMessage
from adapters.registry import build, connections
from adapters.template import source_of
from config.register import Register
from tests.adapters.brokers import ScriptedBroker, polite
from tests.adapters.plant import MqttWire, Recorder, Running, WallClock, device_of, free_port, register_of
from tests.adapters.proxy import proxied
from tests.adapters.sparkplug_edge import Edge, now_ms
from tests.adapters.test_schedule_and_health import MIDNIGHT_US, StepClock

INT32, DOUBLE, STRING = DataType.INT32, DataType.DOUBLE, DataType.STRING
METRICS = [("Speed", DOUBLE, 1.5), ("Count", INT32, -3), ("Name", STRING, "车床")]
POINTS = [
    {"name": "speed", "type": "f64", "metric": "Speed"},
    {"name": "count", "type": "i64", "metric": "Count"},
    {"name": "name", "type": "str", "metric": "Name"},
]
NAMES = {"Speed": "speed", "Count": "count", "Name": "name"}


@pytest.fixture
async def broker() -> AsyncIterator[MqttWire]:
    made = MqttWire()
    made.repeat = False
    made.port = free_port()  # type: ignore[attr-defined]
    await made.start(made.port)  # type: ignore[attr-defined]
    yield made
    await made.stop()


@pytest.fixture
async def edges(broker: Any) -> AsyncIterator[Any]:
    """A maker of connected edge nodes."""
    made: list[Edge] = []

    async def make(**more: Any) -> Edge:
        edge = Edge({"": [], "a": list(METRICS), "b": list(METRICS)}, **more)
        await asyncio.to_thread(edge.connect, broker.port)
        made.append(edge)
        return edge

    yield make
    for edge in made:
        await asyncio.to_thread(edge.close)


def connection(port: int, device: str = "a", **more: Any) -> dict[str, Any]:
    made = {"protocol": "sparkplug", "broker": f"mqtt://127.0.0.1:{port}", "group": "G", "edge_node": "E"}
    return {**made, "device": device, **more}


def register(port: int, interval_s: int = 60, **more: Any) -> Register:
    devices = [device_of(d, connection(port, d, **more), interval_s) for d in ("a", "b")]
    return register_of(POINTS, devices, "event")


def values(recorder: Recorder, device: str) -> list[tuple[str, int, Any]]:
    """(point, source time in ms, value) of each row of outcome ok, in order."""
    return [
        (r["point"], r["source_us"] // 1000, r["values"].get(r["point"]))
        for r in recorder.rows(device)
        if r["outcome"] is Outcome.OK
    ]


def last(recorder: Recorder, device: str) -> Any:
    """The newest value, or None."""
    return next((value for _, _, value in reversed(values(recorder, device))), None)


def sent(edge: Edge, device: str) -> list[tuple[str, int, Any]]:
    return [(NAMES[name], at, value) for d, name, at, value in edge.sent if d == device]


async def settled(recorder: Recorder, *edges: Edge, devices: tuple[str, ...] = ("a", "b")) -> None:
    """Births have come, by themselves or because the host came too late for them and asked; from here on everything counts."""
    for device in devices:
        await recorder.until(lambda d=device: len(values(recorder, d)) >= len(METRICS), f"the birth of {device}")
    if edges:
        await asyncio.sleep(0.25)  # a request for births that crossed their own
    recorder.batches.clear()
    for edge in edges:
        edge.sent.clear()
        edge.commands.clear()


class Spy:
    """Everything that is published on the broker, by anybody."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _c, _d, m: self.heard.append((m.topic, bytes(m.payload), m.retain))
        self._client.on_connect = lambda c, *_: c.subscribe("#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def on(self, topic: str) -> list[bytes]:
        return [payload for t, payload, _ in self.heard if t == topic]

    async def heard_births(self, described: Register) -> Register:
        """The births have gone by: whoever subscribes now comes too late for them."""
        await Recorder().until(lambda: self.on("spBv1.0/G/DBIRTH/E/b"), "the births on the broker")
        return described

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
async def spy(broker: Any) -> AsyncIterator[Spy]:
    made = Spy(broker.port)
    yield made
    await asyncio.to_thread(made.stop)


async def test_everything_sent_arrives_once_under_its_name_with_its_time(broker: Any, edges: Any) -> None:
    async with Running(register(broker.port), Recorder()) as recorder:
        edge = await edges()
        await settled(recorder, edge)
        for k in range(40):
            edge.data("ab"[k % 2], {"Speed": k / 4, "Count": -k})
            edge.data("ab"[k % 2], {"Name": f"第{k}件"})
        for device in ("a", "b"):
            await recorder.until(lambda d=device: len(values(recorder, d)) >= len(sent(edge, d)), f"all of {device}")
            assert values(recorder, device) == sent(edge, device)
        assert {o for d in "ab" for o in recorder.outcomes(d)} == {Outcome.OK}
        assert all(r["quality"] == GOOD for r in recorder.rows("a"))
        assert edge.commands == []


async def test_a_host_that_comes_late_asks_once_and_has_the_births(broker: Any, edges: Any, spy: Spy) -> None:
    edge = await edges()
    async with Running(await spy.heard_births(register(broker.port)), Recorder()) as recorder:
        await settled(recorder)
        await asyncio.sleep(1.5)
    assert len(edge.commands) == 1
    assert [(m.name, m.datatype, m.boolean_value) for m in edge.commands[0].metrics] == [
        ("Node Control/Rebirth", DataType.BOOLEAN, True)
    ]
    assert {t for t, _, _ in spy.heard if "CMD" in t or "STATE" in t} == {"spBv1.0/G/NCMD/E"}


async def test_a_passive_host_never_asks_and_takes_what_names_itself(broker: Any, edges: Any) -> None:
    edge = await edges(aliases=False)
    async with Running(register(broker.port, rebirth=False), Recorder()) as recorder:
        while not recorder.entered:
            edge.data("a", {"Speed": 2.5})
            await asyncio.sleep(0.1)
        edge.skip()
        edge.data("a", {"Count": 9})
        await recorder.until(lambda: ("count", 9) in [(p, v) for p, _, v in values(recorder, "a")], "the named value")
    assert edge.commands == []


async def test_a_gap_is_an_overflow_of_every_device_and_a_rebirth_brings_values_back(broker: Any, edges: Any) -> None:
    async with Running(register(broker.port), Recorder()) as recorder:
        edge = await edges()
        await settled(recorder, edge)
        edge.skip(3)
        edge.data("a", {"Speed": 7.0})
        await recorder.until(lambda: len(edge.commands) == 1, "the rebirth asked for")
        assert recorder.outcomes("a").count(Outcome.OVERFLOW) == 1
        assert recorder.outcomes("b").count(Outcome.OVERFLOW) == 1
        assert Outcome.REJECTED in recorder.outcomes("a")  # 7.0 came by an alias that nobody can trust any more
        edge.data("a", {"Speed": 8.0})
        await recorder.until(lambda: last(recorder, "a") == 8.0, "values after the rebirth")
        assert 7.0 not in [v for _, _, v in values(recorder, "a")]


async def test_an_unknown_alias_is_a_rejected_row_and_asks_for_a_rebirth(
    broker: Any, edges: Any, tmp_path: Path
) -> None:
    async with Running(register(broker.port), Recorder()) as recorder:
        edge = await edges()
        await settled(recorder, edge)
        payload = PayloadMessage(timestamp=now_ms())
        payload.metrics.add(alias=999, double_value=5.0)
        edge.publish("DDATA", "a", payload)
        await recorder.until(lambda: edge.commands, "the rebirth asked for")
        await recorder.until(lambda: Outcome.REJECTED in recorder.outcomes("a"), "the rejected row")
        assert Outcome.REJECTED not in recorder.outcomes("b")


async def test_historical_values_arrive_with_their_own_time_and_are_no_contact(broker: Any, edges: Any) -> None:
    async with Running(register(broker.port, interval_s=1), Recorder()) as recorder:
        edge = await edges()
        await settled(recorder, edge)
        old = now_ms() - 3_600_000
        for k in range(20):
            edge.data("a", {"Speed": 100.0 + k}, old + k, historical=True)
            await asyncio.sleep(0.1)
        await recorder.until(lambda: len(values(recorder, "a")) >= 20, "all of them")
        late = [(at, v) for _, at, v in values(recorder, "a") if isinstance(v, float) and v >= 100]
        assert late == [(old + k, 100.0 + k) for k in range(20)]
        await recorder.until(lambda: Outcome.SILENT in recorder.outcomes("a"), "silence: history is not contact")


async def test_a_death_is_recorded_and_a_stale_one_is_not(broker: Any, edges: Any) -> None:
    async with Running(register(broker.port), Recorder()) as recorder:
        edge = await edges(bd_seq=7)
        await settled(recorder, edge)
        stale = PayloadMessage(timestamp=1)
        stale.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=6)
        edge.send(edge.topic("NDEATH"), stale.SerializeToString())
        edge.data("a", {"Speed": 4.0})
        await recorder.until(lambda: last(recorder, "a") == 4.0, "data after the stale death")
        assert Outcome.DISCONNECTED not in recorder.outcomes("a")
        edge.publish("DDEATH", "a", PayloadMessage(timestamp=1))
        await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("a"), "the device's death")
        assert Outcome.DISCONNECTED not in recorder.outcomes("b")
        await asyncio.to_thread(edge.vanish)
        await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("b"), "the will")
        assert recorder.outcomes("a").count(Outcome.DISCONNECTED) == 1
        assert "NDEATH" in recorder.states[-1].words


async def test_each_interval_of_a_dead_device_has_its_row(broker: Any, edges: Any) -> None:
    async with Running(register(broker.port, interval_s=1), Recorder()) as recorder:
        edge = await edges()
        await settled(recorder, edge)
        await asyncio.to_thread(edge.leave)
        await recorder.until(lambda: recorder.outcomes("a").count(Outcome.DISCONNECTED) >= 3, "a row an interval")
        assert Outcome.SILENT not in recorder.outcomes("a")


async def test_a_will_that_cannot_be_told_from_the_new_session_is_healed_by_the_next_data(
    broker: Any, edges: Any
) -> None:
    async with Running(register(broker.port), Recorder()) as recorder:
        edge = await edges(bd_seq=0)  # as npm sparkplug-client: always 0
        await settled(recorder, edge)
        edge.send(edge.topic("NDEATH"), edge.death())
        await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("a"), "the death as told")
        edge.data("a", {"Speed": 4.0})
        await recorder.until(lambda: edge.commands, "its birth asked for")
        edge.data("a", {"Speed": 5.0})
        await recorder.until(lambda: last(recorder, "a") == 5.0, "values again")


async def test_retained_births_and_data_are_never_fresh(broker: Any, edges: Any) -> None:
    edge = await edges(births=False)
    edge.alias = {("a", m[0]): i for i, m in enumerate(METRICS)}
    edge.publish("NBIRTH", "", edge.birth_payload(""), retain=True)
    edge.publish("DBIRTH", "a", edge.birth_payload("a"), retain=True)
    await asyncio.sleep(0.2)
    async with Running(register(broker.port, interval_s=1), Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.rows("a")) >= 2, "rows")
        assert set(recorder.outcomes("a")) == {Outcome.SILENT}


async def test_values_are_fresh_soon_after_the_brokers_return_whatever_the_interval(broker: Any, edges: Any) -> None:
    async with Running(register(broker.port, interval_s=300), Recorder()) as recorder:
        edge = await edges()
        await settled(recorder, edge)
        await broker.stop()
        await recorder.until(lambda: recorder.outcomes("a"), "the loss")
        assert not recorder.outcomes("a")[-1].is_contact
        await broker.start(broker.port)
        count = len(recorder.rows("a"))
        await recorder.until(
            lambda: any(o.is_contact for o in recorder.outcomes("a")[count:]), "values long before 300 s"
        )
        assert edge.sent


async def test_a_cut_of_our_own_connection_is_a_row_and_the_births_come_again(broker: Any, edges: Any) -> None:
    edge = await edges()
    async with proxied(broker.port) as proxy, Running(register(proxy.port, interval_s=300), Recorder()) as recorder:
        await settled(recorder, edge)
        await proxy.cut()
        await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("a"), "the loss")
        await recorder.until(lambda: recorder.outcomes("a")[-1].is_contact, "values without waiting for data")
        assert Outcome.SILENT not in recorder.outcomes("a")


async def test_two_edge_nodes_of_one_broker_do_not_touch_each_other(broker: Any, edges: Any) -> None:
    devices = [device_of(n, connection(broker.port, "a", edge_node=n), 60) for n in ("E1", "E2")]
    async with Running(register_of(POINTS, devices, "event"), Recorder()) as recorder:
        one, two = await edges(name="E1"), await edges(name="E2")
        await settled(recorder, one, two, devices=("E1", "E2"))
        one.skip()
        one.data("a", {"Speed": 2.0})
        two.data("a", {"Speed": 3.0})
        await recorder.until(lambda: one.commands, "the first asked for its birth")
        await recorder.until(lambda: last(recorder, "E2") == 3.0, "the other's value")
        assert two.commands == []
        assert Outcome.OVERFLOW not in recorder.outcomes("E2")


async def test_the_edge_nodes_own_metrics_are_a_device_too(broker: Any, edges: Any) -> None:
    described = register_of([POINTS[0]], [device_of("node", connection(broker.port, ""), 60)], "event")
    async with Running(described, Recorder()) as recorder:
        edge = Edge({"": [("Speed", DOUBLE, 1.25)]})
        await asyncio.to_thread(edge.connect, broker.port)
        await recorder.until(lambda: values(recorder, "node"), "the birth")
        edge.data("", {"Speed": 2.25})
        await recorder.until(lambda: len(values(recorder, "node")) >= 2, "the data")
        assert values(recorder, "node") == [("speed", at, v) for _, _, at, v in edge.sent[-2:]]
        await asyncio.to_thread(edge.leave)


async def test_the_primary_host_says_online_after_subscribing_and_offline_before_it_leaves(
    broker: Any, edges: Any, spy: Spy
) -> None:
    topic = "spBv1.0/STATE/plant-1"
    async with Running(register(broker.port, host_id="plant-1"), Recorder()) as recorder:
        await edges()
        await settled(recorder)
        await recorder.until(lambda: spy.on(topic), "the STATE")
        spy_contradicts = json.dumps({"online": False, "timestamp": 1})
        spy._client.publish(topic, spy_contradicts, qos=1, retain=True)
        await recorder.until(lambda: len(spy.on(topic)) >= 3, "online said again")
    await recorder.until(lambda: len(spy.on(topic)) >= 4, "offline at the end")
    told = [json.loads(payload) for payload in spy.on(topic)]
    assert [t["online"] for t in told] == [True, False, True, False]
    assert told[0] == told[2]
    assert told[3]["timestamp"] >= told[0]["timestamp"]


async def test_the_primary_hosts_will_carries_the_timestamp_of_its_birth(broker: Any, spy: Spy) -> None:
    topic = "spBv1.0/STATE/plant-1"
    (adapter,) = build(register(broker.port, host_id="plant-1"), Site(WallClock()))
    assert isinstance(adapter, SparkplugAdapter)
    task = asyncio.create_task(adapter.run(Recorder().emit, Recorder().identify))
    recorder = Recorder()
    await recorder.until(lambda: spy.on(topic), "the STATE")
    stream = adapter._link._stream
    assert stream is not None
    stream.abort()  # vanish without a word
    await recorder.until(lambda: len(spy.on(topic)) >= 2, "the will")
    online, offline = (json.loads(p) for p in spy.on(topic)[:2])
    assert (online["online"], offline["online"]) == (True, False)
    assert online["timestamp"] == offline["timestamp"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_nothing_but_state_and_rebirth_can_leave(broker: Any) -> None:
    (adapter,) = build(register(broker.port, host_id="h"), Site(WallClock()))
    assert isinstance(adapter, SparkplugAdapter)
    await adapter._link.open("plantproof-guard", clean=True)
    for topic in ("spBv1.0/G/DCMD/E/a", "spBv1.0/G/NCMD/other", "spBv1.0/STATE/other", "spBv1.0/G/NDATA/E", "x"):
        with pytest.raises(ForbiddenPublish):
            await adapter._link.publish(topic, b"")
    await adapter._link.close()


def published(said: bytes) -> list[tuple[str, bytes]]:
    """(topic, payload) of every PUBLISH of MQTT 5 in a stream of packets (MQTT 5 §3.3)."""
    found = []
    while said:
        length, at, shift = 0, 1, 0
        while True:
            length |= (said[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if said[at - 1] < 128:
                break
        body, kind, qos = said[at : at + length], said[0] >> 4, said[0] >> 1 & 3
        if kind == 3:
            end = 2 + int.from_bytes(body[:2], "big")
            rest = body[end + (2 if qos else 0) :]
            found.append((body[2:end].decode(), rest[1 + rest[0] :]))
        said = said[at + length :]
    return found


async def test_byte_by_byte_only_state_and_rebirths_leave_the_process(broker: Any, edges: Any) -> None:
    edge = await edges()
    async with proxied(broker.port) as proxy:
        async with Running(register(proxy.port, host_id="h", version="5"), Recorder()) as recorder:
            await settled(recorder, edge)
            edge.skip()
            edge.data("a", {"Speed": 2.0})
            await recorder.until(lambda: edge.commands, "a rebirth asked for")
        said = published(bytes(proxy.said_up))
    assert {topic for topic, _ in said} == {"spBv1.0/STATE/h", "spBv1.0/G/NCMD/E"}
    for topic, payload in said:
        if "STATE" in topic:
            assert set(json.loads(payload)) == {"online", "timestamp"}
            continue
        (metric,) = PayloadMessage.FromString(payload).metrics
        assert (metric.name, metric.boolean_value) == ("Node Control/Rebirth", True)


async def test_rubbish_is_a_rejected_row_and_a_letter_and_the_rest_goes_on(
    broker: Any, edges: Any, tmp_path: Path
) -> None:
    recorder = Recorder()
    (adapter,) = build(register(broker.port), Site(WallClock(), recorder.states.append, state=tmp_path))
    task = asyncio.create_task(adapter.run(recorder.emit, recorder.identify))
    edge = await edges()
    await settled(recorder, edge)
    rubbish = [b"\xff\xff\xff", b"\x12" * 3_000, b"x" * (10 << 20)]
    for raw in rubbish:
        edge.send("spBv1.0/G/DDATA/E/a", raw)
    edge.send("spBv1.0/G/DDATA/E/a/b/c", b"")
    edge.data("b", {"Speed": 6.0})
    await recorder.until(lambda: last(recorder, "b") == 6.0, "the other device's value")
    await recorder.until(lambda: recorder.outcomes("a").count(Outcome.REJECTED) == len(rubbish), "a row for each")
    edge.data("a", {"Speed": 7.0})
    await recorder.until(lambda: last(recorder, "a") == 7.0, "its next good value")
    await recorder.until(lambda: len(list(read_letters(tmp_path))) == len(rubbish), "a letter for each")
    assert [letter["size"] for letter in read_letters(tmp_path)] == [len(raw) for raw in rubbish]
    assert edge.commands == []  # whoever wrote that did not use the edge node's numbers
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_birth_nobody_can_read_takes_the_aliases_with_it(broker: Any, edges: Any) -> None:
    async with Running(register(broker.port), Recorder()) as recorder:
        edge = await edges()
        await settled(recorder, edge)
        edge.send(edge.topic("NBIRTH"), b"\xff\xff")
        edge.data("a", {"Speed": 9.0})
        await recorder.until(lambda: edge.commands, "a birth asked for")
        edge.data("a", {"Speed": 10.0})
        await recorder.until(lambda: last(recorder, "a") == 10.0, "values again")
        assert 9.0 not in [v for _, _, v in values(recorder, "a")]


async def test_births_say_who_they_are_before_the_first_row(broker: Any, edges: Any) -> None:
    order: list[str] = []

    class Ordered(Recorder):
        async def emit(self, *batches: Any, urgent: bool = False) -> None:
            order.append("row")
            await super().emit(*batches, urgent=urgent)

        async def identify(self, identity: Any) -> None:
            order.append("identity")
            await super().identify(identity)

    async with Running(register(broker.port), Ordered()) as recorder:
        edge = Edge({"": [("Properties/origin", STRING, "simulated"), ("Properties/FW", STRING, "1.2")], "a": METRICS})
        await asyncio.to_thread(edge.connect, broker.port)
        await recorder.until(lambda: len(values(recorder, "a")) >= len(METRICS), "the birth")
        await asyncio.to_thread(edge.leave)
    identity = recorder.identities[0]
    assert (identity.device, identity.origin) == ("a", "simulated")
    assert dict(identity.facts) == {"edge_node": "E", "edge_node/FW": "1.2", "group": "G"}
    assert order[0] == "identity"


async def test_a_newer_register_touches_only_what_changed(broker: Any, edges: Any) -> None:
    both = register(broker.port, interval_s=300)
    only_a = both.model_copy(update={"devices": both.devices[:1]})
    recorder = Recorder()
    (adapter,) = build(only_a, Site(WallClock(), recorder.states.append))
    task = asyncio.create_task(adapter.run(recorder.emit, recorder.identify))
    edge = await edges()
    await settled(recorder, edge, devices=("a",))
    await adapter.apply([source_of(both, d) for d in both.devices])
    assert adapter.devices == ("a", "b")
    await recorder.until(lambda: len(values(recorder, "b")) >= len(METRICS), "the new device's birth")
    edge.data("a", {"Speed": 5.0})
    edge.data("b", {"Speed": 6.0})
    await recorder.until(lambda: last(recorder, "a") == 5.0, "a goes on")
    await recorder.until(lambda: last(recorder, "b") == 6.0, "b has begun")
    assert len(edge.commands) == 1  # the new device's birth was asked for
    assert {r["outcome"] for r in recorder.rows("a")} <= {Outcome.OK, Outcome.CONFIRMED}
    assert len(set(values(recorder, "a"))) == len(values(recorder, "a"))
    await adapter.apply([source_of(both, both.devices[1])])
    assert adapter.devices == ("b",)
    edge.data("b", {"Speed": 7.0})
    await recorder.until(lambda: last(recorder, "b") == 7.0, "b goes on")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_round_for_the_test_command_asks_once_and_says_no_state(broker: Any, edges: Any, spy: Spy) -> None:
    edge = await edges()
    (adapter,) = build(await spy.heard_births(register(broker.port, interval_s=2, host_id="h")), Site(WallClock()))
    recorder = Recorder(batches=await adapter.read_once())
    assert sorted(values(recorder, "a"))[0][0] == "count"
    assert len(edge.commands) == 1
    assert not [t for t, _, _ in spy.heard if "STATE" in t]


async def test_one_round_says_who_is_silent(broker: Any) -> None:
    (adapter,) = build(register(broker.port, interval_s=1), Site(WallClock()))
    assert Recorder(batches=await adapter.read_once()).outcomes("a") == [Outcome.SILENT]


async def test_the_broker_hears_no_acknowledgement_before_the_rows_are_durable(broker: Any, edges: Any) -> None:
    recorder = Recorder()
    (adapter,) = build(register(broker.port), Site(WallClock(), recorder.states.append))
    assert isinstance(adapter, SparkplugAdapter)
    task = asyncio.create_task(adapter.run(recorder.emit, recorder.identify))
    edge = await edges()
    await settled(recorder, edge)
    deliveries = adapter._link.deliveries
    await recorder.until(lambda: deliveries.unacknowledged == 0, "what came so far acknowledged")
    recorder.gate.clear()
    edge.data("a", {"Speed": 2.0})
    await recorder.until(lambda: deliveries.unacknowledged, "the message")
    await asyncio.sleep(0.5)
    assert deliveries.unacknowledged == 1
    recorder.gate.set()
    await recorder.until(lambda: deliveries.unacknowledged == 0, "acknowledged when durable")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_password_that_is_not_in_the_environment_is_denied(broker: Any) -> None:
    described = register(broker.port, username="u", password_env="PLANTPROOF_TEST_NOT_SET")
    async with Running(described, Recorder()) as recorder:
        await recorder.until(lambda: recorder.outcomes("a"), "a row")
        assert recorder.outcomes("a")[0] is Outcome.DENIED
        assert "PLANTPROOF_TEST_NOT_SET" in recorder.states[0].words


async def test_topics_the_broker_refuses_are_denied_and_the_session_is_clean() -> None:
    def refuse(packet: packets.Packet) -> list[bytes]:
        if packet.kind != packets.SUBSCRIBE:
            return polite(packet)
        codes = b"\x87" * packet.body.count(b"spBv1.0/")
        return [bytes((0x90, 3 + len(codes))) + packet.body[:2] + b"\0" + codes]

    async with ScriptedBroker(refuse) as scripted:
        async with Running(register(scripted.port, interval_s=1, version="5"), Recorder()) as recorder:
            await recorder.until(lambda: recorder.outcomes("a"), "a row")
        assert recorder.outcomes("a")[0] is Outcome.DENIED
        assert "spBv1.0/G/DDATA/E" in recorder.states[0].words
        connect = next(p for p in scripted.received if p.kind == packets.CONNECT).body
    flags, properties = connect[7], connect[10:]
    assert flags & 2  # clean start
    assert bytes((packets.SESSION_EXPIRY,)) not in properties[1 : 1 + properties[0]]


def test_devices_of_one_broker_and_host_share_one_connection() -> None:
    assert len(connections(register(1883), 0)) == 1


def arrived(topic: str, payload: bytes) -> packets.Message:
    return packets.Message(topic, payload, 1, False, False, 1, len(payload))


async def test_values_that_came_before_a_newer_register_are_handed_over_although_their_device_is_another_now() -> None:
    old, new = register(1883), register(1883, interval_s=300)
    (adapter,) = build(old, Site(WallClock()))
    assert isinstance(adapter, SparkplugAdapter)
    payload = PayloadMessage(timestamp=now_ms(), seq=0)
    payload.metrics.add(name="Speed", timestamp=now_ms(), datatype=DOUBLE, double_value=7.5)
    came = arrived("spBv1.0/G/DBIRTH/E/a", payload.SerializeToString())
    adapter._nodes["G", "E"].may_ask = False
    adapter._arrive([came])
    await adapter.apply([source_of(new, d) for d in new.devices])
    recorder = Recorder(batches=adapter._batches())
    assert 7.5 in [value for _, _, value in values(recorder, "a")]
    assert adapter._taken == [came]


async def test_a_slow_store_holds_the_broker_by_bytes_too() -> None:
    (adapter,) = build(register(1883), Site(WallClock()))
    assert isinstance(adapter, SparkplugAdapter)
    megabyte = bytes(1 << 20)
    for _ in range(63):
        adapter._arrive([arrived("spBv1.0/G/DDATA/E/a", megabyte)])
    assert not adapter._link._held
    adapter._arrive([arrived("spBv1.0/G/DDATA/E/a", megabyte)])
    assert adapter._link._held


async def test_a_clock_that_was_set_back_leaves_no_silence_unrecorded() -> None:
    clock = StepClock(MIDNIGHT_US)
    (adapter,) = build(register(1883), Site(clock))
    assert isinstance(adapter, SparkplugAdapter)
    await adapter._process()
    clock._now_us -= 86_400_000_000
    for _ in range(2):
        await adapter._process()
        clock._now_us += 150_000_000
    await adapter._process()
    assert Outcome.SILENT in Recorder(batches=adapter._batches()).outcomes("a")
