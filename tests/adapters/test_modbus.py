"""Modbus beyond the contract: exceptions, gateways, identity, and what is never sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import adapters.modbus
from adapters.batch import BAD_DEVICE_FAILURE, Outcome
from adapters.modbus.poll import BAD_NOT_FOUND
from tests.adapters.plant import ModbusWire, Recorder, Running, device_of, free_port, register_of, serve_bytes

REGISTERS = [
    {"name": f"r{a}", "type": "i64", "table": "holding_register", "address": a, "wire": "u16"} for a in (0, 40)
]


@pytest.fixture
async def wire() -> AsyncIterator[ModbusWire]:
    made = ModbusWire()
    yield made
    await made.stop()


class Gateway:
    """A gateway that says what it is told to: unit -> exception code, None for silence, 0 for register values."""

    def __init__(self, units: dict[int, int | None]) -> None:
        self.units = units
        self.port = 0
        self.asked: list[tuple[int, int, int, int]] = []
        self._talks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Gateway:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        await asyncio.wait_for(asyncio.gather(*self._talks), 30)  # every connection has been closed by its client

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while True:
                head = await reader.readexactly(6)
                body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
                answer = self._answer(body)
                if answer is not None:
                    writer.write(head[:4] + len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, body: bytes) -> bytes | None:
        unit, function = body[0], body[1]
        address, count = int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big")
        self.asked.append((unit, function, address, count))
        code = self.units.get(unit)
        if code is None:
            return None
        if function == 43:
            return bytes([unit, 0xAB, 1])
        if code == 2 and address + count <= 30:
            code = 0  # a map that ends at 30
        if code:
            return bytes([unit, function | 0x80, code])
        words = b"".join(a.to_bytes(2, "big") for a in range(address, address + count))
        return bytes([unit, function, len(words)]) + words

    def device(self, device: str, unit: int, interval_s: int = 1, **more: Any) -> dict[str, Any]:
        connection = {"protocol": "modbus", "host": "127.0.0.1", "port": self.port, "unit": unit, "timeout_ms": 400}
        return device_of(device, {**connection, "max_gap": 60, **more}, interval_s)


async def test_a_device_that_says_it_is_a_simulator_is_one(wire: ModbusWire) -> None:
    port = free_port()
    wire.objects = {0: "someone", 1: "x", 2: "1", 4: "PlantProof simulator"}
    await wire.start(port)
    async with Running(register_of(wire.points(), [wire.device("m1", port)]), Recorder()) as recorder:
        await recorder.until(lambda: recorder.batches, "a row")
        assert [i.origin for i in recorder.identities] == ["simulated"]  # known before the first row


async def test_a_device_without_identity_is_read_all_the_same() -> None:
    async with (
        Gateway({1: 0}) as gateway,
        Running(register_of(REGISTERS, [gateway.device("m1", 1)]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: len(recorder.rows("m1")) >= 2, "rows")
    assert recorder.rows("m1")[0]["values"] == {"r0": 0, "r40": 40}
    assert recorder.identities == []
    assert sum(function == 43 for _, function, _, _ in gateway.asked) == 1


async def test_an_exception_for_everything_is_a_device_failure_with_its_words() -> None:
    async with (
        Gateway({1: 4}) as gateway,
        Running(register_of(REGISTERS, [gateway.device("m1", 1)]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: recorder.rows("m1"), "a row")
    row = recorder.rows("m1")[0]
    assert (row["outcome"], row["quality"], row["values"]) == (Outcome.DEVICE_FAILURE, BAD_DEVICE_FAILURE, {})
    assert "server device failure" in recorder.states[0].words


async def test_a_refused_range_makes_only_its_own_points_bad_and_is_learned() -> None:
    async with (
        Gateway({1: 2}) as gateway,
        Running(register_of(REGISTERS, [gateway.device("m1", 1)]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: len(recorder.rows("m1")) >= 3, "three polls")
    row = recorder.rows("m1")[-1]
    assert (row["outcome"], row["values"]) == (Outcome.OK, {"r0": 0})
    assert row["marks"] == {"r0": 0, "r40": BAD_NOT_FOUND}
    ranges = [(address, count) for _, function, address, count in gateway.asked if function == 3]
    assert ranges.count((0, 41)) == 1  # the whole block was tried once, then its halves


@pytest.mark.parametrize(
    ("code", "outcome"), [(10, Outcome.UNREACHABLE), (11, Outcome.TIMEOUT), (6, Outcome.DEVICE_FAILURE)]
)
async def test_gateway_exceptions_say_what_they_mean(code: int, outcome: Outcome) -> None:
    async with (
        Gateway({1: code}) as gateway,
        Running(register_of(REGISTERS, [gateway.device("m1", 1)]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: recorder.rows("m1"), "a row")
    assert recorder.outcomes("m1")[0] is outcome


async def test_theme_10_a_dead_unit_behind_a_gateway_does_not_slow_the_others() -> None:
    async with Gateway({1: 0, 2: None, 3: 0}) as gateway:
        devices = [gateway.device("dead", 2, timeout_ms=30_000), gateway.device("m1", 1), gateway.device("m3", 3)]
        async with Running(register_of(REGISTERS, devices), Recorder()) as recorder:
            await recorder.until(lambda: Outcome.TIMEOUT in recorder.outcomes("dead"), "the dead unit's timeout")
            await recorder.until(lambda: len(recorder.outcomes("dead")) >= 5, "a row of it in each interval")
            assert set(recorder.outcomes("dead")) == {Outcome.TIMEOUT}
            for other in ("m1", "m3"):
                assert recorder.outcomes(other).count(Outcome.OK) >= 4
            gateway.units[2] = 0
            await recorder.until(lambda: Outcome.OK in recorder.outcomes("dead"), "it to come back")


async def test_a_connection_cut_in_the_middle_is_disconnected() -> None:
    port, stop = await serve_bytes(b"")
    device = device_of("m1", {"protocol": "modbus", "host": "127.0.0.1", "port": port, "timeout_ms": 5000})
    async with Running(register_of(REGISTERS, [device]), Recorder()) as recorder:
        await recorder.until(lambda: recorder.rows("m1"), "a row")
        assert recorder.outcomes("m1")[0] is Outcome.DISCONNECTED
    await stop()


async def test_a_server_that_speaks_first_is_another_protocol() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    device = device_of("m1", {"protocol": "modbus", "host": "127.0.0.1", "port": port, "timeout_ms": 5000})
    async with Running(register_of(REGISTERS, [device]), Recorder()) as recorder:
        await recorder.until(lambda: recorder.rows("m1"), "a row")
        assert recorder.outcomes("m1")[0] is Outcome.PROTOCOL
    server.close()
    await server.wait_closed()


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    device = device_of("m1", {"protocol": "modbus", "host": "no-such-host.invalid", "timeout_ms": 5000})
    async with Running(register_of(REGISTERS, [device]), Recorder()) as recorder:
        await recorder.until(lambda: recorder.rows("m1"), "a row")
        assert recorder.outcomes("m1")[0] is Outcome.UNREACHABLE


def test_no_writing_function_is_imported() -> None:
    folder = Path(adapters.modbus.__path__[0])
    text = "\n".join(p.read_text(encoding="utf-8") for p in folder.glob("*.py"))
    assert not re.search(r"Write\w*Request|\.write_(coil|register)|MaskWrite", text)
