"""测点: a point, where each protocol finds it, and the point sets that equal machines share.

In: tables of the register. Out: `Point` and `PointSet`, frozen. Which keys a protocol needs is checked in `config/addressing.py`,
where the connection is known. Refuses impossible ranges, two points of one name or of one single role, a state without its map.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from config.model import Id, Model, Wrong

TypeName = Literal["bool", "i64", "u64", "f32", "f64", "str"]
Role = Literal["process", "state", "output", "auto", "program", "heartbeat", "alarm"]
Wire = Literal[
    "bit", "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f16", "f32", "f64", "bcd16", "bcd32", "bcd64", "str"
]
PATH = r"""^\$(\.[^\s.\[\]'"?=]+|\[\d+\]|\['[^']+'\]|\[\?[^\s.\[\]'"?=]+=[^\]]+\])*$"""


class Point(Model):
    """测点: one value of a device, its type and where the protocol finds it.

    role: state (value map or running_when), output (part counter 产量计数), auto (automatic mode), program (program or
    recipe number), heartbeat, alarm (报警), process (anything else). key_parameter marks 关键工艺参数 (M07, M13).
    no_value: texts that mean "no value" (an MTConnect agent's UNAVAILABLE), compared without case, up to a "|".
    path (MQTT: in the payload), element (OPC UA, Sparkplug: in an array, matrix, structure, template or data set; without it a text
    point holds the whole value as canonical JSON): `$.a.b[0]`, `$['主轴 温度']`, `$.items[?name=speed].value`.
    """

    name: Id
    type: TypeName
    unit: str = Field(default="", max_length=24)
    role: Role = "process"
    key_parameter: bool = False
    low: Decimal | None = None  # engineering range; outside it a value is bad
    high: Decimal | None = None
    spec_low: Decimal | None = (
        None  # 规格下限、上限 of a key parameter (M26): inside them both, the process is under control
    )
    spec_high: Decimal | None = None
    no_value: tuple[str, ...] = ()
    scale: Decimal | None = None  # value = raw x scale + offset, exactly
    offset: Decimal | None = None
    path: str | None = Field(default=None, pattern=PATH)
    element: str | None = Field(default=None, pattern=PATH)
    # OPC UA: node id text, `{device}` is replaced by the device id; namespace by index or `nsu=<uri>;`
    node: str | None = None
    deadband_absolute: Decimal | None = Field(default=None, gt=0)  # the server does not report smaller changes
    deadband_percent: Decimal | None = Field(default=None, gt=0, le=100)  # of the node's EURange
    events: Literal["conditions", "all"] | None = None  # `node` is a notifier; each event is one JSON text
    # Modbus: table, address, encoding on the wire, order of words and bytes
    table: Literal["coil", "discrete_input", "holding_register", "input_register"] | None = None
    address: int | None = Field(default=None, ge=0, le=65536)
    wire: Wire | None = None
    length: int | None = Field(default=None, ge=1, le=64)  # registers of a text
    bit: int | None = Field(default=None, ge=0, le=15)  # wire "bit" in a register: 0 is the least significant
    half: Literal["high", "low"] = "low"  # wire "u8" and "i8": which byte of the register
    word_order: Literal["big", "little"] = "big"
    byte_order: Literal["big", "little"] = "big"
    block: str = Field(default="", max_length=64)  # points of one block are read in one request: values of one moment
    # Sparkplug B: the metric's name
    metric: str | None = Field(default=None, min_length=1, max_length=256)

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise Wrong(
                "low", f"量程下限应不大于上限，实为 {self.low} > {self.high} (expected low <= high)", "", ("high",)
            )
        if self.spec_low is not None and self.spec_high is not None and self.spec_low > self.spec_high:
            raise Wrong(
                "spec_low",
                f"规格下限应不大于上限，实为 {self.spec_low} > {self.spec_high} (expected spec_low <= spec_high)",
                "",
                ("spec_high",),
            )
        if self.has_specification and not self.key_parameter:
            raise Wrong(
                "key_parameter",
                "有规格限的测点须标为关键工艺参数 (spec_low and spec_high need key_parameter = true)",
                "关键工艺参数填 是，或清空规格限 (mark it, or remove the limits)",
                ("spec_low", "spec_high"),
            )
        if self.has_specification and self.type in ("bool", "str"):
            raise Wrong(
                "type", f"有规格限的测点须是数值，实为类型 {self.type!r} (spec_low and spec_high need a number)"
            )
        if self.deadband_absolute is not None and self.deadband_percent is not None:
            raise Wrong(
                "deadband_percent", "绝对死区与百分比死区只能填一个 (expected one of the two deadbands, found both)"
            )
        return self

    @property
    def has_specification(self) -> bool:
        """True with a specification limit on either side."""
        return self.spec_low is not None or self.spec_high is not None


class RunningWhen(Model):
    """Rule that makes a machine state out of a number: RUN while `point` `op` `value`."""

    point: Id
    op: Literal[">", ">=", "==", "!=", "<", "<="]
    value: Decimal


class PointSet(Model):
    """测点模板: the points that equal machines share."""

    id: Id
    kind: Literal["wide", "event"] = "wide"
    state_map: dict[str, Literal["run", "stop", "off"]] = Field(default={})
    running_when: RunningWhen | None = None
    points: tuple[Point, ...] = Field(min_length=1, alias="point")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [p.name for p in self.points]
        for name in sorted({n for n in names if names.count(n) > 1}):
            raise Wrong("", f"测点名不得重复，{name!r} 出现两次 (expected distinct point names)", "改名或删去其中一个")
        for role in ("state", "output", "auto"):
            if sum(p.role == role for p in self.points) > 1:
                raise Wrong("", f"角色 {role} 的测点最多一个，实为多个 (expected at most one point of that role)")
        if self.running_when and self.running_when.point not in names:
            raise Wrong(
                "running_when",
                f"运行条件里的测点 {self.running_when.point!r} 不在本模板，有的是 {names} (expected a point of this set)",
            )
        if any(p.role == "state" for p in self.points) and not self.state_map:
            raise Wrong("state_map", "有状态测点的模板须写状态含义，如 1=run; 0=stop (a state point needs state_map)")
        return self

    def point_of_role(self, role: Role) -> Point | None:
        """The point of that role, or None."""
        return next((p for p in self.points if p.role == role), None)
