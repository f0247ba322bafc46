"""表头: where the header of a sheet stands and which column each of its cells means.

In: the rows of a sheet as they are, and its `Sheet`. Out: `Header`: the row, and the column of the register by position.
Title rows above it are passed over. Refuses: no header in the first 30 rows, one column named twice, a required column that is
missing, a header that is nearly one we know (a mistyped column must not be lost silently); other unknown columns are listed.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config.tables.columns import Column, Sheet, half, letters, plain
from config.tables.register_sheets import HARMLESS

SEARCHED_ROWS = 30


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a header: at row and column (zero-based), what, and what to do. `wrong` makes it a problem."""

    row: int
    column: int
    message: str
    fix: str
    wrong: bool
    found: str = ""
    taken: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """row: of the sheet, zero-based, -1 without one; columns: position -> column."""

    row: int
    columns: dict[int, Column]
    remarks: tuple[Remark, ...]


def find_header(rows: Sequence[Sequence[Any]], sheet: Sheet) -> Header:
    """The row among the first that names most columns; what is wrong with it."""
    best, most = -1, 0
    for i, row in enumerate(rows[:SEARCHED_ROWS]):
        known = {c.key for cell in row if isinstance(cell, str) and (c := _meant(sheet, cell)) is not None}
        if len(known) > most:
            best, most = i, len(known)
    if best < 0 or most < min(2, len(sheet.columns)):
        expected = "、".join(c.zh for c in sheet.columns if c.required) or sheet.columns[0].zh
        fix = "在数据上方留一行列名 (name the columns in one row above the data)"
        found = "找不到表头" if best < 0 else "表头不全"
        return Header(
            -1, {}, (Remark(max(best, 0), 0, f"{found}：应有 {expected} (no header row found)", fix, wrong=True),)
        )
    return _read(rows, best, sheet)


def _meant(sheet: Sheet, cell: str) -> Column | None:
    name = plain(cell)
    return sheet.header.get(name) or sheet.stand_in.get(name)


def _read(rows: Sequence[Sequence[Any]], at: int, sheet: Sheet) -> Header:
    header = rows[at]
    names = {i: str(cell) for i, cell in enumerate(header) if str(cell).strip()}
    own = {i: sheet.header[plain(n)] for i, n in names.items() if plain(n) in sheet.header}
    claimed = {c.key for c in own.values()}
    for i, name in names.items():
        stand_in = sheet.stand_in.get(plain(name))
        if stand_in is not None and stand_in.key not in claimed:
            own[i] = stand_in
            claimed.add(stand_in.key)
    columns: dict[int, Column] = {}
    remarks: list[Remark] = []
    seen: dict[str, int] = {}
    for i in sorted(own):
        column = own[i]
        if column.key in seen:
            remarks.append(_twice(at, i, names[i], column, seen[column.key], rows, at))
            continue
        seen[column.key] = i
        columns[i] = column
        if half(names[i]).strip().rstrip("*") not in (column.zh, column.key):
            remarks.append(Remark(at, i, "列名的另一种写法 (another header)", "", False, names[i].strip(), column.zh))
    remarks += [_unknown(at, i, names[i], sheet) for i in sorted(set(names) - set(own))]
    remarks += _nameless(rows, at, names)
    remarks += [
        Remark(at, 0, f"缺少必填列 {c.zh} (required column missing)", f"加一列 {c.zh} (add it)", wrong=True)
        for c in sheet.columns
        if c.required and c.key not in seen
    ]
    return Header(at, columns, tuple(remarks))


def _twice(
    row: int, i: int, name: str, column: Column, first: int, rows: Sequence[Sequence[Any]], header: int
) -> Remark:
    filled = any(i < len(r) and str(r[i]).strip() for r in rows[header + 1 :])
    message = f"{name.strip()} 与 {letters(first)} 列同是 {column.zh} (a column named twice)"
    return Remark(row, i, message, "只留一列 (keep one)", filled, name.strip())


def _unknown(row: int, i: int, name: str, sheet: Sheet) -> Remark:
    known = [plain(n) for c in sheet.columns for n in (c.zh, *c.also)]
    near = difflib.get_close_matches(plain(name), known, 1, 0.75)
    if near and name.strip() not in HARMLESS:
        meant = sheet.header[near[0]].zh
        return Remark(
            row, i, f"没有 {name.strip()!r} 这一列 (unknown column)",
            f"是不是 {meant}？不是则换个不易混淆的列名 (did you mean {meant}?)", wrong=True,
        )  # fmt: skip
    return Remark(row, i, "不认识的列，未读取 (unknown column, not read)", "", False, name.strip())


def _nameless(rows: Sequence[Sequence[Any]], at: int, names: dict[int, str]) -> list[Remark]:
    width = max((len(r) for r in rows), default=0)
    found = []
    for i in range(width):
        if i not in names and any(i < len(r) and str(r[i]).strip() for r in rows[at + 1 :]):
            found.append(
                Remark(at, i, "没有列名的列，未读取 (a column without a header, not read)", "", False, "（空）")
            )
    return found
