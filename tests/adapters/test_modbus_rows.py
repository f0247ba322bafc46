"""From the bytes of a poll to its row: the short way of the usual poll and the long way of any poll make the same row."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import BAD_DECODING, GOOD
from adapters.modbus.link import ModbusLink
from adapters.modbus.poll import Poll
from adapters.modbus.unit import Unit
from adapters.registry import connections
from adapters.template import Source
from config.register import Register
from tests.adapters.modbus_peers import Peer, register
from tests.adapters.plant import register_of, rows_of

WIRES = {
    "i64": ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "bcd16", "bcd32", "bcd64", "f32"],
    "u64": ["u8", "i16", "u32", "i64", "u64", "bcd32"],
    "f32": ["f16", "f32", "f64", "u16"],
    "f64": ["f16", "f32", "f64", "u16", "i32", "u64"],
    "bool": ["bit", "u16"],
    "str": ["str", "u16"],
}


class FixedClock:
    def now_us(self) -> int:
        return 1_795_309_323_456_000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


def source_of(points: list[dict[str, Any]]) -> Source:
    made: Register = register_of(points, [Peer(port=502).device("m1", max_gap=3)])
    ((source,),) = connections(made, 0).values()
    return source


@st.composite
def polls(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Points of any type, scale and range, and registers for them."""
    points: list[dict[str, Any]] = []
    for i in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(sorted(WIRES)))
        wire = draw(st.sampled_from(WIRES[kind]))
        more: dict[str, Any] = {"type": kind, "wire": wire}
        if wire == "bit":
            more |= draw(st.sampled_from([{"bit": 3}, {"table": "coil"}]))
        if wire == "str":
            more |= {"length": draw(st.integers(1, 3))}
        if kind in ("f64", "i64") and draw(st.booleans()):
            more |= {"scale": "0.5", "offset": "-3"}
        if kind in ("f64", "u64") and draw(st.booleans()):
            more |= {"low": "0", "high": "1000"}
        more |= {"word_order": draw(st.sampled_from(["big", "little"]))}
        points.append(register(f"p{i}", draw(st.integers(0, 60)), **more))
    return points, draw(st.lists(st.binary(min_size=2, max_size=2), min_size=70, max_size=70))


@given(polls())
def test_the_short_way_makes_the_row_of_the_long_way(poll: tuple[list[dict[str, Any]], list[bytes]]) -> None:
    points, registers = poll
    unit = Unit(source_of(points), FixedClock(), None)
    answers = [b"".join(registers)[: (p.question.size or 0)] for p in unit.plan]
    assert unit.whole is not None
    short = unit.whole.batch(answers, FixedClock().now_us())
    (long,) = rows_of(long_way(unit, answers))
    if short is None:
        assert any(q != GOOD for q in long["marks"].values())
    else:
        (row,) = rows_of(short)
        assert repr(row) == repr(long)
        assert set(row["marks"].values()) == {GOOD}


def long_way(unit: Unit, answers: list[bytes]) -> Any:
    one = Poll(unit)
    run = one.run(cast(ModbusLink, None), answers, None)
    try:
        run.send(None)
    except StopIteration:
        return one.row()
    raise AssertionError("every part was answered: nothing is asked")


def test_a_value_that_cannot_be_decoded_is_bad_and_the_others_are_good() -> None:
    unit = Unit(source_of([register("n", 0, wire="bcd16"), register("m", 1)]), FixedClock(), None)
    (row,) = rows_of(long_way(unit, [b"\x00\x0a\x00\x07"]))
    assert unit.whole is not None
    assert unit.whole.batch([b"\x00\x0a\x00\x07"], 0) is None
    assert row["values"] == {"m": 7}
    assert row["marks"] == {"n": BAD_DECODING, "m": GOOD}
