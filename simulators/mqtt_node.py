"""An MQTT machine (a gateway box): JSON of the whole machine to its topic, QoS 1, and who it is to its status topic.

In: a machine of the fleet and a broker's port. Out: `MqttNode`; its owner calls `publish` at each interval.
Payload: `{"ts": "<UTC, µs>", "<point>": value, …}`; status, retained: `{"origin":"simulated","product":"PlantProof simulator"}`,
or the bare maker and model when told not to announce itself. `fail` falls silent, `recover` ends that.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.fleet import Machine
from simulators.history import values_at
from simulators.modbus_device import PRODUCT
from simulators.story import US, Story
from simulators.workshop import STATUS_TOPIC, TOPIC

CONNECT_TIMEOUT_S = 10.0


class MqttNode:
    """One machine's publisher; paho's own thread does the network."""

    def __init__(self, story: Story, machine: Machine, *, announce: bool = True) -> None:
        assert machine.profile is not None  # noqa: S101 - connected machines have one
        self._story, self._machine, self._points = story, machine, machine.profile.points
        self._announce = announce
        self._failed = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"sim-{machine.id}")

    async def start(self, port: int) -> None:
        """Connect to 127.0.0.1 and say who this is. Errors: OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        connected = asyncio.Event()

        def on_connect(*_: object) -> None:
            loop.call_soon_threadsafe(connected.set)

        self._client.on_connect = on_connect
        await asyncio.to_thread(self._client.connect, "127.0.0.1", port, 60)
        self._client.loop_start()
        await asyncio.wait_for(connected.wait(), CONNECT_TIMEOUT_S)
        status = {"maker": self._machine.maker, "model": self._machine.model}
        if self._announce:
            status = {"origin": "simulated", "product": PRODUCT}
        topic = STATUS_TOPIC.format(device=self._machine.id)
        self._client.publish(topic, json.dumps(status, ensure_ascii=False), qos=1, retain=True)

    def publish(self, at_us: int) -> None:
        """The values of that moment, unless it has fallen silent."""
        if self._failed:
            return
        body: dict[str, object] = {"ts": datetime.fromtimestamp(at_us / US, UTC).isoformat(timespec="microseconds")}
        values = values_at(self._story, self._machine, at_us)
        body |= {p.name: v for p, v in zip(self._points, values, strict=True)}
        self._client.publish(TOPIC.format(device=self._machine.id), json.dumps(body), qos=1)

    def fail(self) -> None:
        """Say nothing more, stay connected."""
        self._failed = True

    def recover(self) -> None:
        """Speak again."""
        self._failed = False

    async def stop(self) -> None:
        """Disconnect; the thread ends."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
