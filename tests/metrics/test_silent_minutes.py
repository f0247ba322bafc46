"""Silent minutes counted for all devices at once are those counted minute by minute."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metrics.machines.minutes import FULL, silent_minutes

HOURS = 3
hours = st.one_of(st.just(0), st.just(FULL), st.just(1), st.just(1 << 59), st.integers(0, FULL))
rows = st.lists(st.lists(st.tuples(hours, hours), min_size=HOURS, max_size=HOURS), min_size=1, max_size=4)


@given(rows)
def test_obligated_minutes_after_the_last_covered_one_are_silent(pairs: list[list[tuple[int, int]]]) -> None:
    covered, owed = (np.array([[pair[i] for pair in row] for row in pairs], np.uint64) for i in (0, 1))
    assert silent_minutes(covered, owed).tolist() == [_by_hand(row) for row in pairs]


def _by_hand(row: list[tuple[int, int]]) -> int:
    covered, owed = ("".join(f"{pair[i]:060b}" for pair in row) for i in (0, 1))
    return owed[covered.rfind("1") + 1 :].count("1")
