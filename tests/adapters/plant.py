"""Real servers of every protocol with the same four points, the registers that describe them, and an `emit` that remembers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from asyncua import Server, ua
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from adapters.batch import Batch, Outcome
from adapters.contract import Adapter, DeviceState, Identity, Site
from adapters.registry import build
from config.load import parse_register
from config.register import Register
from tests.adapters.sparkplug_edge import Edge

PATIENCE_S = 30.0
WHEN = datetime(2026, 11, 22, tzinfo=UTC)
VALUES = {"speed": 1.5, "count": 3, "running": True, "name": "A-12"}
TYPES = {"speed": "f64", "count": "i64", "running": "bool", "name": "str"}
SPARKPLUG_TYPES = {"speed": 10, "count": 3, "running": 11, "name": 12}  # Double, Int32, Boolean, String


class WallClock:
    """The machine's clock, as `collector.clock.SystemClock`."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def program(name: str) -> str:
    """The path of a real server's program; skipped without it, an error when everything is required."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("PLANTPROOF_REQUIRE") == "all":
            raise RuntimeError(f"{name}: expected on this machine (PLANTPROOF_REQUIRE=all), found none")
        pytest.skip(f"{name} is not installed")
    return found


@dataclass
class Recorder:
    """What an adapter handed over, row by row."""

    batches: list[Batch] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    states: list[DeviceState] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: int = 0
    urgent: int = 0  # emits that asked for an early flush

    def __post_init__(self) -> None:
        self.gate.set()

    async def emit(self, *batches: Batch, urgent: bool = False) -> None:
        self.entered += len(batches)
        self.urgent += urgent
        await self.gate.wait()
        self.batches += batches

    async def identify(self, identity: Identity) -> None:
        self.identities.append(identity)

    def rows(self, device: str) -> list[dict[str, Any]]:
        """Rows of a device: outcome, quality, times, and the values by point name."""
        return [row for b in self.batches if b.device == device for row in rows_of(b)]

    def outcomes(self, device: str) -> list[Outcome]:
        return [row["outcome"] for row in self.rows(device)]

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                seen = {b.device: [o.name for o in self.outcomes(b.device)][-20:] for b in self.batches}
                raise AssertionError(f"expected {what}, found rows {seen}, states {self.states[-3:]}")
            await asyncio.sleep(0.02)


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    rows = []
    for k in range(len(batch)):
        cells, marks = [], []
        for column, own in zip(batch.columns, batch.point_quality, strict=True):
            has = column.valid is None or bool(column.valid[k])
            raw = column.values[k]
            cells.append((raw if isinstance(raw, str) else raw.item()) if has else None)
            marks.append(int(batch.quality[k] if own is None else own[k]))
        row: dict[str, Any] = {
            "outcome": Outcome(int(batch.outcome[k])),
            "quality": int(batch.quality[k]),
            "source_us": int(batch.source_us[k]),
            "lag_us": int(batch.lag_us[k]),
        }
        if batch.template.kind == "wide":
            row["values"] = {p.name: c for p, c in zip(batch.template.points, cells, strict=True) if c is not None}
            row["marks"] = {p.name: m for p, m in zip(batch.template.points, marks, strict=True)}
        elif cells[0] is None:
            row |= {"point": None, "values": {}}
        else:
            name = batch.template.points[cells[0]].name
            value, mark = next(((c, m) for c, m in zip(cells[1:], marks[1:], strict=True) if c is not None), (None, 0))
            row |= {"point": name, "values": {} if value is None else {name: value}, "marks": {name: mark}}
        rows.append(row)
    return rows


class Running:
    """An adapter at work; leaving the block cancels it and lets it close."""

    def __init__(
        self,
        register: Register,
        recorder: Recorder,
        clock: Any = None,
        keys: Path | None = None,
        state: Path | None = None,
    ) -> None:
        self.recorder = recorder
        self._keys, self._state = keys, state
        self._register = register
        self._clock = clock or WallClock()
        self.adapters: list[Adapter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Recorder:
        self.adapters = build(self._register, Site(self._clock, self.recorder.states.append, self._keys, self._state))
        self._tasks = [asyncio.create_task(a.run(self.recorder.emit, self.recorder.identify)) for a in self.adapters]
        return self.recorder

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


def register_of(points: list[dict[str, Any]], devices: list[dict[str, Any]], kind: str = "wide") -> Register:
    return parse_register(
        {
            "format": "plantproof-register/1",
            "line": [{"id": "L", "name": "L"}],
            "points": [{"id": "p", "kind": kind, "point": points}],
            "device": devices,
        },
        "test",
    )


def device_of(device: str, connection: dict[str, Any], interval_s: int = 1) -> dict[str, Any]:
    return {
        "id": device,
        "name": device,
        "line": "L",
        "points": "p",
        "interval_s": interval_s,
        "in_service_from": "2020-01-01",
        "connection": connection,
    }


class ModbusWire:
    """pymodbus' own server: holding registers from 0, one coil at 3."""

    name = "modbus"
    kind = "wide"
    silence = Outcome.REFUSED

    def __init__(self) -> None:
        self._server: ModbusTcpServer | None = None
        self.objects: dict[int, str] = {}
        self.speak = True

    def points(self) -> list[dict[str, Any]]:
        at: dict[str, dict[str, Any]] = {
            "speed": {"table": "holding_register", "address": 0, "wire": "f32"},
            "count": {"table": "holding_register", "address": 2, "wire": "i32"},
            "running": {"table": "coil", "address": 3, "wire": "bit"},
            "name": {"table": "holding_register", "address": 10, "wire": "str", "length": 2},
        }
        return [{"name": n, "type": t, **at[n]} for n, t in TYPES.items()]

    def device(self, device: str, port: int, interval_s: int = 1) -> dict[str, Any]:
        return device_of(
            device, {"protocol": "modbus", "host": "127.0.0.1", "port": port, "timeout_ms": 500}, interval_s
        )

    async def start(self, port: int) -> None:
        registers = [0x3FC0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0x412D, 0x3132, 0, 0, 0, 0]
        holding = SimData(0, values=registers, datatype=DataType.REGISTERS)
        bits = SimData(0, values=[i == 3 for i in range(16)], datatype=DataType.BITS)
        empty = SimData(0, values=[0] * 16, datatype=DataType.REGISTERS)
        device = SimDevice(id=1, simdata=([bits], [bits], [holding], [empty]))

        def name(sending: bool, pdu: Any) -> Any:
            if sending and isinstance(pdu, ReadDeviceInformationResponse):
                pdu.information = dict(self.objects)
            return pdu

        self._server = ModbusTcpServer(
            device,
            address=("127.0.0.1", port),
            trace_pdu=name,
            trace_packet=lambda sending, data: data if self.speak or not sending else b"",
        )
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None


class OpcUaWire:
    """asyncua's own server; nodes `ns=2;s=<device>.<point>`."""

    name = "opcua"
    silence = Outcome.REFUSED

    def __init__(self, mode: str = "poll") -> None:
        self.mode = mode
        self.kind = "wide" if mode == "poll" else "event"
        self.product_uri = "urn:example:cnc"
        self.spaces = ["urn:example:machines"]
        self.values: dict[str, dict[str, Any]] = {"m1": VALUES, "m2": VALUES}
        self.nodes: dict[str, Any] = {}
        self._server: Server | None = None

    def points(self) -> list[dict[str, Any]]:
        roles = {"count": {"role": "output"}}
        return [
            {"name": n, "type": t, "node": f"nsu=urn:example:machines;s={{device}}.{n}", **roles.get(n, {})}
            for n, t in TYPES.items()
        ]

    def device(self, device: str, port: int, interval_s: int = 1, **more: Any) -> dict[str, Any]:
        connection = {
            "protocol": "opcua",
            "endpoint": f"opc.tcp://127.0.0.1:{port}/x",
            "mode": self.mode,
            "sampling_ms": 100,
            "timeout_ms": 2000,
            **more,
        }
        return device_of(device, connection, interval_s)

    async def start(self, port: int) -> None:
        server = Server()
        await server.init()
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/x")
        await server.set_build_info(self.product_uri, "maker", "product", "1.2", "3", WHEN)
        for space in self.spaces:
            index = await server.register_namespace(space)
        for device, values in self.values.items():
            for name, value in values.items():
                node = await server.nodes.objects.add_variable(ua.NodeId(f"{device}.{name}", index), name, value)
                self.nodes[f"{device}.{name}"] = node
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None


class MqttWire:
    """mosquitto, and a publisher that repeats the values while the broker is up."""

    name = "mqtt"
    kind = "wide"
    silence = Outcome.REFUSED

    def __init__(self) -> None:
        self.pause_s = 0.2  # between messages
        self.broker = program("mosquitto")
        self.repeat = True
        self.talking = {"m1"}
        self._process: subprocess.Popen[bytes] | None = None
        self._publisher: asyncio.Task[None] | None = None
        self.client: paho.Client | None = None

    def points(self) -> list[dict[str, Any]]:
        return [{"name": n, "type": t, "path": f"$.data.{n}"} for n, t in TYPES.items()]

    def device(self, device: str, port: int, interval_s: int = 1, **more: Any) -> dict[str, Any]:
        connection = {"protocol": "mqtt", "broker": f"mqtt://127.0.0.1:{port}", "topic": f"plant/{device}", **more}
        return device_of(device, connection, interval_s)

    async def start(self, port: int) -> None:
        self._process = await asyncio.to_thread(self._spawn, port)
        await wait_for_port(port)
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self._publisher = asyncio.create_task(self._publish())

    extra = ""

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as config:
            config.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n{self.extra}")
        self._config = Path(config.name)
        self._config.chmod(0o644)  # mosquitto gives up root before it reads it
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([self.broker, "-c", config.name], **quiet)

    def publish(self, device: str, body: Any, *, retain: bool = False, topic: str = "") -> None:
        assert self.client is not None
        payload = body if isinstance(body, bytes) else json.dumps(body)
        self.client.publish(topic or f"plant/{device}", payload, qos=1, retain=retain).wait_for_publish(5)

    async def _publish(self) -> None:
        while True:
            if self.repeat:
                for device in self.talking:
                    await asyncio.to_thread(self.publish, device, {"data": VALUES})
            await asyncio.sleep(self.pause_s)

    async def stop(self) -> None:
        if self._publisher is not None:
            self._publisher.cancel()
            await asyncio.gather(self._publisher, return_exceptions=True)
            self._publisher = None
        if self.client is not None:
            self.client.disconnect()
            await asyncio.to_thread(self.client.loop_stop)
            self.client = None
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)
            self._process = None
            self._config.unlink()


class SparkplugWire(MqttWire):
    """mosquitto, and an edge node that repeats the values by name while the broker is up."""

    name = "sparkplug"
    kind = "event"

    def __init__(self) -> None:
        super().__init__()
        metrics = [(f"Axis/{n}", SPARKPLUG_TYPES[n], v) for n, v in VALUES.items()]
        self.edge = Edge({"": [], "m1": metrics, "m2": metrics}, aliases=False)

    def points(self) -> list[dict[str, Any]]:
        return [{"name": n, "type": t, "metric": f"Axis/{n}"} for n, t in TYPES.items()]

    def device(self, device: str, port: int, interval_s: int = 1, **more: Any) -> dict[str, Any]:
        connection = {"protocol": "sparkplug", "broker": f"mqtt://127.0.0.1:{port}", "group": "G", "edge_node": "E"}
        return device_of(device, connection | {"device": device} | more, interval_s)

    async def start(self, port: int) -> None:
        await super().start(port)
        await asyncio.to_thread(self.edge.connect, port)

    def publish(self, device: str, body: Any, *, retain: bool = False, topic: str = "") -> None:
        if self.edge.ready:
            self.edge.data(device, {f"Axis/{n}": v for n, v in body["data"].items()})

    async def stop(self) -> None:
        await asyncio.to_thread(self.edge.close)
        await super().stop()


Wire = ModbusWire | OpcUaWire | MqttWire
WIRES: dict[str, Callable[[], Wire]] = {
    "modbus": ModbusWire,
    "opcua-poll": OpcUaWire,
    "opcua-subscribe": lambda: OpcUaWire("subscribe"),
    "mqtt": MqttWire,
    "sparkplug": SparkplugWire,
}


async def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def serve_bytes(answer: bytes) -> tuple[int, Callable[[], Awaitable[None]]]:
    """A server of another protocol: it answers anything with these bytes and closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    return int(server.sockets[0].getsockname()[1]), stop
