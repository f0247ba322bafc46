"""填表 (xlsx): a workbook with `{{ name }}` and rows of `{{ table.column }}` -> the same workbook filled in, each number with its source.

In: a template (a factory's own, or `blank_workbook`), `Content`. Out: the workbook, names that nobody knows. A row that names a
table is repeated for each of its rows with the styles of the template's row; the source stands in a cell comment. What is unknown
reads 【待填】 in yellow.
Text is never a formula, whatever it begins with; a formula of the template may name numbers only.
Refuses (`ConfigError`, exit 4): a file that is no workbook, pictures and shapes (they would be lost), two tables in one row, a column the
table does not have, text inside a formula.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from copy import copy

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import Cell as SheetCell
from openpyxl.cell.cell import MergedCell
from openpyxl.comments import Comment
from openpyxl.formula.translate import Translator
from openpyxl.styles import PatternFill
from openpyxl.worksheet.worksheet import Worksheet

from config.errors import ConfigError, Problem
from evidence_api.forms.content import Cell, Content, Value, printable
from evidence_api.forms.sheet_rows import fit_height, make_room

NAME = re.compile(r"\{\{\s*([\w\u4e00-\u9fff]+)(?:\.([\w\u4e00-\u9fff]+))?\s*\}\}")
TO_FILL = PatternFill("solid", fgColor="FFF2A8")
AUTHOR = "PlantProof"
STYLE = ("font", "fill", "border", "alignment", "number_format", "protection")
LONGEST = 32_000  # Excel holds 32767 characters in a cell or comment


def fill_workbook(template: bytes, content: Content, file: str) -> tuple[Workbook, list[str]]:
    """The filled workbook and the unknown names, in the order in which they stand."""
    try:
        pictures = _pictures(template)
        book = Workbook() if pictures else load_workbook(io.BytesIO(template))
    except Exception as err:  # openpyxl has no error of its own for what is not a workbook
        raise ConfigError([Problem(file, "", f"不是可用的 xlsx 模板：{err} (not a workbook)")]) from err
    if pictures:
        words = (
            f"模板里有图片或图形 {pictures[0]} 等 {len(pictures)} 处，填表时保不住 (pictures and shapes would be lost)"
        )
        raise ConfigError([Problem(file, "", words, "先删去，填好后再插入 (take them out, put them back afterwards)")])
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
                _fill_cell(cell, content.fields, unknown, problems, f"{file}: {sheet.title}")
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
            _fill_cell(cell, {}, unknown, problems, f"{file}: {sheet.title}")
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
    make_room(sheet, number, max(0, len(rows) - 1))
    for i in range(max(1, len(rows))):
        values: Mapping[str, Cell] = rows[i] if rows else {}
        for j, text in enumerate(pattern):
            cell = sheet.cell(number + i, j + 1)
            if isinstance(cell, MergedCell):
                continue
            for name, style in styles[j].items():
                setattr(cell, name, style)
            if rows:
                formula = isinstance(text, str) and text.startswith("=")
                here, there = f"A{number}", f"A{number + i}"
                cell.value = Translator(text, origin=here).translate_formula(there) if formula else text
                known_here = {f"{table}.{k}": v for k, v in values.items()} | dict(content.fields)
                _fill_cell(cell, known_here, unknown, problems, f"{file}: {sheet.title}")
            else:
                cell.value = "（无）" if j == 0 else None
        fit_height(sheet, number + i)
    return number + max(1, len(rows))


def _fill_cell(
    cell: SheetCell | MergedCell, known: Mapping[str, Cell], unknown: list[str], problems: list[Problem], where: str
) -> None:
    text = cell.value
    if isinstance(cell, MergedCell) or not isinstance(text, str) or "{{" not in text:
        return
    names = [f"{m[1]}.{m[2]}" if m[2] else m[1] for m in NAME.finditer(text)]
    missing = [n for n in names if n not in known]
    if missing:
        unknown += missing
        _write(cell, NAME.sub("【待填】", text))
        cell.fill = TO_FILL
        return
    if text.startswith("="):
        _fill_formula(cell, text, known, names, problems, where)
    elif NAME.fullmatch(text.strip()):
        _write(cell, known[names[0]].value)
    else:
        _write(cell, NAME.sub(lambda m: str(known[f"{m[1]}.{m[2]}" if m[2] else m[1]].value), text))
    sources = [known[n].source for n in names if known[n].source]
    if sources:
        words = _cut(printable("来源：" + "\n".join(dict.fromkeys(sources))))
        cell.comment = Comment(words, AUTHOR, width=360, height=120)


def _fill_formula(
    cell: SheetCell, text: str, known: Mapping[str, Cell], names: list[str], problems: list[Problem], where: str
) -> None:
    """A formula of the template's own; only whole numbers go into it, so that no text can become one."""
    wrong = [n for n in names if not isinstance(known[n].value, int)]
    if wrong:
        words = f"公式里只能用整数，{'、'.join(wrong)} 是文字 (only whole numbers in a formula)"
        problems.append(Problem(where, cell.coordinate, words, "把它放进自己的单元格 (give it a cell of its own)"))
        return
    cell.value = NAME.sub(lambda m: str(known[f"{m[1]}.{m[2]}" if m[2] else m[1]].value), text)


def _write(cell: SheetCell, value: Value) -> None:
    """A value as it is: text stays text, also when it begins like a formula and when somebody edits the cell later."""
    if not isinstance(value, str):
        cell.value = value
        return
    cell.value = _cut(printable(value))
    if value[:1] in tuple("=+-@") and value != "-":
        cell.data_type = "s"
        cell.quotePrefix = True


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…（过长，此处截断）"


def _pictures(template: bytes) -> list[str]:
    """Pictures and drawn shapes of a workbook: openpyxl would drop them without a word."""
    with zipfile.ZipFile(io.BytesIO(template)) as archive:
        names = archive.namelist()
        drawings = [n for n in names if n.startswith("xl/drawings/drawing")]
        shapes = [n for n in drawings if re.search(rb"<(\w+:)?(sp|cxnSp|grpSp)[ >]", archive.read(n))]
    return [n for n in names if n.startswith("xl/media/")] + shapes
