"""各表合成台账: the sheets of a workbook as one register, each value with its cell, so that every message names the place.

In: `RawSheet`s. Out: `Parsed`. What can be read (`sheet_rows.py`) is checked like a TOML register (`config/register_check.py`), and its
findings are brought back from key paths to cells. Links may name an id or the one name that fits. A single CSV is the sheet 设备:
the other tables come from the register in force, or lines and processes are made from what the devices name.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

from config.errors import Problem
from config.register import FORMAT, Register
from config.register_check import check_register
from config.tables.columns import Column, Sheet, plain
from config.tables.corrections import Correction, Parsed
from config.tables.headers import Header, find_header
from config.tables.reading import OpenSheet, Reading
from config.tables.register_sheets import CALENDAR, DEVICE, GUIDE, RESULT, SHEETS
from config.tables.sheet_rows import read_sheet
from config.tables.workbook import RawSheet
from config.wording import Finding, key_path, near, told

Row = dict[str, Any]


def parse_sheets(raws: list[RawSheet], file: str, base: Register | None = None) -> Parsed:
    """Every sheet that is one of the register's, as a register."""
    collecting = gc.isenabled()
    gc.disable()  # 5,000 rows are 100,000 small objects that all stay until the end; looking at them again takes a third of the time
    try:
        return _parsed(raws, file, base)
    finally:
        if collecting:
            gc.enable()


def _parsed(raws: list[RawSheet], file: str, base: Register | None) -> Parsed:
    reading = Reading(file)
    single = len(raws) == 1 and not raws[0].file and not file.lower().endswith((".xlsx", ".xlsm"))
    sheets = _single(reading, raws[0]) if single else _known(reading, raws)
    for sheet in sorted(sheets, key=lambda s: s.spec is not CALENDAR):  # the zone is needed to read times
        read_sheet(reading, sheet)
    _rename_links(reading)
    if single:
        _complete(reading, base)
    reading.body["format"] = FORMAT
    register, findings = check_register(reading.body, _unread(reading))
    reading.problems += [p for f in findings if (p := _problem(reading, f)) is not None]
    problems = tuple(sorted(reading.problems, key=_order(sheets)))
    return Parsed(None if problems else register, problems, tuple(reading.corrections))


def _known(reading: Reading, raws: list[RawSheet]) -> list[OpenSheet]:
    by_name = {plain(n): s for s in SHEETS for n in (s.zh, *s.also)}
    found: dict[str, OpenSheet] = {}
    for raw in raws:
        spec = by_name.get(plain(raw.name))
        file = raw.file or reading.file
        if spec is None:
            _unknown_sheet(reading, raw, file, sorted(by_name))
        elif spec.table in found and any(any(str(c).strip() for c in r) for r in raw.rows):
            message = f"{raw.name} 与 {found[spec.table].raw.name} 同是 {spec.zh} 表 (a sheet given twice)"
            reading.problems.append(Problem(file, raw.name, message, "只留一张 (keep one)"))
        elif spec.table not in found:
            found[spec.table] = _opened(reading, spec, raw, file)
    if "device" not in found:
        names = "、".join(r.name for r in raws)
        message = f"没有 设备 表，有的是 {names} (no sheet of devices)"
        reading.problems.append(Problem(reading.file, "", message, "加一张名为 设备 的工作表 (name one 设备)"))
    return list(found.values())


def _single(reading: Reading, raw: RawSheet) -> list[OpenSheet]:
    raw.name, raw.file = DEVICE.zh, reading.file
    return [_opened(reading, DEVICE, raw, reading.file)]


def _unknown_sheet(reading: Reading, raw: RawSheet, file: str, known: list[str]) -> None:
    if raw.name in (GUIDE, RESULT) or not raw.rows:
        return
    hint = near(plain(raw.name), known)
    if hint:
        reading.problems.append(Problem(file, raw.name, "没有这张表 (unknown sheet)", hint))
    else:
        reading.corrections.append(
            Correction(file, raw.name, raw.name, "", "不认识的工作表，未读取 (unknown sheet, not read)")
        )


def _opened(reading: Reading, spec: Sheet, raw: RawSheet, file: str) -> OpenSheet:
    filled = any(str(c).strip() for r in raw.rows for c in r)
    header = find_header(raw.rows, spec) if filled else Header(-1, {}, ())
    sheet = OpenSheet(spec, raw, header, file)
    reading.columns[spec.table] = sheet
    for remark in header.remarks:
        where = sheet.where(remark.row, remark.column)
        if remark.wrong:
            reading.problems.append(Problem(file, where, remark.message, remark.fix))
        else:
            reading.corrections.append(Correction(file, where, remark.found, remark.taken, remark.message))
    notes = [*raw.notes, *(["隐藏的工作表，也已读取 (a hidden sheet, read as well)"] if raw.hidden else [])]
    reading.corrections += [Correction(file, raw.name if not raw.file else "", raw.name, "", n) for n in notes]
    return sheet


def _rename_links(reading: Reading) -> None:
    """A link that names no id but exactly one name: taken as that id, and listed."""
    ids: dict[str, tuple[set[str], dict[str, list[str]]]] = {}
    for spec in SHEETS:
        sheet = reading.columns.get(spec.table)
        if sheet is None:
            continue
        for column in spec.columns:
            if (
                not column.link
                or column.link == "points"
                or not any(c is column for c in sheet.header.columns.values())
            ):
                continue
            if column.link not in ids:
                ids[column.link] = _names(reading.body.get(column.link, []))
            _rename(reading, spec.table, column, *ids[column.link])


def _names(rows: Iterable[Row]) -> tuple[set[str], dict[str, list[str]]]:
    ids, names = set(), dict[str, list[str]]()
    for row in rows:
        if "id" in row:
            ids.add(row["id"])
            names.setdefault(plain(str(row.get("name", ""))), []).append(row["id"])
    return ids, names


def _rename(reading: Reading, table: str, column: Column, ids: set[str], names: dict[str, list[str]]) -> None:
    path = tuple(table.split("."))
    rows: Any = reading.body
    for part in path:
        rows = rows.get(part, {})
    for i, row in enumerate(rows):
        value = row.get(column.key)
        for name in value if isinstance(value, tuple) else (value,):
            meant = names.get(plain(name), []) if isinstance(name, str) and name not in ids else []
            if len(meant) != 1:
                continue
            row[column.key] = (
                tuple(meant[0] if v == name else v for v in value) if isinstance(value, tuple) else meant[0]
            )
            value = row[column.key]
            sheet, number, at = reading.places[(*path, i, column.key)]
            where = sheet.where(number, at)
            reading.corrections.append(
                Correction(sheet.file, where, name, meant[0], "名称按编号读取 (a name taken as its id)")
            )


def _complete(reading: Reading, base: Register | None) -> None:
    """A single CSV holds devices only: the rest from the register in force, or lines and processes as the devices name them."""
    if base is not None:
        body = base.model_dump(mode="python", by_alias=True, exclude_defaults=True)
        reading.body = {**body, "device": reading.body.get("device", [])}
        for key in ("line", "process"):
            names = _names(reading.body.get(key, []))
            column = DEVICE.column[key]
            if any(c is column for c in reading.columns["device"].header.columns.values()):
                _rename(reading, "device", column, *names)
        return
    lines: dict[str, Row] = {}
    processes: dict[str, Row] = {}
    for row in reading.body.get("device", []):
        line, process = row.get("line"), row.get("process")
        if line is not None:
            lines.setdefault(line, {"id": line, "name": line})
        if line is not None and process is not None:
            processes.setdefault(process, {"id": process, "name": process, "line": line})
    note = "单个 CSV 只有设备：按编号新建 (made from what the devices name)"
    made = [("产线", lines), ("工序", processes)]
    reading.corrections += [Correction(reading.file, "", f"{zh} {name}", name, note) for zh, d in made for name in d]
    reading.body |= {"line": list(lines.values()), "process": list(processes.values())}


def _unread(reading: Reading) -> frozenset[str]:
    """Tables whose sheet has content but no usable header, or lacks the column of its ids."""
    return frozenset(
        table
        for table, sheet in reading.columns.items()
        if any(r.wrong for r in sheet.header.remarks)
        and (sheet.header.row < 0 or not {"id", "set.id", "medium"} & {c.key for c in sheet.header.columns.values()})
    )


def _problem(reading: Reading, finding: Finding) -> Problem | None:
    """A finding at its cell; None when the cell, or its missing column, has been reported."""
    loc = finding.loc
    if loc in reading.unread or any(loc[:n] in reading.unread for n in range(3, len(loc))):
        return None
    if any((*loc[:-1], other) in reading.unread for other in finding.others):
        return None
    place = reading.places.get(loc)
    if place is not None:
        sheet, row, column = place
        head = sheet.header.columns[column].zh if column in sheet.header.columns else ""
        key = str(loc[-1]) if isinstance(loc[-1], str) else ""
        named = (
            f"{head}："
            if not key or key in _keys_of(sheet, column)
            else f"{head} {key}："
            if key != "other"
            else f"{head}："
        )
        return Problem(sheet.file, sheet.where(row, column), f"{named}{_told(reading, finding)}", finding.fix)
    for n in range(len(loc) - 1, 0, -1):
        if loc[:n] in reading.places:
            return _beside(reading, finding, n)
    return Problem(reading.file, key_path(loc), _told(reading, finding), finding.fix)


def _told(reading: Reading, finding: Finding) -> str:
    place = reading.places.get(finding.there)
    return told(finding, place[0].where(place[1], place[2]) if place else "")


def _keys_of(sheet: OpenSheet, column: int) -> set[str]:
    """Key names that the column at this position speaks for."""
    key = sheet.header.columns[column].key if column in sheet.header.columns else ""
    keys = {key.rsplit(".", 1)[-1]}
    return keys | {"endpoint", "broker", "host", "serial"} if key == "connection.address" else keys


def _beside(reading: Reading, finding: Finding, depth: int) -> Problem | None:
    """A key without a cell of its own: at the empty cell of its column, or at the row's first cell when there is no such column."""
    loc = finding.loc
    sheet, row, first = reading.places[loc[:depth]]
    wanted = {"endpoint": "address", "broker": "address", "host": "address", "serial": "address"}.get(
        str(loc[-1]), loc[-1]
    )
    for column, spec in sheet.header.columns.items():
        if spec.key.rsplit(".", 1)[-1] == wanted and ("connection" in loc) == spec.key.startswith("connection."):
            return Problem(sheet.file, sheet.where(row, column), f"{spec.zh}：{_told(reading, finding)}", finding.fix)
    missing = next((c for c in sheet.spec.columns if c.key == loc[-1]), None)
    if missing is not None and missing.required:
        return None  # the missing column is reported once, at the header
    name = missing.zh if missing is not None else str(loc[-1])
    head = f"{name}：" if len(loc) > depth and isinstance(loc[-1], str) else ""
    return Problem(sheet.file, sheet.where(row, first), f"{head}{_told(reading, finding)}", finding.fix)


def _order(sheets: list[OpenSheet]) -> Any:
    """Reading order: sheet, row, column."""
    rank = {(s.file, s.raw.name if not s.raw.file else ""): i for i, s in enumerate(sheets)}

    def key(problem: Problem) -> tuple[int, int, int, str]:
        name, mark, cell = problem.where.rpartition("!")
        at = cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        if not at.isdigit():
            return (-1 if not problem.where else len(rank), 0, 0, problem.where)
        return (rank.get((problem.file, name if mark else ""), len(rank)), int(at), len(cell) - len(at), cell)

    return key
