"""生产记录 as tables: which kind a table is, which column is which, and its rows in canonical text.

In: a table as somebody handed it in (a sheet, a CSV, a JSON list: rows of text) and config/record_kinds.py. Out: `Row`s, each with the
faults of its cells and what was corrected. Headers go by the column's id, its Chinese name or a synonym, in any order, under title rows.
Refuses the whole table (`ConfigError`, every problem): no known header, unknown or repeated columns, a key column missing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timezone
from functools import lru_cache

from config.errors import ConfigError, Problem
from config.record_cells import CellError, folded, take
from config.record_kinds import KINDS, Kind

REMARKS = (
    "隔离原因",
    "来源文件",
    "来源行",
)  # columns of our own list of quarantined rows, passed over when it is handed in again
REMARK = "#remark"
WORDS = 300  # of a fault; the cell itself is kept as it is
MAX_COLUMNS = 200  # no kind has a tenth of it
TITLE_ROWS = 10  # a header is looked for in the first so many rows that are not empty
Numbered = tuple[int, tuple[str, ...]]  # the row's number in its file, its cells


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose header was understood. place: file or sheet, for messages. columns: the kind's column of each cell, None: empty
    head."""

    kind: Kind
    place: str
    columns: tuple[str | None, ...]
    rows: tuple[Numbered, ...]
    skipped: tuple[int, ...] = ()  # title rows above the header


@dataclass(frozen=True, slots=True)
class Correction:
    """A cell that was taken in another form than it was written in."""

    number: int
    column: str
    found: str
    taken: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is not taken: a code of docs/records.md, the column it is about, words for a person."""

    code: str
    column: str
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row. raw: the cells as found, by column; cells: canonical text in the order of the kind's columns ("" where empty or faulty)."""

    kind: Kind
    number: int
    raw: dict[str, str]
    cells: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    corrections: tuple[Correction, ...] = ()


def kind_named(name: str) -> Kind | None:
    """The kind a sheet or file is named after: its name begins with the kind's id or Chinese name (the longest such)."""
    text = folded(name)
    fitting = [(len(n), kind) for n, kind in _names() if text.startswith(n)]
    return max(fitting, key=lambda f: f[0])[1] if fitting else None


def read_table(rows: Sequence[Numbered], place: str, kind: Kind | None) -> Table:
    """Find the header, check it. kind None: the one kind the header fits. Errors: `ConfigError`."""
    filled = [(n, cells) for n, cells in rows if any(c.strip() for c in cells)]
    top = filled[:TITLE_ROWS]
    if not top:
        raise ConfigError(
            [Problem(place, "", "空表，没有表头 (expected a header row, found nothing)", _template(kind))]
        )
    if kind is None:
        kind = _kind_of_header(top, place)
    at = _header_at(top, kind)
    if at is None:
        shown = "、".join(c.strip() for c in top[0][1] if c.strip())[:120]
        message = f"找不到“{kind.zh}”的表头，第一行是：{shown} (no header of {kind.name} found)"
        raise ConfigError([Problem(place, "", message, _template(kind))])
    number, heads = top[at]
    columns = _columns(kind, heads, f"{place}:{number}")
    return Table(kind, place, columns, tuple(filled[at + 1 :]), tuple(n for n, _ in top[:at]))


def rows_of(table: Table, tz: timezone) -> Iterator[Row]:
    """Every row of the table that is not empty, in order."""
    width = len(table.columns)
    places = {name: i for i, name in enumerate(table.columns) if name is not None and name != REMARK}
    order = [(c, places.get(c.name)) for c in table.kind.columns]
    for number, given in table.rows:
        cells = given
        if len(cells) > width and not any(c.strip() for c in cells[width:]):
            cells = cells[:width]
        if len(cells) != width:
            words = f"应有 {width} 列，实有 {len(cells)} 列 (expected {width} cells, found {len(cells)})"
            raw = {table.columns[i] or f"#{i + 1}" if i < width else f"#{i + 1}": c for i, c in enumerate(cells)}
            yield Row(table.kind, number, raw, ("",) * len(order), (Fault("cells", "", words),))
            continue
        taken, faults, corrections = [], [], []
        for column, i in order:
            cell = cells[i] if i is not None else ""
            if not cell:
                taken.append("")
                continue
            try:
                found = take(column, cell, tz)
            except CellError as err:
                faults.append(Fault("value", column.name, f"{column.zh}：{err}"[:WORDS]))
                taken.append("")
                continue
            taken.append(found.text)
            if found.corrected:
                corrections.append(Correction(number, column.name, cell, found.text))
        raw = {name: cells[i] for name, i in places.items()}
        raw |= {f"#{i + 1}": c for i, c in enumerate(cells) if table.columns[i] is None and c.strip()}
        stray = [k for k in raw if k.startswith("#")]
        if stray:
            faults.append(Fault("cells", "", "没有表头的列里有内容 (a cell stands under no header)"))
        yield Row(table.kind, number, raw, tuple(taken), tuple(faults), tuple(corrections))


def columns_of(kind: Kind, names: Iterable[str], place: str) -> tuple[str | None, ...]:
    """The kind's column of each name of a header. Errors: `ConfigError`."""
    return _columns(kind, tuple(names), place)


def _columns(kind: Kind, heads: tuple[str, ...], place: str) -> tuple[str | None, ...]:
    known = _headers(kind)
    wanted = "、".join(f"{c.zh}（{c.name}）" for c in kind.columns)
    found: list[str | None] = []
    problems = []
    if sum(bool(head.strip()) for head in heads) > MAX_COLUMNS:
        message = f"应不超过 {MAX_COLUMNS} 列，实有 {len(heads)} 列 (too many columns); 应有列 {wanted}"
        raise ConfigError([Problem(place, "", message, _template(kind))])
    for head in heads:
        name = known.get(folded(head))
        if not head.strip() or folded(head) in REMARKS:
            found.append(REMARK if head.strip() else None)
            continue
        if name is None:
            near = difflib.get_close_matches(folded(head), known, 1)
            guess = (
                f"您是不是要写 {kind.column[known[near[0]]].zh}? (did you mean it?)"
                if near
                else "删去或改名 (remove or rename)"
            )
            problems.append(Problem(place, head.strip()[:60], f"不认识的列 (unknown column); 应有列 {wanted}", guess))
        elif name in found:
            problems.append(
                Problem(place, head.strip(), f"这一列出现多次：{kind.column[name].zh} (column given twice)")
            )
        found.append(name)
    for key in kind.key:
        if key not in found and kind.column[key].required:
            message = f"缺这一列：{kind.column[key].zh} (missing column); 应有列 {wanted}"
            problems.append(Problem(place, key, message, _template(kind)))
    if problems:
        raise ConfigError(problems)
    while found and found[-1] is None:
        found.pop()
    return tuple(found)


def _header_at(top: Sequence[Numbered], kind: Kind) -> int | None:
    """The row that holds most headers of the kind, two at least (one, when it stands alone)."""
    known = _headers(kind)
    scores = [sum(folded(c) in known for c in cells) for _, cells in top]
    best = max(scores)
    at = scores.index(best)
    alone = sum(bool(c.strip()) for c in top[at][1]) == 1
    return at if best >= 2 or (best == 1 and alone) else None


def _kind_of_header(top: Sequence[Numbered], place: str) -> Kind:
    fitting = []
    for kind in KINDS.values():
        at = _header_at(top, kind)
        if at is None:
            continue
        heads = {_headers(kind).get(folded(c)) for c in top[at][1] if c.strip()}
        if None not in heads and {c.name for c in kind.columns if c.required} <= heads:
            fitting.append(kind)
    if len(fitting) == 1:
        return fitting[0]
    which = "、".join(k.zh for k in fitting) or "没有一种 (none)"
    message = f"看不出是哪种记录；表头符合：{which} (cannot tell the kind of record from name or header)"
    fix = "用 --kind 指明，或把文件、工作表改名为 批次、工序执行、检验 等 (say --kind, or name it after its kind)"
    raise ConfigError([Problem(place, "", message, fix)])


def _template(kind: Kind | None) -> str:
    if kind is None:
        return "plantproof records template 给出空表 (writes an empty form)"
    return f"第一行应写：{','.join(c.zh for c in kind.columns)} (or: {','.join(c.name for c in kind.columns)})"


@lru_cache(maxsize=64)
def _headers_of(name: str) -> dict[str, str]:
    kind = KINDS[name]
    also = {folded(s): c.name for c in kind.columns for s in c.also}
    return also | {folded(c.zh): c.name for c in kind.columns} | {folded(c.name): c.name for c in kind.columns}


def _headers(kind: Kind) -> dict[str, str]:
    return _headers_of(kind.name)


@lru_cache(maxsize=1)
def _names() -> tuple[tuple[str, Kind], ...]:
    return tuple((folded(n), kind) for kind in KINDS.values() for n in (kind.name, kind.zh))
