"""Metrics to rows without a broker: names, aliases, times, quality, history, births that confirm, types that change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import BAD, BAD_DECODING, BAD_NO_DATA, GOOD, UNCERTAIN, Outcome
from adapters.contract import Site
from adapters.mqtt.sparkplug.device import BAD_NODE_ID_UNKNOWN, DeviceMetrics, Taken
from adapters.mqtt.sparkplug.edge import EdgeNode
from adapters.mqtt.sparkplug.member import Member
from adapters.mqtt.sparkplug.metric import BAD_NO_COMMUNICATION, DataType
from adapters.mqtt.sparkplug.payload import Undecodable, Verb, decode
from adapters.mqtt.sparkplug.wire import PayloadMessage
from adapters.rows import Rows
from adapters.template import source_of
from adapters.values import BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH
from tests.adapters.plant import WallClock, device_of, register_of, rows_of

T_MS = 1_795_309_323_456
NOW_US = T_MS * 1000 + 5_000
INT32, DOUBLE, STRING = DataType.INT32, DataType.DOUBLE, DataType.STRING


class Bench:
    """One device's metrics, and what they said."""

    def __init__(self, *points: dict[str, Any]) -> None:
        connection = {"protocol": "sparkplug", "broker": "mqtt://b", "group": "G", "edge_node": "E"}
        register = register_of([{"type": "f64", **p} for p in points], [device_of("m1", connection)], "event")
        source = source_of(register, register.devices[0])
        self.metrics = DeviceMetrics(source)
        self._rows = Rows("m1", source.template)
        self.taken = Taken()

    def say(
        self, verb: str, *metrics: dict[str, Any], trusted: bool = True, sent_ms: int = T_MS, now_us: int = NOW_US
    ) -> Any:
        """Send a message; returns its rows."""
        payload = PayloadMessage(timestamp=sent_ms)
        for fields in metrics:
            quality = fields.pop("quality", None)
            made = payload.metrics.add(**fields)
            if quality is not None:
                made.properties.keys.append("Quality")
                made.properties.values.add(type=INT32, int_value=quality)
        raw = payload.SerializeToString()
        return self._take(decode(Verb(verb), "m1", raw, len(raw), now_us), trusted)

    def _take(self, message: Any, trusted: bool) -> list[dict[str, Any]]:
        take = self.metrics.birth if message.verb.value.endswith("BIRTH") else self.metrics.data
        self.taken = take(message, self._rows, trusted=trusted)
        batch = self._rows.batch()
        if batch is None or batch.rows is None:
            return []
        marks = [max(row[6]) if row[6] is not None else row[3] for row in batch.rows]
        return [row | {"mark": mark} for row, mark in zip(rows_of(batch), marks, strict=True)]


def speed(**more: Any) -> dict[str, Any]:
    return {"name": "Speed", "datatype": DOUBLE, "double_value": 1.5, "timestamp": T_MS, **more}


@pytest.fixture
def bench() -> Bench:
    return Bench({"name": "speed", "metric": "Speed"}, {"name": "count", "type": "i64", "metric": "Count"})


def born(bench: Bench) -> None:
    count = {"name": "Count", "datatype": INT32, "int_value": 3, "timestamp": T_MS, "alias": 1}
    bench.say("DBIRTH", speed(alias=0), count)


def test_data_by_alias_has_the_births_name_and_type_and_its_own_time(bench: Bench) -> None:
    born(bench)
    rows = bench.say(
        "DDATA",
        {"alias": 1, "int_value": 0xFFFF_FFFE, "timestamp": T_MS + 7},
        {"alias": 0, "double_value": 2.5, "timestamp": T_MS + 8},
        sent_ms=T_MS + 9,
    )
    assert [(r["point"], r["values"], r["source_us"]) for r in rows] == [
        ("count", {"count": -2}, (T_MS + 7) * 1000),
        ("speed", {"speed": 2.5}, (T_MS + 8) * 1000),
    ]
    assert all(r["quality"] == GOOD and r["outcome"] is Outcome.OK for r in rows)
    assert [r["source_us"] + r["lag_us"] for r in rows] == [NOW_US, NOW_US]


def test_a_metric_the_register_does_not_name_is_passed_over_without_a_loss(bench: Bench) -> None:
    bench.say("DBIRTH", speed(alias=0), {"name": "Other", "datatype": DOUBLE, "double_value": 9.0, "alias": 7})
    assert bench.say("DDATA", {"alias": 7, "double_value": 8.0}) == []
    assert bench.say("DDATA", {"name": "Third", "double_value": 8.0}) == []
    assert bench.taken == Taken()


def test_an_unknown_alias_is_never_a_value(bench: Bench) -> None:
    born(bench)
    rows = bench.say("DDATA", {"alias": 5, "double_value": 8.0}, {"alias": 0, "double_value": 2.5, "timestamp": T_MS})
    assert [r["values"] for r in rows] == [{"speed": 2.5}]
    assert bench.taken.refused == 1
    assert bench.taken.unknown


def test_without_trust_only_what_carries_its_own_name_and_type_is_taken(bench: Bench) -> None:
    born(bench)
    rows = bench.say(
        "DDATA", {"alias": 0, "double_value": 9.0}, speed(), {"name": "Count", "int_value": 4}, trusted=False
    )
    assert [r["values"] for r in rows] == [{"speed": 1.5}]
    assert bench.taken.refused == 2


def test_an_untrusted_birth_teaches_nothing(bench: Bench) -> None:
    assert len(bench.say("DBIRTH", speed(alias=0), trusted=False)) == 2
    assert bench.say("DDATA", {"alias": 0, "double_value": 9.0}) == []
    assert bench.taken.unknown


def test_an_alias_given_twice_belongs_to_nobody(bench: Bench) -> None:
    count = {"name": "Count", "datatype": INT32, "int_value": 3, "timestamp": T_MS, "alias": 4}
    bench.say("DBIRTH", speed(alias=4), count)
    assert bench.say("DDATA", {"alias": 4, "double_value": 9.0}) == []
    assert bench.taken.unknown


def test_a_metric_without_name_and_alias_is_a_loss(bench: Bench) -> None:
    born(bench)
    assert bench.say("DDATA", {"double_value": 9.0, "datatype": DOUBLE}) == []
    assert bench.taken.refused == 1


@pytest.mark.parametrize("stamp", [5, 1 << 62])
def test_an_absurd_time_becomes_the_clock_and_the_value_uncertain(bench: Bench, stamp: int) -> None:
    (row,) = bench.say("DDATA", speed(timestamp=stamp), trusted=False)
    assert (row["source_us"], row["quality"]) == (NOW_US, UNCERTAIN)


def test_a_metric_without_a_time_has_its_messages(bench: Bench) -> None:
    (row,) = bench.say("DDATA", speed(timestamp=0), trusted=False, sent_ms=T_MS - 3)
    assert (row["source_us"], row["quality"]) == ((T_MS - 3) * 1000, GOOD)
    (row,) = bench.say("DDATA", speed(timestamp=0), trusted=False, sent_ms=0)
    assert (row["source_us"], row["quality"]) == (NOW_US, UNCERTAIN)


def test_a_historical_value_keeps_its_time_and_is_no_contact_of_now(bench: Bench) -> None:
    born(bench)
    old = T_MS - 3_600_000
    rows = bench.say("DDATA", {"alias": 0, "double_value": 2.5, "timestamp": old, "is_historical": True})
    assert [(r["source_us"], r["outcome"]) for r in rows] == [(old * 1000, Outcome.OK)]
    assert bench.taken.fresh == 0


@pytest.mark.parametrize("stamp", [0, 5, T_MS + 60_000, 1 << 62])
def test_a_historical_value_without_a_credible_time_is_a_loss(bench: Bench, stamp: int) -> None:
    assert bench.say("DDATA", speed(timestamp=stamp, is_historical=True)) == []
    assert bench.taken.refused == 1
    assert not bench.taken.unknown


@pytest.mark.parametrize(("said", "quality"), [(0, BAD), (500, BAD_NO_COMMUNICATION), (192, GOOD)])
def test_bad_and_stale_are_stored_as_bad(bench: Bench, said: int, quality: int) -> None:
    (row,) = bench.say("DDATA", speed(quality=said))
    assert (row["quality"], row["values"]) == (quality, {"speed": 1.5})


def test_a_null_is_a_missing_value_and_the_contact_is_good(bench: Bench) -> None:
    (row,) = bench.say("DDATA", speed(is_null=True), trusted=False)
    assert (row["quality"], row["values"], row["mark"]) == (GOOD, {}, BAD_NO_DATA)


def test_an_old_value_of_a_birth_is_a_value_then_and_a_confirmation_now(bench: Bench) -> None:
    old = T_MS - 60_000
    count = {"name": "Count", "datatype": INT32, "int_value": 3, "timestamp": T_MS}
    first = bench.say("DBIRTH", speed(timestamp=old), dict(count))
    assert [(r["point"], r["outcome"], r["source_us"]) for r in first] == [
        ("speed", Outcome.OK, old * 1000),
        ("speed", Outcome.CONFIRMED, old * 1000),
        ("count", Outcome.OK, T_MS * 1000),
    ]
    again = bench.say("DBIRTH", speed(timestamp=old), dict(count), now_us=NOW_US + 1_000_000)
    assert [(r["point"], r["outcome"]) for r in again] == [("speed", Outcome.CONFIRMED), ("count", Outcome.CONFIRMED)]
    assert again[0]["source_us"] + again[0]["lag_us"] == NOW_US + 1_000_000


def test_a_point_the_birth_does_not_have_is_bad_by_name(bench: Bench) -> None:
    rows = bench.say("DBIRTH", speed())
    assert [(r["point"], r["quality"]) for r in rows] == [("speed", GOOD), ("count", BAD_NODE_ID_UNKNOWN)]


def test_a_type_that_changes_at_a_rebirth_is_cast_or_bad_and_never_breaks(bench: Bench) -> None:
    born(bench)
    for fields, value, mark in [
        ({"datatype": INT32, "int_value": 7}, {"speed": 7.0}, GOOD),
        ({"datatype": STRING, "string_value": "7"}, {}, BAD_TYPE_MISMATCH),
        ({"datatype": DataType.UINT64, "long_value": 1 << 63}, {"speed": float(1 << 63)}, GOOD),
    ]:
        rows = bench.say("DBIRTH", {"name": "Speed", "timestamp": T_MS, "alias": 0, **fields})
        assert rows[0]["values"] == value
        assert rows[0]["mark"] == mark
    (row,) = bench.say("DDATA", {"alias": 0, "datatype": DOUBLE, "double_value": 0.5, "timestamp": T_MS})
    assert row["values"] == {"speed": 0.5}  # the metric's own type wins over its birth's


def test_ranges_and_scales_hold() -> None:
    bench = Bench({"name": "a", "metric": "A", "high": "10"}, {"name": "b", "metric": "A", "scale": "0.1"})
    rows = bench.say("DDATA", {"name": "A", "datatype": INT32, "int_value": 11, "timestamp": T_MS})
    assert [(r["point"], r["values"]) for r in rows] == [("a", {"a": 11.0}), ("b", {"b": 1.1})]
    assert rows[0]["mark"] == BAD_OUT_OF_RANGE


def test_paths_lead_into_templates_and_arrays() -> None:
    bench = Bench(
        {"name": "load", "metric": "Motor", "element": "$['axis x'].load"},
        {"name": "all", "type": "str", "metric": "Motor"},
        {"name": "third", "type": "i64", "metric": "Row", "element": "$[2]"},
        {"name": "inside", "metric": "Speed", "element": "$.x"},
    )
    payload = PayloadMessage(timestamp=T_MS)
    motor = payload.metrics.add(name="Motor", datatype=DataType.TEMPLATE, timestamp=T_MS)
    inner = motor.template_value.metrics.add(name="axis x", datatype=DataType.TEMPLATE)
    inner.template_value.metrics.add(name="load", datatype=DOUBLE, double_value=0.5)
    payload.metrics.add(name="Row", datatype=DataType.INT8_ARRAY, bytes_value=b"\x01\x02\xff", timestamp=T_MS)
    payload.metrics.add(**speed())
    raw = payload.SerializeToString()
    rows = bench._take(decode(Verb.DDATA, "m1", raw, len(raw), NOW_US), trusted=False)
    assert [r["values"] for r in rows] == [{"load": 0.5}, {"all": '{"axis x":{"load":0.5}}'}, {"third": -1}, {}]


def test_a_value_that_does_not_fit_its_type_is_bad_and_the_contact_good(bench: Bench) -> None:
    (row,) = bench.say(
        "DDATA", {"name": "Count", "datatype": DataType.INT8, "int_value": 70000, "timestamp": T_MS}, trusted=False
    )
    assert (row["values"], row["quality"], row["mark"]) == ({}, GOOD, BAD_DECODING)


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_any_payload_makes_rows_or_losses(raw: bytes, birth: bool, trusted: bool) -> None:
    bench = Bench({"name": "speed", "metric": "Speed"}, {"name": "text", "type": "str", "metric": "Text"})
    born(bench)
    try:
        message = decode(Verb.DBIRTH if birth else Verb.DDATA, "m1", raw, len(raw), NOW_US)
    except Undecodable:
        return
    bench._take(message, trusted)


TYPES = ("bool", "i64", "u64", "f32", "f64", "str")
FIELDS = {
    "int_value": st.integers(0, (1 << 32) - 1),
    "long_value": st.integers(0, (1 << 64) - 1),
    "float_value": st.floats(width=32),
    "double_value": st.floats(),
    "boolean_value": st.booleans(),
    "string_value": st.text(max_size=20),
    "bytes_value": st.binary(max_size=40),
}


@given(st.data())
def test_whatever_a_metric_says_its_rows_fit_the_store(data: Any) -> None:
    bench = Bench(*[{"name": t, "type": t, "metric": "M"} for t in TYPES])
    payload = PayloadMessage(timestamp=data.draw(st.sampled_from([0, T_MS, (1 << 64) - 1])))
    for _ in range(data.draw(st.integers(1, 5))):
        field = data.draw(st.sampled_from(sorted(FIELDS)))
        made = payload.metrics.add(name="M", **{field: data.draw(FIELDS[field])})
        made.datatype = data.draw(st.integers(0, 40) | st.integers(0, (1 << 32) - 1))
        made.timestamp = data.draw(st.sampled_from([0, 1, T_MS, T_MS + 10_000, 1 << 63, (1 << 64) - 1]))
        made.is_historical, made.is_null = data.draw(st.booleans()), data.draw(st.booleans())
    raw = payload.SerializeToString()
    for verb in (Verb.DBIRTH, Verb.DDATA):
        message = decode(verb, "m1", raw, len(raw), NOW_US)
        take = bench.metrics.birth if verb is Verb.DBIRTH else bench.metrics.data
        taken = take(message, bench._rows, trusted=True)
        batch = bench._rows.batch()
        assert batch is not None or taken.refused
        if batch is not None:
            batch.as_columns()  # raises what does not fit
            assert (batch.source_us <= max(NOW_US, (T_MS + 10_000) * 1000)).all()


@given(
    st.lists(st.tuples(st.sampled_from(list(Verb)), st.sampled_from(["m1", "m2"]), st.binary(max_size=60)), max_size=20)
)
def test_an_edge_node_that_talks_rubbish_makes_rows_and_letters_and_no_trouble(
    told: list[tuple[Verb, str, bytes]],
) -> None:
    connection = {"protocol": "sparkplug", "broker": "mqtt://b", "group": "G", "edge_node": "E", "device": "m1"}
    register = register_of([{"name": "m", "type": "str", "metric": "M"}], [device_of("m1", connection)], "event")
    node = EdgeNode("G", "E")
    node.apply([Member(source_of(register, register.devices[0]), Site(WallClock()))])
    for i, (verb, device, raw) in enumerate(told):
        node.take("topic", verb, device if verb.of_device else "", raw, len(raw), NOW_US + i * 1_000_000)
        node.pass_time(NOW_US + i * 1_000_000)
    node.disconnect(NOW_US)
    for batch in node.batches():
        batch.as_columns()
