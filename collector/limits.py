"""规格限: is a stored value inside decimal limits, decided exactly, though the column holds binary numbers.

In: a column, its type, limits as `Decimal`. Out: a polars test. A limit becomes the outermost number of the column's type that still
lies inside it, so comparing with that number is comparing with the decimal itself; nothing is rounded (docs/format/hour-lines.md, P).
A truth value or a text lies inside no limits.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import polars as pl

from adapters.batch import ValueType

_WHOLE = {
    ValueType.I64: (-(2**63), 2**63 - 1, pl.Int64),
    ValueType.U64: (0, 2**64 - 1, pl.UInt64),
}


def inside(value: pl.Expr, kind: ValueType, low: Decimal | None, high: Decimal | None) -> pl.Expr:
    """low <= value <= high; a limit that is None is none."""
    if kind in _WHOLE:
        return _inside_whole(value, kind, low, high)
    if kind not in (ValueType.F32, ValueType.F64):
        return pl.lit(value=False)
    number = value.cast(pl.Float64)  # exact, for f32 too
    tests = [] if low is None else [number >= _float_at_least(low)]
    tests += [] if high is None else [number <= _float_at_most(high)]
    return pl.all_horizontal(tests) if tests else pl.lit(value=True)


def _inside_whole(value: pl.Expr, kind: ValueType, low: Decimal | None, high: Decimal | None) -> pl.Expr:
    least, most, dtype = _WHOLE[kind]
    if (low is not None and low > most) or (high is not None and high < least):
        return pl.lit(value=False)
    tests = []
    if low is not None and low > least:
        tests.append(value >= pl.lit(int(low.to_integral_value(ROUND_CEILING)), dtype))
    if high is not None and high < most:
        tests.append(value <= pl.lit(int(high.to_integral_value(ROUND_FLOOR)), dtype))
    return pl.all_horizontal(tests) if tests else pl.lit(value=True)


def _float_at_least(limit: Decimal) -> float:
    """The smallest float that is not below the limit."""
    nearest = float(limit)
    return nearest if Decimal(nearest) >= limit else math.nextafter(nearest, math.inf)


def _float_at_most(limit: Decimal) -> float:
    """The largest float that is not above the limit."""
    nearest = float(limit)
    return nearest if Decimal(nearest) <= limit else math.nextafter(nearest, -math.inf)
