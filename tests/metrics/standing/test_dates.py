"""Calendar months as the rules count them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.standing.dates import alarm_days, last_valid_day, months_after, next_month_start, years_after

DAYS = st.dates(date(1990, 1, 1), date(2200, 1, 1))


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2028, 5, 31), -3, date(2028, 2, 29)),
        (date(2027, 5, 31), -3, date(2027, 2, 28)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2026, 1, 15), -1, date(2025, 12, 15)),
        (date(2026, 12, 31), 12, date(2027, 12, 31)),
    ],
)
def test_months_clamp_at_the_months_end(day: date, months: int, expected: date) -> None:
    assert months_after(day, months) == expected


@pytest.mark.parametrize(
    ("granted", "last"),
    [
        (date(2025, 9, 20), date(2028, 9, 19)),
        (date(2024, 2, 29), date(2027, 2, 27)),
        (date(2025, 1, 1), date(2027, 12, 31)),
        (date(2025, 3, 1), date(2028, 2, 29)),
    ],
)
def test_a_title_of_three_years_ends_the_day_before_its_anniversary(granted: date, last: date) -> None:
    assert last_valid_day(granted, 3) == last


@given(DAYS, st.integers(0, 120))
def test_forth_and_back_never_gains_a_day(day: date, months: int) -> None:
    there = months_after(day, months)
    assert months_after(there, -months) <= day
    assert day - months_after(there, -months) <= timedelta(days=3)  # 31 to 28


@given(DAYS, DAYS, st.integers(1, 60))
def test_order_is_kept(one: date, other: date, months: int) -> None:
    earlier, later = sorted((one, other))
    assert months_after(earlier, months) <= months_after(later, months)
    assert years_after(earlier, 2) == months_after(earlier, 24)


def test_alarms_stand_180_120_90_and_30_days_ahead() -> None:
    assert alarm_days(date(2028, 6, 19)) == (
        date(2027, 12, 22),
        date(2028, 2, 20),
        date(2028, 3, 21),
        date(2028, 5, 20),
    )


def test_the_next_march_is_this_one_until_its_first_day_is_over() -> None:
    assert next_month_start(date(2026, 11, 22), 3) == date(2027, 3, 1)
    assert next_month_start(date(2027, 3, 1), 3) == date(2027, 3, 1)
    assert next_month_start(date(2027, 3, 2), 3) == date(2028, 3, 1)
