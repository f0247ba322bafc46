"""Verdicts: the lower bound decides, every line must, conditions count, nothing simulated passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from config.ruleset import Criterion, DatedValue, RuleSet, load_ruleset
from metrics.registry import METRICS
from metrics.report import Report, summarise
from metrics.result import Bound, MetricResult, Pair, Verdict, Window
from metrics.verdict import judge
from metrics.window import DAY_US

DAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_ruleset("GS25", METRICS)


def _criterion(rules: RuleSet, name: str) -> tuple[Criterion, DatedValue]:
    criterion = next(c for c in rules.criteria if c.id == name)
    value = criterion.value_on(DAY)
    assert value is not None
    return criterion, value


def _result(metric: str, scope: str, lower: str, *, upper: str = "", parameters: tuple[Pair, ...] = ()) -> MetricResult:
    low, high = (Bound(*(int(x) for x in text.split("/"))) for text in (lower, upper or lower))
    return MetricResult(
        metric, 1, scope, Window(0, DAY_US), low, high, high, None, (), (), parameters, (), False, "ok", ()
    )


def test_lower_bound_decides_even_when_more_was_seen(rules: RuleSet) -> None:
    verdict = judge(*_criterion(rules, "GS25-12-3-3g"), [_result("M05", "line:L1", "6/10", upper="10/10")])
    assert (verdict.verdict, verdict.distance, verdict.distance_unit) == ("short", 1, "machine")
    assert "下限 6/10 (60.0 %) 不满足 >= 70/100，差 1 台" in verdict.why


def test_every_representative_line_must_meet(rules: RuleSet) -> None:
    results = [_result("M05", "line:L1", "8/10"), _result("M05", "line:L2", "5/10")]
    verdict = judge(*_criterion(rules, "GS25-12-3-3g"), results)
    assert (verdict.verdict, verdict.distance) == ("short", 2)


def test_criterion_takes_the_results_of_its_own_scope(rules: RuleSet) -> None:
    results = [_result("M06", "line:L1", "6/10"), _result("M06", "plant", "5/10")]
    assert judge(*_criterion(rules, "GS25-12-3-3h"), results).verdict == "met"
    assert judge(*_criterion(rules, "GS25-12-4-3b"), results).verdict == "short"


def test_simulated_numbers_that_reach_the_bar_do_not_pass(rules: RuleSet) -> None:
    result = replace(_result("M05", "line:L1", "10/10"), simulated=True)
    verdict = judge(*_criterion(rules, "GS25-12-3-3g"), [result])
    assert (verdict.verdict, verdict.numbers, verdict.simulated) == ("insufficient_data", "met", True)
    assert "不能判为达标" in verdict.why


def test_simulated_numbers_below_the_bar_stay_short(rules: RuleSet) -> None:
    result = replace(_result("M05", "line:L1", "1/10"), simulated=True)
    assert judge(*_criterion(rules, "GS25-12-3-3g"), [result]).verdict == "short"


def test_condition_that_does_not_hold_fails_with_its_number(rules: RuleSet) -> None:
    parameters: tuple[Pair, ...] = (("condition.longest_stop", 0), ("longest_stop_h", 30))
    verdict = judge(*_criterion(rules, "GS25-12-2c"), [_result("M11", "line:L1", "91/91", parameters=parameters)])
    assert (verdict.verdict, verdict.distance) == ("short", 0)
    assert "最长停机 30 小时，超过 24 小时" in verdict.why


def test_reading_b_below_the_bar_is_said_and_does_not_decide(rules: RuleSet) -> None:
    parameters: tuple[Pair, ...] = (("b_lower", 3), ("b_denominator", 10))
    verdict = judge(*_criterion(rules, "GS25-12-3-3h"), [_result("M06", "line:L1", "3/4", parameters=parameters)])
    assert verdict.verdict == "met"
    assert "注意口径 B 为 3/10，不满足" in verdict.why


def test_without_a_result_there_is_no_verdict_but_insufficient_data(rules: RuleSet) -> None:
    verdict = judge(*_criterion(rules, "GS25-12-3-3g"), [])
    assert (verdict.verdict, verdict.distance) == ("insufficient_data", None)


def test_level_is_not_met_while_criteria_are_not_evaluated(rules: RuleSet) -> None:
    criteria = rules.criteria_on(DAY)
    verdicts = tuple(
        Verdict(c.id, "met" if c.judged_by == "metric" else judge(c, None, []).verdict, False, 0, "", "", "met")
        for c in criteria
    )
    levels = {level.id: level for level in summarise(rules, criteria, verdicts)}
    assert (levels["basic"].evaluated, levels["basic"].met, levels["basic"].total) == (3, 3, 20)
    assert levels["basic"].verdict == "needs_judgement"
    assert all(level.verdict != "met" for level in levels.values())


def test_report_is_all_met_only_when_every_number_is(rules: RuleSet) -> None:
    def report(*words: str) -> Report:
        verdicts = tuple(Verdict(str(i), w, False, 0, "", "", "met") for i, w in enumerate(words))  # type: ignore[arg-type]
        return Report(0, DAY, 0, rules, (), (), verdicts, (), (), "live", 0, "")

    assert report("met", "needs_judgement", "declared_only").all_met
    assert not report("met", "short").all_met
    assert not report("met", "insufficient_data").all_met
    assert not report("needs_judgement").all_met
