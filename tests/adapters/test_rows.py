"""Rows in the making: filled one by one or all at once from arrays, held as rows or as columns, they are the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import NO_TIME, Batch, BatchError, Outcome, Template, TemplatePoint, ValueType
from adapters.rows import Rows, event_batch, failed_batch
from collector.frame import rows_body
from tests.adapters.plant import rows_of

POINTS = tuple(TemplatePoint(f"{t}{i}", t) for t in ValueType for i in range(2))
EVENT, WIDE = Template("event", POINTS), Template("wide", POINTS)
T0 = 1_794_960_000_000_000
STAMPS = st.integers(T0 - 10**12, T0 + 10**12)
QUALITIES = st.sampled_from((0, 0, 0, 0x4000_0000, 0x8005_0000, 0x803C_0000))
VALUES: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.BOOL: st.booleans(),
    ValueType.I64: st.integers(-(2**63), 2**63 - 1),
    ValueType.U64: st.integers(0, 2**64 - 1),
    ValueType.F32: st.floats(width=32),
    ValueType.F64: st.floats(),
    ValueType.STR: st.text(max_size=8),
}


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for point in draw(st.lists(st.integers(0, len(POINTS) - 1), min_size=1, max_size=12)):
        quality = draw(QUALITIES)
        found.append(
            {
                "point": point,
                "value": draw(st.none() | VALUES[POINTS[point].type]),
                "quality": quality,
                "source_us": draw(STAMPS),
                "received_us": draw(STAMPS),
                "outcome": draw(st.sampled_from((Outcome.OK, Outcome.CONFIRMED))),
                "value_quality": draw(st.sampled_from((quality, quality, 0x803C_0000))),
                "server_us": draw(st.none() | STAMPS),
            }
        )
    return found


def one_by_one(rows: Sequence[dict[str, Any]]) -> Batch:
    making = Rows("A", EVENT)
    for row in rows:
        making.event(**row)
    batch = making.batch()
    assert batch is not None
    return batch


def at_once(rows: Sequence[dict[str, Any]]) -> Batch:
    blank = {ValueType.STR: "", ValueType.BOOL: False}
    values: dict[ValueType, list[Any]] = {t: [] for t in ValueType}
    for row in rows:
        kind = POINTS[row["point"]].type
        values[kind].append(blank.get(kind, 0) if row["value"] is None else row["value"])
    stamps = [NO_TIME if r["server_us"] is None else r["server_us"] for r in rows]
    return event_batch(
        "A",
        EVENT,
        [r["point"] for r in rows],
        values,
        [r["quality"] for r in rows],
        [r["source_us"] for r in rows],
        [r["received_us"] for r in rows],
        server_us=None if set(stamps) == {NO_TIME} else stamps,
        there=[r["value"] is not None for r in rows],
        value_quality=[r["value_quality"] for r in rows],
        outcome=[r["outcome"] for r in rows],
    )


def as_columns(batch: Batch) -> Batch:
    """The same rows, held as columns."""
    c = batch.as_columns()
    return Batch(
        batch.device,
        batch.template,
        c.source_us,
        c.lag_us,
        c.outcome,
        c.quality,
        c.columns,
        c.point_quality,
        c.server_us,
    )


def plain(batch: Batch) -> list[str]:
    """Rows as text: NaN is NaN."""
    return [repr(r) for r in rows_of(batch)]


@given(events())
def test_events_at_once_are_the_events_one_by_one(rows: list[dict[str, Any]]) -> None:
    first, second = one_by_one(rows), at_once(rows)
    assert plain(first) == plain(second)
    assert (first.server_us is None) == (second.server_us is None)
    assert first.server_us is None or np.array_equal(first.server_us, second.server_us)  # type: ignore[arg-type]
    assert rows_body([first], set()) == rows_body([second], set())


@given(st.lists(events(), min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_a_frame_is_the_same_however_its_batches_hold_their_rows(
    parts: list[list[dict[str, Any]]], held: list[bool]
) -> None:
    batches = [one_by_one(p) for p in parts]
    mixed = [as_columns(one_by_one(p)) if h else one_by_one(p) for p, h in zip(parts, held, strict=False)]
    assert rows_body(batches, set()) == rows_body(mixed, set())


@given(st.data())
def test_a_poll_keeps_values_qualities_and_times(data: st.DataObject) -> None:
    values = [data.draw(st.none() | VALUES[p.type]) for p in POINTS]
    qualities = [data.draw(QUALITIES) for _ in POINTS]
    server_us = data.draw(st.none() | STAMPS)
    making = Rows("A", WIDE)
    making.wide(T0, T0 + 5, values, qualities, server_us=server_us)
    batch = making.batch()
    assert batch is not None
    (row,) = rows_of(batch)
    found = [row["values"].get(p.name) for p in POINTS]
    assert all(
        f == v or (isinstance(v, float) and math.isnan(v) and math.isnan(f)) for f, v in zip(found, values, strict=True)
    )
    assert list(row["marks"].values()) == qualities
    assert (row["source_us"], row["lag_us"]) == (T0, 5)
    assert (None if batch.server_us is None else batch.server_us.tolist()) == (
        None if server_us is None else [server_us]
    )
    usable = [q for q in qualities if not q & 0x8000_0000 or q == 0x803C_0000]
    assert row["quality"] == (0 if usable else qualities[0])


def test_a_failed_poll_is_a_row_without_values() -> None:
    (row,) = rows_of(failed_batch("A", WIDE, T0, Outcome.REFUSED))
    assert (row["outcome"], row["quality"], row["values"]) == (Outcome.REFUSED, 0x808A_0000, {})


def test_rows_that_contradict_their_template_are_refused() -> None:
    making = Rows("A", WIDE)
    with pytest.raises(BatchError, match="A: expected 12 values, found 1"):
        making.wide(T0, T0, [1], [0])
    with pytest.raises(BatchError, match="A: expected 1 values of type i64, found 2"):
        event_batch("A", EVENT, [2], {ValueType.I64: [1, 2]}, 0, T0, T0)
    with pytest.raises(BatchError, match="A: expected columns of one length"):
        event_batch("A", EVENT, [2, 2], {ValueType.I64: [1, 2]}, 0, [T0, T0, T0], T0)
    making.event(2, "x", 0, T0, T0)
    batch = making.batch()
    assert batch is not None
    with pytest.raises(BatchError, match="A: template"):
        batch.as_columns()
