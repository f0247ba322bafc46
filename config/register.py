"""设备台账: the register of lines, processes, devices and points: what is true on paper, at one revision.

In: a TOML file (`parse_register`) or the canonical JSON of an applied revision (`Register.model_validate_json`).
Out: `Register`, frozen. Refuses unknown keys, duplicate ids, dangling references, impossible values; every error at once.
The canonical JSON (integers and strings only) is what a register leaf of the ledger commits to: docs/format/register.md.
Denominators of every ratio come from here, as of the window (catalogue §4.0).
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime, timedelta, timezone
from functools import cached_property
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from config.addressing import address_problem, kind_problem, layout_problems
from config.connections import Connection
from config.model import Id, Model, Name
from config.points import PointSet

FORMAT = "plantproof-register/1"


class Shift(Model):
    """A shift (班次): hours of the local day in which production is planned. `end` "24:00" closes the day."""

    name: Name
    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str = Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")


class Closure(Model):
    """A planned stop (计划停机) of the plant or some lines: excluded from obligation when entered within 72 h of its start."""

    id: Id
    start: datetime
    end: datetime
    reason: Name
    approver: Name
    lines: tuple[Id, ...] = ()  # empty: the whole plant

    @field_validator("start", "end")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("expected a time with its offset such as 2026-10-01T00:00:00+08:00, found one without")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"expected end after start, found {self.start.isoformat()} .. {self.end.isoformat()}")
        return self


class Calendar(Model):
    """Plant calendar. Without shifts the obligation is 24 x 7 (catalogue §4.0)."""

    utc_offset: str = Field(default="+08:00", pattern=r"^[+-](0\d|1[0-4]):00$")
    shifts: tuple[Shift, ...] = ()
    closures: tuple[Closure, ...] = ()

    @property
    def tz(self) -> timezone:
        """The plant's fixed offset (China: +08:00, no daylight saving)."""
        return timezone(timedelta(hours=int(self.utc_offset[:3])))


class Line(Model):
    """产线. `representative` marks 代表产线, the scope of 生产装备数控化率 (GS25 第十二条(三)3)."""

    id: Id
    name: Name
    workshop: str = ""
    representative: bool = False
    commissioned: date | None = None


class Process(Model):
    """工序. `key` marks 关键工序 of the approved routing: the denominator of 关键工序数控化率."""

    id: Id
    name: Name
    line: Id
    key: bool = False
    inspection: bool = False  # a result per batch is required (检验工序)


class Device(Model):
    """设备 (ISO 22400-2 work unit). Counted in the ratios by the flags; collected when it has a connection.

    production: 生产装备, in the denominators. nc: 数控装备 on paper. major_nc / machining_centre: 主要数控设备 / 大型加工中心 (M03).
    controller: make and model of the programmable controller, the proof on paper of `nc`.
    """

    id: Id
    name: Name
    line: Id
    process: Id | None = None
    production: bool = True
    digital: bool = False
    nc: bool = False
    major_nc: bool = False
    machining_centre: bool = False
    maker: str = ""
    model: str = ""
    controller: str = ""
    asset_no: str = ""
    in_service_from: date
    retired_at: date | None = None
    interval_s: int = Field(default=60, ge=1, le=3600)  # a line carries contacts in from one hour only
    points: Id | None = None
    connection: Connection | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.retired_at and self.retired_at <= self.in_service_from:
            raise ValueError(
                f"expected retired_at after in_service_from {self.in_service_from}, found {self.retired_at}"
            )
        if (self.points is None) != (self.connection is None):
            raise ValueError("expected points and connection together, found one of them")
        if (self.major_nc or self.machining_centre) and not self.nc:
            raise ValueError("major_nc and machining_centre need nc = true")
        return self


class Register(Model):
    """One revision of the register. Ids are unique within their kind; references resolve."""

    format: Literal["plantproof-register/1"]
    calendar: Calendar = Calendar()
    lines: tuple[Line, ...] = Field(default=(), alias="line")
    processes: tuple[Process, ...] = Field(default=(), alias="process")
    point_sets: tuple[PointSet, ...] = Field(default=(), alias="points")
    devices: tuple[Device, ...] = Field(default=(), alias="device")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @cached_property
    def device(self) -> dict[str, Device]:
        """Devices by id."""
        return {d.id: d for d in self.devices}

    @cached_property
    def point_set(self) -> dict[str, PointSet]:
        """Point sets by id."""
        return {p.id: p for p in self.point_sets}

    def in_service_us(self, device: Device) -> tuple[int, int]:
        """[from, to) of a device's service in microseconds UTC; `to` is far away when it is not retired."""

        def midnight(day: date) -> int:
            at = datetime(day.year, day.month, day.day, tzinfo=self.calendar.tz)
            return int(at.timestamp()) * 1_000_000

        end = midnight(device.retired_at) if device.retired_at else 253_402_300_799_000_000
        return midnight(device.in_service_from), end

    def canonical_json(self) -> bytes:
        """Sorted keys, no spaces, ASCII; numbers that are not integers as decimal text. What the register leaf commits to."""
        body = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical_json()).hexdigest()


def cross_check(register: Register) -> list[tuple[str, str, str]]:
    """References, duplicates and protocol keys: (key path, message, fix) for each thing wrong; empty when sound."""
    found: list[tuple[str, str, str]] = []
    ids = {
        "line": [x.id for x in register.lines],
        "process": [x.id for x in register.processes],
        "points": [x.id for x in register.point_sets],
        "device": [x.id for x in register.devices],
    }
    for kind, names in ids.items():
        seen: dict[str, int] = {}
        for i, name in enumerate(names):
            if name in seen:
                found.append(
                    (
                        f"{kind}[{i}].id",
                        f"expected an id of its own, found {name!r}, which {kind}[{seen[name]}] has too",
                        "改号或删去其中一条 (rename or remove one)",
                    )
                )
            seen.setdefault(name, i)
    lines = {x.id for x in register.lines}
    processes = {x.id: x for x in register.processes}
    for i, process in enumerate(register.processes):
        if process.line not in lines:
            found.append(
                (f"process[{i}].line", f"expected one of the lines {sorted(lines)}, found {process.line!r}", "")
            )
    for i, closure in enumerate(register.calendar.closures):
        for line in closure.lines:
            if line not in lines:
                found.append(
                    (f"calendar.closures[{i}].lines", f"expected one of the lines {sorted(lines)}, found {line!r}", "")
                )
    for i, device in enumerate(register.devices):
        found += [
            (f"device[{i}].{key}", message, fix)
            for key, message, fix in _device_problems(register, device, lines, processes)
        ]
    return found


def _device_problems(
    register: Register, device: Device, lines: set[str], processes: dict[str, Process]
) -> list[tuple[str, str, str]]:
    found = []
    if device.line not in lines:
        found.append(("line", f"expected one of the lines {sorted(lines)}, found {device.line!r}", ""))
    if device.process is not None:
        process = processes.get(device.process)
        if process is None:
            found.append(
                ("process", f"expected one of the processes {sorted(processes)}, found {device.process!r}", "")
            )
        elif process.line != device.line:
            found.append(
                (
                    "process",
                    f"expected a process of line {device.line!r}, found {device.process!r} of line {process.line!r}",
                    "",
                )
            )
    if device.points is None or device.connection is None:
        return found
    points = register.point_set.get(device.points)
    if points is None:
        found.append(
            ("points", f"expected one of the point sets {sorted(register.point_set)}, found {device.points!r}", "")
        )
        return found
    unfit = kind_problem(points, device.connection)
    if unfit:
        found.append(("points", unfit, "改 points 的 kind 或连接方式 (change kind)"))
    for point in points.points:
        message = address_problem(device.connection, point)
        if message:
            found.append(("points", f"point {point.name!r} of {points.id!r}: {message}", ""))
    found += [("points", f"{points.id!r}: {text}", "") for text in layout_problems(device.connection, points)]
    return found
