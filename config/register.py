"""设备台账: the register of lines, processes, devices and points: what is true on paper, at one revision.

In: tables of a file (`config/load.py`) or the canonical JSON of an applied revision (`Register.model_validate_json`).
Out: `Register`, frozen. Refuses unknown keys and impossible values; ids and links across rows: `config/register_check.py`.
The canonical JSON (integers and strings only) is what a register leaf of the ledger commits to: docs/format/register.md.
Denominators of every ratio come from here, as of the window (catalogue §4.0).
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from config.connections import Connection
from config.model import Id, Model, Name, Wrong
from config.plan import EnergyFactor, Interface, Item, Parameter, SceneInstance, System
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
            raise ValueError(
                "应带时区，如 2026-10-01T00:00:00+08:00，实为不带时区 (expected a time with its offset, found one without)"
            )
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise Wrong(
                "end",
                f"结束应晚于开始 {self.start.isoformat()}，实为 {self.end.isoformat()} (expected end after start)",
            )
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


# 第十二条(四)3 of GS25: 高档数控机床与工业机器人、智能传感与控制设备、智能检测与装配装备、智能物流与仓储装备
EquipmentClass = Literal["nc_robot", "sensing_control", "inspection_assembly", "logistics_storage"]


class Device(Model):
    """设备 (ISO 22400-2 work unit). Counted in the ratios by the flags; collected when it has a connection.

    production: 生产装备, in the denominators. nc: 数控装备 on paper. major_nc / machining_centre: 主要数控设备 / 大型加工中心 (M03).
    controller: make and model of the programmable controller, the proof on paper of `nc`. equipment_class: 关键技术装备 of M23.
    meter: an energy meter of that medium; its point of role output counts it (M24). capacity_per_h: most it can make in an hour.
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
    equipment_class: EquipmentClass | None = None
    meter: Id | None = None
    capacity_per_h: Decimal | None = Field(default=None, gt=0)
    in_service_from: date
    retired_at: date | None = None
    interval_s: int = Field(default=60, ge=1, le=3600)  # a line carries contacts in from one hour only
    points: Id | None = None
    connection: Connection | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.retired_at and self.retired_at <= self.in_service_from:
            raise Wrong(
                "retired_at",
                f"停用日期应晚于投用日期 {self.in_service_from}，实为 {self.retired_at} (expected retired_at after in_service_from)",
            )
        if self.points is None and self.connection is not None:
            raise Wrong(
                "points", "有连接而没有测点模板 (expected points with the connection, found none)", "填测点模板"
            )
        if self.points is not None and self.connection is None:
            raise Wrong(
                "points", "有测点模板而没有连接 (expected a connection with points, found none)", "填协议和地址"
            )
        if self.major_nc and not self.nc:
            raise Wrong(
                "major_nc", "主要数控设备须先是数控装备 (major_nc needs nc = true)", "核对数控一栏 (check nc)", ("nc",)
            )
        if self.machining_centre and not self.nc:
            raise Wrong(
                "machining_centre", "大型加工中心须先是数控装备 (machining_centre needs nc = true)", "核对数控一栏"
            )
        if self.meter is not None and self.production:
            raise Wrong(
                "meter",
                "计量表不是生产装备 (a meter needs production = false)",
                "生产装备一栏填 否 (production = false)",
            )
        return self


class Register(Model):
    """One revision of the register. Ids are unique within their kind; references resolve."""

    format: Literal["plantproof-register/1"]
    calendar: Calendar = Calendar()
    lines: tuple[Line, ...] = Field(default=(), alias="line")
    processes: tuple[Process, ...] = Field(default=(), alias="process")
    point_sets: tuple[PointSet, ...] = Field(default=(), alias="points")
    devices: tuple[Device, ...] = Field(default=(), alias="device")
    parameters: tuple[Parameter, ...] = Field(default=(), alias="parameter")
    items: tuple[Item, ...] = Field(default=(), alias="item")
    scenes: tuple[SceneInstance, ...] = Field(default=(), alias="scene")
    systems: tuple[System, ...] = Field(default=(), alias="system")
    interfaces: tuple[Interface, ...] = Field(default=(), alias="interface")
    energy: tuple[EnergyFactor, ...] = ()

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
