"""由数据判定: a criterion with a metric. The bound against the plant decides; every line must; an empty set never passes.

In: a criterion, its threshold of the day, `Evidence`. Out: `Verdict` with distance, names and warnings. `short` when some usable result
misses the bar or a condition (`condition.*` = 0); else insufficient when a result is missing or unusable; else met, unless
something behind it was not collected live. Named members (领域、环节、装备类): only these count, one that is not there counts as missing.
Rules: docs/metrics.md, Verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from config.metric_names import MEMBERS
from config.ruleset import Criterion, DatedValue, Op
from metrics.printing.words import condition_words, metric_words
from metrics.result import Bound, Judged, Member, MetricResult, Verdict, VerdictWord
from metrics.verdicts.distance import missing, needs_of, passes
from metrics.verdicts.doubts import doubts
from metrics.verdicts.evidence import Evidence, on_paper
from metrics.verdicts.required import bar_words, member_words
from metrics.verdicts.units import amount_words, distance_words

ABSENT = "absent"


def judge_metric(criterion: Criterion, value: DatedValue | None, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion that numbers decide."""
    if value is None or criterion.op is None or criterion.metric is None:
        return on_paper(criterion, "needs_judgement", "条款在这一天没有门槛", required=required)
    chosen = judged_results(criterion, evidence.results)
    numbers = _numbers(chosen, criterion.op, value)
    simulated = any(r.simulated for r in chosen)
    unit = MEMBERS.get(criterion.metric, "")
    distance = None
    if numbers != "insufficient_data":
        distance = sum(missing(r, criterion.op, value.fraction) for r in chosen)
    return Verdict(
        criterion=criterion.id,
        verdict="insufficient_data" if simulated and numbers == "met" else numbers,
        simulated=simulated,
        distance=distance,
        distance_unit=unit,
        why=_why(chosen, criterion, value, unit, simulated=simulated),
        numbers=numbers,
        required=required,
        needs=needs_of([r for r in chosen if not _reaches(r, criterion.op, value)], distance, unit),
        warnings=doubts(criterion, value, chosen, evidence),
        judged=tuple(Judged(r.scope, r.unit, r.declared, r.value, r.lower, r.upper) for r in chosen),
    )


def judged_results(criterion: Criterion, results: Sequence[MetricResult]) -> list[MetricResult]:
    """The results of a criterion's metric and kind of scope, of its named members only."""
    mine = [r for r in results if r.metric == criterion.metric and r.scope.partition(":")[0] == criterion.scope]
    return [_restricted(r, criterion.members) for r in mine]


def failed_conditions(result: MetricResult) -> list[str]:
    """Names of the conditions that do not hold."""
    return [name for name, held in result.parameters if name.startswith("condition.") and held == 0]


def _restricted(result: MetricResult, names: tuple[str, ...]) -> MetricResult:
    """The result over the named members only (by id or name)."""
    if not names:
        return result
    found = {name: m for m in result.members for name in (m.id, m.name) if name in names}
    members = tuple(found.get(n, Member(n, member_words(n), False, False, False, ABSENT)) for n in names)
    total = len(members)
    lower, value, upper = (Bound(sum(getattr(m, b) for m in members), total) for b in ("lower", "value", "upper"))
    return replace(result, members=members, lower=lower, value=value, upper=upper, declared=None)


def _usable(result: MetricResult, value: DatedValue) -> bool:
    return result.status == "ok" and (result.unit == "CNY") == (value.unit == "CNY")


def _reaches(result: MetricResult, op: Op, value: DatedValue) -> bool:
    return _usable(result, value) and passes(result, op, value.fraction)


def _numbers(results: list[MetricResult], op: Op, value: DatedValue) -> VerdictWord:
    usable = [r for r in results if _usable(r, value)]
    if any(not passes(r, op, value.fraction) or failed_conditions(r) for r in usable):
        return "short"
    return "met" if usable and len(usable) == len(results) else "insufficient_data"


def _why(results: list[MetricResult], criterion: Criterion, value: DatedValue, unit: str, *, simulated: bool) -> str:
    if not results:
        return f"{metric_words(criterion.metric or '')}：没有可用的结果"
    parts = [_result_words(r, criterion, value, unit) for r in results]
    if simulated:
        parts.append("数据非实采（模拟或回放），不能判为达标")
    return "；".join(parts)


def _result_words(result: MetricResult, criterion: Criterion, value: DatedValue, unit: str) -> str:
    place = "" if result.scope == "plant" else f"{result.scope.partition(':')[2]}："
    if result.status != "ok":
        return place + ("；".join(result.notes) or "数据不足")
    if not _usable(result, value):
        return f"{place}指标与门槛的单位不同，不能比较"
    op = criterion.op or ">="
    held = passes(result, op, value.fraction)
    upper = op in ("<=", "<")
    bound = result.upper if upper else result.lower
    words = f"{place}{'上限' if upper else '下限'} {bound_words(bound, result.unit)} "
    words += f"{'满足' if held else '不满足'}“{bar_words(criterion, value)}”"
    lacking = missing(result, op, value.fraction)
    if lacking:
        words += f"，差 {distance_words(lacking, unit)}"
    facts = dict(result.parameters)
    return words + "".join(f"，{condition_words(name, facts)}" for name in failed_conditions(result))


def bound_words(bound: Bound, unit: str) -> str:
    """`6/10 (60.0 %)`; an amount: `8,000,000 元`, cut to whole yuan."""
    if unit == "ratio":
        return f"{bound.numerator}/{bound.denominator} ({bound.percent})"
    return amount_words(bound.numerator, bound.denominator, unit)
