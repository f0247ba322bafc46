"""插行: make room below a row of a worksheet and take everything along: cells, merged cells, heights, formulas, validations.

In: a sheet, the pattern row of a table, how many rows come below it. Out: the same sheet. openpyxl moves cells alone; what stands
below (a second table, a signature block of merged cells, a sum) must move with them, and each new row is merged as the pattern is.
A reference that ends at the pattern row grows over the new rows, so that a sum below a table sums all of it.
"""

from __future__ import annotations

import re
from copy import copy
from unicodedata import east_asian_width

from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.cell_range import CellRange
from openpyxl.worksheet.worksheet import Worksheet

# A1, $A$1, A1:B2 outside quotes and not part of a longer name
REFERENCE = re.compile(r"(?<![\w.!'])(\$?[A-Z]{1,3}\$?)(\d{1,7})(?::(\$?[A-Z]{1,3}\$?)(\d{1,7}))?(?![\w(!])")
LINE_POINTS = 15
MAX_POINTS = 409  # Excel's own limit


def make_room(sheet: Worksheet, pattern: int, count: int) -> None:
    """`count` empty rows below row `pattern`, merged and as high as it is."""
    heights = {r: copy(d.height) for r, d in sheet.row_dimensions.items() if d.height is not None}
    merged = [CellRange(r.coord) for r in sheet.merged_cells.ranges]
    for one in merged:
        sheet.unmerge_cells(one.coord)
    if count:
        sheet.insert_rows(pattern + 1, count)
    for one in merged:
        _moved(sheet, one, pattern, count)
    for row in [r for r in heights if r > pattern]:
        sheet.row_dimensions[row].height = None
    for row, height in heights.items():
        if row > pattern:
            sheet.row_dimensions[row + count].height = height
    for i in range(1, count + 1):
        sheet.row_dimensions[pattern + i].height = heights.get(pattern)
    _move_references(sheet, pattern, count)


def _move_references(sheet: Worksheet, pattern: int, count: int) -> None:
    """Formulas and validations of the sheet follow the rows that they speak of."""
    for cells in sheet.iter_rows():
        for cell in cells:
            if isinstance(cell.value, str) and cell.value.startswith("="):
                cell.value = shifted(cell.value, pattern, count)
    for validation in sheet.data_validations.dataValidation:
        for area in validation.sqref.ranges:
            if area.min_row > pattern:
                area.shift(row_shift=count)
            elif area.max_row >= pattern:
                area.expand(down=count)


def fit_height(sheet: Worksheet, row: int) -> None:
    """High enough for the wrapped text of the row: not every program that prints a workbook works it out by itself."""
    if sheet.row_dimensions[row].height is not None:
        return
    lines = 1
    for cell in sheet[row]:
        if not isinstance(cell, MergedCell) and cell.alignment.wrap_text and isinstance(cell.value, str):
            lines = max(lines, _lines(cell.value, _width(sheet, cell)))
    if lines > 1:
        sheet.row_dimensions[row].height = min(MAX_POINTS, lines * LINE_POINTS)


def _width(sheet: Worksheet, cell: Cell) -> float:
    """In characters: of its column, or of all that it is merged with."""
    area = next((r for r in sheet.merged_cells.ranges if cell.coordinate in r), None)
    last = area.max_col if area is not None else cell.column
    return sum(sheet.column_dimensions[get_column_letter(i)].width for i in range(cell.column, last + 1))


def _lines(text: str, width: float) -> int:
    """Lines of wrapped text; a Chinese character is two wide."""
    room = max(2, int(width) - 1)
    widths = (sum(2 if east_asian_width(c) in "WF" else 1 for c in part) for part in text.split("\n"))
    return sum(max(1, -(-w // room)) for w in widths)


def shifted(formula: str, pattern: int, count: int) -> str:
    """The formula after `count` rows came in below row `pattern`. Text in quotes and names of other sheets stay as they are."""

    def move(m: re.Match[str]) -> str:
        first, last = int(m[2]), int(m[4] or m[2])
        if m[3] is None:
            return f"{m[1]}{first + count if first > pattern else first}"
        low = first + count if first > pattern else first
        return f"{m[1]}{low}:{m[3]}{last + count if last >= pattern else last}"

    parts = re.split(r'("[^"]*")', formula)
    return "".join(part if part.startswith('"') else REFERENCE.sub(move, part) for part in parts)


def _moved(sheet: Worksheet, area: CellRange, pattern: int, count: int) -> None:
    """Merge it again where it now stands; a merge within the pattern row is repeated in each new row."""
    if area.min_row > pattern:
        area.shift(row_shift=count)
    elif area.min_row < pattern <= area.max_row:
        area.expand(down=count)
    elif area.min_row == area.max_row == pattern:
        for i in range(1, count + 1):
            again = CellRange(area.coord)
            again.shift(row_shift=i)
            sheet.merge_cells(again.coord)
    sheet.merge_cells(area.coord)
