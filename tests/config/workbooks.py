"""Workbooks for tests: the template with some cells changed, as a person would change them."""

from __future__ import annotations

import copy
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils import column_index_from_string

from config.load import parse_register_file
from config.tables.corrections import Parsed
from config.tables.register_rows import parse_sheets
from config.tables.template import write_template
from config.tables.workbook import RawSheet, read_workbook


@lru_cache(maxsize=1)
def template() -> bytes:
    """The template's bytes, made once."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "t.xlsx"
        write_template(path)
        return path.read_bytes()


@lru_cache(maxsize=1)
def _sheets() -> list[RawSheet]:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "t.xlsx"
        path.write_bytes(template())
        return read_workbook(path)


def parsed(path: Path, cells: Mapping[str, Any]) -> Parsed:
    """The template with some cells changed, read: as the file, where a change is more than a value."""
    plain = all(re.fullmatch(r"[A-Z]+\d+", p.split("!")[1]) for p in cells)
    if not plain or any(isinstance(v, str) and v[:1] in ("#", "=") for v in cells.values()):
        return parse_register_file(changed(path, cells))
    sheets = copy.deepcopy(_sheets())
    for place, value in cells.items():
        name, cell = place.split("!")
        rows = next(s for s in sheets if s.name == name).rows
        column = column_index_from_string(cell.rstrip("0123456789")) - 1
        row = int(cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) - 1
        while len(rows) <= row:
            rows.append([""] * len(rows[0]))
        rows[row] += [""] * (column + 1 - len(rows[row]))
        rows[row][column] = "" if value is None else float(value) if type(value) is int else value
    return parse_sheets(sheets, str(path))


def with_part(path: Path, name: str, change: Callable[[str], str]) -> Path:
    """Write the template with the text of one part of the zip changed, as no spreadsheet program would."""
    with zipfile.ZipFile(io.BytesIO(template())) as book, zipfile.ZipFile(path, "w") as out:
        for part in book.namelist():
            raw = book.read(part)
            out.writestr(part, change(raw.decode()).encode() if part == name else raw)
    return path


def changed(path: Path, cells: Mapping[str, Any]) -> Path:
    """Write the template with some cells changed: `设备!C2` a cell, `设备!删列 C`, `设备!删表`, `设备!新表 名`, `设备!标题行 n`."""
    book = openpyxl.load_workbook(io.BytesIO(template()))
    for place, value in cells.items():
        sheet, what = place.split("!")
        if what.startswith("删列"):
            book[sheet].delete_cols(column_index_from_string(what.split()[1]))
        elif what == "删表":
            del book[sheet]
        elif what == "改名":
            book[sheet].title = value
        elif what == "复制":
            book.copy_worksheet(book[sheet]).title = value
        elif what == "标题行":
            book[sheet].insert_rows(1, value)
            book[sheet]["A1"] = "设备台账"
        elif what == "合并":
            book[sheet].merge_cells(value)
        elif what == "隐藏行":
            book[sheet].row_dimensions[value].hidden = True
        else:
            book[sheet][what] = value
            if isinstance(value, date) and not isinstance(value, datetime):
                book[sheet][what].number_format = "yyyy-mm-dd"
    book.save(path)
    return path
