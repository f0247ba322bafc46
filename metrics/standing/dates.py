"""日历: calendar months and years as the rules count them: whole days, clamped at a month's end, never 30 days for a month.

In: plant days. Out: plant days. 2028-05-31 minus 3 months is 2028-02-29; a title of three years granted on 2025-09-20 is valid to
2028-09-19, the day before its anniversary (catalogue §1.5, deadline arithmetic, grade D; 民法典 第二百零一条、第二百零二条).
"""

from __future__ import annotations

from datetime import date, timedelta

from metrics.window import months_before

YEAR_MONTHS = 12
ALARM_DAYS = (180, 120, 90, 30)  # catalogue: deadlines.renewal_alarm_days


def months_after(day: date, months: int) -> date:
    """`months` calendar months later, clamped to the month's last day; 9999-12-31 (长期) is the end of all days."""
    year = (day.year * YEAR_MONTHS + day.month - 1 + months) // YEAR_MONTHS
    if year > date.max.year:
        return date.max
    return months_before(day, -months) if year >= date.min.year else date.min


def day_after(day: date) -> date:
    """The next day, if there is one."""
    return day + timedelta(days=1) if day < date.max else day


def years_after(day: date, years: int) -> date:
    """`years` calendar years later; 29 February falls on the 28th where there is none."""
    return months_after(day, years * YEAR_MONTHS)


def last_valid_day(first: date, years: int) -> date:
    """The last day of `years` years that begin on `first`: the day before the anniversary."""
    return years_after(first, years) - timedelta(days=1)


def alarm_days(due: date) -> tuple[date, ...]:
    """The days on which one is reminded of a due day."""
    return tuple(due - timedelta(days=days) for days in ALARM_DAYS)


def next_month_start(day: date, month: int) -> date:
    """The first day of that month, this year or next, on or after `day`."""
    this = date(day.year, month, 1)
    return this if this >= day else years_after(this, 1)
