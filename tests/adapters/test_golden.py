"""Bytes recorded from servers on other stacks, decoded without them: the same request in gives the same rows out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from adapters.batch import Outcome
from adapters.contract import Site
from adapters.opcua.reading import reading_of
from adapters.registry import build
from tests.adapters.plant import Recorder, WallClock
from tests.adapters.stacks import (
    MODBUS_BAD,
    MODBUS_VALUES,
    OPCUA_MARKS,
    OPCUA_VALUES,
    WHEN_US,
    modbus_register,
    opcua_register,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def exchange(name: str) -> list[tuple[str, bytes]]:
    body = json.loads((GOLDEN / f"{name}.json").read_text())
    return [(who, bytes.fromhex(raw)) for who, raw in body["exchange"]]


@asynccontextmanager
async def replay(name: str, header: int, length: Any) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers each request with the recorded answer; what it was asked is kept."""
    answers = [raw for who, raw in exchange(name) if who == "s"]
    asked: list[bytes] = []
    talks: list[asyncio.Task[Any]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.append(task)
        try:
            while True:
                start = await reader.readexactly(header)
                asked.append(start + await reader.readexactly(length(start)))
                if answers:
                    writer.write(answers.pop(0))
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1]), asked
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.wait_for(asyncio.gather(*talks), 30)


async def test_recorded_modbus_serial_bytes_decode_to_its_registers() -> None:
    async with replay("modbus-serial", 6, lambda h: int.from_bytes(h[4:6], "big")) as (port, asked):
        recorder = Recorder(batches=await build(modbus_register(port), Site(WallClock()))[0].read_once())
    (row,) = recorder.rows("m1")
    assert (row["outcome"], row["values"]) == (Outcome.OK, MODBUS_VALUES)
    assert {n: m for n, m in row["marks"].items() if m} == MODBUS_BAD
    assert b"".join(asked) == b"".join(raw for who, raw in exchange("modbus-serial") if who == "c")
    assert {request[7] for request in asked} <= {1, 2, 3, 4, 43}  # reading function codes only


async def test_recorded_node_opcua_bytes_decode_to_its_variables() -> None:
    async with replay("node-opcua-read", 8, lambda h: int.from_bytes(h[4:8], "little") - 8) as (port, _):
        recorder = Recorder(batches=await build(opcua_register(port), Site(WallClock()))[0].read_once())
    row = recorder.rows("m1")[0]
    assert (row["outcome"], row["source_us"]) == (Outcome.OK, WHEN_US)
    assert row["values"].items() >= OPCUA_VALUES.items()
    assert {n: m for n, m in row["marks"].items() if m} == OPCUA_MARKS


def test_recorded_publish_responses_carry_stamps_and_the_overflow_bit() -> None:
    names = [*OPCUA_VALUES, "broken", "runs"]
    readings = []
    for _, raw in exchange("node-opcua-publish"):
        response = struct_from_binary(ua.PublishResponse, Buffer(raw))
        for data in response.Parameters.NotificationMessage.NotificationData:
            readings += [(names[item.ClientHandle], reading_of(item.Value)) for item in data.MonitoredItems]
    first = dict(reversed(readings))
    assert {n: first[n].raw for n in OPCUA_VALUES} == OPCUA_VALUES
    assert {first[n].source_us for n in OPCUA_VALUES} == {WHEN_US}
    assert {n: first[n].status for n in ("shaky", "broken")} == {n: OPCUA_MARKS[n] for n in ("shaky", "broken")}
    assert {n for n, r in readings if r.overflow} == {"runs"}
    assert {r.status for n, r in readings if n == "runs"} == {0}
