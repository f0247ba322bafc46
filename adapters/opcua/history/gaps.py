"""What was delivered of each point, and the gaps between: what a server's history may fill. Pure: no network, no clock, no disk.

In: the batches of one device once they are on disk, and when a session ended. Out: `Gap`s, from the last value before a loss to the
first value after it, and of a history's values those that were not delivered yet (`unseen`).
A value is known by its source time and its `mark`, 64 bits of its value: at the edges of a gap it is a matter of one value, not of
one second. A historian that keeps whole milliseconds rounds; its value at the edge is then still the one that was delivered.
A point whose values carry no source time of their own (the collector's clock stands in, lag 0), or one a day or more ahead, has no gap.
`to_state` and `restore` carry all this over a restart (`state/opcua-history/`, docs/adapters.md).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.batch import Batch, Outcome, ValueType
from adapters.template import Source

NOTHING = 2**63  # no value's mark: nothing delivered at this stamp
SETTLE_US = 2_000_000  # a gap stays open to earlier values for so long: readings and notifications overtake each other
GAPS_MOST = 32  # of one point; beyond that the oldest is given up
_NEVER = -(2**63)
_AHEAD_US = -86_400_000_000
_NO_VALUE = 2**63 - 1
_SEEN_MOST = 256  # values read ahead of their notifications, of one point
_SEEN_IN_GAPS_MOST = 20_000  # and within its gaps; beyond that they are given up

Int64s = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Gap:
    """Of one point: after the value (from_us, from_mark) and before the value (to_us, to_mark)."""

    point: int
    from_us: int
    from_mark: int
    to_us: int
    to_mark: int
    ready_us: int = 0  # of the collector's clock


class Delivered:
    """The points of one device. `polled`: indices that are read each interval because the server will not watch them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.given_up = 0  # gaps dropped because there were too many
        self._gaps: dict[int, list[Gap]] = {}
        self._horizon = _NEVER  # no gap ends later
        count = len(source.points)
        self._fillable = np.array([p.events is None for p in source.points], np.bool_)
        self._last = np.full(count, _NEVER, np.int64)
        self._marks = np.zeros(count, np.int64)
        self._open = np.zeros(count, np.bool_)
        self._restored = np.zeros(count, np.bool_)  # known from before a restart, and not notified since
        self._since_us = _NEVER
        self._seen: dict[int, set[tuple[int, int]]] = {}

    @property
    def gaps(self) -> list[Gap]:
        """All gaps, each point's oldest first."""
        return [g for gaps in self._gaps.values() for g in gaps]

    def interrupted(self, now_us: int) -> None:
        """The next value of each point ends a gap that begins with its last one; what was received before has no say in it."""
        self._open |= (self._last != _NEVER) & self._fillable
        self._since_us = now_us

    def repeated(self, batch: Batch) -> Batch:
        """The batch, with values that were delivered before a restart as `confirmed`: contact now, no new value."""
        if batch.template.kind != "event" or not self._restored.any():
            return batch
        first = batch.columns[0]
        points = np.minimum(np.asarray(first.values).astype(np.int64), len(self._last) - 1)
        same = self._restored[points] & (batch.source_us == self._last[points]) & (batch.outcome == int(Outcome.OK))
        if first.valid is not None:
            same &= first.valid
        if not same.any():
            return batch
        same &= (marks_of(batch) == self._marks[points]) & (batch.lag_us != 0)
        outcome = np.where(same, Outcome.CONFIRMED, batch.outcome).astype(np.uint8)
        kept = (batch.quality, batch.columns, batch.point_quality, batch.server_us)
        return Batch(batch.device, batch.template, batch.source_us, batch.lag_us, outcome, *kept)

    def stored(self, batch: Batch, now_us: int, *, notified: bool, polled: Collection[int] = ()) -> bool:
        """Rows that are on disk now; `notified`: from a subscription. True when a gap was closed."""
        if batch.template.kind != "event" or not len(self._last):
            return False
        points, stamps, marks, lost = _columns(batch, len(self._last))
        if not notified:
            is_new = bool((batch.source_us + batch.lag_us >= self._since_us).all())
            points, stamps, marks, lost = self._read(points, stamps, marks, lost, polled, is_new=is_new)
        if not len(points):
            return False
        self._restored[points] = False
        if lost.any() or self._open[points].any() or bool((stamps <= self._horizon).any()):
            rows = zip(points.tolist(), stamps.tolist(), marks.tolist(), lost.tolist(), strict=True)
            closed = [self._one(point, us, mark, now_us, is_lost=gone) for point, us, mark, gone in rows]
            return any(closed)
        np.maximum.at(self._last, points, stamps)
        newest = stamps == self._last[points]
        self._marks[points[newest]] = marks[newest]  # of equal indices the last one stays
        return False

    def unseen(self, gap: Gap, stamps: Int64s, marks: Int64s, end_us: int) -> NDArray[np.bool_]:
        """Which of a history's values, oldest first, lie in the gap, before `end_us`, and were not delivered."""
        fresh = (stamps >= gap.from_us) & (stamps <= gap.to_us) & (stamps < end_us)
        at_start = _edge(stamps, marks, gap.from_us, gap.from_mark)
        at_end = _edge(stamps, marks, gap.to_us, gap.to_mark)
        fresh[: int(at_start[-1]) + 1 if len(at_start) else 0] = False
        fresh[int(at_end[0]) if len(at_end) else len(fresh) :] = False
        seen = set(self._seen.get(gap.point, ()))
        if seen or bool((stamps[1:] == stamps[:-1]).any()):
            for k, value in enumerate(zip(stamps.tolist(), marks.tolist(), strict=True)):
                fresh[k] &= value not in seen
                seen.add(value)
        return fresh

    def remember(self, gap: Gap, stamps: Int64s, marks: Int64s) -> None:
        """These values of the gap's point are on disk, wherever in the gap they lie."""
        for us, mark in zip(stamps.tolist(), marks.tolist(), strict=True):
            self._remember(gap.point, us, mark)

    def done(self, gap: Gap) -> None:
        """Nothing more to be had of this gap."""
        left = [g for g in self._gaps.get(gap.point, ()) if g is not gap]
        if left:
            self._gaps[gap.point] = left
            return
        self._gaps.pop(gap.point, None)
        self._seen.pop(gap.point, None)
        if not self._gaps:
            self._horizon = _NEVER

    def _read(
        self, points: Int64s, stamps: Int64s, marks: Int64s, lost: Any, polled: Collection[int], *, is_new: bool
    ) -> Any:
        """Of rows that were read: those of polled points, and those that end a gap; the others a history has too."""
        mine = np.isin(points, list(polled)) if polled else np.zeros(len(points), np.bool_)
        if is_new:
            mine |= self._open[points]
        ahead = ~mine & ~lost & (stamps > self._last[points]) & self._fillable[points]
        for k in np.flatnonzero(ahead).tolist():
            self._remember(int(points[k]), int(stamps[k]), int(marks[k]))
        return points[mine], stamps[mine], marks[mine], lost[mine]

    def _one(self, point: int, us: int, mark: int, now_us: int, *, is_lost: bool) -> bool:
        """One row, in order; True when it closes a gap."""
        known = int(self._last[point])
        if is_lost:
            self._open[point] |= known != _NEVER and bool(self._fillable[point])
            return False
        closing = bool(self._open[point])
        self._open[point] = False
        self._within(point, us, mark, now_us)
        if closing and us > known:
            self._add(Gap(point, known, int(self._marks[point]), us, mark, now_us + SETTLE_US))
        if us >= known or closing:  # after an interruption a clock may have been set back
            self._last[point], self._marks[point] = us, mark
        return closing and us > known

    def _add(self, gap: Gap) -> None:
        gaps = self._gaps.setdefault(gap.point, [])
        gaps.append(gap)
        if len(gaps) > GAPS_MOST:
            del gaps[0]
            self.given_up += 1
        self._horizon = max(self._horizon, gap.to_us)

    def _within(self, point: int, us: int, mark: int, now_us: int) -> None:
        """A value of a gap that came by itself after all."""
        for gap in self._gaps.get(point, ()):
            if us <= gap.to_us:
                self._remember(point, us, mark)
                if gap.from_us < us < gap.to_us and now_us < gap.ready_us:
                    gap.to_us, gap.to_mark = us, mark

    def _remember(self, point: int, us: int, mark: int) -> None:
        seen = self._seen.setdefault(point, set())
        if len(seen) >= _SEEN_MOST and (us, mark) not in seen:
            gaps = self._gaps.get(point, [])
            end_us = max((g.to_us for g in gaps), default=_NEVER)
            if len(seen) >= _SEEN_IN_GAPS_MOST:
                self.given_up += len(gaps)
                for gap in gaps:
                    self.done(gap)
                seen = self._seen.setdefault(point, set())
            elif us > end_us:
                seen -= {v for v in seen if v[0] > end_us}
        seen.add((us, mark))

    def to_state(self) -> dict[str, Any]:
        """Plain JSON of points with something to remember."""
        found: dict[str, Any] = {}
        last = list(zip(self._last.tolist(), self._marks.tolist(), strict=True))
        for i in np.flatnonzero(self._fillable & (self._last != _NEVER)).tolist():
            point = self.source.points[i]
            known = found[point.name] = {"node": point.node, "type": point.type, "last": last[i]}
            if i in self._gaps:
                known["gaps"] = [(g.from_us, g.from_mark, g.to_us, g.to_mark) for g in self._gaps[i]]
            if i in self._seen:
                known["seen"] = [v for v in self._seen[i] if i in self._gaps or v > last[i]]
        return found

    def restore(self, state: object) -> None:
        """Take over what `to_state` gave; whatever does not fit, or is of another node, is left out."""
        for i, point in enumerate(self.source.points):
            known = state.get(point.name) if isinstance(state, dict) else None
            if not isinstance(known, dict) or (known.get("node"), known.get("type")) != (point.node, point.type):
                continue
            last, gaps = known.get("last"), known.get("gaps")
            if not isinstance(last, list) or not _integers(last, 2) or NOTHING in last or not self._fillable[i]:
                continue
            self._last[i], self._marks[i] = last
            self._restored[i] = True
            for gap in gaps if isinstance(gaps, list) else []:
                if _integers(gap, 4):
                    self._add(Gap(i, *gap))
            seen = known.get("seen")
            for value in seen if isinstance(seen, list) else []:
                if _integers(value, 2):
                    self._remember(i, *value)
        self.interrupted(_NEVER)


def marks_of(batch: Batch) -> Int64s:
    """64 bits of each row's value, that tell values of one type apart (text: length and CRC-32)."""
    marks = np.full(len(batch), _NO_VALUE, np.int64)
    for (_, kind), column in zip(batch.template.columns[1:], batch.columns[1:], strict=True):
        has = np.ones(len(batch), np.bool_) if column.valid is None else column.valid
        if isinstance(column.values, list):
            for k in np.flatnonzero(has).tolist():
                marks[k] = _text_mark(column.values[k])
        else:
            raw = column.values.view(_VIEW[kind]) if kind in _VIEW else column.values
            marks[has] = raw[has]
    return marks


def _text_mark(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    return (len(raw) & 0x7FFF_FFFF) << 32 | zlib.crc32(raw)


_VIEW = {ValueType.U64: "<i8", ValueType.F32: "<i4", ValueType.F64: "<i8"}


def _columns(batch: Batch, count: int) -> tuple[Int64s, Int64s, Int64s, NDArray[np.bool_]]:
    """Point, source time, mark and whether it is a loss, of the rows that count."""
    first = batch.columns[0]
    points = np.asarray(first.values).astype(np.int64)
    lost = batch.outcome == int(Outcome.OVERFLOW)
    stamped = (batch.lag_us != 0) & (batch.lag_us > _AHEAD_US)
    keep = lost | ((batch.outcome <= int(Outcome.CONFIRMED)) & stamped)
    if first.valid is not None:
        keep &= first.valid
    keep &= points < count
    return points[keep], batch.source_us[keep], marks_of(batch)[keep], lost[keep]


def _edge(stamps: Int64s, marks: Int64s, edge_us: int, edge_mark: int) -> NDArray[np.intp]:
    """Places of the value at the edge of a gap: at its stamp, or where a historian cut or rounded it to whole milliseconds."""
    if edge_mark != NOTHING:
        alike = marks == edge_mark
        for us in dict.fromkeys((edge_us, edge_us // 1000 * 1000, (edge_us + 500) // 1000 * 1000)):
            found = np.flatnonzero(alike & (stamps == us))
            if len(found):
                return found
    return np.zeros(0, np.intp)


def _integers(raw: object, count: int) -> bool:
    return isinstance(raw, list) and len(raw) == count and all(type(n) is int and -(2**63) <= n <= NOTHING for n in raw)
