"""Recordings of real machines served over real protocols, paced by the caller; and the registers that describe them.

In: a folder of NIST files, which machine speaks what, the broker's port. Out: `Replay`: `await advance(until_us)` publishes
everything delivered by that moment and says how many rows that were, so that a test moves the collector's driven clock and
the machines in step. NAB has a server of its own (`simulators/replay_modbus.py`): there each read is a step.
Values are text as recorded; `UNAVAILABLE` is the agents' word for no value, and the registers say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from simulators.recordings import Recording, open_recordings
from simulators.replay_mqtt import STATUS_TOPIC, TOPIC, MqttReplay
from simulators.replay_opcua import QUEUE, OpcUaReplay

BY_MQTT = ("GFAgie01", "Hurco04", "Hurco06")  # unless the caller says otherwise, the rest speaks OPC UA
_STATES = {
    "ACTIVE": "run",
    **dict.fromkeys(("READY", "STOPPED", "FEED_HOLD", "INTERRUPTED", "PROGRAM_STOPPED"), "stop"),
}


class Replay:
    """The machines of one folder."""

    def __init__(self, folder: Path, by_mqtt: tuple[str, ...] = BY_MQTT) -> None:
        found = open_recordings(folder)
        self._opcua_part = {m: r for m, r in found.items() if m not in by_mqtt}
        self._mqtt_part = {m: r for m, r in found.items() if m in by_mqtt}
        self._recordings = found
        self._opcua = OpcUaReplay(self._opcua_part)
        self._mqtt = MqttReplay(self._mqtt_part)
        self._broker_port = 0

    @property
    def next_us(self) -> int | None:
        """When the next row of any machine is delivered; None when all is told."""
        return min((r.next_us for r in self._recordings.values() if r.next_us is not None), default=None)

    async def start(self, broker_port: int) -> None:
        """Start the OPC UA server and connect to the broker, which somebody else runs on 127.0.0.1."""
        self._broker_port = broker_port
        await self._opcua.start()
        if self._mqtt_part:
            await self._mqtt.start(broker_port)

    async def advance(self, until_us: int) -> int:
        """Publish every row delivered by that moment; how many."""
        count = await self._opcua.advance(until_us)
        return count + (await self._mqtt.advance(until_us) if self._mqtt_part else 0)

    async def stop(self) -> None:
        """Disconnect and close."""
        if self._mqtt_part:
            await self._mqtt.stop()
        await self._opcua.stop()

    def register_toml(self) -> str:
        """The register of these machines, once started."""
        return replay_register_toml(self._opcua_part, self._mqtt_part, self._opcua.port, self._broker_port)


def replay_register_toml(
    by_opcua: Mapping[str, Recording], by_mqtt: Mapping[str, Recording], opcua_port: int, broker_port: int
) -> str:
    """NIST machines as a register: event points of type str, in service from 2019-04-01, an interval of an hour."""
    parts = [_HEAD.format(line="NIST", name="NIST 智能制造试验台", process="cutting", process_name="切削加工")]
    for machine, recording in sorted({**by_opcua, **by_mqtt}.items()):
        tags = recording.tags()
        parts.append(_point_set(machine, tags))
        if machine in by_opcua:
            connection = (
                f'{{ protocol = "opcua", endpoint = "opc.tcp://127.0.0.1:{opcua_port}/plantproof", '
                f'mode = "subscribe", queue = {QUEUE} }}'
            )
        else:
            connection = (
                f'{{ protocol = "mqtt", broker = "mqtt://127.0.0.1:{broker_port}", version = "3.1.1", '
                f'topic = "{TOPIC.format(machine=machine)}", status_topic = "{STATUS_TOPIC.format(machine=machine)}", '
                'time_path = "$.ts" }'
            )
        parts.append(
            _DEVICE.format(
                id=machine, line="NIST", process="cutting", since="2019-04-01", interval=3600, connection=connection
            )
        )
    return "\n".join(parts)


def nab_register_toml(port: int) -> str:
    """The NAB machine as a register: one block of two points, read every five minutes."""
    connection = f'{{ protocol = "modbus", host = "127.0.0.1", port = {port}, unit = 1 }}'
    device = _DEVICE.format(
        id="NAB", line="NAB", process="running", since="2013-12-01", interval=300, connection=connection
    )
    return "\n".join(
        [_HEAD.format(line="NAB", name="NAB", process="running", process_name="运行"), _NAB_POINTS, device]
    )


def _point_set(machine: str, tags: list[str]) -> str:
    states = "state_map = { " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in _STATES.items()) + " }\n"
    head = f'[[points]]\nid = "{machine}"\nkind = "event"\n' + (states if "execution" in tags else "")
    return head + "".join(_POINT.format(tag=tag, role="state" if tag == "execution" else "process") for tag in tags)


_HEAD = """format = "plantproof-register/1"

[[line]]
id = "{line}"
name = "{name}"
representative = true

[[process]]
id = "{process}"
name = "{process_name}"
line = "{line}"
key = true
"""
_POINT = """
[[points.point]]
name = "{tag}"
type = "str"
role = "{role}"
no_value = ["UNAVAILABLE"]
node = "ns=2;s={{device}}.{tag}"
path = "$.{tag}"
"""
_DEVICE = """
[[device]]
id = "{id}"
name = "{id}"
line = "{line}"
process = "{process}"
digital = true
in_service_from = {since}
interval_s = {interval}
points = "{id}"
connection = {connection}
"""
_NAB_POINTS = """[[points]]
id = "NAB"
kind = "wide"

[[points.point]]
name = "temperature"
type = "f64"
unit = "[degF]"
key_parameter = true
table = "holding_register"
address = 0
wire = "f64"

[[points.point]]
name = "sample_time"
type = "i64"
unit = "ms"
table = "holding_register"
address = 4
wire = "i64"
"""
