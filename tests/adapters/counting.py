"""Real servers whose values count, and what they say they served: each value names its device, its point and its number.

In: a protocol. Out: a running server with devices m1, m2, m3 of three points each; `served`, every value it ever gave out, with the time it
gave it; registers for it. OPC UA, MQTT and Sparkplug count ten times a second; a Modbus device at each request, so that the number says
which request a value answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from config.register import Register
from tests.adapters.plant import MqttWire, OpcUaWire, SparkplugWire, device_of, free_port, register_of
from tests.adapters.sparkplug_edge import Edge, now_ms

DEVICES = ("m1", "m2", "m3")
POINTS = {"alpha": "i64", "beta": "i64", "label": "str"}
EVERY_S = 0.1
_REGISTERS = {"alpha": 0, "beta": 100, "label": 200}


def now_us() -> int:
    """The machine's clock."""
    return time.time_ns() // 1000


def value_of(device: str, point: str, number: int) -> int | str:
    """The value that only this device's point has, and only at this number."""
    if point == "label":
        return f"{device}-{number:07d}"
    return int(device[1:]) * 20_000_000 + (point == "beta") * 10_000_000 + number


def number_of(value: int | str) -> int:
    """Which number a value was given."""
    return int(value.split("-")[1]) if isinstance(value, str) else value % 10_000_000


class Counting:
    """A running server. served: (device, point, value) -> the times it was given out with, in microseconds."""

    kind = "event"

    def __init__(self) -> None:
        self.port = 0
        self.served: dict[tuple[str, str, Any], set[int]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve on a free port, and count."""
        self.port = free_port()
        await self._open()
        self._task = asyncio.create_task(self._count())

    async def pause(self) -> None:
        """Count no more; go on serving."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def stop(self) -> None:
        """No server any more."""
        await self.pause()
        await self._close()

    def register(self, name: str, faulty_port: int) -> Register:
        """m1 and m3 behind the faulty port, m2 at the server itself. `name`: of the broker's clients."""
        ports = {"m1": faulty_port, "m2": self.port, "m3": faulty_port}
        devices = [device_of(d, self._connection(d, port, f"{name}-{port % 100_000}"), 1) for d, port in ports.items()]
        return register_of(self._points(), devices, self.kind)

    def numbers(self, device: str) -> set[int]:
        """Every number the device gave out."""
        return {number_of(value) for d, _, value in self.served if d == device}

    async def _count(self) -> None:
        for number in itertools.count(1):
            await self._say(number)
            await asyncio.sleep(EVERY_S)

    async def _open(self) -> None: ...

    async def _close(self) -> None: ...

    async def _say(self, number: int) -> None:
        """Give out a number on every device."""

    def _points(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _connection(self, device: str, port: int, client: str) -> dict[str, Any]:
        raise NotImplementedError


class CountingModbus(Counting):
    """pymodbus' own server. Three blocks that one request cannot hold together; two of them have answers of one length."""

    kind = "wide"
    _server: ModbusTcpServer | None = None

    async def _open(self) -> None:
        devices = []
        for device in DEVICES:
            holding = SimData(0, values=[0] * 256, datatype=DataType.REGISTERS)
            empty = SimData(0, values=[0] * 16, datatype=DataType.REGISTERS)
            bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
            number = int(device[1:])
            devices.append(
                SimDevice(id=number, simdata=([bits], [bits], [holding], [empty]), action=self._action(device))
            )
        self._server = ModbusTcpServer(devices, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    def _action(self, device: str) -> Any:
        numbers = itertools.count(1)

        async def answer(
            _function: int, start: int, address: int, _count: int, registers: list[int], _values: object
        ) -> None:
            number = next(numbers)
            for point, first in _REGISTERS.items():
                if first == address:
                    value = value_of(device, point, number)
                    raw = value.encode() if isinstance(value, str) else value.to_bytes(4, "big")
                    words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
                    registers[first - start : first - start + len(words)] = words
                    self.served[device, point, value].add(now_us())

        return answer

    async def _close(self) -> None:
        if self._server is not None:
            await self._server.shutdown()

    def _points(self) -> list[dict[str, Any]]:
        wires = {"alpha": {"wire": "i32"}, "beta": {"wire": "i32"}, "label": {"wire": "str", "length": 5}}
        return [
            {"name": n, "type": t, "table": "holding_register", "address": _REGISTERS[n], **wires[n]}
            for n, t in POINTS.items()
        ]

    def _connection(self, device: str, port: int, client: str) -> dict[str, Any]:
        unit = int(device[1:])
        return {"protocol": "modbus", "host": "127.0.0.1", "port": port, "unit": unit, "timeout_ms": 500}


class CountingOpcUa(Counting):
    """asyncua's own server; each value is written with the time of its writing."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.kind = "wide" if mode == "poll" else "event"
        self._mode = mode
        self._wire = OpcUaWire()

    async def _open(self) -> None:
        self._wire.values = {d: {p: value_of(d, p, 0) for p in POINTS} for d in DEVICES}
        await self._wire.start(self.port)

    async def _say(self, number: int) -> None:
        for device in DEVICES:
            for point in POINTS:
                value = value_of(device, point, number)
                at_us = now_us()
                kind = ua.VariantType.String if isinstance(value, str) else ua.VariantType.Int64
                stamp = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
                self.served[device, point, value].add(at_us)
                await self._wire.nodes[f"{device}.{point}"].write_value(
                    ua.DataValue(ua.Variant(value, kind), SourceTimestamp=stamp)
                )

    async def _close(self) -> None:
        await self._wire.stop()

    def _points(self) -> list[dict[str, Any]]:
        node = "nsu=urn:example:machines;s={device}."
        return [{"name": n, "type": t, "node": node + n} for n, t in POINTS.items()]

    def _connection(self, device: str, port: int, client: str) -> dict[str, Any]:
        endpoint = f"opc.tcp://127.0.0.1:{port}/x"
        return {"protocol": "opcua", "endpoint": endpoint, "mode": self._mode, "sampling_ms": 50, "timeout_ms": 800}


class CountingMqtt(Counting):
    """mosquitto, and a publisher whose messages carry the number and the time, at QoS 1."""

    kind = "wide"

    def __init__(self) -> None:
        super().__init__()
        self._wire = MqttWire()
        self._wire.repeat = False

    async def _open(self) -> None:
        await self._wire.start(self.port)

    async def _say(self, number: int) -> None:
        for device in DEVICES:
            at_ms = now_ms()
            values = {point: value_of(device, point, number) for point in POINTS}
            await asyncio.to_thread(self._wire.publish, device, {"t": at_ms, **values})
            for point, value in values.items():
                self.served[device, point, value].add(at_ms * 1000)

    async def _close(self) -> None:
        await self._wire.stop()

    def _points(self) -> list[dict[str, Any]]:
        return [{"name": n, "type": t, "path": f"$.{n}"} for n, t in POINTS.items()]

    def _connection(self, device: str, port: int, client: str) -> dict[str, Any]:
        return {
            "protocol": "mqtt",
            "broker": f"mqtt://127.0.0.1:{port}",
            "topic": f"plant/{device}",
            "client_id": client,
            "time_path": "$.t",
            "time_unit": "ms",
        }


class CountingEdge(Edge):
    """An edge node whose births say what holds now, and are never alike: two hosts may ask for one within a millisecond."""

    def birth(self) -> None:
        with self._lock:
            time.sleep(0.002)
            super().birth()

    def now(self, device: str, values: dict[str, Any]) -> None:
        """These hold from now on."""
        with self._lock:
            self.metrics[device] = [(n, t, values[n]) for n, t, _ in self.metrics[device]]
            self.data(device, values)


class CountingSparkplug(Counting):
    """mosquitto, and an edge node with three devices."""

    def __init__(self) -> None:
        super().__init__()
        self._wire = SparkplugWire()
        self._wire.repeat = False
        types = {"i64": 4, "str": 12}
        devices = {d: [(p, types[t], value_of(d, p, 0)) for p, t in POINTS.items()] for d in DEVICES}
        self._edge = self._wire.edge = CountingEdge({"": [], **devices}, aliases=True)
        self._taken = 0

    async def _open(self) -> None:
        await self._wire.start(self.port)

    async def _say(self, number: int) -> None:
        for device in DEVICES:
            self._edge.now(device, {point: value_of(device, point, number) for point in POINTS})

    async def pause(self) -> None:
        await super().pause()
        self.note()

    def note(self) -> None:
        """What the edge node says it sent, births too."""
        for device, point, at_ms, value in self._edge.sent[self._taken :]:
            self.served[device, point, value].add(at_ms * 1000)
            self._taken += 1

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            self.note()
        await self._wire.stop()

    def _points(self) -> list[dict[str, Any]]:
        return [{"name": n, "type": t, "metric": n} for n, t in POINTS.items()]

    def _connection(self, device: str, port: int, client: str) -> dict[str, Any]:
        return {
            "protocol": "sparkplug",
            "broker": f"mqtt://127.0.0.1:{port}",
            "group": "G",
            "edge_node": "E",
            "device": device,
            "client_id": client,
        }


COUNTING = {
    "modbus": CountingModbus,
    "opcua-poll": lambda: CountingOpcUa("poll"),
    "opcua-subscribe": lambda: CountingOpcUa("subscribe"),
    "mqtt": CountingMqtt,
    "sparkplug": CountingSparkplug,
}
