"""台账写出: a register as xlsx, as a folder of CSVs, as one CSV of devices, or as TOML; what is written is read back and must be equal.

In: `Register`, a path whose ending says the form. Out: the file, replaced whole by rename.
Refuses (`ConfigError`): an ending it does not know, a register that would not be
read back as itself.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import ConfigError, Problem
from config.register import FORMAT, Register
from config.tables.columns import Sheet, letters
from config.tables.register_cells import Cell, filled_sheets
from config.tables.register_sheets import DEVICE, GUIDE, SHEETS

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

_HEAD, _NEEDED = "FFDDE6F0", "FFF6E3C5"
_DROP_DOWN_ROWS = 2000


def export_register(register: Register, path: Path) -> None:
    """Write the register to `path`: .xlsx, .toml, .csv (devices only) or a folder of CSVs (no ending). Errors: `ConfigError`."""
    ending = path.suffix.lower()
    forms: dict[str, Callable[[Register], bytes]] = {".xlsx": _xlsx, ".toml": toml_bytes, ".csv": _device_csv}
    if ending in forms:
        replace_file(path, forms[ending](register))
    elif ending == "":
        path.mkdir(exist_ok=True)
        for sheet, rows in filled_sheets(register):
            replace_file(path / f"{sheet.zh}.csv", csv_bytes(sheet, rows))
    else:
        fix = "用 .xlsx、.toml、.csv，或不带后缀的文件夹 (one of these, or a folder)"
        raise ConfigError([Problem(str(path), "", f"不会写 {ending} 文件 (unknown ending)", fix)])
    if ending != ".csv":
        _read_back(register, path)


def toml_bytes(register: Register) -> bytes:
    """The register as TOML, defaults left out."""
    body = register.model_dump(mode="python", by_alias=True, exclude_defaults=True)
    lines = [f"format = {_value(FORMAT)}"]
    calendar = dict(body.get("calendar", {}))
    closures = calendar.pop("closures", ())
    if calendar:
        lines += ["", "[calendar]", *(f"{k} = {_value(v)}" for k, v in calendar.items())]
    lines += [line for c in closures for line in ("", "[[calendar.closures]]", *_keys(c))]
    for table in ("line", "process", "points", "device", "parameter", "item", "scene", "system", "interface", "energy"):
        for row in body.get(table, ()):
            points = row.get("point", ()) if table == "points" else ()
            lines += ["", f"[[{table}]]", *_keys({k: v for k, v in row.items() if not (points and k == "point")})]
            lines += [line for p in points for line in ("", "[[points.point]]", *_keys(p))]
    return ("\n".join(lines) + "\n").encode()


def csv_bytes(sheet: Sheet, rows: list[list[Cell]]) -> bytes:
    """A sheet as CSV: UTF-8 with BOM for Excel; a text that Excel would take for a formula gets an apostrophe, which reading removes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([c.zh for c in sheet.columns])
    for row in rows:
        writer.writerow([_guarded(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def _guarded(cell: Cell) -> str | int | float | date:
    if isinstance(cell, str) and (
        cell[:1] in ("=", "+", "-", "@") or (cell[:1] == "'" and cell[1:2] in tuple("=+-@'"))
    ):
        return f"'{cell}"
    return "" if cell is None else cell


def _device_csv(register: Register) -> bytes:
    return next(csv_bytes(s, rows) for s, rows in filled_sheets(register) if s is DEVICE)


def _xlsx(register: Register) -> bytes:
    from openpyxl import Workbook  # noqa: PLC0415  (only where a workbook is written)

    book = Workbook()
    book.remove(book.worksheets[0])
    for sheet, rows in filled_sheets(register):
        page = book.create_sheet(sheet.zh)
        _write_sheet(page, sheet, rows)
    _write_guide(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _write_sheet(page: Worksheet, sheet: Sheet, rows: list[list[Cell]]) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill  # noqa: PLC0415
    from openpyxl.worksheet.datavalidation import DataValidation  # noqa: PLC0415

    for i, column in enumerate(sheet.columns, 1):
        head = page.cell(1, i, column.zh)
        head.font = Font(bold=True)
        head.fill = PatternFill("solid", _NEEDED if column.required else _HEAD)
        head.alignment = Alignment(vertical="center", wrap_text=True)
        page.column_dimensions[letters(i - 1)].width = max(10, 2 * len(column.zh) + 4)
        choices = ["是", "否"] if column.kind == "flag" else [w[1] for w in column.words]
        if choices and len(",".join(choices)) < 250:
            rule = DataValidation("list", formula1=f'"{",".join(choices)}"', allow_blank=True, errorStyle="warning")
            page.add_data_validation(rule)
            rule.add(f"{letters(i - 1)}2:{letters(i - 1)}{_DROP_DOWN_ROWS}")
        if column.kind == "id" and len(rows) < _DROP_DOWN_ROWS:
            for r in range(2, len(rows) + 50):  # numbers typed here stay as they are typed
                page.cell(r, i).number_format = "@"
    for r, row in enumerate(rows, 2):
        for i, value in enumerate(row, 1):
            if value is not None:
                cell = page.cell(r, i)
                cell.value = value
                if isinstance(value, str):
                    cell.data_type = "s"  # a text stays a text, even when it begins with =
                elif isinstance(value, date):
                    cell.number_format = "yyyy-mm-dd"
    page.freeze_panes = "C2"


def _write_guide(book: Workbook) -> None:
    from openpyxl.styles import Font  # noqa: PLC0415

    page = book.create_sheet(GUIDE)
    page.append(["表", "列", "必填", "怎么填", "也认的列名"])
    for cell in page[1]:
        cell.font = Font(bold=True)
    for sheet in SHEETS:
        if sheet.note:
            page.append([sheet.zh, "", "", sheet.note, "、".join(sheet.also)])
        for c in sheet.columns:
            page.append([sheet.zh, c.zh, "必填" if c.required else "", c.note, "、".join((*c.also, *c.stands_in))])
    for name, width in zip("ABCDE", (12, 16, 8, 70, 70), strict=True):
        page.column_dimensions[name].width = width
    page.freeze_panes = "A2"


def _keys(row: dict[str, Any]) -> list[str]:
    return [f"{_key(k)} = {_value(v)}" for k, v in row.items()]


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | Decimal):
        return f'"{value}"' if isinstance(value, Decimal) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def replace_file(path: Path, raw: bytes) -> None:
    """Write whole, by rename."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
    os.chmod(name, 0o644)
    os.replace(name, path)


def _read_back(register: Register, path: Path) -> None:
    from config.load import parse_register_file  # noqa: PLC0415  (load reads every form, this writes them)

    parsed = parse_register_file(path)
    if parsed.register is None or parsed.register.canonical_json() != register.canonical_json():
        why = str(parsed.problems[0]) if parsed.problems else "读回的内容不同 (read back as another register)"
        raise ConfigError(
            [Problem(str(path), "", f"这一版台账不能用这种格式写全: {why}", "改用 .toml 导出 (export as TOML)")]
        )
