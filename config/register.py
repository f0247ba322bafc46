"""设备台账: the register of lines, processes, devices and points: what is true on paper, at one revision.

In: a TOML file (`parse_register`) or the canonical JSON of an applied revision (`Register.model_validate_json`).
Out: `Register`, frozen. Refuses unknown keys, duplicate ids, dangling references, impossible values; every error at once.
The canonical JSON (integers and strings only) is what a register leaf of the ledger commits to: docs/format/register.md.
Denominators of every ratio come from here, as of the window (catalogue §4.0).
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

FORMAT = "plantproof-register/1"

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
TypeName = Literal["bool", "i64", "u64", "f32", "f64", "str"]
Role = Literal["process", "state", "output", "auto", "program", "heartbeat"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shift(_Model):
    """A shift (班次): hours of the local day in which production is planned. `end` "24:00" closes the day."""

    name: Name
    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str = Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")


class Closure(_Model):
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


class Calendar(_Model):
    """Plant calendar. Without shifts the obligation is 24 x 7 (catalogue §4.0)."""

    utc_offset: str = Field(default="+08:00", pattern=r"^[+-](0\d|1[0-4]):00$")
    shifts: tuple[Shift, ...] = ()
    closures: tuple[Closure, ...] = ()

    @property
    def tz(self) -> timezone:
        """The plant's fixed offset (China: +08:00, no daylight saving)."""
        return timezone(timedelta(hours=int(self.utc_offset[:3])))


class Line(_Model):
    """产线. `representative` marks 代表产线, the scope of 生产装备数控化率 (GS25 第十二条(三)3)."""

    id: Id
    name: Name
    workshop: str = ""
    representative: bool = False
    commissioned: date | None = None


class Process(_Model):
    """工序. `key` marks 关键工序 of the approved routing: the denominator of 关键工序数控化率."""

    id: Id
    name: Name
    line: Id
    key: bool = False
    inspection: bool = False  # a result per batch is required (检验工序)


class Point(_Model):
    """测点: one value of a device, its type and where the protocol finds it.

    role: state (value map or running_when), output (part counter 产量计数), auto (automatic mode), program (program or
    recipe number), heartbeat, process (anything else). key_parameter marks 关键工艺参数 (M07, M13).
    no_value: texts that mean "no value" (an MTConnect agent's UNAVAILABLE), compared without case, up to a "|".
    """

    name: Id
    type: TypeName
    unit: str = Field(default="", max_length=24)
    role: Role = "process"
    key_parameter: bool = False
    low: Decimal | None = None  # engineering range; outside it a value is bad
    high: Decimal | None = None
    no_value: tuple[str, ...] = ()
    # OPC UA: node id text, `{device}` is replaced by the device id; namespace by index or `nsu=<uri>;`
    node: str | None = None
    # Modbus: table, zero-based address, encoding on the wire, order of words and bytes, scale applied to integers
    table: Literal["coil", "discrete_input", "holding_register", "input_register"] | None = None
    address: int | None = Field(default=None, ge=0, le=65535)
    wire: Literal["bit", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "str"] | None = None
    length: int | None = Field(default=None, ge=1, le=64)  # registers of a text
    word_order: Literal["big", "little"] = "big"
    byte_order: Literal["big", "little"] = "big"
    scale: Decimal | None = None
    # MQTT: path into the JSON payload, `$.a.b[0]`
    path: str | None = Field(default=None, pattern=r"^\$(\.[A-Za-z0-9_-]+|\[\d+\])*$")

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"expected low <= high, found {self.low} > {self.high}")
        return self


class RunningWhen(_Model):
    """Rule that makes a machine state out of a number: RUN while `point` `op` `value`."""

    point: Id
    op: Literal[">", ">=", "==", "!=", "<", "<="]
    value: Decimal


class PointSet(_Model):
    """测点模板: the points that equal machines share."""

    id: Id
    kind: Literal["wide", "event"] = "wide"
    state_map: dict[str, Literal["run", "stop", "off"]] = {}
    running_when: RunningWhen | None = None
    points: tuple[Point, ...] = Field(min_length=1, alias="point")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [p.name for p in self.points]
        for name in sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"expected distinct point names, found {name!r} twice")
        for role in ("state", "output", "auto"):
            if sum(p.role == role for p in self.points) > 1:
                raise ValueError(f"expected at most one point of role {role}, found more")
        if self.running_when and self.running_when.point not in names:
            raise ValueError(f"running_when.point: expected one of {names}, found {self.running_when.point!r}")
        if any(p.role == "state" for p in self.points) and not self.state_map:
            raise ValueError("a point of role state needs state_map, found none")
        return self

    def point_of_role(self, role: Role) -> Point | None:
        """The point of that role, or None."""
        return next((p for p in self.points if p.role == role), None)


class OpcUa(_Model):
    """Connection of an OPC UA server (IEC 62541). `mode` poll is for servers that refuse subscriptions."""

    protocol: Literal["opcua"]
    endpoint: str = Field(pattern=r"^opc\.tcp://[^\s/]+(:\d+)?(/.*)?$")
    mode: Literal["subscribe", "poll"] = "poll"
    sampling_ms: int = Field(default=1000, ge=50, le=3_600_000)
    queue: int = Field(default=0, ge=0, le=100_000)  # values the server keeps per point between publishes; 0: computed
    timeout_ms: int = Field(default=4000, ge=100, le=60_000)


class Modbus(_Model):
    """Connection of a Modbus TCP device or a unit behind a gateway."""

    protocol: Literal["modbus"]
    host: str = Field(min_length=1)
    port: int = Field(default=502, ge=1, le=65535)
    unit: int = Field(default=1, ge=0, le=255)
    timeout_ms: int = Field(default=2000, ge=50, le=60_000)
    max_gap: int = Field(default=16, ge=0, le=120)
    max_registers: int = Field(default=125, ge=1, le=125)


class Mqtt(_Model):
    """Topic of an MQTT device on a broker. `time_path` names the payload's own stamp (ISO 8601 or epoch ms); else receipt."""

    protocol: Literal["mqtt"]
    broker: str = Field(pattern=r"^mqtt://[^\s/:]+(:\d+)?$")
    topic: str = Field(min_length=1, pattern=r"^[^#+]*$")
    status_topic: str = Field(default="", pattern=r"^[^#+]*$")
    time_path: str | None = Field(default=None, pattern=r"^\$(\.[A-Za-z0-9_-]+|\[\d+\])*$")
    username: str = ""
    password_env: str = ""  # the secret itself never stands in a file
    client_id: str = Field(default="", max_length=23)  # of the broker's session; empty: from this machine's name


Connection = Annotated[OpcUa | Modbus | Mqtt, Field(discriminator="protocol")]


class Device(_Model):
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


class Register(_Model):
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


def kind_problem(points: PointSet, connection: OpcUa | Modbus | Mqtt) -> str:
    """Empty when the connection can make rows of the point set's kind, else what is expected and what was found."""
    if isinstance(connection, Modbus) and points.kind == "event":
        return f'expected kind = "wide" for Modbus polls (no stamp per value), found "event" in {points.id!r}'
    if isinstance(connection, OpcUa) and connection.mode == "subscribe" and points.kind == "wide":
        return f'expected kind = "event" for an OPC UA subscription (a stamp per value), found "wide" in {points.id!r}'
    return ""


NODE_ID = re.compile(r"^((ns=\d+|nsu=[^;]+);)?[isgb]=.+$")


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
        message = _address_problem(device.connection, point)
        if message:
            found.append(("points", f"point {point.name!r} of {points.id!r}: {message}", ""))
    return found


def _address_problem(connection: OpcUa | Modbus | Mqtt, point: Point) -> str:
    if isinstance(connection, OpcUa):
        if point.node is None or not NODE_ID.match(point.node):
            return f'expected node such as "ns=2;s={{device}}.Speed" for opcua, found {point.node!r}'
    elif isinstance(connection, Modbus):
        if point.table is None or point.address is None or point.wire is None:
            return "expected table, address and wire for modbus, found some missing"
        if (point.table in ("coil", "discrete_input")) != (point.wire == "bit"):
            return f'expected wire "bit" exactly for coils and discrete inputs, found {point.wire!r} in {point.table}'
        if (point.wire == "str") != (point.length is not None):
            return 'expected length (registers) exactly for wire "str"'
    elif point.path is None:
        return 'expected path such as "$.speed" for mqtt, found none'
    return ""
