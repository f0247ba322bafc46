"""台账检查: everything that is wrong with a register, in one pass: each row by itself, then ids, links and protocols across rows.

In: the body of a register (TOML's tables, or what the sheets say). Out: `Register`, or every `Finding` with its key path.
A row with a wrong value is looked at again without that value, so that the next mistake in it is found in the same pass; links are
followed from the rows as written, so that a row that is wrong elsewhere is still there to be named.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date
from typing import Any

from pydantic import BaseModel, ValidationError

from config.addressing import address_problem, kind_problem, layout_problems
from config.connections import Modbus, Mqtt, OpcUa, Sparkplug
from config.model import says
from config.plan import EnergyFactor, Interface, Item, Parameter, SceneInstance, System
from config.points import PointSet
from config.register import Closure, Device, Line, Process, Register, Shift
from config.wording import Finding, Loc, findings_of, near

# table -> (model, key that must be its own, empty where there is none)
TABLES: dict[str, tuple[type[BaseModel], str]] = {
    "line": (Line, "id"),
    "process": (Process, "id"),
    "points": (PointSet, "id"),
    "device": (Device, "id"),
    "parameter": (Parameter, "id"),
    "item": (Item, "id"),
    "scene": (SceneInstance, "id"),
    "system": (System, "id"),
    "interface": (Interface, "id"),
    "energy": (EnergyFactor, "medium"),
    "calendar.shifts": (Shift, ""),
    "calendar.closures": (Closure, "id"),
}
# (table, key) -> the table whose id it names
LINKS: dict[tuple[str, str], str] = {
    ("process", "line"): "line",
    ("device", "line"): "line",
    ("device", "process"): "process",
    ("device", "points"): "points",
    ("parameter", "process"): "process",
    ("parameter", "device"): "device",
    ("item", "line"): "line",
    ("item", "device"): "device",
    ("scene", "line"): "line",
    ("interface", "source"): "system",
    ("interface", "target"): "system",
    ("calendar.closures", "lines"): "line",
}
ZH = {
    "line": "产线", "process": "工序", "points": "测点模板", "device": "设备", "parameter": "参数", "item": "数据项", "scene": "场景",
    "system": "系统", "interface": "接口", "energy": "能源介质", "calendar.shifts": "班次", "calendar.closures": "停机",
}  # fmt: skip
_STAND_INS = {"id": "X", "name": "X", "line": "X", "in_service_from": date.min}


def check_register(body: dict[str, Any], unread: frozenset[str] = frozenset()) -> tuple[Register | None, list[Finding]]:
    """The register, or everything that is wrong with it. unread: tables that could not be read; what names their rows may be right."""
    shell, tables = _split(body)
    found = _shell_findings(shell)
    sound: dict[str, dict[int, BaseModel]] = {}
    for table, rows in tables.items():
        model = TABLES[table][0]
        sound[table] = {}
        for i, row in enumerate(rows):
            try:
                sound[table][i] = model.model_validate(row)
            except ValidationError as err:
                found += _row_findings(model, row, (*table.split("."), i), err, sound[table])
    wrong = {f.loc for f in found}
    found += [f for f in _across(tables, sound, unread) if f.loc not in wrong]
    if found:
        return None, found
    return Register.model_validate(body), []


def _split(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What is not rows of a table, and the rows of each table that is a list."""
    shell, tables = dict(body), {}
    calendar = body.get("calendar")
    if isinstance(calendar, dict):
        shell["calendar"] = dict(calendar)
    for table in TABLES:
        *above, key = table.split(".")
        place = shell.get(above[0]) if above else shell
        if isinstance(place, dict) and isinstance(place.get(key), list | tuple):
            tables[table] = list(place.pop(key))
    return shell, tables


def _shell_findings(shell: dict[str, Any]) -> list[Finding]:
    try:
        Register.model_validate(shell)
    except ValidationError as err:
        return findings_of(Register, err.errors())
    return []


def _row_findings(
    model: type[BaseModel], row: Any, before: Loc, err: ValidationError, sound: dict[int, BaseModel]
) -> list[Finding]:
    """What is wrong with one row: looked at again without each wrong value, until nothing new is found."""
    found: list[Finding] = []
    left = copy.deepcopy(row)
    for _ in range(6):
        new = [f for f in findings_of(model, _own(err.errors()), before) if not _known(f, found)]
        found += new
        if not new or not isinstance(left, dict) or not all(_taken_out(left, f.loc[len(before) :]) for f in new):
            break
        try:
            sound[int(before[-1])] = model.model_validate(left)
            break
        except ValidationError as again:
            err = again
    return found


def _own(errors: list[Any]) -> list[Any]:
    """Without the emptiness of a list whose members are wrong themselves."""
    paths = [e["loc"] for e in errors]
    return [
        e
        for e in errors
        if e["type"] != "too_short" or not any(len(p) > len(e["loc"]) and p[: len(e["loc"])] == e["loc"] for p in paths)
    ]


def _known(finding: Finding, found: list[Finding]) -> bool:
    return any(finding.loc[: len(f.loc)] == f.loc or f.loc[: len(finding.loc)] == finding.loc for f in found)


def _taken_out(row: dict[str, Any], path: Loc) -> bool:
    """Remove the value at `path`, or put a stand-in where one is needed; False when the row cannot do without."""
    place: Any = row
    for part in path[:-1]:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            return False
    if not path or not isinstance(place, dict):
        return False
    key = path[-1]
    place.pop(key, None)
    if key in _STAND_INS and len(path) == 1:
        place[key] = _STAND_INS[str(key)]
    if path in {("connection",), ("points",)}:
        row.pop("points", None)
        row.pop("connection", None)
    return True


def _across(
    tables: dict[str, list[Any]], sound: dict[str, dict[int, BaseModel]], unread: frozenset[str]
) -> Iterator[Finding]:
    yield from _duplicates(tables)
    ids = {table: _ids(table, rows) for table, rows in tables.items()}
    for (table, key), target in LINKS.items():
        if target in unread:
            continue
        known = ids.get(target, {})
        for i, row in enumerate(tables.get(table, [])):
            if isinstance(row, dict):
                yield from _link_findings((*table.split("."), i, key), row.get(key), target, known)
    yield from _routes(tables)
    points = {p.id: p for p in sound.get("points", {}).values() if isinstance(p, PointSet)}
    devices = {i: d for i, d in sound.get("device", {}).items() if isinstance(d, Device)}
    for i, device in devices.items():
        yield from _controller_findings(i, device)
        yield from _protocol_findings(i, device, points.get(device.points or ""))
    yield from _point_links(tables, {d.id: d for d in devices.values()}, points)
    yield from _shared_points(tables)


def _ids(table: str, rows: list[Any]) -> dict[str, int]:
    key = TABLES[table][1]
    found: dict[str, int] = {}
    for i, row in enumerate(rows):
        if isinstance(row, dict) and isinstance(row.get(key), str):
            found.setdefault(row[key], i)
    return found


def _duplicates(tables: dict[str, list[Any]]) -> Iterator[Finding]:
    for table, rows in tables.items():
        key = TABLES[table][1]
        first = _ids(table, rows)
        for i, row in enumerate(rows):
            name = row.get(key) if isinstance(row, dict) else None
            if isinstance(name, str) and first[name] != i:
                there: Loc = (*table.split("."), first[name], key)
                yield Finding(
                    (*table.split("."), i, key),
                    f"{ZH[table]} {name!r} 与 {{there}} 重复 (expected an id of its own)",
                    "改号或删去其中一条 (rename or remove one)",
                    there=there,
                )


def _link_findings(loc: Loc, value: Any, target: str, known: dict[str, int]) -> Iterator[Finding]:
    for name in value if isinstance(value, list | tuple) else (value,):
        if isinstance(name, str) and name not in known:
            yield Finding(
                loc,
                f"没有 {ZH[target]} {name!r} (expected one of the {target} ids{_some(known)})",
                near(name, list(known)) or f"先登记这个{ZH[target]}，或改正编号 (add it, or correct the id)",
            )


def _some(known: dict[str, int]) -> str:
    names = sorted(known)[:5]
    more = f" … {len(known)} 个" if len(known) > 5 else ""
    return f": {', '.join(names)}{more}" if names else ", found none at all"


def _routes(tables: dict[str, list[Any]]) -> Iterator[Finding]:
    """A device's process belongs to the device's line."""
    rows = [p for p in tables.get("process", []) if isinstance(p, dict)]
    lines = {p.get("id"): p.get("line") for p in rows if isinstance(p.get("id"), str)}
    known = _ids("line", tables.get("line", []))
    for i, device in enumerate(tables.get("device", [])):
        name = device.get("process") if isinstance(device, dict) else None
        if (
            isinstance(name, str)
            and name in lines
            and lines[name] != device.get("line")
            and device.get("line") in known
        ):
            yield Finding(
                ("device", i, "process"),
                f"工序 {name!r} 属于产线 {lines[name]!r}，设备却在产线 {device.get('line')!r} "
                "(expected a process of the device's line)",
                "改设备的产线或工序 (correct line or process)",
            )


def _controller_findings(i: int, device: Device) -> Iterator[Finding]:
    """The controller is the proof on paper of 数控 (M05): a dash or 无 is no make and model."""
    if device.nc and device.controller and not says(device.controller):
        yield Finding(
            ("device", i, "controller"),
            f"控制系统应为厂家和型号，或留空，实为 {device.controller!r} (expected make and model, or nothing)",
            "没有控制器就留空 (leave it empty)",
        )


def _protocol_findings(i: int, device: Device, points: PointSet | None) -> Iterator[Finding]:
    """What the connection cannot find or read of the device's points."""
    if points is None or device.connection is None:
        return
    for text, fix in _unfit(points, device.connection):
        yield Finding(("device", i, "points"), text, fix)


def _unfit(points: PointSet, connection: OpcUa | Modbus | Mqtt | Sparkplug) -> Iterator[tuple[str, str]]:
    text = kind_problem(points, connection)
    if text:
        yield text, "改测点模板的存储方式 kind，或改连接方式 (change kind or the connection)"
    for point in points.points:
        text = address_problem(connection, point)
        if text:
            yield f"测点模板 {points.id!r} 的测点 {point.name!r}: {text}", ""
    for text in layout_problems(connection, points):
        yield f"测点模板 {points.id!r}: {text}", ""


def _point_links(
    tables: dict[str, list[Any]], devices: dict[str, Device], points: dict[str, PointSet]
) -> Iterator[Finding]:
    """The point of a parameter or an item is one of its device's; a parameter's is marked 关键工艺参数."""
    for table in ("parameter", "item"):
        for i, row in enumerate(tables.get(table, [])):
            name = row.get("point") if isinstance(row, dict) else None
            device = devices.get(str(row.get("device"))) if isinstance(name, str) else None
            if device is None:
                continue
            members = {p.name: p for p in points[device.points].points} if device.points in points else {}
            if device.points is not None and device.points not in points:
                continue  # the point set itself is wrong, and said so
            if name not in members:
                yield Finding(
                    (table, i, "point"),
                    f"设备 {device.id!r} 没有测点 {name!r} (expected a point of the device)",
                    near(name, list(members)) or "先在测点模板里加上它 (add it to the point set)",
                )
            elif table == "parameter" and not members[str(name)].key_parameter:
                yield Finding(
                    (table, i, "point"),
                    f"测点 {name!r} 没有标为关键工艺参数 (expected a point with key_parameter = true)",
                    f"在测点模板 {device.points} 里给 {name} 标上关键工艺参数 (mark it)",
                )


def _shared_points(tables: dict[str, list[Any]]) -> Iterator[Finding]:
    """Two parameters of one process cannot be the same point: one measured value would stand for many (M07)."""
    first: dict[tuple[Any, ...], int] = {}
    for i, row in enumerate(tables.get("parameter", [])):
        key = tuple(row.get(k) for k in ("process", "device", "point")) if isinstance(row, dict) else ()
        if not key or not all(isinstance(x, str) for x in key):
            continue
        if first.setdefault(key, i) != i:
            yield Finding(
                ("parameter", i, "point"),
                f"工序 {key[0]!r} 的另一个参数 {{there}} 已用测点 {key[1]}/{key[2]} (expected a point of its own)",
                "填它自己的测点；没有测点就留空 (name its own point, or leave it empty)",
                there=("parameter", first[key], "point"),
            )
