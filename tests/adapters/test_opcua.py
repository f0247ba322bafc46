"""OPC UA beyond the contract: namespaces, confirming reads, refused subscriptions, stamps, identity, durability."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor

from adapters.batch import BAD, GOOD, UNCERTAIN, Outcome
from adapters.opcua.reading import Reading, reading_of
from adapters.opcua.recall import Recall
from adapters.opcua.subscription import queue_size
from adapters.rows import Rows
from adapters.template import source_of
from adapters.values import BAD_OUT_OF_RANGE
from tests.adapters.plant import VALUES, OpcUaWire, Recorder, Running, free_port, register_of, rows_of

NOW_US = 1_795_320_000_000_000


@pytest.fixture
async def wire() -> AsyncIterator[OpcUaWire]:
    made = OpcUaWire("subscribe")
    yield made
    await made.stop()


def recall(kind: str) -> tuple[Recall, Any]:
    wire = OpcUaWire("poll" if kind == "wide" else "subscribe")
    register = register_of([*wire.points()[:1], *wire.points()[1:2]], [wire.device("m1", 1)], kind)
    source = source_of(register, register.devices[0])
    return Recall(source), lambda: Rows("m1", source.template)


def rows(made: Rows) -> list[dict[str, Any]]:
    batch = made.batch()
    return rows_of(batch) if batch is not None else []


async def test_a_namespace_that_moves_between_starts_is_found_again(wire: OpcUaWire) -> None:
    port = free_port()
    await wire.start(port)
    async with Running(register_of(wire.points(), [wire.device("m1", port)], "event"), Recorder()) as recorder:
        await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1"), "values")
        await wire.stop()
        wire.spaces = ["urn:example:something-new", "urn:example:machines"]
        await recorder.until(lambda: not recorder.outcomes("m1")[-1].is_contact, "the loss")
        count = len(recorder.rows("m1"))
        await wire.start(port)
        await recorder.until(lambda: any(r["values"] for r in recorder.rows("m1")[count:]), "values again")


async def test_a_server_that_says_it_is_a_simulator_is_one(wire: OpcUaWire) -> None:
    port = free_port()
    wire.product_uri = "urn:plantproof:simulator:workshop"
    await wire.start(port)
    async with Running(register_of(wire.points(), [wire.device("m1", port)], "event"), Recorder()) as recorder:
        await recorder.until(lambda: recorder.batches, "rows")
        (identity,) = recorder.identities
    assert identity.origin == "simulated"
    assert dict(identity.facts).items() >= {"product_uri": wire.product_uri, "software_version": "1.2"}.items()


async def test_a_server_that_refuses_subscriptions_is_read_in_batches(
    wire: OpcUaWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = UaProcessor._process_message

    async def refusing(self: Any, typeid: Any, header: Any, seqhdr: Any, body: Any) -> Any:
        if typeid == ua.NodeId(ua.Int32(ua.ObjectIds.CreateSubscriptionRequest_Encoding_DefaultBinary)):
            raise ua.uaerrors.BadServiceUnsupported
        return await process(self, typeid, header, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", refusing)
    port = free_port()
    await wire.start(port)
    async with Running(register_of(wire.points(), [wire.device("m1", port)], "event"), Recorder()) as recorder:
        await recorder.until(lambda: len({r["point"] for r in recorder.rows("m1")}) == len(VALUES), "every point")
        await recorder.until(lambda: Outcome.CONFIRMED in recorder.outcomes("m1"), "confirmations of all of them")
        await wire.nodes["m1.speed"].write_value(2.5)
        await recorder.until(lambda: any(r["values"].get("speed") == 2.5 for r in recorder.rows("m1")), "the new value")


async def test_the_next_publish_waits_until_the_rows_are_durable(wire: OpcUaWire) -> None:
    port = free_port()
    await wire.start(port)
    async with Running(register_of(wire.points(), [wire.device("m1", port, 60)], "event"), Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.rows("m1")) >= len(VALUES), "the first values")
        recorder.gate.clear()
        await wire.nodes["m1.speed"].write_value(10.0)
        entered = recorder.entered
        await recorder.until(lambda: recorder.entered > entered, "a batch offered to the store")
        for k in range(1, 20):  # while the store is stuck, the server's own queue keeps them
            await wire.nodes["m1.speed"].write_value(10.0 + k)
        await asyncio.sleep(2.5)
        assert recorder.entered == entered + 1
        recorder.gate.set()
        speeds = [10.0 + k for k in range(20)]
        await recorder.until(
            lambda: [s for r in recorder.rows("m1") if (s := r["values"].get("speed", 0)) >= 10] == speeds,
            "every value in its order",
        )
        assert Outcome.OVERFLOW not in recorder.outcomes("m1")


def test_a_read_that_finds_nothing_new_confirms_with_the_old_source_time() -> None:
    known, new = recall("event")
    reading = Reading(1.5, GOOD, NOW_US - 3_600_000_000)
    first, second = new(), new()
    known.notified(first, 0, reading, NOW_US)
    known.read(second, {0: reading}, NOW_US + 60_000_000)
    (row,) = rows(second)
    assert (row["outcome"], row["values"], row["source_us"]) == (Outcome.CONFIRMED, {"speed": 1.5}, reading.source_us)
    assert row["lag_us"] == 3_660_000_000


def test_a_read_that_finds_a_missed_value_stores_it_and_confirms_an_old_one_at_once() -> None:
    known, new = recall("event")
    known.notified(new(), 0, Reading(1.5, GOOD, NOW_US), NOW_US)
    fresh, old = new(), new()
    known.read(fresh, {0: Reading(2.5, GOOD, NOW_US + 59_000_000)}, NOW_US + 60_000_000)
    assert [r["outcome"] for r in rows(fresh)] == [Outcome.OK]
    known.read(old, {0: Reading(3.5, GOOD, NOW_US + 60_000_000)}, NOW_US + 120_000_000)
    assert [r["outcome"] for r in rows(old)] == [Outcome.OK, Outcome.CONFIRMED]


def test_a_value_written_again_with_a_new_stamp_is_new() -> None:
    known, new = recall("event")
    known.notified(new(), 0, Reading(1.5, GOOD, NOW_US), NOW_US)
    again = new()
    known.read(again, {0: Reading(1.5, GOOD, NOW_US + 1)}, NOW_US + 2)
    assert [r["outcome"] for r in rows(again)] == [Outcome.OK]


def test_a_wide_poll_takes_the_newest_stamp_and_confirms_when_nothing_moved() -> None:
    known, new = recall("wide")
    readings = {0: Reading(1.5, GOOD, NOW_US - 5_000_000), 1: Reading(3, GOOD, NOW_US - 1_000_000)}
    first, second = new(), new()
    known.read(first, readings, NOW_US)
    known.read(second, readings, NOW_US + 60_000_000)
    assert [(r["outcome"], r["source_us"]) for r in rows(first)] == [(Outcome.OK, NOW_US - 1_000_000)]
    assert [(r["outcome"], r["source_us"]) for r in rows(second)] == [(Outcome.CONFIRMED, NOW_US - 1_000_000)]


def test_a_device_whose_points_are_all_bad_has_failed() -> None:
    known, new = recall("wide")
    made = new()
    known.read(made, {0: Reading(None, 0x808B_0000, None), 1: Reading(None, 0x808B_0000, None)}, NOW_US)
    assert [(r["outcome"], r["quality"]) for r in rows(made)] == [(Outcome.DEVICE_FAILURE, 0x808B_0000)]


def test_an_overflow_bit_is_a_loss_before_the_value_and_leaves_its_status() -> None:
    known, new = recall("event")
    made = new()
    data = ua.DataValue(ua.Variant(7.0), ua.StatusCode(ua.UInt32(0x0480)))
    known.notified(made, 0, reading_of(data), NOW_US)
    assert [(r["outcome"], r["point"]) for r in rows(made)] == [(Outcome.OVERFLOW, "speed"), (Outcome.OK, "speed")]
    assert rows(made)[1]["marks"] == {"speed": UNCERTAIN}  # no source time


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (None, None),
        (datetime(1601, 1, 1, tzinfo=UTC), None),
        (datetime(1970, 1, 3, tzinfo=UTC), None),
        (datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=UTC), 1_795_309_323_000_004),
    ],
)
def test_an_absent_or_unset_stamp_is_no_stamp(stamp: Any, expected: int | None) -> None:
    assert reading_of(ua.DataValue(ua.Variant(1.0), SourceTimestamp=stamp)).source_us == expected


def test_without_a_stamp_the_clock_is_used_and_the_quality_is_uncertain() -> None:
    known, new = recall("event")
    made = new()
    known.notified(made, 0, Reading(1.5, GOOD, None), NOW_US)
    (row,) = rows(made)
    assert (row["source_us"], row["quality"], row["values"]) == (NOW_US, UNCERTAIN, {"speed": 1.5})


def test_our_range_check_marks_the_value_and_not_the_contact() -> None:
    wire = OpcUaWire("subscribe")
    register = register_of([{**wire.points()[0], "high": "10"}], [wire.device("m1", 1)], "event")
    source = source_of(register, register.devices[0])
    made = Rows("m1", source.template)
    Recall(source).notified(made, 0, Reading(99.0, GOOD, NOW_US), NOW_US)
    Recall(source).notified(made, 0, Reading(99.0, BAD, NOW_US), NOW_US)
    assert [(r["quality"], r["marks"]) for r in rows(made)] == [
        (GOOD, {"speed": BAD_OUT_OF_RANGE}),
        (BAD, {"speed": BAD}),
    ]


@pytest.mark.parametrize(("sampling_ms", "size"), [(50, 621), (100, 311), (1000, 32), (60_000, 16)])
def test_queues_hold_what_can_gather_between_publishes_and_a_reserve(sampling_ms: int, size: int) -> None:
    assert queue_size(sampling_ms, 1000) == size
