"""Gaps of a device: from which value to which, what was delivered already, what is kept over a restart."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import GOOD, Outcome
from adapters.opcua.history import backfill
from adapters.opcua.history.backfill import History
from adapters.opcua.history.gaps import SETTLE_US, Delivered, marks_of
from adapters.rows import Rows
from tests.adapters.historian import KINDS, T0, StillClock, gap_of, recall_of, rows_with, source

OTHER_NODE = "ns=1;s=m1.other"


@given(kind=st.sampled_from(list(KINDS)), data=st.data())
def test_a_mark_tells_values_of_a_type_apart(kind: str, data: st.DataObject) -> None:
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "ramp": st.integers(-(2**63), 2**63 - 2),
        "wave": st.floats(allow_nan=False),
        "half": st.floats(width=32, allow_nan=False),
        "count": st.integers(0, 2**64 - 1).filter(lambda n: n != 2**63 - 1),
        "on": st.booleans(),
        "label": st.text(),
    }
    one, other = data.draw(strategies[kind] | st.none()), data.draw(strategies[kind] | st.none())
    of = source(list(KINDS))
    marks = marks_of(rows_with(of, (T0, one), (T0, other), point=list(KINDS).index(kind)))
    same = repr(one) == repr(other)  # -0.0 and 0.0 are two values
    assert (marks[0] == marks[1]) == same


def test_a_value_that_did_not_change_leaves_no_gap() -> None:
    of = source()
    delivered = Delivered(of)
    delivered.stored(rows_with(of, (T0, 1)), T0, notified=True)
    delivered.interrupted(0)
    delivered.stored(rows_with(of, (T0, 1), outcome=Outcome.CONFIRMED), T0, notified=True)
    assert delivered.gaps == []


def test_an_overflow_makes_a_gap_from_the_last_value_to_the_next() -> None:
    of = source()
    delivered = Delivered(of)
    delivered.stored(rows_with(of, (T0, 1)), T0, notified=True)
    assert not delivered.stored(rows_with(of, (T0 + 9000, None), outcome=Outcome.OVERFLOW), T0, notified=True)
    assert delivered.stored(rows_with(of, (T0 + 9000, 9)), T0, notified=True)
    (gap,) = delivered.gaps
    assert (gap.from_us, gap.from_mark, gap.to_us, gap.to_mark) == (T0, 1, T0 + 9000, 9)


@pytest.mark.parametrize("lag", [0, -90_000_000_000])
def test_a_value_without_a_credible_stamp_makes_no_gap(lag: int) -> None:
    of = source()
    delivered = Delivered(of)
    rows = Rows("m1", of.template)
    rows.event(0, 1, GOOD, T0, T0 + lag)
    delivered.stored(cast(Any, rows.batch()), T0, notified=True)
    delivered.interrupted(0)
    delivered.stored(rows_with(of, (T0 + 5000, 2)), T0, notified=True)
    assert delivered.gaps == []


def test_after_a_clock_was_set_back_later_losses_are_filled_again() -> None:
    of = source()
    delivered = Delivered(of)
    for us in (T0 + 3_600_000_000, T0, T0 + 5000):
        delivered.interrupted(0)
        delivered.stored(rows_with(of, (us, 1)), T0, notified=True)
    assert [(g.from_us, g.to_us) for g in delivered.gaps] == [(T0, T0 + 5000)]


def test_what_was_delivered_and_the_gaps_survive_a_restart(tmp_path: Path) -> None:
    of, clock = source(), StillClock()
    history = History([of], clock, tmp_path)
    history.stored([rows_with(of, (T0, 1), (T0 + 1000, 2))], notified=True)
    history.interrupted()
    history.stored([rows_with(of, (T0 + 5000, 6))], notified=True)
    history.save()
    delivered = Delivered(of)
    delivered.restore(json.loads((tmp_path / "opcua-history" / "m1.json").read_bytes())["points"])
    (gap,) = delivered.gaps
    assert (gap.from_us, gap.from_mark, gap.to_us, gap.to_mark) == (T0 + 1000, 2, T0 + 5000, 6)
    delivered.stored(rows_with(of, (T0 + 9000, 9)), T0, notified=True)
    assert [(g.from_us, g.to_us) for g in delivered.gaps][1:] == [(T0 + 5000, T0 + 9000)]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"format":"plantproof-opcua-history/1","points":[]}', b"[" * 100_000],
)
def test_a_state_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "opcua-history").mkdir()
    (tmp_path / "opcua-history" / "m1.json").write_bytes(content)
    history = History([source()], StillClock(), tmp_path)
    history.interrupted()
    history.stored([rows_with(source(), (T0, 1))], notified=True)
    history.save()
    assert json.loads((tmp_path / "opcua-history" / "m1.json").read_bytes())["points"]["ramp"]["last"] == [T0, 1]


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda s: st.lists(s, max_size=5)))
def test_whatever_stands_in_a_state_file_restores_or_is_left_out(junk: Any) -> None:
    of = source()
    for state in (
        junk,
        {"ramp": junk},
        {"ramp": {"node": "ns=1;s=m1.ramp", "type": "i64", "last": junk, "gaps": junk}},
    ):
        delivered = Delivered(of)
        delivered.restore(state)
        delivered.stored(rows_with(of, (T0, 1)), T0, notified=True)
    delivered = Delivered(of)
    delivered.restore(
        {"ramp": {"node": "ns=1;s=m1.ramp", "type": "i64", "last": [T0, 1], "gaps": [junk, [1, 2, 3, 4]]}}
    )
    assert (1, 2, 3, 4) in [(g.from_us, g.from_mark, g.to_us, g.to_mark) for g in delivered.gaps]


def test_a_value_from_before_a_restart_is_confirmed_and_one_of_another_stamp_is_new() -> None:
    of = source(("ramp", "wave"))
    before, after = Delivered(of), Delivered(of)
    before.stored(rows_with(of, (T0, 1)), T0, notified=True)
    after.restore(json.loads(json.dumps(before.to_state())))
    again, other = rows_with(of, (T0, 1)), rows_with(of, (T0, 1.0), point=1)
    assert after.repeated(again).outcome.tolist() == [Outcome.CONFIRMED]
    assert after.repeated(other) is other
    assert after.repeated(rows_with(of, (T0, 2))).outcome.tolist() == [Outcome.OK]
    assert after.repeated(rows_with(of, (T0 + 1, 1))).outcome.tolist() == [Outcome.OK]
    after.stored(again, T0, notified=True)
    assert after.repeated(again) is again  # from here on the adapter knows by itself


def test_a_point_of_another_node_takes_nothing_over() -> None:
    of = source()
    delivered = Delivered(of)
    delivered.restore({"ramp": {"node": OTHER_NODE, "type": "i64", "last": [T0, 1], "gaps": []}})
    delivered.stored(rows_with(of, (T0 + 5000, 6)), T0, notified=True)
    assert delivered.gaps == []


def test_history_off_and_wide_rows_are_not_tracked(tmp_path: Path) -> None:
    history = History([source(history="off")], StillClock(), tmp_path)
    history.stored([rows_with(source(), (T0, 1))], notified=True)
    history.save()
    assert not (tmp_path / "opcua-history").exists()


def test_a_read_ends_a_gap_unless_it_is_of_the_session_before() -> None:
    of = source()
    delivered = Delivered(of)
    delivered.stored(rows_with(of, (T0, 1)), T0, notified=True)
    delivered.interrupted(T0 + 50_000)
    delivered.stored(rows_with(of, (T0 + 9000, 9)), T0, notified=False)
    assert delivered.gaps == []
    delivered.stored(rows_with(of, (T0 + 60_000, 60)), T0, notified=False)
    assert [(g.from_us, g.to_us) for g in delivered.gaps] == [(T0, T0 + 60_000)]
    delivered.stored(rows_with(of, (T0 + 40_000, 40)), T0, notified=True)  # the notification came after the read
    assert [(g.from_us, g.to_us) for g in delivered.gaps] == [(T0, T0 + 40_000)]


def test_a_gap_settles_before_it_is_filled() -> None:
    of = source()
    delivered = Delivered(of)
    assert gap_of(delivered, of).ready_us == T0 + SETTLE_US


def test_what_is_remembered_of_a_gap_that_stays_has_an_end() -> None:
    of = source()
    delivered = Delivered(of)
    gap = gap_of(delivered, of)
    for k in range(2000):  # read again and again, ahead of notifications that a deadband keeps back
        delivered.stored(rows_with(of, (gap.to_us + k + 1, k)), T0, notified=False)
    assert len(delivered.to_state()["ramp"]["seen"]) < 300
    for k in range(30_000):  # a server's clock was set back: all of it lies in the gap
        delivered.remember(gap, np.array([gap.from_us - k]), np.array([k]))
    assert len(delivered.to_state()["ramp"].get("seen", ())) <= 20_000
    assert (delivered.gaps, delivered.given_up) == ([], 1)


def test_two_writers_of_a_state_file_take_turns_and_the_newer_state_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, waiting, go_on = os.replace, threading.Event(), threading.Event()

    def slow(*args: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            waiting.set()
            go_on.wait(10)
        replace(*args)

    monkeypatch.setattr(backfill.os, "replace", slow)
    of = source()
    history = History([of], StillClock(), tmp_path)
    history.stored([rows_with(of, (T0, 1))], notified=True)
    older = history._states()
    history.stored([rows_with(of, (T0 + 5000, 2))], notified=True)
    thread = threading.Thread(target=history._files.write, args=(older,))
    thread.start()
    waiting.wait(10)
    threading.Timer(0.05, go_on.set).start()
    history.save()
    thread.join()
    history._files.write(older)  # late
    kept = json.loads((tmp_path / "opcua-history" / "m1.json").read_bytes())
    assert kept["points"]["ramp"]["last"] == [T0 + 5000, 2]


def test_a_gap_of_a_node_that_the_server_has_no_more_wakes_nobody() -> None:
    async def main() -> float:
        of, clock = source(), StillClock()
        history = History([of], clock, None)
        for us in (T0, T0 + 60_000_000):
            history.interrupted()
            history.stored([rows_with(of, (us, us % 97))], notified=True)
        watched = SimpleNamespace(node_ids=[None], refused=set(), recall=recall_of(of))
        history.began(cast(Any, SimpleNamespace(where="historian", alive=True)), {"m1": watched})
        clock.us += 5_000_000
        return history._seconds_to_work()

    assert asyncio.run(main()) > 1
