"""联网: which machines were really heard from in 30 days: the core of M01, M02, M03 and of the classes of M23.

networked = connection, coverage >= 90/100 of the obligated minutes of 30 days, >= 7 obligated days, at most 24 obligated
hours silent before T, some value changed. Excused minutes: closures and exclusions entered within 72 h.
In: `Inputs` and which devices. Out: one `Contact` per device, or the ratio over them. Exact integers: docs/metrics.md, M01.
Source: catalogue §4.1; 90 mirrors GB/T 37393-2019 §6.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from config.register import Device, Register
from metrics.inputs import Inputs, in_service_at_end
from metrics.machines.minutes import Minutes, daily, field, silent_minutes, total
from metrics.members import ratio_of_members, without_register
from metrics.result import Member, MetricResult, Pair
from metrics.window import hours_of

COVERAGE_PERCENT = 90
SENSITIVITY_PERCENT = (80, 95)
MIN_DAYS = 7
MAX_SILENT_MIN = 24 * 60


def network_ratio(metric: str, inputs: Inputs, chosen: Callable[[Device], bool]) -> MetricResult:
    """Networked devices over devices in service at T, of those chosen; scope plant."""
    window = inputs.thirty_days
    if inputs.revision is None:
        return without_register(metric, "plant", window, inputs)

    def members_of(register: Register, end_us: int) -> list[Device]:
        return [d for d in register.devices if chosen(d) and in_service_at_end(register, d.id, end_us)]

    found = contacts(inputs, members_of(inputs.register, window.end_us))
    members = tuple(c.member() for c in found)
    silent = [m.id for c, m in zip(found, members, strict=True) if c.device.connection is not None and not m.value]
    sensitivity: list[Pair] = []
    for percent in SENSITIVITY_PERCENT:
        flags = [c.flags(percent) for c in found]
        sensitivity.append((f"lower_at_{percent}", sum(f[0] for f in flags)))
        sensitivity.append((f"value_at_{percent}", sum(f[1] for f in flags)))
    return ratio_of_members(
        metric,
        "plant",
        window,
        inputs,
        members,
        declared=sum(c.device.connection is not None for c in found),
        exclusions=inputs.excuses_of(frozenset(m.id for m in members), window),
        parameters=(
            ("coverage_min_percent", COVERAGE_PERCENT),
            ("min_obligated_days", MIN_DAYS),
            ("max_silent_min", MAX_SILENT_MIN),
            *sensitivity,
            ("configured_not_networked", ",".join(silent)),
            *inputs.denominators(window, lambda r, at: len(members_of(r, at))),
        ),
    )


@dataclass(frozen=True, slots=True)
class Contact:
    """The integers of one device over the window (docs/metrics.md, M01). Pairs are (covered, obligated) minutes."""

    device: Device
    lower: tuple[int, int]
    value: tuple[int, int]
    upper: tuple[int, int]
    days: int
    value_days: int
    silent_lower: int
    silent_value: int
    silent_upper: int
    changed: int
    late: int
    cause: str

    def flags(self, percent: int) -> tuple[bool, bool, bool]:
        """(lower, value, upper) at one coverage percent."""
        configured = self.device.connection is not None
        heard = configured and self.changed >= 1
        lower = heard and self.days >= MIN_DAYS and reaches(self.lower, percent) and self.silent_lower <= MAX_SILENT_MIN
        value = lower or (
            heard
            and self.value_days >= MIN_DAYS
            and reaches(self.value, percent)
            and self.silent_value <= MAX_SILENT_MIN
        )
        nobody_watched = self.lower[1] > self.value[1]
        possible = (
            reaches(self.upper, percent)
            and self.silent_upper <= MAX_SILENT_MIN
            and (self.changed >= 1 or nobody_watched)
        )
        return lower, value, value or (configured and (self.lower[1] == 0 or possible))

    def why(self) -> str:
        """First reason that keeps the device out of the lower bound."""
        reasons = (
            ("not_configured", self.device.connection is None),
            ("no_obligation", self.lower[1] == 0),
            ("pending", self.days < MIN_DAYS),
            ("coverage", not reaches(self.lower, COVERAGE_PERCENT)),
            ("silent", self.silent_lower > MAX_SILENT_MIN),
            ("no_change", self.changed < 1),
        )
        return next((code for code, holds in reasons if holds), "ok")

    def member(self) -> Member:
        """The device as a member of the denominator."""
        facts: tuple[Pair, ...] = (
            ("covered_min", self.lower[0]),
            ("obligated_min", self.lower[1]),
            ("value_covered_min", self.value[0]),
            ("value_obligated_min", self.value[1]),
            ("upper_covered_min", self.upper[0]),
            ("obligated_days", self.days),
            ("silent_min", self.silent_lower),
            ("points_changed", self.changed),
            ("configured", int(self.device.connection is not None)),
            ("late_min", self.late),
            ("cause", self.cause),
        )
        return Member(self.device.id, self.device.name, *self.flags(COVERAGE_PERCENT), self.why(), facts)


def reaches(pair: tuple[int, int], percent: int) -> bool:
    """(covered, obligated) minutes: something obligated, and at least that percent of it covered."""
    covered, obligated = pair
    return obligated > 0 and 100 * covered >= percent * obligated


def contacts(inputs: Inputs, devices: list[Device]) -> list[Contact]:
    """The counts of these devices of the register of T, in their order."""
    return [inputs.contacts[d.id] for d in devices]


def contacts_of(inputs: Inputs) -> dict[str, Contact]:
    """The counts of every device of the register of T (`Inputs.contacts` keeps them)."""
    devices = inputs.register.devices
    part = inputs.minutes.part(inputs.thirty_days)
    were_seen, obliged_seen = part.seen, part.owed_seen
    covered, owed = total(part.covered & part.owed), total(part.owed)
    seen, owed_seen = total(were_seen & part.owed), total(obliged_seen)
    unseen = owed - owed_seen
    days, value_days = ((daily(masks) > 0).sum(axis=1) for masks in (part.owed, obliged_seen))
    silent = (
        silent_minutes(part.covered, part.owed),
        silent_minutes(were_seen, obliged_seen),
        silent_minutes(were_seen | part.unseen, part.owed),
    )
    late = total(part.late & ~part.covered & part.owed)
    changed = np.maximum(field(inputs, part, "points_changed"), 0).sum(axis=1)
    causes = _causes(inputs, part)
    return {
        device.id: Contact(
            device=device,
            lower=(int(covered[i]), int(owed[i])),
            value=(int(seen[i]), int(owed_seen[i])),
            upper=(int(seen[i] + unseen[i]), int(owed[i])),
            days=int(days[i]),
            value_days=int(value_days[i]),
            silent_lower=int(silent[0][i]),
            silent_value=int(silent[1][i]),
            silent_upper=int(silent[2][i]),
            changed=int(changed[i]),
            late=int(late[i]),
            cause=causes.get(device.id, ""),
        )
        for i, device in enumerate(devices)
    }


def _causes(inputs: Inputs, part: Minutes) -> dict[str, str]:
    """Each device's cause of the largest sum of gap seconds in the window's D lines; ties by name."""
    first, end = hours_of(inputs.thirty_days)
    gaps = (
        inputs.lines.device.select("device", "hour", "cause", "gap_s")
        .filter((pl.col("hour") >= first) & (pl.col("hour") < end) & (pl.col("gap_s") > 0))
        .group_by("device", "cause")
        .agg(pl.col("gap_s").sum())
        .sort(["gap_s", "cause"], descending=[True, False])
        .unique("device", keep="first", maintain_order=True)
    )
    wanted = set(part.devices)
    rows = zip(gaps["device"].to_list(), gaps["cause"].to_list(), strict=True)
    return {device: cause for device, cause in rows if device in wanted}
