"""A server's binary type dictionary (OPC binary schema, IEC 62541-5 annex D, IEC 62541-6 annex C) -> descriptions of its types.

In: the XML that a server older than the DataTypeDefinition attribute keeps in a DataTypeDictionary variable. Out: per type name a
`Structure` or an enumeration; names of the same dictionary are prefixed with its node id, so that two dictionaries never mix.
Refuses (`ValueError`): what is no XML, documents over 4 MiB, document type declarations (nothing of a server is expanded here).
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

from asyncua.ua.object_ids import ObjectIds

from adapters.opcua.values.structures import Description, Field, Structure

_MOST_BYTES = 4 << 20
_MOST_BITS = 64
_BSD = "{http://opcfoundation.org/BinarySchema/}"
_UA = "http://opcfoundation.org/UA/"
_BUILTIN = (
    "Boolean SByte Byte Int16 UInt16 Int32 UInt32 Int64 UInt64 Float Double String DateTime Guid ByteString XmlElement NodeId "
    "ExpandedNodeId StatusCode QualifiedName LocalizedText ExtensionObject DataValue Variant DiagnosticInfo"
)
_NUMBER = {name: i + 1 for i, name in enumerate(_BUILTIN.split())} | {"Char": 3, "CharArray": 12, "WideString": 12}


def described_types(raw: bytes, dictionary: str) -> dict[str, Description]:
    """The types of a dictionary by `<dictionary>#<name>`. Errors: `ValueError`."""
    if len(raw) > _MOST_BYTES or b"<!" in raw.replace(b"<!--", b""):
        raise ValueError(
            f"expected a type dictionary of at most {_MOST_BYTES} bytes without declarations, found another"
        )
    spaces: dict[str, str] = {}
    found: dict[str, Description] = {}
    try:
        for event, element in _events(raw):
            if event == "start-ns":
                spaces[element[0]] = element[1]
            elif element.tag == f"{_BSD}StructuredType":
                found[f"{dictionary}#{element.get('Name')}"] = _structure(element, spaces, dictionary)
            elif element.tag == f"{_BSD}EnumeratedType":
                values = element.iter(f"{_BSD}EnumeratedValue")
                names = {int(v.get("Value", 0)): v.get("Name", "") for v in values}
                found[f"{dictionary}#{element.get('Name')}"] = names
    except ElementTree.ParseError as err:
        raise ValueError(f"expected a type dictionary in XML, found: {err}") from err
    return found


def _events(raw: bytes) -> Iterator[tuple[str, Any]]:
    yield from ElementTree.iterparse(  # noqa: S314  # no declarations: nothing expands
        BytesIO(raw.strip(b"\x00 \r\n\t")), events=("start-ns", "end")
    )


def _structure(element: ElementTree.Element, spaces: dict[str, str], dictionary: str) -> Structure:
    read = [_field(f, spaces, dictionary) for f in element.iter(f"{_BSD}Field")]
    helping = {f.length_of for f in read} | {f.switch for f in read}
    fields = tuple(
        Field(
            f.name,
            f.type_id,
            length_of=f.length_of,
            bits=f.bits,
            switch=f.switch,
            switch_value=f.switch_value,
            hidden=f.name in helping or (f.bits > 0 and f.name.startswith("Reserved")),
        )
        for f in read
    )
    return Structure(element.get("Name", ""), "schema", fields)


def _field(element: ElementTree.Element, spaces: dict[str, str], dictionary: str) -> Field:
    prefix, _, name = element.get("TypeName", "").rpartition(":")
    length, value = element.get("Length"), element.get("SwitchValue")
    bits = int(length or 1) if name == "Bit" else 0
    if not 0 <= bits <= _MOST_BITS:
        raise ValueError(f"expected a bit field of at most {_MOST_BITS} bits, found {bits}")
    return Field(
        element.get("Name", ""),
        _type_id(spaces.get(prefix, ""), name, dictionary),
        bits=bits,
        length_of=element.get("LengthField", ""),
        switch=element.get("SwitchField", ""),
        switch_value=None if value is None else int(value),
    )


def _type_id(space: str, name: str, dictionary: str) -> str:
    if space in (_BSD[1:-1], _UA) and name in _NUMBER:
        return f"i={_NUMBER[name]}"
    if space == _UA:
        return f"i={getattr(ObjectIds, name, 0)}"
    return f"{dictionary}#{name}"
