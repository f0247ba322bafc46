"""A device as its adapter sees it: `Source`, made from the register; and the template of its rows.

In: a `Register` and one of its devices. Out: frozen values with everything a protocol needs to read that device.
The point set says which kind of rows a device makes: `wide` (Modbus polls, OPC UA polls, MQTT messages that carry the whole
machine) or `event` (OPC UA subscriptions, MQTT messages that carry what changed).
The register's cross-check has refused pairs that make no sense, such as event rows from a Modbus poll.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timezone

from adapters.batch import Template, TemplatePoint, ValueType
from adapters.values import Cast, compile_cast
from config.connections import Connection
from config.points import Point, PointSet
from config.register import Device, Register


@dataclass(frozen=True, slots=True)
class Source:
    """One device: where it is, what is read, how often, and while it is in service. Equal when the register says the same of it."""

    device: str
    connection: Connection
    points: tuple[Point, ...]
    casts: tuple[Cast, ...] = field(compare=False)  # raw value -> (value of the declared type, quality), one per point
    template: Template
    interval_s: int
    service_us: tuple[int, int]  # [from, to)
    tz: timezone  # of the plant, for stamps without an offset

    @property
    def confirmed_points(self) -> tuple[int, ...]:
        """Indices of the points that a confirming read asks for: those with a role and the key parameters, else the first."""
        chosen = tuple(i for i, p in enumerate(self.points) if p.role != "process" or p.key_parameter)
        return chosen or (0,)

    def in_service(self, at_us: int) -> bool:
        """True while the register has the device in service (在用)."""
        return self.service_us[0] <= at_us < self.service_us[1]


def template_of(points: PointSet) -> Template:
    """The template of a point set's rows: its kind, and its points in the register's order."""
    return Template(points.kind, tuple(TemplatePoint(p.name, ValueType(p.type), p.unit) for p in points.points))


def source_of(register: Register, device: Device) -> Source:
    """A connected device of the register -> `Source`. The register has been cross-checked: the point set exists."""
    if device.points is None or device.connection is None:
        raise ValueError(f"{device.id}: expected a device with points and connection, found one without")
    points = register.point_set[device.points]
    return Source(
        device.id,
        device.connection,
        points.points,
        tuple(compile_cast(p) for p in points.points),
        template_of(points),
        device.interval_s,
        register.in_service_us(device),
        register.calendar.tz,
    )
