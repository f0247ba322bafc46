"""The usual poll, every part answered and every value sound: from the answers' bytes to one row with few steps per value.

In: the parts of a plan and their answers. Out: a `Batch` of one plain row, or None where a value needs a closer look (not finite, not
decodable): `poll.py` then takes the long way, to the same row. A point is plain when its raw value already is the value: same kind,
no scale, no offset, no range; the others go through their cast (adapters/values.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any

from adapters.batch import GOOD, NO_TIME, SEVERITY_BAD, Batch, Outcome
from adapters.modbus.part import Part
from adapters.template import Source
from adapters.values import Cast
from config.points import Point

_PLAIN = {
    "bool": ("bit",),
    "i64": ("u8", "i8", "u16", "i16", "u32", "i32", "i64", "bcd16", "bcd32", "bcd64"),
    "u64": ("u8", "u16", "u32", "u64", "bcd16", "bcd32", "bcd64"),
    "f32": ("f16", "f32"),
    "f64": ("f16", "f32", "f64"),
    "str": ("str",),
}


class Whole:
    """Row maker of one plan."""

    def __init__(self, parts: Sequence[Part], source: Source) -> None:
        place = {index: at for at, index in enumerate(i for part in parts for i in part.indices)}
        self._source = source
        self._decodes = [part.decode for part in parts]
        self._in_order = _getter([place[i] for i in range(len(source.points))])
        floats = [i for i, p in enumerate(source.points) if is_plain(p) and p.type in ("f32", "f64")]
        self._floats = _getter(floats) if floats else None
        self._casts: list[tuple[int, Cast]] = [
            (i, cast) for i, (p, cast) in enumerate(zip(source.points, source.casts, strict=True)) if not is_plain(p)
        ]

    def batch(self, answers: Sequence[bytes], at_us: int) -> Batch | None:
        """The row of a poll that ended at `at_us`."""
        flat: list[Any] = []
        for decode, raw in zip(self._decodes, answers, strict=True):
            flat += decode(raw)
        if None in flat:
            return None
        values = self._in_order(flat)
        if self._floats is not None and not all(map(isfinite, self._floats(values))):
            return None
        if self._casts:
            typed = list(values)
            for i, cast in self._casts:
                typed[i], quality = cast(typed[i])
                if quality & SEVERITY_BAD:
                    return None
            values = tuple(typed)
        row = (at_us, 0, Outcome.OK, GOOD, NO_TIME, values, None)
        return Batch.of_rows(self._source.device, self._source.template, [row])


def whole_of(parts: Sequence[Part], source: Source) -> Whole | None:
    """The row maker of a plan that reads every point; None while some are set aside."""
    complete = sum(len(part.indices) for part in parts) == len(source.points)
    return Whole(parts, source) if complete else None


def is_plain(point: Point) -> bool:
    """True when the raw value needs nothing but to be finite."""
    bare = point.scale is point.offset is point.low is point.high is None and not point.no_value
    return bare and (point.wire or "u16") in _PLAIN[point.type]


def _getter(places: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    if len(places) == 1:
        only = places[0]
        return lambda values: (values[only],)
    return itemgetter(*places)
