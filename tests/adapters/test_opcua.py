"""OPC UA beyond the contract: namespaces, confirming reads, refused subscriptions, stamps, identity, durability."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_to_binary

from adapters.batch import BAD, GOOD, UNCERTAIN, Outcome
from adapters.opcua.items import queue_size
from adapters.opcua.recall import Recall
from adapters.opcua.values.columns import Values
from adapters.opcua.values.responses import read_response
from adapters.template import Source, source_of
from adapters.values import BAD_OUT_OF_RANGE
from tests.adapters.plant import VALUES, OpcUaWire, Recorder, Running, free_port, register_of, rows_of

NOW_US = 1_795_320_000_000_000


@pytest.fixture
async def wire() -> AsyncIterator[OpcUaWire]:
    made = OpcUaWire("subscribe")
    yield made
    await made.stop()


def recall(kind: str, **more: Any) -> tuple[Recall, Source]:
    """The recall of a device with a speed (f64, first) and a count (i64)."""
    wire = OpcUaWire("poll" if kind == "wide" else "subscribe")
    speed, count = wire.points()[:2]
    register = register_of([{**speed, **more}, count], [wire.device("m1", 1)], kind)
    source = source_of(register, register.devices[0])
    return Recall(source), source


def at(us: int | None) -> datetime | None:
    return None if us is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def said(*values: tuple[object, int, int | None]) -> Values:
    """What a server answers: (value, status, source time), through its bytes."""
    response = ua.ReadResponse()
    response.Results = [ua.DataValue(ua.Variant(v), ua.StatusCode(ua.UInt32(s)), at(us)) for v, s, us in values]
    return read_response(struct_to_binary(response))


def points(*indices: int) -> Any:
    return np.array(indices, np.int64)


ONLY = points(0)
WATCHED = np.array([True])


async def test_theme_2_a_namespace_that_moves_between_starts_is_found_again(wire: OpcUaWire) -> None:
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
    async with Running(register_of(wire.points(), [wire.device("m1", port, 3600)], "event"), Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.rows("m1")) >= len(VALUES), "the first values")
        await recorder.until(lambda: len(recorder.batches) >= 2, "the first reading")
        recorder.gate.clear()
        await wire.nodes["m1.speed"].write_value(10.0)
        entered = recorder.entered
        await recorder.until(lambda: recorder.entered > entered, "a batch offered to the store")
        for k in range(1, 20):  # while the store is stuck, the server's own queue keeps them
            await wire.nodes["m1.speed"].write_value(10.0 + k)
        await asyncio.sleep(2.5)
        assert recorder.entered <= entered + 2  # two requests are under way: one answered, one being stored
        recorder.gate.set()
        speeds = [10.0 + k for k in range(20)]
        await recorder.until(
            lambda: [s for r in recorder.rows("m1") if (s := r["values"].get("speed", 0)) >= 10] == speeds,
            "every value in its order",
        )
        assert Outcome.OVERFLOW not in recorder.outcomes("m1")


def test_theme_16_a_read_that_finds_nothing_new_confirms_with_the_old_source_time() -> None:
    known, _ = recall("event")
    known.notified(said((1.5, GOOD, NOW_US - 3_600_000_000)), ONLY, NOW_US)
    (row,) = rows_of(known.read(said((1.5, GOOD, NOW_US - 3_600_000_000)), ONLY, NOW_US + 60_000_000))
    assert (row["outcome"], row["values"]) == (Outcome.CONFIRMED, {"speed": 1.5})
    assert (row["source_us"], row["lag_us"]) == (NOW_US - 3_600_000_000, 3_660_000_000)


def test_a_read_that_finds_a_missed_value_stores_it_and_confirms_an_old_one_at_once() -> None:
    known, _ = recall("event")
    known.notified(said((1.5, GOOD, NOW_US)), ONLY, NOW_US)
    fresh = known.read(said((2.5, GOOD, NOW_US + 59_000_000)), ONLY, NOW_US + 60_000_000)
    assert [r["outcome"] for r in rows_of(fresh)] == [Outcome.OK]
    old = known.read(said((3.5, GOOD, NOW_US + 60_000_000)), ONLY, NOW_US + 120_000_000)
    assert [r["outcome"] for r in rows_of(old)] == [Outcome.OK, Outcome.CONFIRMED]
    assert [r["values"] for r in rows_of(old)] == [{"speed": 3.5}] * 2


def test_a_value_written_again_with_a_new_stamp_is_new() -> None:
    known, _ = recall("event")
    known.notified(said((1.5, GOOD, NOW_US)), ONLY, NOW_US)
    again = known.read(said((1.5, GOOD, NOW_US + 1)), ONLY, NOW_US + 2)
    assert [r["outcome"] for r in rows_of(again)] == [Outcome.OK]


def test_a_value_that_was_read_before_its_notification_is_stored_once() -> None:
    known, _ = recall("event")
    read = known.read(said((3.5, GOOD, NOW_US + 3)), ONLY, NOW_US + 4, WATCHED)
    told = known.notified(
        said((1.5, GOOD, NOW_US + 1), (3.5, GOOD, NOW_US + 3), (4.5, GOOD, NOW_US + 5)), points(0, 0, 0), NOW_US + 6
    )
    assert [r["values"]["speed"] for r in rows_of(read) + rows_of(told)] == [3.5, 1.5, 4.5]
    alone = known.read(said((5.5, GOOD, NOW_US + 7)), ONLY, NOW_US + 8, WATCHED)
    assert len(rows_of(alone)) == 1
    assert known.notified(said((5.5, GOOD, NOW_US + 7)), ONLY, NOW_US + 9) is None


def test_a_reading_that_was_overtaken_by_a_notification_is_not_stored_again() -> None:
    known, _ = recall("event")
    known.notified(said((1.5, GOOD, NOW_US + 1), (2.5, GOOD, NOW_US + 2)), points(0, 0), NOW_US + 3)
    assert known.read(said((1.5, GOOD, NOW_US + 1)), ONLY, NOW_US + 4, WATCHED) is None
    (row,) = rows_of(known.read(said((2.5, GOOD, NOW_US + 2)), ONLY, NOW_US + 5, WATCHED))
    assert row["outcome"] is Outcome.CONFIRMED


def test_what_a_new_subscription_begins_with_is_confirmed_when_it_was_known() -> None:
    known, _ = recall("event")
    known.notified(said((1.5, GOOD, NOW_US)), ONLY, NOW_US)
    again = known.notified(said((1.5, GOOD, NOW_US), (2.5, GOOD, NOW_US + 5)), points(0, 0), NOW_US + 9)
    assert [r["outcome"] for r in rows_of(again)] == [Outcome.CONFIRMED, Outcome.OK]


def test_theme_15_values_whose_stamp_stands_still_are_all_stored() -> None:
    known, _ = recall("event")
    outcomes = [rows_of(known.read(said((v, GOOD, NOW_US)), ONLY, NOW_US))[0]["outcome"] for v in (1.5, 2.5, 1.5)]
    assert outcomes == [Outcome.OK] * 3


def test_a_wide_poll_takes_the_newest_stamp_and_confirms_when_nothing_moved() -> None:
    known, _ = recall("wide")
    answer = said((1.5, GOOD, NOW_US - 5_000_000), (3, GOOD, NOW_US - 1_000_000))
    first = rows_of(known.read(answer, points(0, 1), NOW_US))
    second = rows_of(known.read(answer, points(0, 1), NOW_US + 60_000_000))
    assert [(r["outcome"], r["source_us"], r["values"]) for r in first] == [
        (Outcome.OK, NOW_US - 1_000_000, {"speed": 1.5, "count": 3})
    ]
    assert [(r["outcome"], r["source_us"]) for r in second] == [(Outcome.CONFIRMED, NOW_US - 1_000_000)]


def test_a_device_whose_points_are_all_bad_has_failed() -> None:
    known, _ = recall("wide")
    made = known.read(said((None, 0x808B_0000, None), (None, 0x808B_0000, None)), points(0, 1), NOW_US)
    assert [(r["outcome"], r["quality"]) for r in rows_of(made)] == [(Outcome.DEVICE_FAILURE, 0x808B_0000)]


def test_an_overflow_bit_is_a_loss_before_the_value_and_leaves_its_status() -> None:
    known, _ = recall("event")
    made = rows_of(known.notified(said((7.0, 0x0480, None), (8, 0x0580, NOW_US)), points(0, 1), NOW_US))
    assert [(r["outcome"], r["point"]) for r in made] == [
        (Outcome.OVERFLOW, "speed"),
        (Outcome.OK, "speed"),
        (Outcome.OVERFLOW, "count"),
        (Outcome.OK, "count"),
    ]
    assert made[1]["marks"] == {"speed": UNCERTAIN}  # no source time
    assert made[3]["marks"] == {"count": 0x0500}  # the limit bits stay


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (None, NOW_US),
        (datetime(1601, 1, 1, tzinfo=UTC), NOW_US),
        (datetime(1970, 1, 3, tzinfo=UTC), NOW_US),
        (datetime(2100, 1, 1, tzinfo=UTC), NOW_US),
        (datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=UTC), 1_795_309_323_000_004),
    ],
)
def test_theme_15_an_absent_unset_or_impossible_stamp_gives_way_to_our_clock_and_is_uncertain(
    stamp: Any, expected: int
) -> None:
    known, _ = recall("event")
    response = ua.ReadResponse()
    response.Results = [ua.DataValue(ua.Variant(1.5), SourceTimestamp=stamp)]
    (row,) = rows_of(known.notified(read_response(struct_to_binary(response)), ONLY, NOW_US))
    quality = GOOD if expected != NOW_US else UNCERTAIN
    assert (row["source_us"], row["quality"], row["values"]) == (expected, quality, {"speed": 1.5})


def test_our_range_check_marks_the_value_and_not_the_contact() -> None:
    known, _ = recall("event", high="10")
    good = known.notified(said((99.0, GOOD, NOW_US)), ONLY, NOW_US)
    bad = known.notified(said((99.0, BAD, NOW_US)), ONLY, NOW_US)
    assert [(r["quality"], r["marks"]) for r in rows_of(good) + rows_of(bad)] == [
        (GOOD, {"speed": BAD_OUT_OF_RANGE}),
        (BAD, {"speed": BAD}),
    ]


def test_the_servers_time_stands_beside_the_sources() -> None:
    known, _ = recall("event")
    response = ua.ReadResponse()
    response.Results = [ua.DataValue(ua.Variant(1.5), SourceTimestamp=at(NOW_US), ServerTimestamp=at(NOW_US + 7))]
    made = known.notified(read_response(struct_to_binary(response)), ONLY, NOW_US)
    assert made.server_us is not None
    assert made.server_us.tolist() == [NOW_US + 7]


@pytest.mark.parametrize(("sampling_ms", "size"), [(50, 621), (100, 311), (1000, 32), (60_000, 16)])
def test_queues_hold_what_can_gather_between_publishes_and_a_reserve(sampling_ms: int, size: int) -> None:
    assert queue_size(sampling_ms, 1000) == size


def test_a_value_that_was_read_before_an_older_notification_came_is_stored_once() -> None:
    found, _ = recall("event")
    kept = [found.read(said((2.0, GOOD, NOW_US)), ONLY, NOW_US + 1000, WATCHED)]
    kept.append(found.notified(said((1.0, GOOD, NOW_US - 500_000)), ONLY, NOW_US + 2000))
    kept.append(found.read(said((2.0, GOOD, NOW_US)), ONLY, NOW_US + 1_000_000, WATCHED))
    kept.append(found.notified(said((2.0, GOOD, NOW_US)), ONLY, NOW_US + 1_100_000))
    rows = [(int(us), Outcome(o)) for b in kept if b is not None for us, o in zip(b.source_us, b.outcome, strict=True)]
    assert [us for us, outcome in rows if outcome is Outcome.OK] == [NOW_US, NOW_US - 500_000]


def test_readings_go_on_after_a_servers_clock_was_set_back_and_nothing_is_notified() -> None:
    found, _ = recall("event")
    found.notified(said((1.0, GOOD, NOW_US)), ONLY, NOW_US)
    back_us = NOW_US - 3_600_000_000
    batches = [
        found.read(said((1.0, GOOD, back_us + k)), ONLY, NOW_US + k * 1_000_000, WATCHED) for k in range(4)
    ]  # within a deadband: no notification says so
    assert [b is None for b in batches] == [True, False, False, False]
