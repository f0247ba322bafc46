"""What a server allows and what it refuses: limits are honoured, nothing is silent, no value ever stands under another tag."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from asyncua import Server, ua
from asyncua.server.uaprocessor import UaProcessor

from adapters.batch import Outcome
from tests.adapters.plant import OpcUaWire, Recorder, Running, device_of, free_port, register_of
from tests.adapters.proxy import FaultProxy, proxied
from tests.adapters.stacks import OPCUA_VALUES, NodeServer, opcua_register

READ, REGISTER, CREATE_ITEMS, CREATE_SUBSCRIPTION = 631, 560, 751, 787


@pytest.fixture
async def wire() -> AsyncIterator[OpcUaWire]:
    made = OpcUaWire("poll")
    yield made
    await made.stop()


def asked(proxy: FaultProxy, service: int) -> int:
    return len(re.findall(b"MSGF.{20}\x01\x00" + service.to_bytes(2, "little"), bytes(proxy.said_up), re.DOTALL))


def values(recorder: Recorder) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for row in recorder.rows("m1"):
        if row["outcome"] is Outcome.OK:
            for name, value in row["values"].items():
                found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("error", ["BadTooManyOperations", "BadEncodingLimitsExceeded", "BadResponseTooLarge"])
async def test_theme_4_a_server_with_a_limit_it_does_not_tell_gets_smaller_reads_and_no_value_moves(
    error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = UaProcessor._process_message

    async def narrow(self: Any, typeid: Any, header: Any, seqhdr: Any, body: Any) -> Any:
        if typeid == ua.NodeId(ua.Int32(READ)):
            asked = ua.ua_binary.struct_from_binary(ua.ReadParameters, body.copy())
            if len(asked.NodesToRead) > 11:
                raise getattr(ua.uaerrors, error)
        return await process(self, typeid, header, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", narrow)
    server, port = Server(), free_port()
    await server.init()
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/x")
    index = await server.register_namespace("urn:example:machines")
    for k in range(100):
        await server.nodes.objects.add_variable(ua.NodeId(f"p{k}", index), f"p{k}", float(k))
    points = [{"name": f"p{k}", "type": "f64", "node": f"nsu=urn:example:machines;s=p{k}"} for k in range(100)]
    connection = {"protocol": "opcua", "endpoint": f"opc.tcp://127.0.0.1:{port}/x"}
    async with server, Running(register_of(points, [device_of("m1", connection)]), Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.rows("m1")) >= 2, "two polls")
    for row in recorder.rows("m1"):
        assert row["values"] == {f"p{k}": float(k) for k in range(100)}


async def test_theme_4_points_beyond_the_servers_subscriptions_and_items_are_read_instead() -> None:
    capabilities = json.dumps({"maxSubscriptionsPerSession": 2, "maxMonitoredItemsPerSubscription": 4})
    with structlog.testing.capture_logs() as logs:
        async with NodeServer("opcua_server.js", "3", capabilities) as server, proxied(server.port) as proxy:
            register = opcua_register(proxy.port, "subscribe")
            async with Running(register, Recorder()) as recorder:
                await recorder.until(lambda: set(values(recorder)) >= {*OPCUA_VALUES, "runs"}, "every point")
                seen = len(values(recorder)["runs"])
                await recorder.until(lambda: len(values(recorder)["runs"]) > seen + 1, "the running value goes on")
            assert asked(proxy, CREATE_ITEMS) >= 3
    assert {n: v[0] for n, v in values(recorder).items() if n in OPCUA_VALUES} == OPCUA_VALUES
    assert [e["points"] for e in logs if "the other points are read instead" in e["event"]] == [2]


async def test_a_deadband_filters_and_one_the_server_refuses_is_left_out_and_said() -> None:
    points = [
        {"name": "runs", "type": "u64", "node": "nsu=urn:example:node-opcua;s=m1.runs", "deadband_absolute": "40"},
        {"name": "speed", "type": "f64", "node": "nsu=urn:example:node-opcua;s=m1.speed", "deadband_percent": "5"},
        {"name": "anchor", "type": "f64", "node": "nsu=urn:example:node-opcua;s=m1.load", "role": "output"},
    ]
    with structlog.testing.capture_logs() as logs:
        async with NodeServer("opcua_server.js") as server:
            endpoint = f"opc.tcp://127.0.0.1:{server.port}"
            connection = {"protocol": "opcua", "endpoint": endpoint, "mode": "subscribe", "sampling_ms": 50}
            register = register_of(points, [device_of("m1", connection)], "event")
            async with Running(register, Recorder()) as recorder:
                await recorder.until(lambda: len(values(recorder).get("runs", [])) >= 4, "filtered values")
    runs = [int(str(v)) for v in values(recorder)["runs"]]
    assert all(b - a > 40 for a, b in itertools.pairwise(runs))
    assert values(recorder)["speed"] == [1.5]
    assert [e["points"] for e in logs if "no deadband on this server" in e["event"]] == [1]


async def test_registered_nodes_are_read_and_a_server_without_registration_is_read_all_the_same(
    wire: OpcUaWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with NodeServer("opcua_server.js", "3") as server, proxied(server.port) as proxy:
        async with Running(opcua_register(proxy.port, registered=True), Recorder()) as recorder:
            await recorder.until(lambda: len(recorder.rows("m1")) >= 2, "two polls")
        assert asked(proxy, REGISTER) >= 1
    assert recorder.rows("m1")[0]["values"].items() >= OPCUA_VALUES.items()

    process = UaProcessor._process_message

    async def without(self: Any, typeid: Any, header: Any, seqhdr: Any, body: Any) -> Any:
        if typeid == ua.NodeId(ua.Int32(REGISTER)):
            raise ua.uaerrors.BadServiceUnsupported
        return await process(self, typeid, header, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", without)
    port = free_port()
    await wire.start(port)
    register = register_of(wire.points(), [wire.device("m1", port, registered=True)])
    with structlog.testing.capture_logs() as logs:
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: recorder.rows("m1"), "a poll")
    assert recorder.rows("m1")[0]["values"]["speed"] == 1.5
    assert len([e for e in logs if "nodes not registered" in e["event"]]) == 1
