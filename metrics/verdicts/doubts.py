"""会被追问的: what a reviewer will ask about a number that is judged. Warnings change no verdict.

In: a criterion, its results, `Evidence`. Out: sentences. Readings that disagree about the bar (M06 B and C, M01 against M02), denominators
that shrank in the window, paper above proof, a register changed within 30 days before T (catalogue §0.4, §0.6, §4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config.ruleset import Criterion, DatedValue, Op
from metrics.result import Bound, MetricResult
from metrics.verdicts.distance import holds
from metrics.verdicts.evidence import Evidence

READINGS = {"b": "口径 B（分母为产线全部生产装备）", "c": "口径 C（按工序计）"}
TWINS = {"M01": "M02", "M02": "M01"}
FROM_REGISTER = frozenset(  # members, route or lines come from the register
    "M01 M02 M03 M04 M05 M06 M07 M08 M09 M10 M11 M13 M14 M16 M17 M19 M20 M21 M22 M23 M25 M26 M27".split()
)


def doubts(
    criterion: Criterion, value: DatedValue, results: Sequence[MetricResult], evidence: Evidence
) -> tuple[str, ...]:
    """Every question, in a fixed order."""
    found = [w for r in results for w in _of_result(r, criterion, value, evidence)]
    if results and criterion.metric in FROM_REGISTER:
        found += [f"台账第 {rev} 版于 {day} 启用，在截止日前 30 天之内" for rev, day in evidence.changed]
    return tuple(dict.fromkeys(found))


def _of_result(result: MetricResult, criterion: Criterion, value: DatedValue, evidence: Evidence) -> Iterator[str]:
    op = criterion.op or ">="
    place = "" if result.scope == "plant" else f"{result.scope.partition(':')[2]}："
    yield from (place + words for words in _readings(result, op, value))
    yield from (place + words for words in _twin(result, op, value, evidence))
    yield from (place + words for words in _shrunk(result))
    declared, lower = result.declared, result.lower
    if declared is not None and declared.denominator and not declared.not_above(lower) and lower.denominator:
        yield f"{place}申报 {_words(declared, result)} 高于可证明 {_words(lower, result)}"


def _readings(result: MetricResult, op: Op, value: DatedValue) -> Iterator[str]:
    facts = dict(result.parameters)
    for letter, words in READINGS.items():
        numerator, denominator = facts.get(f"{letter}_lower"), facts.get(f"{letter}_denominator")
        if not isinstance(numerator, int) or not isinstance(denominator, int):
            continue
        other = holds(Bound(numerator, denominator), op, value.fraction)
        if other != holds(result.lower, op, value.fraction):
            yield f"{words}为 {numerator}/{denominator}，{'满足' if other else '不满足'}，与口径 A 的结论不同"


def _twin(result: MetricResult, op: Op, value: DatedValue, evidence: Evidence) -> Iterator[str]:
    other = TWINS.get(result.metric)
    for twin in evidence.results:
        if twin.metric == other and twin.scope == result.scope and twin.status == "ok":
            held = holds(twin.lower, op, value.fraction)
            if held != holds(result.lower, op, value.fraction):
                words = f"{twin.lower.numerator}/{twin.lower.denominator}"
                yield f"按 {other} 的口径为 {words}，{'满足' if held else '不满足'}，两种口径结论不同"


def _shrunk(result: MetricResult) -> Iterator[str]:
    facts = dict(result.parameters)
    largest, now = facts.get("denominator_max"), result.value.denominator
    if result.unit == "ratio" and isinstance(largest, int) and largest > now:
        yield f"分母在窗口内曾为 {largest}，现为 {now}"


def _words(bound: Bound, result: MetricResult) -> str:
    if result.unit == "ratio":
        return f"{bound.numerator}/{bound.denominator}"
    return f"{bound.numerator // bound.denominator:,}"
