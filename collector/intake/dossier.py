"""产品档案: everything that was accepted about one batch, and the batches it came from and went into. And empty forms to fill in.

In: `Known`, a batch id. Out: `Dossier`: rows by kind as (Chinese header, text), times in plant time; relatives in both directions, any
number of steps. Or: CSV and xlsx templates made from config/record_kinds.py.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from collector.intake.known import Cells, Known
from config.record_kinds import KINDS, Column, Kind

GUIDE = "说明"
TYPES = {
    "text": "文字",
    "id": "编号",
    "time": "日期加时刻",
    "day": "日期",
    "integer": "整数",
    "decimal": "数",
    "money": "金额（元）",
    "flag": "是 或 否",
}


@dataclass(frozen=True, slots=True)
class Dossier:
    """rows: kind -> rows, each column id -> text. before, after: batches it came from, went into, with how (split, merge, rework)."""

    batch_id: str
    rows: Mapping[str, tuple[Mapping[str, str], ...]]
    before: tuple[tuple[str, str], ...]
    after: tuple[tuple[str, str], ...]


def dossier(known: Known, batch_id: str, tz: timezone) -> Dossier | None:
    """The file of a batch; None when no such batch was accepted."""
    if (batch_id,) not in known.of(KINDS["batches"]):
        return None
    rows: dict[str, tuple[Mapping[str, str], ...]] = {}
    for kind in KINDS.values():
        named = [
            i for i, c in enumerate(kind.columns) if c.link == "batch" or (kind.name, c.name) == ("batches", "batch_id")
        ]
        if named:
            own = [cells for cells in known.of(kind).values() if any(cells[i] == batch_id for i in named)]
            found = tuple(_told(kind, cells, tz) for cells in sorted(own, key=lambda c: _moment(kind, c)))
            rows |= {kind.name: found} if found else {}
    orders = known.of(KINDS["orders"])
    order = rows["batches"][0].get("order_id", "")
    if (order,) in orders:
        rows["orders"] = (_told(KINDS["orders"], orders[(order,)], tz),)
    return Dossier(batch_id, rows, _relatives(known, batch_id, up=True), _relatives(known, batch_id, up=False))


def _relatives(known: Known, batch_id: str, *, up: bool) -> tuple[tuple[str, str], ...]:
    links = KINDS["links"]
    names = [c.name for c in links.columns]
    near, far = ("child", "parent") if up else ("parent", "child")
    a, b, how = names.index(near), names.index(far), names.index("kind")
    words = {w[0]: w[1] for w in links.column["kind"].words}
    found: dict[str, str] = {}
    todo = [batch_id]
    while todo:
        one = todo.pop()
        for cells in known.of(links).values():
            if cells[a] == one and cells[b] not in found and cells[b] != batch_id:
                found[cells[b]] = words[cells[how]]
                todo.append(cells[b])
    return tuple(sorted(found.items()))


def _told(kind: Kind, cells: Cells, tz: timezone) -> dict[str, str]:
    return {c.name: shown(c, text, tz) for c, text in zip(kind.columns, cells, strict=True)}


def shown(column: Column, text: str, tz: timezone) -> str:
    """A canonical cell for people: plant time, the Chinese word, 是 or 否."""
    if not text:
        return ""
    if column.type == "time":
        return datetime.fromisoformat(text).astimezone(tz).isoformat(sep=" ", timespec="auto")
    if column.type == "flag":
        return "是" if text == "1" else "否"
    if column.type == "word":
        return next((w[1] for w in column.words if w[0] == text and len(w) > 1), text)
    return text


def _moment(kind: Kind, cells: Cells) -> str:
    return next((cells[i] for i, c in enumerate(kind.columns) if c.type == "time" and cells[i]), "")


def template_csv(kind: Kind) -> bytes:
    """The header row with a BOM, so that Chinese Excel opens it as UTF-8."""
    return ("\ufeff" + ",".join(c.zh for c in kind.columns) + "\r\n").encode()


def template_xlsx() -> bytes:
    """A workbook: a guide, and a sheet for every kind."""
    from openpyxl import Workbook  # noqa: PLC0415 - only for templates

    book = Workbook(write_only=True)
    guide = book.create_sheet(GUIDE)
    for line in guide_rows():
        guide.append(line)
    for kind in KINDS.values():
        sheet = book.create_sheet(kind.zh)
        sheet.freeze_panes = "A2"
        sheet.append([c.zh for c in kind.columns])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def guide_rows() -> list[tuple[str, ...]]:
    """What stands on the guide's sheet: every column, what it takes, whether it must be filled."""
    rows: list[tuple[str, ...]] = [("工作表", "列", "须填", "填什么", "说明")]
    for kind in KINDS.values():
        for n, column in enumerate(kind.columns):
            what = "、".join(w[1] if len(w) > 1 else w[0] for w in column.words) or TYPES[column.type]
            rows.append((kind.zh, column.zh, "是" if column.required else "", what, kind.note if n == 0 else ""))
    return rows
