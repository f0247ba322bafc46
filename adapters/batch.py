"""What an adapter hands to the collector: a `Batch`, n >= 1 rows of one device and one template, as columns.

In: nothing. Out: plain frozen values; numpy arrays for numbers, lists for text; never one object per value. A poll may stay a
plain row until its frame is packed.
A *template* is a device's ordered points with their types (its digest is committed to in every sealed hour).
`wide`: one row per poll, one typed column per point. `event`: one row per value that carries a stamp of its own
(IEC 62541-4 §7.11 DataValue): point index, value in the column of its type.
A failed poll is a batch too (采集失败也是记录): absence is a recorded fact, with its outcome.
Refuses (`BatchError`): columns of different lengths, unknown types, rows that claim a value and carry none.
Byte format of what becomes of it: docs/format/journal.md and docs/format/rows.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


class BatchError(ValueError):
    """A batch that contradicts its own template; a bug in an adapter, never a machine's fault."""


class ValueType(StrEnum):
    """Type of a point's values. Smaller integers are widened: the width on the wire is the adapter's business."""

    BOOL = "bool"
    I64 = "i64"
    U64 = "u64"
    F32 = "f32"
    F64 = "f64"
    STR = "str"


class Outcome(IntEnum):
    """What came of one contact with a device (采集结果). Stored in one byte; codes are never reused."""

    OK = 0  # values delivered
    CONFIRMED = 1  # a confirming read answered: contact now, the value's old source time kept
    TIMEOUT = 2  # no answer in time
    REFUSED = 3  # connection refused
    UNREACHABLE = 4  # no route, name not found, network down
    DISCONNECTED = 5  # connection lost in the middle
    PROTOCOL = 6  # the port answers something that is not this protocol
    DEVICE_FAILURE = 7  # the device answers, and says it cannot (Modbus exception, OPC UA Bad_DeviceFailure)
    SILENT = 8  # connected or subscribed, and nothing came within the declared interval
    REJECTED = 9  # a message came that could not be understood (dead letter)
    OVERFLOW = 10  # values were lost between device and us (OPC UA overflow bit, full queue): one loss or more
    DENIED = 11  # authentication, certificate or authorisation refused

    @property
    def is_contact(self) -> bool:
        """True when the device answered with usable values."""
        return self in (Outcome.OK, Outcome.CONFIRMED)

    @property
    def is_loss(self) -> bool:
        """True when the row records values that are gone for good."""
        return self in (Outcome.REJECTED, Outcome.OVERFLOW)


# Quality is the OPC UA StatusCode of IEC 62541-4 §7.39 for every protocol; the two top bits are the severity.
GOOD = 0x0000_0000
UNCERTAIN = 0x4000_0000
BAD = 0x8000_0000
BAD_COMMUNICATION = 0x8005_0000
BAD_NO_DATA = 0x809B_0000
BAD_DEVICE_FAILURE = 0x808B_0000
BAD_DECODING = 0x8007_0000
SEVERITY_BAD = 0x8000_0000  # `quality & SEVERITY_BAD` is non-zero exactly when severity is Bad

NO_TIME = -(2**63)  # in `Batch.server_us`: this row has no server time


@dataclass(frozen=True, slots=True)
class TemplatePoint:
    """One point of a template: name as in the register, type, unit (UCUM or empty)."""

    name: str
    type: ValueType
    unit: str = ""


@dataclass(frozen=True)
class Template:
    """A device's ordered points. Equal points of two devices make the same template, hence the same files.

    Without slots, so that digest, id and columns are worked out once: every batch asks for them.
    """

    kind: str  # "wide" | "event"
    points: tuple[TemplatePoint, ...]

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the canonical JSON of kind and points (docs/format/rows.md)."""
        return hashlib.sha256(self.to_json()).digest()

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of the digest: file and catalog name."""
        return self.digest.hex()[:16]

    @cached_property
    def columns(self) -> tuple[tuple[str, ValueType], ...]:
        """Physical value columns, in order. Wide: the points. Event: `point` (index), then `v_<type>` of each type used."""
        if self.kind == "wide":
            return tuple((p.name, p.type) for p in self.points)
        used = {p.type for p in self.points}
        return (("point", ValueType.U64), *((f"v_{t}", t) for t in ValueType if t in used))

    @cached_property
    def value_column(self) -> tuple[int, ...]:
        """Of an event template: the physical column that holds each point's value."""
        column = {kind: i for i, (name, kind) in enumerate(self.columns) if name != "point"}
        return tuple(column[p.type] for p in self.points)

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        body = {"kind": self.kind, "points": [[p.name, str(p.type), p.unit] for p in self.points]}
        return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(raw: bytes) -> Template:
        """Inverse of `to_json`."""
        body = json.loads(raw)
        return Template(body["kind"], tuple(TemplatePoint(n, ValueType(t), u) for n, t, u in body["points"]))


NUMPY_TYPE: dict[ValueType, str] = {
    ValueType.BOOL: "?",
    ValueType.I64: "<i8",
    ValueType.U64: "<u8",
    ValueType.F32: "<f4",
    ValueType.F64: "<f8",
}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Values of one physical column. `valid` None means every row has one; where False, `values` holds 0 or ""."""

    values: NDArray[np.generic] | list[str]
    valid: NDArray[np.bool_] | None = None


# source_us, lag_us, outcome, quality, server_us (or NO_TIME), a value or None per column, qualities (None: all are the row's)
Row = tuple[int, int, int, int, int, tuple[Any, ...], Sequence[int] | None]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Rows as columns of one length.

    source_us: int64, when the source says the value was true (microseconds since 1970 UTC); the collector's clock
    where the protocol has no stamp (Modbus) and for every row without a value. lag_us: int64, receive minus source.
    outcome: uint8 (`Outcome`). quality: uint32 (OPC UA StatusCode) of the row; `point_quality[i]` where column i's differs.
    server_us: int64, when the server says it knew the value (ServerTimestamp, IEC 62541-4 §7.11), `NO_TIME` in rows without one;
    None when no row has one (Modbus, MQTT).
    """

    source_us: NDArray[np.int64]
    lag_us: NDArray[np.int64]
    outcome: NDArray[np.uint8]
    quality: NDArray[np.uint32]
    columns: tuple[Column, ...]
    point_quality: tuple[NDArray[np.uint32] | None, ...]
    server_us: NDArray[np.int64] | None = None

    def check(self, device: str, template: Template) -> None:
        """Errors: `BatchError`."""
        n = len(self.source_us)
        lengths = {n, len(self.lag_us), len(self.outcome), len(self.quality), *(len(c.values) for c in self.columns)}
        lengths |= {len(c.valid) for c in self.columns if c.valid is not None}
        lengths |= {len(q) for q in (*self.point_quality, self.server_us) if q is not None}
        if n < 1 or lengths != {n}:
            raise BatchError(f"{device}: expected columns of one length >= 1, found {sorted(lengths)}")
        expected = len(template.columns)
        if len(self.columns) != expected or len(self.point_quality) != expected:
            raise BatchError(f"{device}: expected {expected} columns for its template, found {len(self.columns)}")


class Batch:
    """n >= 1 rows of one device, in the order they came. Never changed once made.

    Made of columns (arrays as in `Columns`), or of rows (`of_rows`): a poll is one row, and a numpy array for each of its values would
    cost more than reading it did. The journal turns all rows of a frame into columns at once; whoever asks one batch for a
    column gets it made then.
    """

    __slots__ = ("_columns", "device", "rows", "template")

    def __init__(
        self,
        device: str,
        template: Template,
        source_us: NDArray[np.int64],
        lag_us: NDArray[np.int64],
        outcome: NDArray[np.uint8],
        quality: NDArray[np.uint32],
        columns: tuple[Column, ...],
        point_quality: tuple[NDArray[np.uint32] | None, ...],
        server_us: NDArray[np.int64] | None = None,
    ) -> None:
        self.device, self.template = device, template
        self.rows: list[Row] | None = None
        self._columns: Columns | None = Columns(source_us, lag_us, outcome, quality, columns, point_quality, server_us)
        self._columns.check(device, template)

    @classmethod
    def of_rows(cls, device: str, template: Template, rows: list[Row]) -> Batch:
        """Of rows as plain Python values of the columns' types, one or more. Errors come with the columns: `as_columns`."""
        batch = cls.__new__(cls)
        batch.device, batch.template, batch.rows, batch._columns = device, template, rows, None
        return batch

    def as_columns(self) -> Columns:
        """All of it as columns. Errors: `BatchError` for rows that are not of the template's types."""
        if self._columns is None:
            try:
                self._columns = columns_of(self.template, self.rows or [])
            except BatchError as err:
                raise BatchError(f"{self.device}: {err}") from err
        return self._columns

    def __len__(self) -> int:
        return len(self.source_us) if self.rows is None else len(self.rows)

    @property
    def newest(self) -> tuple[Outcome, int]:
        """Outcome and receipt (microseconds) of the last row, however the rows are held."""
        if self.rows is None:
            return Outcome(int(self.outcome[-1])), int(self.source_us[-1] + self.lag_us[-1])
        row = self.rows[-1]
        return Outcome(row[2]), row[0] + row[1]

    @property
    def source_us(self) -> NDArray[np.int64]:
        """See `Columns`."""
        return self.as_columns().source_us

    @property
    def lag_us(self) -> NDArray[np.int64]:
        """See `Columns`."""
        return self.as_columns().lag_us

    @property
    def outcome(self) -> NDArray[np.uint8]:
        """See `Columns`."""
        return self.as_columns().outcome

    @property
    def quality(self) -> NDArray[np.uint32]:
        """See `Columns`."""
        return self.as_columns().quality

    @property
    def columns(self) -> tuple[Column, ...]:
        """See `Columns`."""
        return self.as_columns().columns

    @property
    def point_quality(self) -> tuple[NDArray[np.uint32] | None, ...]:
        """See `Columns`."""
        return self.as_columns().point_quality

    @property
    def server_us(self) -> NDArray[np.int64] | None:
        """See `Columns`."""
        return self.as_columns().server_us


def columns_of(template: Template, rows: Sequence[Row]) -> Columns:
    """Rows of one template, of any number of devices, as columns. Errors: `BatchError`."""
    try:
        source, lag, outcome, quality, server, values, marks = zip(*rows, strict=True)
        cells = zip(template.columns, zip(*values, strict=True), strict=True)
        return Columns(
            np.array(source, np.int64),
            np.array(lag, np.int64),
            np.array(outcome, np.uint8),
            np.array(quality, np.uint32),
            tuple(_column(kind, cell) for (_, kind), cell in cells),
            _point_quality(quality, marks, len(template.columns)),
            None if server.count(NO_TIME) == len(server) else np.array(server, np.int64),
        )
    except (TypeError, ValueError, OverflowError) as err:
        raise BatchError(f"template {template.id}: expected rows of its types, found {err}") from err


def _column(kind: ValueType, cells: tuple[Any, ...]) -> Column:
    valid: NDArray[np.bool_] | None = None
    if None in cells:
        valid = np.array([c is not None for c in cells], np.bool_)
    if kind is ValueType.STR:
        return Column(list(map(str, cells)) if valid is None else ["" if c is None else str(c) for c in cells], valid)
    return Column(np.array(cells if valid is None else [0 if c is None else c for c in cells], NUMPY_TYPE[kind]), valid)


def _point_quality(
    quality: tuple[int, ...], marks: tuple[Sequence[int] | None, ...], width: int
) -> tuple[NDArray[np.uint32] | None, ...]:
    if marks.count(None) == len(marks):
        return (None,) * width
    each = zip(*((q,) * width if m is None else m for q, m in zip(quality, marks, strict=True)), strict=True)
    return tuple(None if column == quality else np.array(column, np.uint32) for column in each)


def empty_batch(device: str, template: Template, at_us: int, outcome: Outcome, quality: int) -> Batch:
    """One row without values: a failed poll, a loss, a silence."""
    return Batch.of_rows(
        device, template, [(at_us, 0, outcome, quality, NO_TIME, (None,) * len(template.columns), None)]
    )
