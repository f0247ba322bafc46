"""工作簿: the bytes of an xlsx, a CSV or a folder of CSVs as sheets of plain cells, with what Excel hides from a reader.

In: a path. Out: `RawSheet`s: rows as they stand (row 0 is the spreadsheet's row 1), error values and formulas without a result by
place, hidden rows and columns, and which cells were filled from a vertical merge. xlsx is read by python-calamine (fast) and a
scan of the sheet's XML (error values, empty formulas and hidden rows, which calamine does not tell). CSV: UTF-8 or GB18030.
Refuses (`ConfigError`): not such a file, encrypted, the old .xls, more than 256 MB unpacked, cells far outside of any table.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

from config.errors import ConfigError, Problem
from config.tables.extent import farthest

MAX_UNPACKED = 256 << 20
MAX_ROW, MAX_COLUMN, MAX_CELLS = 99_999, 182, 6_000_000  # FZ
_ERROR = re.compile(
    rb'<(?:\w+:)?c\b(?=[^>]*\bt="e")[^>]*\br="([A-Z]+\d+)"[^>]*>'
    rb"(?:(?!</(?:\w+:)?c>).)*?<(?:\w+:)?v>([^<]*)<",
    re.S,
)
_FORMULA = re.compile(
    rb'<(?:\w+:)?c\b[^>]*\br="([A-Z]+\d+)"[^>]*>\s*<(?:\w+:)?f\b[^>]*(?:/>|>[^<]*</(?:\w+:)?f>)\s*'
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_HIDDEN_ROW = re.compile(rb'<(?:\w+:)?row\b(?=[^>]*\bhidden="(?:1|true)")[^>]*\br="(\d+)"')
_TORN = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError, ElementTree.ParseError, NotImplementedError, RuntimeError,
)  # fmt: skip
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


@dataclass(slots=True)
class RawSheet:
    """A sheet as it stands. errors and empty_formulas by (row, column), zero-based; merged: filled from the cell above."""

    name: str
    rows: list[list[Any]]
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    empty_formulas: set[tuple[int, int]] = field(default_factory=set)
    hidden_rows: tuple[int, ...] = ()
    hidden: bool = False
    merged: set[tuple[int, int]] = field(default_factory=set)
    file: str = ""  # of a folder: the CSV it comes from
    notes: tuple[str, ...] = ()


def read_workbook(path: Path) -> list[RawSheet]:
    """The sheets of `path`, by what its bytes are. Errors: `ConfigError`."""
    if path.is_dir():
        return _folder(path)
    raw = _bytes(path)
    if raw[:4] == b"PK\x03\x04":
        return _xlsx(path, raw)
    if raw[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        _refuse(
            path,
            "应为 .xlsx，实为有密码的工作簿或旧版 .xls (encrypted, or the old .xls)",
            "去掉打开密码，另存为 .xlsx (remove the password, save as .xlsx)",
        )
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        _refuse(path, "应为 .xlsx 工作簿，实为别的内容 (not a workbook)", "用 Excel 打开后另存为 .xlsx (save as .xlsx)")
    return [_csv(path, path.stem, raw)]


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        _refuse(path, "应有此文件，实际没有 (expected a file, found none)", "")
    except OSError as err:
        _refuse(path, f"读不了此文件: {err.strerror} (expected a readable file)", "")
    return raw


def _xlsx(path: Path, raw: bytes) -> list[RawSheet]:
    from python_calamine import CalamineError, SheetVisibleEnum, load_workbook  # noqa: PLC0415  (only where there is one)

    try:
        parts = _parts(path, zipfile.ZipFile(io.BytesIO(raw)))
        book = load_workbook(io.BytesIO(raw))
        visible = {m.name: m.visible == SheetVisibleEnum.Visible for m in book.sheets_metadata}
        found = []
        for name, xml in parts.items():
            if name not in visible:
                continue
            sheet = book.get_sheet_by_name(name)
            rows = sheet.to_python(skip_empty_area=False)
            found.append(_scanned(name, [list(r) for r in rows], xml, sheet.merged_cell_ranges or []))
            found[-1].hidden = not visible[name]
    except (CalamineError, *_TORN) as err:
        _refuse(
            path, f"应为 .xlsx 工作簿，读不出来: {err} (not a workbook)", "用 Excel 打开后另存为 .xlsx (save as .xlsx)"
        )
    return found


def _parts(path: Path, book: zipfile.ZipFile) -> dict[str, bytes]:
    """XML of each worksheet by the sheet's name, in order."""
    size = sum(i.file_size for i in book.infolist())
    if size > MAX_UNPACKED:
        _refuse(path, f"解压后应不超过 {MAX_UNPACKED >> 20} MB，实为 {size >> 20} MB (too large)", "删去无关的表和图片")
    torn = book.testzip()  # reads every part: none is longer than it says, none differs from its checksum
    if torn is not None:
        _refuse(path, f"工作簿里的 {torn} 已损坏 (a damaged part)", "用 Excel 打开后另存为 .xlsx (save as .xlsx)")
    row, column = farthest(book)  # before anything lays a sheet out as a rectangle
    if row > MAX_ROW or column > MAX_COLUMN or row * column > MAX_CELLS:
        _refuse(
            path,
            f"工作表在很远的行或列有内容，最远到第 {row} 行、第 {column} 列 (content beyond column FZ or row {MAX_ROW})",
            "删去表格以外的行和列，用 Excel 另存为 .xlsx (delete rows and columns outside of the table, save in Excel)",
        )
    for part in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
        if b"<!DOCTYPE" in book.read(part):
            _refuse(path, "工作簿含有 DOCTYPE，不读 (a DOCTYPE in the workbook)", "")
    targets = {
        e.attrib["Id"]: e.attrib["Target"]
        for e in ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))  # noqa: S314  (no DOCTYPE)
    }
    found = {}
    for element in ElementTree.fromstring(book.read("xl/workbook.xml")).iter():  # noqa: S314
        if element.tag.endswith("}sheet"):
            target = targets[element.attrib[_RELATION]]
            name = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            if "worksheets/" in name:
                found[element.attrib["name"]] = book.read(name)
    return found


def _scanned(name: str, rows: list[list[Any]], xml: bytes, merges: list[Any]) -> RawSheet:
    errors = {_place(m[1]): m[2].decode() for m in _ERROR.finditer(xml)} if b't="e"' in xml else {}
    empty = {_place(m[1]) for m in _FORMULA.finditer(xml)} if b"<f" in xml or b":f" in xml else set()
    hidden = tuple(int(m[1]) - 1 for m in _HIDDEN_ROW.finditer(xml)) if b"hidden=" in xml else ()
    merged: set[tuple[int, int]] = set()
    for (top, left), (bottom, _right) in merges:
        if top >= len(rows) or left >= len(rows[top]) or bottom == top:
            continue
        for row in range(top + 1, min(bottom + 1, len(rows))):
            rows[row][left] = rows[top][left]
            merged.add((row, left))
    return RawSheet(name, rows, errors, empty, hidden, merged=merged)


def _place(reference: bytes) -> tuple[int, int]:
    text = reference.decode()
    name = text.rstrip("0123456789")
    column = 0
    for char in name:
        column = column * 26 + ord(char) - 64
    return int(text[len(name) :]) - 1, column - 1


def _folder(path: Path) -> list[RawSheet]:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() == ".csv")
    if not files:
        _refuse(path, "文件夹里应有 设备.csv 等，实际没有 (expected CSV files, found none)", "")
    sheets = []
    for file in files:
        sheet = _csv(file, file.stem, _bytes(file))
        sheet.file = str(file)
        sheets.append(sheet)
    return sheets


def _csv(path: Path, name: str, raw: bytes) -> RawSheet:
    text, notes = _decoded(path, raw)
    if "\x00" in text:
        _refuse(path, "应为 CSV 文本，实为二进制内容 (binary content)", "另存为 CSV UTF-8 (save as CSV UTF-8)")
    head = next((line for line in text.split("\n", 20)[:20] if any(c in line for c in ",\t;")), "")  # titles have none
    separator = max(",\t;", key=head.count)
    if separator != "," and head.count(separator):
        notes.append(f"分隔符 {separator!r} (separator)")
    used = separator if head.count(separator) else ","
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=used, strict=True)
    try:
        rows: list[list[Any]] = [[_unquoted(c) for c in r] for r in lines]
    except csv.Error as err:
        _refuse(path, f"应为 CSV，读不出来: {err} (not CSV)", "另存为 CSV UTF-8 (save as CSV UTF-8)")
    return RawSheet(name, rows, notes=tuple(notes))


def _decoded(path: Path, raw: bytes) -> tuple[str, list[str]]:
    attempts = ["utf-16"] if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "gb18030"]
    for encoding in attempts:
        try:
            return raw.decode(encoding), [] if encoding == "utf-8-sig" else [f"编码 {encoding.upper()} (encoding)"]
        except UnicodeDecodeError:
            continue
    _refuse(path, "应为 UTF-8 或 GB18030 文本，实为别的编码 (unknown encoding)", "另存为 CSV UTF-8 (save as CSV UTF-8)")


def _unquoted(cell: str) -> str:
    """Excel's ways to keep a text a text in CSV: ="00123" and a leading apostrophe."""
    if cell[:2] == '="' and cell.endswith('"') and len(cell) > 2:
        return cell[2:-1]
    return cell[1:] if cell[:1] == "'" and cell[1:2] in tuple("=+-@'") else cell


def _refuse(path: Path, message: str, fix: str) -> NoReturn:
    raise ConfigError([Problem(str(path), "", message, fix)])
