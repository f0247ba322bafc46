"""From members to a `MetricResult`: the bounds, the empty set, the digests, in one place for every metric.

In: members and what a metric adds. Out: `MetricResult` whose numerators are counts of member flags.
An empty set is `insufficient_data` with bounds 0/0: it never passes.
"""

from __future__ import annotations

from collections.abc import Callable

from metrics.inputs import Inputs
from metrics.result import Bound, Member, MetricResult, Pair, Status, Window

NO_REGISTER = "窗口结束前没有生效的台账 (no register revision in force before the window's end)"
NO_REPRESENTATIVE_LINE = "台账没有标出代表产线 (no line has representative = true)"
VERSION = 1


def ratio_of_members(
    metric: str,
    scope: str,
    window: Window,
    inputs: Inputs,
    members: tuple[Member, ...],
    *,
    denominator: int | None = None,
    declared: int | None = None,
    exclusions: tuple[tuple[str, str], ...] = (),
    parameters: tuple[Pair, ...] = (),
    notes: tuple[str, ...] = (),
    status: Status = "ok",
) -> MetricResult:
    """Count the flags. `denominator` where not every member is in it (excused days of M11)."""
    total = len(members) if denominator is None else denominator
    return MetricResult(
        metric=metric,
        version=VERSION,
        scope=scope,
        window=window,
        lower=Bound(sum(m.lower for m in members), total),
        value=Bound(sum(m.value for m in members), total),
        upper=Bound(sum(m.upper for m in members), total),
        declared=None if declared is None else Bound(declared, total),
        members=members,
        exclusions=exclusions,
        parameters=parameters,
        inputs=inputs.digests(),
        simulated=inputs.simulated(window),
        status=status if total else "insufficient_data",
        notes=notes,
    )


def without_register(metric: str, scope: str, window: Window, inputs: Inputs) -> MetricResult:
    """The result when nothing says what should be counted."""
    return ratio_of_members(metric, scope, window, inputs, (), notes=(NO_REGISTER,))


def without_representative_line(metric: str, window: Window, inputs: Inputs) -> MetricResult:
    """The result of a metric of 代表产线 when the register marks none."""
    return ratio_of_members(metric, "line:-", window, inputs, (), notes=(NO_REPRESENTATIVE_LINE,))


def by_line_and_plant(
    metric: str, window: Window, inputs: Inputs, count: Callable[[str, frozenset[str]], MetricResult]
) -> list[MetricResult]:
    """`count(scope, lines)` once per representative line (`line:<id>`) and once over all lines (`plant`)."""
    if inputs.revision is None:
        return [without_register(metric, scope, window, inputs) for scope in ("line:-", "plant")]
    lines = inputs.register.lines
    results = [count(f"line:{x.id}", frozenset({x.id})) for x in lines if x.representative]
    if not results:
        results = [without_representative_line(metric, window, inputs)]
    return [*results, count("plant", frozenset(x.id for x in lines))]
