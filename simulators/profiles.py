"""测点模板 of the demo workshop: what each kind of machine offers, and where each protocol finds it.

In: nothing. Out: `PROFILES`, from which the register's point sets, the live servers and the driven history are all made,
so that the three cannot disagree. A profile serves OPC UA and MQTT (`node`, `path`) or Modbus (`table`, `address`, `wire`).
`signal` names the curve of `simulators/signals.py` that a process value follows, with its range. Specification limits of the key
parameters lie where most running time is inside: a machine that is still warming up, or a rare throw of the noise, is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from adapters.batch import Template, TemplatePoint, ValueType

STATE_NAMES = ("OFF", "IDLE", "RUNNING", "ALARM", "SETUP")  # index = state code on Modbus
OFF, IDLE, RUN, ALARM, SETUP = range(5)


@dataclass(frozen=True, slots=True)
class Signal:
    """A curve: its value at rest and when running hard, steps of its last digit, size of its noise."""

    shape: str  # state | auto | program | counter | thermal | level
    rest: float = 0.0
    full: float = 0.0
    step: float = 0.1
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class PointSpec:
    """One point: register fields and the curve behind it."""

    name: str
    type: ValueType
    unit: str
    signal: Signal
    role: str = "process"
    key: bool = False
    low: str = ""
    high: str = ""
    spec_low: str = ""  # 规格限 of a key parameter; decimals that f32 holds exactly
    spec_high: str = ""
    table: str = ""  # Modbus only
    address: int = 0
    wire: str = ""
    scale: str = ""


@dataclass(frozen=True)
class Profile:
    """A point set: id, points, and how the machine state is told."""

    id: str
    points: tuple[PointSpec, ...]
    state_map: tuple[tuple[str, str], ...] = ()
    running_when: tuple[str, str, str] | None = None
    word_order: str = "big"

    @cached_property
    def template(self) -> Template:
        """The template of every batch of this profile."""
        return Template("wide", tuple(TemplatePoint(p.name, p.type, p.unit) for p in self.points))

    def has(self, role: str) -> bool:
        """True when a point has that role."""
        return any(p.role == role for p in self.points)


_NAMED = (("RUNNING", "run"), ("IDLE", "stop"), ("ALARM", "stop"), ("SETUP", "stop"), ("OFF", "off"))
_CODED = (("0", "off"), ("1", "stop"), ("2", "run"), ("3", "stop"), ("4", "stop"))
_STR, _BOOL, _U64, _I64, _F32, _F64 = (
    ValueType.STR,
    ValueType.BOOL,
    ValueType.U64,
    ValueType.I64,
    ValueType.F32,
    ValueType.F64,
)

CNC = Profile(
    "cnc",
    (
        PointSpec("state", _STR, "", Signal("state"), role="state"),
        PointSpec("auto", _BOOL, "", Signal("auto"), role="auto"),
        PointSpec("program", _STR, "", Signal("program"), role="program"),
        PointSpec("parts", _U64, "1", Signal("counter"), role="output"),
        PointSpec("spindle_speed", _F64, "r/min", Signal("level", 0, 2400, 10, 25)),
        PointSpec("spindle_load", _F64, "%", Signal("level", 0, 62, 1, 6)),
        PointSpec(
            "spindle_temp",
            _F64,
            "Cel",
            Signal("thermal", 22, 48, 0.1, 0.12),
            key=True,
            low="0",
            high="120",
            spec_low="30",
            spec_high="50",
        ),
        PointSpec("feed", _F64, "mm/min", Signal("level", 0, 850, 10, 40)),
        PointSpec("power", _F64, "kW", Signal("level", 1.2, 11.5, 0.1, 0.5)),
    ),
    state_map=_NAMED,
)
STATION = Profile(
    "station",
    (
        PointSpec("state", _STR, "", Signal("state"), role="state"),
        PointSpec("auto", _BOOL, "", Signal("auto"), role="auto"),
        PointSpec("program", _STR, "", Signal("program"), role="program"),
        PointSpec("count", _U64, "1", Signal("counter"), role="output"),
        PointSpec(
            "pressure",
            _F64,
            "kPa",
            Signal("level", 101, 560, 1, 3),
            key=True,
            low="0",
            high="1000",
            spec_low="552",
            spec_high="568",
        ),
        PointSpec("cycle_time", _F64, "s", Signal("level", 0, 34, 0.1, 0.4)),
        PointSpec("power", _F64, "kW", Signal("level", 0.3, 3.1, 0.1, 0.1)),
    ),
    state_map=_NAMED,
)


def _input(address: int, wire: str, scale: str = "") -> dict[str, object]:
    return {"table": "input_register", "address": address, "wire": wire, "scale": scale}


def _modbus(name: str, type_: ValueType, unit: str, signal: Signal, at: dict[str, object], **more: object) -> PointSpec:
    return PointSpec(name, type_, unit, signal, **at, **more)  # type: ignore[arg-type]


_BIT = {"table": "discrete_input", "address": 0, "wire": "bit"}

INJECTION = Profile(
    "injection",
    (
        _modbus("state", _I64, "", Signal("state"), _input(0, "u16"), role="state"),
        _modbus("auto", _BOOL, "", Signal("auto"), dict(_BIT), role="auto"),
        _modbus("recipe", _I64, "", Signal("program"), _input(1, "u16"), role="program"),
        _modbus("shots", _U64, "1", Signal("counter"), _input(2, "u32"), role="output"),
        _modbus(
            "barrel_temp",
            _F32,
            "Cel",
            Signal("thermal", 185, 228, 0.1, 0.15),
            _input(4, "f32"),
            key=True,
            low="0",
            high="400",
            spec_low="200",
            spec_high="230",
        ),
        _modbus("mold_temp", _F32, "Cel", Signal("thermal", 30, 62, 0.1, 0.12), _input(6, "f32")),
        _modbus(
            "pressure",
            _F32,
            "MPa",
            Signal("level", 0, 96, 0.5, 1.5),
            _input(8, "f32"),
            key=True,
            low="0",
            high="300",
            spec_low="92",
            spec_high="100",
        ),
        _modbus("cycle_time", _F32, "s", Signal("level", 0, 41, 0.1, 0.3), _input(10, "f32")),
        _modbus("clamp_force", _F32, "kN", Signal("level", 0, 1580, 10, 8), _input(12, "f32")),
        _modbus("power", _F32, "kW", Signal("level", 3, 27, 0.1, 0.6), _input(14, "f32")),
    ),
    state_map=_CODED,
)
PLC = Profile(
    "plc",
    (
        _modbus("state", _I64, "", Signal("state"), _input(0, "u16"), role="state"),
        _modbus("auto", _BOOL, "", Signal("auto"), dict(_BIT), role="auto"),
        _modbus("recipe", _I64, "", Signal("program"), _input(1, "u16"), role="program"),
        _modbus("count", _U64, "1", Signal("counter"), _input(2, "u32"), role="output"),
        _modbus(
            "process_temp",
            _F64,
            "Cel",
            Signal("thermal", 24, 71, 0.1, 0.1),
            _input(4, "i16", "0.1"),
            key=True,
            low="0",
            high="1200",
            spec_low="40",
            spec_high="75",
        ),
        _modbus("line_speed", _F32, "m/min", Signal("level", 0, 2.4, 0.1, 0.1), _input(6, "f32")),
        _modbus("power", _F32, "kW", Signal("level", 0.8, 8.4, 0.1, 0.3), _input(8, "f32")),
    ),
    state_map=_CODED,
    word_order="little",
)
RETROFIT = Profile(
    "retrofit",
    (
        _modbus("current", _F32, "A", Signal("level", 0.8, 8.6, 0.1, 0.2), _input(0, "f32")),
        _modbus(
            "vibration",
            _F32,
            "mm/s",
            Signal("level", 0.3, 2.8, 0.1, 0.2),
            _input(2, "f32"),
            key=True,
            low="0",
            high="50",
            spec_high="3.25",
        ),
        _modbus("motor_temp", _F32, "Cel", Signal("thermal", 21, 54, 0.1, 0.1), _input(4, "f32")),
        _modbus("energy", _U64, "kW.h", Signal("counter"), _input(6, "u32")),
    ),
    running_when=("current", ">", "2"),
)

PROFILES = {p.id: p for p in (CNC, STATION, INJECTION, PLC, RETROFIT)}
