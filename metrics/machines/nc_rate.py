"""数控: NC equipment, on paper and proven at run time: the core of M05 and M06.

lower: `nc`, a controller on paper and proof at run time in 30 days (automatic mode ran, or a program number was read);
value: `nc` and run-time proof; upper = declared = `nc`. A monitoring retrofit is 数字化, not 数控.
In: `Inputs`, the lines of a scope. Out: the ratio over production devices, of key processes alone where asked. Integers: docs/metrics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from config.register import Device, Register
from metrics.inputs import Inputs, in_service_at_end
from metrics.members import ratio_of_members
from metrics.result import Member, MetricResult, Pair
from metrics.window import hours_of


@dataclass(frozen=True, slots=True)
class NcProof:
    """Run-time facts per device over the window: seconds in automatic mode, good readings of a program number."""

    auto_s: dict[str, int]
    program_ok: dict[str, int]

    def member(self, device: Device, *, key: bool) -> Member:
        """The device as a member of the denominator."""
        auto_s, program_ok = self.auto_s.get(device.id, 0), self.program_ok.get(device.id, 0)
        runtime = auto_s > 0 or program_ok > 0
        value = device.nc and runtime
        lower = value and device.controller != ""
        why = "not_nc" if not device.nc else "no_runtime_proof" if not runtime else "ok" if lower else "no_controller"
        facts: tuple[Pair, ...] = (
            ("auto_s", auto_s),
            ("program_ok", program_ok),
            ("process", device.process or ""),
            ("key", int(key)),
        )
        return Member(device.id, device.name, lower, value, device.nc, why, facts)


def nc_proof(inputs: Inputs) -> NcProof:
    """What the lines of 30 days say of every device."""
    first, end = hours_of(inputs.thirty_days)
    within = (pl.col("hour") >= first) & (pl.col("hour") < end)
    auto = (
        inputs.lines.device.lazy()
        .filter(within)
        .group_by("device")
        .agg(pl.col("auto_s").sum())
        .collect(engine="streaming")
    )
    points = inputs.register.point_set
    programs = [
        (d.id, p.name)
        for d in inputs.register.devices
        if d.points
        for p in points[d.points].points
        if p.role == "program"
    ]
    wanted = pl.DataFrame(programs, {"device": pl.String, "point": pl.String}, orient="row")
    program = (
        inputs.lines.parameter.select("device", "hour", "point", "ok")
        .filter(within)
        .join(wanted, on=["device", "point"], how="inner")
        .group_by("device")
        .agg(pl.col("ok").sum())
    )
    return NcProof(
        dict(zip(auto["device"].to_list(), auto["auto_s"].to_list(), strict=True)),
        dict(zip(program["device"].to_list(), program["ok"].to_list(), strict=True)),
    )


def nc_ratio(
    metric: str, scope: str, inputs: Inputs, proof: NcProof, lines: set[str], *, key_only: bool
) -> MetricResult:
    """NC production devices over production devices of these lines, in service at T."""
    window = inputs.thirty_days

    def chosen(register: Register, end_us: int) -> list[Device]:
        keys = _key_processes(register, lines)
        return [
            d
            for d in register.devices
            if d.production
            and d.line in lines
            and (d.process in keys or not key_only)
            and in_service_at_end(register, d.id, end_us)
        ]

    register = inputs.register
    keys = _key_processes(register, lines)
    devices = chosen(register, window.end_us)
    members = tuple(proof.member(d, key=d.process in keys) for d in devices)
    readings = _other_readings(inputs, lines, devices, members) if key_only else ()
    return ratio_of_members(
        metric,
        scope,
        window,
        inputs,
        members,
        declared=sum(d.nc for d in devices),
        parameters=(*readings, *inputs.denominators(window, lambda r, at: len(chosen(r, at)))),
    )


def _key_processes(register: Register, lines: set[str]) -> set[str]:
    return {p.id for p in register.processes if p.key and p.line in lines}


def _other_readings(
    inputs: Inputs, lines: set[str], devices: list[Device], members: tuple[Member, ...]
) -> tuple[Pair, ...]:
    """Readings B (over all production devices of the scope) and C (key processes), docs/metrics.md M06."""
    register = inputs.register
    keys = _key_processes(register, lines)
    everything = [
        d
        for d in register.devices
        if d.production and d.line in lines and in_service_at_end(register, d.id, inputs.end_us)
    ]
    by_process = [(d.process, m) for d, m in zip(devices, members, strict=True)]
    return (
        ("b_lower", sum(m.lower for m in members)),
        ("b_value", sum(m.value for m in members)),
        ("b_upper", sum(m.upper for m in members)),
        ("b_denominator", len(everything)),
        ("c_lower", len({p for p, m in by_process if m.lower})),
        ("c_value", len({p for p, m in by_process if m.value})),
        ("c_upper", len({p for p, m in by_process if m.upper})),
        ("c_denominator", len(keys)),
    )
