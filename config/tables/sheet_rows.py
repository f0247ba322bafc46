"""逐行读表: the rows of one sheet into the register's body: each cell by its column, points under their set, connections as tables.

In: an `OpenSheet` and the `Reading` it belongs to. Out: rows in the body, the cell of each value, corrections. A cell that cannot be
read is a problem and left out of its row.
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

from config.errors import Problem
from config.tables.cells import CellError, Read, read_cell, shown
from config.tables.columns import Column, half
from config.tables.connection_columns import connection_of
from config.tables.corrections import Correction
from config.tables.reading import OpenSheet, Reading
from config.tables.register_sheets import CALENDAR, DEVICE, POINTS
from config.tables.workbook import RawSheet
from config.wording import Loc

Row = dict[str, Any]


def read_sheet(reading: Reading, sheet: OpenSheet) -> None:
    """Every row under the header into the body of `reading`."""
    if sheet.header.row < 0:
        return
    seen: dict[tuple[int, type, Any], Read | CellError] = {}
    rows: list[tuple[int, Row]] = []
    for number in range(sheet.header.row + 1, len(sheet.raw.rows)):
        cells = _read_row(reading, sheet, number, seen)
        if cells:
            rows.append((number, cells))
            if number in sheet.raw.hidden_rows:
                note = "隐藏的行，也已读取 (a hidden row, read as well)"
                reading.corrections.append(
                    Correction(sheet.file, sheet.where(number, 0), f"第 {number + 1} 行", "", note)
                )
    if sheet.spec is POINTS:
        _take_points(reading, sheet, rows)
    elif sheet.spec is CALENDAR:
        _take_calendar(reading, sheet, rows)
    else:
        _take_rows(reading, sheet, rows)


def _read_row(
    reading: Reading, sheet: OpenSheet, number: int, seen: dict[tuple[int, type, Any], Read | CellError]
) -> Row:
    """Cells by column key: (value, column position); a cell that cannot be read is a problem and has the value None."""
    row, found = sheet.raw.rows[number], {}
    for i, column in sheet.header.columns.items():
        raw = row[i] if i < len(row) else ""
        if raw == "" or (isinstance(raw, str) and not raw.strip()):
            if (number, i) in sheet.raw.errors or (number, i) in sheet.raw.empty_formulas:
                err = _hidden_error(sheet.raw, number, i)
                reading.refuse(sheet, number, i, err.message, err.fix)
                found[column.key] = (None, i)
            continue
        key = (i, type(raw), raw)
        read = seen.get(key)
        if read is None:
            read = seen[key] = _attempt(raw, column, reading.tz)
        if isinstance(read, CellError):
            reading.refuse(sheet, number, i, read.message, read.fix)
            found[column.key] = (None, i)
            continue
        note = "合并单元格，取自上方 (merged with the cell above)" if (number, i) in sheet.raw.merged else read.note
        if note:
            taken = _as_text(read.value, column)
            reading.corrections.append(Correction(sheet.file, sheet.where(number, i), shown(raw), taken, note))
        found[column.key] = (read.value, i)
    return {} if all((number, i) in sheet.raw.merged for _, i in found.values()) else found


def _attempt(raw: Any, column: Column, tz: timezone) -> Read | CellError:
    try:
        return read_cell(raw, column, tz)
    except CellError as err:
        return err


def _hidden_error(raw: RawSheet, row: int, column: int) -> CellError:
    error = raw.errors.get((row, column))
    if error is not None:
        return CellError(f"单元格是错误值 {error} (an error value)", "改正公式，或直接填写数值 (correct the formula)")
    return CellError(
        "公式没有计算结果 (a formula without a result)",
        "用 Excel 打开并保存一次，或改为数值 (open and save it in Excel)",
    )


def _as_text(value: Any, column: Column) -> str:
    if isinstance(value, bool):
        return "是" if value else "否"
    if column.words:
        return next((w[1] for w in column.words if w[0] == value), str(value))
    if isinstance(value, tuple):
        return "、".join(value)
    return shown(value)


def _take_rows(reading: Reading, sheet: OpenSheet, rows: list[tuple[int, Row]]) -> None:
    path = tuple(sheet.spec.table.split("."))
    table: list[Row] = []
    for number, cells in rows:
        loc: Loc = (*path, len(table))
        row: Row = {}
        reading.place(sheet, loc, number, min(i for _, i in cells.values()))
        for key, (value, i) in cells.items():
            reading.place(sheet, (*loc, *key.split(".")), number, i)
            if value is None:
                reading.unread.add((*loc, *key.split(".")))
            elif "." not in key:
                row[key] = value
        if sheet.spec is DEVICE:
            _take_connection(reading, sheet, loc, number, cells, row)
        table.append(row)
    place = reading.body
    for part in path[:-1]:
        place = place.setdefault(part, {})
    place[path[-1]] = table


def _take_connection(reading: Reading, sheet: OpenSheet, loc: Loc, number: int, cells: Row, row: Row) -> None:
    given = {k.removeprefix("connection."): v for k, v in cells.items() if k.startswith("connection.")}
    if not given:
        return
    for key, (_, i) in given.items():
        names = {"address": ("endpoint", "broker", "host", "serial")}.get(key, (key,))
        for name in names:
            reading.place(sheet, (*loc, "connection", name), number, i)
    first = min(i for _, i in given.values())
    reading.place(sheet, (*loc, "connection"), number, given.get("protocol", (None, first))[1])
    if "protocol" not in given:
        message = "协议：必填，没有写；这一行填了别的连接参数 (expected a protocol, found none)"
        reading.problems.append(
            Problem(sheet.file, sheet.where(number, first), message, "填协议，或清空这些格 (choose one)")
        )
    unread = [k for k, (v, _) in given.items() if v is None]
    if "protocol" not in given or "protocol" in unread:
        reading.unread |= {(*loc, "points"), (*loc, "connection")}
        return
    i = given["protocol"][1]
    values = {k: v for k, (v, _) in given.items() if v is not None}
    row["connection"], notes = connection_of(values, sheet.raw.rows[number][i])
    if "address" in given:
        at = sheet.where(number, given["address"][1])
        found = shown(given["address"][0])
        reading.corrections += [Correction(sheet.file, at, found, "", n) for n in notes]
    if "other" in given:
        for key in given["other"][0] or {}:
            if key in given and key != "other":
                message = f"其他参数：{key} 已有自己的一列 (the key has a column of its own)"
                at = sheet.where(number, given["other"][1])
                reading.problems.append(Problem(sheet.file, at, message, "只写一处 (write it once)"))
            reading.place(sheet, (*loc, "connection", key), number, given["other"][1])


def _take_points(reading: Reading, sheet: OpenSheet, rows: list[tuple[int, Row]]) -> None:
    """Rows of points under their set; what belongs to the set may stand in any of its rows, but only one way."""
    sets: dict[str, Row] = {}
    order: dict[str, int] = {}
    for number, cells in rows:
        name, at = cells.get("set.id", (None, min(i for _, i in cells.values())))
        if name is None:
            if "set.id" not in cells and any(c.key == "set.id" for c in sheet.header.columns.values()):
                message = "测点模板：必填，没有写 (expected a point set, found none)"
                reading.problems.append(Problem(sheet.file, sheet.where(number, at), message, "填模板编号 (name it)"))
            continue
        if name not in sets:
            sets[name], order[name] = {"id": name, "point": []}, len(sets)
            reading.place(sheet, ("points", order[name]), number, at)
            reading.place(sheet, ("points", order[name], "id"), number, at)
        _take_point(reading, sheet, number, cells, sets[name], order[name])
    reading.body["points"] = list(sets.values())


def _take_point(reading: Reading, sheet: OpenSheet, number: int, cells: Row, points: Row, index: int) -> None:
    loc: Loc = ("points", index, "point", len(points["point"]))
    point: Row = {}
    for key, (value, i) in cells.items():
        if key == "set.id":
            continue
        name = key.removeprefix("set.")
        at: Loc = ("points", index, name) if name != key else (*loc, name)
        if value is None:
            reading.unread.add(at)
        elif name == key:
            point[name] = value
        elif points.get(name, value) != value:
            message = f"{sheet.header.columns[i].zh}：与同一模板前面的行不同 (differs within the point set)"
            reading.problems.append(
                Problem(sheet.file, sheet.where(number, i), message, "模板内只写一次 (write it once)")
            )
        else:
            points[name] = value
        if at not in reading.places:
            reading.place(sheet, at, number, i)
    reading.place(sheet, loc, number, min(i for _, i in cells.values()))
    points["point"].append(point)


def _take_calendar(reading: Reading, sheet: OpenSheet, rows: list[tuple[int, Row]]) -> None:
    for number, cells in rows:
        value, i = cells["utc_offset"]
        if value is None:
            continue
        if "utc_offset" in reading.body.get("calendar", {}):
            message = "时区：只能写一行 (expected one row)"
            reading.problems.append(Problem(sheet.file, sheet.where(number, i), message, "删去多余的行 (remove it)"))
            continue
        text = _offset(str(value))
        if text != value:
            where = sheet.where(number, i)
            reading.corrections.append(Correction(sheet.file, where, str(value), text, "时区写法 (another spelling)"))
        reading.body.setdefault("calendar", {})["utc_offset"] = text
        reading.place(sheet, ("calendar", "utc_offset"), number, i)
        if text[:1] in "+-" and text[1:3].isdigit() and int(text[1:3]) <= 14:
            reading.tz = timezone(timedelta(hours=int(text[:3])))


def _offset(text: str) -> str:
    found = half(text).strip().upper().removeprefix("UTC").removeprefix("GMT").strip()
    sign = found[:1] if found[:1] in "+-" else "+"
    hours, _, minutes = found.lstrip("+-").partition(":")
    return f"{sign}{int(hours):02}:{minutes or '00'}" if hours.isdigit() and len(hours) < 3 else text
