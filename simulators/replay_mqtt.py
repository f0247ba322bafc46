"""Recorded machines behind an MQTT broker: rows of one stamp become one JSON message to the machine's topic, QoS 1.

In: recordings, the broker's port on 127.0.0.1. Out: `MqttReplay`; `advance(until_us)` publishes what had been delivered by then and
returns when the broker has taken all of it. Payload `{"ts": "<as recorded>", "<tag>": "<value>", …}`; a tag that comes twice with one
stamp goes into a message of its own, so that both values arrive. Status, retained: `{"origin":"replay","product":"PlantProof replay"}`.
A whole quarter needs a broker that keeps what is not yet acknowledged (mosquitto), not the embedded one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.recordings import Recording, Row

TOPIC = "replay/{machine}/data"
STATUS_TOPIC = "replay/{machine}/status"
_STATUS = {"origin": "replay", "product": "PlantProof replay"}
_TIMEOUT_S = 120.0
_WINDOW = 500  # messages under way to the broker


class MqttReplay:
    """Recorded machines as one publisher."""

    def __init__(self, recordings: Mapping[str, Recording]) -> None:
        self._recordings = recordings
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="plantproof-replay")
        self._client.max_inflight_messages_set(_WINDOW)

    async def start(self, port: int) -> None:
        """Connect to 127.0.0.1 and say who this is. Errors: OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        connected = asyncio.Event()

        def on_connect(*_: object) -> None:
            loop.call_soon_threadsafe(connected.set)

        self._client.on_connect = on_connect
        await asyncio.to_thread(self._client.connect, "127.0.0.1", port, 60)
        self._client.loop_start()
        await asyncio.wait_for(connected.wait(), _TIMEOUT_S)
        for machine in self._recordings:
            self._client.publish(STATUS_TOPIC.format(machine=machine), json.dumps(_STATUS), qos=1, retain=True)

    async def advance(self, until_us: int) -> int:
        """Publish every row delivered by that moment; how many rows. Errors: `TimeoutError`, RuntimeError when disconnected."""
        return await asyncio.to_thread(self._publish, until_us)

    async def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _publish(self, until_us: int) -> int:
        count = 0
        sent: list[paho.MQTTMessageInfo] = []
        for machine, recording in self._recordings.items():
            topic = TOPIC.format(machine=machine)
            for group in messages(recording.take(until_us)):
                body = {"ts": group[0].text} | {row.tag: row.value for row in group}
                sent.append(self._client.publish(topic, json.dumps(body, ensure_ascii=False), qos=1))
                count += len(group)
                if len(sent) >= _WINDOW:
                    _taken(sent)
        _taken(sent)
        return count


def messages(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Neighbouring rows of one stamp and different tags, together."""
    group: list[Row] = []
    for row in rows:
        if group and (row.text != group[0].text or any(r.tag == row.tag for r in group)):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _taken(sent: list[paho.MQTTMessageInfo]) -> None:
    """Until the broker has acknowledged each of them."""
    for info in sent:
        info.wait_for_publish(_TIMEOUT_S)
        if not info.is_published():
            raise TimeoutError(f"the broker has not acknowledged message {info.mid} within {_TIMEOUT_S} s")
    sent.clear()
