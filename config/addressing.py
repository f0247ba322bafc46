"""Do a point set and a connection fit: the kind of rows, and the keys each protocol needs to find a point.

In: a `PointSet` and a connection. Out: empty text, or what was expected and what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from config.connections import Modbus, Mqtt, OpcUa, Sparkplug
from config.points import Point, PointSet

NODE_ID = re.compile(r"^((ns=\d+|nsu=[^;]+);)?[isgb]=.+$")
_BIT_TABLES = ("coil", "discrete_input")


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


def _opcua(connection: OpcUa, point: Point) -> str:
    if point.node is None or not NODE_ID.match(point.node):
        return f'expected node such as "ns=2;s={{device}}.Speed" for opcua, found {point.node!r}'
    if point.events is not None and (point.type != "str" or connection.mode != "subscribe"):
        return 'expected type "str" and mode "subscribe" for a point with events'
    return ""


def _modbus(connection: Modbus, point: Point) -> str:
    if point.table is None or point.address is None or point.wire is None:
        return "expected table, address and wire for modbus, found some missing"
    if point.table in _BIT_TABLES and point.wire != "bit":
        return f'expected wire "bit" for coils and discrete inputs, found {point.wire!r} in {point.table}'
    if (point.table not in _BIT_TABLES and point.wire == "bit") != (point.bit is not None):
        return 'expected bit (0-15) exactly for wire "bit" in a register'
    if (point.wire == "str") != (point.length is not None):
        return 'expected length (registers) exactly for wire "str"'
    if not connection.address_base <= point.address <= 65535 + connection.address_base:
        return f"expected an address from {connection.address_base}, found {point.address}"
    return ""


def _mqtt(connection: Mqtt, point: Point) -> str:
    if point.path is None and connection.payload != "plain" and "{point}" not in connection.topic:
        return 'expected path such as "$.speed" for mqtt, found none'
    return ""


def _sparkplug(_connection: Sparkplug, point: Point) -> str:
    return "" if point.metric is not None else 'expected metric such as "Axis/X/Load" for sparkplug, found none'


_CHECKS: dict[type, Callable[[Any, Point], str]] = {
    OpcUa: _opcua,
    Modbus: _modbus,
    Mqtt: _mqtt,
    Sparkplug: _sparkplug,
}
