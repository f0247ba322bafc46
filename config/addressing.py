"""Do a point set and a connection fit: the kind of rows, and the keys each protocol needs to find a point.

In: a `PointSet` and a connection. Out: empty text, or what was expected and what was found; for all points together (`layout_problems`)
one text for each thing wrong. `words_of` says how many registers a Modbus point occupies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from config.connections import Modbus, Mqtt, OpcUa, Sparkplug
from config.points import Point, PointSet

NODE_ID = re.compile(r"^((ns=\d+|nsu=[^;]+);)?[isgb]=.+$")
_COLUMN = re.compile(r"^\$(?:\.([^\s.\[\]]+)|\['([^']+)'\])$")
BIT_TABLES = ("coil", "discrete_input")
_WORDS = {"u32": 2, "i32": 2, "f32": 2, "bcd32": 2, "u64": 4, "i64": 4, "f64": 4, "bcd64": 4}


def kind_problem(points: PointSet, connection: OpcUa | Modbus | Mqtt | Sparkplug) -> str:
    """Empty when the connection can make rows of the point set's kind, else what is expected and what was found."""
    if isinstance(connection, Modbus) and points.kind == "event":
        return f'expected kind = "wide" for Modbus polls (no stamp per value), found "event" in {points.id!r}'
    if isinstance(connection, OpcUa) and connection.mode == "subscribe" and points.kind == "wide":
        return f'expected kind = "event" for an OPC UA subscription (a stamp per value), found "wide" in {points.id!r}'
    if isinstance(connection, Sparkplug) and points.kind == "wide":
        return f'expected kind = "event" for Sparkplug (a stamp per metric), found "wide" in {points.id!r}'
    if isinstance(connection, Mqtt) and "{point}" in connection.topic and points.kind == "wide":
        return (
            f'expected kind = "event" for a topic with {{point}} (a message per point), found "wide" in {points.id!r}'
        )
    return ""


def address_problem(connection: OpcUa | Modbus | Mqtt | Sparkplug, point: Point) -> str:
    """Empty when the connection can find the point, else what is expected and what was found."""
    check: Callable[[Any, Point], str] = _CHECKS[type(connection)]
    return check(connection, point)


def words_of(point: Point) -> int:
    """Registers (in the bit tables: bits) that a Modbus point occupies."""
    return point.length or 1 if point.wire == "str" else _WORDS.get(point.wire or "", 1)


def layout_problems(connection: OpcUa | Modbus | Mqtt | Sparkplug, points: PointSet) -> list[str]:
    """What is wrong with points together, although each of them alone is sound: Modbus blocks that no single request can read."""
    if not isinstance(connection, Modbus):
        return []
    blocks: dict[str, list[Point]] = {}
    for point in points.points:
        if point.block and point.table is not None and point.address is not None:
            blocks.setdefault(point.block, []).append(point)
    return [problem for name, members in blocks.items() if (problem := _block_problem(connection, name, members))]


def _block_problem(connection: Modbus, name: str, members: list[Point]) -> str:
    tables = sorted({str(p.table) for p in members})
    if len(tables) > 1:
        return f"block {name!r}: expected points of one table, found {tables}"
    first = min(p.address or 0 for p in members)
    last = max((p.address or 0) + words_of(p) for p in members) - 1
    most = connection.max_bits if tables[0] in BIT_TABLES else connection.max_registers
    if last - first + 1 > most:
        return f"block {name!r}: expected at most {most} addresses in one request, found {first}-{last}"
    return _forbidden_problem(connection, tables[0], first, last, f"block {name!r}")


def _forbidden_problem(connection: Modbus, table: str, first: int, last: int, what: str) -> str:
    for named, start, end in connection.forbidden_ranges:
        if named == table and first <= end and start <= last:
            return f"{what}: expected no address of forbidden {named}:{start}-{end}, found {table} {first}-{last}"
    return ""


def _opcua(connection: OpcUa, point: Point) -> str:
    if point.node is None or not NODE_ID.match(point.node):
        return f'expected node such as "ns=2;s={{device}}.Speed" for opcua, found {point.node!r}'
    if connection.backups and re.match("ns=0*[1-9]", point.node):  # the backup's index may be another namespace's
        return f'expected node such as "nsu=urn:x;s=Speed" where there are backups, found {point.node!r}'
    if point.events is not None and (point.type != "str" or connection.mode != "subscribe"):
        return 'expected type "str" and mode "subscribe" for a point with events'
    return ""


def _modbus(connection: Modbus, point: Point) -> str:
    if point.table is None or point.address is None or point.wire is None:
        return "expected table, address and wire for modbus, found some missing"
    if point.table in BIT_TABLES and point.wire != "bit":
        return f'expected wire "bit" for coils and discrete inputs, found {point.wire!r} in {point.table}'
    if (point.table not in BIT_TABLES and point.wire == "bit") != (point.bit is not None):
        return 'expected bit (0-15) exactly for wire "bit" in a register'
    if (point.wire == "str") != (point.length is not None):
        return 'expected length (registers) exactly for wire "str"'
    return _modbus_range(connection, point, point.table, point.address)


def _modbus_range(connection: Modbus, point: Point, table: str, address: int) -> str:
    base, last = connection.address_base, address + words_of(point) - 1
    if not base <= address <= last <= 65535 + base:
        return f"expected addresses from {base} to {65535 + base}, found {address}-{last}"
    if table not in BIT_TABLES and words_of(point) > connection.max_registers:
        return f"expected at most max_registers = {connection.max_registers} registers, found {words_of(point)}"
    return _forbidden_problem(connection, table, address, last, "address")


def _mqtt(connection: Mqtt, point: Point) -> str:
    if point.path is None and connection.payload != "plain" and "{point}" not in connection.topic:
        return 'expected path such as "$.speed" for mqtt, found none'
    column = _COLUMN.match(point.path or "") if connection.payload == "csv" else None
    if column is not None and (column[1] or column[2]) not in connection.csv_columns:
        return (
            f"expected one of csv_columns {list(connection.csv_columns)} or a place such as $[2], found {point.path!r}"
        )
    return ""


def _sparkplug(_connection: Sparkplug, point: Point) -> str:
    return "" if point.metric is not None else 'expected metric such as "Axis/X/Load" for sparkplug, found none'


_CHECKS: dict[type, Callable[[Any, Point], str]] = {
    OpcUa: _opcua,
    Modbus: _modbus,
    Mqtt: _mqtt,
    Sparkplug: _sparkplug,
}
