"""What a device's points were when last heard of: tells a new value from a confirmation, and makes the rows of both.

In: `Values` from a read or a notification, with their points. Out: a `Batch`, columns all the way. A read that finds value, status and
source time as they were is `confirmed` (contact now, old source time). One that finds another value or source time is `ok`; when that
value is older than 2 s, a `confirmed` row follows it, since the server has just said that it still holds.
Readings and notifications overtake each other: a value that was read before its notification came is stored once, and a reading that is
older than what came since is not stored again. What a new subscription begins with is `confirmed` when it was known already.
A value that the server marks with the overflow bit comes after an `overflow` row: values were lost before it.
Nothing here waits or asks the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.batch import BAD_NO_DATA, GOOD, NO_TIME, NUMPY_TYPE, SEVERITY_BAD, Batch, Column, Outcome, ValueType
from adapters.opcua.values.casting import KINDS, Casting, Cells
from adapters.opcua.values.columns import Values
from adapters.rows import Rows
from adapters.template import Source
from adapters.values import BAD_OUT_OF_RANGE

FRESH_US = 2_000_000
AHEAD_MOST = 8  # readings of one point that wait for their notifications


class Recall:
    """The last known readings of one device."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._casting = Casting(source)
        count = len(source.points)
        self._source_us = np.full(count, NO_TIME)
        self._quality = np.zeros(count, np.uint32)
        self._bits = np.zeros(count, np.uint64)
        self._known = np.zeros(count, np.bool_)
        self._behind = np.zeros(count, np.bool_)  # the last reading was older than what is known
        self._ahead: dict[int, list[tuple[int, int, int]]] = {}  # read, and not notified yet
        kinds = [KINDS.index(kind) for _, kind in source.template.columns]
        self._columns = kinds if source.template.kind == "wide" else [-1, *kinds[1:]]

    def notified(self, values: Values, points: NDArray[np.int64], now_us: int) -> Batch | None:
        """Rows of notifications, in the server's order; None when all of them were read already."""
        cells = self._casting.cells(values, points, now_us)
        counts = np.ones(len(points), np.int64)
        if self._ahead:
            counts[self._was_read(cells)] = 0
        repeated = self._is_repeated(cells)
        self._behind[cells.points] = False
        self._remember(cells, np.arange(len(points)))
        if cells.overflow is None and counts.all():
            outcome = (repeated * np.uint8(Outcome.CONFIRMED)).astype(np.uint8)  # else 0, ok
            return self._event_batch(cells, now_us, None, outcome)
        overflow = np.zeros(len(points), np.bool_) if cells.overflow is None else cells.overflow
        take = np.repeat(np.arange(len(points)), counts + overflow)
        if not len(take):
            return None
        outcome = np.where(repeated[take], Outcome.CONFIRMED, Outcome.OK).astype(np.uint8)
        first = np.ones(len(take), np.bool_)
        first[1:] = take[1:] != take[:-1]
        outcome[first & overflow[take]] = Outcome.OVERFLOW
        return self._event_batch(cells, now_us, take, outcome)

    def read(
        self, values: Values, points: NDArray[np.int64], now_us: int, watched: NDArray[np.bool_] | None = None
    ) -> Batch | None:
        """Rows of a read, by the template's kind; `watched`: where a subscription brings every value too."""
        cells = self._casting.cells(values, points, now_us)
        same, unstamped = self._is_same(cells), cells.source_us == NO_TIME
        fresh = ~same | (
            unstamped & (cells.quality & SEVERITY_BAD == 0)
        )  # without a stamp a usable value is always new
        stale = np.zeros(len(points), np.bool_)
        if watched is not None:
            known_us = self._source_us[cells.points]
            fresh &= ~self._is_ahead(cells, fresh)
            stale = watched & fresh & ~unstamped & (known_us != NO_TIME) & (cells.source_us < known_us)
            behind = self._behind[cells.points]
            self._behind[cells.points] = stale
            stale &= ~behind  # twice, and no notification between: not overtaken, the server's clock was set back
            fresh &= ~stale
        self._remember(cells, np.flatnonzero(~stale))
        if self._source.template.kind == "wide":
            return self._wide(cells, fresh, now_us)
        if watched is not None:
            self._note_ahead(cells, np.flatnonzero(fresh & ~unstamped & watched))
        source = np.where(unstamped, now_us, cells.source_us)
        confirmed = (~fresh | (now_us - source > FRESH_US)) & ~stale
        take = np.repeat(np.arange(len(points)), fresh.astype(np.int64) + confirmed)
        if not len(take):
            return None
        last = np.ones(len(take), np.bool_)
        last[:-1] = take[1:] != take[:-1]
        outcome = np.where(last & confirmed[take], Outcome.CONFIRMED, Outcome.OK).astype(np.uint8)
        return self._event_batch(cells, now_us, take, outcome)

    def kept(self, values: Values, points: NDArray[np.int64], now_us: int) -> Batch:
        """Rows of a server's history (history/backfill.py). Not remembered: what is known is newer."""
        cells = self._casting.cells(values, points, now_us)
        return self._event_batch(cells, now_us, None, np.zeros(len(points), np.uint8))

    def lost(self, points: Sequence[int], now_us: int) -> Batch | None:
        """Rows of values that are gone for good."""
        rows = Rows(self._source.device, self._source.template)
        for point in points:
            rows.event(point, None, BAD_NO_DATA, now_us, now_us, Outcome.OVERFLOW)
        return rows.batch()

    def _is_same(self, cells: Cells) -> NDArray[np.bool_]:
        """True where value, status and source time are as they were."""
        at = cells.points
        same = self._known[at] & (self._source_us[at] == cells.source_us) & (self._quality[at] == cells.quality)
        return np.asarray(same & (self._bits[at] == cells.bits))

    def _is_repeated(self, cells: Cells) -> NDArray[np.bool_]:
        """True where the first value of a point is the last one known: a new subscription begins with it."""
        same = self._source_us[cells.points] == cells.source_us
        if not same.any():
            return np.asarray(same)
        same = self._is_same(cells) & (cells.source_us != NO_TIME)
        if same.any():
            _, first = np.unique(cells.points, return_index=True)
            is_first = np.zeros(len(same), np.bool_)
            is_first[first] = True
            same &= is_first
        return np.asarray(same)

    def _remember(self, cells: Cells, rows: NDArray[np.intp]) -> None:
        at = cells.points[rows]
        self._source_us[at], self._quality[at] = cells.source_us[rows], cells.quality[rows]  # of equal indices the last
        self._bits[at], self._known[at] = cells.bits[rows], True

    def _note_ahead(self, cells: Cells, rows: NDArray[np.intp]) -> None:
        for row in rows.tolist():
            keys = self._ahead.setdefault(int(cells.points[row]), [])
            keys.append((int(cells.source_us[row]), int(cells.quality[row]), int(cells.bits[row])))
            del keys[:-AHEAD_MOST]

    def _is_ahead(self, cells: Cells, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """True where a read has stored the value already; only an older notification came since."""
        found = np.zeros(len(cells.points), np.bool_)
        for row in np.flatnonzero(among).tolist() if self._ahead else ():
            key = (int(cells.source_us[row]), int(cells.quality[row]), int(cells.bits[row]))
            found[row] = key in self._ahead.get(int(cells.points[row]), ())
        return found

    def _was_read(self, cells: Cells) -> list[int]:
        """Rows whose value a read has stored already. What is older than a notification can come no more."""
        found = []
        for row, point in enumerate(cells.points.tolist()):
            keys = self._ahead.get(point)
            if keys is None:
                continue
            source_us = int(cells.source_us[row])
            if (source_us, int(cells.quality[row]), int(cells.bits[row])) in keys:
                found.append(row)
            left = [k for k in keys if k[0] > source_us]
            if left:
                self._ahead[point] = left
            else:
                del self._ahead[point]
        return found

    def _event_batch(
        self, cells: Cells, now_us: int, take: NDArray[np.intp] | None, outcome: NDArray[np.uint8]
    ) -> Batch:
        """Event rows; `take`: which cell each row is of (None: each once). An `overflow` row has its point and no value."""
        is_plain = cells.value_quality is cells.quality  # everything good, stamped and there
        source, quality, own, server = cells.source_us, cells.quality, cells.value_quality, cells.server_us
        points, kinds = cells.points, cells.kinds
        if not is_plain:
            source = np.where(source == NO_TIME, now_us, source)
        if take is not None:
            source, quality, own, server = source[take], quality[take], own[take], server[take]
            points, kinds = points[take], kinds[take]
        blank = None
        if cells.overflow is not None:
            blank = outcome == Outcome.OVERFLOW
            quality, own = np.where(blank, BAD_NO_DATA, quality), np.where(blank, BAD_NO_DATA, own)
            server = np.where(blank, NO_TIME, server)
        columns = [Column(points.astype(np.uint64))]
        marks: list[NDArray[np.uint32] | None] = [None]
        differs = not is_plain and bool((own != quality).any())
        for kind in self._columns[1:]:
            columns.append(_column(cells, kind, take, blank, len(source)))
            marks.append(np.where(kinds == kind, own, quality).astype(np.uint32) if differs else None)
        has_server = server[0] != NO_TIME or bool((server != NO_TIME).any())
        return Batch(
            self._source.device,
            self._source.template,
            source,
            now_us - source,
            outcome,
            quality.astype(np.uint32),
            tuple(columns),
            tuple(marks),
            server if has_server else None,
        )

    def _wide(self, cells: Cells, fresh: NDArray[np.bool_], now_us: int) -> Batch:
        """One poll: one row, or two when what is new is old already. Every point is in `cells`, in order."""
        own = cells.value_quality
        bad = cells.quality & SEVERITY_BAD != 0
        usable = (own & SEVERITY_BAD == 0) | (own == BAD_OUT_OF_RANGE)
        quality = GOOD if usable.any() else int(own[0])
        stamps = cells.source_us[cells.source_us != NO_TIME]
        source_us = int(stamps.max()) if len(stamps) else now_us
        outcomes = [Outcome.OK] if fresh.any() or not len(stamps) else []
        if not outcomes or now_us - source_us > FRESH_US:
            outcomes.append(Outcome.CONFIRMED)
        if bad.all():
            outcomes, source_us = [Outcome.DEVICE_FAILURE], now_us
        servers = cells.server_us[cells.server_us != NO_TIME]
        count = len(outcomes)
        return Batch(
            self._source.device,
            self._source.template,
            np.full(count, source_us),
            np.full(count, now_us - source_us),
            np.array(outcomes, np.uint8),
            np.full(count, quality, np.uint32),
            _cells(cells, self._columns, count),
            tuple([None if q == quality else np.full(count, q, np.uint32) for q in own.tolist()]),
            np.full(count, servers.max()) if len(servers) else None,
        )


def _column(
    cells: Cells, kind: int, take: NDArray[np.intp] | None, blank: NDArray[np.bool_] | None, count: int
) -> Column:
    """A column of event rows."""
    is_text = KINDS[kind] is ValueType.STR
    found = cells.columns.get(kind)
    if found is None:
        none = np.zeros(count, np.bool_)
        return Column([""] * count if is_text else np.zeros(count, NUMPY_TYPE[KINDS[kind]]), none)
    values, there = found
    if take is not None:
        values = [values[i] for i in take.tolist()] if is_text else values[take]
        there = None if there is None else there[take]
    if blank is not None:
        there = ~blank if there is None else there & ~blank
        if is_text:
            values = [v if ok else "" for v, ok in zip(values, there.tolist(), strict=True)]
        else:
            values = np.where(there, values, 0).astype(values.dtype)
    return Column(values, None if there is None or there.all() else there)


def _cells(cells: Cells, kinds: Sequence[int], count: int) -> tuple[Column, ...]:
    """The points' columns in a wide batch of so many equal rows."""
    (values, there), *others = cells.columns.values()
    if others or there is not None:
        return tuple([_cell(cells, k, kind, count) for k, kind in enumerate(kinds)])
    rows = values if count == 1 else np.repeat(values, count)
    return tuple(map(Column, rows.reshape(-1, count)))


def _cell(cells: Cells, row: int, kind: int, count: int) -> Column:
    """A point's column in a wide batch."""
    values, there = cells.columns[kind]
    cell = values[row : row + 1]
    valid = None if there is None or there[row] else np.zeros(count, np.bool_)
    if count == 1:
        return Column(cell, valid)
    return Column(cell * count if isinstance(cell, list) else np.repeat(cell, count), valid)
