"""A proposal as text for review: `[[points]]` and `[[device]]` tables of a register (docs/format/register.md), with comments that say why.

In: the sheets of a `Proposal`. Out: TOML. Above each point: its path, what the server calls it, its type, its value now, range, history.
The text loads as it stands once the lines and dates marked 改 are filled in; everything a machine cannot know is marked so.
Engineering ranges become `low` and `high`, unless the value now lies outside: then the range is wrong and stays a comment.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from adapters.batch import ValueType
from adapters.opcua.browsing.details import Detail
from adapters.opcua.browsing.proposal import ProposedPoint, Sheet, Skeleton, type_of
from adapters.opcua.browsing.space import Space
from adapters.opcua.said import plain

_COMMENT = 112  # columns of a comment line: a terminal of 120 does not break it
_NUMBERS = (ValueType.I64, ValueType.U64, ValueType.F32, ValueType.F64)


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands at the top: where it came from, and the connection the devices get."""

    endpoint: str
    server: str
    when: date
    kind: str  # "event" (subscription) or "wide" (polls)
    connection: Mapping[str, str | int | bool | Sequence[str]]
    words: tuple[str, ...] = ()


def point_list(space: Space, known: Mapping[int, Detail], sheets: list[Sheet], heading: Heading) -> str:
    """The whole text."""
    lines = [
        f"# {_comment(heading.endpoint)} 的测点建议, {heading.when.isoformat()} 浏览所得 (proposed by plantproof opcua browse)",
        *([f"# 服务器 {_comment(heading.server)}"] if heading.server else []),
        *(f"# {_comment(w)}" for w in heading.words),
        "# 请逐项核对: 删去不采的测点, 改 name、role, 给关键工艺参数加 key_parameter = true, 填好标有 改 的各项, 再并入台账.",
        "# low 与 high 是服务器给的量程 (EURange), 超出即记为坏值; 不需要就删去.",
    ]
    for sheet in sheets:
        lines += ["", *_sheet(space, known, sheet, heading.kind)]
    for sheet in sheets:
        for device in sheet.devices:
            lines += ["", *_device(device, sheet, heading)]
    return "\n".join(lines) + "\n"


def _sheet(space: Space, known: Mapping[int, Detail], sheet: Sheet, kind: str) -> Iterable[str]:
    machine = sheet.subject.machine
    shared = (
        f"{len(sheet.devices)} 台设备共用"
        if len(sheet.devices) > 1
        else "1 台设备"
        if sheet.devices
        else "不属于哪台设备"
    )
    yield f"# {'─' * 16} {sheet.id}: {len(sheet.points)} 个测点, {shared} {'─' * 16}"
    if machine is not None:
        yield f"# 识别到 {machine.model}, 依据类型定义, 角色已标好 (recognised by type definition)"
    for note in sheet.notes:
        yield f"# 注意: {_comment(note)}"
    yield "[[points]]"
    yield f"id = {quoted(sheet.id)}"
    yield f"kind = {quoted(kind)}"
    has_state = any(p.candidate.role is not None and p.candidate.role.role == "state" for p in sheet.points)
    if sheet.state_map and has_state:
        yield "state_map = { " + ", ".join(f"{quoted(k)} = {quoted(v)}" for k, v in sheet.state_map.items()) + " }"
    for point in sheet.points:
        role = point.candidate.role
        if role is not None and role.events and kind != "event":
            yield ""
            yield f'# 报警 {_comment(point.node)} 须用订阅 (kind = "event") 才能采集 (events need a subscription)'
            continue
        yield ""
        yield from _point(space, known.get(point.candidate.node), point)


def _point(space: Space, detail: Detail | None, point: ProposedPoint) -> Iterable[str]:
    role = point.candidate.role
    node = space.nodes[point.candidate.node]
    path = "/".join(space.path(point.candidate.node))
    yield f"# {_comment(path)}"
    words = [node.display] if node.display and node.display != node.name.text else []
    if role is not None and role.events:
        words.append("事件通知 (event notifier)")
    elif detail is not None:
        words += _facts(detail)
    if words:
        yield f"# {_comment(' · '.join(words))}"
    if detail is not None and detail.description:
        yield f"# 说明: {_comment(detail.description)}"
    if role is not None:
        why = role.why.partition(":")[0] if detail is not None and detail.labels else role.why
        yield f"# {_comment(why)}"
    if role is not None and role.role == "program":
        yield "# 以程序号证明数控运行时, 加 key_parameter = true (to count as proof of NC operation)"
    if role is not None and role.role == "auto":
        shift = f"加 offset 后 {1 - role.offset} 成为 1; " if role.offset else ""
        yield f"# 只有自动方式算自动: {shift}文本 1 或 Automatic 为自动 (only the automatic mode counts)"
    kind = type_of(detail, role)
    yield "[[points.point]]"
    yield f"name = {quoted(point.name)}"
    yield f"type = {quoted(kind)}"
    if detail is not None and detail.unit and kind in _NUMBERS:
        yield f"unit = {quoted(detail.unit)}"
    if role is not None and role.role != "process":
        yield f"role = {quoted(role.role)}"
    if role is not None and role.events:
        yield 'events = "conditions"'
    if role is not None and role.offset:
        yield f'offset = "{role.offset}"'
    if detail is not None and kind in _NUMBERS and not detail.is_array:
        yield from _range(detail)
    yield f"node = {quoted(point.node)}"


def _facts(detail: Detail) -> list[str]:
    """Type, value now, range, values of an enumeration, history: what helps to decide."""
    shape = ' 数组, 可用 element = "$[0]" 取一个' if detail.is_array else ""
    shape = shape or (" 结构, 可用 element 取一个字段" if detail.is_structure else "")
    words = [f"{detail.wire}{shape}"]
    if detail.status >> 31:
        words.append(f"当前质量为坏 0x{detail.status:08X} (Bad now)")
    elif not detail.is_array and not detail.is_structure:
        words.append(f"当前 {detail.text or '空'} {detail.unit_symbol}".rstrip())
    if detail.unit_symbol and not detail.unit:
        words.append(f"单位 {detail.unit_symbol} 不识别, 请填 unit (unknown unit)")
    if detail.labels:
        words.append(", ".join(f"{n} {label}" for n, label in detail.labels))
    if detail.historizing:
        words.append("服务器有历史 (has history)")
    return words


def _range(detail: Detail) -> Iterable[str]:
    if detail.low is None or detail.high is None:
        return
    low, high, value = number(detail.low), number(detail.high), detail.value
    if isinstance(value, int | float) and not detail.status >> 31 and not detail.low <= value <= detail.high:
        yield f"# 服务器量程 {low} … {high} 不含当前值, 未采用 (the range does not hold the value now)"
    else:
        yield f'low = "{low}"'
        yield f'high = "{high}"'


def _device(device: Skeleton, sheet: Sheet, heading: Heading) -> Iterable[str]:
    yield "[[device]]"
    shared = any("{device}" in p.node for p in sheet.points)
    yield f"id = {quoted(device.id)}" + ("  # 节点编号里的 {device} 就是它 (stands for {device})" if shared else "")
    yield f"name = {quoted(plain(device.name, 100) or device.id)}"
    yield 'line = "L1"  # 改: 产线编号 (line id)'
    if device.maker:
        yield f"maker = {quoted(plain(device.maker, 100))}"
    if device.model:
        yield f"model = {quoted(plain(device.model, 100))}"
    if device.serial:
        yield f"# 出厂编号 SerialNumber: {_comment(device.serial)}"
    yield f"in_service_from = {heading.when.isoformat()}  # 改: 投用日期 (in service since)"
    yield f"points = {quoted(sheet.id)}"
    yield "connection = { " + ", ".join(f"{k} = {_toml(v)}" for k, v in heading.connection.items()) + " }"


def _toml(value: str | int | bool | Sequence[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value) if isinstance(value, int) else quoted(value)
    return "[" + ", ".join(quoted(v) for v in value) + "]"


def quoted(text: str) -> str:
    """A TOML basic string: quotes and backslashes escaped, and what cannot be printed: a mark that turns the reading direction
    would show the reviewer another text than the one that is there. A lone surrogate, which TOML has not, becomes U+FFFD."""
    out = []
    for c in text:
        if c in '"\\':
            out.append("\\" + c)
        elif c.isprintable():
            out.append(c)
        elif "\ud800" <= c <= "\udfff":
            out.append("\\uFFFD")
        else:
            out.append(f"\\u{ord(c):04X}" if ord(c) < 0x10000 else f"\\U{ord(c):08X}")
    return '"' + "".join(out) + '"'


def number(value: float) -> str:
    """A number as the register writes it: no exponent, no zeros behind."""
    return format(Decimal(repr(value)).normalize(), "f")


def _comment(text: str) -> str:
    """One line of at most `_COMMENT` columns; a Chinese character takes two."""
    line, columns = plain(text), 0
    for i, c in enumerate(line):
        columns += 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if columns > _COMMENT:
            return line[:i] + "…"
    return line
