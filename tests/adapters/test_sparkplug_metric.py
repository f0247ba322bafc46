"""Sparkplug values and payloads without a broker: every data type, signs, arrays, compression, and bytes of any kind."""

from __future__ import annotations

import gzip
import json
import math
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import BAD, GOOD
from adapters.mqtt.sparkplug.metric import (
    BAD_NO_COMMUNICATION,
    OVERSIZED,
    PARTS_MOST,
    TEXT_MOST,
    UNREADABLE,
    DataType,
    Refused,
    as_text,
    quality_of,
    read,
    reader,
)
from adapters.mqtt.sparkplug.payload import MAX_BYTES, MAX_METRICS, MAX_UNPACKED, Message, Undecodable, Verb, address
from adapters.mqtt.sparkplug.payload import decode as decode_sized
from adapters.mqtt.sparkplug.wire import PayloadMessage

INTEGERS = {
    DataType.INT8: (8, True),
    DataType.INT16: (16, True),
    DataType.INT32: (32, True),
    DataType.UINT8: (8, False),
    DataType.UINT16: (16, False),
    DataType.UINT32: (32, False),
}


def decode(verb: Verb, device: str, raw: bytes, received_us: int) -> Message:
    return decode_sized(verb, device, raw, len(raw), received_us)


def metric(**fields: Any) -> Any:
    return PayloadMessage().metrics.add(**fields)


def value(datatype: int, **fields: Any) -> object:
    made = metric(datatype=datatype, **fields)
    return read(made, reader(datatype))


@given(st.sampled_from(sorted(INTEGERS)), st.data())
def test_small_integers_come_out_as_they_went_in_whatever_the_width_and_the_field(kind: DataType, data: Any) -> None:
    bits, signed = INTEGERS[kind]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    number = data.draw(st.integers(low, high))
    width = data.draw(st.sampled_from([w for w in (8, 16, 32) if w >= bits])) if signed else 32
    assert value(kind, int_value=number % (1 << width)) == number
    assert value(kind, long_value=number % (1 << 64 if signed else 1 << 32)) == number


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_int64_is_signed(number: int) -> None:
    assert value(DataType.INT64, long_value=number % (1 << 64)) == number


@given(st.integers(0, (1 << 64) - 1))
def test_uint64_and_datetime_keep_all_their_bits(number: int) -> None:
    assert value(DataType.UINT64, long_value=number) == number
    assert value(DataType.DATETIME, long_value=number) == number


@pytest.mark.parametrize(
    ("kind", "number"), [(DataType.INT8, 200 << 8), (DataType.UINT8, 256), (DataType.UINT16, 1 << 16)]
)
def test_an_integer_that_does_not_fit_its_type_is_refused(kind: DataType, number: int) -> None:
    assert value(kind, int_value=number) is UNREADABLE


def test_a_short_int64_whose_sign_nobody_knows_is_refused() -> None:
    assert value(DataType.INT64, int_value=5) == 5
    assert value(DataType.INT64, int_value=0xFFFF_FFFF) is UNREADABLE


@given(st.floats(allow_nan=True))
def test_doubles_pass_unchanged(number: float) -> None:
    found = value(DataType.DOUBLE, double_value=number)
    assert found == number or (isinstance(found, float) and math.isnan(found) and math.isnan(number))


@pytest.mark.parametrize("kind", [k for k in DataType if k not in (DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST)])
def test_a_metric_without_a_value_is_never_zero(kind: DataType) -> None:
    assert value(kind) is UNREADABLE
    assert value(kind, is_null=True) is None
    wrong = "string_value" if kind not in (DataType.STRING, DataType.TEXT, DataType.UUID) else "double_value"
    assert value(kind, **{wrong: "" if wrong == "string_value" else 0.0}) is UNREADABLE


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (DataType.FLOAT, {"float_value": 0.0}, 0.0),
        (DataType.FLOAT, {"double_value": 1.5}, 1.5),
        (DataType.DOUBLE, {"float_value": 1.5}, 1.5),
        (DataType.BOOLEAN, {"boolean_value": False}, False),
        (DataType.STRING, {"string_value": "车床 A-12"}, "车床 A-12"),
        (DataType.TEXT, {"string_value": ""}, ""),
        (DataType.UUID, {"string_value": "8b7e"}, "8b7e"),
        (DataType.BYTES, {"bytes_value": b"\x00\xff"}, "AP8="),
        (DataType.FILE, {"bytes_value": b""}, ""),
        (0, {"double_value": 2.5}, 2.5),
        (0, {"boolean_value": True}, True),
        (0, {"int_value": 3}, UNREADABLE),
        (99, {"string_value": "x"}, "x"),
    ],
)
def test_other_types_read_their_own_field(kind: int, fields: dict[str, Any], expected: object) -> None:
    assert value(kind, **fields) == expected


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [  # the examples of Sparkplug 3.0 §6.4.16; those of floats and dates there contradict its own words
        (DataType.INT8_ARRAY, "EF7B", [-17, 123]),
        (DataType.INT16_ARRAY, "D08A3075", [-30000, 30000]),
        (DataType.INT32_ARRAY, "FFFFFFFFFAAFCB12", [-1, 315338746]),
        (DataType.INT64_ARRAY, "CE0672AC189CBAC4C4BA9C18AC7206CE", [-4270929666821191986, -3601064768563266876]),
        (DataType.UINT8_ARRAY, "17FA", [23, 250]),
        (DataType.UINT16_ARRAY, "1E0088CC", [30, 52360]),
        (DataType.UINT32_ARRAY, "3400000049FB55C4", [52, 3293969225]),
        (DataType.UINT64_ARRAY, "3400000000000000D99E02D1B27637E4", [52, 16444743074749521625]),
        (DataType.BOOLEAN_ARRAY, "0C00000034D0", [c == "t" for c in "ffttftffttft"]),
        (DataType.STRING_ARRAY, "4142430068656C6C6F00", ["ABC", "hello"]),
        (DataType.INT8_ARRAY, "", []),
        (DataType.STRING_ARRAY, "", []),
        (DataType.INT16_ARRAY, "D08A30", UNREADABLE),
        (DataType.BOOLEAN_ARRAY, "0C00000034", UNREADABLE),
        (DataType.BOOLEAN_ARRAY, "FFFFFFFF34D0", UNREADABLE),
        (DataType.STRING_ARRAY, "414243", UNREADABLE),
        (DataType.STRING_ARRAY, "FF00", UNREADABLE),
    ],
)
def test_arrays_are_packed_little_endian(kind: DataType, raw: str, expected: object) -> None:
    assert value(kind, bytes_value=bytes.fromhex(raw)) == expected


@given(st.lists(st.floats(width=64, allow_nan=False)), st.lists(st.integers(0, (1 << 64) - 1)))
def test_float_and_date_arrays_come_back(floats: list[float], dates: list[int]) -> None:
    assert value(DataType.DOUBLE_ARRAY, bytes_value=struct.pack(f"<{len(floats)}d", *floats)) == floats
    assert value(DataType.DATETIME_ARRAY, bytes_value=struct.pack(f"<{len(dates)}Q", *dates)) == dates


def test_what_is_too_large_is_refused_by_its_name() -> None:
    assert value(DataType.STRING, string_value="x" * (TEXT_MOST + 1)) is OVERSIZED
    assert value(DataType.BYTES, bytes_value=b"x" * TEXT_MOST) is OVERSIZED
    assert value(DataType.INT8_ARRAY, bytes_value=b"x" * (PARTS_MOST + 1)) is OVERSIZED
    assert value(DataType.STRING_ARRAY, bytes_value=b"\0" * (PARTS_MOST + 1)) is OVERSIZED
    assert as_text(["x" * TEXT_MOST]) is OVERSIZED


def test_a_data_set_is_its_columns_and_rows() -> None:
    made = metric(datatype=DataType.DATASET)
    made.dataset_value.columns.extend(["n", "name"])
    made.dataset_value.types.extend([DataType.INT32, DataType.STRING])
    for n, name in ((0xFFFF_FFFF, "a"), (2, "b")):
        row = made.dataset_value.rows.add()
        row.elements.add(int_value=n)
        row.elements.add(string_value=name)
    found = read(made, reader(DataType.DATASET))
    assert found == {"columns": ["n", "name"], "rows": [[-1, "a"], [2, "b"]]}
    assert as_text(found) == '{"columns":["n","name"],"rows":[[-1,"a"],[2,"b"]]}'
    made.dataset_value.rows.add()
    assert read(made, reader(DataType.DATASET)) is UNREADABLE


def test_a_template_is_its_members_and_a_definition_is_no_value() -> None:
    made = metric(datatype=DataType.TEMPLATE)
    made.template_value.metrics.add(name="rpm", datatype=DataType.INT16, int_value=0xFFFE)
    inner = made.template_value.metrics.add(name="axis", datatype=DataType.TEMPLATE)
    inner.template_value.metrics.add(name="load", datatype=DataType.DOUBLE, double_value=0.5)
    assert read(made, reader(DataType.TEMPLATE)) == {"rpm": -2, "axis": {"load": 0.5}}
    made.template_value.is_definition = True
    assert read(made, reader(DataType.TEMPLATE)) is UNREADABLE


@pytest.mark.parametrize(("said", "quality"), [(192, GOOD), (0, BAD), (500, BAD_NO_COMMUNICATION), (7, BAD)])
def test_the_quality_property_is_the_values_quality(said: int, quality: int) -> None:
    made = metric(datatype=DataType.DOUBLE, double_value=1.0)
    assert quality_of(made) == GOOD
    made.properties.keys.append("Quality")
    made.properties.values.add(type=DataType.INT32, int_value=said)
    assert quality_of(made) == quality


def packed(inner: Any, algorithm: str | None, body: bytes | None = None) -> bytes:
    raw = inner.SerializeToString()
    outer = PayloadMessage(uuid="SPBV1.0_COMPRESSED", body=zlib.compress(raw) if body is None else body)
    if algorithm is not None:
        outer.metrics.add(name="algorithm", datatype=DataType.STRING, string_value=algorithm)
    return bytes(outer.SerializeToString())


@pytest.mark.parametrize("form", ["plain", "deflate", "gzip", "raw"])
def test_a_compressed_payload_carries_the_sequence_number_inside(form: str) -> None:
    inner = PayloadMessage(timestamp=1_795_309_323_456, seq=7)
    inner.metrics.add(name="a", datatype=DataType.INT8, int_value=0xFF)
    raw = inner.SerializeToString()
    squeeze = zlib.compressobj(wbits=-15)
    bodies = {
        "plain": raw,
        "deflate": packed(inner, None),
        "gzip": packed(inner, "GZIP", gzip.compress(raw)),
        "raw": packed(inner, "DEFLATE", squeeze.compress(raw) + squeeze.flush()),
    }
    message = decode(Verb.DDATA, "m1", bodies[form], 5)
    assert (message.seq, message.payload.timestamp) == (7, 1_795_309_323_456)
    assert [m.name for m in message.payload.metrics] == ["a"]


def test_bombs_and_mistakes_are_refused_with_their_reason() -> None:
    inner = PayloadMessage(seq=1)
    refused = {
        "过大": b"\x00" * (MAX_BYTES + 1),
        "不是 Sparkplug B": b"\xff not protobuf",
        "解压后过大": packed(inner, None, zlib.compress(b"\0" * (MAX_UNPACKED + 1))),
        "未知": packed(inner, "LZ4"),
        "无法解开": packed(inner, None, b"\x00\x01\x02"),
        "又是压缩报文": packed(inner, None, zlib.compress(packed(inner, None))),
        "测点过多": b"\x12\x00" * (MAX_METRICS + 1),
    }
    for words, raw in refused.items():
        with pytest.raises(Undecodable, match=words):
            decode(Verb.NDATA, "", raw, 0)


def test_templates_deeper_than_protobuf_allows_are_refused_and_do_not_recurse() -> None:
    made = PayloadMessage().metrics.add(datatype=DataType.TEMPLATE, name="t")
    raw = b""
    for depth in range(5001):
        raw = (b"\x92\x01" if depth % 2 else b"\x12") + _varint(len(raw)) + raw
    with pytest.raises(Undecodable, match="不是 Sparkplug B"):
        decode(Verb.NDATA, "", raw, 0)
    for _ in range(40):
        outer = PayloadMessage().metrics.add(datatype=DataType.TEMPLATE, name="t")
        outer.template_value.metrics.append(made)
        made = outer
    text = as_text(read(made, reader(DataType.TEMPLATE)))
    assert isinstance(text, str)
    assert json.loads(text)["t"]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_payload_or_a_reason(raw: bytes) -> None:
    try:
        message = decode(Verb.NBIRTH, "", raw, 0)
    except Undecodable:
        return
    for found in message.payload.metrics:
        result = read(found, reader(found.datatype))
        assert result is None or isinstance(as_text(result), bool | int | float | str | Refused)
        assert isinstance(quality_of(found), int)


@given(
    st.recursive(st.binary(max_size=40), lambda inner: st.tuples(st.integers(1, 20), inner), max_leaves=6), st.data()
)
def test_hostile_metrics_of_every_type_never_raise(tree: Any, data: Any) -> None:
    raw = tree if isinstance(tree, bytes) else b""
    while isinstance(tree, tuple):
        number, tree = tree
        raw = bytes([number << 3 & 127 | 2]) + _varint(len(raw)) + raw
    kind = data.draw(st.integers(0, 40))
    body = b"\x20" + bytes([kind]) + raw
    try:
        message = decode(Verb.DDATA, "d", b"\x12" + _varint(len(body)) + body, 0)
    except Undecodable:
        return
    for found in message.payload.metrics:
        assert isinstance(as_text(read(found, reader(found.datatype))), bool | int | float | str | Refused | None)


def test_topics_say_group_node_verb_and_device() -> None:
    assert address("spBv1.0/G/NBIRTH/E") == ("G", "E", Verb.NBIRTH, "")
    assert address("spBv1.0/组/DDATA/网关 1/车床") == ("组", "网关 1", Verb.DDATA, "车床")
    for wrong in (
        "spBv1.0/G/NCMD/E",
        "spBv1.0/STATE/h",
        "spBv1.0/G/DDATA/E",
        "spBv1.0/G/NDATA/E/d",
        "x",
        "spBv1.0/G/DDATA/E/",
    ):
        with pytest.raises(Undecodable):
            address(wrong)
