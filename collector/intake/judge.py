"""Which rows of a delivery are taken, which only repeat, and which go to quarantine with what reason. Pure.

In: parsed rows, what is known, the register, document ids, now. Out: `Judgement`: every row in exactly one of four places.
In order: 1 cells 2 rows of one key that contradict 3 the row beside what is known of its key: required cells, order of times, conflicts
4 times that cannot be 5 links to the register and to documents 6 orders, then batches, operations, and all others that name them.
A batch may come in the same delivery as its operations, in any order; a row that names a quarantined batch is quarantined with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from collector.intake.known import Cells, Key, Known, comparable, key_places, overlay, widen
from config.record_cells import canonical_time
from config.record_kinds import KINDS, Kind
from config.record_rows import Fault, Row
from config.register import Register

FUTURE = timedelta(minutes=5)  # clocks of MES and plant computer differ that much without anybody being wrong
EARLIEST_DAY, EARLIEST = "2000-01-01", "2000-01-01T00:00:00"
FORWARD_DAYS = frozenset({"due_on", "valid_until", "ended"})  # days that may lie ahead
How = Literal["accepted", "completed", "duplicates"]


@dataclass(frozen=True, slots=True)
class Offered:
    """A row with where it comes from: the first hex digits of the delivery's SHA-256, and the delivery's name."""

    row: Row
    source: str
    name: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that adds something: the first of its key, or one that completes or replaces (replaced: column, before, after)."""

    offered: Offered
    how: How
    replaced: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is kept aside, and why."""

    offered: Offered
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where every row of the delivery went."""

    taken: tuple[Taken, ...]
    duplicates: tuple[Offered, ...]
    quarantined: tuple[Refused, ...]


@dataclass(slots=True)
class _Claim:
    """What the rows of one key say together. merged: laid over what is known."""

    kind: Kind
    key: Key
    rows: list[Offered]
    said: Cells
    known: Cells | None
    merged: Cells
    faults: list[Fault] = field(default_factory=list)

    def cell(self, name: str) -> str:
        return self.merged[[c.name for c in self.kind.columns].index(name)]


@dataclass(frozen=True, slots=True)
class Setting:
    """What rows are judged against."""

    known: Known
    register: Register
    documents: frozenset[str]
    now: datetime
    replacing: bool = False

    @property
    def tz(self) -> timezone:
        """The plant's offset."""
        return self.register.calendar.tz


def judge(offered: Iterable[Offered], setting: Setting) -> Judgement:
    """Every row into accepted or completed (`taken`), duplicates or quarantined."""
    refused: list[Refused] = []
    whole: list[Offered] = []
    for o in offered:
        faults = o.row.faults + _empty_key(o.row)
        (refused.append(Refused(o, faults)) if faults else whole.append(o))
    claims = _claims(whole, setting, refused)
    ids = _register_ids(setting)
    limits = _Limits.at(setting)
    for claim in claims:
        _beside_known(claim, setting.replacing)
        _possible(claim, limits)
        _register_links(claim, ids)
    _production_links(claims, setting)
    taken: list[Taken] = []
    duplicates: list[Offered] = []
    for claim in claims:
        if claim.faults:
            refused += [Refused(o, tuple(claim.faults)) for o in claim.rows]
        else:
            _take(claim, taken, duplicates)
    return Judgement(tuple(taken), tuple(duplicates), tuple(refused))


def _empty_key(row: Row) -> tuple[Fault, ...]:
    if row.faults:
        return ()
    columns = row.kind.columns
    return tuple(
        _empty(columns[i].zh, columns[i].name) for i in key_places(row.kind) if columns[i].required and not row.cells[i]
    )


def _empty(zh: str, name: str) -> Fault:
    return Fault("empty", name, f"{zh}：不能为空 (expected a value, found none)")


def _claims(rows: Iterable[Offered], setting: Setting, refused: list[Refused]) -> list[_Claim]:
    """Rows gathered by key; a key whose rows contradict each other is refused with all its rows."""
    gathered: dict[tuple[str, Key], list[Offered]] = {}
    places = {name: key_places(kind) for name, kind in KINDS.items()}
    for o in rows:
        key = tuple(o.row.cells[i] for i in places[o.row.kind.name])
        gathered.setdefault((o.row.kind.name, key), []).append(o)
    found = []
    for (name, key), same in gathered.items():
        kind = KINDS[name]
        said = same[0].row.cells
        contrary: list[int] = []
        for other in same[1:]:
            contrary += [i for i, (a, b) in enumerate(zip(said, other.row.cells, strict=True)) if a and b and a != b]
            said = overlay(said, other.row.cells)
        if contrary:
            shown = "、".join(kind.columns[i].zh for i in sorted(set(contrary)))
            lines = "、".join(str(o.row.number) for o in same)
            words = f"第 {lines} 行编号相同而内容不一：{shown} (rows of one key contradict each other)"
            fault = Fault("contradiction", kind.columns[contrary[0]].name, words)
            refused += [Refused(o, (fault,)) for o in same]
            continue
        known = setting.known.of(kind).get(key)
        found.append(_Claim(kind, key, same, said, known, overlay(known, said)))
    return found


def _beside_known(claim: _Claim, replacing: bool) -> None:
    """Required cells and the order of times in what is known and said together; conflicts with what is known."""
    for i, column in enumerate(claim.kind.columns):
        if column.required and not claim.merged[i]:
            claim.faults.append(_empty(column.zh, column.name))
        before = claim.known[i] if claim.known else ""
        if before and claim.said[i] and before != claim.said[i] and not replacing:
            words = (
                f"{column.zh}：原已导入 {before}，这里是 {claim.said[i]}；确需更改请用 --replace 并写明原因"
                " (contradicts what was imported; use --replace with a reason)"
            )
            claim.faults.append(Fault("conflict", column.name, words))
    for earlier, later in claim.kind.ordered:
        a, b = claim.cell(earlier), claim.cell(later)
        if a and b and comparable(b) < comparable(a):
            first, second = claim.kind.column[earlier].zh, claim.kind.column[later].zh
            words = f"{second} {b} 早于{first} {a} ({later} before {earlier})"
            claim.faults.append(Fault("order", later, words))


@dataclass(frozen=True, slots=True)
class _Limits:
    """Moments and days between which everything that has happened must lie."""

    latest: str
    latest_day: str
    now: str

    @staticmethod
    def at(setting: Setting) -> _Limits:
        latest = setting.now.astimezone(UTC) + FUTURE
        now = comparable(canonical_time(setting.now))
        return _Limits(comparable(canonical_time(latest)), latest.astimezone(setting.tz).date().isoformat(), now)


def _possible(claim: _Claim, limits: _Limits) -> None:
    for column, cell in zip(claim.kind.columns, claim.said, strict=True):
        if not cell:
            continue
        late = early = False
        if column.type == "time":
            late, early = comparable(cell) > limits.latest, comparable(cell) < EARLIEST
        elif column.type == "day":
            late, early = cell > limits.latest_day and column.name not in FORWARD_DAYS, cell < EARLIEST_DAY
        elif column.name == "year":
            late, early = cell.zfill(4) > limits.latest_day[:4] or len(cell) > 4, cell.zfill(4) < EARLIEST_DAY[:4]
        if late:
            words = f"{column.zh}：{cell} 在将来 (lies in the future)"
            claim.faults.append(Fault("future", column.name, words))
        if early:
            claim.faults.append(Fault("past", column.name, f"{column.zh}：{cell} 早于 2000 年 (before the year 2000)"))
    if claim.kind.name == "batches" and claim.cell("trial") == "1" and comparable(claim.cell("closed_at")) > limits.now:
        # else a batch flagged and closed in one row, minutes ahead of the clock, would be flagged beforehand (M13)
        words = f"试制批的完工时间 {claim.cell('closed_at')} 在将来 (a trial batch closed in the future)"
        claim.faults.append(Fault("future", "closed_at", words))


def _register_ids(setting: Setting) -> Mapping[str, tuple[str, frozenset[str]]]:
    """Link -> (where it should stand, ids there)."""
    register = setting.register
    return {
        "process": ("设备台账的工序", frozenset(x.id for x in register.processes)),
        "device": ("设备台账的设备", frozenset(register.device)),
        "line": ("设备台账的产线", frozenset(x.id for x in register.lines)),
        "scene": ("设备台账的场景", frozenset(x.id for x in register.scenes)),
        "system": ("设备台账的系统", frozenset(x.id for x in register.systems)),
        "interface": ("设备台账的接口", frozenset(x.id for x in register.interfaces)),
        "document": ("材料", setting.documents),
    }


def _register_links(claim: _Claim, ids: Mapping[str, tuple[str, frozenset[str]]]) -> None:
    for column, cell in zip(claim.kind.columns, claim.said, strict=True):
        if cell and column.link in ids and cell not in ids[column.link][1]:
            words = f"{column.zh}：{ids[column.link][0]}中没有 {cell} (no such {column.link})"
            claim.faults.append(Fault("link", column.name, words))


def _production_links(claims: list[_Claim], setting: Setting) -> None:
    """6: orders, then operations beside batches, then all that names a batch."""
    by_kind: dict[str, list[_Claim]] = {}
    for claim in claims:
        by_kind.setdefault(claim.kind.name, []).append(claim)
    orders = _ids("orders", by_kind, setting)
    batches_said = by_kind.get("batches", [])
    for claim in batches_said:
        _names(claim, "order", orders, "工单")
    spans: dict[str, tuple[str, str]] = {}
    operations = by_kind.get("operations", [])
    _after_close(operations, batches_said, setting)
    for claim in operations:
        if not claim.faults:
            widen(spans, claim.kind, claim.merged)
    span = _span_of(spans, setting)
    for claim in batches_said:
        _closed_early(claim, span)
    batches = _ids("batches", by_kind, setting)
    for claim in claims:
        _names(claim, "batch", batches, "批次")
    spans.clear()
    for claim in operations:
        if not claim.faults:
            widen(spans, claim.kind, claim.merged)
    for claim in by_kind.get("inspections", []):
        begun = span(claim.cell("batch_id"))
        if begun and comparable(claim.cell("at")) < begun[0]:
            words = f"检验时间 {claim.cell('at')} 早于批次开工 {begun[0]}Z (inspected before the batch began)"
            claim.faults.append(Fault("before_batch", "at", words))


def _ids(kind: str, by_kind: Mapping[str, list[_Claim]], setting: Setting) -> Callable[[str], bool]:
    known = setting.known.of(KINDS[kind])
    said = {c.key for c in by_kind.get(kind, []) if not c.faults}
    return lambda value: (value,) in known or (value,) in said


def _names(claim: _Claim, link: str, exists: Callable[[str], bool], word: str) -> None:
    if link == "batch" and claim.kind.name == "batches":
        return
    for column, cell in zip(claim.kind.columns, claim.said, strict=True):
        if column.link == link and cell and not exists(cell):
            words = f"{column.zh}：没有这个{word} {cell} (no such {link})"
            claim.faults.append(Fault("link", column.name, words))


def _after_close(operations: list[_Claim], batches_said: list[_Claim], setting: Setting) -> None:
    """An operation after its batch was closed by an earlier delivery (unless this one replaces the time of closing)."""
    anew = {c.key for c in batches_said} if setting.replacing else set()
    batches = KINDS["batches"]
    at = [c.name for c in batches.columns].index("closed_at")
    for claim in operations:
        batch = setting.known.of(batches).get((claim.cell("batch_id"),))
        if batch is None or not batch[at] or (claim.cell("batch_id"),) in anew:
            continue
        last = max(comparable(claim.cell("start")), comparable(claim.cell("end")))
        if last > comparable(batch[at]):
            words = f"工序 {last}Z 在批次完工 {batch[at]} 之后 (operation after its batch was closed)"
            claim.faults.append(Fault("after_close", "end" if claim.cell("end") else "start", words))


def _closed_early(claim: _Claim, span: Callable[[str], tuple[str, str] | None]) -> None:
    closed = claim.cell("closed_at")
    worked = span(claim.cell("batch_id"))
    if closed and worked and comparable(closed) < worked[1]:
        words = f"完工时间 {closed} 早于其工序的 {worked[1]}Z (closed before its operations end)"
        claim.faults.append(Fault("closed_early", "closed_at", words))


def _span_of(spans: Mapping[str, tuple[str, str]], setting: Setting) -> Callable[[str], tuple[str, str] | None]:
    def span(batch_id: str) -> tuple[str, str] | None:
        a, b = setting.known.span(batch_id), spans.get(batch_id)
        if a is None or b is None:
            return a or b
        return min(a[0], b[0]), max(a[1], b[1])

    return span


def _take(claim: _Claim, taken: list[Taken], duplicates: list[Offered]) -> None:
    """Row after row: the first of a key, one that adds or replaces cells, or a duplicate."""
    state = claim.known
    for o in claim.rows:
        cells = o.row.cells
        after = overlay(state, cells)
        if state == after:
            duplicates.append(o)
            continue
        changed = (
            ()
            if state is None
            else tuple(
                (column.name, b, a)
                for column, b, a in zip(claim.kind.columns, state, after, strict=True)
                if b and b != a
            )
        )
        taken.append(Taken(o, "accepted" if state is None else "completed", changed))
        state = after
