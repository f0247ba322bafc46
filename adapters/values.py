"""From what a protocol delivered to a value of the point's declared type, with its quality.

In: a raw number, text or truth value as decoded from the wire. Out: `(value, quality)`; value None when it cannot be had.
Raw x `scale` + `offset` is exact decimal arithmetic, then one rounding into the declared type; an integer point with a fraction is refused.
Out of the engineering range: the value is kept, its quality is Bad_OutOfRange (IEC 62541-4 §7.39). Never clamped, never zero.
A `no_value` text (an MTConnect agent's UNAVAILABLE) is kept in a text point and missing elsewhere, of quality Bad_NoData.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal

from adapters.batch import BAD_DECODING, BAD_NO_DATA, GOOD, ValueType
from config.points import Point

Value = bool | int | float | str
Cast = Callable[[object], tuple[Value | None, int]]

BAD_OUT_OF_RANGE = 0x803C_0000
BAD_TYPE_MISMATCH = 0x8074_0000

_EXACT = Context(prec=1500)  # a 64-bit float times a written scale, plus a written offset, has fewer digits
_ONE, _ZERO = Decimal(1), Decimal(0)
_F32_MAX = 3.4028234663852886e38
_I64 = (-(2**63), 2**63 - 1)
_U64 = (0, 2**64 - 1)


def compile_cast(point: Point) -> Cast:
    """The function that turns raw values of this point into `(value, quality)`."""
    convert = _CONVERT[ValueType(point.type)]
    scale, offset, low, high = point.scale, point.offset, point.low, point.high
    linear = scale is not None or offset is not None
    no_value = frozenset(text.casefold() for text in point.no_value)

    def cast(raw: object) -> tuple[Value | None, int]:
        if raw is None:
            return None, BAD_NO_DATA
        if isinstance(raw, str) and no_value and raw.split("|", 1)[0].strip().casefold() in no_value:
            return (raw if convert is _text else None), BAD_NO_DATA
        if linear:
            raw = _scaled(raw, scale, offset)
        value = convert(raw)
        if value is None:
            return None, BAD_DECODING if isinstance(raw, int | float | Decimal) else BAD_TYPE_MISMATCH
        return value, _range_quality(value, low, high)

    return cast


def _scaled(raw: object, scale: Decimal | None, offset: Decimal | None) -> object:
    """Raw times scale plus offset, exactly; what is not a finite number is left as it came."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return raw
    return _EXACT.fma(Decimal(raw), _ONE if scale is None else scale, _ZERO if offset is None else offset)


def _range_quality(value: Value, low: Decimal | None, high: Decimal | None) -> int:
    if isinstance(value, str | bool):
        return GOOD
    if isinstance(value, float) and not math.isfinite(value):
        return BAD_NO_DATA if math.isnan(value) else BAD_OUT_OF_RANGE
    outside = (low is not None and value < low) or (high is not None and value > high)
    return BAD_OUT_OF_RANGE if outside else GOOD


def _bool(raw: object) -> Value | None:
    return raw != 0 if isinstance(raw, int | float | Decimal) else None


def _integer(raw: object, bounds: tuple[int, int]) -> Value | None:
    if not isinstance(raw, int | float | Decimal) or (not isinstance(raw, int) and not _whole(raw)):
        return None
    value = int(raw)
    return value if bounds[0] <= value <= bounds[1] else None


def _whole(raw: float | Decimal) -> bool:
    return math.isfinite(raw) and raw == int(raw)


def _f64(raw: object) -> Value | None:
    return float(raw) if isinstance(raw, int | float | Decimal) else None


def _f32(raw: object) -> Value | None:
    value = _f64(raw)
    fits = not isinstance(value, float) or not math.isfinite(value) or abs(value) <= _F32_MAX
    return value if fits else None


def _text(raw: object) -> Value | None:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, Decimal):
        return format(raw.normalize(_EXACT), "f")
    return repr(raw) if isinstance(raw, int | float) else None


_CONVERT: dict[ValueType, Callable[[object], Value | None]] = {
    ValueType.BOOL: _bool,
    ValueType.I64: lambda raw: _integer(raw, _I64),
    ValueType.U64: lambda raw: _integer(raw, _U64),
    ValueType.F32: _f32,
    ValueType.F64: _f64,
    ValueType.STR: _text,
}
