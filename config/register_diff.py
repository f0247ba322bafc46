"""两版台账之差: what a new register changes in the one before it: rows added, gone and changed field by field, denominators that move.

In: two registers and a local day. Out: `RegisterDiff` and `Move`s: (metric, scope, before, after), counted as docs/metrics.md does:
devices in service at the end of that day. A change that is dated ahead moves a denominator on its day: such a move names the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from config.register import Device, Register

MAX_DAYS_AHEAD = 5  # days on which a dated change takes effect that are looked at, the nearest first
Changes = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class TableDiff:
    """One table. changed: id -> (key, old, new) as text, empty where there was or is none."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, Changes]


@dataclass(frozen=True, slots=True)
class Move:
    """A denominator that moves. scope: plant or line:<id>, with ` @<day>` when it moves on a later day."""

    metric: str
    scope: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class RegisterDiff:
    """tables: by table of the register, those that differ. retired: devices that leave service with this revision."""

    tables: Mapping[str, TableDiff]
    retired: tuple[str, ...]
    moves: tuple[Move, ...]


def compare(old: Register | None, new: Register, day: date) -> RegisterDiff:
    """What `new` changes, seen from `day`."""
    before, after = _body(old), _body(new)
    tables = {t: d for t in after if (d := _table(before[t], after[t])) is not None}
    devices = old.device if old else {}
    retired = tuple(
        sorted(i for i, d in new.device.items() if d.retired_at and i in devices and devices[i].retired_at is None)
    )
    return RegisterDiff(tables, retired, tuple(_moves(old, new, day)))


def denominators(register: Register | None, day: date) -> dict[tuple[str, str], int]:
    """(metric, scope) -> members on that day. Scopes: plant, and line:<id> of each representative line."""
    if register is None:
        return {}
    devices = [d for d in register.devices if d.production and _in_service(d, day)]
    keys = {p.id for p in register.processes if p.key}
    majors = [d for d in register.devices if (d.major_nc or d.machining_centre) and _in_service(d, day)]
    found = {
        ("M01", "plant"): len(devices),
        ("M02", "plant"): sum(d.digital for d in devices),
        ("M03", "plant"): len(majors),
        ("M04", "plant"): len(devices),
        ("M06", "plant"): sum(d.process in keys for d in devices),
        ("M07", "plant"): len(register.parameters),
        ("M08", "plant"): len(register.items),
    }
    for line in register.lines:
        if line.representative:
            members = [d for d in devices if d.line == line.id]
            found["M05", f"line:{line.id}"] = len(members)
            found["M06", f"line:{line.id}"] = sum(d.process in keys for d in members)
    return found


def device_changes(old: Device | None, new: Device | None) -> Changes:
    """(key, old, new) of one device; the key `device` when it comes or goes."""
    if old is None or new is None:
        return () if old is new else (("device", "" if old is None else old.name, "" if new is None else new.name),)
    return _fields(_flat(_dump(old)), _flat(_dump(new)))


def _moves(old: Register | None, new: Register, day: date) -> Iterator[Move]:
    for at in (day, *_days_ahead(old, new, day)):
        before, after = denominators(old, at), denominators(new, at)
        suffix = "" if at == day else f" @{at.isoformat()}"
        for metric, scope in sorted(set(before) | set(after)):
            pair = before.get((metric, scope), 0), after.get((metric, scope), 0)
            if pair[0] != pair[1]:
                yield Move(metric, scope + suffix, *pair)


def _days_ahead(old: Register | None, new: Register, day: date) -> list[date]:
    """Later days on which a device that this change touches begins or ends its service."""
    before = old.device if old else {}
    touched = [d for i, d in new.device.items() if before.get(i) != d]
    touched += [d for i, d in before.items() if new.device.get(i) != d]
    dates = {t for d in touched for t in (d.in_service_from, d.retired_at) if t is not None and t > day}
    return sorted(dates)[:MAX_DAYS_AHEAD]


def _in_service(device: Device, day: date) -> bool:
    """At the end of that local day."""
    return device.in_service_from <= day and (device.retired_at is None or device.retired_at > day)


def _body(register: Register | None) -> dict[str, dict[str, Any]]:
    """Rows by table and id; the calendar's offset as a table of one row."""
    if register is None:
        return {name: {} for name in (*_TABLES, "calendar")}
    found: dict[str, dict[str, Any]] = {
        name: {str(getattr(row, key)): row for row in getattr(register, field)}
        for name, (field, key) in _TABLES.items()
        if name not in ("calendar.shifts", "calendar.closures")
    }
    calendar = register.calendar
    found["calendar.shifts"] = {f"{s.name} {s.start}": s for s in calendar.shifts}
    found["calendar.closures"] = {c.id: c for c in calendar.closures}
    found["calendar"] = {"utc_offset": calendar.utc_offset}
    return found


_TABLES = {
    "device": ("devices", "id"),
    "line": ("lines", "id"),
    "process": ("processes", "id"),
    "points": ("point_sets", "id"),
    "parameter": ("parameters", "id"),
    "item": ("items", "id"),
    "scene": ("scenes", "id"),
    "system": ("systems", "id"),
    "interface": ("interfaces", "id"),
    "energy": ("energy", "medium"),
    "calendar.shifts": ("", ""),
    "calendar.closures": ("", ""),
}


def _table(before: dict[str, Any], after: dict[str, Any]) -> TableDiff | None:
    if before == after:
        return None
    changed = {
        i: _fields(_flat(_dump(before[i])), _flat(_dump(after[i])))
        for i in after
        if i in before and before[i] != after[i]
    }
    return TableDiff(tuple(sorted(set(after) - set(before))), tuple(sorted(set(before) - set(after))), changed)


def _dump(row: Any) -> Any:
    return row.model_dump(mode="json", by_alias=True, exclude_defaults=True) if hasattr(row, "model_dump") else row


def _flat(value: Any, before: str = "") -> dict[str, str]:
    """Key paths and texts; points of a set by their name."""
    if isinstance(value, dict):
        return {
            k: v for key, inner in value.items() for k, v in _flat(inner, f"{before}.{key}" if before else key).items()
        }
    if before == "point":
        return {k: v for p in value for k, v in _flat(p, f"point {p['name']}").items()}
    if isinstance(value, list):
        return {before: "、".join(map(str, value))}
    return {before: {True: "是", False: "否"}[value] if isinstance(value, bool) else str(value)}


def _fields(before: dict[str, str], after: dict[str, str]) -> Changes:
    keys = [*after, *(k for k in before if k not in after)]
    return tuple((k, before.get(k, ""), after.get(k, "")) for k in keys if before.get(k) != after.get(k))
