"""判定: one criterion x its results -> `Verdict`. The lower bound decides; an empty set never passes; nothing simulated passes.

In: a criterion, the threshold in force, the results of its metric and scope kind. Out: `Verdict` with the distance in members.
Several representative lines: every one must meet. A condition of a metric (parameter `condition.*`) that is 0 fails like the fraction.
Criteria without a metric are never scored: `declared_only` (a document decides) or `needs_judgement`. Rules: docs/metrics.md, Verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from config.ruleset import Criterion, DatedValue
from metrics.registry import UNITS
from metrics.result import Bound, MetricResult, Verdict, VerdictWord

UNIT_ZH = {"machine": "台", "day": "天", "challenge": "次", "batch": "批"}
CONDITION_ZH: dict[str, tuple[str, str]] = {
    "condition.longest_stop": ("最长停机 {} 小时，超过 24 小时", "longest_stop_h"),
    "condition.unknown_days": ("状态不明 {} 天，超过 5%", "unknown_days"),
    "condition.excused_days": ("免计 {} 天，超过 20%", "excused_days"),
    "condition.commissioned": ("投产日期不早于窗口或未填{}", ""),
}


def judge(criterion: Criterion, value: DatedValue | None, results: Sequence[MetricResult]) -> Verdict:
    """The verdict on one criterion; `results` are all there are, the criterion picks its own."""
    if criterion.judged_by == "document":
        return Verdict(criterion.id, "declared_only", False, None, "", "凭附件证明，本系统不测量", "declared_only")
    if criterion.judged_by == "person" or criterion.metric is None or value is None or criterion.op is None:
        return Verdict(criterion.id, "needs_judgement", False, None, "", "须由评审人员判断，不打分", "needs_judgement")
    chosen = [r for r in results if r.metric == criterion.metric and r.scope.partition(":")[0] == criterion.scope]
    passes = _operator(criterion.op, value)
    numbers = _numbers(chosen, passes)
    simulated = any(r.simulated for r in chosen)
    word: VerdictWord = "insufficient_data" if simulated and numbers == "met" else numbers
    return Verdict(
        criterion=criterion.id,
        verdict=word,
        simulated=simulated,
        distance=None if numbers == "insufficient_data" else sum(_distance(r.lower, value) for r in chosen),
        distance_unit=UNITS.get(criterion.metric, ""),
        why=_why(chosen, criterion, value, passes, simulated=simulated),
        numbers=numbers,
    )


def failed_conditions(result: MetricResult) -> list[str]:
    """Names of the conditions that do not hold."""
    return [name for name, held in result.parameters if name.startswith("condition.") and held == 0]


def _operator(op: str, value: DatedValue) -> Callable[[Bound], bool]:
    numerator, denominator = value.fraction
    if op == ">=":
        return lambda bound: bound.at_least(numerator, denominator)
    return lambda bound: bound.denominator > 0 and bound.numerator * denominator == numerator * bound.denominator


def _numbers(results: list[MetricResult], passes: Callable[[Bound], bool]) -> VerdictWord:
    usable = [r for r in results if r.status == "ok"]
    if any(not passes(r.lower) or failed_conditions(r) for r in usable):
        return "short"
    return "met" if usable and len(usable) == len(results) else "insufficient_data"


def _distance(lower: Bound, value: DatedValue) -> int:
    """Smallest k with (numerator + k) / denominator not below the threshold."""
    numerator, denominator = value.fraction
    return max(0, -(-numerator * lower.denominator // denominator) - lower.numerator)


def _why(
    results: list[MetricResult],
    criterion: Criterion,
    value: DatedValue,
    passes: Callable[[Bound], bool],
    *,
    simulated: bool,
) -> str:
    if not results:
        return "没有可用的结果"
    parts = [_result_words(r, criterion, value, passes) for r in results]
    if simulated:
        parts.append("数据非实采 (模拟或回放)，不能判为达标")
    return "；".join(parts)


def _result_words(
    result: MetricResult, criterion: Criterion, value: DatedValue, passes: Callable[[Bound], bool]
) -> str:
    place = "" if result.scope == "plant" else f"{result.scope.partition(':')[2]}："
    if result.status != "ok":
        return place + ("；".join(result.notes) or "数据不足")
    lower = result.lower
    relation = "满足" if passes(lower) else "不满足"
    words = f"{place}下限 {lower.numerator}/{lower.denominator} ({lower.percent}) {relation} {criterion.op} {value.threshold}"
    missing = _distance(lower, value)
    if missing:
        words += f"，差 {missing} {UNIT_ZH.get(UNITS.get(result.metric, ''), '')}"
    facts = dict(result.parameters)
    for name in failed_conditions(result):
        text, fact = CONDITION_ZH[name]
        words += f"，{text.format(facts.get(fact, ''))}"
    return words + _reading_b(result, passes)


def _reading_b(result: MetricResult, passes: Callable[[Bound], bool]) -> str:
    """M06: gate on reading A, say so when reading B misses the threshold (catalogue §0.6)."""
    facts = dict(result.parameters)
    numerator, denominator = facts.get("b_lower"), facts.get("b_denominator")
    if not isinstance(numerator, int) or not isinstance(denominator, int) or passes(Bound(numerator, denominator)):
        return ""
    return f"，注意口径 B 为 {numerator}/{denominator}，不满足"
