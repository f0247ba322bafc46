"""How numbers and times are written on the pages: percentages cut, never rounded up; times in plant time with the offset said once.

In: integers. Out: text. 2/3 is `66.6 %`; 0 of 0 is `—`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def percent_down(numerator: int, denominator: int) -> str:
    """Truncated to one decimal, as `metrics.result.Bound.percent` does; `—` for an empty denominator."""
    if denominator <= 0:
        return "—"
    tenths = numerator * 1000 // denominator
    return f"{tenths // 10}.{tenths % 10} %"


def axis_percent(numerator: int, denominator: int) -> str:
    """A length on a drawn axis, two decimals, cut; `0.00` for an empty denominator."""
    if denominator <= 0:
        return "0.00"
    hundredths = min(numerator, denominator) * 10_000 // denominator
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def local_time(at_ms: int, offset_h: int) -> datetime:
    """The wall clock of the plant, without a zone: for writing only."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms, hours=offset_h)).replace(tzinfo=None)


def local_second(at_ms: int, offset_h: int) -> str:
    """`2026-11-22 14:05:09` in plant time."""
    return f"{local_time(at_ms, offset_h):%Y-%m-%d %H:%M:%S}"


def local_minute(at_ms: int, offset_h: int) -> str:
    """`11-22 14:05` in plant time."""
    return f"{local_time(at_ms, offset_h):%m-%d %H:%M}"


def short_time(at_ms: int, now_ms: int, offset_h: int) -> str:
    """`14:05` for today, else `11-22 14:05`."""
    at, now = local_time(at_ms, offset_h), local_time(now_ms, offset_h)
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%m-%d %H:%M}"


def local_hour(hour: int, offset_h: int) -> str:
    """The hour that number names, in plant time: `2026-11-22 11:00–12:00`."""
    start = local_time(hour * 3_600_000, offset_h)
    return f"{start:%Y-%m-%d %H}:00–{(start + timedelta(hours=1)):%H}:00"


def file_size(size_bytes: int) -> str:
    """`812 KB`, `3.4 MB`: cut to what a person compares."""
    if size_bytes < 1_000_000:
        return f"{size_bytes // 1000} KB" if size_bytes >= 1000 else f"{size_bytes} B"
    return f"{size_bytes // 100_000 / 10:.1f} MB"
