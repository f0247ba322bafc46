"""A device of the register against its server: what is gone, what changed, what the register does not have.

In: a register, one of its devices, its connection. Out: `Difference`. Nodes are compared by id, names play no part.
Gone: the server does not know the node any more (Bad_NodeIdUnknown, a namespace that is not there). Changed: the data type no longer fits
the point's type; the unit, or the range, is another than the register's, where both have one and the point is not scaled.
Not in the register: readable variables below the object that holds the device's points, unless another device on the same server has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from asyncua.ua.attribute_ids import AttributeIds

from adapters.batch import Outcome, ValueType
from adapters.contract import ReadError
from adapters.opcua.browsing.browse import NODES_MOST, Browser, Progress
from adapters.opcua.browsing.details import Detail, details
from adapters.opcua.browsing.pointlist import number
from adapters.opcua.browsing.space import NodeKey, Space, key_of
from adapters.opcua.browsing.survey import OBJECTS, session_of
from adapters.opcua.session import Session
from config.connections import OpcUa
from config.points import Point
from config.register import Device, Register

_ROUNDING = 1e-9  # of a range written in decimal and one in binary
# Register types that hold every value of a server's type. Text holds all; numbers are put into text exactly.
_HOLDS: dict[ValueType, set[ValueType]] = {
    ValueType.BOOL: {ValueType.BOOL, ValueType.I64, ValueType.U64, ValueType.F32, ValueType.F64, ValueType.STR},
    ValueType.I64: {ValueType.I64, ValueType.F64, ValueType.STR, ValueType.BOOL},
    ValueType.U64: {ValueType.U64, ValueType.I64, ValueType.F64, ValueType.STR, ValueType.BOOL},
    ValueType.F32: {ValueType.F32, ValueType.F64, ValueType.STR},
    ValueType.F64: {ValueType.F64, ValueType.STR},
    ValueType.STR: {ValueType.STR},
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one point: what the register says, what the server says."""

    point: str
    node: str
    words: str
    register: str
    server: str


@dataclass(frozen=True, slots=True)
class Extra:
    """A variable of the server that the register does not have."""

    node: str
    path: str
    type: str
    unit: str


@dataclass(slots=True)
class Difference:
    """The result for one device."""

    device: str
    missing: list[Finding] = field(default_factory=list)
    changed: list[Finding] = field(default_factory=list)
    extra: list[Extra] = field(default_factory=list)
    same: int = 0
    complete: bool = True

    @property
    def is_wrong(self) -> bool:
        """True when the register names what is not there, or not like that."""
        return bool(self.missing or self.changed)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return asdict(self) | {"wrong": self.is_wrong}


async def compare(
    register: Register,
    device: Device,
    connection: OpcUa,
    keys: Path | None = None,
    *,
    root: str | None = None,
    depth: int | None = None,
    most: int = NODES_MOST,
    progress: Progress | None = None,
) -> Difference:
    """Look at the server and compare. Errors: `ReadError`."""
    points = register.point_set[device.points or ""].points
    async with session_of(connection, keys) as session:
        browser = Browser(session, progress)
        await browser.learn()
        top = session.resolve(root or OBJECTS)
        if top is None:
            words = f"{session.where}: 服务器没有 {root} 的命名空间, 或写法有误 (no such namespace, or not a node id)"
            raise ReadError(Outcome.DEVICE_FAILURE, words)
        space = await browser.walk(top, depth, most)
        known = await details(browser, space, progress)
        outside = await _outside(browser, session, space, [_node(p, device) for p in points])
    found = Difference(device.id, complete=not space.truncated and not space.problems)
    for point in points:
        _compare_point(found, session, space, known | outside[1], outside[0], point, device)
    others = _registered(register, {str(getattr(device.connection, "endpoint", "")), connection.endpoint}, session)
    found.extra = _extra(space, known, others, _home(session, space, points, device) if root is None else 0)
    return found


def _node(point: Point, device: Device) -> str:
    return (point.node or "").replace("{device}", device.id)


async def _outside(
    browser: Browser, session: Session, space: Space, nodes: list[str]
) -> tuple[dict[NodeKey, int], dict[int, Detail]]:
    """Registered nodes that the walk did not meet (behind its root, or in no folder): looked at one by one."""
    places: dict[NodeKey, int] = {}
    found: dict[int, Detail] = {}
    for text in nodes:
        node_id = session.resolve(text)
        if node_id is None or key_of(node_id) in space.index:
            continue
        (node_class,) = await browser.attributes([(node_id, AttributeIds.NodeClass)])
        if node_class.status >> 31:
            continue
        alone = await browser.walk(node_id, 1)
        read = await details(browser, alone)
        number_of = -1 - len(places)  # beside the indices of the walk
        places[key_of(node_id)] = number_of
        if 0 in read:
            found[number_of] = read[0]
    return places, found


def _compare_point(
    found: Difference,
    session: Session,
    space: Space,
    known: Mapping[int, Detail],
    outside: Mapping[NodeKey, int],
    point: Point,
    device: Device,
) -> None:
    text = _node(point, device)
    node_id = session.resolve(text)
    index = None
    if node_id is not None:
        key = key_of(node_id)
        index = space.index.get(key, outside.get(key))
    if index is None:
        where = "命名空间不存在 (no such namespace)" if node_id is None else "节点不存在 (no such node)"
        found.missing.append(Finding(point.name, text, "服务器上没有了 (gone)", text, where))
        return
    if point.events is not None:
        found.same += 1
        return
    detail = known.get(index)
    if detail is None:
        found.changed.append(Finding(point.name, text, "不再是变量 (not a variable)", point.type, "对象 (object)"))
        return
    problems = _changes(point, detail)
    found.changed += [Finding(point.name, text, words, ours, theirs) for words, ours, theirs in problems]
    found.same += not problems


def _changes(point: Point, detail: Detail) -> list[tuple[str, str, str]]:
    """(what, register, server) for each thing that is not as the register says."""
    changes = []
    if not detail.readable:
        changes.append(("不可读 (not readable)", "", "AccessLevel"))
    scaled = point.scale is not None or point.offset is not None
    if point.element is None:
        declared = ValueType(point.type)
        holds = _HOLDS.get(detail.type, set()) if detail.type is not None else set()
        if scaled and detail.type not in (None, ValueType.STR, ValueType.BOOL):
            holds = set(ValueType)
        if declared not in holds:
            shown = f"{detail.wire}{'[]' if detail.is_array else ''}"
            changes.append(("数据类型装不下 (data type)", point.type, shown))
    if point.unit and detail.unit and point.unit != detail.unit and not scaled:
        changes.append(("单位不同 (unit)", point.unit, detail.unit))
    if not scaled:
        changes += _range_change(point, detail)
    return changes


def _range_change(point: Point, detail: Detail) -> list[tuple[str, str, str]]:
    if detail.low is None or detail.high is None or point.low is None or point.high is None:
        return []
    if _near(point.low, detail.low) and _near(point.high, detail.high):
        return []
    ours = f"{point.low} … {point.high}"
    return [("量程不同 (range)", ours, f"{number(detail.low)} … {number(detail.high)}")]


def _near(ours: Decimal, theirs: float) -> bool:
    return abs(float(ours) - theirs) <= _ROUNDING * max(1.0, abs(theirs))


def _registered(register: Register, endpoints: set[str], session: Session) -> set[NodeKey]:
    """Every node that any device of this server has in the register; `endpoints` are its addresses there and on the command line."""
    found: set[NodeKey] = set()
    for device in register.devices:
        its = device.connection
        if not isinstance(its, OpcUa) or its.endpoint not in endpoints or device.points is None:
            continue
        for point in register.point_set[device.points].points:
            node_id = session.resolve(_node(point, device))
            if node_id is not None:
                found.add(key_of(node_id))
    return found


def _home(session: Session, space: Space, points: tuple[Point, ...], device: Device) -> int:
    """The lowest object that holds all of the device's points; the root of the walk when they have none in common."""
    ways: list[list[int]] = []
    for point in points:
        node_id = session.resolve(_node(point, device))
        index = space.index.get(key_of(node_id)) if node_id is not None else None
        if index is not None:
            ways.append([*space.above(index)][::-1])
    common = ways[0] if ways else [0]
    for way in ways[1:]:
        same = [a for a, b in zip(common, way, strict=False) if a == b]
        common = same or [0]
    return common[-1] if common else 0


def _extra(space: Space, known: Mapping[int, Detail], registered: set[NodeKey], home: int) -> list[Extra]:
    found = []
    for i in (home, *space.below(home)):
        detail, node = known.get(i), space.nodes[i]
        if detail is None or detail.type is None or not detail.readable or node.is_property or node.key in registered:
            continue
        found.append(Extra(space.text(i), "/".join(space.path(i)), detail.wire, detail.unit))
    return found
