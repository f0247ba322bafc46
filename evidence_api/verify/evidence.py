"""What a pack shows once its lines and revisions are checked: the only input of the twin (docs/metrics.md, Input).

In: opened hours, register revisions, exclusions, records. Out: `Evidence`, indexed by device and hour, integers throughout.
A register revision is its canonical JSON, where defaults are left out: `Device`, `Calendar` here put them back.
Times: `_us` microseconds, `_ms` milliseconds, hours count from 1970, all UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from evidence_api.verify.lines import DeviceHour, Hour, ParameterHour

HOUR_US, MINUTE_US, DAY_US = 3_600_000_000, 60_000_000, 86_400_000_000
FAR_US = 253_402_300_799_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (at - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Device:
    """A register device, as far as ratios need it."""

    id: str
    name: str
    line: str
    process: str
    production: bool
    digital: bool
    nc: bool
    major: bool  # major_nc or machining_centre
    controller: str
    connected: bool
    points: tuple[dict[str, Any], ...]
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Closure:
    """A planned stop; `key` tells equal ones in other revisions."""

    key: tuple[Any, ...]
    id: str
    from_us: int
    to_us: int
    lines: frozenset[str]


@dataclass(frozen=True, slots=True)
class Register:
    """One revision."""

    rev: int
    effective_us: int
    tz: timezone
    devices: dict[str, Device]
    lines: tuple[dict[str, Any], ...]
    processes: dict[str, dict[str, Any]]
    closures: tuple[Closure, ...]
    shift_minutes: tuple[int, ...]  # obligated minutes by local hour of the day, 24 masks of 60 bits
    body: dict[str, Any]  # the canonical JSON, for tables


@dataclass(frozen=True, slots=True)
class Exclusion:
    """停机豁免 as recorded."""

    id: str
    devices: frozenset[str]
    from_us: int
    to_us: int
    entered_us: int


@dataclass(frozen=True, slots=True)
class Document:
    """材料 as its leaf states it; days None where none was given. The file itself is not in a pack."""

    id: str
    kind: str
    name: str
    issued: date | None
    until: date | None
    level: int | None
    years: tuple[int, ...]
    criteria: tuple[str, ...]
    entered_us: int

    def valid_on(self, day: date) -> bool:
        """Issued on or before the day, where it says so, and not expired."""
        return (self.issued is None or self.issued <= day) and (self.until is None or day <= self.until)


@dataclass(slots=True)
class Evidence:
    """Lines by device and hour. Built by `add_hour` while the walk passes, read-only afterwards."""

    registers: list[Register]
    exclusions: list[Exclusion]
    records: dict[str, list[dict[str, str]]] | None  # kind -> merged rows of canonical text, and `entered_us`
    origin_class: str
    root: bytes  # of the checkpoint
    documents: list[Document] = field(default_factory=list)  # by id
    devices: dict[str, dict[int, DeviceHour]] = field(default_factory=dict)
    parameters: dict[tuple[str, str], dict[int, ParameterHour]] = field(default_factory=dict)  # by device and point
    late: dict[str, dict[int, list[tuple[int, int]]]] = field(default_factory=dict)  # source hour -> (hour, minutes)
    down: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # seconds of the hour, by hour
    hour_rev: dict[int, int] = field(default_factory=dict)

    def add_hour(self, hour: Hour, down: list[tuple[int, int]]) -> None:
        """Take in one opened hour and its seal's `down` intervals."""
        for d in hour.devices:
            self.devices.setdefault(d.device, {})[hour.hour] = d
            self.hour_rev[hour.hour] = d.register_rev
        for p in hour.parameters:
            self.parameters.setdefault((p.device, p.point), {})[hour.hour] = p
        for late in hour.late:
            found = self.late.setdefault(late.device, {}).setdefault(late.source_hour, [])
            found.append((late.hour, late.minutes))
        if down:
            self.down[hour.hour] = down


def parse_register(rev: int, effective_us: int, body: dict[str, Any]) -> Register:
    """Canonical JSON of a revision -> `Register`. Errors: `ValueError`, `KeyError`, `TypeError` for what is not one."""
    calendar = body.get("calendar", {})
    tz = timezone(timedelta(hours=int(calendar.get("utc_offset", "+08:00")[:3])))
    sets = {p["id"]: p for p in body.get("points", [])}
    return Register(
        rev,
        effective_us,
        tz,
        {d["id"]: _device(d, tz, sets) for d in body.get("device", [])},
        tuple(body.get("line", [])),
        {p["id"]: p for p in body.get("process", [])},
        tuple(_closure(c) for c in calendar.get("closures", [])),
        _shift_minutes(calendar.get("shifts", [])),
        body,
    )


def _device(d: dict[str, Any], tz: timezone, sets: dict[str, Any]) -> Device:
    def midnight(day: str) -> int:
        at = date.fromisoformat(day)
        return to_us(datetime(at.year, at.month, at.day, tzinfo=tz))

    points = sets[d["points"]]["point"] if d.get("points") else []
    return Device(
        id=d["id"],
        name=d["name"],
        line=d["line"],
        process=d.get("process") or "",
        production=d.get("production", True),
        digital=d.get("digital", False),
        nc=d.get("nc", False),
        major=d.get("major_nc", False) or d.get("machining_centre", False),
        controller=d.get("controller", ""),
        connected=d.get("connection") is not None,
        points=tuple(points),
        from_us=midnight(d["in_service_from"]),
        to_us=midnight(d["retired_at"]) if d.get("retired_at") else FAR_US,
    )


def _closure(c: dict[str, Any]) -> Closure:
    start, end = to_us(datetime.fromisoformat(c["start"])), to_us(datetime.fromisoformat(c["end"]))
    lines = tuple(sorted(c.get("lines", [])))
    return Closure((c["id"], start, end, lines), c["id"], start, end, frozenset(lines))


def _shift_minutes(shifts: list[dict[str, str]]) -> tuple[int, ...]:
    masks = [0] * 24
    for minute in range(1440):
        if not shifts or any(_in_shift(minute, s) for s in shifts):
            masks[minute // 60] |= 1 << (59 - minute % 60)
    return tuple(masks)


def _in_shift(minute: int, shift: dict[str, str]) -> bool:
    start, end = (int(shift[k][:2]) * 60 + int(shift[k][3:]) for k in ("start", "end"))
    return start <= minute < end if end > start else minute >= start or minute < end
