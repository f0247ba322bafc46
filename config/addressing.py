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
        return f'Modbus 轮询应为 wide，模板 {points.id!r} 实为 event (expected kind = "wide": no stamp per value)'
    if isinstance(connection, OpcUa) and connection.mode == "subscribe" and points.kind == "wide":
        return f'OPC UA 订阅应为 event，模板 {points.id!r} 实为 wide (expected kind = "event": a stamp per value)'
    if isinstance(connection, Sparkplug) and points.kind == "wide":
        return f'Sparkplug 应为 event，模板 {points.id!r} 实为 wide (expected kind = "event": a stamp per metric)'
    if isinstance(connection, Mqtt) and "{point}" in connection.topic and points.kind == "wide":
        return (
            f"主题含 {{point}} 时应为 event，模板 {points.id!r} 实为 wide "
            '(expected kind = "event": a message per point)'
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
        return f"读块 {name!r} 的测点应在同一寄存器区，实为 {tables} (expected points of one table)"
    first = min(p.address or 0 for p in members)
    last = max((p.address or 0) + words_of(p) for p in members) - 1
    most = connection.max_bits if tables[0] in BIT_TABLES else connection.max_registers
    if last - first + 1 > most:
        return f"读块 {name!r} 一次最多 {most} 个地址，实为 {first}-{last} (expected at most {most} in one request)"
    return _forbidden_problem(connection, tables[0], first, last, f"读块 {name!r}")


def _forbidden_problem(connection: Modbus, table: str, first: int, last: int, what: str) -> str:
    for named, start, end in connection.forbidden_ranges:
        if named == table and first <= end and start <= last:
            return f"{what} {table} {first}-{last} 碰到禁读范围 {named}:{start}-{end} (expected no forbidden address)"
    return ""


def _opcua(connection: OpcUa, point: Point) -> str:
    if point.node is None or not NODE_ID.match(point.node):
        return f"OPC UA 测点应有节点，如 ns=2;s={{device}}.Speed，实为 {point.node!r} (expected node)"
    if connection.backups and re.match("ns=0*[1-9]", point.node):  # the backup's index may be another namespace's
        return f"有备用服务器时节点应写 nsu=urn:x;s=Speed，实为 {point.node!r} (expected nsu= where there are backups)"
    if point.events is not None and (point.type != "str" or connection.mode != "subscribe"):
        return '事件测点应为 str 类型并用订阅 (expected type "str" and mode "subscribe" for events)'
    return ""


def _modbus(connection: Modbus, point: Point) -> str:
    if point.table is None or point.address is None or point.wire is None:
        return "Modbus 测点应填寄存器区、寄存器地址、线上格式，缺了其中的项 (expected table, address and wire)"
    if point.table in BIT_TABLES and point.wire != "bit":
        return f'线圈和离散输入的线上格式应为 bit，{point.table} 里实为 {point.wire!r} (expected wire "bit")'
    if (point.table not in BIT_TABLES and point.wire == "bit") != (point.bit is not None):
        return '寄存器里的 bit 须写位 0-15，其他格式不写 (expected bit exactly for wire "bit")'
    if (point.wire == "str") != (point.length is not None):
        return '线上格式 str 须写寄存器数，其他格式不写 (expected length exactly for wire "str")'
    return _modbus_range(connection, point, point.table, point.address)


def _modbus_range(connection: Modbus, point: Point, table: str, address: int) -> str:
    base, last = connection.address_base, address + words_of(point) - 1
    if not base <= address <= last <= 65535 + base:
        return f"寄存器地址应在 {base}-{65535 + base}，实为 {address}-{last} (expected addresses in that range)"
    if table not in BIT_TABLES and words_of(point) > connection.max_registers:
        return f"一次最多 {connection.max_registers} 个寄存器，实为 {words_of(point)} (expected at most max_registers)"
    return _forbidden_problem(connection, table, address, last, "地址")


def _mqtt(connection: Mqtt, point: Point) -> str:
    if point.path is None and connection.payload != "plain" and "{point}" not in connection.topic:
        return "MQTT 测点应有报文路径，如 $.speed，没有写 (expected path)"
    column = _COLUMN.match(point.path or "") if connection.payload == "csv" else None
    if column is not None and (column[1] or column[2]) not in connection.csv_columns:
        return f"报文路径应为 csv_columns {list(connection.csv_columns)} 之一或 $[2]，实为 {point.path!r} (expected a CSV column)"
    return ""


def _sparkplug(_connection: Sparkplug, point: Point) -> str:
    return "" if point.metric is not None else "Sparkplug 测点应有指标名，如 Axis/X/Load，没有写 (expected metric)"


_CHECKS: dict[type, Callable[[Any, Point], str]] = {
    OpcUa: _opcua,
    Modbus: _modbus,
    Mqtt: _mqtt,
    Sparkplug: _sparkplug,
}
