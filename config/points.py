"""测点: a point, where each protocol finds it, and the point sets that equal machines share.

In: tables of the register. Out: `Point` and `PointSet`, frozen. Which keys a protocol needs is checked in `config/addressing.py`,
where the connection is known. Refuses impossible ranges, two points of one name or of one single role, a state without its map.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from config.model import Id, Model

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
            raise ValueError(f"expected low <= high, found {self.low} > {self.high}")
        if self.deadband_absolute is not None and self.deadband_percent is not None:
            raise ValueError("expected deadband_absolute or deadband_percent, found both")
        return self


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
