"""M05 生产装备数控化率, M06 关键工序数控化率 in plain integers: docs/metrics.md, M05 and M06.

In: `Obligation`. Out: one `Twin` per representative line (and the plant for M06). upper = NC on paper; value = and seen running a
program or in automatic mode in 30 days; lower = and its controller named.
"""

from __future__ import annotations

from dataclasses import dataclass

from evidence_api.verify.evidence import Device, Register
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.twin_network import WINDOW_DAYS, denominators
from evidence_api.verify.twin_result import Twin, TwinMember, bounds, empty


@dataclass(frozen=True, slots=True)
class _Proof:
    """NC flags of one device."""

    device: Device
    key: bool  # its process is a key process
    member: TwinMember


def machine_control(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M05: one result per representative line."""
    register, window = obligation.register, obligation.last_days(WINDOW_DAYS)
    if register is None:
        return [empty("M05", "line:-", window, simulated)]
    proofs = _proofs(obligation, register, window)
    lines = [line["id"] for line in register.lines if line.get("representative")]
    if not lines:
        return [empty("M05", "line:-", window, simulated)]
    return [_m05(obligation, proofs, line, window, simulated) for line in lines]


def key_process_control(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M06: one result per representative line, then the plant."""
    register, window = obligation.register, obligation.last_days(WINDOW_DAYS)
    if register is None:
        return [empty("M06", scope, window, simulated) for scope in ("line:-", "plant")]
    proofs = _proofs(obligation, register, window)
    lines = [line["id"] for line in register.lines if line.get("representative")]
    by_line = [_m06(obligation, register, proofs, line, window, simulated) for line in lines]
    plant = _m06(obligation, register, proofs, None, window, simulated)
    return [*(by_line or [empty("M06", "line:-", window, simulated)]), plant]


def _m05(obligation: Obligation, proofs: list[_Proof], line: str, window: tuple[int, int], simulated: bool) -> Twin:
    ours = [p for p in proofs if p.device.line == line]
    members = tuple(p.member for p in ours)
    parameters = denominators(obligation, window, lambda _, d: d.production and d.line == line)
    return Twin(
        *("M05", f"line:{line}", window, *bounds(members), (sum(p.device.nc for p in ours), len(ours)), members),
        *(parameters, "ok" if members else "insufficient_data", simulated),
    )


def _m06(
    obligation: Obligation,
    register: Register,
    proofs: list[_Proof],
    line: str | None,
    window: tuple[int, int],
    simulated: bool,
) -> Twin:
    ours = [p for p in proofs if line is None or p.device.line == line]
    key = [p for p in ours if p.key]
    processes = [i for i, p in register.processes.items() if p.get("key") and (line is None or p["line"] == line)]
    members = tuple(p.member for p in key)
    lower, value, upper = bounds(members)
    parameters: dict[str, int | str] = {}
    parameters |= {"b_lower": lower[0], "b_value": value[0], "b_upper": upper[0], "b_denominator": len(ours)}
    for name in ("lower", "value", "upper"):
        counted = {p.device.process for p in key if getattr(p.member, name)}
        parameters[f"c_{name}"] = sum(i in counted for i in processes)
    parameters["c_denominator"] = len(processes)

    def counted_then(then: Register, device: Device) -> bool:
        return device.production and line in (None, device.line) and _is_key(then, device)

    parameters |= denominators(obligation, window, counted_then)
    scope = "plant" if line is None else f"line:{line}"
    return Twin(
        *("M06", scope, window, lower, value, upper, (sum(p.device.nc for p in key), len(key)), members),
        *(parameters, "ok" if members else "insufficient_data", simulated),
    )


def _proofs(obligation: Obligation, register: Register, window: tuple[int, int]) -> list[_Proof]:
    return [
        _proof(obligation, register, d, window) for d in obligation.members(register, window[1] - 1) if d.production
    ]


def _proof(obligation: Obligation, register: Register, device: Device, window: tuple[int, int]) -> _Proof:
    hours = obligation.hours(*window)
    lines = obligation.evidence.devices.get(device.id, {})
    automatic = sum(lines[h].auto_s or 0 for h in hours if h in lines)
    program = 0
    for point in device.points:
        if point.get("role") == "program":
            found = obligation.evidence.parameters.get((device.id, point["name"]), {})
            program += sum(found[h].ok for h in hours if h in found)
    runtime = automatic > 0 or program > 0
    value = device.nc and runtime
    lower = value and device.controller != ""
    why = "not_nc" if not device.nc else "no_runtime_proof" if not runtime else "ok" if lower else "no_controller"
    key = _is_key(register, device)
    facts: dict[str, int | str] = {
        "auto_s": automatic,
        "program_ok": program,
        "process": device.process,
        "key": int(key),
    }
    return _Proof(device, key, TwinMember(device.id, lower, value, device.nc, why, facts))


def _is_key(register: Register, device: Device) -> bool:
    return bool(register.processes.get(device.process, {}).get("key", False))
