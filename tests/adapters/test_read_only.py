"""Reading only: what leaves the process, byte by byte, through a proxy: no write function code, no method call, no publish."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from adapters.opcua.readonly import READS, WriteRefused
from adapters.opcua.session import Session
from tests.adapters.plant import WIRES, Recorder, Running, free_port, register_of
from tests.adapters.proxy import proxied

MODBUS_READS = {1, 2, 3, 4, 17, 43}  # Modbus Application Protocol V1.1b3 §6
# DefaultBinary encodings of the request types that change nothing (IEC 62541-6, NodeIds.csv): FindServers, GetEndpoints, sessions and
# channels, Read, HistoryRead, Browse, BrowseNext, TranslateBrowsePaths, (Un)RegisterNodes, subscriptions and monitored items of our own
OPCUA_READS = {
    422,
    428,
    446,
    452,
    461,
    467,
    473,
    527,
    533,
    554,
    560,
    566,
    631,
    664,
    751,
    763,
    769,
    775,
    781,
    787,
    793,
    799,
}
OPCUA_READS |= {826, 832, 841, 847}
MQTT_READS = {1, 4, 5, 6, 7, 8, 10, 12, 14}  # all client packets but PUBLISH (3), and AUTH (15), which we do not use


def modbus_said(said: bytes) -> Iterator[int]:
    """Function codes of the requests in a stream of MBAP frames."""
    while len(said) >= 8:
        end = 6 + int.from_bytes(said[4:6], "big")
        yield said[7]
        said = said[end:]


def opcua_said(said: bytes) -> Iterator[int]:
    """Type ids of the requests in a stream of unencrypted chunks."""
    while len(said) >= 8:
        kind, end = said[:3], int.from_bytes(said[4:8], "little")
        if kind == b"MSG":
            assert said[24:26] == b"\x01\x00", "expected a four-byte node id in namespace 0"
            yield int.from_bytes(said[26:28], "little")
        elif kind not in (b"HEL", b"OPN", b"CLO"):
            raise AssertionError(f"expected an OPC UA chunk, found {said[:16]!r}")
        said = said[end:]


def mqtt_said(said: bytes) -> Iterator[int]:
    """Packet types in a stream of MQTT packets."""
    while said:
        length, at, shift = 0, 1, 0
        while True:
            length |= (said[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if said[at - 1] < 128:
                break
        yield said[0] >> 4
        said = said[at + length :]


SAID = {"modbus": (modbus_said, MODBUS_READS), "opcua": (opcua_said, OPCUA_READS), "mqtt": (mqtt_said, MQTT_READS)}


@pytest.mark.parametrize(
    "name", sorted(n for n, wire in WIRES.items() if wire().name in SAID)
)  # Sparkplug: test_sparkplug.py
async def test_only_reading_requests_leave_the_process(name: str) -> None:
    wire = WIRES[name]()
    port = free_port()
    await wire.start(port)
    try:
        async with proxied(port) as proxy:
            register = register_of(wire.points(), [wire.device("m1", proxy.port)], wire.kind)
            async with Running(register, Recorder()) as seen:
                await seen.until(lambda: proxy.connections and proxy.said_up, "a connection")
                await asyncio.sleep(1.5)
                first = bytes(proxy.said_up)
                proxy.said_up.clear()
                await proxy.cut()
                await seen.until(lambda: proxy.connections > 1 and len(proxy.said_up) > 8, "another connection")
                await asyncio.sleep(1.5)
            await asyncio.sleep(0.1)
            second = bytes(proxy.said_up)
    finally:
        await wire.stop()
    decode, allowed = SAID[wire.name]
    kinds = [set(decode(said)) for said in (first, second)]
    assert all(kinds), "expected requests on both connections"
    assert set().union(*kinds) <= allowed


async def test_an_opcua_write_and_a_method_call_are_refused_before_a_byte_leaves() -> None:
    wire = WIRES["opcua-poll"]()
    port = free_port()
    await wire.start(port)
    try:
        async with proxied(port) as proxy:
            session = await Session.open(f"opc.tcp://127.0.0.1:{proxy.port}/x", 5.0, lambda: None)
            try:
                node = session.client.get_node("ns=2;s=m1.count")
                before = len(proxy.said_up)
                with pytest.raises(WriteRefused, match="WriteRequest"):
                    await node.write_value(7)
                with pytest.raises(WriteRefused, match="CallRequest"):
                    await session.client.nodes.server.call_method("0:GetMonitoredItems", 1)
                told = set(opcua_said(bytes(proxy.said_up[before:])))
                assert told <= OPCUA_READS
            finally:
                await session.close()
    finally:
        await wire.stop()


def test_the_gate_lets_pass_exactly_what_the_test_calls_reading() -> None:
    assert READS <= OPCUA_READS
