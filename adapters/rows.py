"""Rows of one device in the making: typed columns filled row by row, then frozen into one `Batch`.

In: values already cast to the point's type (`adapters/values.py`), their qualities and times. Out: `Batch`, or None without rows.
The row's quality is the device's own word on the contact; a range check of ours only marks the value's column, so that a machine
that delivers an impossible number was still in contact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.batch import (
    BAD,
    BAD_COMMUNICATION,
    BAD_DECODING,
    BAD_DEVICE_FAILURE,
    BAD_NO_DATA,
    GOOD,
    NUMPY_TYPE,
    SEVERITY_BAD,
    Batch,
    Column,
    Outcome,
    Template,
    ValueType,
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
    """Collects rows of one device, in the order they came."""

    def __init__(self, device: str, template: Template) -> None:
        self._device = device
        self._template = template
        self._columns = template.columns
        self._event_column = {kind: i for i, (name, kind) in enumerate(self._columns) if name == f"v_{kind}"}
        self._times: list[tuple[int, int, int, int]] = []  # source_us, lag_us, outcome, quality
        self._cells: list[tuple[Sequence[Value | None], Sequence[int]]] = []

    def __len__(self) -> int:
        return len(self._times)

    def wide(
        self,
        source_us: int,
        received_us: int,
        values: Sequence[Value | None],
        qualities: Sequence[int],
        outcome: Outcome = Outcome.OK,
    ) -> None:
        """One poll. The row is Bad only when no point has a value worth having (a range fault of ours does not count)."""
        quality = GOOD if any(map(_usable, qualities)) else (qualities[0] if qualities else BAD)
        self._times.append((source_us, received_us - source_us, outcome, quality))
        self._cells.append((values, qualities))

    def event(
        self,
        point: int,
        value: Value | None,
        quality: int,
        source_us: int,
        received_us: int,
        outcome: Outcome = Outcome.OK,
        value_quality: int | None = None,
    ) -> None:
        """One value with a stamp of its own. `quality` is the source's; `value_quality` where our range check differs."""
        values: list[Value | None] = [None] * len(self._columns)
        qualities = [quality] * len(self._columns)
        values[0] = point
        column = self._event_column[self._template.points[point].type]
        values[column] = value
        qualities[column] = quality if value_quality is None else value_quality
        self._times.append((source_us, received_us - source_us, outcome, quality))
        self._cells.append((values, qualities))

    def empty(self, at_us: int, outcome: Outcome, quality: int | None = None) -> None:
        """A row without values: a failed poll, a loss, a silence."""
        code = FAILURE_QUALITY[outcome] if quality is None else quality
        self._times.append((at_us, 0, outcome, code))
        self._cells.append(([None] * len(self._columns), [code] * len(self._columns)))

    def batch(self) -> Batch | None:
        """Freeze. The collector starts over with new rows."""
        if not self._times:
            return None
        source, lag, outcome, quality = zip(*self._times, strict=True)
        rows_marks = list(quality)
        columns: list[Column] = []
        own: list[NDArray[np.uint32] | None] = []
        for i, (_, kind) in enumerate(self._columns):
            cells = [values[i] for values, _ in self._cells]
            columns.append(_column(kind, cells))
            marks = [qualities[i] for _, qualities in self._cells]
            own.append(None if marks == rows_marks else np.array(marks, np.uint32))
        return Batch(
            self._device,
            self._template,
            np.array(source, np.int64),
            np.array(lag, np.int64),
            np.array(outcome, np.uint8),
            np.array(quality, np.uint32),
            tuple(columns),
            tuple(own),
        )


def failed_batch(device: str, template: Template, at_us: int, outcome: Outcome) -> Batch:
    """One row without values and with the outcome's usual quality."""
    rows = Rows(device, template)
    rows.empty(at_us, outcome)
    batch = rows.batch()
    if batch is None:
        raise AssertionError("a batch of one row cannot be empty")
    return batch


def _usable(quality: int) -> bool:
    return not quality & SEVERITY_BAD or quality == BAD_OUT_OF_RANGE


def _column(kind: ValueType, cells: list[Value | None]) -> Column:
    valid: NDArray[np.bool_] | None = None
    if None in cells:
        valid = np.array([c is not None for c in cells], np.bool_)
    if kind is ValueType.STR:
        return Column([str(c) if c is not None else "" for c in cells], valid)
    return Column(np.array([0 if c is None else c for c in cells], NUMPY_TYPE[kind]), valid)
