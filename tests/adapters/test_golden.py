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
from adapters.opcua.values.columns import joined
from adapters.opcua.values.reading import reading_of
from adapters.opcua.values.responses import publish_response
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


async def test_recorded_serial_frames_of_jsmodbus_decode_to_its_registers() -> None:
    async with replay("jsmodbus-rtu", 8, lambda _: 0) as (port, asked):
        register = modbus_register(port, transport="rtu_over_tcp", baudrate=115200)
        recorder = Recorder(batches=await build(register, Site(WallClock()))[0].read_once())
    (row,) = recorder.rows("m1")
    assert (row["outcome"], row["values"]) == (Outcome.OK, MODBUS_VALUES | {"hole": 0})  # jsmodbus has no holes
    assert b"".join(asked) == b"".join(raw for who, raw in exchange("jsmodbus-rtu") if who == "c")


async def test_recorded_node_opcua_bytes_decode_to_its_variables() -> None:
    async with replay("node-opcua-read", 8, lambda h: int.from_bytes(h[4:8], "little") - 8) as (port, _):
        recorder = Recorder(batches=await build(opcua_register(port), Site(WallClock()))[0].read_once())
    row = recorder.rows("m1")[0]
    assert (row["outcome"], row["source_us"]) == (Outcome.OK, WHEN_US)
    assert row["values"].items() >= OPCUA_VALUES.items()
    assert {n: m for n, m in row["marks"].items() if m} == OPCUA_MARKS


def test_recorded_publish_responses_carry_stamps_and_the_overflow_bit() -> None:
    names = [*OPCUA_VALUES, "broken", "runs"]
    delivered = []
    for _, raw in exchange("node-opcua-publish"):
        for values in publish_response(raw).message.values:
            stamps, status = values.source_us.tolist(), values.status.tolist()
            delivered += list(zip(values.handle.tolist(), values.raws(), status, stamps, strict=True))
    first = {names[handle]: rest for handle, *rest in reversed(delivered)}
    assert {n: first[n][0] for n in OPCUA_VALUES} == OPCUA_VALUES
    assert {first[n][2] for n in OPCUA_VALUES} == {WHEN_US}
    assert {n: first[n][1] for n in ("shaky", "broken")} == {n: OPCUA_MARKS[n] for n in ("shaky", "broken")}
    overflowed = [(names[handle], status) for handle, _, status, _ in delivered if status & 0x0480 == 0x0480]
    assert {n for n, _ in overflowed} == {"runs"}
    assert {status & ~0x0480 for handle, _, status, _ in delivered if names[handle] == "runs"} == {0}


def test_recorded_publish_responses_mean_what_the_library_reads_in_them() -> None:
    for _, raw in exchange("node-opcua-publish"):
        theirs = struct_from_binary(ua.PublishResponse, Buffer(raw)).Parameters
        ours = publish_response(raw)
        assert (ours.subscription, ours.message.sequence, ours.more) == (
            theirs.SubscriptionId,
            theirs.NotificationMessage.SequenceNumber,
            theirs.MoreNotifications,
        )
        items = [i for data in theirs.NotificationMessage.NotificationData for i in data.MonitoredItems]
        readings = [reading_of(i.Value) for i in items]
        values = joined(ours.message.values)
        handles = [h for v in ours.message.values for h in v.handle.tolist()]
        assert handles == [i.ClientHandle for i in items]
        assert values.raws() == [r.raw for r in readings]
        assert values.source_us.tolist() == [r.source_us for r in readings]
