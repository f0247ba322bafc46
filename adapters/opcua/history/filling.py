"""One stretch of back-fill: which gaps share a request, and what becomes of its pages.

In: gaps with their nodes, oldest first. Out: rows, emitted; each gap shortened as far as its rows are on disk, or done.
Gaps share a request when each covers at least half of its span, so that at most half of what is read is thrown away.
A request asks for one hour at first; quiet points double that, full pages halve it. Two requests run at a time in the whole process,
each followed by a pause: decoding history must not delay what is live.
A page of a server that cuts off without a continuation point is followed up from its last value. Pages without values, refusals and
failures are counted: a gap that three attempts cannot fill is left as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from adapters.batch import BAD_DECODING, NO_TIME, Batch, Column, Outcome
from adapters.contract import Clock, Emit, ReadError
from adapters.opcua.history.gaps import NOTHING, Delivered, Gap, marks_of
from adapters.opcua.history.historyread import HistoryReader, Page, Range
from adapters.opcua.recall import Recall
from adapters.rows import Rows

PAUSE_S = 0.1
SPAN_US = 3_600_000_000
_SPAN_LEAST_US = 60_000_000
_SPAN_MOST_US = 31 * 86_400_000_000
_BEYOND_US = 1_000_000  # asked for beyond the end: a historian may round, and may not count the end in
_AT_ONCE = 2  # requests of the whole process
_TRIES = 3
_EMPTY_MOST = 20  # pages in a row
_NO_HISTORY = {
    "BadHistoryOperationUnsupported", "BadHistoryOperationInvalid", "BadServiceUnsupported", "BadNotSupported", "BadNotReadable",
    "BadUserAccessDenied", "BadNodeIdUnknown", "BadNodeIdInvalid", "BadTimestampNotSupported", "BadTimestampsToReturnInvalid",
}  # fmt: skip
_NOTHING_THERE = {"BadNoData", "BadDataUnavailable", "BadDataLost", "BadBoundNotFound", "BadBoundNotSupported"}

_NONE = np.zeros(0, np.int64)

_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A gap, whose it is, and the node to ask."""

    delivered: Delivered
    gap: Gap
    node: ua.NodeId
    recall: Recall


@dataclass(slots=True, eq=False)
class _Turn:
    """One node in a run of pages."""

    work: Work
    rest: bytes | None = None
    reached_us: int = -(2**63)
    empty: int = 0  # pages in a row that led no further


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A page: what is new of it, and all that has a source time, oldest first; `ordered`: it came so."""

    batches: tuple[Batch, ...]
    stamps: NDArray[np.int64]
    marks: NDArray[np.int64]
    ordered: bool

    @property
    def last(self) -> tuple[int, int] | None:
        """The newest value's source time and mark."""
        return (int(self.stamps[-1]), int(self.marks[-1])) if len(self.stamps) else None


class Filling:
    """Fills gaps over one session. `values` were stored, `without` gaps had no history, `unstamped` values no source time."""

    def __init__(self, reader: HistoryReader, clock: Clock, emit: Emit, is_wanted: Callable[[Delivered], bool]) -> None:
        self.values = 0
        self.without = 0
        self.unstamped = 0
        self.reader = reader
        self._clock = clock
        self._emit = emit
        self._is_wanted = is_wanted
        self._span_us = SPAN_US
        self._tries: dict[Gap, int] = {}

    async def step(self, ready: Sequence[Work]) -> None:
        """One span of the oldest gap and of those that share it. Errors: `ReadError`."""
        await self.reader.learn([w.node for w in ready])
        able = [w for w in ready if self.reader.can(w.node)]
        for work in ready:
            if not self.reader.can(work.node):
                self.without += 1
                work.delivered.done(work.gap)
        if not able:
            return
        first = able[0].gap
        span = Range(first.from_us // 1000 * 1000, min(first.to_us + _BEYOND_US, first.from_us + self._span_us))
        await self._pages(_sharing(able, span), span)

    async def _pages(self, works: Sequence[Work], span: Range) -> None:
        """Page after page until every node of the span is at its end."""
        turns = {w.node: _Turn(w) for w in works}
        long = False
        try:
            while turns:
                asked = list(turns.values())[: self.reader.limit]
                pages = await self._request(asked, span)
                long |= any(p.rest is not None or p.full for p in pages)
                await self._take(dict(zip([t.work.node for t in asked], pages, strict=bool(pages))), turns, span)
        except ReadError as err:
            if err.outcome not in (Outcome.DISCONNECTED, Outcome.TIMEOUT):
                await self._release(list(turns.values()), span)
            raise
        self._span_us = max(self._span_us // 2, _SPAN_LEAST_US) if long else min(self._span_us * 2, _SPAN_MOST_US)

    async def _request(self, asked: Sequence[_Turn], span: Range) -> list[Page]:
        async with _gate():
            began_us = self._clock.now_us()
            try:
                return await self.reader.read([(t.work.node, t.rest) for t in asked], span)
            except ReadError as err:
                self._span_us = max(self._span_us // 2, _SPAN_LEAST_US)
                if len(asked) == 1 and err.outcome in (Outcome.PROTOCOL, Outcome.DEVICE_FAILURE):
                    self._tried(asked[0].work)  # its values cannot be read; a timeout says nothing of the node
                raise
            finally:
                took_s = (self._clock.now_us() - began_us) / 1_000_000
                await self._clock.sleep(max(PAUSE_S, took_s))

    async def _take(self, pages: dict[ua.NodeId, Page], turns: dict[ua.NodeId, _Turn], span: Range) -> None:
        """Store what the pages bring, then move the gaps on; ended turns leave, with a release where there is a rest."""
        found = {node: self._found(turns[node].work, page, span) for node, page in pages.items()}
        wanted = [n for n in found if self._is_wanted(turns[n].work.delivered)]
        batches = [b for n in wanted for b in found[n].batches]
        if batches:
            await self._emit(*batches)
        ended = []
        for node, page in pages.items():
            turn = turns[node]
            turn.rest = page.rest
            if node not in wanted or not self._goes_on(turn, page, found[node], span):
                ended.append(turns.pop(node))
        await self._release(ended, span)

    def _found(self, work: Work, page: Page, span: Range) -> _Found:
        """What the page has of the gap: a batch of what was not delivered yet, and the whole of it, oldest first."""
        count, now = len(page.values), self._clock.now_us()
        if not count:
            return _Found((), _NONE, _NONE, ordered=True)
        batch = work.recall.kept(page.values, np.full(count, work.gap.point), now)
        stamped = np.flatnonzero(page.values.source_us != NO_TIME)
        order = stamped[np.argsort(batch.source_us[stamped], kind="stable")]
        stamps, marks = batch.source_us[order], marks_of(batch)[order]
        fresh = order[work.delivered.unseen(work.gap, stamps, marks, _end_us(work.gap, span))]
        batches = [_picked(batch, fresh)] if len(fresh) else []
        if len(stamped) < count:  # there is no telling when they were true
            rows = Rows(work.delivered.source.device, batch.template)
            rows.event(work.gap.point, None, BAD_DECODING, now, now, Outcome.REJECTED)
            batches += [b for b in (rows.batch(),) if b is not None]
        self.values += len(fresh)
        self.unstamped += count - len(stamped)
        return _Found(tuple(batches), stamps, marks, ordered=bool((order == stamped).all()))

    def _goes_on(self, turn: _Turn, page: Page, found: _Found, span: Range) -> bool:
        """Move the gap on by what is on disk; True when the node's next page is to be read."""
        work, gap = turn.work, turn.work.gap
        if page.status and page.status not in _NOTHING_THERE:
            if page.status in _NO_HISTORY:
                self.without += 1
                self.reader.cannot(work.node)
                work.delivered.done(gap)
            else:
                self._tried(work)
            return False
        if not found.ordered:  # where this page ends says nothing of the rest
            work.delivered.remember(gap, found.stamps, found.marks)
            self._tried(work)
            return False
        last_us, last_mark = found.last or (span.start_us, NOTHING)
        turn.empty = 0 if last_us > turn.reached_us else turn.empty + 1
        turn.reached_us = max(turn.reached_us, last_us)
        within = last_us < min(gap.to_us, span.end_us)
        is_cut_off = page.rest is None and page.full and within  # without a continuation point
        goes_on = page.rest is not None and turn.empty < _EMPTY_MOST and within
        if goes_on or is_cut_off:
            if last_us > gap.from_us:
                gap.from_us, gap.from_mark = last_us, last_mark
            elif is_cut_off and last_us // 1000 * 1000 <= span.start_us:  # more values of one stamp than it will give
                gap.from_us, gap.from_mark = gap.from_us + 1, NOTHING
                self._tried(work)
        elif turn.empty >= _EMPTY_MOST:
            self._tried(work)
        elif span.end_us > gap.to_us:
            work.delivered.done(gap)
        else:
            gap.from_us, gap.from_mark = span.end_us, NOTHING
        return goes_on

    def _tried(self, work: Work) -> None:
        self._tries[work.gap] = self._tries.get(work.gap, 0) + 1
        if self._tries[work.gap] >= _TRIES:
            work.delivered.done(work.gap)

    async def _release(self, turns: Sequence[_Turn], span: Range) -> None:
        """Give back what was left unread; the session's end does it too."""
        held = [(t.work.node, t.rest) for t in turns if t.rest is not None]
        if held and self.reader.session.alive:
            with contextlib.suppress(ReadError):
                await self.reader.release(held, span)


def _sharing(works: Sequence[Work], span: Range) -> list[Work]:
    """Works whose gaps cover at least half of the span, one per node; the first is always among them."""
    half_us = (span.end_us - span.start_us) // 2
    found: dict[ua.NodeId, Work] = {}
    for work in works:
        inside_us = min(work.gap.to_us, span.end_us) - max(work.gap.from_us, span.start_us)
        if work is works[0] or (inside_us >= half_us and work.gap.from_us >= span.start_us):
            found.setdefault(work.node, work)
    return list(found.values())


def _end_us(gap: Gap, span: Range) -> int:
    """Values of the gap before this time are this span's."""
    return gap.to_us + 1 if span.end_us > gap.to_us else span.end_us


def _picked(batch: Batch, rows: NDArray[np.intp]) -> Batch:
    """Some rows of a batch, in that order."""
    columns = []
    for column in batch.columns:
        values = [column.values[k] for k in rows.tolist()] if isinstance(column.values, list) else column.values[rows]
        columns.append(Column(values, None if column.valid is None else column.valid[rows]))
    return Batch(
        batch.device,
        batch.template,
        batch.source_us[rows],
        batch.lag_us[rows],
        batch.outcome[rows],
        batch.quality[rows],
        tuple(columns),
        tuple(None if q is None else q[rows] for q in batch.point_quality),
        None if batch.server_us is None else batch.server_us[rows],
    )


def _gate() -> asyncio.Semaphore:
    return _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
