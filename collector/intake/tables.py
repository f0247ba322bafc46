"""A delivery of records as bytes -> tables: CSV (UTF-8 or GB18030), xlsx (a sheet per kind) or JSON.

In: `Delivery`: a name, bytes, the form they are in. Out: `Table`s whose headers were understood (config/record_rows.py).
Refuses the whole delivery (`ConfigError`, every problem at once): bytes that are no such table. Single rows are never refused here.
A workbook's sheets named 说明… are guides and are passed over; its merged cells stand for each of the rows they cover.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from config.errors import ConfigError, Problem
from config.record_kinds import KINDS, Kind
from config.record_rows import MAX_COLUMNS, Numbered, Table, columns_of, kind_named, read_table
from config.tables.extent import WORKBOOK, farthest

Form = Literal["csv", "xlsx", "json"]
MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED = 512 * 1024 * 1024
MAX_ROWS = 500_000
MAX_CELLS = 10_000_000  # a sheet is read as a rectangle: one stray cell far out makes it 80 million
GUIDE = "说明"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Delivery:
    """Bytes somebody handed in. kind: what they are, where it is known; else name, sheet or header say so."""

    name: str
    raw: bytes
    form: Form
    kind: str | None = None

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the bytes: what rows are traced back to."""
        return hashlib.sha256(self.raw).hexdigest()


def delivery_of_file(path: Path, kind: str | None = None) -> Delivery:
    """A file. Errors: `ConfigError` for one that cannot be read, or is too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            message = f"应不超过 {MAX_BYTES >> 20} MiB，实有 {path.stat().st_size >> 20} MiB (file too large)"
            raise ConfigError([Problem(str(path), "", message, "按月分成几个文件 (split it by month)")])
        raw = path.read_bytes()
    except OSError as err:
        found = (
            "没有这个文件 (no such file)"
            if isinstance(err, FileNotFoundError)
            else f"读不出来：{err.strerror} (unreadable)"
        )
        raise ConfigError([Problem(str(path), "", found)]) from err
    name = path.name.encode(errors="replace").decode()  # a name in GBK, as an old file server writes it
    return Delivery(name, raw, form_of(path.name, raw), kind)


def form_of(name: str, raw: bytes) -> Form:
    """xlsx by its first bytes, JSON by the file's name, else CSV."""
    if raw.startswith(_ZIP):
        return "xlsx"
    return "json" if name.lower().endswith(".json") else "csv"


def tables(delivery: Delivery) -> list[Table]:
    """Every table of the delivery. Errors: `ConfigError` with every problem found."""
    kind = _kind(delivery)
    match delivery.form:
        case "csv":
            found = [_csv(delivery, kind)]
        case "xlsx":
            found = _xlsx(delivery, kind)
        case "json":
            found = _json(delivery, kind)
    count = sum(len(t.rows) for t in found)
    if count > MAX_ROWS:
        raise _refusal(delivery, f"应不超过 {MAX_ROWS} 行，实有 {count} 行 (too many rows)", "分成几个文件 (split it)")
    return found


def _kind(delivery: Delivery) -> Kind | None:
    if delivery.kind is None:
        return kind_named(Path(delivery.name).name)
    try:
        return KINDS[delivery.kind]
    except KeyError:
        known = "、".join(f"{k.name}（{k.zh}）" for k in KINDS.values())
        raise _refusal(delivery, f"没有这种记录：{delivery.kind!r} (no such kind)", f"可用：{known}") from None


def _csv(delivery: Delivery, kind: Kind | None) -> Table:
    text = _text(delivery)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Numbered] = []
    try:
        for cells in reader:
            rows.append((reader.line_num, tuple(cells)))
    except csv.Error as err:
        where = f"第 {reader.line_num} 行附近 (near line {reader.line_num})"
        raise _refusal(
            delivery, f"不是 CSV：{err}，{where} (not CSV)", "多半是引号没有成对 (an unclosed quote)"
        ) from err
    return read_table(rows, delivery.name, kind)


def _text(delivery: Delivery) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = delivery.raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    fix = "在 Excel 中另存为 CSV UTF-8，或直接交 xlsx (save as CSV UTF-8, or hand in the xlsx)"
    raise _refusal(delivery, "不是 UTF-8 或 GB18030 文本，也不是 xlsx (not text in UTF-8 or GB18030)", fix)


def _xlsx(delivery: Delivery, named: Kind | None) -> list[Table]:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError  # noqa: PLC0415 - only for workbooks

    found, problems = [], []
    try:
        with zipfile.ZipFile(io.BytesIO(delivery.raw)) as archive:
            _not_too_large(delivery, archive)
        book = CalamineWorkbook.from_filelike(io.BytesIO(delivery.raw))
        for name in book.sheet_names:
            if name.startswith(GUIDE):
                continue
            sheet = book.get_sheet_by_name(name)
            rows = _sheet(sheet)
            if not rows:
                continue
            try:
                found.append(read_table(rows, f"{delivery.name}!{name}", kind_named(name) or named))
            except ConfigError as err:
                problems += err.problems
    except PasswordError as err:
        raise _refusal(delivery, "工作簿设了密码 (the workbook has a password)", "去掉密码再交 (remove it)") from err
    except (
        CalamineError,
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as err:
        raise _refusal(
            delivery, f"不是能读的 xlsx：{err} (not a readable xlsx)", "在 Excel 中另存为 xlsx (save it again)"
        ) from err
    if not found and not problems:
        raise _refusal(delivery, "工作簿里没有内容 (the workbook is empty)", "")
    if problems:
        raise ConfigError(problems)
    return found


def _not_too_large(delivery: Delivery, archive: zipfile.ZipFile) -> None:
    """Refuse before anything is unpacked as a whole. Errors: `ConfigError`."""
    unpacked = sum(i.file_size for i in archive.infolist())
    if unpacked > MAX_UNPACKED:
        message = f"解开后有 {unpacked >> 20} MiB，太大 (too large when unpacked)"
        raise _refusal(delivery, message, "分成几个文件 (split it)")
    if WORKBOOK not in archive.namelist():
        message = "是压缩包或别的文档，不是 xlsx (a zip or another document, not an xlsx)"
        raise _refusal(delivery, message, "在 Excel 中另存为 xlsx (save it again)")
    height, width = farthest(archive)
    if height > MAX_ROWS or width > MAX_COLUMNS or height * width > MAX_CELLS:
        message = f"表太大，有 {height} 行 {width} 列 (sheet of {height} x {width} cells)"
        fix = "多半是远处有一格没清空：删去表格右边、下面的空行空列再存 (delete the empty rows and columns around it)"
        raise _refusal(delivery, message, fix)


def _sheet(sheet: Any) -> list[Numbered]:
    """Rows that are not empty, numbered as Excel numbers them; merged cells repeated over their rows."""
    grid = [[_cell(v) for v in row] for row in sheet.to_python(skip_empty_area=False)]
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        if left == right and bottom < len(grid):  # a cell merged across columns is a title
            for row in grid[top + 1 : bottom + 1]:
                row[left] = row[left] or grid[top][left]
    return [(i, tuple(row)) for i, row in enumerate(grid, 1) if any(c.strip() for c in row)]


def _cell(value: Any) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case float():  # Excel shows 15 digits; those behind them are the binary fraction's
            return format(Decimal(format(value, ".15g")).normalize(), "f")
        case datetime():  # and stores moments as fractions of a day
            return (
                (value + timedelta(microseconds=500)).replace(microsecond=0).isoformat(sep=" ")
                if (value.microsecond < 1000 or value.microsecond >= 999_000)
                else value.isoformat(sep=" ")
            )
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _json(delivery: Delivery, named: Kind | None) -> list[Table]:
    try:
        body = json.loads(
            delivery.raw.decode("utf-8-sig"),
            object_pairs_hook=_unique,
            parse_float=str,
            parse_int=str,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as err:
        raise _refusal(delivery, f"不是 JSON：{err} (not JSON)", "") from err
    kind, rows = named, body
    if isinstance(body, dict):
        unknown = sorted(set(body) - {"kind", "rows"})
        if unknown:
            raise _refusal(delivery, f"不认识的键 {unknown[0]!r} (unknown key)", '应为 {"kind": …, "rows": […]}')
        kind = _kind(Delivery(delivery.name, b"", "json", body["kind"])) if isinstance(body.get("kind"), str) else named
        rows = body.get("rows")
    if delivery.kind is not None and kind is not named:
        raise _refusal(delivery, f"应为 {delivery.kind}，正文却写 {body['kind']!r} (kind differs from the address)", "")
    if kind is None:
        raise _refusal(delivery, "没写记录种类 (no kind)", '写成 {"kind": "batches", "rows": […]}')
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise _refusal(
            delivery, "rows 应为对象的列表 (expected rows to be a list of objects)", '{"rows": [{"batch_id": …}]}'
        )
    return [_json_table(delivery, kind, rows)]


def _json_table(delivery: Delivery, kind: Kind, rows: list[dict[str, Any]]) -> Table:
    heads = tuple(dict.fromkeys(name for row in rows for name in row))
    columns = columns_of(kind, heads, delivery.name) if rows else ()
    if None in columns or len(columns) != len(heads):
        raise _refusal(delivery, "有空的键名 (a key without a name)", "")
    problems, numbered = [], []
    for i, row in enumerate(rows, 1):
        for name, value in row.items():
            if not (value is None or isinstance(value, str | bool)):
                message = "应为文字、数、真假或空 (expected text, number, true, false or null)"
                problems.append(Problem(delivery.name, f"rows[{i - 1}].{name}", message))
        numbered.append((i, tuple(_json_cell(row.get(name)) for name in heads)))
    if problems:
        raise ConfigError(problems)
    return Table(kind, delivery.name, columns, tuple(numbered))


def _json_cell(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key given twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _refusal(delivery: Delivery, message: str, fix: str) -> ConfigError:
    return ConfigError([Problem(delivery.name, "", message, fix)])
