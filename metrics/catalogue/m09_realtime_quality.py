"""M09 实时采集质量 = NC production devices whose state is collected in real time / NC production devices in service at T.

Numerator: networked as in M01 (90/100 of the obligated minutes of 30 days, late data not in the lower), a declared interval of at most
60 s, and a machine state that was told: in the lower for 90/100 of the time of the obligated hours.
Denominator and members: `nc` `production` devices; one without a connection is a member that fails. Excluded minutes: as M01.
Undetermined: no register, no representative line, no NC device.
Lines do not carry the receive lag of each row, so a p95 of it cannot be said from them (docs/metrics.md). Completeness is a fact, no gate.
Source: GS25 第十二条(三)3 数控设备状态信息实时采集; TJ 第五条(一) 核心数据实时采集; catalogue §4.1 M09.
"""

from __future__ import annotations

import numpy as np

from config.register import Device, Register
from metrics.inputs import Inputs, in_service_at_end
from metrics.machines.line_sums import device_sums
from metrics.machines.minutes import field
from metrics.machines.networked import COVERAGE_PERCENT, Contact, contacts, reaches
from metrics.members import by_line_and_plant, ratio_of_members, without_register
from metrics.result import Member, MetricResult, Pair

MAX_INTERVAL_S = 60
HOUR_S = 3600
COUNTED = ("polls_ok", "polls_failed", "values_bad", "losses", "late", "run_s", "stop_s", "unknown_s")


def realtime_quality(inputs: Inputs) -> list[MetricResult]:
    """M09 实时采集质量: one result per representative line, and one over the plant."""
    if inputs.revision is None:
        return [without_register("M09", scope, inputs.thirty_days, inputs) for scope in ("line:-", "plant")]
    sums = device_sums(inputs, inputs.thirty_days, *COUNTED)
    states = _states(inputs)
    return by_line_and_plant(
        "M09", inputs.thirty_days, inputs, lambda scope, lines: _scope(inputs, sums, states, scope, lines)
    )


def _states(inputs: Inputs) -> dict[str, tuple[int, int]]:
    """Device -> (seconds of known state, seconds) of its obligated hours; an hour that tells no state is unknown throughout."""
    part = inputs.minutes.part(inputs.thirty_days)
    run, stop, unknown = (field(inputs, part, name) for name in ("run_s", "stop_s", "unknown_s"))
    owed, told = part.owed != 0, run >= 0
    known = np.where(told, run + np.maximum(stop, 0), 0)
    whole = np.where(told, known + np.maximum(unknown, 0), HOUR_S)
    seconds = [np.where(owed, x, 0).sum(axis=1).tolist() for x in (known, whole)]
    return dict(zip(part.devices, zip(*seconds, strict=True), strict=True))


def _scope(
    inputs: Inputs,
    sums: dict[str, dict[str, int]],
    states: dict[str, tuple[int, int]],
    scope: str,
    lines: frozenset[str],
) -> MetricResult:
    window = inputs.thirty_days

    def chosen(register: Register, end_us: int) -> list[Device]:
        return [
            d
            for d in register.devices
            if d.production and d.nc and d.line in lines and in_service_at_end(register, d.id, end_us)
        ]

    devices = chosen(inputs.register, window.end_us)
    members = tuple(_member(c, sums.get(c.device.id, {}), states[c.device.id]) for c in contacts(inputs, devices))
    return ratio_of_members(
        "M09",
        scope,
        window,
        inputs,
        members,
        declared=sum(d.connection is not None for d in devices),
        exclusions=inputs.excuses_of(frozenset(m.id for m in members), window),
        parameters=(
            ("coverage_min_percent", COVERAGE_PERCENT),
            ("max_interval_s", MAX_INTERVAL_S),
            ("state_min_percent", COVERAGE_PERCENT),
            *inputs.denominators(window, lambda r, at: len(chosen(r, at))),
        ),
    )


def _member(contact: Contact, sums: dict[str, int], state: tuple[int, int]) -> Member:
    device = contact.device
    lower, value, upper = contact.flags(COVERAGE_PERCENT)
    quick = device.interval_s <= MAX_INTERVAL_S
    known_s = sums.get("run_s", 0) + sums.get("stop_s", 0)
    told = known_s > 0
    mostly = reaches(state, COVERAGE_PERCENT)
    reasons = (
        (contact.why(), contact.why() != "ok"),
        ("slow_interval", not quick),
        ("no_state", not told),
        ("state_unknown", not mostly),
    )
    facts: tuple[Pair, ...] = (
        ("covered_min", contact.lower[0]),
        ("obligated_min", contact.lower[1]),
        ("interval_s", device.interval_s),
        ("expected_polls", 60 * contact.lower[1] // device.interval_s),
        *((name, sums.get(name, 0)) for name in ("polls_ok", "polls_failed", "values_bad", "losses")),
        ("late_rows", sums.get("late", 0)),
        ("late_min", contact.late),
        ("state_known_s", known_s),
        ("state_unknown_s", sums.get("unknown_s", 0)),
    )
    return Member(
        device.id,
        device.name,
        lower and quick and told and mostly,
        value and quick and told,
        upper and quick,
        next((code for code, holds in reasons if holds), "ok"),
        facts,
    )
