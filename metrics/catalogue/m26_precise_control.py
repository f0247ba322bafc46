"""M26 关键过程精准控制 = running seconds with the key parameter inside its specification limits / running seconds.

Summed over the key parameters with limits. lower: inside / all the machine may have run (no known value, unknown state and missing
hours against); value: inside / known with limits; upper: lower's denominator, all but what was seen outside. Members: those parameters,
each with its seconds; their flags say never outside. Exclusions: parameters without point or limits, hours without an obligated minute.
Undetermined: no register, no representative line, no parameter with limits, nothing may have run. No gate. A Cpk needs the
distribution of values, which lines do not carry (docs/metrics.md).
Source: TJ 第五条(二), GS25 第十一条 关键生产过程精准控制; catalogue §4.1 M26.
"""

from __future__ import annotations

from config.plan import Parameter
from metrics.catalogue.m07_parameter_rate import pair_of, parameters_of
from metrics.inputs import Inputs
from metrics.machines.parameter_seconds import Seconds
from metrics.members import VERSION, by_line_and_plant
from metrics.result import Bound, Member, MetricResult, Pair

NO_LIMITS = "没有写了规格限 (spec_low、spec_high) 的关键工艺参数，无从计算 (no key parameter with specification limits)"
NOTHING_RAN = "窗口内没有可能运行的时间 (nothing may have run in the window)"
NOT_KNOWN = "没有读到带规格限的参数值，实测按下限列 (no value with limits was read; the value is shown as the lower)"


def precise_control(inputs: Inputs) -> list[MetricResult]:
    """M26 关键过程精准控制: one result per representative line, and one over the plant."""
    return by_line_and_plant("M26", inputs.three_months, inputs, lambda scope, lines: _scope(inputs, scope, lines))


def _scope(inputs: Inputs, scope: str, lines: frozenset[str]) -> MetricResult:
    window = inputs.three_months
    parameters = parameters_of(inputs.register, lines)
    limited = [(p, pair) for p in parameters if (pair := pair_of(inputs, p)) is not None and _limits(inputs, p)]
    found = {pair: inputs.parameter_seconds[pair] for _, pair in limited}
    seconds = [found[pair] for _, pair in limited]
    counted = list(found.values())  # a point listed twice counts once
    lower, value, upper = _bounds(counted)
    left_out = {p.id for p in parameters} - {p.id for p, _ in limited}
    notes = (NO_LIMITS,) if not limited else (NOTHING_RAN,) if lower.denominator == 0 else ()
    if lower.denominator and not any(s.judged_s for s in counted):
        notes = (NOT_KNOWN,)
    return MetricResult(
        metric="M26",
        version=VERSION,
        scope=scope,
        window=window,
        lower=lower,
        value=value,
        upper=upper,
        declared=None,
        members=tuple(_member(p, s) for (p, _), s in zip(limited, seconds, strict=True)),
        exclusions=(
            *((name, "没有测点或规格限，不在比例内 (no point or no limits)") for name in sorted(left_out)),
            *inputs.excuses_of(frozenset(device for _, (device, _) in limited), window),
        ),
        parameters=tuple((name, sum(getattr(s, name) for s in counted)) for name in _SUMS),
        inputs=inputs.digests(),
        simulated=inputs.simulated(window),
        status="ok" if lower.denominator else "insufficient_data",
        notes=notes,
    )


_SUMS = ("inside_s", "judged_s", "known_s", "ran_s", "possible_s")


def _limits(inputs: Inputs, parameter: Parameter) -> bool:
    """By the register of T the point has a specification limit."""
    register = inputs.register
    points = register.point_set.get(register.device[parameter.device or ""].points or "")
    return points is not None and any(
        p.name == parameter.point and (p.spec_low is not None or p.spec_high is not None) for p in points.points
    )


def _bounds(seconds: list[Seconds]) -> tuple[Bound, Bound, Bound]:
    """With x = possible - judged: inside/possible <= inside/judged <= (inside + x)/possible."""
    possible, judged, inside = (
        sum(getattr(s, name) for s in seconds) for name in ("possible_s", "judged_s", "inside_s")
    )
    lower = Bound(inside, possible)
    return lower, Bound(inside, judged) if judged else lower, Bound(inside + possible - judged, possible)


def _member(parameter: Parameter, s: Seconds) -> Member:
    upper = s.inside_s == s.judged_s
    value = upper and s.judged_s > 0
    lower = value and s.inside_s == s.possible_s
    why = "ok" if lower else "outside" if not upper else "never_ran" if s.possible_s == 0 else "value_unknown"
    facts: tuple[Pair, ...] = (
        ("process", parameter.process),
        ("device", parameter.device or ""),
        ("point", parameter.point or ""),
        *((name, getattr(s, name)) for name in _SUMS),
    )
    return Member(parameter.id, parameter.name, lower, value, upper, why, facts)
