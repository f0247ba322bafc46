"""Running time of key parameters in P lines (docs/format/hour-lines.md, P), each case to be checked by hand.

One poll a minute, so state and value hold for at most 120 s. The limits of `speed` are 10 to 20. And: comparing with a decimal limit
is exact for every number a column can hold.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import SEVERITY_BAD, Template, ValueType
from collector.hours import hour_text
from collector.ledger.entry import LedgerError
from collector.limits import inside
from collector.maintain import maintain
from collector.store.lines import DEVICE_FIELDS, PARAMETER_FIELDS, read_hours, read_lines, write_hours
from tests.builders import (
    FIRST_HOUR,
    HOUR_US,
    MINUTE_US,
    SECOND_US,
    SIMPLE,
    Driver,
    Row,
    event,
    failed_row,
    ok_row,
    simple_register,
)

T0 = FIRST_HOUR * HOUR_US
LIMITED = simple_register("A").replace("high = 100", 'high = 100\nspec_low = 10\nspec_high = "20"')
EVENTS = event(("state", "i64"), ("speed", "f64"))


async def seconds(tmp_path: Path, rows: list[Row], register: str = LIMITED) -> tuple[str, str, str]:
    """run_s of device A's D line; run_ok_s and run_in_s of the P line of `speed`."""
    driver = Driver(tmp_path, T0 - 10 * MINUTE_US)
    driver.register(register)
    await driver.start()
    for row in rows:  # in the order they came, each at its own time
        driver.clock.advance_to(max(driver.clock.now_us(), row.source_us))
        await driver.emit([[row]])
    driver.clock.advance_to(T0 + HOUR_US)
    await driver.stop()
    await driver.start()  # a new file: the one before it is closed now
    await driver.stop()
    maintain(driver.folder)
    lines = [x.decode().split(",") for x in read_lines(driver.folder, FIRST_HOUR)]
    (device,) = [dict(zip(DEVICE_FIELDS, x[1:], strict=True)) for x in lines if x[0] == "D"]
    (speed,) = [dict(zip(PARAMETER_FIELDS, x[1:], strict=True)) for x in lines if x[0] == "P"]
    return device["run_s"], speed["run_ok_s"], speed["run_in_s"]


def at(minute: float) -> int:
    """That minute of the hour."""
    return T0 + int(minute * MINUTE_US)


def polls(first: int, end: int, state: int = 1, speed: float = 15.0) -> list[Row]:
    """A poll at the start of each minute."""
    return [ok_row("A", SIMPLE, at(m), state=state, speed=speed) for m in range(first, end)]


def told(minute: float, point: str, value: float) -> Row:
    """One value of an event template."""
    index = [p.name for p in EVENTS.points].index(point)
    kind = EVENTS.points[index].type
    number = int(value) if kind is ValueType.I64 else float(value)
    return Row("A", EVENTS, at(minute), values={"point": index, f"v_{kind}": number})


async def test_an_hour_of_running_inside_limits_is_an_hour(tmp_path: Path) -> None:
    assert await seconds(tmp_path, polls(0, 60)) == ("3600", "3600", "3600")


async def test_ten_minutes_above_the_limit_are_known_and_not_inside(tmp_path: Path) -> None:
    assert await seconds(tmp_path, polls(0, 20) + polls(20, 30, speed=20.5) + polls(30, 60)) == ("3600", "3600", "3000")


async def test_both_limits_belong_to_the_inside(tmp_path: Path) -> None:
    rows = polls(0, 30, speed=10.0) + polls(30, 60, speed=20.0)
    assert await seconds(tmp_path, rows) == ("3600", "3600", "3600")


async def test_a_stopped_machine_has_no_running_time_whatever_its_value(tmp_path: Path) -> None:
    assert await seconds(tmp_path, polls(0, 15) + polls(15, 60, state=0)) == ("900", "900", "900")


async def test_a_bad_value_ends_what_is_known_and_leaves_the_state(tmp_path: Path) -> None:
    bad = [
        Row("A", SIMPLE, at(m), values={"state": 1, "speed": 15.0}, qualities={"speed": SEVERITY_BAD})
        for m in range(30, 40)
    ]
    assert await seconds(tmp_path, polls(0, 30) + bad + polls(40, 60)) == ("3600", "3000", "3000")


async def test_a_value_out_of_range_is_not_known(tmp_path: Path) -> None:
    assert await seconds(tmp_path, polls(0, 30, speed=100.5) + polls(30, 60)) == ("3600", "1800", "1800")


async def test_a_failed_poll_ends_state_and_value(tmp_path: Path) -> None:
    assert await seconds(tmp_path, [*polls(0, 30), failed_row("A", SIMPLE, at(30))]) == ("1800", "1800", "1800")


async def test_after_the_last_poll_state_and_value_hold_for_two_intervals(tmp_path: Path) -> None:
    assert await seconds(tmp_path, polls(0, 30)) == ("1860", "1860", "1860")  # 29 minutes, and 120 s from the last one


async def test_what_was_carried_in_counts_from_the_hours_start(tmp_path: Path) -> None:
    before = ok_row("A", SIMPLE, T0 - 30 * SECOND_US, state=1, speed=15.0)  # holds until 90 s into the hour
    assert await seconds(tmp_path, [before]) == ("90", "90", "90")


async def test_events_of_state_and_value_are_intersected(tmp_path: Path) -> None:
    # runs from minute 1 to 3 (2 x 60 s); the value is known from minute 2 to 4, inside until 2.5
    rows = [told(1, "state", 1), told(2, "speed", 15), told(2.5, "speed", 25)]
    assert await seconds(tmp_path, rows) == ("120", "60", "30")


async def test_microseconds_are_summed_before_they_are_floored(tmp_path: Path) -> None:
    rows = []
    for m in (1, 11, 21):  # three times 20.6 s, 10.3 s of them inside: 61 s and 30 s
        rows += [told(m, "speed", 15), told(m, "state", 1)]
        rows += [told(m + 10.3 / 60, "speed", 25), told(m + 20.6 / 60, "state", 0)]
    assert await seconds(tmp_path, rows) == ("61", "61", "30")


async def test_without_limits_only_the_known_time_is_stated(tmp_path: Path) -> None:
    assert await seconds(tmp_path, polls(0, 60), simple_register("A")) == ("3600", "3600", "")


async def test_without_a_state_rule_neither_is_stated(tmp_path: Path) -> None:
    register = LIMITED.replace('role = "state"\n', "")
    assert await seconds(tmp_path, polls(0, 60), register) == ("", "", "")


async def test_one_limit_bounds_one_side(tmp_path: Path) -> None:
    register = LIMITED.replace("spec_low = 10\n", "")
    rows = polls(0, 30, speed=1.0) + polls(30, 60, speed=20.5)
    assert await seconds(tmp_path, rows, register) == ("3600", "3600", "1800")


async def test_a_silent_device_has_zeros_and_no_emptiness(tmp_path: Path) -> None:
    assert await seconds(tmp_path, []) == ("0", "0", "0")


async def test_lines_of_the_format_before_are_refused_by_name(tmp_path: Path) -> None:
    folder = Driver(tmp_path, T0).folder
    line = f"P,A,{hour_text(FIRST_HOUR)},speed,fffffffffffffff,60,0".encode()
    write_hours(folder, [(FIRST_HOUR, [line])])
    with pytest.raises(LedgerError, match="应有 9 个字段，发现 P,A,"):
        read_hours(folder, FIRST_HOUR, FIRST_HOUR + 1)


async def test_a_template_that_delivers_a_text_lies_inside_no_limits(tmp_path: Path) -> None:
    template = Template("event", (EVENTS.points[0], event(("speed", "str")).points[0]))
    spoken = Row("A", template, at(1), values={"point": 1, "v_str": "15"})
    runs = Row("A", template, at(1), values={"point": 0, "v_i64": 1})
    assert await seconds(tmp_path, [spoken, runs]) == ("120", "120", "0")


def _f32(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [Decimal(x) for x in ("0.1", "-0.0", "1e400", "-1e400", "5e-324", "1e-400", "18446744073709551615.5", "0.30")]
)
NUMBERS = {
    ValueType.F64: (pl.Float64, st.floats(allow_nan=False) | DECIMALS.map(float)),
    ValueType.F32: (pl.Float32, st.floats(allow_nan=False, width=32) | st.sampled_from([_f32(0.1), _f32(0.3)])),
    ValueType.I64: (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    ValueType.U64: (pl.UInt64, st.integers(0, 2**64 - 1)),
}


def _within(value: float, low: Decimal | None, high: Decimal | None) -> bool:
    if isinstance(value, float) and math.isinf(value):
        return high is None if value > 0 else low is None
    exact = Fraction(value)
    return (low is None or exact >= Fraction(low)) and (high is None or exact <= Fraction(high))


@pytest.mark.parametrize("kind", NUMBERS, ids=str)
@given(data=st.data(), low=st.none() | DECIMALS, high=st.none() | DECIMALS)
def test_a_stored_number_is_compared_with_decimal_limits_exactly(
    kind: ValueType, data: st.DataObject, low: Decimal | None, high: Decimal | None
) -> None:
    dtype, numbers = NUMBERS[kind]
    value = data.draw(numbers)
    near = [
        Decimal(value) if math.isfinite(value) else Decimal(1),
        Decimal(repr(float(value))) if math.isfinite(value) else Decimal(1),
    ]
    low, high = data.draw(st.sampled_from([low, *near])), data.draw(st.sampled_from([high, *near]))
    frame = pl.DataFrame({"x": [value]}, {"x": dtype})
    found = frame.select(inside(pl.col("x"), kind, low, high).alias("in"))["in"].to_list()
    assert found == [_within(value, low, high)]
