"""Servers on other stacks (npm node-opcua, modbus-serial), what they serve, and the register that reads it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any, Self

import pytest

from adapters.modbus.poll import BAD_NOT_FOUND
from config.register import Register
from tests.adapters.plant import device_of, free_port, register_of

FOLDER = Path(__file__).parents[1] / "servers"
WHEN_US = 1_795_309_323_456_000  # 2026-11-22T01:02:03.456Z, as in opcua_server.js
BAD_SENSOR_FAILURE = 0x808C_0000
UNCERTAIN_LAST_USABLE = 0x4090_0000
BAD_NODE_ID_UNKNOWN = 0x8034_0000

MODBUS_VALUES = {
    "speed": 1.5,
    "offset": -70000,
    "most": 65535,
    "tenths": -0.2,
    "ratio": 0.1,
    "name": "A-12",
    "mirror": -2.5,
    "total": 18446744073709551615,
    "behind": 1234,
    "input": 101,
    "coil": True,
    "contact": True,
}
MODBUS_BAD = {"hole": BAD_NOT_FOUND}
OPCUA_VALUES = {
    "speed": 1.5,
    "load": 0.25,
    "count": -3,
    "parts": 65535,
    "total": 2**32 + 2,
    "running": True,
    "name": "车床 A-12",
    "shaky": 7.5,
}
OPCUA_MARKS = {"shaky": UNCERTAIN_LAST_USABLE, "broken": BAD_SENSOR_FAILURE, "nowhere": BAD_NODE_ID_UNKNOWN}


def modbus_register(port: int, **more: Any) -> Register:
    holding = {"table": "holding_register"}
    points: list[dict[str, Any]] = [
        {"name": "speed", "type": "f32", **holding, "address": 0, "wire": "f32"},
        {"name": "offset", "type": "i64", **holding, "address": 2, "wire": "i32", "word_order": "little"},
        {"name": "most", "type": "u64", **holding, "address": 4, "wire": "u16"},
        {"name": "tenths", "type": "f64", **holding, "address": 5, "wire": "i16", "scale": "0.1"},
        {"name": "ratio", "type": "f64", **holding, "address": 6, "wire": "f64"},
        {"name": "name", "type": "str", **holding, "address": 10, "wire": "str", "length": 2},
        {
            "name": "mirror",
            "type": "f64",
            **holding,
            "address": 12,
            "wire": "f64",
            "word_order": "little",
            "byte_order": "little",
        },
        {"name": "total", "type": "u64", **holding, "address": 16, "wire": "u64"},
        {"name": "hole", "type": "u64", **holding, "address": 25, "wire": "u16"},
        {"name": "behind", "type": "i64", **holding, "address": 30, "wire": "u16"},
        {"name": "input", "type": "i64", "table": "input_register", "address": 1, "wire": "u16"},
        {"name": "coil", "type": "bool", "table": "coil", "address": 3, "wire": "bit"},
        {"name": "contact", "type": "bool", "table": "discrete_input", "address": 5, "wire": "bit"},
    ]
    connection = {"protocol": "modbus", "host": "127.0.0.1", "port": port, "timeout_ms": 5000}
    return register_of(points, [device_of("m1", connection | more)])


def opcua_register(port: int, mode: str = "poll", **more: Any) -> Register:
    types = {"load": "f32", "count": "i64", "parts": "u64", "total": "i64", "running": "bool", "name": "str"}
    names = [*OPCUA_VALUES, "broken", *(["runs"] if mode == "subscribe" else [])]
    space = "nsu=urn:example:node-opcua;s={device}"
    points: list[dict[str, Any]] = [
        {"name": n, "type": types.get(n, "u64" if n == "runs" else "f64"), "node": f"{space}.{n}"} for n in names
    ]
    points.append({"name": "nowhere", "type": "f64", "node": "nsu=urn:example:other;s=x"})
    connection = {
        "protocol": "opcua",
        "endpoint": f"opc.tcp://127.0.0.1:{port}",
        "mode": mode,
        "sampling_ms": 50,
        "timeout_ms": 10_000,
        **more,
    }
    return register_of(points, [device_of("m1", connection)], "wide" if mode == "poll" else "event")


class NodeServer:
    """A server of tests/servers, started on a free port. Skipped without node and its modules, an error when required."""

    node_options: tuple[str, ...] = ()

    def __init__(self, script: str, *arguments: str) -> None:
        self.port = free_port()
        self._script, self._arguments = script, arguments
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        node = shutil.which("node")
        if node is None or not (FOLDER / "node_modules").is_dir():
            if os.environ.get("PLANTPROOF_REQUIRE") == "all":
                raise RuntimeError("expected node and tests/servers/node_modules: npm ci --prefix tests/servers")
            pytest.skip("node or tests/servers/node_modules is missing: npm ci --prefix tests/servers")
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            node,
            *self.node_options,
            FOLDER / self._script,
            str(self.port),
            *self._arguments,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(120):
            line = b"-"
            while line and not line.startswith(b"{"):  # node-opcua talks on stdout as well
                line = await self._process.stdout.readline()
        if not line:
            _, err = await self._process.communicate()
            raise RuntimeError(f"{self._script}: expected a port, found {err.decode()[-500:]}")
        assert json.loads(line)["port"] == self.port
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()


class HistoryServer(NodeServer):
    """opcua_history_server.js: values every `interval_ms`, each noted in `served` before it is served; alarms and events on command."""

    def __init__(self, served: Path, **options: Any) -> None:
        self.served = served
        super().__init__("opcua_history_server.js", json.dumps({"served": str(served), **options}))

    async def tell(self, **command: Any) -> None:
        """One command; returns when it is done."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(30):
            while not (await self._process.stdout.readline()).startswith(b'{"done"'):
                pass

    def values(self, point: str) -> list[tuple[int, Any]]:
        """(source time, value) of everything the server served of a point, in its order."""
        return [(line["us"], line["value"]) for line in self._lines() if line.get("point") == point]

    def events(self) -> list[dict[str, Any]]:
        """Everything the server's notifier told."""
        return [line["event"] for line in self._lines() if "event" in line]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.served.read_text().splitlines() if line.endswith("}")]
