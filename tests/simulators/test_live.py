"""The workshop alive: each protocol answers over its own socket, fails when told to, and says or hides that it is simulated."""

from __future__ import annotations

import asyncio
import json
import queue
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import paho.mqtt.client as paho
import pytest
import pytest_asyncio
from asyncua.client.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.client import AsyncModbusTcpClient

from simulators.broker import Broker
from simulators.fleet import MACHINE
from simulators.history import values_at
from simulators.live import Workshop, serve
from simulators.workshop import Story

STORY = Story(date(2026, 11, 22))
NOON_US = STORY.at_us(0, 14 * 60 + 7)
pytestmark = pytest.mark.asyncio(loop_scope="module")
PRODUCT_URI = "i=2262"  # Server_ServerStatus_BuildInfo_ProductUri


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    found = await serve(STORY, now_us=lambda: NOON_US)
    yield found
    await found.stop()


class Listener:
    """A paho client that acknowledges by hand and puts what it gets into a queue."""

    def __init__(self, port: int, *topics: str) -> None:
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener", manual_ack=True)
        self.subscribed: queue.Queue[int] = queue.Queue()

        def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
            self.messages.put(message)

        def on_subscribe(*_: Any) -> None:
            self.subscribed.put(1)

        self.client.on_message = on_message
        self.client.on_subscribe = on_subscribe
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([(t, 1) for t in topics])

    async def take(self) -> paho.MQTTMessage:
        return await asyncio.to_thread(self.messages.get, timeout=10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def test_opcua_machines_show_the_story_with_the_sources_time(workshop: Workshop) -> None:
    async with Client(f"opc.tcp://127.0.0.1:{workshop.ports.opcua}/plantproof") as client:
        assert await client.get_node(PRODUCT_URI).read_value() == "urn:plantproof:simulator"
        machine = MACHINE["L1-VMC-01"]
        assert machine.profile is not None
        expected = values_at(STORY, machine, NOON_US)
        for point, value in zip(machine.profile.points, expected, strict=True):
            data = await client.get_node(f"ns=2;s=L1-VMC-01.{point.name}").read_data_value()
            assert data.Value is not None
            assert data.Value.Value == value
            assert data.SourceTimestamp is not None
            assert int(data.SourceTimestamp.timestamp() * 1_000_000) == NOON_US


async def test_a_failing_opcua_machine_is_bad_and_its_neighbour_is_not(workshop: Workshop) -> None:
    await workshop.fail("L1-VMC-01")
    async with Client(f"opc.tcp://127.0.0.1:{workshop.ports.opcua}/plantproof") as client:
        bad = await client.get_node("ns=2;s=L1-VMC-01.state").read_data_value(raise_on_bad_status=False)
        good = await client.get_node("ns=2;s=L1-VMC-02.state").read_data_value()
    assert bad.StatusCode is not None
    assert bad.StatusCode.name == "BadDeviceFailure"
    assert good.StatusCode is not None
    assert good.StatusCode.is_good()
    await workshop.recover("L1-VMC-01")


async def test_modbus_registers_decode_to_the_story(workshop: Workshop) -> None:
    client = AsyncModbusTcpClient("127.0.0.1", port=workshop.ports.modbus["L1-FUR-01"], timeout=5, retries=0)
    await client.connect()
    words = (await client.read_input_registers(0, count=10, device_id=1)).registers
    bits = (await client.read_discrete_inputs(0, count=1, device_id=1)).bits
    answer: Any = await client.read_device_information(read_code=3, device_id=1)
    client.close()
    state, auto, recipe, count, temp, speed, _ = values_at(STORY, MACHINE["L1-FUR-01"], NOON_US)
    assert (words[0], bits[0], words[1], words[2] | words[3] << 16) == (state, auto, recipe, count)
    assert words[4] == round(float(str(temp)) * 10)
    assert struct.unpack("<f", struct.pack("<HH", words[6], words[7]))[0] == speed  # PLC: low word first
    assert answer.information[4] == b"PlantProof simulator"


async def test_a_modbus_device_fails_in_three_ways_and_comes_back(workshop: Workshop) -> None:
    device = workshop._modbus["L1-SAW-01"]

    async def ask() -> str:
        client = AsyncModbusTcpClient("127.0.0.1", port=device.port, timeout=0.3, retries=0)
        try:
            if not await client.connect():
                return "refused"
            answer = await client.read_input_registers(0, count=2, device_id=1)
            return f"exception {answer.exception_code}" if answer.isError() else "values"
        except Exception:
            return "no answer"
        finally:
            client.close()

    seen = []
    for how in ("exception", "silent", "refuse", ""):
        await device.fail(how)
        seen.append(await ask())
    assert seen == ["exception 4", "no answer", "refused", "values"]


async def test_mqtt_nodes_publish_the_whole_machine_and_say_that_they_are_simulated(workshop: Workshop) -> None:
    listener = Listener(workshop.ports.mqtt, "workshop/L3-LKT-01/status", "workshop/L3-LKT-01/data")
    await asyncio.to_thread(listener.subscribed.get, timeout=10)
    workshop.publish()
    got: dict[str, Any] = {}
    while len(got) < 2:
        message = await listener.take()
        listener.client.ack(message.mid, message.qos)
        got[message.topic.rsplit("/", 1)[1]] = json.loads(message.payload)
    listener.close()
    machine = MACHINE["L3-LKT-01"]
    assert machine.profile is not None
    assert got["status"] == {"origin": "simulated", "product": "PlantProof simulator"}
    values = dict(zip([p.name for p in machine.profile.points], values_at(STORY, machine, NOON_US), strict=True))
    assert got["data"] == {"ts": "2026-11-22T06:07:00.000000+00:00", **values}


async def test_servers_that_do_not_announce_themselves_look_like_machines() -> None:
    workshop = await serve(STORY, announce=False, now_us=lambda: NOON_US)
    try:
        async with Client(f"opc.tcp://127.0.0.1:{workshop.ports.opcua}/plantproof") as client:
            assert "plantproof" not in str(await client.get_node(PRODUCT_URI).read_value())
        modbus = AsyncModbusTcpClient("127.0.0.1", port=workshop.ports.modbus["L1-FUR-01"], timeout=5, retries=0)
        await modbus.connect()
        answer: Any = await modbus.read_device_information(read_code=3, device_id=1)
        modbus.close()
        assert not any(b"simulator" in text for text in answer.information.values())
        listener = Listener(workshop.ports.mqtt, "workshop/+/status")
        message = await listener.take()
        listener.close()
        assert b"simulated" not in message.payload
    finally:
        await workshop.stop()


async def test_embedded_broker_delivers_every_message_that_is_acknowledged_late_and_in_order() -> None:
    broker = Broker()
    await broker.start()
    listener = Listener(broker.port, "t")
    await asyncio.to_thread(listener.subscribed.get, timeout=10)
    sender = paho.Client(CallbackAPIVersion.VERSION2, client_id="sender")
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    for i in range(60):
        sender.publish("t", str(i), qos=1)
    held: list[paho.MQTTMessage] = []
    seen: list[int] = []
    while len(seen) < 60:
        message = await listener.take()
        seen.append(int(message.payload))
        held.append(message)
        if len(held) == 15 or len(seen) == 60:  # as the collector does: acknowledged together, after the disk
            for each in held:
                listener.client.ack(each.mid, each.qos)
            held.clear()
    sender.disconnect()
    sender.loop_stop()
    listener.close()
    await broker.stop()
    assert seen == list(range(60))


async def test_simulate_prints_its_ports_and_ends_on_sigterm() -> None:
    code = "from simulators.cli import app; app()"
    arguments = ["-c", code, "--today", "2026-11-22"]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)
    assert process.stdout is not None
    ports = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    assert set(ports) == {"opcua", "mqtt", "modbus"}
    assert len(ports["modbus"]) == 13
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
