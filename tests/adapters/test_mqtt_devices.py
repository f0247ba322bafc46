"""MQTT devices over a real broker: a newer register while running, topic templates, sharing, dead letters, and no publish ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import plantproof
from adapters.batch import Outcome
from adapters.contract import Site
from adapters.deadletter import read_letters
from adapters.mqtt import adapter as module
from adapters.mqtt import packets
from adapters.mqtt.adapter import MqttAdapter
from adapters.mqtt.packets import Packet
from adapters.registry import connections
from adapters.template import Source
from config.connections import Mqtt
from tests.adapters.brokers import Mosquitto, ScriptedBroker, polite
from tests.adapters.plant import Recorder, WallClock, device_of, register_of
from tests.adapters.test_mqtt_link import connection as login
from tests.adapters.test_schedule_and_health import MIDNIGHT_US, StepClock

POINTS = [{"name": "speed", "type": "f64", "path": "$.speed"}, {"name": "load", "type": "f64", "path": "$.load"}]


def sources(port: int, kind: str = "wide", points: Any = POINTS, **topics: dict[str, Any]) -> list[Source]:
    """Devices by id, each with what its connection has beside the broker."""
    broker = {"protocol": "mqtt", "broker": f"mqtt://127.0.0.1:{port}", "topic": "plant/{device}"}
    made = []
    for name, more in topics.items():
        interval_s = more.pop("interval_s", 60)
        made.append(device_of(name, broker | more, interval_s))
    (found,) = connections(register_of(points, made, kind), 0).values()
    return found


@asynccontextmanager
async def working(devices: list[Source], state: Path | None = None) -> AsyncIterator[tuple[MqttAdapter, Recorder]]:
    recorder = Recorder()
    adapter = MqttAdapter(devices, Site(WallClock(), recorder.states.append, state=state))
    task = asyncio.create_task(adapter.run(recorder.emit, recorder.identify))
    try:
        yield adapter, recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Machine:
    """A publisher that waits for the broker's word."""

    def __init__(self, port: int) -> None:
        from adapters.mqtt.link import BrokerLink

        self.allowed: set[str] = set()
        self.link = BrokerLink(login(f"mqtt://127.0.0.1:{port}"), lambda _: None, may_publish=self.allowed)

    async def __aenter__(self) -> Machine:
        await self.link.open("machine", clean=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.link.close()

    async def say(self, topic: str, body: Any, *, retain: bool = False) -> None:
        self.allowed.add(topic)
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.link.publish(topic, payload, 1, retain=retain)

    async def until_heard(self, recorder: Recorder, device: str, topic: str, body: Any = None) -> None:
        """Speak until the device's first row: from then on its subscription stands."""
        while Outcome.OK not in recorder.outcomes(device):
            await self.say(topic, {"speed": 0} if body is None else body)
            await asyncio.sleep(0.05)


def speeds(recorder: Recorder, device: str) -> list[float]:
    return [r["values"]["speed"] for r in recorder.rows(device) if r["values"].get("speed")]


async def test_a_newer_register_touches_only_what_changed(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, Machine(broker.port) as machine:
        before = sources(broker.port, m1={}, m2={}, m3={})
        after = sources(broker.port, m1={}, m2={"topic": "other/{device}"}, m4={})
        async with working(before, tmp_path) as (adapter, recorder):
            for name in ("m1", "m2", "m3"):
                await machine.until_heard(recorder, name, f"plant/{name}")
            untouched = adapter._devices["m1"]
            sent = 0

            async def talk() -> None:
                nonlocal sent
                while True:
                    await machine.say("plant/m1", {"speed": sent + 1})
                    sent += 1

            talking = asyncio.create_task(talk())
            await asyncio.sleep(0.1)
            await adapter.apply(after)
            await machine.until_heard(recorder, "m4", "plant/m4")
            await machine.say("plant/m2", {"speed": 9})  # the topic it had
            await machine.say("plant/m3", {"speed": 9})
            rows = len(recorder.rows("m2"))
            while len(recorder.rows("m2")) == rows:
                await machine.say("other/m2", {"speed": 8})
                await asyncio.sleep(0.05)
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            await recorder.until(lambda: len(speeds(recorder, "m1")) >= sent, "all of m1")
            assert adapter._devices["m1"] is untouched
            assert adapter.devices == ("m1", "m2", "m4")
    assert speeds(recorder, "m1") == [k + 1 for k in range(len(speeds(recorder, "m1")))]  # none lost, none twice
    assert set(recorder.outcomes("m1")) == {Outcome.OK}
    assert 9 not in speeds(recorder, "m2") + speeds(recorder, "m3")
    assert list(read_letters(tmp_path)) == []  # what was left a moment ago is no dead letter


async def test_a_topic_per_point_makes_events_of_that_point(tmp_path: Path) -> None:
    points = [{"name": n, "type": "f64"} for n in ("speed", "load")]
    async with Mosquitto(tmp_path) as broker, Machine(broker.port) as machine:
        devices = sources(broker.port, "event", points, m1={"topic": "p/{device}/{point}", "payload": "plain"})
        async with working(devices) as (_, recorder):
            await machine.until_heard(recorder, "m1", "p/m1/load", b"1")
            await machine.say("p/m1/speed", b"2.5")
            await machine.say("p/m1/torque", b"3")
            await machine.say("p/m1/load", b"4")
            await recorder.until(lambda: {"load": 4.0} in [r["values"] for r in recorder.rows("m1")], "the last value")
    found = [(r["point"], r["values"][r["point"]]) for r in recorder.rows("m1")]
    assert [f for f in found if f != ("load", 1.0)] == [("speed", 2.5), ("load", 4.0)]


async def test_two_collectors_of_one_group_share_the_messages(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, Machine(broker.port) as machine:
        mine = sources(broker.port, m1={"share": "g", "client_id": "one"})
        theirs = sources(broker.port, m1={"share": "g", "client_id": "two"})
        async with working(mine) as (_, one), working(theirs) as (_, two):
            while not (one.entered and two.entered):
                await machine.say("plant/m1", {"speed": 0})
                await asyncio.sleep(0.05)
            for k in range(1, 41):
                await machine.say("plant/m1", {"speed": k})
            await one.until(lambda: len(speeds(one, "m1")) + len(speeds(two, "m1")) >= 40, "40 messages")
    assert sorted(speeds(one, "m1") + speeds(two, "m1")) == list(range(1, 41))
    assert speeds(one, "m1")
    assert speeds(two, "m1")


async def test_rubbish_is_a_rejected_row_and_a_dead_letter_and_stops_nothing(tmp_path: Path) -> None:
    rubbish = [
        (b"\xff\xfe", "JSON"),
        (b'{"speed": NaN}', "JSON"),
        (b'{"a":' * 5000, "JSON"),
        (b'{"torque": 1}', "测点"),
        (b"x" * 10_000_000, "报文过大"),
        (b"", "JSON"),
    ]
    async with Mosquitto(tmp_path) as broker, Machine(broker.port) as machine:
        async with working(sources(broker.port, m1={}, m2={}), tmp_path) as (_, recorder):
            await machine.until_heard(recorder, "m1", "plant/m1")
            await machine.until_heard(recorder, "m2", "plant/m2")
            for k, (payload, _) in enumerate(rubbish):
                await machine.say("plant/m1", payload)
                await machine.say("plant/m2", {"speed": k + 1})
            await machine.say("plant/m1", {"speed": 7})
            await recorder.until(lambda: 7 in speeds(recorder, "m1"), "the good one")
            await recorder.until(lambda: len(speeds(recorder, "m2")) == len(rubbish), "the other device")
        letters = list(read_letters(tmp_path))
    assert recorder.outcomes("m1").count(Outcome.REJECTED) == len(rubbish) == len(letters)
    for letter, (payload, words) in zip(letters, rubbish, strict=True):
        assert (letter["devices"], letter["topic"], letter["size"]) == (["m1"], "plant/m1", len(payload))
        assert words in letter["why"]
    assert set(recorder.outcomes("m2")) == {Outcome.OK}


async def test_a_topic_nobody_asked_for_is_a_dead_letter_once_and_left(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, Machine(broker.port) as machine:
        async with working(sources(broker.port, m1={"topic": "plant/old"})) as (_, before):
            await machine.until_heard(before, "m1", "plant/old")
        for _ in range(3):
            await machine.say("plant/old", {"speed": 1})
        async with working(sources(broker.port, m1={}), tmp_path) as (_, after):
            await machine.until_heard(after, "m1", "plant/m1")
        (letter,) = read_letters(tmp_path)
    assert (letter["topic"], letter["devices"]) == ("plant/old", [])
    assert speeds(after, "m1") == []


async def test_retained_messages_are_never_fresh_also_after_the_brokers_return(tmp_path: Path) -> None:
    lines = ("persistence true", "persistence_location FOLDER/", "autosave_interval 1", "autosave_on_changes true")
    async with Mosquitto(tmp_path, *lines) as broker:
        async with Machine(broker.port) as machine:
            await machine.say("plant/m1", {"speed": 55}, retain=True)
        async with working(sources(broker.port, m1={"interval_s": 1}, m2={"interval_s": 1})) as (adapter, recorder):
            await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.SILENT) >= 1, "a silent row")
            await broker.stop()
            await recorder.until(lambda: Outcome.REFUSED in recorder.outcomes("m1"), "a row without a broker")
            await broker.start()
            rows = len(recorder.rows("m1"))
            await recorder.until(
                lambda: Outcome.SILENT in recorder.outcomes("m1")[rows:], "a silent row after the return"
            )
            async with Machine(broker.port) as machine:
                await machine.until_heard(recorder, "m2", "plant/m2")  # the subscriptions were renewed
            assert adapter._link.version == packets.V5
    assert speeds(recorder, "m1") == []
    assert Outcome.OK not in recorder.outcomes("m1")


async def test_two_values_of_one_time_are_two_rows(tmp_path: Path) -> None:
    async with (
        Mosquitto(tmp_path) as broker,
        Machine(broker.port) as machine,
        working(sources(broker.port, m1={"time_path": "$.t"})) as (_, recorder),
    ):
        await machine.until_heard(recorder, "m1", "plant/m1")
        for speed in (1, 2):
            await machine.say("plant/m1", {"speed": speed, "t": "2026-11-22T01:02:03Z"})
        await recorder.until(lambda: len(speeds(recorder, "m1")) == 2, "both")
    assert [r["source_us"] for r in recorder.rows("m1") if r["values"].get("speed")] == [1_795_309_323_000_000] * 2


async def test_nothing_but_reading_ever_leaves_the_process() -> None:
    """A whole life: connect, hear QoS 0 to 2, dead letters, a newer register, a kick, a reconnection, goodbye."""

    def script(packet: Packet) -> list[bytes]:
        if packet.kind != packets.SUBSCRIBE:
            return polite(packet)
        said = [packets.publish(packets.V5, q, "plant/m1", b'{"speed": 1}', q, retain=False) for q in (0, 1, 2)]
        return [*polite(packet), *said, packets.publish(packets.V5, 7, "plant/x", b"?", 1, retain=True)]

    async with (
        ScriptedBroker(script) as broker,
        working(sources(broker.port, m1={"status_topic": "s/{device}"})) as (adapter, recorder),
    ):
        await recorder.until(lambda: len(speeds(recorder, "m1")) == 3, "three messages")
        await adapter.apply(sources(broker.port, m1={"topic": "plant/new"}))
        await asyncio.sleep(0.2)
        await broker.send(b"\xe0\x02\x98\x00")
        await recorder.until(lambda: broker.connections == 2, "a second connection")
        await asyncio.sleep(0.3)
    reading = {
        packets.CONNECT, packets.SUBSCRIBE, packets.UNSUBSCRIBE, packets.PINGREQ, packets.DISCONNECT,
        packets.PUBACK, packets.PUBREC, packets.PUBCOMP,
    }  # fmt: skip
    assert broker.kinds() - {packets.PINGREQ} == reading - {packets.PINGREQ}
    assert all(not p.body[7] & 4 for p in broker.received if p.kind == packets.CONNECT)  # no will either


async def test_a_broker_that_kicks_at_once_is_not_stormed() -> None:
    def script(packet: Packet) -> list[bytes]:
        return [*polite(packet), *([b"\xe0\x02\x8e\x00"] if packet.kind == packets.SUBSCRIBE else [])]

    async with ScriptedBroker(script) as broker, working(sources(broker.port, m1={"interval_s": 1})) as (_, recorder):
        await recorder.until(lambda: len(recorder.rows("m1")) >= 3, "three rows")
        assert broker.connections <= 5
    assert set(recorder.outcomes("m1")) <= {Outcome.DISCONNECTED, Outcome.SILENT}
    assert any("client_id" in s.words for s in recorder.states)


async def test_a_refused_topic_is_denied_and_the_other_device_is_heard() -> None:
    def script(packet: Packet) -> list[bytes]:
        if packet.kind != packets.SUBSCRIBE:
            return polite(packet)
        granted = b"\x90\x05" + packet.body[:2] + b"\x00\x87\x01"  # plant/m1 not authorized, plant/m2 QoS 1
        return [granted, packets.publish(packets.V5, 1, "plant/m2", b'{"speed": 2}', 1, retain=False)]

    async with (
        ScriptedBroker(script) as broker,
        working(sources(broker.port, m1={"interval_s": 1}, m2={})) as (_, seen),
    ):
        await seen.until(lambda: seen.rows("m1") and seen.rows("m2"), "a row of each")
    assert set(seen.outcomes("m1")) == {Outcome.DENIED}
    assert speeds(seen, "m2") == [2.0]
    assert any("访问控制" in s.words for s in seen.states)


async def test_listening_proposes_points_and_dead_letters_are_listed(tmp_path: Path) -> None:
    runner = CliRunner()
    async with Mosquitto(tmp_path) as broker, Machine(broker.port) as machine:
        await machine.say("kept", {"speed": 1.5, "ts": 1795309323456}, retain=True)
        url = f"mqtt://127.0.0.1:{broker.port}"
        command = ["mqtt", "listen", url, "--seconds", "1", "--json"]
        result = await asyncio.to_thread(runner.invoke, plantproof.app, command)
        assert result.exit_code == 0, result.output
        (heard,) = json.loads(result.stdout)["topics"]
        assert (heard["topic"], heard["messages"], heard["retained"]) == ("kept", 0, True)
        assert heard["sketch"]["points"] == [{"path": "$.speed", "type": "f64", "example": 1.5}]
        assert (heard["sketch"]["time_path"], heard["sketch"]["time_unit"]) == ("$.ts", "ms")
        assert Mqtt.model_validate({"protocol": "mqtt", "broker": url, "topic": "kept", "time_path": "$.ts"})
        async with working(sources(broker.port, m1={}), tmp_path / "state") as (_, recorder):
            while Outcome.REJECTED not in recorder.outcomes("m1"):
                await machine.say("plant/m1", b"rubbish")
                await asyncio.sleep(0.1)
    listed = runner.invoke(plantproof.app, ["mqtt", "dead-letters", "--data", str(tmp_path), "--json"])
    assert listed.exit_code == 0
    assert json.loads(listed.stdout)[0]["topic"] == "plant/m1"
    shown = runner.invoke(plantproof.app, ["mqtt", "dead-letters", "--data", str(tmp_path)])
    assert shown.exit_code == 0
    assert runner.invoke(plantproof.app, ["mqtt", "dead-letters", "--data", str(tmp_path / "no")]).exit_code == 5
    unheard = await asyncio.to_thread(runner.invoke, plantproof.app, ["mqtt", "listen", url, "--seconds", "1"])
    assert unheard.exit_code == 3


@pytest.mark.parametrize("address", ["http://h", "mqtt://", "mqtt://h:x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    assert CliRunner().invoke(plantproof.app, ["mqtt", "listen", address]).exit_code == 2


async def test_a_clock_that_was_set_back_leaves_no_silence_unrecorded() -> None:
    clock = StepClock(MIDNIGHT_US)
    adapter = MqttAdapter(sources(1, m1={"interval_s": 60}), Site(clock))
    task = asyncio.create_task(adapter._record_silence())
    await asyncio.sleep(0)
    clock._now_us -= 86_400_000_000
    for _ in range(200):  # a second each
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [Outcome(int(b.outcome[0])) for g in adapter._groups for b in g.batches][:2] == [Outcome.SILENT] * 2


async def test_topics_without_end_that_nobody_asked_for_are_not_remembered_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LEFT_MOST", 10)
    adapter = MqttAdapter(sources(1, m1={}), Site(WallClock()))
    adapter._take([packets.Message(f"other/{k}", b"", 0, False, False, 0, 0) for k in range(50)], [])
    assert len(adapter._left) == 10
