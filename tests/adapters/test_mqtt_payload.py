"""MQTT payloads: paths, the payload's own time, wide and event messages, and what is refused."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import BAD_DECODING, BAD_NO_DATA, GOOD, UNCERTAIN, Outcome
from adapters.mqtt.payload import MAX_RECORDS, MessageDecoder, Undecodable
from adapters.mqtt.sketch import sketch
from adapters.mqtt.stamp import Unit, parse_time
from adapters.paths import compile_path
from adapters.rows import Rows
from adapters.template import source_of
from adapters.values import BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH
from config.connections import Mqtt
from config.points import PATH
from tests.adapters.plant import device_of, register_of, rows_of

NOW_US = 1_795_320_000_000_000
CHINA = timezone(timedelta(hours=8))
POINTS = [
    {"name": "speed", "type": "f64", "path": "$.data.speed"},
    {"name": "tool", "type": "i64", "path": "$.tools[1].number"},
]


def decode(payload: bytes, kind: str = "wide", time_path: str | None = "$.ts") -> list[dict[str, Any]]:
    return decode_as(payload, POINTS, kind, **({"time_path": time_path} if time_path else {}))


def decode_as(raw: bytes, points: list[dict[str, Any]], kind: str = "wide", **more: Any) -> list[dict[str, Any]]:
    """The rows of a payload; `point` (an index) when the topic is one point's; the words of a partial loss under "lost"."""
    point = more.pop("point", None)
    connection = {"protocol": "mqtt", "broker": "mqtt://h", "topic": "t", **more}
    register = register_of(points, [device_of("m1", connection)], kind)
    source = source_of(register, register.devices[0])
    assert isinstance(source.connection, Mqtt)
    rows = Rows("m1", source.template)
    why = MessageDecoder(source, source.connection).rows(rows, raw, NOW_US, point)
    batch = rows.batch()
    assert batch is not None
    return [*rows_of(batch), *([{"lost": why}] if why else [])]


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


@pytest.mark.parametrize(
    "stamp", ["1e308", "-1e308", '"²"', '"' + "9" * 5000 + '"', "9" * 40, "null", "[]", "{}", "true"]
)
def test_a_stamp_that_is_no_time_is_received_at_its_receipt_and_ends_nothing(stamp: str) -> None:
    (row,) = decode(b'{"ts":' + stamp.encode() + b',"data":{"speed":1.5},"tools":[{},{"number":2}]}')
    assert (row["source_us"], row["marks"]["speed"]) == (NOW_US, UNCERTAIN)


SPEED = [{"name": "speed", "type": "f64", "path": "$.v"}]


def test_several_records_of_one_message_are_rows_with_their_own_times() -> None:
    body = {
        "unit": "A",
        "samples": [{"v": 1, "t": 1795309323}, {"v": 2, "t": 1795309324.5}, {"v": 2, "t": 1795309324.5}],
    }
    rows = decode_as(json.dumps(body).encode(), SPEED, records_path="$.samples", time_path="$.t", time_unit="s")
    assert [(r["values"]["speed"], r["source_us"]) for r in rows] == [
        (1.0, 1_795_309_323_000_000),
        (2.0, 1_795_309_324_500_000),
        (2.0, 1_795_309_324_500_000),  # two values of one time are two rows
    ]


def test_a_time_that_the_record_has_not_is_the_messages() -> None:
    body = {"t": "2026-11-22T01:02:03Z", "samples": [{"v": 1}, {"v": 2}]}
    rows = decode_as(json.dumps(body).encode(), SPEED, records_path="$.samples", time_path="$.t")
    assert [r["source_us"] for r in rows] == [1_795_309_323_000_000] * 2


def test_name_value_pairs_are_events_of_the_point_they_name() -> None:
    points = [{"name": n, "type": "f64", "path": f"$[?tag={n}].v"} for n in ("speed", "load")]
    body = [{"tag": "load", "v": 7, "t": 1}, {"tag": "speed", "v": 1, "t": 2}, {"tag": "speed", "v": 3, "t": 2}]
    rows = decode_as(json.dumps(body).encode(), points, "event", records_path="$")
    assert [(r["point"], r["values"][r["point"]]) for r in rows] == [("load", 7.0), ("speed", 1.0), ("speed", 3.0)]


def test_records_without_a_point_are_counted_and_the_others_are_kept() -> None:
    *rows, lost = decode_as(b'[{"v": 1}, {"other": 2}, 3, {"v": 4}]', SPEED, records_path="$")
    assert [r["values"]["speed"] for r in rows] == [1.0, 4.0]
    assert "4 条记录中有 2 条" in lost["lost"]


@pytest.mark.parametrize(
    ("payload", "more", "words"),
    [
        (b"[" + b"1," * MAX_RECORDS + b"1]", {"records_path": "$"}, "10001"),
        (b'{"samples": []}', {"records_path": "$.samples"}, "记录"),
        (b'{"samples": 5}', {"records_path": "$.samples"}, "记录"),
        (b"{}", {"records_path": "$.samples"}, "记录"),
        (b'{"v": NaN}', {}, "JSON"),
        (b'{"v": Infinity}', {}, "JSON"),
        (b'{"v":' * 2000 + b"1" + b"}" * 2000, {}, "JSON"),
        (b'{"v": "\xff"}', {}, "JSON"),
        (b"\xd6\xf7\xd6\xe1", {"payload": "plain"}, "UTF-8"),
        (b"\xd6\xf7,1", {"payload": "csv", "csv_columns": ["v"]}, "UTF-8"),
        (b'1,"2', {"payload": "csv", "csv_columns": ["v"]}, "CSV"),
        (b"\n\n", {"payload": "csv", "csv_columns": ["v"]}, "记录"),
        (b"1" * (1 << 21), {"payload": "plain"}, "1048576"),
    ],
)
def test_rubbish_of_every_form_is_refused_with_its_reason(payload: bytes, more: dict[str, Any], words: str) -> None:
    with pytest.raises(Undecodable, match=words):
        decode_as(payload, SPEED, **more)


def test_of_a_repeated_key_the_last_counts_and_a_huge_number_is_bad() -> None:
    (row,) = decode_as(b'{"v": 1, "v": 2}', SPEED)
    assert row["values"] == {"speed": 2.0}
    (row,) = decode_as(b'{"v": 99999999999999999999999}', [{"name": "n", "type": "i64", "path": "$.v"}])
    assert (row["values"], row["marks"]) == ({}, {"n": BAD_DECODING})


CSV_POINTS = [
    {"name": "speed", "type": "f64", "path": "$.speed"},
    {"name": "count", "type": "i64", "path": "$[2]"},
    {"name": "running", "type": "bool", "path": "$.run"},
    {"name": "program", "type": "str", "path": "$['程序 名']"},
]
CSV = {"payload": "csv", "csv_columns": ["t", "speed", "n", "run", "程序 名"], "time_path": "$.t"}


def test_csv_lines_are_records_with_columns_by_name_and_by_place() -> None:
    text = 't,speed,n,run,程序 名\r\n2026/11/22 9:02:03.456,1.5,3,true,"O,1"\r\n1795309323457,-2e3,+4,FALSE,\r\n'
    first, second = decode_as(b"\xef\xbb\xbf" + text.encode(), CSV_POINTS, **CSV)
    assert first["values"] == {"speed": 1.5, "count": 3, "running": True, "program": "O,1"}
    assert first["source_us"] == 1_795_309_323_456_000
    assert second["values"] == {"speed": -2000.0, "count": 4, "running": False}
    assert (second["source_us"], second["marks"]["program"]) == (1_795_309_323_457_000, BAD_NO_DATA)


def test_a_field_that_is_no_number_is_a_type_mismatch_and_a_short_line_has_missing_points() -> None:
    (row,) = decode_as(b"1795309323456;fast;3", CSV_POINTS, **CSV, csv_separator=";")
    assert row["values"] == {"count": 3}
    assert row["marks"] == {"speed": BAD_TYPE_MISMATCH, "count": GOOD, "running": BAD_NO_DATA, "program": BAD_NO_DATA}


@pytest.mark.parametrize(
    ("text", "kind", "value", "mark"),
    [
        (b" 12.5\n", "f64", 12.5, GOOD),
        (b"12", "i64", 12, GOOD),
        (b"12.5", "i64", None, BAD_DECODING),
        (b"99", "f64", 99.0, BAD_OUT_OF_RANGE),
        (b"on", "bool", None, BAD_TYPE_MISMATCH),
        (b"1", "bool", True, GOOD),
        (b"---", "f64", None, BAD_NO_DATA),
        (b"0x10", "i64", None, BAD_TYPE_MISMATCH),
        (b"1_000", "i64", None, BAD_TYPE_MISMATCH),
        (b"", "f64", None, BAD_NO_DATA),
        ("主轴".encode(), "str", "主轴", GOOD),
    ],
)
def test_a_plain_payload_is_the_value(text: bytes, kind: str, value: object, mark: int) -> None:
    point = {"name": "p", "type": kind, "no_value": ["---"], "high": "50"}
    (row,) = decode_as(text, [point], payload="plain")
    assert (row["values"].get("p"), row["marks"]["p"]) == (value, mark)


def test_a_topic_of_one_point_makes_one_event() -> None:
    points = [{"name": "speed", "type": "f64"}, {"name": "load", "type": "f64", "path": "$.v"}]
    topic = {"topic": "t/{point}"}
    (row,) = decode_as(b"7", points, "event", point=0, **topic)
    assert (row["point"], row["values"]) == ("speed", {"speed": 7.0})
    (row,) = decode_as(b'{"v": 8}', points, "event", point=1, **topic)
    assert (row["point"], row["values"]) == ("load", {"load": 8.0})
    with pytest.raises(Undecodable):
        decode_as(b'{"w": 8}', points, "event", point=1, **topic)


@pytest.mark.parametrize(
    ("stamp", "unit"),
    [
        (1795309323, "s"),
        (1795309323.0, "s"),
        ("1795309323", "s"),
        (1795309323000, "ms"),
        (1795309323000000, "us"),
        (1795309323000000000, "ns"),
        ("2026-11-22 9:02:03", "ms"),
        ("2026.11.22 09:02:03,000", "ms"),
        ("20261122T090203", "ms"),
    ],
)
def test_times_are_read_in_the_declared_unit_and_as_plants_write_them(stamp: object, unit: Unit) -> None:
    assert parse_time(stamp, CHINA, unit) == 1_795_309_323_000_000


@pytest.mark.parametrize(
    ("stamp", "unit"), [(1795309323000, "s"), (1795309323, "ms"), (1795309323000, "us"), ("20261122", "ms")]
)
def test_a_number_in_another_unit_is_no_time(stamp: object, unit: Unit) -> None:
    assert parse_time(stamp, CHINA, unit) is None


def test_a_time_far_ahead_of_the_clock_is_kept_and_uncertain() -> None:
    (row,) = decode(message(ts="2100-01-01T00:00:00Z"))
    assert (row["source_us"], row["marks"]["speed"]) == (4_102_444_800_000_000, UNCERTAIN)


@given(
    st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.none(), st.lists(st.integers())),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_no_stamp_does_more_than_be_no_time(raw: object, unit: Unit) -> None:
    stamp = parse_time(raw, CHINA, unit)
    assert stamp is None or 315_532_800_000_000 <= stamp < 7_258_118_400_000_000


@given(st.binary(max_size=200), st.sampled_from(["json", "csv", "plain"]), st.sampled_from(["wide", "event"]))
def test_no_payload_does_more_than_be_refused(payload: bytes, form: str, kind: str) -> None:
    with contextlib.suppress(Undecodable):
        decode_as(payload, POINTS, kind, payload=form, time_path="$.ts")


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1), min_size=2, max_size=2),
        min_size=1,
    )
)
def test_csv_fields_arrive_as_they_were_written(lines: list[list[str]]) -> None:
    text = "\n".join(",".join('"' + f.replace('"', '""') + '"' for f in line) for line in lines)
    points = [{"name": f"c{i}", "type": "str", "path": f"$[{i}]"} for i in range(2)]
    rows = decode_as(text.encode(), points, payload="csv")
    assert [[r["values"]["c0"], r["values"]["c1"]] for r in rows] == lines


JSON_BODIES = st.recursive(
    st.integers(-(2**63), 2**64 - 1)
    | st.text()
    | st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(["name", "ts", "id"]), inner, max_size=4)
    ),
)


@given(JSON_BODIES)
def test_every_proposed_path_leads_to_its_example_and_has_the_registers_grammar(body: object) -> None:
    raw = json.dumps(body).encode()
    found = sketch(raw)
    if found.form != "json":
        return
    record = body[0] if found.records_path and isinstance(body, list) else body
    for proposal in found.points:
        assert re.match(PATH, proposal.path)
        assert compile_path(proposal.path)(record) == proposal.example


@given(st.binary(max_size=100))
def test_any_payload_has_a_sketch(payload: bytes) -> None:
    assert sketch(payload).form in ("json", "csv", "plain", "binary")
