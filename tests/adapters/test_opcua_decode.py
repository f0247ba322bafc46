"""Our decoders against the library's, and against bytes that nobody should send: the same values, or a named refusal."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.batch import SEVERITY_BAD, UNCERTAIN
from adapters.opcua.device import Device, Slots
from adapters.opcua.values.binary import TOO_LARGE, Encoded, Malformed, Reader, iso_time, variant
from adapters.opcua.values.casting import KINDS, Casting
from adapters.opcua.values.columns import Values, joined
from adapters.opcua.values.dictionary import described_types
from adapters.opcua.values.reading import reading_of
from adapters.opcua.values.responses import Fault, publish_response, read_response
from adapters.opcua.values.shape import canonical
from adapters.opcua.values.structures import Field, Structure, Types, Undescribed
from adapters.template import source_of
from tests.adapters.plant import OpcUaWire, WallClock, register_of

T = ua.VariantType
NOW_US = 1_795_320_000_000_000
moments = st.integers(315_619_200_000_000, NOW_US).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, 0, us)
)
SCALARS: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    T.Boolean: st.booleans(),
    T.SByte: st.integers(-128, 127),
    T.Byte: st.integers(0, 255),
    T.Int16: st.integers(-(2**15), 2**15 - 1),
    T.UInt16: st.integers(0, 2**16 - 1),
    T.Int32: st.integers(-(2**31), 2**31 - 1),
    T.UInt32: st.integers(0, 2**32 - 1),
    T.Int64: st.integers(-(2**63), 2**63 - 1),
    T.UInt64: st.integers(0, 2**64 - 1),
    T.Float: st.floats(width=32),
    T.Double: st.floats(),
    T.String: st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
    T.DateTime: moments,
    T.Guid: st.uuids(),
    T.ByteString: st.one_of(st.none(), st.binary(max_size=20)),
    T.XmlElement: st.just(ua.XmlElement("<a/>")),
    T.NodeId: st.sampled_from(
        [ua.NodeId.from_string(t) for t in ("i=5", "ns=2;i=70000", "ns=3;s=主轴", "ns=1;b=AP8=")]
    ),
    T.StatusCode: st.integers(0, 2**32 - 1).map(lambda n: ua.StatusCode(ua.UInt32(n))),
    T.QualifiedName: st.builds(ua.QualifiedName, st.text("ab", max_size=3), st.integers(0, 9)),
    T.LocalizedText: st.text("甲乙ab", min_size=1, max_size=5).map(ua.LocalizedText),
}


@st.composite
def variants(draw: st.DrawFn) -> ua.Variant:
    kind = draw(st.sampled_from(sorted(SCALARS, key=lambda t: t.value)))
    shape = draw(st.sampled_from(["scalar", "scalar", "array", "matrix"]))
    if shape == "scalar":
        return ua.Variant(draw(SCALARS[kind]), kind)
    if shape == "array":
        return ua.Variant(draw(st.lists(SCALARS[kind], max_size=5)), kind, is_array=True)
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    matrix = [[draw(SCALARS[kind]) for _ in range(columns)] for _ in range(rows)]
    return ua.Variant(matrix, kind, Dimensions=[rows, columns], is_array=True)


data_values = st.builds(
    ua.DataValue,
    variants(),
    st.one_of(st.none(), st.integers(0, 2**32 - 1).map(lambda n: ua.StatusCode(ua.UInt32(n)))),
    st.one_of(st.none(), moments),
    st.one_of(st.none(), moments),
)


def plain(value: Any) -> Any:  # noqa: PLR0911
    """A value of the library in the words of binary.py, written down independently of it."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, ua.StatusCode):
        return int(value.value)
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, ua.QualifiedName):
        return f"{value.NamespaceIndex}:{value.Name}" if value.NamespaceIndex else value.Name
    if isinstance(value, ua.NodeId):
        return value.to_string()
    return value.Value if isinstance(value, ua.XmlElement) else value


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) and type(a) is type(b)


def micros(stamp: datetime | None) -> int:
    if stamp is None:
        return -(2**63)
    span = stamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def same(values: Values, expected: list[ua.DataValue]) -> None:
    assert all(equal(a, plain(d.Value.Value)) for a, d in zip(values.raws(), expected, strict=True))
    assert values.status.tolist() == [d.StatusCode.value if d.StatusCode else 0 for d in expected]
    assert values.source_us.tolist() == [micros(d.SourceTimestamp) for d in expected]
    assert values.server_us.tolist() == [micros(d.ServerTimestamp) for d in expected]


@given(st.lists(data_values, max_size=8))
def test_a_read_response_means_what_the_library_wrote(results: list[ua.DataValue]) -> None:
    response = ua.ReadResponse()
    response.Results = results
    same(read_response(struct_to_binary(response)), results)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), data_values), min_size=1, max_size=8), st.integers(1, 4))
def test_a_publish_response_means_what_the_library_wrote(items: list[tuple[int, ua.DataValue]], repeat: int) -> None:
    many = items * repeat  # repeated layouts take the other way through the decoder
    data = ua.DataChangeNotification([ua.MonitoredItemNotification(ua.UInt32(h), d) for h, d in many])
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = ua.IntegerId(7)
    response.Parameters.NotificationMessage = ua.NotificationMessage(ua.Counter(9), NotificationData=[data])
    found = publish_response(struct_to_binary(response))
    assert (found.subscription, found.message.sequence, found.message.is_keep_alive) == (7, 9, False)
    values = joined(found.message.values)
    assert found.message.values[0].handle.tolist() == [h for h, _ in many]
    same(values, [d for _, d in many])


@given(data_values)
def test_the_rare_way_through_the_librarys_objects_gives_the_same_reading(value: ua.DataValue) -> None:
    reading = reading_of(value)
    assert equal(reading.raw, plain(value.Value.Value))


def test_a_status_change_and_a_fault_are_told_as_such() -> None:
    response = ua.PublishResponse()
    change = ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(0x800A0000)))
    response.Parameters.NotificationMessage = ua.NotificationMessage(ua.Counter(1), NotificationData=[change])
    assert publish_response(struct_to_binary(response)).message.status == 0x800A0000
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(0x80790000))
    with pytest.raises(Fault, match="0x80790000"):
        publish_response(struct_to_binary(fault))


def golden_body() -> bytes:
    response = ua.PublishResponse()
    values = [1.5, 7, "文", True, [1, 2], ua.Range(1.0, 2.0), None, b"x"]
    items = [ua.MonitoredItemNotification(ua.UInt32(i), ua.DataValue(ua.Variant(v))) for i, v in enumerate(values)]
    response.Parameters.NotificationMessage.NotificationData = [ua.DataChangeNotification(items)]
    return struct_to_binary(response)


@settings(max_examples=300)
@given(st.data())
def test_whatever_the_bytes_the_answer_is_decoded_or_refused(data: st.DataObject) -> None:
    body = bytearray(golden_body())
    for _ in range(data.draw(st.integers(0, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for decode in (publish_response, read_response):
        for raw in (bytes(body), bytes(body[:cut])):
            try:
                decode(raw)
            except (Malformed, Fault):
                continue


@given(st.binary(max_size=200))
def test_any_bytes_are_a_variant_or_malformed(raw: bytes) -> None:
    try:
        found = variant(Reader(raw))
    except Malformed:
        return
    assert len(repr(found)) < 100 * (len(raw) + 10)


@pytest.mark.parametrize("kind", range(26))
@pytest.mark.parametrize("count", [2**31 - 1, 2**30, -2])
def test_an_endless_array_is_refused_before_anything_is_made_of_it(kind: int, count: int) -> None:
    raw = bytes([0x80 | kind]) + count.to_bytes(4, "little", signed=True) + bytes(16)
    with pytest.raises(Malformed):
        variant(Reader(raw))


def test_an_array_beyond_measure_is_passed_over_and_what_follows_is_read() -> None:
    big = bytes([0x83]) + (1_000_001).to_bytes(4, "little") + bytes(1_000_001)
    read = Reader(big + bytes([1, 1]))
    assert variant(read) is TOO_LARGE
    assert variant(read) is True


def test_values_in_one_another_have_an_end() -> None:
    with pytest.raises(Malformed, match="in one another"):
        variant(Reader(bytes([24]) * 200))


@pytest.mark.parametrize("size", [1, 2**31 - 1])
def test_a_matrix_of_thousands_of_dimensions_is_refused(size: int) -> None:
    raw = bytes([0xC3, 1, 0, 0, 0, 7]) + (5000).to_bytes(4, "little") + size.to_bytes(4, "little") * 5000
    with pytest.raises(Malformed, match="dimensions"):
        variant(Reader(raw))


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_time_on_the_wire_has_a_text(ticks: int) -> None:
    assert 1601 <= datetime.fromisoformat(iso_time(ticks)).year <= 9999


TYPES = Types()
TYPES.described = {
    "a": Structure("a", "plain", (Field("n", "i=6"), Field("more", "a", 1), Field("m", "i=11", 2))),
    "b": Structure("b", "optional", (Field("t", "i=12", optional=True), Field("u", "c", optional=True))),
    "c": Structure("c", "union", (Field("x", "i=24"), Field("y", "b"), Field("z", "nowhere"))),
    "d": Structure(
        "d",
        "schema",
        (Field("has", "", bits=3), Field("n", "i=6", hidden=True), Field("v", "a", length_of="n", switch="has")),
    ),
    "e": {1: "一"},
    "f": Structure("f", "schema", (Field("how", "i=12"), Field("v", "i=6", switch="how"))),
    "g": Structure("g", "schema", (Field("n", "i=11"), Field("v", "i=3", length_of="n"))),
    "nothing": Structure("nothing", "plain", ()),
    "many": Structure("many", "plain", (Field("nothing", "nothing", 1),)),
    "manymany": Structure("manymany", "plain", (Field("many", "many", 1),)),
}
TYPES.encodings = {k: k for k in TYPES.described}


@settings(max_examples=300)
@given(
    st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "manymany", "i=886", "i=864", "other"]), st.binary(max_size=80)
)
def test_any_body_is_a_structure_or_a_named_refusal(type_id: str, body: bytes) -> None:
    try:
        found = TYPES.plain([Encoded(type_id, body)])
    except (Malformed, Undescribed):
        return
    assert canonical(found).startswith("[")


def test_a_body_is_decoded_by_the_shape_of_its_type() -> None:
    body = b"".join(
        (b"\x02\x00\x00\x00", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00ab")
    )  # union: y; optional: t; its text
    assert TYPES.plain(Encoded("c", body)) == {"y": {"t": "ab"}}
    assert TYPES.plain(Encoded("c", bytes(4))) == {}


@pytest.mark.parametrize(
    ("type_id", "body"), [("f", b"\x03\x00\x00\x00yes" + bytes(4)), ("g", b"\x00\x00\x00\x00\x00\x00\xf0\x7f")]
)
def test_a_length_or_a_switch_that_is_no_whole_number_is_refused(type_id: str, body: bytes) -> None:
    with pytest.raises(Malformed, match="whole number"):
        TYPES.plain(Encoded(type_id, body))


def test_arrays_of_arrays_of_nothing_have_an_end() -> None:
    count = 3000
    many = b"".join((4 * k).to_bytes(4, "little") for k in reversed(range(count)))
    with pytest.raises(Malformed, match="in one structure"):
        TYPES.plain(Encoded("manymany", count.to_bytes(4, "little") + many))


@pytest.mark.parametrize("length", ["-5", "1000000000"])
def test_a_bit_field_of_no_possible_length_is_refused(length: str) -> None:
    xml = f"""<t:TypeDictionary xmlns:t="http://opcfoundation.org/BinarySchema/"><t:StructuredType Name="s">
        <t:Field Name="b" TypeName="t:Bit" Length="{length}"/></t:StructuredType></t:TypeDictionary>"""
    with pytest.raises(ValueError, match="bit field"):
        described_types(xml.encode(), "i=1")


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: f"<a>{t}</a>".encode())))
def test_any_dictionary_is_read_or_refused(raw: bytes) -> None:
    try:
        described_types(raw, "i=1")
    except ValueError:
        return


def test_a_dictionary_with_declarations_is_refused() -> None:
    with pytest.raises(ValueError, match="without declarations"):
        described_types(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "i=1")


NUMBERS = [k for k in SCALARS if k.value <= T.Double.value]


@settings(max_examples=300)
@given(
    st.sampled_from(["bool", "i64", "u64", "f32", "f64", "str"]),
    st.one_of(st.none(), st.tuples(st.decimals(-1000, 1000, places=3), st.decimals(-1000, 1000, places=3))),
    st.sampled_from([None, "0.1", "1000"]),
    st.sampled_from(NUMBERS).flatmap(lambda k: st.tuples(st.just(k), st.lists(SCALARS[k], min_size=1, max_size=9))),
)
def test_a_column_is_cast_as_each_of_its_values_would_be(
    kind: str, bounds: tuple[Decimal, Decimal] | None, scale: str | None, wire: tuple[ua.VariantType, list[Any]]
) -> None:
    more = {} if bounds is None else {"low": str(min(bounds)), "high": str(max(bounds))}
    point = {"name": "p", "type": kind, "node": "i=1"} | more | ({"scale": scale} if scale else {})
    register = register_of([point], [OpcUaWire("subscribe").device("m1", 1)], "event")
    source = source_of(register, register.devices[0])
    response = ua.ReadResponse()
    response.Results = [ua.DataValue(ua.Variant(v, wire[0])) for v in wire[1]]
    values = read_response(struct_to_binary(response))
    cells = Casting(source).cells(values, np.zeros(len(values), np.int64), NOW_US)
    column, there = cells.columns[[str(k) for k in KINDS].index(kind)]
    for row, raw in enumerate(struct_from_binary(ua.ReadResponse, Buffer(struct_to_binary(response))).Results):
        value, quality = source.casts[0](raw.Value.Value)
        assert (there is None or bool(there[row])) == (value is not None)
        assert cells.value_quality[row] == (quality or UNCERTAIN)
        if value is not None:
            held = column[row] if isinstance(column, list) else column[row].item()
            expected = float(np.float32(value)) if kind == "f32" else value
            assert equal(held, expected)
    assert not (cells.quality & SEVERITY_BAD).any()


def test_a_handle_is_never_given_twice_and_what_has_no_owner_is_left_out() -> None:
    wire = OpcUaWire("subscribe")
    register = register_of(wire.points(), [wire.device("m1", 1), wire.device("m2", 1)], "event")
    one, two = (Device(source_of(register, d), WallClock(), None) for d in register.devices)
    slots = Slots()
    assert (slots.add(one), slots.add(two)) == (0, 4)
    none = np.full(4, -(2**63))
    values = Values(np.array([5, 0, 4, 99]), np.zeros(4, np.uint32), none, none, ())
    assert [(s.device, s.points.tolist()) for s in slots.shares(values)] == [(one, [0]), (two, [1, 0])]
    assert list(slots.drop(one)) == [0, 1, 2, 3]
    assert [s.device for s in slots.shares(values)] == [two]
    assert slots.owner(0) is None
    assert slots.add(one) == 8
