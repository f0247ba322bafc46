"""工作日与工作周: the days and whole weeks on which the plant worked by its own calendar; the denominators of M16, M17, M25.

In: `Inputs` and a window. Out: local days, whole ISO weeks, days of success per interface. A day is a working day unless every minute
of its shifts (the whole day without shifts) lies in closures of the whole plant (no line named) that count (docs/metrics.md §0: entered
within 72 h of their start). The calendar knows no weekday: a rest day is a closure, entered in time, or it is a working day. Closures
of some lines and exclusions of some devices close no day, so that no machine added or left out changes what a working day is.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from config.register import Calendar
from metrics.inputs import Inputs
from metrics.result import Window
from metrics.window import DAY_US, days_of, midnight_us

MINUTE_US = 60_000_000
WEEK_DAYS = 7
Span = tuple[int, int]


def working_days(inputs: Inputs, window: Window) -> tuple[date, ...]:
    """Local days of the window with at least one minute of a shift that no closure of the plant takes away, ascending."""
    closed = _plant_closed(inputs)
    shifts = _shifts(inputs.register.calendar)

    def works(day: date) -> bool:
        start_us = midnight_us(day, inputs.tz)
        return any(_left_open((start_us + a, start_us + b), closed) for a, b in shifts)

    return tuple(day for day in days_of(window, inputs.tz) if works(day))


def working_weeks(inputs: Inputs, window: Window) -> tuple[date, ...]:
    """Mondays of the ISO weeks that lie wholly in the window and hold at least one working day, ascending."""
    inside = set(days_of(window, inputs.tz))
    mondays = {monday_of(day) for day in working_days(inputs, window)}
    return tuple(sorted(m for m in mondays if {m, m + timedelta(days=WEEK_DAYS - 1)} <= inside))


def monday_of(day: date) -> date:
    """The Monday of the day's ISO week."""
    return day - timedelta(days=day.weekday())


def days_of_success(inputs: Inputs, days: tuple[date, ...]) -> dict[str, int]:
    """Interface id -> on how many of these days it had a successful exchange; interfaces without any are absent."""
    if inputs.records is None:
        return {}
    rows = (
        inputs.records.frame("exchanges")
        .filter((pl.col("ok") > 0) & pl.col("day").is_in(pl.Series(days, dtype=pl.Date).implode()))
        .group_by("interface_id")
        .agg(pl.col("day").n_unique())
    )
    return dict(zip(rows["interface_id"].to_list(), rows["day"].to_list(), strict=True))


def _plant_closed(inputs: Inputs) -> list[Span]:
    """The counting closures of the whole plant, merged and ascending."""
    closures = inputs.register.calendar.closures
    whole = {(c.id, _us(c.start), _us(c.end)) for c in closures if not c.lines}
    spans = sorted((e.from_us, e.to_us) for e in inputs.excusing if e.counts and (e.id, e.from_us, e.to_us) in whole)
    merged: list[Span] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def _shifts(calendar: Calendar) -> list[Span]:
    """Spans of a local day in microseconds after its midnight; the part after midnight of a night shift is in the morning."""
    spans = [_span(s.start, s.end) for s in calendar.shifts]
    split = [part for a, b in spans for part in ([(a, b)] if a < b else [(a, DAY_US), (0, b)])]
    return [(a, b) for a, b in split if a < b] or [(0, DAY_US)]


def _span(start: str, end: str) -> Span:
    a, b = ((int(t[:2]) * 60 + int(t[3:])) * MINUTE_US for t in (start, end))
    return a, b


def _left_open(span: Span, closed: list[Span]) -> bool:
    """Some part of the span lies in none of the merged spans."""
    return not any(start <= span[0] and span[1] <= end for start, end in closed)
