"""一个月的能耗与产量: meter counts, bills and finished batches of one calendar month, in integers.

In: `Inputs`, the month. Out: `EnergyMonth` (members, least, seen and most energy in 10^-10 kgce: millionths of a unit times ten-thousandths
of kgce per unit) and `MonthOutput` (quantity in millionths). A meter hour is known when its D line has a count and some covered minute.
A count that falls was already taken as a reset (docs/format/hour-lines.md). Meters of one medium are added up: sub-meters carry no `meter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from config.register import Device
from metrics.inputs import Inputs
from metrics.office.papers import Row, rows_of
from metrics.result import Member, Pair, Window
from metrics.window import HOUR_US, days_of, hours_of, local_day

MILLION = 1_000_000
FACTOR_SCALE = 10_000
ELECTRICITY = "electricity"
Sums = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Factor:
    """折标系数 in ten-thousandths of kgce per unit."""

    scaled: int
    unit: str

    @property
    def text(self) -> str:
        """`0.1229`."""
        return f"{self.scaled // FACTOR_SCALE}.{self.scaled % FACTOR_SCALE:04d}"


DEFAULT = Factor(1229, "kWh")  # GB/T 2589-2020, electricity by calorific equivalent; catalogue §4.1 M24, grade K


@dataclass(frozen=True, slots=True)
class EnergyMonth:
    """energy: (lower, value, upper) of each member in millionths of its medium's unit; read_days: local days read, per medium.

    Every medium with a factor in the register is one that has to be read, so that a bill left out is missed.
    """

    days: int
    members: tuple[Member, ...]
    media: tuple[str, ...]
    energy: tuple[Sums, ...]
    read_days: dict[str, set[date]]
    factors: dict[str, Factor]
    left_out: tuple[tuple[str, str], ...]
    default_used: bool

    @staticmethod
    def read(inputs: Inputs, month: Window) -> EnergyMonth:
        """Meters first, in the order of the register, then bills of media that no meter counts live."""
        factors = {
            e.medium: Factor(int(e.kgce_per_unit * Decimal(FACTOR_SCALE)), e.unit) for e in inputs.register.energy
        }
        devices = [d for d in inputs.register.devices if d.meter and _hours(inputs, d, month)]
        counted = _counted(inputs, devices, month)
        meters = [_meter(inputs, d, counted, month) for d in devices]
        live = {m.medium for m in meters}
        days = days_of(month, inputs.tz)
        rows = [r for r in rows_of(inputs, "energy") if r["first_day"] <= days[-1] and r["last_day"] >= days[0]]
        bills = [_bill(r, days) for r in rows if r["medium"] not in live]
        readings = [*meters, *bills]
        default_used = ELECTRICITY not in factors and any(r.medium == ELECTRICITY for r in readings)
        known = {ELECTRICITY: DEFAULT} | factors if default_used else factors
        read_days: dict[str, set[date]] = {medium: set() for medium in factors}
        for reading in readings:
            read_days.setdefault(reading.medium, set()).update(reading.days)
        return EnergyMonth(
            days=len(days),
            members=tuple(r.member(known.get(r.medium)) for r in readings),
            media=tuple(r.medium for r in readings),
            energy=tuple(r.sums for r in readings),
            read_days=read_days,
            factors={m: known[m] for m in sorted(read_days) if m in known},
            left_out=tuple(
                (_bill_id(r), f"{r['medium']} 有联网表计，抄表数不计 (metered live)")
                for r in rows
                if r["medium"] in live
            ),
            default_used=default_used,
        )

    def sums(self) -> Sums:
        """Energy of the month in 10^-10 kgce: lower, value, upper."""
        scaled = [self.factors[m].scaled if m in self.factors else 0 for m in self.media]
        lower, value, upper = (sum(e[i] * f for e, f in zip(self.energy, scaled, strict=True)) for i in range(3))
        return lower, value, upper

    def problems(self) -> list[str]:
        """What keeps the month from being determined."""
        found = [] if self.members else ["本月没有能耗数据 (no meter and no energy record in the month)"]
        for medium in sorted(self.read_days):
            if medium not in self.factors:
                found.append(f"{medium} 没有折标系数，须写入台账 (no factor in the register)")
            missing = self.days - len(self.read_days[medium])
            if missing:
                found.append(f"{medium} 有 {missing} 天没有读数，没有用的写 0 (days without a reading)")
        return found


@dataclass(frozen=True, slots=True)
class MonthOutput:
    """Closed batches of the month that are no trial. quantity: their sum in millionths; unstated: batches without one."""

    batches: int
    quantity: int
    unstated: int
    largest: int
    trials: int

    @staticmethod
    def read(inputs: Inputs, month: Window) -> MonthOutput:
        """Closed in [start, end)."""
        if inputs.records is None:
            return MonthOutput(0, 0, 0, 0, 0)
        closed = inputs.records.frame("batches").filter(
            pl.col("closed_at").is_between(month.start_us, month.end_us, closed="left")
        )
        counted = closed.filter(~pl.col("trial"))["quantity"]
        given = [int(q) for q in counted.drop_nulls().to_list()]
        return MonthOutput(
            batches=len(counted),
            quantity=sum(given),
            unstated=counted.null_count(),
            largest=max(given, default=0),
            trials=closed.height - len(counted),
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A meter or a bill over the month: amounts in millionths of the medium's unit."""

    id: str
    name: str
    medium: str
    sums: Sums
    days: frozenset[date]
    why: str
    facts: tuple[Pair, ...]

    def member(self, factor: Factor | None) -> Member:
        """lower: known for every hour or day it stands for; value: something is known; upper: always."""
        why = "no_factor" if factor is None else self.why
        scaled: Pair = ("factor", factor.text if factor else "")
        facts = (("medium", self.medium), *self.facts, scaled)
        return Member(self.id, self.name, why == "ok", why not in ("no_factor", "no_reading"), True, why, facts)


def _hours(inputs: Inputs, device: Device, month: Window) -> range:
    """Hours of the month in which the meter is in service."""
    start_us, end_us = inputs.register.in_service_us(device)
    first, end = hours_of(month)
    return range(max(first, start_us // HOUR_US), min(end, -(-end_us // HOUR_US)))


def _counted(inputs: Inputs, meters: list[Device], month: Window) -> pl.DataFrame:
    """Hours of the month with a count: D lines of the meters that have one and some covered minute."""
    first, end = hours_of(month)
    return inputs.lines.device.filter(
        pl.col("hour").is_between(first, end, closed="left")
        & pl.col("device").is_in([d.id for d in meters])
        & pl.col("output_delta").is_not_null()
        & (pl.col("covered") != 0)
    ).select("device", "hour", "output_delta")


def _meter(inputs: Inputs, device: Device, counted: pl.DataFrame, month: Window) -> _Reading:
    hours = _hours(inputs, device, month)
    in_service = pl.col("hour").is_between(hours.start, hours.stop, closed="left")
    known = counted.filter((pl.col("device") == device.id) & in_service)
    counts = [int(n) for n in known["output_delta"].to_list()]
    total, missing, largest = sum(counts), len(hours) - len(counts), max(counts, default=0)
    there = {local_day(h * HOUR_US, inputs.tz) for h in hours} if counts else set()
    why = "no_reading" if not counts else "meter_gap" if missing else "ok"
    facts = (("count", total), ("hours", len(hours)), ("hours_without_count", missing), ("largest_hour", largest))
    sums = (total * MILLION, total * MILLION, (total + missing * largest) * MILLION)
    return _Reading(device.id, device.name, device.meter or "", sums, frozenset(there), why, facts)


def _bill(row: Row, days: list[date]) -> _Reading:
    first, last = max(row["first_day"], days[0]), min(row["last_day"], days[-1])
    inside, length = (last - first).days + 1, (row["last_day"] - row["first_day"]).days + 1
    whole, quantity = inside == length, row["quantity"]
    sums = (quantity if whole else 0, quantity * inside // length, quantity)
    covered = frozenset(first + timedelta(days=i) for i in range(inside))
    facts: tuple[Pair, ...] = (
        ("quantity_millionths", quantity),
        ("days_inside", inside),
        ("days", length),
        ("document", row["document"]),
    )
    return _Reading(
        _bill_id(row), row["meter"], row["medium"], sums, covered, "ok" if whole else "partly_inside", facts
    )


def _bill_id(row: Row) -> str:
    return f"{row['meter']}@{row['first_day'].isoformat()}"
