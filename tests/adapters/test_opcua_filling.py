"""Pages of a history: whatever a server's pages and edges, each missing value comes once; nonsense ends, failures are left alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.batch import NO_TIME, Outcome
from adapters.contract import ReadError
from adapters.opcua.history.backfill import History
from adapters.opcua.history.gaps import Delivered
from adapters.opcua.history.historyread import HistoryReader, Page, Range, history_response
from adapters.opcua.session import Session
from adapters.opcua.values.binary import Malformed
from adapters.opcua.values.responses import Fault
from tests.adapters.historian import (
    EPOCH,
    NODE,
    T0,
    Historian,
    StillClock,
    fill,
    gap_of,
    node_of,
    page,
    recall_of,
    rows_with,
    seen,
    source,
)
from tests.adapters.plant import Recorder


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([1000, 1000, 7000, 900_000_000, 5_000_000_000]), st.integers(0, 3)), min_size=4
    ),
    first=st.integers(1, 30),
    away=st.integers(0, 30),
    page=st.integers(2, 9),
    end_counts=st.booleans(),
    cuts_off=st.booleans(),
    micro=st.sampled_from([0, 0, 123, 500, 623]),
)
@settings(max_examples=150, deadline=None)
def test_every_value_comes_once_whatever_the_servers_pages_and_edges(
    steps: list[tuple[int, int]], first: int, away: int, page: int, end_counts: bool, cuts_off: bool, micro: int
) -> None:
    us, made = T0 + micro, []
    for step, value in steps:
        us += step
        made.append((us, value))
    before, after = made[:first], made[first + away :]
    # a historian of whole milliseconds rounds: the values at the edges of the gap are still the ones that were delivered
    kept = [(at // 1000 * 1000, v) for at, v in made] if micro else made
    of, recorder, clock = source(), Recorder(), StillClock(made[-1][0])
    delivered = Delivered(of)
    for batch in (before, after):
        delivered.interrupted(0)
        if batch:
            delivered.stored(rows_with(of, *batch), clock.now_us(), notified=True)
    historian = Historian(kept, page, end_counts=end_counts, cuts_off=cuts_off)
    asyncio.run(fill(delivered, historian, recorder, clock))
    expected = kept[first : first + away] if after else []
    assert seen(recorder) == expected
    assert not historian.held


@given(
    counts=st.lists(st.tuples(st.integers(2, 60), st.integers(1, 40), st.integers(0, 90)), min_size=1, max_size=4),
    limit=st.integers(1, 4),
    page=st.integers(2, 9),
    cuts_off=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_gaps_of_several_points_share_requests_and_each_gets_its_own(
    counts: list[tuple[int, int, int]], limit: int, page: int, cuts_off: bool
) -> None:
    of, recorder, clock = source(("ramp", "wave", "count", "label")), Recorder(), StillClock()
    delivered, made, kinds = Delivered(of), {}, (int, float, int, str)
    for point, (before, away, offset) in enumerate(counts):  # every point at its own pace, from its own moment on
        step_us = 1_000_000 * (point + 1)
        values = [(T0 + offset * 1_000_000 + n * step_us, kinds[point](n)) for n in range(before + away + 1)]
        made[point] = (values, values[before : before + away])
        for part in (values[:before], values[-1:]):
            delivered.stored(rows_with(of, *part, point=point), clock.now_us(), notified=True)
            delivered.interrupted(0)
    nodes: dict[Any, Any] = {node_of(p): values for p, (values, _) in made.items()}
    historian = Historian(nodes[node_of(0)], page, limit, cuts_off=cuts_off, others=nodes)
    asyncio.run(fill(delivered, historian, recorder, clock))
    for point, (_, missing) in made.items():
        name = of.points[point].name
        assert [(r["source_us"], r["values"][name]) for r in recorder.rows("m1") if r["point"] == name] == missing
    assert not historian.held


def test_values_that_overtook_the_first_notification_are_not_delivered_again() -> None:
    of, recorder, clock = source(), Recorder(), StillClock()
    delivered = Delivered(of)
    delivered.stored(rows_with(of, (T0, 1)), clock.now_us(), notified=True)
    delivered.stored(rows_with(of, (T0 + 3000, 4)), clock.now_us(), notified=False)  # a confirming read was quicker
    delivered.interrupted(0)
    delivered.stored(rows_with(of, (T0 + 9000, 9)), clock.now_us(), notified=True)
    delivered.stored(rows_with(of, (T0 + 7000, 7)), clock.now_us(), notified=True)
    kept = [(T0 + 1000 * n, n + 1) for n in range(1, 9)]
    kept[2], kept[6] = (T0 + 3000, 4), (T0 + 7000, 7)
    asyncio.run(fill(delivered, Historian([(T0, 1), *kept, (T0 + 9000, 9)], 100), recorder, clock))
    assert [us for us, _ in seen(recorder)] == [T0 + 1000 * n for n in (1, 2, 4, 5, 6)]


def test_a_collector_that_was_killed_reads_again_rather_than_lose_anything() -> None:
    of, recorder, clock = source(), Recorder(), StillClock()
    before = Delivered(of)
    before.stored(rows_with(of, (T0, 1)), clock.now_us(), notified=True)
    saved = json.loads(json.dumps(before.to_state()))
    before.stored(rows_with(of, (T0 + 1000, 2)), clock.now_us(), notified=True)  # on disk, and not in the state file
    after = Delivered(of)
    after.restore(saved)
    after.stored(rows_with(of, (T0 + 4000, 5)), clock.now_us(), notified=True)
    asyncio.run(fill(after, Historian([(T0 + 1000 * n, n + 1) for n in range(6)]), recorder, clock))
    assert seen(recorder) == [(T0 + 1000 * n, n + 1) for n in (1, 2, 3)]  # the store gives the first of them once


@dataclass
class Stubborn(Historian):
    """Answers each request with one page."""

    answer: Page = field(default_factory=page)
    refused: list[ua.NodeId] = field(default_factory=list)

    async def read(self, nodes: Sequence[tuple[ua.NodeId, bytes | None]], span: Range) -> list[Page]:
        self.asked += 1
        return [self.answer for _ in nodes]

    def cannot(self, node: ua.NodeId) -> None:
        self.refused.append(node)


@pytest.mark.parametrize(
    "answer",
    [
        page(status="BadHistoryOperationUnsupported"),
        page(status="BadUserAccessDenied"),
        page(status="BadNoData"),
        page(status="BadContinuationPointInvalid"),
        page(rest=b"again"),
        page((NO_TIME, 1), rest=b"again", full=True),
        page(*[(T0 + 1000, 1)] * 50, full=True),
        page((T0 + 30_000_000, 1), (T0 + 20_000_000, 1), rest=b"again", full=True),
        page((2**62, 1), (-5, "x"), (T0 + 5, b"y"), (T0 + 6, [1, [2]]), rest=b"x", full=True),
    ],
    ids=lambda p: f"{p.status}-{len(p.values)}-{p.rest}",
)
def test_a_server_that_answers_nonsense_for_ever_is_given_up(answer: Page) -> None:
    of, recorder, clock = source(), Recorder(), StillClock()
    delivered = Delivered(of)
    gap_of(delivered, of)
    historian = Stubborn([], answer=answer)
    asyncio.run(fill(delivered, historian, recorder, clock))
    assert historian.asked < 300
    assert len(set(seen(recorder))) == len(seen(recorder))


def test_a_server_whose_history_fails_is_left_alone_until_the_next_session() -> None:
    of, recorder, clock = source(), Recorder(), StillClock()
    asked = 0

    class Failing(Historian):
        async def read(self, nodes: Any, span: Range) -> list[Page]:
            nonlocal asked
            asked += 1
            raise ReadError(Outcome.TIMEOUT, "no answer")

    async def main() -> None:
        history = History([of], clock, None)
        for us in (T0, T0 + 60_000_000):
            history.interrupted()
            history.stored([rows_with(of, (us, us % 97))], notified=True)
        session = cast(Session, SimpleNamespace(where="historian", alive=True))
        watched = SimpleNamespace(node_ids=[NODE], refused=set(), recall=recall_of(of))
        history.began(session, {"m1": watched})
        history._reader = cast(HistoryReader, Failing([]))
        task = asyncio.create_task(history.run(recorder.emit))
        while asked < 5:  # noqa: ASYNC110 - the clock is still
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert asked == 5


def history_bytes(*pages: tuple[int, list[tuple[int, Any]], bytes | None]) -> bytes:
    """A HistoryReadResponse, by the library's encoder: (status, values, continuation point) per node."""
    response = ua.HistoryReadResponse()
    for status, values, rest in pages:
        data = ua.HistoryData([
            ua.DataValue(ua.Variant(v), SourceTimestamp=EPOCH + timedelta(microseconds=us)) for us, v in values
        ])  # fmt: skip
        result = ua.HistoryReadResult(ua.StatusCode(ua.UInt32(status)), rest)
        result.HistoryData = data
        response.Results.append(result)
    return struct_to_binary(response)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0x80280000]),
            st.lists(
                st.tuples(st.integers(T0, T0 + 10**12), st.floats(allow_nan=False) | st.integers(-5, 5) | st.text())
            ),
            st.none() | st.binary(min_size=1),
        ),
        min_size=1,
        max_size=3,
    ),
    st.data(),
)
def test_pages_are_what_the_library_encoded_and_broken_bytes_are_named(pages: list[Any], data: st.DataObject) -> None:
    body = history_bytes(*pages)
    found = history_response(body, len(pages), 3)
    for (status, values, rest), got in zip(pages, found, strict=True):
        assert (bool(got.status), got.rest, got.full) == (bool(status), rest, len(values) >= 3)
        assert list(zip(got.values.source_us.tolist(), got.values.raws(), strict=True)) == values
    at = data.draw(st.integers(0, len(body) - 1))
    for broken in (body[:at], body[:at] + data.draw(st.binary(max_size=8)) + body[at + 4 :]):
        with contextlib.suppress(Malformed, Fault):
            history_response(broken, len(pages), 3)
