"""One OPC UA DataValue -> a `Reading`: raw value, status, source time, and whether the server says that values were lost.

In: `ua.DataValue` (IEC 62541-4 §7.11). Out: plain values; nothing above this module sees a Variant.
A source time that is absent or before 1980 (1601 is "no value", 1970 an unset clock) is None: the collector's clock is used then
and the quality becomes Uncertain. Arrays and structures are not values of a point: Bad_TypeMismatch later, in the cast.
The overflow bit (IEC 62541-4 §7.39.1: InfoType DataValue with Overflow) belongs to the delivery, not to the value: it is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from asyncua import ua

from adapters.batch import BAD_NO_DATA, SEVERITY_BAD, UNCERTAIN
from adapters.values import Cast, Value

_EARLIEST_US = 315_532_800_000_000  # 1980-01-01
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INFO_DATA_VALUE = 0x0400
_OVERFLOW = 0x0080
_LIMIT_BITS = 0x0300


@dataclass(frozen=True, slots=True)
class Reading:
    """What the server says about one point."""

    raw: object
    status: int
    source_us: int | None
    overflow: bool = False


@dataclass(frozen=True, slots=True)
class Typed:
    """A reading as the point's declared type: the source's quality, and the value's where our range check differs."""

    value: Value | None
    quality: int
    value_quality: int
    source_us: int | None


NOT_ASKED = Reading(None, BAD_NO_DATA, None)


def reading_of(data: ua.DataValue) -> Reading:
    """The reading of a DataValue."""
    status = int(data.StatusCode.value) if data.StatusCode is not None else 0
    overflow = status & (_INFO_DATA_VALUE | _OVERFLOW) == _INFO_DATA_VALUE | _OVERFLOW
    if overflow:
        status &= ~_OVERFLOW
        if not status & _LIMIT_BITS:
            status &= ~_INFO_DATA_VALUE
    raw = data.Value.Value if data.Value is not None else None
    return Reading(_plain(raw), status, _microseconds(data.SourceTimestamp), overflow)


def typed(cast: Cast, reading: Reading) -> Typed:
    """Cast to the point's type. A Bad status keeps what value there is."""
    quality = reading.status
    if reading.source_us is None and not quality >> 30:
        quality = UNCERTAIN
    value, cast_quality = cast(reading.raw)
    if quality & SEVERITY_BAD or not cast_quality:
        return Typed(value, quality, quality, reading.source_us)
    return Typed(value, quality, cast_quality, reading.source_us)


def _plain(raw: object) -> object:
    if isinstance(raw, ua.LocalizedText):
        return raw.Text
    if isinstance(raw, datetime):
        return raw.isoformat()
    return raw


def _microseconds(stamp: datetime | None) -> int | None:
    if stamp is None:
        return None
    aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    span = aware - _EPOCH
    micros = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    return micros if micros >= _EARLIEST_US else None
