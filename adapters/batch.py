"""What an adapter hands to the collector: a `Batch`, n >= 1 rows of one device and one template, as columns.

In: nothing. Out: plain frozen values; numpy arrays for numbers, lists for text; never one object per value.
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
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

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


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """n >= 1 rows of one device, in the order they came.

    source_us: int64, when the source says the value was true (microseconds since 1970 UTC); the collector's clock
    where the protocol has no stamp (Modbus) and for every row without a value. lag_us: int64, receive minus source.
    outcome: uint8 (`Outcome`). quality: uint32 (OPC UA StatusCode) of the row; `point_quality[i]` where column i's differs.
    """

    device: str
    template: Template
    source_us: NDArray[np.int64]
    lag_us: NDArray[np.int64]
    outcome: NDArray[np.uint8]
    quality: NDArray[np.uint32]
    columns: tuple[Column, ...]
    point_quality: tuple[NDArray[np.uint32] | None, ...]

    def __post_init__(self) -> None:
        n = len(self.source_us)
        lengths = {n, len(self.lag_us), len(self.outcome), len(self.quality), *(len(c.values) for c in self.columns)}
        lengths |= {len(c.valid) for c in self.columns if c.valid is not None}
        lengths |= {len(q) for q in self.point_quality if q is not None}
        if n < 1 or lengths != {n}:
            raise BatchError(f"{self.device}: expected columns of one length >= 1, found {sorted(lengths)}")
        expected = len(self.template.columns)
        if len(self.columns) != expected or len(self.point_quality) != expected:
            raise BatchError(f"{self.device}: expected {expected} columns for its template, found {len(self.columns)}")

    def __len__(self) -> int:
        return len(self.source_us)


def empty_batch(device: str, template: Template, at_us: int, outcome: Outcome, quality: int) -> Batch:
    """One row without values: a failed poll, a loss, a silence."""
    columns = []
    for _, kind in template.columns:
        values: NDArray[np.generic] | list[str]
        values = [""] if kind is ValueType.STR else np.zeros(1, NUMPY_TYPE[kind])
        columns.append(Column(values, np.zeros(1, np.bool_)))
    return Batch(
        device,
        template,
        np.array([at_us], np.int64),
        np.zeros(1, np.int64),
        np.array([outcome], np.uint8),
        np.array([quality], np.uint32),
        tuple(columns),
        (None,) * len(columns),
    )
