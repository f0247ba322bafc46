"""台账写成各表: a register as the cells of its sheets, in the canonical form that is read back as the same register.

In: `Register`. Out: for each sheet its rows, cells by column key. Decimals stay text where a spreadsheet's number would change them.
Refuses (`ConfigError`): a text that no cell can hold (control characters, spaces around it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from config.errors import ConfigError, Problem
from config.register import Register
from config.tables.columns import Column, Sheet
from config.tables.connection_columns import cells_of
from config.tables.register_sheets import CALENDAR, DEVICE, POINTS, SHEETS

Cell = str | int | float | bool | date | None
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|\t")
_LISTED = re.compile(r"[,，、;；|\n]")


def sheet_rows(register: Register, sheet: Sheet) -> list[list[Cell]]:
    """The rows of a sheet, cells in the order of its columns. Errors: `ConfigError`."""
    found = []
    for row in _rows(register, sheet):
        found.append([_cell(row.get(c.key), c, sheet) for c in sheet.columns])
    return found


def filled_sheets(register: Register) -> list[tuple[Sheet, list[list[Cell]]]]:
    """Every sheet with its rows, empty ones too."""
    return [(s, sheet_rows(register, s)) for s in SHEETS]


def _rows(register: Register, sheet: Sheet) -> Iterator[dict[str, Any]]:
    body = register.model_dump(mode="python", by_alias=True, exclude_defaults=True)
    if sheet is CALENDAR:
        yield {"utc_offset": register.calendar.utc_offset}
        return
    place: Any = body
    for part in sheet.table.split("."):
        place = place.get(part, {})
    for row in place:
        if sheet is POINTS:
            yield from _points(row)
        elif sheet is DEVICE:
            yield _device(row)
        else:
            yield row


def _device(row: dict[str, Any]) -> dict[str, Any]:
    found = {"production": True, "digital": False, "nc": False, **row}
    connection = found.pop("connection", None)
    if connection is not None:
        found |= {f"connection.{k}": v for k, v in cells_of(connection).items()}
    return found


def _points(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {f"set.{k}": v for k, v in row.items() if k != "point"}
    for i, point in enumerate(row["point"]):
        yield {**(shared if i == 0 else {"set.id": row["id"]}), **point}


def _cell(value: Any, column: Column, sheet: Sheet) -> Cell:
    if value is None or value in ((), ""):
        return None
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, int) or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    text = _text(value, column)
    if text != text.strip() or _CONTROL.search(text):
        place = f"{sheet.zh}.{column.zh}"
        fix = "在台账里改正这一格后再导出 (correct it, then export)"
        message = f"文本 {text!r} 含有控制字符或首尾空格，写不进表格 (not writable)"
        raise ConfigError([Problem("export", place, message, fix)])
    return text


def _number(value: Decimal) -> int | float | str:
    """A number where its text survives a spreadsheet, else the text."""
    text = str(value)
    if re.fullmatch(r"-?(0|[1-9]\d{0,14})", text) and text != "-0":
        return int(text)
    if re.fullmatch(r"-?(0|[1-9]\d*)\.\d*[1-9]", text) and len(text) < 16 and repr(float(text)) == text:
        return float(text)
    return text


def _text(value: Any, column: Column) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if column.words:
        return next(w[1] for w in column.words if w[0] == value)
    if column.kind in ("texts", "ids"):
        plain = all(v and v == v.strip() and not _LISTED.search(v) and not v.startswith("[") for v in value)
        return "、".join(value) if plain else json.dumps(list(value), ensure_ascii=False)
    if column.kind == "map":
        plain = all(k and k == k.strip() and not re.search(r"[;；\n=＝]", k) and k[:1] != "{" for k in value)
        return "; ".join(f"{k}={v}" for k, v in value.items()) if plain else json.dumps(value, ensure_ascii=False)
    if column.kind == "rule":
        return f"{value['point']} {value['op']} {value['value']}"
    return str(value)
