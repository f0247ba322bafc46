"""MQTT payloads: paths, the payload's own time, wide and event messages, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import BAD_NO_DATA, GOOD, UNCERTAIN, Outcome
from adapters.mqtt.payload import ABSENT, MessageDecoder, Undecodable, compile_path, parse_time
from adapters.rows import Rows
from adapters.template import source_of
from adapters.values import BAD_TYPE_MISMATCH
from config.connections import Mqtt
from tests.adapters.plant import device_of, register_of, rows_of

NOW_US = 1_795_320_000_000_000
CHINA = timezone(timedelta(hours=8))
POINTS = [
    {"name": "speed", "type": "f64", "path": "$.data.speed"},
    {"name": "tool", "type": "i64", "path": "$.tools[1].number"},
]


def decode(payload: bytes, kind: str = "wide", time_path: str | None = "$.ts") -> list[dict[str, Any]]:
    connection = {"protocol": "mqtt", "broker": "mqtt://h", "topic": "t"} | (
        {"time_path": time_path} if time_path else {}
    )
    register = register_of(POINTS, [device_of("m1", connection)], kind)
    source = source_of(register, register.devices[0])
    assert isinstance(source.connection, Mqtt)
    rows = Rows("m1", source.template)
    MessageDecoder(source, source.connection).rows(rows, payload, NOW_US)
    batch = rows.batch()
    assert batch is not None
    return rows_of(batch)


def message(**more: Any) -> bytes:
    return json.dumps({"data": {"speed": 1.5}, "tools": [{}, {"number": 7}], **more}).encode()


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-11-22T01:02:03.456Z",
        "2026-11-22T09:02:03.456+08:00",
        "2026-11-22T09:02:03.456",
        1795309323456,
        "1795309323456",
    ],
)
def test_the_payloads_own_time_is_the_source_time(stamp: object) -> None:
    (row,) = decode(message(ts=stamp))
    assert (row["source_us"], row["lag_us"]) == (1_795_309_323_456_000, NOW_US - 1_795_309_323_456_000)
    assert (row["outcome"], row["quality"], row["values"]) == (Outcome.OK, GOOD, {"speed": 1.5, "tool": 7})


@pytest.mark.parametrize("stamp", [None, "yesterday", True, -1, 0, "1601-01-01T00:00:00Z", [1]])
def test_an_unreadable_time_is_the_clocks_and_uncertain(stamp: object) -> None:
    (row,) = decode(message(ts=stamp))
    assert (row["source_us"], row["marks"]) == (NOW_US, {"speed": UNCERTAIN, "tool": UNCERTAIN})


def test_without_a_time_path_receipt_is_the_source_time() -> None:
    (row,) = decode(message(), time_path=None)
    assert (row["source_us"], row["lag_us"], row["marks"]) == (NOW_US, 0, {"speed": GOOD, "tool": GOOD})


@given(st.integers(631_152_000_000_000, 6_900_000_000_000_000))
def test_iso_times_keep_their_microseconds(expected: int) -> None:
    stamp = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=expected)
    assert parse_time(stamp.isoformat(), CHINA) == expected
    assert parse_time(stamp.astimezone(CHINA).replace(tzinfo=None).isoformat(), CHINA) == expected


def test_a_missing_point_of_a_wide_message_is_missing_with_its_reason() -> None:
    (row,) = decode(message(tools=[]), time_path=None)
    assert (row["values"], row["marks"], row["quality"]) == ({"speed": 1.5}, {"speed": GOOD, "tool": BAD_NO_DATA}, GOOD)


def test_an_object_where_a_number_should_be_is_a_type_mismatch() -> None:
    (row,) = decode(message(data={"speed": {"value": 1}}))
    assert row["marks"]["speed"] == BAD_TYPE_MISMATCH


def test_an_event_message_makes_a_row_of_each_point_it_carries() -> None:
    (row,) = decode(message(tools=[], ts=1795309323456), kind="event")
    assert (row["point"], row["values"], row["source_us"]) == ("speed", {"speed": 1.5}, 1_795_309_323_456_000)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"{", "JSON"),
        (b'{"other": 1}', "测点"),
        (b"[" + b"1," * 600_000 + b"1]", "1048576"),
    ],
)
def test_what_makes_no_row_is_refused_with_its_reason(payload: bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words):
        decode(payload)


@given(
    st.recursive(
        st.integers() | st.text() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=1), inner),
    )
)
def test_every_path_into_a_body_finds_what_stands_there(body: object) -> None:
    def walk(value: object, path: str) -> None:
        assert compile_path(path)(body) == value
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                walk(inner, f"{path}[{i}]")
            assert compile_path(f"{path}[{len(value)}]")(body) is ABSENT

    walk(body, "$")


@pytest.mark.parametrize(
    "stamp", ["1e308", "-1e308", '"²"', '"' + "9" * 5000 + '"', "9" * 40, "null", "[]", "{}", "true"]
)
def test_a_stamp_that_is_no_time_is_received_at_its_receipt_and_ends_nothing(stamp: str) -> None:
    (row,) = decode(b'{"ts":' + stamp.encode() + b',"data":{"speed":1.5},"tools":[{},{"number":2}]}')
    assert (row["source_us"], row["marks"]["speed"]) == (NOW_US, UNCERTAIN)
