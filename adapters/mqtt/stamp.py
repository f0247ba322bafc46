"""A payload's own time: epoch numbers in the declared unit, ISO 8601, and the plain date and time that plant software writes.

In: what stands at `time_path`. Out: microseconds since 1970 UTC, or None when it is no time between 1980 and 2200. Text without an offset
is plant time. Nothing is guessed: a number in another unit than the declared one lies outside those years.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Literal

Unit = Literal["s", "ms", "us", "ns"]

_EARLIEST_US = 315_532_800_000_000  # 1980-01-01
_LATEST_US = 7_258_118_400_000_000  # 2200-01-01
_NANOS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_NUMBER = re.compile(r"[0-9]{1,22}(\.[0-9]{1,12})?\Z")  # longer is no time
_PLAIN = re.compile(
    r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6})\d*)?)?\Z", re.A
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(raw: object, tz: timezone, unit: Unit = "ms") -> int | None:
    """A payload's stamp in microseconds since 1970 UTC, or None."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    if isinstance(raw, str):
        raw = raw.strip()
        micros = _epoch(raw, unit) if _NUMBER.match(raw) else _calendar(raw, tz)
    else:
        micros = _epoch(raw, unit)
    return micros if micros is not None and _EARLIEST_US <= micros < _LATEST_US else None


def _epoch(raw: float | str, unit: Unit) -> int | None:
    if not isinstance(raw, str) and not abs(raw) < _LATEST_US * 1000:  # also what is no number at all
        return None
    if isinstance(raw, int):
        return raw * _NANOS[unit] // 1000
    try:
        return int(Decimal(repr(raw) if isinstance(raw, float) else raw) * _NANOS[unit]) // 1000
    except InvalidOperation:
        return None


def _calendar(raw: str, tz: timezone) -> int | None:
    try:
        stamp = datetime.fromisoformat(raw)
    except ValueError:
        plain = _PLAIN.match(raw)
        if plain is None:
            return None
        fraction = (plain[7] or "").ljust(6, "0")
        try:
            stamp = datetime(*(int(g or 0) for g in plain.groups()[:6]), int(fraction))  # type: ignore[arg-type,call-arg]  # noqa: DTZ001
        except ValueError:
            return None
    aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=tz)
    span = aware - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
