"""填表 (xlsx): a workbook with `{{ name }}` and rows of `{{ table.column }}` -> the same workbook filled in, each number with its source.

In: a template (a factory's own, or `blank_workbook`), `Content`. Out: the workbook, names that nobody knows. A row that names a
table is repeated for each of its rows with the styles of the template's row; the source stands in a cell comment. What is unknown
reads 【待填】 in yellow.
Refuses (`ConfigError`, exit 4): a file that is no workbook, two tables in one row, a column the table does not have.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from copy import copy

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import Cell as SheetCell
from openpyxl.cell.cell import MergedCell
from openpyxl.comments import Comment
from openpyxl.styles import PatternFill
from openpyxl.worksheet.worksheet import Worksheet

from config.errors import ConfigError, Problem
from evidence_api.forms.content import Cell, Content, Value

NAME = re.compile(r"\{\{\s*([\w\u4e00-\u9fff]+)(?:\.([\w\u4e00-\u9fff]+))?\s*\}\}")
TO_FILL = PatternFill("solid", fgColor="FFF2A8")
AUTHOR = "PlantProof"
STYLE = ("font", "fill", "border", "alignment", "number_format", "protection")


def fill_workbook(template: bytes, content: Content, file: str) -> tuple[Workbook, list[str]]:
    """The filled workbook and the unknown names, in the order in which they stand."""
    try:
        book = load_workbook(io.BytesIO(template))
    except Exception as err:  # openpyxl has no error of its own for what is not a workbook
        raise ConfigError([Problem(file, "", f"不是可用的 xlsx 模板：{err} (not a workbook)")]) from err
    unknown: list[str] = []
    problems: list[Problem] = []
    for sheet in book.worksheets:
        _fill_sheet(sheet, content, unknown, problems, file)
    if problems:
        raise ConfigError(problems)
    return book, list(dict.fromkeys(unknown))


def _fill_sheet(sheet: Worksheet, content: Content, unknown: list[str], problems: list[Problem], file: str) -> None:
    number = 1
    while number <= sheet.max_row:
        tables = {m[1] for c in sheet[number] for m in NAME.finditer(str(c.value or "")) if m[2]}
        if not tables:
            for cell in sheet[number]:
                _fill_cell(cell, content.fields, unknown)
            number += 1
            continue
        if len(tables) > 1:
            where = f"{sheet.title}!{number}"
            problems.append(
                Problem(file, where, f"一行只能用一个表，实有 {'、'.join(sorted(tables))} (two tables in a row)")
            )
            return
        number = _fill_table(sheet, number, tables.pop(), content, unknown, problems, file)


def _fill_table(
    sheet: Worksheet, number: int, table: str, content: Content, unknown: list[str], problems: list[Problem], file: str
) -> int:
    """Fill a table from the row `number` down; the next row to look at."""
    rows = content.tables.get(table)
    pattern = [copy(c.value) for c in sheet[number]]
    styles = [{name: copy(getattr(c, name)) for name in STYLE} for c in sheet[number]]
    if rows is None:
        unknown.append(table)
        for cell in sheet[number]:
            _fill_cell(cell, {}, unknown)
        return number + 1
    known = set(rows[0]) if rows else set()
    wanted = {m[2] for text in pattern for m in NAME.finditer(str(text or "")) if m[2]}
    for column in sorted(wanted - known) if rows else ():
        problems.append(
            Problem(
                file,
                f"{sheet.title}!{number}",
                f"表 {table} 没有列 {column!r} (no such column); 现有 {'、'.join(sorted(known))}",
            )
        )
    if wanted - known and rows:
        return number + 1
    if len(rows) > 1:
        sheet.insert_rows(number + 1, len(rows) - 1)
    for i in range(max(1, len(rows))):
        values: Mapping[str, Cell] = rows[i] if rows else {}
        for j, text in enumerate(pattern):
            cell = sheet.cell(number + i, j + 1)
            for name, style in styles[j].items():
                setattr(cell, name, style)
            if rows:
                cell.value = text
                _fill_cell(cell, {f"{table}.{k}": v for k, v in values.items()} | dict(content.fields), unknown)
            else:
                cell.value = "（无）" if j == 0 else None
    return number + max(1, len(rows))


def _fill_cell(cell: SheetCell | MergedCell, known: Mapping[str, Cell], unknown: list[str]) -> None:
    text = cell.value
    if isinstance(cell, MergedCell) or not isinstance(text, str) or "{{" not in text:
        return
    names = [f"{m[1]}.{m[2]}" if m[2] else m[1] for m in NAME.finditer(text)]
    missing = [n for n in names if n not in known]
    if missing:
        unknown += missing
        cell.value, cell.fill = NAME.sub("【待填】", text), TO_FILL
        return
    sources = [known[n].source for n in names if known[n].source]
    whole = NAME.fullmatch(text.strip())
    cell.value = (
        _safe(known[names[0]].value)
        if whole
        else NAME.sub(lambda m: str(known[f"{m[1]}.{m[2]}" if m[2] else m[1]].value), text)
    )
    if sources:
        cell.comment = Comment("来源：" + "\n".join(dict.fromkeys(sources)), AUTHOR, width=360, height=120)


def _safe(value: Value) -> Value:
    """Text that a spreadsheet would take for a formula stays text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@") and value != "-" else value
