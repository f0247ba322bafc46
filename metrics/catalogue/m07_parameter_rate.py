"""M07 关键工艺参数数字化率 = key parameters whose value is known while the process runs / key parameters of the control plan.

Numerator: a value known for at least 90/100 of the running seconds of three months and 7 obligated days. lower: of all seconds the
machine may have run (unknown state and missing hours against); value: of those seen running; upper: all but those seen running
without a value. Denominator and members: parameters of the register of T; one without a point is on paper only and fails.
Exclusions: hours without an obligated minute. Undetermined: no register, no representative line, no parameter in the scope.
Source: GS25 第十二条(三)3 产线关键工艺参数实现数字化 (100/100); catalogue §4.1 M07.
"""

from __future__ import annotations

from config.plan import Parameter
from config.register import Register
from metrics.inputs import Inputs, in_service_at_end
from metrics.machines.networked import MIN_DAYS
from metrics.machines.parameter_seconds import Seconds
from metrics.members import by_line_and_plant, ratio_of_members
from metrics.result import Member, MetricResult, Pair

KNOWN_PERCENT = 90
NO_PARAMETER = "台账没有关键工艺参数表 parameter，无从计算 (the register lists no key parameter here)"


def parameter_rate(inputs: Inputs) -> list[MetricResult]:
    """M07 关键工艺参数数字化率: one result per representative line, and one over the plant."""
    return by_line_and_plant("M07", inputs.three_months, inputs, lambda scope, lines: _scope(inputs, scope, lines))


def parameters_of(register: Register, lines: frozenset[str]) -> list[Parameter]:
    """Key parameters of the processes of these lines."""
    processes = {p.id for p in register.processes if p.line in lines}
    return [p for p in register.parameters if p.process in processes]


def pair_of(inputs: Inputs, parameter: Parameter) -> tuple[str, str] | None:
    """(device, point) of a parameter whose device is in service at T."""
    if parameter.device is None or parameter.point is None:
        return None
    found = in_service_at_end(inputs.register, parameter.device, inputs.end_us)
    return (parameter.device, parameter.point) if found else None


def _scope(inputs: Inputs, scope: str, lines: frozenset[str]) -> MetricResult:
    window = inputs.three_months
    parameters = parameters_of(inputs.register, lines)
    pairs = {p.id: pair for p in parameters if (pair := pair_of(inputs, p)) is not None}
    seconds = inputs.parameter_seconds
    members = tuple(_member(p, seconds[pairs[p.id]] if p.id in pairs else None) for p in parameters)
    return ratio_of_members(
        "M07",
        scope,
        window,
        inputs,
        members,
        declared=sum(p.point is not None for p in parameters),
        exclusions=inputs.excuses_of(frozenset(device for device, _ in pairs.values()), window),
        parameters=(
            ("known_min_percent", KNOWN_PERCENT),
            ("min_obligated_days", MIN_DAYS),
            *inputs.denominators(window, lambda r, _: len(parameters_of(r, lines))),
        ),
        notes=() if parameters else (NO_PARAMETER,),
    )


def _member(parameter: Parameter, s: Seconds | None) -> Member:
    if s is None:
        why = "on_paper" if parameter.point is None else "device_not_in_service"
        return Member(parameter.id, parameter.name, False, False, False, why, (("process", parameter.process),))
    missed = s.ran_s - s.known_s  # seen running, value not known
    enough_days = s.days >= MIN_DAYS
    lower = enough_days and s.known_s > 0 and 100 * s.known_s >= KNOWN_PERCENT * s.possible_s
    value = lower or (enough_days and s.known_s > 0 and 100 * s.known_s >= KNOWN_PERCENT * s.ran_s)
    upper = value or 100 * (s.possible_s - missed) >= KNOWN_PERCENT * s.possible_s
    reasons = (
        ("pending", not enough_days),
        ("never_ran", s.possible_s == 0),
        ("no_state", not s.told),
        ("value_unknown", not lower),
    )
    facts: tuple[Pair, ...] = (
        ("process", parameter.process),
        ("device", parameter.device or ""),
        ("point", parameter.point or ""),
        ("known_s", s.known_s),
        ("ran_s", s.ran_s),
        ("possible_s", s.possible_s),
        ("obligated_days", s.days),
    )
    why = next((code for code, holds in reasons if holds), "ok")
    return Member(parameter.id, parameter.name, lower, value, upper, why, facts)
