"""One OPC UA DataValue -> a `Reading`: raw value, status, source and server time, and whether the server says that values were lost.

In: `ua.DataValue` (IEC 62541-4 §7.11), from the services that are called rarely (history, limits); what comes each second goes through
columns.py. Out: plain values, as binary.py makes them; nothing above this module sees a Variant.
A source time that is absent or before 1980 (1601 is "no value", 1970 an unset clock) is None: the collector's clock is used then
and the quality becomes Uncertain. Arrays and structures are what shape.py makes of them.
The overflow bit (IEC 62541-4 §7.39.1: InfoType DataValue with Overflow) belongs to the delivery, not to the value: it is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary
from asyncua.ua.uaerrors import UaError

from adapters.batch import BAD_DECODING, BAD_NO_DATA, SEVERITY_BAD, UNCERTAIN
from adapters.opcua.values.binary import Malformed, Reader, variant
from adapters.opcua.values.columns import EARLIEST_US
from adapters.values import Cast, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INFO_DATA_VALUE = 0x0400
OVERFLOW = 0x0080
LIMIT_BITS = 0x0300
AHEAD_MOST_US = 86_400_000_000  # a stamp further ahead of the collector's clock than a day is no time at all


@dataclass(frozen=True, slots=True)
class Reading:
    """What the server says about one point."""

    raw: object
    status: int
    source_us: int | None
    overflow: bool = False
    server_us: int | None = None


@dataclass(frozen=True, slots=True)
class Typed:
    """A reading as the point's declared type: the source's quality, and the value's where our range check differs."""

    value: Value | None
    quality: int
    value_quality: int
    source_us: int | None
    server_us: int | None = None


NOT_ASKED = Reading(None, BAD_NO_DATA, None)


def reading_of(data: ua.DataValue) -> Reading:
    """The reading of a DataValue."""
    status = int(data.StatusCode.value) if data.StatusCode is not None else 0
    overflow = status & (INFO_DATA_VALUE | OVERFLOW) == INFO_DATA_VALUE | OVERFLOW
    if overflow:
        status &= ~OVERFLOW
        if not status & LIMIT_BITS:
            status &= ~INFO_DATA_VALUE
    source, server = _microseconds(data.SourceTimestamp), _microseconds(data.ServerTimestamp)
    raw = data.Value.Value if data.Value is not None else None
    if data.Value is None or raw is None or isinstance(raw, bool | int | float | str):
        return Reading(raw, status, source, overflow, server)
    try:
        return Reading(variant(Reader(variant_to_binary(data.Value))), status, source, overflow, server)
    except (Malformed, UaError, ValueError, TypeError, AttributeError):
        return Reading(None, status if status >> 31 else BAD_DECODING, source, overflow, server)


def typed(cast: Cast, reading: Reading) -> Typed:
    """Cast to the point's type. A Bad status keeps what value there is."""
    quality = reading.status
    if reading.source_us is None and not quality >> 30:
        quality = UNCERTAIN
    value, cast_quality = cast(reading.raw)
    own = quality if quality & SEVERITY_BAD or not cast_quality else cast_quality
    return Typed(value, quality, own, reading.source_us, reading.server_us)


def _microseconds(stamp: datetime | None) -> int | None:
    if stamp is None:
        return None
    aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    span = aware - _EPOCH
    micros = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    return micros if micros >= EARLIEST_US else None
