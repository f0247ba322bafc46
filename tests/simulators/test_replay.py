"""Recordings over the wire: each recorded row is served once, with its time; NAB moves on by one sample per completed read."""

from __future__ import annotations

import asyncio
import json
import struct
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.subscription import Subscription
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.client import AsyncModbusTcpClient

from config.load import parse_register
from simulators.broker import Broker
from simulators.recordings import Recording, open_recordings, read_rows, read_samples
from simulators.replay import Replay, nab_register_toml
from simulators.replay_modbus import ModbusReplay
from simulators.replay_mqtt import messages

DATA = Path("tests/data")
NOON_US = 1_554_221_520_000_000  # 2019-04-02T16:12Z: some hours of both Mazaks
Fact = tuple[str, str, str, str]


class Heard:
    """What a subscriber was told: (machine, tag, recorded time, value)."""

    def __init__(self, names: dict[ua.NodeId, tuple[str, str]]) -> None:
        self.names = names
        self.facts: Counter[Fact] = Counter()

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        stamp = data.monitored_item.Value.SourceTimestamp
        if value is not None and stamp is not None:
            self.facts[(*self.names[node.nodeid], micros(stamp), value)] += 1


def micros(stamp: datetime) -> str:
    aware = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    return aware.isoformat(timespec="microseconds")


def recorded(recordings: dict[str, Recording], until_us: int) -> Counter[Fact]:
    return Counter(
        (name, row.tag, micros(row.at), row.value)
        for name, recording in recordings.items()
        for row in read_rows(recording.path)
        if row.delivered_us <= until_us
    )


def without_repeats(facts: Counter[Fact]) -> set[Fact]:
    return set(facts)


async def subscribe(client: Client, recordings: dict[str, Recording]) -> tuple[Heard, Subscription]:
    names = {
        ua.NodeId.from_string(f"ns=2;s={machine}.{tag}"): (machine, tag)
        for machine, recording in recordings.items()
        for tag in recording.tags()
    }
    heard = Heard(names)
    subscription = await client.create_subscription(100, heard)
    trigger = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
    nodes = [client.get_node(n) for n in names]
    await subscription._subscribe(nodes, queuesize=10_000, mfilter=trigger)
    return heard, subscription


async def test_nist_over_opcua_and_mqtt_gives_every_recorded_row_up_to_the_moment() -> None:
    broker = Broker()
    await broker.start()
    replay = Replay(DATA / "nist", by_mqtt=("GFAgie01", "Hurco04"))
    await replay.start(broker.port)
    register = parse_register(tomllib.loads(replay.register_toml()), "replay.toml")
    assert sorted(d.id for d in register.devices) == sorted(open_recordings(DATA / "nist"))
    everything = open_recordings(DATA / "nist")
    by_mqtt = {m: r for m, r in everything.items() if m in ("GFAgie01", "Hurco04")}
    by_opcua = {m: r for m, r in everything.items() if m not in by_mqtt}
    told: Counter[Fact] = Counter()
    status: list[dict[str, str]] = []

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        machine, kind = message.topic.split("/")[1:]
        body = json.loads(message.payload)
        if kind == "status":
            status.append(body)
            return
        stamp = micros(datetime.fromisoformat(body.pop("ts")))
        for tag, value in body.items():
            told[machine, tag, stamp, value] += 1

    listener = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener")
    listener.on_message = on_message
    listener.connect("127.0.0.1", broker.port)
    listener.loop_start()
    listener.subscribe("replay/#", qos=1)
    async with Client(f"opc.tcp://127.0.0.1:{replay._opcua.port}/plantproof") as client:
        assert await client.get_node("i=2262").read_value() == "urn:plantproof:replay"
        heard, subscription = await subscribe(client, by_opcua)
        count = 0
        while replay.next_us is not None and replay.next_us <= NOON_US:
            count += await replay.advance(min(replay.next_us + 1_200_000_000, NOON_US))
        await asyncio.sleep(1)
        await subscription.delete()
    for _ in range(50):
        if sum(told.values()) >= sum(recorded(by_mqtt, NOON_US).values()):
            break
        await asyncio.sleep(0.1)
    listener.disconnect()
    listener.loop_stop()
    await replay.stop()
    await broker.stop()
    assert count == sum(recorded(everything, NOON_US).values()) > 3000
    assert without_repeats(heard.facts) == without_repeats(recorded(by_opcua, NOON_US))
    assert told == recorded(by_mqtt, NOON_US)
    assert status == [{"origin": "replay", "product": "PlantProof replay"}] * 2


def test_a_tag_that_comes_twice_with_one_stamp_goes_into_two_messages() -> None:
    rows = list(read_rows(DATA / "nist" / "Hurco04.csv.gz"))
    groups = list(messages(iter(rows)))
    assert [row for group in groups for row in group] == rows
    assert all(len({row.tag for row in group}) == len(group) for group in groups)
    assert all(len({row.text for row in group}) == 1 for group in groups)


def test_a_recording_hands_out_each_row_once_however_it_is_paced() -> None:
    whole = list(read_rows(DATA / "nist" / "Mazak03.csv.gz"))
    recording = Recording("Mazak03", DATA / "nist" / "Mazak03.csv.gz")
    paced = []
    while recording.next_us is not None:
        paced += list(recording.take(recording.next_us + 3_600_000_000))
    assert paced == whole


async def test_nab_moves_on_by_one_sample_per_completed_read_and_ends_with_an_exception() -> None:
    samples = read_samples(DATA / "nab_machine_temperature.csv")[:3]
    replay = ModbusReplay(samples)
    await replay.start()
    register = parse_register(tomllib.loads(nab_register_toml(replay.port)), "nab.toml")
    assert [p.name for p in register.point_sets[0].points] == ["temperature", "sample_time"]
    client = AsyncModbusTcpClient("127.0.0.1", port=replay.port, timeout=5, retries=0)
    await client.connect()
    await client.read_holding_registers(0, count=4, device_id=1)  # a part: looked at, not taken
    read = []
    for _ in samples:
        words = (await client.read_holding_registers(0, count=8, device_id=1)).registers
        value, at_ms = struct.unpack(">dq", struct.pack(">8H", *words))
        read.append((at_ms * 1000, value))
    end = await client.read_holding_registers(0, count=8, device_id=1)
    client.close()
    await replay.stop()
    assert read == [(s.at_us, s.value) for s in samples]
    assert (end.isError(), end.exception_code, replay.next_us) == (True, 4, None)


def test_the_committed_cut_is_small_and_credits_nist() -> None:
    assert sum(p.stat().st_size for p in DATA.rglob("*") if p.is_file()) < 2_000_000
    assert "Credit: NIST" in (DATA / "README.md").read_text("utf-8")
