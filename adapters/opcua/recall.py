"""What a device's points were when last heard of: tells a new value from a confirmation, and makes the rows of both.

In: readings from a read or a notification. Out: rows. A read that finds value, status and source time as they were is `confirmed`
(contact now, old source time). One that finds another value or source time is `ok`; when that value is older than 2 s, a
`confirmed` row follows it, since the server has just said that it still holds.
Nothing here waits or asks the time.
"""

from __future__ import annotations

from adapters.batch import BAD_NO_DATA, SEVERITY_BAD, Outcome
from adapters.opcua.reading import NOT_ASKED, Reading, Typed, typed
from adapters.rows import Rows
from adapters.template import Source

FRESH_US = 2_000_000


class Recall:
    """The last known readings of one device."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._last: dict[int, tuple[str, int, int | None]] = {}

    def read(self, rows: Rows, readings: dict[int, Reading], now_us: int) -> None:
        """Rows of a read, by the template's kind."""
        if self._source.template.kind == "wide":
            self._wide(rows, readings, now_us)
            return
        for i, reading in readings.items():
            point = typed(self._source.casts[i], reading)
            fresh = self._is_new(i, point)
            source_us = now_us if point.source_us is None else point.source_us
            if fresh:
                _event(rows, i, point, source_us, now_us, Outcome.OK)
            if not fresh or now_us - source_us > FRESH_US:
                _event(rows, i, point, source_us, now_us, Outcome.CONFIRMED)

    def notified(self, rows: Rows, i: int, reading: Reading, now_us: int) -> None:
        """Row of a notification; before it, an `overflow` row where the server says that values were lost."""
        point = typed(self._source.casts[i], reading)
        source_us = now_us if point.source_us is None else point.source_us
        if reading.overflow:
            rows.event(i, None, BAD_NO_DATA, source_us, now_us, Outcome.OVERFLOW)
        self._is_new(i, point)
        _event(rows, i, point, source_us, now_us, Outcome.OK)

    def lost(self, rows: Rows, i: int, now_us: int) -> None:
        """Row of a value that is gone for good."""
        rows.event(i, None, BAD_NO_DATA, now_us, now_us, Outcome.OVERFLOW)

    def _wide(self, rows: Rows, readings: dict[int, Reading], now_us: int) -> None:
        points = [typed(c, readings.get(i, NOT_ASKED)) for i, c in enumerate(self._source.casts)]
        values, qualities = [p.value for p in points], [p.value_quality for p in points]
        if all(p.quality & SEVERITY_BAD for p in points):
            rows.wide(now_us, now_us, values, qualities, Outcome.DEVICE_FAILURE)
            return
        source_us = max((p.source_us for p in points if p.source_us is not None), default=now_us)
        changed = [self._is_new(i, p) for i, p in enumerate(points)]
        fresh = any(changed) or all(p.source_us is None for p in points)
        if fresh:
            rows.wide(source_us, now_us, values, qualities)
        if not fresh or now_us - source_us > FRESH_US:
            rows.wide(source_us, now_us, values, qualities, Outcome.CONFIRMED)

    def _is_new(self, i: int, point: Typed) -> bool:
        """Remember the point; True when it differs from what was known. A usable value without a stamp is always new."""
        known = (repr(point.value), point.quality, point.source_us)
        unstamped = point.source_us is None and not point.quality & SEVERITY_BAD
        fresh = unstamped or self._last.get(i) != known
        self._last[i] = known
        return fresh


def _event(rows: Rows, i: int, point: Typed, source_us: int, now_us: int, outcome: Outcome) -> None:
    rows.event(i, point.value, point.quality, source_us, now_us, outcome, point.value_quality)
