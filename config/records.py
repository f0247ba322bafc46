"""生产记录: batches, operations, material lots, inspections and shipments as a plant's MES or clerk exports them.

In: a folder of five CSV files (docs/format/records.md) and the register they refer to. Out: `RecordSet`, frozen rows,
times as microseconds UTC. Refuses the whole import, every error at once, each with file, line and column: files that
are missing or not text, unknown or missing columns, values that cannot be read, keys given twice, links to a batch,
process or device that does not exist. What is merely absent (no lot, no inspection) is not refused: 批次追溯率 counts it.

Errors: `ConfigError` (exit code 4). Encodings: UTF-8 with or without BOM, else GB18030 (what Chinese Excel writes).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, NoReturn, TypeVar, cast

from config.errors import ConfigError, Problem
from config.register import Register

Result = Literal["pass", "fail"]
ShipmentKind = Literal["pack", "stock", "ship"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """批次. `closed_us` None: still open. `trial`: 试制, flagged beforehand, outside 批次追溯率. `quantity` as decimal text."""

    batch_id: str
    product: str
    quantity: str
    closed_us: int | None
    trial: bool


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """工序执行. `end_us` None: not finished. `operator`: person or shift; `program`: program or recipe number; both may be empty."""

    batch_id: str
    process_id: str
    device_id: str
    start_us: int
    end_us: int | None
    operator: str
    program: str


@dataclass(frozen=True, slots=True)
class LotRecord:
    """物料批: an input lot of a batch. `supplier_lot` may be empty (and then the batch is not traceable)."""

    batch_id: str
    item: str
    lot_id: str
    supplier_lot: str


@dataclass(frozen=True, slots=True)
class InspectionRecord:
    """检验."""

    batch_id: str
    process_id: str
    at_us: int
    result: Result


@dataclass(frozen=True, slots=True)
class ShipmentRecord:
    """出入库. `document` (单据号) may be empty."""

    batch_id: str
    at_us: int
    kind: ShipmentKind
    document: str


@dataclass(frozen=True, slots=True)
class RecordSet:
    """One import. Rows in the order of the files; `rev` is given when the import is applied (0 before)."""

    batches: tuple[BatchRecord, ...]
    operations: tuple[OperationRecord, ...]
    lots: tuple[LotRecord, ...]
    inspections: tuple[InspectionRecord, ...]
    shipments: tuple[ShipmentRecord, ...]
    rev: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Rows per file name: what a `records` leaf states."""
        return {
            "batches.csv": len(self.batches),
            "operations.csv": len(self.operations),
            "lots.csv": len(self.lots),
            "inspections.csv": len(self.inspections),
            "shipments.csv": len(self.shipments),
        }


COLUMNS: dict[str, tuple[str, ...]] = {
    "batches.csv": ("batch_id", "product", "quantity", "closed_at", "trial"),
    "operations.csv": ("batch_id", "process_id", "device_id", "start", "end", "operator", "program"),
    "lots.csv": ("batch_id", "item", "lot_id", "supplier_lot"),
    "inspections.csv": ("batch_id", "process_id", "at", "result"),
    "shipments.csv": ("batch_id", "at", "kind", "document"),
}


def parse_records(folder: Path, register: Register) -> RecordSet:
    """The five files of `folder`, checked against `register`. Errors: `ConfigError` with every problem found."""
    problems: list[Problem] = []
    tz = register.calendar.tz
    batches = [_batch(r, tz) for r in _rows(folder, "batches.csv", problems)]
    operations = [_operation(r, tz) for r in _rows(folder, "operations.csv", problems)]
    lots = [_lot(r) for r in _rows(folder, "lots.csv", problems)]
    inspections = [_inspection(r, tz) for r in _rows(folder, "inspections.csv", problems)]
    shipments = [_shipment(r, tz) for r in _rows(folder, "shipments.csv", problems)]

    known = {
        "batch_id": ("批次", {r.batch_id for _, r in batches}),
        "process_id": ("工序", {p.id for p in register.processes}),
        "device_id": ("设备", set(register.device)),
    }
    _check_keys(batches, lambda r: (r.batch_id,), "batch_id")
    _check_keys(operations, lambda r: (r.batch_id, r.process_id, r.device_id, r.start_us), "start")
    _check_keys(lots, lambda r: (r.batch_id, r.item, r.lot_id), "lot_id")
    _check_keys(inspections, lambda r: (r.batch_id, r.process_id, r.at_us), "at")
    _check_keys(shipments, lambda r: (r.batch_id, r.at_us, r.kind), "kind")
    for row, _ in (*operations, *lots, *inspections, *shipments):
        row.check_links(known)
    if problems:
        raise ConfigError([_placed(p, folder) for p in sorted(problems, key=_reading_order)])
    return RecordSet(
        tuple(r for _, r in batches),
        tuple(r for _, r in operations),
        tuple(r for _, r in lots),
        tuple(r for _, r in inspections),
        tuple(r for _, r in shipments),
    )


class _Row:
    """One line of a file: its cells, and where to report what is wrong with them."""

    __slots__ = ("_cells", "_problems", "file", "number")

    def __init__(self, file: str, number: int, cells: dict[str, str], problems: list[Problem]) -> None:
        self.file = file
        self.number = number
        self._cells = cells
        self._problems = problems

    def report(self, column: str, message: str, fix: str = "") -> None:
        self._problems.append(Problem(f"{self.file}:{self.number}", column, message, fix))

    def optional(self, column: str) -> str:
        return self._cells[column]

    def text(self, column: str) -> str:
        value = self._cells[column]
        if not value:
            self.report(column, "不能为空 (expected a value, found none)")
        return value

    def one_of(self, column: str, allowed: tuple[str, ...]) -> str:
        value = self._cells[column]
        if value not in allowed:
            words = "、".join(allowed)
            self.report(column, f"应为 {words} 之一，实为 {value!r} (expected one of {', '.join(allowed)})")
            return allowed[0]
        return value

    def number_text(self, column: str) -> str:
        value = self._cells[column]
        try:
            if value and not (Decimal(value).is_finite() and Decimal(value) >= 0):
                raise InvalidOperation
        except InvalidOperation:
            self.report(column, f"应为不小于 0 的数，实为 {value!r} (expected a number >= 0)")
        return value

    def time_us(self, column: str, tz: timezone) -> int:
        value = self.text(column)
        return self._parsed_us(column, value, tz) if value else 0

    def optional_time_us(self, column: str, tz: timezone) -> int | None:
        value = self._cells[column]
        return self._parsed_us(column, value, tz) if value else None

    def _parsed_us(self, column: str, value: str, tz: timezone) -> int:
        try:
            at = datetime.fromisoformat(value)
            if len(value) <= len("2026-10-01"):
                raise ValueError("a day without a time")
        except ValueError:
            self.report(
                column,
                f"应为时间，实为 {value!r} (expected ISO 8601 such as 2026-10-01T08:30:00+08:00)",
                "写成 2026-10-01T08:30:00，无时区即按厂区时间 (without an offset it is plant time)",
            )
            return 0
        return int(((at if at.tzinfo else at.replace(tzinfo=tz)) - EPOCH) / timedelta(microseconds=1))

    def check_links(self, known: dict[str, tuple[str, set[str]]]) -> None:
        sources = {"batch_id": "batches.csv", "process_id": "台账 process", "device_id": "台账 device"}
        for column, (word, ids) in known.items():
            value = self._cells.get(column)
            if value and value not in ids:
                self.report(
                    column,
                    f"没有这个{word}：{value!r} (no such {column.removesuffix('_id')})",
                    f"在 {sources[column]} 中补上，或改正这一行 (add it there, or correct this row)",
                )


R = TypeVar("R")


def _check_keys(rows: list[tuple[_Row, R]], key: Callable[[R], tuple[str | int, ...]], column: str) -> None:
    seen: dict[tuple[str | int, ...], int] = {}
    for row, record in rows:
        first = seen.setdefault(key(record), row.number)
        if first != row.number:
            row.report(
                column,
                f"与第 {first} 行重复 (same key as line {first})",
                "删去其中一行，或改正编号 (remove or correct one)",
            )


def _batch(row: _Row, tz: timezone) -> tuple[_Row, BatchRecord]:
    return row, BatchRecord(
        row.text("batch_id"),
        row.text("product"),
        row.number_text("quantity"),
        row.optional_time_us("closed_at", tz),
        row.one_of("trial", ("0", "1")) == "1",
    )


def _operation(row: _Row, tz: timezone) -> tuple[_Row, OperationRecord]:
    return row, OperationRecord(
        row.text("batch_id"),
        row.text("process_id"),
        row.text("device_id"),
        row.time_us("start", tz),
        row.optional_time_us("end", tz),
        row.optional("operator"),
        row.optional("program"),
    )


def _lot(row: _Row) -> tuple[_Row, LotRecord]:
    return row, LotRecord(row.text("batch_id"), row.text("item"), row.text("lot_id"), row.optional("supplier_lot"))


def _inspection(row: _Row, tz: timezone) -> tuple[_Row, InspectionRecord]:
    result = cast(Result, row.one_of("result", ("pass", "fail")))
    return row, InspectionRecord(row.text("batch_id"), row.text("process_id"), row.time_us("at", tz), result)


def _shipment(row: _Row, tz: timezone) -> tuple[_Row, ShipmentRecord]:
    kind = cast(ShipmentKind, row.one_of("kind", ("pack", "stock", "ship")))
    return row, ShipmentRecord(row.text("batch_id"), row.time_us("at", tz), kind, row.optional("document"))


def _rows(folder: Path, name: str, problems: list[Problem]) -> Iterator[_Row]:
    """The lines of one file that can be read at all; what cannot goes to `problems`."""
    columns = COLUMNS[name]
    try:
        reader = csv.reader(io.StringIO(_text(folder / name), newline=""), strict=True)
        header = [c.strip() for c in next(reader, [])]
        if not _header_fits(name, header, columns, problems):
            return
        for cells in reader:
            if not any(c.strip() for c in cells):
                continue
            if len(cells) != len(header):
                problems.append(
                    Problem(
                        f"{name}:{reader.line_num}",
                        "",
                        f"应有 {len(header)} 列，实有 {len(cells)} 列 (expected {len(header)} cells, found {len(cells)})",
                    )
                )
                continue
            yield _Row(name, reader.line_num, dict(zip(header, (c.strip() for c in cells), strict=True)), problems)
    except csv.Error as err:
        problems.append(Problem(name, "", f"不是 CSV：{err} (not CSV)"))
    except ConfigError as err:
        problems += err.problems


def _header_fits(name: str, header: list[str], columns: tuple[str, ...], problems: list[Problem]) -> bool:
    before = len(problems)
    where = f"{name}:1"
    wanted = "、".join(columns)
    for column in columns:
        if column not in header:
            problems.append(Problem(where, column, f"缺这一列 (missing column); 应有列 {wanted}"))
    for column in sorted(set(header)):
        if column not in columns:
            problems.append(
                Problem(where, column, f"不认识的列 (unknown column); 应有列 {wanted}", "删去或改名 (remove or rename)")
            )
        elif header.count(column) > 1:
            problems.append(Problem(where, column, "这一列出现多次 (column given twice)"))
    return len(problems) == before


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        _refuse(
            path.name,
            "没有这个文件 (no such file)",
            f"在 {path.parent} 中放好五个 CSV，没有内容的也要有表头 (header required)",
        )
    except OSError as err:
        _refuse(path.name, f"读不出来：{err.strerror} (cannot be read)", "")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    _refuse(path.name, "不是 UTF-8 或 GB18030 文本 (not text in UTF-8 or GB18030)", "在 Excel 中另存为 CSV UTF-8")


def _refuse(file: str, message: str, fix: str) -> NoReturn:
    raise ConfigError([Problem(file, "", message, fix)])


def _placed(problem: Problem, folder: Path) -> Problem:
    """The folder as the file, `batches.csv:12 closed_at` as the place in it."""
    return Problem(str(folder), f"{problem.file} {problem.where}".rstrip(), problem.message, problem.fix)


def _reading_order(problem: Problem) -> tuple[int, int]:
    name, _, number = problem.file.partition(":")
    return list(COLUMNS).index(name), int(number or 0)
