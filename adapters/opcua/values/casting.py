"""Columns of a delivery -> columns of a batch: the points' declared types, ranges and qualities, for all values of a type at once.

In: `Values` of one device, with each value's point. Out: `Cells`, one typed column per value type in use.
Numbers without scale, element or `no_value` are cast as columns; everything else goes through its point's cast, value by value. Both ways
mean the same (tests/adapters/test_opcua_casting.py): what does not fit its declared type is missing, NaN is Bad_NoData,
outside `low` … `high` is kept and Bad_OutOfRange.
Nothing here waits or asks the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.batch import BAD_NO_DATA, NO_TIME, NUMPY_TYPE, SEVERITY_BAD, UNCERTAIN, ValueType
from adapters.opcua.values.columns import Part, Values
from adapters.opcua.values.reading import AHEAD_MOST_US, INFO_DATA_VALUE, LIMIT_BITS, OVERFLOW
from adapters.template import Source
from adapters.values import BAD_OUT_OF_RANGE
from config.points import Point

KINDS = tuple(ValueType)
_F32_MAX = float(np.finfo(np.float32).max)
_MASK64 = 2**64 - 1
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Cells:
    """n values of one device. `columns` by index of `KINDS`; `bits` tell raw values apart."""

    points: NDArray[np.int64]
    kinds: NDArray[np.intp]
    quality: NDArray[np.uint32]
    value_quality: NDArray[np.uint32]
    source_us: Ints  # `NO_TIME` where the source gave none
    server_us: Ints
    bits: NDArray[np.uint64]
    overflow: Bools | None  # None: nowhere
    columns: dict[
        int, tuple[Any, Bools | None]
    ]  # values (array, or list of str), and where there is one (None: everywhere)


class Casting:
    """The casts of one device's points."""

    def __init__(self, source: Source) -> None:
        self._casts = source.casts
        self.kinds = np.array([KINDS.index(ValueType(p.type)) for p in source.points], np.intp)
        self._bulk = np.array([_is_plain(p) for p in source.points], np.bool_)
        self._low = np.array([_float_bound(p.low, -math.inf, math.inf) for p in source.points])
        self._high = np.array([_float_bound(p.high, math.inf, -math.inf) for p in source.points])
        only = set(self.kinds.tolist()) if self._bulk.all() else set()
        self._only = only.pop() if len(only) == 1 else -1  # the one kind of all points, where all are cast as columns
        self._ranged = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def cells(self, values: Values, points: NDArray[np.int64], now_us: int) -> Cells:
        """Cast; `points[k]` is the point of the k-th value."""
        return self._plain(values, points, now_us) or self._any(values, points, now_us)

    def _plain(self, values: Values, points: NDArray[np.int64], now_us: int) -> Cells | None:
        """The common case, in few steps: one layout, one type, everything good and stamped. None when it is not."""
        if self._only < 0 or self._ranged or len(values.parts) != 1 or values.status.any():
            return None
        raw, source, kind = values.parts[0].values, values.source_us, KINDS[self._only]
        if isinstance(raw, list) or len(raw) != len(points):
            return None
        fits = _fits(raw, kind)
        if (fits is not None and not fits.all()) or (raw.dtype.kind == "f" and not np.isfinite(raw).all()):
            return None
        if source.min() == NO_TIME or source.max() > now_us + AHEAD_MOST_US:
            return None
        column = raw != 0 if kind is ValueType.BOOL else raw.astype(NUMPY_TYPE[kind])
        good, server = values.status, values.server_us
        kinds = self.kinds[: len(points)] if len(points) <= len(self.kinds) else np.full(len(points), self._only)
        return Cells(points, kinds, good, good, source, server, _bits(raw), None, {self._only: (column, None)})

    def _any(self, values: Values, points: NDArray[np.int64], now_us: int) -> Cells:
        count = len(points)
        kinds = self.kinds[points]
        columns: dict[int, tuple[Any, Bools | None]] = {}
        for kind in set(kinds.tolist()):
            is_text = KINDS[kind] is ValueType.STR
            column: Any = [""] * count if is_text else np.zeros(count, NUMPY_TYPE[KINDS[kind]])
            columns[kind] = (column, np.zeros(count, np.bool_))
        status = values.status
        marks = INFO_DATA_VALUE | OVERFLOW
        marked = (status & np.uint32(marks)) == marks
        if marked.any():
            status = np.where(marked, status & ~np.uint32(OVERFLOW), status)
            status = np.where(marked & (status & LIMIT_BITS == 0), status & ~np.uint32(INFO_DATA_VALUE), status)
        source = np.where(values.source_us > now_us + AHEAD_MOST_US, NO_TIME, values.source_us)
        quality = np.where((source == NO_TIME) & (status >> 30 == 0), np.uint32(UNCERTAIN), status)
        found = Cells(
            points,
            kinds,
            quality,
            np.zeros(count, np.uint32),
            source,
            values.server_us,
            np.zeros(count, np.uint64),
            marked if marked.any() else None,
            columns,
        )
        for part in values.parts:
            self._part(found, part)
        keep = (quality & SEVERITY_BAD != 0) | (found.value_quality == 0)
        found.value_quality = np.where(keep, quality, found.value_quality)
        return found

    def _part(self, found: Cells, part: Part) -> None:
        if isinstance(part.values, list):
            self._each(found, part.rows, part.values)
            return
        found.bits[part.rows] = _bits(part.values)
        points = found.points[part.rows]
        plain = self._bulk[points]
        if not plain.all():
            odd = ~plain
            self._each(found, part.rows[odd], part.values[odd].tolist(), known_bits=True)
            part = Part(part.rows[plain], part.kind, part.values[plain])
            if not len(part.rows):
                return
        for kind in found.columns:
            chosen = found.kinds[part.rows] == kind
            if chosen.all():
                self._numbers(found, kind, part.rows, part.values)
            elif chosen.any():
                self._numbers(found, kind, part.rows[chosen], part.values[chosen])

    def _numbers(self, found: Cells, kind: int, rows: NDArray[np.intp], raw: Any) -> None:
        """Numbers of one wire type into one column; those that may not fit go through their cast."""
        fits = _fits(raw, KINDS[kind])
        if fits is not None and not fits.all():
            odd = ~fits
            self._each(found, rows[odd], raw[odd].tolist(), known_bits=True)
            rows, raw = rows[fits], raw[fits]
        column, there = self._column(found, kind)
        column[rows] = raw != 0 if KINDS[kind] is ValueType.BOOL else raw
        there[rows] = True
        if KINDS[kind] in (ValueType.F32, ValueType.F64) and (self._ranged or raw.dtype.kind == "f"):
            self._range(found, rows, raw.astype(np.float64))

    @staticmethod
    def _column(found: Cells, kind: int) -> tuple[Any, Bools]:
        column, there = found.columns[kind]
        if there is None:
            raise AssertionError("columns that are being filled say where they are")
        return column, there

    def _range(self, found: Cells, rows: NDArray[np.intp], numbers: NDArray[np.float64]) -> None:
        finite = np.isfinite(numbers)
        if not finite.all():
            found.value_quality[rows[~finite]] = np.where(np.isnan(numbers[~finite]), BAD_NO_DATA, BAD_OUT_OF_RANGE)
        if self._ranged:
            points = found.points[rows]
            outside = finite & ((numbers < self._low[points]) | (numbers > self._high[points]))
            found.value_quality[rows[outside]] = BAD_OUT_OF_RANGE

    def _each(self, found: Cells, rows: NDArray[np.intp], raws: list[object], *, known_bits: bool = False) -> None:
        """Through the point's own cast."""
        points, kinds = found.points[rows].tolist(), found.kinds[rows].tolist()
        for row, point, kind, raw in zip(rows.tolist(), points, kinds, raws, strict=True):
            if not known_bits:
                found.bits[row] = hash(repr(raw)) & _MASK64
            value, quality = self._casts[point](raw)
            found.value_quality[row] = quality
            if value is not None:
                column, there = self._column(found, kind)
                column[row] = value
                there[row] = True


def _is_plain(point: Point) -> bool:
    """May be cast as a column: a number whose bounds, if any, are a float's."""
    bounded = point.low is not None or point.high is not None
    return not (
        point.type == "str"
        or point.scale is not None
        or point.offset is not None
        or point.no_value
        or point.element
        or point.events
        or (bounded and point.type not in ("f32", "f64"))
    )


def _fits(raw: Any, kind: ValueType) -> Bools | None:
    """Where a wire number surely has a value of the type; None for everywhere."""
    wire = raw.dtype
    if kind is ValueType.F32 and wire.kind == "f" and wire.itemsize == 8:
        return np.asarray(~(np.abs(raw) > _F32_MAX))
    if kind in (ValueType.I64, ValueType.U64) and wire.kind == "f":
        return np.zeros(len(raw), np.bool_)
    if kind is ValueType.I64 and wire.kind == "u" and wire.itemsize == 8:
        return np.asarray(raw <= 2**63 - 1)
    if kind is ValueType.U64 and wire.kind == "i":
        return np.asarray(raw >= 0)
    return None


def _float_bound(bound: Decimal | None, none: float, towards: float) -> float:
    """The float that separates as the written bound does: the nearest one on its inner side."""
    if bound is None:
        return none
    near = float(bound)
    outside = near < bound if towards > 0 else near > bound
    return math.nextafter(near, towards) if math.isfinite(near) and outside else near


def _bits(values: Any) -> NDArray[np.uint64]:
    if values.dtype.kind == "f":
        return np.asarray(values.astype(np.float64)).view(np.uint64)
    return np.asarray(values.astype(np.uint64 if values.dtype.kind == "u" else np.int64)).view(np.uint64)
