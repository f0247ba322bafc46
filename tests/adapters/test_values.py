"""Casting raw values: exact scaling, declared types, ranges, texts that mean no value."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import BAD_DECODING, BAD_NO_DATA, GOOD
from adapters.values import BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH, compile_cast
from config.points import Point


def cast(raw: object, **point: Any) -> tuple[object, int]:
    return compile_cast(Point(name="p", **point))(raw)


@given(st.integers(0, 65535), st.sampled_from(["0.1", "0.01", "0.001", "2.5", "1000"]))
def test_a_scaled_integer_is_the_nearest_float_of_the_exact_product(raw: int, scale: str) -> None:
    expected = float(Fraction(raw) * Fraction(scale))
    assert cast(raw, type="f64", scale=Decimal(scale)) == (expected, GOOD)


@given(
    st.integers(-(2**31), 2**31 - 1), st.sampled_from(["0.1", "-0.01", "2.5", None]), st.sampled_from(["-40", "273.15"])
)
def test_an_offset_is_added_after_the_scale_exactly(raw: int, scale: str | None, offset: str) -> None:
    expected = float(Fraction(raw) * Fraction(scale or "1") + Fraction(offset))
    assert cast(raw, type="f64", scale=Decimal(scale) if scale else None, offset=Decimal(offset)) == (expected, GOOD)


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["0.001", "1e6"]), st.sampled_from(["-1", "0.1"])
)
def test_a_float_is_scaled_and_shifted_without_an_intermediate_rounding(raw: float, scale: str, offset: str) -> None:
    try:
        expected = float(Fraction(raw) * Fraction(scale) + Fraction(offset))
    except OverflowError:
        return
    assert cast(raw, type="f64", scale=Decimal(scale), offset=Decimal(offset)) == (expected, GOOD)


def test_an_offset_keeps_whole_numbers_whole_and_passes_over_what_is_no_number() -> None:
    assert cast(2**63, type="i64", offset=Decimal(-(2**63))) == (0, GOOD)
    assert cast(1, type="i64", offset=Decimal("0.5")) == (None, BAD_DECODING)
    assert cast("x", type="str", offset=Decimal(1)) == ("x", GOOD)


def test_a_scaled_integer_point_keeps_whole_numbers_and_refuses_fractions() -> None:
    assert cast(120, type="i64", scale=Decimal("0.1")) == (12, GOOD)
    assert cast(123, type="i64", scale=Decimal("0.1")) == (None, BAD_DECODING)


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers_outside_the_declared_type_are_refused_not_wrapped(raw: int) -> None:
    assert cast(raw, type="i64") == ((raw, GOOD) if raw < 2**63 else (None, BAD_DECODING))
    assert cast(raw, type="u64") == ((raw, GOOD) if raw >= 0 else (None, BAD_DECODING))


@pytest.mark.parametrize("raw", [49.9, 100.1, float("inf")])
def test_out_of_range_keeps_the_value_and_marks_it_bad(raw: float) -> None:
    assert cast(raw, type="f64", low=Decimal(50), high=Decimal(100)) == (raw, BAD_OUT_OF_RANGE)


def test_the_ends_of_the_range_are_inside() -> None:
    assert cast(50, type="f64", low=Decimal(50), high=Decimal(100)) == (50.0, GOOD)
    assert cast(0.1, type="f64", low=Decimal("0.1")) == (0.1, GOOD)


def test_a_float_that_is_no_number_has_no_data() -> None:
    value, quality = cast(float("nan"), type="f64")
    assert isinstance(value, float)
    assert math.isnan(value)
    assert quality == BAD_NO_DATA


def test_a_text_that_means_no_value_is_kept_as_text_and_missing_as_a_number() -> None:
    assert cast("Unavailable|x", type="str", no_value=("UNAVAILABLE",)) == ("Unavailable|x", BAD_NO_DATA)
    assert cast("UNAVAILABLE", type="f64", no_value=("UNAVAILABLE",)) == (None, BAD_NO_DATA)
    assert cast("UNAVAILABLE", type="str") == ("UNAVAILABLE", GOOD)


@pytest.mark.parametrize(
    ("raw", "kind", "expected"),
    [
        (None, "f64", (None, BAD_NO_DATA)),
        ("12", "f64", (None, BAD_TYPE_MISMATCH)),
        ([1], "i64", (None, BAD_TYPE_MISMATCH)),
        ({}, "str", (None, BAD_TYPE_MISMATCH)),
        (True, "i64", (1, GOOD)),
        (3, "str", ("3", GOOD)),
        (True, "str", ("true", GOOD)),
        (2, "bool", (True, GOOD)),
        (0.0, "bool", (False, GOOD)),
        (1e300, "f32", (None, BAD_DECODING)),
        (3.0, "i64", (3, GOOD)),
        (3.5, "i64", (None, BAD_DECODING)),
    ],
)
def test_what_cannot_be_the_declared_type_is_missing_with_its_reason(
    raw: object, kind: str, expected: tuple[object, int]
) -> None:
    assert cast(raw, type=kind) == expected
