"""What the server says of its own data types, read when a session opens: the descriptions that structures.py decodes with.

In: the nodes whose values may be structures or enumerations (text points and points with a path). Out: `Types` filled, and the data type
of each node. Asked for are only types in use: the attribute DataTypeDefinition (IEC 62541-3 §5.8.3), where a server has none its
EnumStrings or EnumValues, its type dictionary (annex D of IEC 62541-5), or the type it is a subtype of.
Nothing here stops collection: what a server cannot say leaves its type unknown, one log line, and the value bad with its cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import structlog
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from adapters.contract import ReadError
from adapters.opcua.values.columns import Values
from adapters.opcua.values.dictionary import described_types
from adapters.opcua.values.structures import Description, Field, Structure, Types, Undescribed

log = structlog.get_logger(__name__)

_NOT_SAID = (ReadError, Undescribed, UaError, OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
_KINDS = {0: "plain", 1: "optional", 2: "union", 3: "plain", 4: "union"}
_MOST_TYPES = 2000
_MOST_REFERENCES = 200
_VALUE, _DATA_TYPE, _DEFINITION = (
    int(AttributeIds.Value),
    int(AttributeIds.DataType),
    int(AttributeIds.DataTypeDefinition),
)


class Asking(Protocol):
    """The part of a session that is needed here."""

    where: str

    async def read_attribute(self, nodes: Sequence[ua.NodeId], attribute: int) -> Values:
        """One attribute of each node."""
        ...

    async def browse(self, parameters: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """References of nodes."""
        ...


async def learn(session: Asking, types: Types, nodes: Sequence[ua.NodeId]) -> list[str]:
    """The data type of each node (empty where the server does not say), each described in `types` as far as the server can."""
    found: list[str] = [""] * len(nodes)
    try:
        raws = (await session.read_attribute(nodes, _DATA_TYPE)).raws() if nodes else []
        found = [raw if isinstance(raw, str) else "" for raw in raws]
        await _describe(session, types, {t for t in found if t})
    except _NOT_SAID as err:
        log.warning("数据类型说明读取失败 data types could not be read", server=session.where, why=str(err))
    return found


async def learn_wanted(session: Asking, types: Types) -> None:
    """Describe the encodings that came and were not known (a subtype of a variable's declared type)."""
    wanted, types.wanted = types.wanted, set()
    asked = [e for e in sorted(wanted) if e not in types.encodings]
    try:
        results = await _references(session, asked, ObjectIds.HasEncoding, ua.BrowseDirection.Inverse)
        for encoding, targets in zip(asked, results, strict=True):
            types.encodings[encoding] = targets[0][0] if targets else ""
        await _describe(session, types, {types.encodings[e] for e in asked if types.encodings[e]})
    except _NOT_SAID as err:
        log.warning("数据类型说明读取失败 data types could not be read", server=session.where, why=str(err))


async def _describe(session: Asking, types: Types, wanted: set[str], seen: set[str] | None = None) -> None:
    """Read descriptions until every type that is used has one, or the server has none for it. `seen`: asked for already, further out."""
    seen = set() if seen is None else seen
    while True:
        pending = sorted(t for t in wanted if t not in seen and types.of(t) is None and "#" not in t)
        if not pending or len(seen) > _MOST_TYPES:
            return
        seen |= set(pending)
        raws = (await session.read_attribute([ua.NodeId.from_string(t) for t in pending], _DEFINITION)).raws()
        without = []
        for type_id, raw in zip(pending, raws, strict=True):
            made = _definition(types.plain(raw))
            if made is None:
                without.append(type_id)
                continue
            types.described[type_id] = made
            if isinstance(made, Structure):
                encoding = _text(types.plain(raw), "DefaultEncodingId")
                if encoding not in ("", "i=0"):  # a type that has none, as abstract ones
                    types.encodings.setdefault(encoding, type_id)
                wanted |= {f.type_id for f in made.fields}
        for type_id in without:
            wanted |= await _without_definition(session, types, type_id, seen)


def _definition(body: object) -> Description | None:
    """StructureDefinition or EnumDefinition, as decoded -> a description."""
    if not isinstance(body, dict) or not isinstance(body.get("Fields"), list):
        return None
    if "StructureType" not in body:
        return {int(f["Value"]): str(f["Name"]) for f in body["Fields"]}
    kind = int(body["StructureType"])
    fields = tuple(
        Field(str(f["Name"]), str(f["DataType"]), int(f["ValueRank"]), bool(f["IsOptional"])) for f in body["Fields"]
    )
    return Structure("", _KINDS.get(kind, "plain"), fields, subtyped=kind >= 3)


async def _without_definition(session: Asking, types: Types, type_id: str, seen: set[str]) -> set[str]:
    """The older ways: EnumStrings, EnumValues, a dictionary; else the type is what its supertype is. Returns types still to describe."""
    names = await _enumeration(session, type_id)
    if names is not None:
        types.described[type_id] = names
        return set()
    (encodings,) = await _references(session, [type_id], ObjectIds.HasEncoding, ua.BrowseDirection.Forward)
    binary = [node for node, name in encodings if name == "Default Binary"]
    if binary:
        types.encodings[binary[0]] = type_id
        made = await _from_dictionary(session, types, binary[0])
        if made is not None:
            types.described[type_id] = made
            return set()
    (parents,) = await _references(session, [type_id], ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
    if not parents:
        return set()
    parent = types.of(parents[0][0])
    if parent is None:
        await _describe(session, types, {parents[0][0]}, seen)
        parent = types.of(parents[0][0])
    if parent is not None:
        types.described[type_id] = parent
    return set()


async def _enumeration(session: Asking, type_id: str) -> dict[int, str] | None:
    (properties,) = await _references(session, [type_id], ObjectIds.HasProperty, ua.BrowseDirection.Forward)
    by_name = {name: node for node, name in properties}
    chosen = by_name.get("EnumValues") or by_name.get("EnumStrings")
    if chosen is None:
        return None
    (raw,) = (await session.read_attribute([ua.NodeId.from_string(chosen)], _VALUE)).raws()
    if not isinstance(raw, list):
        return None
    if "EnumValues" not in by_name:
        return {i: str(text) for i, text in enumerate(raw)}
    values: list[Any] = [Types().plain(e) for e in raw]
    return {int(v["Value"]): str(v["DisplayName"]) for v in values}


async def _from_dictionary(session: Asking, types: Types, encoding: str) -> Description | None:
    """The description node of an encoding names the type; the dictionary that holds it has the XML."""
    (described,) = await _references(session, [encoding], ObjectIds.HasDescription, ua.BrowseDirection.Forward)
    if not described:
        return None
    node = described[0][0]
    (owners,) = await _references(session, [node], ObjectIds.HasComponent, ua.BrowseDirection.Inverse)
    (name,) = (await session.read_attribute([ua.NodeId.from_string(node)], _VALUE)).raws()
    if not owners or not isinstance(name, str):
        return None
    dictionary = owners[0][0]
    if not any(t.startswith(f"{dictionary}#") for t in types.described):
        (raw,) = (await session.read_attribute([ua.NodeId.from_string(dictionary)], _VALUE)).raws()
        if not isinstance(raw, bytes):
            return None
        types.described |= described_types(raw, dictionary)
    return types.described.get(f"{dictionary}#{name}")


async def _references(
    session: Asking, nodes: Iterable[str], kind: int, direction: ua.BrowseDirection
) -> list[list[tuple[str, str]]]:
    """(node id, browse name) of the targets of each node's references of one type."""
    asked = [
        ua.BrowseDescription(
            NodeId=ua.NodeId.from_string(n),
            BrowseDirection=direction,
            ReferenceTypeId=ua.NodeId(ua.Int32(kind)),
            IncludeSubtypes=True,
            NodeClassMask=ua.UInt32(0),
            ResultMask=ua.UInt32(ua.BrowseResultMask.BrowseName),
        )
        for n in nodes
    ]
    if not asked:
        return []
    parameters = ua.BrowseParameters(NodesToBrowse=asked, RequestedMaxReferencesPerNode=ua.Counter(_MOST_REFERENCES))
    results = await session.browse(parameters)
    return [[(_id_text(r.NodeId), str(r.BrowseName.Name)) for r in result.References or []] for result in results]


def _id_text(node: Any) -> str:
    """asyncua's node id in the words of binary.py."""
    plain = ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)
    return str(plain.to_string())


def _text(body: object, key: str) -> str:
    return str(body.get(key, "")) if isinstance(body, dict) else ""
