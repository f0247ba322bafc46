"""Against servers on other stacks: what their library puts on the wire is what our rows say."""

from __future__ import annotations

from adapters.batch import GOOD, Outcome
from adapters.contract import Site
from adapters.registry import build
from tests.adapters.plant import Recorder, Running, WallClock
from tests.adapters.stacks import (
    MODBUS_BAD,
    MODBUS_VALUES,
    OPCUA_MARKS,
    OPCUA_VALUES,
    WHEN_US,
    NodeServer,
    modbus_register,
    opcua_register,
)


async def test_modbus_serial_registers_arrive_and_a_hole_makes_only_its_point_bad() -> None:
    async with NodeServer("modbus_server.js") as server, Running(modbus_register(server.port), Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.rows("m1")) >= 2, "two polls")
    row = recorder.rows("m1")[1]
    assert row["outcome"] is Outcome.OK
    assert row["values"] == MODBUS_VALUES
    assert {n: m for n, m in row["marks"].items() if m} == MODBUS_BAD
    (identity,) = recorder.identities
    assert dict(identity.facts)["product_name"] == "interop server"
    assert identity.origin == "live"


async def test_node_opcua_values_arrive_with_status_and_source_time_under_a_read_limit() -> None:
    async with NodeServer("opcua_server.js", "3") as server:
        register = opcua_register(server.port)
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: len(recorder.rows("m1")) >= 2, "two rows")
    first, second = recorder.rows("m1")[:2]
    assert first["values"] | {"broken": None} == OPCUA_VALUES | {"broken": None}
    assert {n: m for n, m in first["marks"].items() if m} == OPCUA_MARKS
    assert (first["outcome"], second["outcome"]) == (Outcome.OK, Outcome.CONFIRMED)
    assert first["source_us"] == second["source_us"] == WHEN_US
    assert dict(recorder.identities[0].facts)["product_uri"] == "urn:example:interop"


async def test_theme_5_node_opcua_subscription_delivers_and_an_overflowing_queue_is_recorded_as_a_loss() -> None:
    async with NodeServer("opcua_server.js") as server:
        register = opcua_register(server.port, "subscribe", queue=2)
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: Outcome.OVERFLOW in recorder.outcomes("m1"), "an overflow row")
            await recorder.until(lambda: Outcome.CONFIRMED in recorder.outcomes("m1"), "a confirming read")
    rows = recorder.rows("m1")
    got = {n: v for r in rows if r["outcome"] is Outcome.OK and r["point"] != "runs" for n, v in r["values"].items()}
    assert got.items() >= OPCUA_VALUES.items()
    assert {r["point"] for r in rows if r["outcome"] is Outcome.OVERFLOW} == {"runs"}
    runs = [r["values"]["runs"] for r in rows if r["outcome"] is Outcome.OK and "runs" in r["values"]]
    assert runs == sorted(set(runs))
    assert all(r["quality"] == GOOD for r in rows if r["point"] == "runs" and r["outcome"] is Outcome.OK)


async def test_theme_5_node_opcua_subscription_with_computed_queues_loses_nothing() -> None:
    async with (
        NodeServer("opcua_server.js") as server,
        Running(opcua_register(server.port, "subscribe"), Recorder()) as recorder,
    ):
        await recorder.until(lambda: sum(r["point"] == "runs" for r in recorder.rows("m1")) > 30, "30 running values")
    assert Outcome.OVERFLOW not in recorder.outcomes("m1")


async def test_one_round_over_node_opcua_reads_every_point() -> None:
    async with NodeServer("opcua_server.js") as server:
        (adapter,) = build(opcua_register(server.port), Site(WallClock()))
        recorder = Recorder(batches=await adapter.read_once())
    assert recorder.rows("m1")[0]["values"].keys() >= OPCUA_VALUES.keys()
