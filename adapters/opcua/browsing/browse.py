"""A walk through the address space of one server with Browse and BrowseNext (IEC 62541-4 §5.9), and batched reads of attributes.

In: an open `Session` and a root. Out: a `Space`. Nothing but Browse, BrowseNext and Read leaves this module.
The server's limits are read first and honoured: MaxNodesPerBrowse, MaxNodesPerRead (IEC 62541-5 §6.3.11). References come in pages of
`REFERENCES_PER_NODE`; continuation points are followed at once and released when the walk stops early, so that a server with few of them
is never left without. A server that says "too much", or does not answer in time, gets half; one that has no continuation point left is
asked again, node by node.
Each node is visited once (cycles end there) and the walk stops at `most` nodes, at `_LINKS_PER_NODE` times as many references, and goes
`_LEVELS_MOST` levels deep: memory and time are bounded.
A node that refuses to be browsed is counted with its status; the others are not affected. Errors: `ReadError`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from adapters.batch import BAD_DECODING, Outcome
from adapters.contract import ReadError
from adapters.opcua.browsing.space import NO_TYPE, Name, Node, NodeKey, Space, key_of, node_id_of
from adapters.opcua.faults import TOO_MUCH, opcua_error, status_name
from adapters.opcua.session import Session

REFERENCES_PER_NODE = 500
NODES_MOST = 200_000
_BROWSE_AT_ONCE = 50  # times 500 references of some 200 bytes: below the 16 MiB a message may have (transport.py)
_READ_AT_ONCE = 1000
_LEVELS_MOST = 64  # no plant is that deep; a server that makes up children for ever is
_LINKS_PER_NODE = 10  # references in all, for each node of the limit: a node may stand in several folders
_TYPE_LEVELS = 40  # no type has that many ancestors; a server that says so is not believed
_NAMES = 4 + 8 + 16 + 32  # BrowseResultMask (§7.4): NodeClass, BrowseName, DisplayName, TypeDefinition
_OBJECTS_AND_VARIABLES = 1 + 2
_LIMITS = (
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
)
# What a server says of itself is not a point: the Server object, Aliases, Locations, the type folders (IEC 62541-5 §8).
_NOT_ENTERED = {(0, i) for i in (ObjectIds.Server, ObjectIds.TypesFolder, ObjectIds.ViewsFolder, 23470, 31915)}

Progress = Callable[[str, int, int], None]  # what is being done, done, known to do


@dataclass(frozen=True, slots=True)
class Attribute:
    """The answer for one attribute of one node: value None when `status` is Bad."""

    value: object
    status: int


class Browser:
    """Browse and Read on one session, within its limits."""

    def __init__(self, session: Session, progress: Progress | None = None) -> None:
        self._session = session
        self._progress = progress or (lambda *_: None)
        self._browse_limit = _BROWSE_AT_ONCE
        self._read_limit = _READ_AT_ONCE
        self._references = 0
        self.namespaces: tuple[str, ...] = ()

    async def learn(self) -> None:
        """Read the server's limits and namespaces."""
        ids = [ua.NodeId(ua.Int32(i)) for i in (*_LIMITS, ObjectIds.Server_NamespaceArray)]
        browse, read, spaces = (a.value for a in await self.attributes([(n, AttributeIds.Value) for n in ids]))
        self._browse_limit = min(browse, _BROWSE_AT_ONCE) if isinstance(browse, int) and browse > 0 else _BROWSE_AT_ONCE
        self._read_limit = min(read, _READ_AT_ONCE) if isinstance(read, int) and read > 0 else _READ_AT_ONCE
        self.namespaces = tuple(str(uri) for uri in spaces) if isinstance(spaces, list) else ()

    async def walk(self, root: ua.NodeId, depth: int | None = None, most: int = NODES_MOST) -> Space:
        """Everything below `root`, at most `depth` levels of objects and `most` nodes. Errors: `ReadError` for an unknown root."""
        space = Space(self.namespaces)
        space.nodes.append(await self._root(root))
        space.index[space.nodes[0].key] = 0
        problems: Counter[str] = Counter()
        self._references = done = 0
        while done < len(space.nodes) and not space.truncated:
            batch = list(range(done, min(len(space.nodes), done + self._browse_limit)))
            done = batch[-1] + 1
            asked = [i for i in batch if _is_entered(space.nodes[i], i, depth)]
            deep = [i for i in asked if space.nodes[i].depth >= _LEVELS_MOST]
            if deep:
                problems[f"深于 {_LEVELS_MOST} 层 (too deep)"] += len(deep)
                asked = [i for i in asked if i not in set(deep)]
            await self._children(space, asked, problems, most, depth)
            self._progress("浏览节点", done, len(space.nodes))
        space.problems = dict(problems)
        await self.supertypes(space, {n.type for n in space.nodes})
        return space

    async def supertypes(self, space: Space, types: set[NodeKey]) -> None:
        """Learn the supertypes of these types (of objects, of values): `space.ancestors`."""
        parent: dict[NodeKey, NodeKey] = {}
        todo = {t for t in types if not _is_built_in(t)}
        for _ in range(_TYPE_LEVELS):
            asked = sorted(todo, key=repr)
            for start in range(0, len(asked), self._browse_limit):
                part = asked[start : start + self._browse_limit]
                results = await self._browse([_inverse_subtype(k) for k in part])
                for key, result in zip(part, results, strict=True):
                    up = [key_of(r.NodeId) for r in result.References or ()]
                    parent[key] = up[0] if up else NO_TYPE
            todo = {p for p in parent.values() if p not in parent and not _is_built_in(p)}
        for start_key in types:
            chain: list[NodeKey] = []
            at = parent.get(start_key, NO_TYPE)
            while at != NO_TYPE and at not in chain:
                chain.append(at)
                at = parent.get(at, NO_TYPE)
            space.ancestors[start_key] = tuple(chain)

    async def attributes(self, asked: Sequence[tuple[ua.NodeId, AttributeIds]]) -> list[Attribute]:
        """Attributes in the order asked. Errors: `ReadError`."""
        found: list[Attribute] = []
        while len(found) < len(asked):
            part = asked[len(found) : len(found) + self._read_limit]
            try:
                found += await self._read(part)
            except Exception as err:
                failure = opcua_error(err, self._session.where)
                if failure is err:  # not as many answers as questions: nothing can be told apart
                    raise
                if len(part) > 1 and _is_too_much(err):
                    self._read_limit = len(part) // 2
                elif failure.outcome is Outcome.PROTOCOL and len(part) > 1:  # one value the library cannot decode
                    for one in part:
                        found += await self.attributes([one])
                elif failure.outcome is Outcome.PROTOCOL or status_name(err) in TOO_MUCH:
                    found.append(Attribute(None, BAD_DECODING))
                else:
                    raise failure from err
        return found

    async def _read(self, part: Sequence[tuple[ua.NodeId, AttributeIds]]) -> list[Attribute]:
        ids = [ua.ReadValueId(NodeId=n, AttributeId=ua.IntegerId(a)) for n, a in part]
        parameters = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn.Neither, NodesToRead=ids)
        answers = await self._session.client.uaclient.session.read(parameters)
        _expect(len(part), len(answers), self._session.where)
        return [_attribute(a) for a in answers]

    async def _root(self, root: ua.NodeId) -> Node:
        ids = AttributeIds
        asked = [(root, a) for a in (ids.NodeClass, ids.BrowseName, ids.DisplayName)]
        node_class, name, display = await self.attributes(asked)
        if node_class.status >> 31:
            words = f"{self._session.where}: 服务器没有节点 {root.to_string()} (no such node on the server)"
            raise ReadError(Outcome.DEVICE_FAILURE, words)
        is_variable = node_class.value == ua.NodeClass.Variable
        (types,) = await self._browse([_type_definition(root)])
        kind = next((key_of(r.NodeId) for r in types.References or ()), NO_TYPE)
        return Node(key_of(root), _name(name.value), _text(display.value), not is_variable, kind, -1, 0)

    async def _children(
        self, space: Space, asked: list[int], problems: Counter[str], most: int, depth: int | None
    ) -> None:
        results = await self._browse([_hierarchical(space.node_id(i)) for i in asked]) if asked else []
        again: list[int] = []
        points: list[bytes] = []
        for i, result in zip(asked, results, strict=True):
            name = "" if result.StatusCode.is_good() else str(result.StatusCode.name)
            if name == "BadNoContinuationPoints" and len(asked) > 1:
                again.append(i)
                continue
            if name:
                problems[name] += 1
            points += await self._pages(space, i, result, most, depth)
        if points:
            await self._release(points)
        for i in again:
            if not space.truncated:
                await self._children(space, [i], problems, most, depth)

    async def _pages(self, space: Space, i: int, result: ua.BrowseResult, most: int, depth: int | None) -> list[bytes]:
        """Take a node's references, page by page; the continuation points that are left to release."""
        taken = 0
        while True:
            references = result.References or ()
            _adopt(space, i, references, most, depth)
            taken += len(references)
            point = result.ContinuationPoint
            self._references += len(references)
            if self._references > _LINKS_PER_NODE * max(most, 1000):
                space.truncated = True
            if point and (not references or taken > 2 * most):  # pages without end
                space.truncated = True
            if space.truncated or not point:
                return [point] if point else []
            result = (await self._next([point], release=False))[0]

    async def _browse(self, descriptions: list[ua.BrowseDescription]) -> list[ua.BrowseResult]:
        found: list[ua.BrowseResult] = []
        while len(found) < len(descriptions):
            part = descriptions[len(found) : len(found) + self._browse_limit]
            parameters = ua.BrowseParameters(
                RequestedMaxReferencesPerNode=ua.Counter(REFERENCES_PER_NODE), NodesToBrowse=part
            )
            try:
                results = await self._session.client.uaclient.session.browse(parameters)
            except Exception as err:
                if _is_too_much(err) and len(part) > 1:
                    self._browse_limit = len(part) // 2
                    continue
                raise opcua_error(err, self._session.where) from err
            _expect(len(part), len(results), self._session.where)
            found += results
        return found

    async def _next(self, points: list[bytes], *, release: bool) -> list[ua.BrowseResult]:
        parameters = ua.BrowseNextParameters(ReleaseContinuationPoints=release, ContinuationPoints=points)
        try:
            results = await self._session.client.uaclient.session.browse_next(parameters)
        except Exception as err:
            raise opcua_error(err, self._session.where) from err
        if not release:
            _expect(len(points), len(results), self._session.where)
        return list(results)

    async def _release(self, points: list[bytes]) -> None:
        for start in range(0, len(points), self._browse_limit):
            await self._next(points[start : start + self._browse_limit], release=True)


def _is_entered(node: Node, index: int, depth: int | None) -> bool:
    """The root always; not what a server says of itself; below `depth` only variables, for their properties; properties have none."""
    if index == 0:
        return True
    deep = depth is not None and node.depth >= depth and node.is_object
    return not deep and not node.is_property and node.key not in _NOT_ENTERED


def _adopt(
    space: Space, parent: int, references: Sequence[ua.ReferenceDescription], most: int, depth: int | None
) -> None:
    """Note the children of a node; a node seen before is only linked."""
    mother = space.nodes[parent]
    bottom = depth is not None and mother.depth >= depth
    for reference in references:
        target = reference.NodeId
        if getattr(target, "ServerIndex", 0):
            continue  # a node of another server
        key = key_of(target)
        uri = getattr(target, "NamespaceUri", None)
        if uri:
            if uri not in space.namespaces:
                continue
            key = (space.namespaces.index(uri), key[1])
        known = space.index.get(key)
        if known is not None:
            if known != parent and known not in mother.children[-1:]:
                mother.children.append(known)
            continue
        kind = key_of(reference.TypeDefinition)
        is_object = reference.NodeClass == ua.NodeClass.Object
        if key in _NOT_ENTERED or (bottom and (is_object or kind != (0, ObjectIds.PropertyType))):
            continue
        if len(space.nodes) >= most:
            space.truncated = True
            return
        name = Name(int(reference.BrowseName.NamespaceIndex), str(reference.BrowseName.Name or ""))
        space.index[key] = len(space.nodes)
        mother.children.append(len(space.nodes))
        display = _text(reference.DisplayName) or name.text
        space.nodes.append(Node(key, name, display, is_object, kind, parent, mother.depth + 1))


def _is_built_in(key: NodeKey) -> bool:
    """True for the types nothing above is asked of: the built-in data types and their abstract kin (IEC 62541-6 §5.1.2)."""
    return key[0] == 0 and isinstance(key[1], int) and key[1] < 30


def _hierarchical(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(_OBJECTS_AND_VARIABLES),
        ResultMask=ua.UInt32(_NAMES),
    )


def _type_definition(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HasTypeDefinition)),
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(0),
        ResultMask=ua.UInt32(0),
    )


def _inverse_subtype(key: NodeKey) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node_id_of(key),
        BrowseDirection=ua.BrowseDirection.Inverse,
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HasSubtype)),
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(0),
        ResultMask=ua.UInt32(0),
    )


def _attribute(data: ua.DataValue) -> Attribute:
    status = int(data.StatusCode.value) if data.StatusCode is not None else 0
    return Attribute(data.Value.Value if data.Value is not None else None, status)


def _name(value: object) -> Name:
    if not isinstance(value, ua.QualifiedName):
        return Name(0, "")
    return Name(int(value.NamespaceIndex), str(value.Name or ""))


def _text(value: object) -> str:
    return str(value.Text or "") if isinstance(value, ua.LocalizedText) else ""


def _is_too_much(err: Exception) -> bool:
    """The server says so, or does not manage in time: a small controller needs seconds for what a PC answers at once."""
    return isinstance(err, TimeoutError) or status_name(err) in TOO_MUCH


def _expect(expected: int, found: int, where: str) -> None:
    if expected != found:
        raise ReadError(Outcome.PROTOCOL, f"{where}: 应答个数不符 (expected {expected}, found {found})")
