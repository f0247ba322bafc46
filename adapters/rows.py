"""Rows of one device in the making: filled row by row, or all at once from arrays, then frozen into one `Batch`.

In: values already cast to the point's type (`adapters/values.py`), their qualities and times. Out: `Batch`, or None without rows.
The row's quality is the device's own word on the contact; a range check of ours only marks the value's column, so that a machine
that delivers an impossible number was still in contact.
`Rows.wide`, `Rows.event` and `Rows.empty` take one row each; `event_batch` takes many values with stamps of their own as arrays (OPC UA
notifications, history), at a twentieth of the cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.batch import (
    BAD,
    BAD_COMMUNICATION,
    BAD_DECODING,
    BAD_DEVICE_FAILURE,
    BAD_NO_DATA,
    GOOD,
    NO_TIME,
    NUMPY_TYPE,
    SEVERITY_BAD,
    Batch,
    BatchError,
    Column,
    Outcome,
    Row,
    Template,
    ValueType,
    empty_batch,
)
from adapters.values import BAD_OUT_OF_RANGE, Value

BAD_TIMEOUT = 0x800A_0000
BAD_NOT_CONNECTED = 0x808A_0000
BAD_USER_ACCESS_DENIED = 0x801F_0000

FAILURE_QUALITY: dict[Outcome, int] = {
    Outcome.TIMEOUT: BAD_TIMEOUT,
    Outcome.REFUSED: BAD_NOT_CONNECTED,
    Outcome.UNREACHABLE: BAD_NOT_CONNECTED,
    Outcome.DISCONNECTED: BAD_COMMUNICATION,
    Outcome.PROTOCOL: BAD_DECODING,
    Outcome.DEVICE_FAILURE: BAD_DEVICE_FAILURE,
    Outcome.SILENT: BAD_NO_DATA,
    Outcome.REJECTED: BAD_DECODING,
    Outcome.OVERFLOW: BAD_NO_DATA,
    Outcome.DENIED: BAD_USER_ACCESS_DENIED,
}


class Rows:
    """Collects rows of one device, in the order they came. Sequences handed over are not changed afterwards."""

    def __init__(self, device: str, template: Template) -> None:
        self._device = device
        self._template = template
        self._rows: list[Row] = []

    def __len__(self) -> int:
        return len(self._rows)

    def wide(
        self,
        source_us: int,
        received_us: int,
        values: Sequence[Value | None],
        qualities: Sequence[int],
        outcome: Outcome = Outcome.OK,
        server_us: int | None = None,
    ) -> None:
        """One poll. The row is Bad only when no point has a value worth having (a range fault of ours does not count)."""
        width = len(self._template.columns)
        if len(values) != width or len(qualities) != width:
            raise BatchError(
                f"{self._device}: expected {width} values, found {len(values)} with {len(qualities)} qualities"
            )
        quality = GOOD if any(map(_usable, qualities)) else (qualities[0] if qualities else BAD)
        marks = None if qualities.count(quality) == width else qualities
        stamp = NO_TIME if server_us is None else server_us
        self._rows.append((source_us, received_us - source_us, outcome, quality, stamp, tuple(values), marks))

    def event(
        self,
        point: int,
        value: Value | None,
        quality: int,
        source_us: int,
        received_us: int,
        outcome: Outcome = Outcome.OK,
        value_quality: int | None = None,
        server_us: int | None = None,
    ) -> None:
        """One value with a stamp of its own. `quality` is the source's; `value_quality` where our range check differs.

        Of hundreds at once: `event_batch`.
        """
        column = self._template.value_column[point]
        values: list[Value | None] = [None] * len(self._template.columns)
        values[0], values[column] = point, value
        marks = None
        if value_quality is not None and value_quality != quality:
            marks = [quality] * len(values)
            marks[column] = value_quality
        stamp = NO_TIME if server_us is None else server_us
        self._rows.append((source_us, received_us - source_us, outcome, quality, stamp, tuple(values), marks))

    def empty(self, at_us: int, outcome: Outcome, quality: int | None = None) -> None:
        """A row without values: a failed poll, a loss, a silence."""
        code = FAILURE_QUALITY[outcome] if quality is None else quality
        self._rows.append((at_us, 0, outcome, code, NO_TIME, (None,) * len(self._template.columns), None))

    def batch(self) -> Batch | None:
        """Freeze. The collector starts over with new rows."""
        rows, self._rows = self._rows, []
        return Batch.of_rows(self._device, self._template, rows) if rows else None


def event_batch(
    device: str,
    template: Template,
    points: ArrayLike,
    values: Mapping[ValueType, Sequence[Value] | NDArray[np.generic]],
    quality: ArrayLike,
    source_us: ArrayLike,
    received_us: ArrayLike,
    *,
    server_us: ArrayLike | None = None,
    there: ArrayLike | None = None,
    value_quality: ArrayLike | None = None,
    outcome: ArrayLike = Outcome.OK,
) -> Batch:
    """n >= 1 rows of an event template at once, in the order they came; what `Rows.event` called n times would make.

    points: (n,) index of each row's point. values: per type, the values of the rows whose point has that type, in their order, cast
    already; a row without a value has 0 or "" there and False in `there`. quality, source_us, received_us, outcome: (n,) or one for
    all rows. server_us: (n,), `NO_TIME` in rows without. value_quality: (n,) where our range check may differ from the source's word.
    Errors: `BatchError` when the lengths contradict each other.
    """
    point = np.asarray(points, np.uint64)
    n = len(point)
    column_of = np.asarray(template.value_column)[point]
    has = np.ones(n, np.bool_) if there is None else _each(device, there, n, np.bool_)
    row_quality = _each(device, quality, n, np.uint32)
    mark = row_quality if value_quality is None else _each(device, value_quality, n, np.uint32)
    columns: list[Column] = [Column(point)]
    own: list[NDArray[np.uint32] | None] = [None]
    for i, (_, kind) in enumerate(template.columns[1:], 1):
        mine = column_of == i
        columns.append(_spread(device, kind, mine, has, values.get(kind, ())))
        same = mark is row_quality or np.array_equal(mark[mine], row_quality[mine])
        own.append(None if same else np.where(mine, mark, row_quality))
    source = _each(device, source_us, n, np.int64)
    return Batch(
        device,
        template,
        source,
        _each(device, received_us, n, np.int64) - source,
        _each(device, outcome, n, np.uint8),
        row_quality,
        tuple(columns),
        tuple(own),
        None if server_us is None else _each(device, server_us, n, np.int64),
    )


def failed_batch(device: str, template: Template, at_us: int, outcome: Outcome) -> Batch:
    """One row without values and with the outcome's usual quality."""
    return empty_batch(device, template, at_us, outcome, FAILURE_QUALITY[outcome])


def _usable(quality: int) -> bool:
    return not quality & SEVERITY_BAD or quality == BAD_OUT_OF_RANGE


def _each(device: str, given: ArrayLike, n: int, dtype: type[np.generic]) -> NDArray[Any]:
    array = np.asarray(given, dtype)
    if array.ndim == 0:
        return np.full(n, array, dtype)
    if array.shape != (n,):
        raise BatchError(f"{device}: expected columns of one length {n}, found {array.shape}")
    return array


def _spread(
    device: str,
    kind: ValueType,
    mine: NDArray[np.bool_],
    has: NDArray[np.bool_],
    given: Sequence[Value] | NDArray[np.generic],
) -> Column:
    """Values of the rows `mine`, nothing in the others."""
    if len(given) != int(mine.sum()):
        raise BatchError(f"{device}: expected {int(mine.sum())} values of type {kind}, found {len(given)}")
    valid = mine & has
    if kind is ValueType.STR:
        words = [""] * len(mine)
        for row, word in zip(np.flatnonzero(mine).tolist(), given, strict=True):
            words[row] = str(word)
        return Column(words, None if valid.all() else valid)
    values = np.zeros(len(mine), NUMPY_TYPE[kind])
    values[mine] = np.asarray(given, NUMPY_TYPE[kind])
    return Column(values, None if valid.all() else valid)
