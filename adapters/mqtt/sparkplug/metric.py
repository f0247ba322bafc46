"""One metric's value -> a plain Python value, by its Sparkplug data type (Sparkplug 3.0 §6.4.16).

In: a protobuf `Metric` (or a data set's, parameter's or property's value) and the data type its birth declared. Out: bool, int, float,
str; list or dict for arrays, data sets and templates; None for a null; `Refused` with the quality where the bytes do not fit the type.
Int8 … Int64 travel as unsigned two's complement and come out signed. Edge nodes differ in the width of that two's complement (8, 32 or
64 bits) and in the field they choose (a UInt32 in `int_value` or `long_value`): each form is taken where only one reading is possible.
DateTime is milliseconds since 1970 UTC. Bytes and File are base64 text; a part of a file is refused. Never a default for an absent value.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import orjson

from adapters.batch import BAD, BAD_DECODING, GOOD

BAD_ENCODING_LIMITS = 0x8008_0000  # Bad_EncodingLimitsExceeded
BAD_NO_COMMUNICATION = 0x8031_0000  # Bad_NoCommunication: the edge node says STALE
TEXT_MOST = 1 << 18  # bytes of one text, or of one array, data set or template as JSON
PARTS_MOST = 1 << 16  # elements of one array, cells of one data set, members of one template

Read = Callable[[Any], Any]


class DataType(IntEnum):
    """Sparkplug 3.0 §6.4.1: the numbers of the data types."""

    INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = 1, 2, 3, 4, 5, 6, 7, 8
    FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, TEXT, UUID, DATASET = 9, 10, 11, 12, 13, 14, 15, 16
    BYTES, FILE, TEMPLATE, PROPERTY_SET, PROPERTY_SET_LIST = 17, 18, 19, 20, 21
    INT8_ARRAY, INT16_ARRAY, INT32_ARRAY, INT64_ARRAY = 22, 23, 24, 25
    UINT8_ARRAY, UINT16_ARRAY, UINT32_ARRAY, UINT64_ARRAY = 26, 27, 28, 29
    FLOAT_ARRAY, DOUBLE_ARRAY, BOOLEAN_ARRAY, STRING_ARRAY, DATETIME_ARRAY = 30, 31, 32, 33, 34


@dataclass(frozen=True, slots=True)
class Refused:
    """There is a value, and it cannot be had; `quality` says why."""

    quality: int


UNREADABLE = Refused(BAD_DECODING)
OVERSIZED = Refused(BAD_ENCODING_LIMITS)


def reader(datatype: int) -> Read:
    """How to read a metric of that data type. An unknown type reads what needs no type: floats, truth values and texts."""
    return _READERS.get(datatype, _untyped)


def read(metric: Any, read_value: Read) -> object:
    """The metric's value, or None for a null."""
    return None if metric.is_null else read_value(metric)


def quality_of(metric: Any) -> int:
    """The property `Quality` (§6.4.10): 0 bad, 192 good, 500 stale; good without it. Anything else is not good."""
    properties = metric.properties
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == "Quality":
            return _QUALITIES.get(_quality_number(value), BAD)
    return GOOD


def as_text(value: object) -> object:
    """A list or dict as canonical JSON text (sorted keys, no spaces, a NaN is null); anything else as it is."""
    if not isinstance(value, list | dict):
        return value
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return text.decode() if len(text) <= TEXT_MOST else OVERSIZED


_QUALITIES = {0: BAD, 192: GOOD, 500: BAD_NO_COMMUNICATION}


def _quality_number(value: Any) -> int:
    return int(value.int_value if value.HasField("int_value") else value.long_value)


def _signed(bits: int) -> Read:
    half = 1 << (bits - 1)
    widths = tuple(1 << w for w in (8, 16, 32, 64) if w >= bits)

    def read_signed(metric: Any) -> object:
        raw = metric.int_value
        if not raw and not metric.HasField("int_value"):
            if not metric.HasField("long_value"):
                return UNREADABLE
            raw = metric.long_value
        if raw < half:
            return raw
        for full in widths:
            if full - half <= raw < full:
                return raw - full
        return UNREADABLE

    return read_signed


def _unsigned(bits: int) -> Read:
    limit = 1 << bits

    def read_unsigned(metric: Any) -> object:
        raw = metric.int_value
        if not raw and not metric.HasField("int_value"):
            if not metric.HasField("long_value"):
                return UNREADABLE
            raw = metric.long_value
        return raw if raw < limit else UNREADABLE

    return read_unsigned


def _int64(metric: Any) -> object:
    raw = metric.long_value
    if raw or metric.HasField("long_value"):
        return raw - (1 << 64) if raw >> 63 else raw
    if not metric.HasField("int_value") or metric.int_value >> 31:
        return UNREADABLE  # -1 or 4294967295: nobody can say
    return metric.int_value


def _number(metric: Any) -> object:
    raw = metric.double_value
    if raw or metric.HasField("double_value"):
        return raw
    raw = metric.float_value
    return raw if raw or metric.HasField("float_value") else UNREADABLE


def _float(metric: Any) -> object:
    raw = metric.float_value
    return raw if raw or metric.HasField("float_value") else _number(metric)


def _boolean(metric: Any) -> object:
    raw = metric.boolean_value
    return raw if raw or metric.HasField("boolean_value") else UNREADABLE


def _string(metric: Any) -> object:
    raw = metric.string_value
    if not isinstance(raw, str) or (not raw and not metric.HasField("string_value")):
        return UNREADABLE
    return raw if len(raw) <= TEXT_MOST else OVERSIZED


def _bytes(metric: Any) -> object:
    if not metric.HasField("bytes_value") or metric.metadata.is_multi_part:
        return UNREADABLE
    raw = metric.bytes_value
    return b64encode(raw).decode() if len(raw) <= TEXT_MOST * 3 // 4 else OVERSIZED


def _array(code: str) -> Read:
    size = struct.calcsize("<" + code)

    def read_array(metric: Any) -> object:
        raw = metric.bytes_value
        if not metric.HasField("bytes_value") or len(raw) % size:
            return UNREADABLE
        count = len(raw) // size
        return list(struct.unpack(f"<{count}{code}", raw)) if count <= PARTS_MOST else OVERSIZED

    return read_array


def _booleans(metric: Any) -> object:
    """Four bytes of count, then the bits, the first in the highest place (§6.4.16)."""
    raw = metric.bytes_value
    if len(raw) < 4:
        return UNREADABLE
    (count,) = struct.unpack_from("<I", raw)
    if len(raw) != 4 + (count + 7) // 8:
        return UNREADABLE
    if count > PARTS_MOST:
        return OVERSIZED
    return [bool(raw[4 + i // 8] & 0x80 >> i % 8) for i in range(count)]


def _strings(metric: Any) -> object:
    """Texts, each ended by a zero byte."""
    raw = metric.bytes_value
    if not metric.HasField("bytes_value") or (raw and raw[-1]):
        return UNREADABLE
    if raw.count(0) > PARTS_MOST:
        return OVERSIZED
    try:
        return [part.decode() for part in raw.split(b"\0")[:-1]]
    except UnicodeDecodeError:
        return UNREADABLE


def _dataset(metric: Any) -> object:
    """{"columns": [names], "rows": [[values]]}; a cell that does not fit its column's type is null."""
    if not metric.HasField("dataset_value"):
        return UNREADABLE
    dataset = metric.dataset_value
    columns, types = list(dataset.columns), list(dataset.types)
    if len(columns) != len(types) or not all(isinstance(c, str) for c in columns):
        return UNREADABLE
    if len(columns) * max(1, len(dataset.rows)) > PARTS_MOST or len(dataset.rows) > PARTS_MOST:
        return OVERSIZED
    readers: list[Read] = [_BASIC.get(t, _untyped) for t in types]
    rows = []
    for row in dataset.rows:
        if len(row.elements) != len(readers):
            return UNREADABLE
        rows.append([_known(r(cell)) for r, cell in zip(readers, row.elements, strict=True)])
    return {"columns": columns, "rows": rows}


def _template(metric: Any) -> object:
    """{member: value} of an instance, nested where a member is a template; a definition is no value."""
    if not metric.HasField("template_value") or metric.template_value.is_definition:
        return UNREADABLE
    return _members(metric.template_value, [PARTS_MOST])


def _members(template: Any, budget: list[int]) -> object:
    budget[0] -= len(template.metrics)
    if budget[0] < 0:
        return OVERSIZED
    found: dict[str, object] = {}
    for member in template.metrics:
        if not isinstance(member.name, str) or not member.name:
            continue
        if member.datatype == DataType.TEMPLATE and not member.is_null:
            value = _members(member.template_value, budget)
            if value is OVERSIZED:
                return OVERSIZED
        else:
            value = read(member, reader(member.datatype))
        found[member.name] = _known(value)
    return found


def _untyped(metric: Any) -> object:
    by_field = _UNTYPED.get(metric.WhichOneof("value"))
    return UNREADABLE if by_field is None else by_field(metric)


def _known(value: object) -> object:
    return None if isinstance(value, Refused) else value


_BASIC: dict[int, Read] = {
    DataType.INT8: _signed(8),
    DataType.INT16: _signed(16),
    DataType.INT32: _signed(32),
    DataType.INT64: _int64,
    DataType.UINT8: _unsigned(8),
    DataType.UINT16: _unsigned(16),
    DataType.UINT32: _unsigned(32),
    DataType.UINT64: _unsigned(64),
    DataType.FLOAT: _float,
    DataType.DOUBLE: _number,
    DataType.BOOLEAN: _boolean,
    DataType.STRING: _string,
    DataType.DATETIME: _unsigned(64),
    DataType.TEXT: _string,
    DataType.UUID: _string,
}
_ARRAYS = "b h i q B H I Q f d".split()
_READERS: dict[int, Read] = {
    **_BASIC,
    DataType.DATASET: _dataset,
    DataType.BYTES: _bytes,
    DataType.FILE: _bytes,
    DataType.TEMPLATE: _template,
    **{DataType.INT8_ARRAY + i: _array(code) for i, code in enumerate(_ARRAYS)},
    DataType.BOOLEAN_ARRAY: _booleans,
    DataType.STRING_ARRAY: _strings,
    DataType.DATETIME_ARRAY: _array("Q"),
}
_UNTYPED: dict[str, Read] = {
    "float_value": _float,
    "double_value": _number,
    "boolean_value": _boolean,
    "string_value": _string,
}
