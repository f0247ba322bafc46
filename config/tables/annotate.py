"""批注副本: the workbook as it was handed in, with wrong cells marked and commented, to send back to whoever filled it in.

In: the workbook's path, where to write the copy, and what was found (`Parsed`). Out: the copy: formulas and formats as they were,
wrong cells red, those taken in another form yellow, a comment in each, and a sheet 检查结果 in front that lists them all.
A CSV or a folder of CSVs becomes a workbook first. Macros and pictures cannot be carried over: the copy says so.
Refuses (`ConfigError`): TOML (it has no cells), a place that is the original.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import ConfigError, Problem
from config.tables.corrections import Correction, Parsed
from config.tables.register_sheets import RESULT
from config.tables.register_writers import replace_file
from config.tables.workbook import read_workbook

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

_WRONG, _TAKEN = "FFFFC7CE", "FFFFF2CC"
_CELL = re.compile(r"^(?:(.+)!)?([A-Z]{1,3}[1-9]\d{0,6})$")
_MAX_COMMENT = 1000
_NOT_COPIED = (
    ("xl/vbaProject", "宏"),
    ("xl/media/", "图片"),
    ("xl/diagrams/", "SmartArt"),
    ("xl/embeddings/", "嵌入的文件"),
    ("xl/ctrlProps/", "控件"),
    ("xl/activeX/", "控件"),
    ("xl/slicers/", "切片器"),
    ("xl/threadedComments/", "会话批注"),
)  # openpyxl reads past these


def annotate_workbook(original: Path, copy: Path, parsed: Parsed) -> tuple[str, ...]:
    """Write the annotated copy. Out: what of the original it cannot carry (宏、图片…), in words. Errors: `ConfigError`."""
    _allowed(original, copy)
    book = _opened(original)
    notes: dict[tuple[str, str], list[str]] = {}
    wrong: set[tuple[str, str]] = set()
    for problem in parsed.problems:
        place = _place(book, problem.file, problem.where, original)
        if place is not None:
            wrong.add(place)
            notes.setdefault(place, []).append(problem.message + (f"\n→ {problem.fix}" if problem.fix else ""))
    for correction in parsed.corrections:
        place = _place(book, correction.file, correction.where, original)
        if place is not None:
            notes.setdefault(place, []).append(_taken(correction))
    for (sheet, cell), texts in notes.items():
        _mark(book[sheet], cell, "\n".join(texts), _WRONG if (sheet, cell) in wrong else _TAKEN)
    lost = _lost(original, book)
    _summary(book, parsed, lost)
    out = io.BytesIO()
    book.save(out)
    replace_file(copy, out.getvalue())
    return lost


def _allowed(original: Path, copy: Path) -> None:
    if original.suffix.lower() == ".toml":
        raise ConfigError(
            [Problem(str(original), "", "TOML 没有单元格可批注 (no cells to annotate)", "去掉 --annotate")]
        )
    if copy.suffix.lower() != ".xlsx":
        raise ConfigError(
            [Problem(str(copy), "", "批注副本应为 .xlsx (expected an .xlsx)", "改后缀 (change the ending)")]
        )
    if copy.exists() and original.exists() and copy.samefile(original):
        raise ConfigError([Problem(str(copy), "", "批注副本不能盖掉原件 (would overwrite the original)", "换个文件名")])


def _opened(original: Path) -> Workbook:
    """The workbook itself, or the CSVs as one. Errors: `ConfigError` for a file that cannot be read at all."""
    from openpyxl import Workbook, load_workbook  # noqa: PLC0415  (only where a copy is asked for)

    raws = read_workbook(original)
    if original.is_file() and original.read_bytes()[:2] == b"PK":
        try:
            return load_workbook(original, keep_vba=False)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, OSError) as err:  # what openpyxl raises
            message = f"这个工作簿能读，但不能原样另存: {err} (cannot be copied with its formats)"
            fix = "用 Excel 打开后另存为 .xlsx 再批注 (save it in Excel first)"
            raise ConfigError([Problem(str(original), "", message, fix)]) from err
    book = Workbook()
    book.remove(book.worksheets[0])
    for raw in raws:
        page = book.create_sheet(_title(raw.name if raw.file else "设备"))
        for r, row in enumerate(raw.rows, 1):
            for c, value in enumerate(row, 1):
                if value != "":
                    cell = page.cell(r, c)
                    cell.value, cell.data_type = _clean(value), "s"
    return book


def _lost(original: Path, book: Workbook) -> tuple[str, ...]:
    """Parts of the original that the copy is without: it is made to be read and sent back, not to replace the original."""
    if not original.is_file() or not zipfile.is_zipfile(original):
        return ()
    with zipfile.ZipFile(original) as parts:
        found = {words for name in parts.namelist() for start, words in _NOT_COPIED if name.startswith(start)}
        drawings = (n for n in parts.namelist() if n.startswith("xl/drawings/") and n.endswith(".xml"))
        if any(b":sp>" in parts.read(n) or b":sp " in parts.read(n) for n in drawings):
            found.add("图形和文本框")
    if any(getattr(page, "_images", ()) for page in book.worksheets):
        found.discard("图片")
    return tuple(sorted(found))


def _place(book: Workbook, file: str, where: str, original: Path) -> tuple[str, str] | None:
    match = _CELL.match(where)
    if match is None:
        return None
    sheet = match[1] or ("设备" if file == str(original) else _title(Path(file).stem))
    return (sheet, match[2]) if sheet in book.sheetnames else None


def _taken(c: Correction) -> str:
    return f"按 {c.taken} 读取：{c.note}" if c.taken else c.note


def _mark(page: Worksheet, where: str, text: str, colour: str) -> None:
    from openpyxl.cell.cell import MergedCell  # noqa: PLC0415
    from openpyxl.comments import Comment  # noqa: PLC0415
    from openpyxl.styles import PatternFill  # noqa: PLC0415

    cell: Any = page[where]
    if isinstance(cell, MergedCell):  # the comment of a merged range stands at its first cell
        owner = next((r for r in page.merged_cells.ranges if where in r), None)
        if owner is None:
            return
        cell = page.cell(owner.min_row, owner.min_col)
    before = f"{cell.comment.text}\n" if cell.comment is not None else ""
    cell.comment = Comment(_clean(f"{before}{text}")[:_MAX_COMMENT], "PlantProof", width=320, height=120)
    cell.fill = PatternFill("solid", colour)


def _summary(book: Workbook, parsed: Parsed, lost: tuple[str, ...]) -> None:
    from openpyxl.styles import Font  # noqa: PLC0415

    if RESULT in book.sheetnames:
        book.remove(book[RESULT])
    page = book.create_sheet(RESULT, 0)
    rows: list[tuple[str, str, str, str]] = [("类别", "位置", "说明", "怎么改")]
    rows += [("问题", p.where or Path(p.file).name, p.message, p.fix) for p in parsed.problems]
    rows += [("已更正", c.where or Path(c.file).name, f"{c.found}：{_taken(c)}", "") for c in parsed.corrections]
    head = f"问题 {len(parsed.problems)} 处（红），按另一种写法读取 {len(parsed.corrections)} 处（黄）"
    if lost:
        head += f"。本副本不含原件的{'、'.join(lost)}；请在原件上改 (not carried over from the original)"
    for r, row in enumerate(_texts([(head,), *rows]), 1):
        for c, text in enumerate(row, 1):
            cell = page.cell(r, c)
            cell.value, cell.data_type = text, "s"
            link = _CELL.match(text) if c == 2 else None
            if link is not None and link[1] in book.sheetnames:
                cell.hyperlink = f"#'{link[1]}'!{link[2]}"
    for cell in (*page[1], *page[2]):
        cell.font = Font(bold=True)
    for name, width in zip("ABCD", (10, 18, 80, 50), strict=True):
        page.column_dimensions[name].width = width
    page.freeze_panes = "A3"
    book.active = 0


def _texts(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [tuple(_clean(t) for t in row) for row in rows]


def _clean(value: Any) -> str:
    """Without characters that a workbook cannot hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", str(value))


def _title(name: str) -> str:
    return re.sub(r"[\[\]:*?/\\]", "_", name)[:31] or "设备"
