"""证据窗口: the half-open windows of catalogue §4, cut at plant midnights.

In: the cut-off T (microseconds UTC) and the plant's fixed offset. Out: `Window`, and the local days inside one.
T is cut down to plant midnight, so that every window holds whole local days (catalogue M11: "T = evidence cut-off 00:00").
Calendar months clamp at month's end: 2028-05-31 minus 3 months is 2028-02-29.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta, timezone

from metrics.result import Window

US = 1_000_000
HOUR_US = 3600 * US
DAY_US = 24 * HOUR_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def midnight_us(day: date, tz: timezone) -> int:
    """First microsecond of a local day."""
    return int((datetime(day.year, day.month, day.day, tzinfo=tz) - EPOCH) / timedelta(microseconds=1))


def local_day(at_us: int, tz: timezone) -> date:
    """The local day in which a moment falls."""
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(tz).date()


def cut_off_us(at_us: int, tz: timezone) -> int:
    """T: the plant midnight at or before a moment."""
    return midnight_us(local_day(at_us, tz), tz)


def months_before(day: date, months: int) -> date:
    """`months` calendar months back, clamped to the month's last day."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def last_months(at_us: int, months: int, tz: timezone) -> Window:
    """[T - months, T) in plant days."""
    end = cut_off_us(at_us, tz)
    return Window(midnight_us(months_before(local_day(end, tz), months), tz), end)


def last_days(at_us: int, days: int, tz: timezone) -> Window:
    """[T - days, T) in plant days."""
    end = cut_off_us(at_us, tz)
    return Window(end - days * DAY_US, end)


def last_whole_month(at_us: int, tz: timezone) -> Window:
    """The newest calendar month of plant days that had ended at T."""
    end = local_day(cut_off_us(at_us, tz), tz).replace(day=1)
    return Window(midnight_us(months_before(end, 1), tz), midnight_us(end, tz))


def days_of(window: Window, tz: timezone) -> list[date]:
    """The local days whose midnights lie in the window, ascending."""
    first = local_day(window.start_us, tz)
    count = (window.end_us - midnight_us(first, tz) + DAY_US - 1) // DAY_US
    return [first + timedelta(days=i) for i in range(count)]


def hours_of(window: Window) -> tuple[int, int]:
    """[first, end) UTC hours since 1970 that touch the window."""
    return window.start_us // HOUR_US, -(-window.end_us // HOUR_US)


def hour_number(text: str) -> int:
    """`2026-11-22T03Z` -> hours since 1970."""
    at = datetime.strptime(text, "%Y-%m-%dT%HZ").replace(tzinfo=UTC)
    return (at - EPOCH) // timedelta(hours=1)


def hour_text(hour: int) -> str:
    """Hours since 1970 -> `2026-11-22T03Z`."""
    return (EPOCH + timedelta(hours=hour)).strftime("%Y-%m-%dT%HZ")
