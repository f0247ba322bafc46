"""Structures and enumerations of one server: the body of an ExtensionObject, by the description of its type, to a dict of fields.

In: `Structure`s and enumerations as the server describes them (datatypes.py reads them from it), and `Encoded` values. Out: dicts with the
fields in their order, lists, plain values; an enumeration's number knows its name (`Member`). Nested to any sensible depth.
Implements IEC 62541-6 §5.2.5 - §5.2.7 (structures, optional fields, unions) and the binary schema of its annex C (`from_dictionary`: bit
fields, length fields, switch fields) for servers older than the DataTypeDefinition attribute.
Kept per session: asyncua's own loaders generate code and keep the types for the whole process, by a namespace index that means
something else on the next server. A type that nobody described is `Undescribed`, its id is put on `wanted`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import EnumMeta
from functools import cache
from math import prod
from typing import Any, get_args

from asyncua import ua
from asyncua.ua.object_ids import ObjectIdNames, ObjectIds

from adapters.opcua.values.binary import (
    DEEPEST,
    MOST_ELEMENTS,
    Encoded,
    Malformed,
    Reader,
    array,
    extension,
    scalar,
    sizes,
)

EXTENSION, VARIANT, INT32 = 22, 24, 6
_ABSTRACT = {24: VARIANT, 26: VARIANT, 27: VARIANT, 28: VARIANT, 29: INT32}


class Undescribed(Exception):
    """A structure whose type the server has not described to us (yet)."""


class Member(int):
    """A value of an enumeration: a number that has a name."""

    name: str

    def __new__(cls, number: int, name: str) -> Member:
        made = super().__new__(cls, number)
        made.name = name
        return made


@dataclass(frozen=True, slots=True)
class Field:
    """One field. rank: -1 scalar, 1 array, 2 and more a matrix. bits: of a bit field. The rest is for binary schemas."""

    name: str
    type_id: str
    rank: int = -1
    optional: bool = False
    bits: int = 0
    length_of: str = ""  # the field that holds the number of elements
    switch: str = ""  # the field that says whether this one is there
    switch_value: int | None = None
    hidden: bool = False  # a length, a switch, a reserved bit: not part of the value


@dataclass(frozen=True, slots=True)
class Structure:
    """kind: plain, optional (a mask of fields that are there), union (one of them), schema (as annex C describes it)."""

    name: str
    kind: str
    fields: tuple[Field, ...]
    subtyped: bool = False  # `optional` fields may hold a subtype, as an ExtensionObject (StructureWithSubtypedValues)


Enumeration = Mapping[int, str]
Description = int | Structure | Enumeration  # int: a builtin type


class Types:
    """What one session knows about the server's types."""

    def __init__(self) -> None:
        self.described: dict[str, Description] = {}  # by data type id
        self.encodings: dict[str, str] = {}  # encoding id -> data type id
        self.wanted: set[str] = set()

    def of(self, type_id: str) -> Description | None:
        """The description of a data type, or None."""
        found = self.described.get(type_id)
        return standard(type_id) if found is None else found

    def plain(self, raw: object) -> object:
        """The value with every structure in it decoded. Errors: `Undescribed`, `Malformed`."""
        if isinstance(raw, Encoded):
            return self._decoded(raw)
        if isinstance(raw, list):
            return [self.plain(e) for e in raw] if any(isinstance(e, Encoded | list | dict) for e in raw) else raw
        if isinstance(raw, dict):
            return {k: self.plain(v) for k, v in raw.items()}
        return raw

    def _decoded(self, raw: Encoded) -> object:
        type_id = self.encodings.get(raw.type_id) or standard_encoding(raw.type_id)
        found = self.of(type_id) if type_id else None
        if not isinstance(found, Structure):
            self.wanted.add(raw.type_id)
            raise Undescribed(f"类型未知 (expected a described structure, found encoding {raw.type_id})")
        return self.plain(self._structure(Reader(raw.body), found, 0))

    def _structure(self, read: Reader, found: Structure, depth: int) -> object:
        if depth > DEEPEST:
            raise Malformed(f"expected at most {DEEPEST} structures in one another")
        if found.kind == "schema":
            return self._schema(read, found, depth)
        fields = found.fields
        if found.kind == "union":
            chosen = read.u32()
            if chosen > len(fields):
                raise Malformed(f"{found.name}: expected one of {len(fields)} fields, found {chosen}")
            fields = fields[chosen - 1 : chosen] if chosen else ()
        elif found.kind == "optional":
            mask = read.u32()
            optional = [f.name for f in fields if f.optional]
            there = {name for i, name in enumerate(optional) if mask >> i & 1}
            fields = tuple(f for f in fields if not f.optional or f.name in there)
        return {f.name: self._field(read, f, depth, as_object=found.subtyped and f.optional) for f in fields}

    def _field(self, read: Reader, field: Field, depth: int, *, as_object: bool = False) -> object:
        if field.rank < 1:
            return self._value(read, field.type_id, depth, as_object=as_object)
        if field.rank == 1:
            kind = EXTENSION if as_object else self.of(field.type_id)
            if isinstance(kind, int):
                return array(read, kind)
            return self._elements(read, field.type_id, read.i32(), depth)
        return self._matrix(read, field.type_id, sizes(read), depth)

    def _matrix(self, read: Reader, type_id: str, dimensions: list[int], depth: int) -> object:
        if any(size < 0 for size in dimensions):
            raise Malformed(f"expected dimensions of a matrix, found {dimensions}")
        flat = self._elements(read, type_id, prod(dimensions), depth) if dimensions else []
        if not isinstance(flat, list) or 0 in dimensions:
            return flat
        for size in reversed(dimensions[1:]):
            flat = [flat[i : i + size] for i in range(0, len(flat), size)]
        return flat

    def _elements(self, read: Reader, type_id: str, count: int, depth: int) -> object:
        if count < 0:
            return None
        if count > MOST_ELEMENTS or count > len(read.data) - read.at:
            raise Malformed(f"expected an array that fits into its structure, found {count} elements")
        read.made += count  # elements may take no bytes at all: arrays of arrays of them would have no end
        if read.made > MOST_ELEMENTS:
            raise Malformed(f"expected at most {MOST_ELEMENTS} elements in one structure, found more")
        return [self._value(read, type_id, depth) for _ in range(count)]

    def _value(self, read: Reader, type_id: str, depth: int, *, as_object: bool = False) -> object:
        found = EXTENSION if as_object else self.of(type_id)
        if isinstance(found, int):
            return extension(read) if found == EXTENSION else scalar(read, found)
        if isinstance(found, Structure):
            return self._structure(read, found, depth + 1)
        if found is None:
            self.wanted.add(type_id)
            raise Undescribed(f"字段类型未知 (expected a described field type, found {type_id})")
        return member(found, int(str(scalar(read, INT32))))

    def _schema(self, read: Reader, found: Structure, depth: int) -> object:
        """Annex C: fields in order; bits are taken from the least significant of a byte that is read when needed."""
        values: dict[str, Any] = {}
        bits = bits_left = 0
        for field in found.fields:
            if field.switch:
                switch = _whole(values.get(field.switch), field.switch)
                if switch != field.switch_value if field.switch_value is not None else not switch:
                    continue
            if field.bits:
                while bits_left < field.bits:
                    bits |= read.u8() << bits_left
                    bits_left += 8
                values[field.name] = bits & (1 << field.bits) - 1
                bits, bits_left = bits >> field.bits, bits_left - field.bits
                continue
            bits = bits_left = 0
            if field.length_of:
                values[field.name] = self._elements(
                    read, field.type_id, _whole(values.get(field.length_of), field.length_of), depth
                )
            else:
                values[field.name] = self._value(read, field.type_id, depth)
        shown = {f.name for f in found.fields if not f.hidden}
        return {name: value for name, value in values.items() if name in shown}


def _whole(value: object, field: str) -> int:
    """What a length or a switch says; absent is 0."""
    if value is None or isinstance(value, int):
        return value or 0
    raise Malformed(f"{field}: expected a whole number as a length or a switch, found a {type(value).__name__}")


def member(names: Enumeration, number: int) -> int:
    """The number with its name, where it has one."""
    name = names.get(number)
    return number if name is None else Member(number, name)


@cache
def standard(type_id: str) -> Description | None:
    """A type of namespace 0, which is the same on every server: from asyncua's generated classes."""
    number = int(type_id[2:]) if type_id.startswith("i=") else 0
    if 0 < number <= 25 or number in _ABSTRACT:
        return _ABSTRACT.get(number, number)
    name = ObjectIdNames.get(number, "")
    if name in _SIMPLE:
        return _SIMPLE[name]
    known = getattr(ua, name, None) if name else None
    if isinstance(known, EnumMeta):
        members: Mapping[str, Any] = known.__members__
        return {int(m.value): name for name, m in members.items()}
    if not isinstance(known, type):
        return None
    if hasattr(known, "__dataclass_fields__"):
        fields = tuple(_standard_field(n, f.type) for n, f in known.__dataclass_fields__.items() if n != "Encoding")
        return Structure(name, "optional" if any(f.optional for f in fields) else "plain", fields)
    bases = {b.__name__ for b in known.__mro__[1:]}
    return next((int(t.value) for t in ua.VariantType if t.name in bases), None)


_WORD = re.compile(r"\w+")
_RENAMED = {"Variant": "BaseDataType", "ExtensionObject": "Structure", "Char": "Byte", "CharArray": "String"}
_SIMPLE = {
    "Duration": 11,
    "UtcTime": 13,
    "LocaleId": 12,
    "NumericRange": 12,
    "Counter": 7,
    "IntegerId": 7,
    "Time": 12,
} | {
    "Date": 13,
    "Index": 7,
    "VersionTime": 7,
    "Handle": 7,
    "ApplicationInstanceCertificate": 15,
    "ContinuationPoint": 15,
    "SessionAuthenticationToken": 17,
    "NormalizedString": 12,
    "DecimalString": 12,
    "DurationString": 12,
    "TimeString": 12,
    "DateString": 12,
    "UriString": 12,
    "BitFieldMaskDataType": 9,
}


def standard_encoding(type_id: str) -> str:
    """The data type of a standard structure's binary encoding, or an empty text."""
    if not type_id.startswith("i="):
        return ""
    name = ObjectIdNames.get(int(type_id[2:]), "").removesuffix("_Encoding_DefaultBinary")
    number = getattr(ObjectIds, name, None) if name else None
    return f"i={number}" if isinstance(number, int) else ""


def _standard_field(name: str, hint: object) -> Field:
    """asyncua writes `ua.X`, `list[ua.X]` or `ua.X | None`, and replaces the text by the class once it has used it."""
    text = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    words = [w for w in _WORD.findall(text) if w not in ("None", "NoneType", "list", "List", "ua", "Optional", "class")]
    kind = words[-1] if words else ""
    number = getattr(ObjectIds, _RENAMED.get(kind, kind), 0)
    is_list = "list[" in text.lower()
    return Field(name, f"i={number}", 1 if is_list else -1, "None" in text or "Optional" in text)
