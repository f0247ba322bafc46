"""OPC UA binary encoding (IEC 62541-6 §5.2) -> plain Python values, for what a machine's points can hold.

In: bytes and a position. Out: bool, int, float, str, bytes, None; lists (nested by Dimensions for matrices); `Encoded` for a structure,
whose fields only the server's own type description tells (structures.py). DateTime becomes ISO 8601 text, Guid and NodeId their text,
QualifiedName `2:Name`, LocalizedText its text, StatusCode its number, a Variant what it holds.
Every length is held against the bytes that are there before anything is made of it: an answer never costs more memory than a small
multiple of its own size. An array of more than `MOST_ELEMENTS` is passed over (`TOO_LARGE`). Refuses (`Malformed`): everything else.
asyncua decodes the same bytes into an object per value, with types kept for the whole process; see docs/adr/0006.
"""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import prod

import numpy as np

MOST_ELEMENTS = 1_000_000
DEEPEST = 16  # values in one another, and dimensions of a matrix
_EPOCH_1601 = datetime(1601, 1, 1, tzinfo=UTC)
_LAST_TICKS = 2_650_467_743_990_000_000  # 9999-12-31T23:59:59


class Malformed(ValueError):
    """Bytes that are not what they claim to be."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The body of an ExtensionObject: a structure whose type is named by its encoding's node id."""

    type_id: str
    body: bytes


class TooLarge:
    """In place of an array with more elements than anyone should collect."""

    def __repr__(self) -> str:
        return "TOO_LARGE"


TOO_LARGE = TooLarge()

# Builtin types of fixed size (IEC 62541-6 Table 1), as numpy and as struct.
FIXED: dict[int, str] = {1: "?", 2: "i1", 3: "u1", 4: "<i2", 5: "<u2", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8"} | {
    10: "<f4",
    11: "<f8",
}
_STRUCT = {t: struct.Struct("<" + f) for t, f in zip(range(1, 12), "?bBhHiIqQfd", strict=True)}
_I32, _U16, _U32, _I64 = struct.Struct("<i"), struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<q")
_FOUR, _NUMERIC = struct.Struct("<BH"), struct.Struct("<HI")
_STRING, _BYTESTRING, _STATUS, _EXTENSION, _VARIANT = 12, 15, 19, 22, 24


class Reader:
    """A position in bytes that only moves forward."""

    __slots__ = ("at", "data", "depth", "made")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at, self.depth, self.made = data, at, 0, 0

    def take(self, size: int) -> bytes:
        """The next bytes. Errors: `Malformed`."""
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise Malformed(f"expected {size} bytes at {self.at}, found {len(self.data) - self.at}")
        found = self.data[self.at : end]
        self.at = end
        return found

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """UInt16."""
        return int(_U16.unpack(self.take(2))[0])

    def u32(self) -> int:
        """UInt32."""
        return int(_U32.unpack(self.take(4))[0])

    def i32(self) -> int:
        """Int32."""
        return int(_I32.unpack(self.take(4))[0])

    def i64(self) -> int:
        """Int64."""
        return int(_I64.unpack(self.take(8))[0])

    def chunk(self) -> bytes | None:
        """ByteString: length and bytes, -1 is null."""
        size = self.i32()
        return None if size == -1 else self.take(size)

    def text(self) -> str | None:
        """String. What is not UTF-8 keeps its bytes as `\\x..`, so that it can be stored and seen."""
        raw = self.chunk()
        return None if raw is None else raw.decode("utf-8", "backslashreplace")

    def count(self, least: int = 1) -> int:
        """The length of an array whose elements take at least so many bytes; -1 is null and counts as 0."""
        found = self.i32()
        if found < -1 or found * least > len(self.data) - self.at:
            raise Malformed(
                f"expected an array that fits into {len(self.data) - self.at} bytes, found {found} elements"
            )
        return max(found, 0)

    def skip_diagnostic(self) -> None:
        """DiagnosticInfo (IEC 62541-6 §5.2.2.12): nothing of it is kept."""
        for _ in range(DEEPEST):
            mask = self.u8()
            self.take(4 * (mask & 15).bit_count())
            if mask & 0x10:
                self.text()
            if mask & 0x20:
                self.u32()
            if not mask & 0x40:
                return
        raise Malformed("expected DiagnosticInfo of few levels")


def node_id(read: Reader) -> str:
    """NodeId or ExpandedNodeId as text: `i=85`, `ns=2;s=Speed`."""
    mask = read.u8()
    kind = mask & 0x3F
    namespace = 0
    if kind == 0:
        text = f"i={read.u8()}"
    elif kind == 1:
        namespace, number = _FOUR.unpack(read.take(3))
        text = f"i={number}"
    elif kind == 2:
        namespace, number = _NUMERIC.unpack(read.take(6))
        text = f"i={number}"
    elif kind in _ID_TEXT:
        namespace = read.u16()
        text = _ID_TEXT[kind](read)
    else:
        raise Malformed(f"expected a NodeId encoding of 0-5, found {kind}")
    space = f"ns={namespace};" if namespace else ""
    if mask & 0x80:
        space = f"nsu={read.text()};"
    server = f"svr={read.u32()};" if mask & 0x40 else ""
    return server + space + text


def variant(read: Reader) -> object:
    """What a Variant holds (IEC 62541-6 §5.2.2.16). Errors: `Malformed`."""
    mask = read.u8()
    kind = mask & 0x3F
    if not mask & 0x80:
        if mask & 0x40:
            raise Malformed("expected no dimensions without an array")
        return scalar(read, kind)
    found = array(read, kind)
    if not mask & 0x40:
        return found
    dimensions = sizes(read)
    if isinstance(found, list) and len(dimensions) > 1:
        return _shaped(found, dimensions)
    return found


def sizes(read: Reader) -> list[int]:
    """The dimensions of a matrix. Thousands of them cost a minute to multiply and are lists too deep for anybody. Errors: `Malformed`."""
    count = read.count(4)
    if count > DEEPEST:
        raise Malformed(f"expected at most {DEEPEST} dimensions, found {count}")
    return [read.i32() for _ in range(count)]


def scalar(read: Reader, kind: int) -> object:
    """A value of a builtin type."""
    packed = _STRUCT.get(kind)
    if packed is not None:
        return packed.unpack(read.take(packed.size))[0]
    decode = _SCALARS.get(kind)
    if decode is None:
        if 26 <= kind <= 31:  # reserved: carried as ByteString (IEC 62541-6 §5.2.2.16)
            return read.chunk()
        raise Malformed(f"expected a builtin type of 0-25, found {kind}")
    read.depth += 1
    if read.depth > DEEPEST:
        raise Malformed(f"expected at most {DEEPEST} values in one another")
    found = decode(read)
    read.depth -= 1
    return found


def array(read: Reader, kind: int) -> object:
    """An array of a builtin type: a list, None when null, `TOO_LARGE` when it has too many elements."""
    if read.data[read.at : read.at + 4] == b"\xff\xff\xff\xff":
        read.at += 4
        return None
    if kind in FIXED:
        size = _STRUCT[kind].size
        count = read.count(size)
        raw = read.take(count * size)
        return np.frombuffer(raw, FIXED[kind]).tolist() if count <= MOST_ELEMENTS else TOO_LARGE
    count = read.count()
    if kind == 0 and count:
        raise Malformed("expected no array of nothing")
    found = [scalar(read, kind) for _ in range(min(count, MOST_ELEMENTS))]
    for _ in range(count - len(found)):
        scalar(read, kind)
    return found if len(found) == count else TOO_LARGE


def data_value(read: Reader) -> tuple[object, int, int, int]:
    """DataValue (IEC 62541-6 §5.2.2.17): value, status, source and server ticks (100 ns since 1601, 0 when absent)."""
    mask = read.u8()
    value = variant(read) if mask & 1 else None
    status = read.u32() if mask & 2 else 0
    source = read.i64() if mask & 4 else 0
    if mask & 0x10:
        read.u16()
    server = read.i64() if mask & 8 else 0
    if mask & 0x20:
        read.u16()
    return value, status, source, server


def iso_time(ticks: int) -> str:
    """100 ns since 1601 -> ISO 8601 in UTC; 0 and before is 1601, beyond 9999 is its last second (IEC 62541-6 §5.2.2.5)."""
    return (_EPOCH_1601 + timedelta(microseconds=min(max(ticks, 0), _LAST_TICKS) // 10)).isoformat()


def _shaped(flat: list[object], dimensions: list[int]) -> list[object]:
    """Row-major elements -> nested lists (IEC 62541-6 §5.2.2.16: the last dimension varies fastest)."""
    if any(d <= 0 for d in dimensions) or prod(dimensions) != len(flat):
        if not flat and 0 in dimensions:
            return []
        raise Malformed(f"expected {len(flat)} elements by the dimensions, found {dimensions[:8]}")
    for size in reversed(dimensions[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat


def guid(read: Reader) -> str:
    """Guid as text (IEC 62541-6 §5.2.2.6: the first three fields little endian)."""
    return str(uuid.UUID(bytes_le=read.take(16)))


def qualified_name(read: Reader) -> str | None:
    """`Name`, or `2:Name` outside namespace 0."""
    namespace, name = read.u16(), read.text()
    return f"{namespace}:{name}" if namespace and name is not None else name


def localized_text(read: Reader) -> str | None:
    """The text, without its locale."""
    mask = read.u8()
    if mask & 1:
        read.text()
    return read.text() if mask & 2 else None


def extension(read: Reader) -> object:
    """ExtensionObject: `Encoded`, or None when it holds nothing."""
    type_id = node_id(read)
    mask = read.u8()
    if mask == 0:
        return None
    if mask not in (1, 2):
        raise Malformed(f"expected an ExtensionObject encoding of 0-2, found {mask}")
    body = read.chunk()
    return None if body is None else Encoded(type_id, body)


def _nested_value(read: Reader) -> object:
    value, status, source, server = data_value(read)
    body: dict[str, object] = {"Value": value, "StatusCode": status}
    if source:
        body["SourceTimestamp"] = iso_time(source)
    if server:
        body["ServerTimestamp"] = iso_time(server)
    return body


def _diagnostic(read: Reader) -> None:
    read.skip_diagnostic()


def _identifier_bytes(read: Reader) -> str:
    return "b=" + base64.b64encode(read.chunk() or b"").decode()


_ID_TEXT: dict[int, Callable[[Reader], str]] = {
    3: lambda read: f"s={read.text() or ''}",
    4: lambda read: f"g={guid(read)}",
    5: _identifier_bytes,
}
_SCALARS: dict[int, Callable[[Reader], object]] = {
    0: lambda _: None,
    _STRING: Reader.text,
    13: lambda read: iso_time(read.i64()),
    14: guid,
    _BYTESTRING: Reader.chunk,
    16: Reader.text,
    17: node_id,
    18: node_id,
    _STATUS: Reader.u32,
    20: qualified_name,
    21: localized_text,
    _EXTENSION: extension,
    23: _nested_value,
    _VARIANT: variant,
    25: _diagnostic,
}
