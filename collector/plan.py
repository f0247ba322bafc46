"""What the register says of an hour: which devices are in force, for which minutes, and how their rows are to be read.

In: register revisions with their effective times, hours. Out: `HourPlan`, plain values; no rows, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from collector.revisions import RegisterRevision
from collector.store.rows import DeviceRange
from config.points import PointSet
from config.register import Closure, Device

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device in one hour: in service in minutes [first_minute, end_minute), read by `point_set`."""

    device: Device
    point_set: PointSet | None
    first_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class HourPlan:
    """Every device in force during any part of the hour, ascending by id."""

    hour: int
    register_rev: int
    devices: tuple[DevicePlan, ...]
    closures: tuple[Closure, ...]

    def only(self, devices: DeviceRange) -> HourPlan:
        """The plan of the devices in a range."""
        first, end = devices
        kept = tuple(d for d in self.devices if first <= d.device.id and (end is None or d.device.id < end))
        return replace(self, devices=kept)


def plan_hour(revisions: Sequence[RegisterRevision], hour: int) -> HourPlan:
    """The plan of one hour. Without a revision in force: revision 0, no devices."""
    start, end = hour * HOUR_US, (hour + 1) * HOUR_US
    until = [r.effective_us for r in revisions[1:]] + [end]
    in_force = [(r, u) for r, u in zip(revisions, until, strict=False) if r.effective_us < end and u > start]
    found: dict[str, DevicePlan] = {}
    for revision, end_us in in_force:
        register = revision.register
        for device in register.devices:
            service_start, service_end = register.in_service_us(device)
            first = _minute(max(service_start, revision.effective_us) - start)
            last = _minute(min(service_end, end_us) - start)
            before = found.get(device.id)
            first = min(first, before.first_minute) if before else first
            if last > first:
                points = register.point_set.get(device.points) if device.points else None
                found[device.id] = DevicePlan(device, points, first, last)
    if not in_force:
        return HourPlan(hour, 0, (), ())
    newest = in_force[-1][0]
    devices = tuple(found[i] for i in sorted(found))
    return HourPlan(hour, newest.rev, devices, newest.register.calendar.closures)


def _minute(offset_us: int) -> int:
    """First minute whose start is at or after the offset, within the hour."""
    return min(60, max(0, -(-offset_us // MINUTE_US)))
