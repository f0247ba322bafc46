"""Numbers that decide: which bound, at the threshold and beside it, several lines, conditions, named members, distance and names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.result import Bound, MetricResult
from metrics.verdicts.distance import missing, passes
from tests.metrics.verdict_builders import METRIC, evidence, instrument, judged, member, result, value


def test_lower_bound_decides_even_when_more_was_seen() -> None:
    verdict = judged({**METRIC, "values": [value()]}, evidence(result("M05", "line:L1", "6/10", upper="10/10")))
    assert (verdict.verdict, verdict.distance, verdict.distance_unit) == ("short", 1, "machine")
    assert "下限 6/10 (60.0 %) 不满足“≥ 70 %”，差 1 台" in verdict.why
    assert verdict.required == "生产装备数控化率 ≥ 70 %，每条代表产线"


@pytest.mark.parametrize(
    ("lower", "word"),
    [("70/100", "met"), ("69/100", "short"), ("7/10", "met"), ("6999/10000", "short"), ("0/3", "short")],
)
def test_exactly_at_the_threshold_is_met_and_one_below_is_not(lower: str, word: str) -> None:
    assert judged({**METRIC, "values": [value()]}, evidence(result("M05", "line:L1", lower))).verdict == word


@pytest.mark.parametrize(
    ("op", "lower", "upper", "word"),
    [
        (">", "7/10", "7/10", "short"),
        (">", "8/10", "8/10", "met"),
        ("==", "7/10", "7/10", "met"),
        ("==", "7/10", "8/10", "short"),
        ("<=", "1/10", "7/10", "met"),
        ("<=", "1/10", "8/10", "short"),  # for a limit the upper bound speaks against the plant
        ("<", "1/10", "7/10", "short"),
        ("<", "1/10", "6/10", "met"),
    ],
)
def test_each_operator_takes_the_bound_that_speaks_against_the_plant(
    op: str, lower: str, upper: str, word: str
) -> None:
    criterion = {**METRIC, "op": op, "values": [value()]}
    assert judged(criterion, evidence(result("M05", "line:L1", lower, upper=upper))).verdict == word


@given(
    n=st.integers(0, 60),
    d=st.integers(1, 60),
    t=st.integers(0, 20),
    of=st.integers(1, 20),
    op=st.sampled_from([">=", ">", "<=", "<"]),
)
def test_distance_is_the_fewest_steps_after_which_the_bar_holds(n: int, d: int, t: int, of: int, op: str) -> None:
    def at(numerator: int) -> MetricResult:
        return result("M24", "plant", f"{numerator}/{d}", unit="kgce")

    sign = 1 if op in (">=", ">") else -1
    steps = missing(at(n), op, (t, of))  # type: ignore[arg-type]
    reached = n + sign * steps * d  # one step of an amount is one whole unit
    assert (steps == 0) == passes(at(n), op, (t, of))  # type: ignore[arg-type]
    if reached >= 0:
        assert passes(at(reached), op, (t, of))  # type: ignore[arg-type]
    if steps > 0 and n + sign * (steps - 1) * d >= 0:
        assert not passes(at(n + sign * (steps - 1) * d), op, (t, of))  # type: ignore[arg-type]


def test_every_representative_line_must_meet() -> None:
    found = evidence(result("M05", "line:L1", "8/10"), result("M05", "line:L2", "5/10"))
    verdict = judged({**METRIC, "values": [value()]}, found)
    assert (verdict.verdict, verdict.distance) == ("short", 2)
    assert [j.scope for j in verdict.judged] == ["line:L1", "line:L2"]


def test_criterion_takes_the_results_of_its_own_scope() -> None:
    found = evidence(result("M05", "line:L1", "7/10"), result("M05", "plant", "5/10"))
    assert judged({**METRIC, "values": [value()]}, found).verdict == "met"
    assert judged({**METRIC, "scope": "plant", "values": [value()]}, found).verdict == "short"


@pytest.mark.parametrize("found", [(), (("0/0", "insufficient_data"),), (("8/10", "ok"), ("0/0", "insufficient_data"))])
def test_an_empty_set_never_passes(found: tuple[tuple[str, str], ...]) -> None:
    results = [result("M05", f"line:L{i}", lower, status=status) for i, (lower, status) in enumerate(found)]
    verdict = judged({**METRIC, "op": ">=", "values": [value("0/1")]}, evidence(*results))
    assert (verdict.verdict, verdict.distance) == ("insufficient_data", None)


def test_a_result_that_calls_itself_not_applicable_is_not_a_pass_either() -> None:
    found = evidence(result("M05", "line:L1", "0/0", status="not_applicable"))
    assert judged({**METRIC, "values": [value()]}, found).verdict == "insufficient_data"


def test_simulated_numbers_that_reach_the_bar_do_not_pass() -> None:
    found = evidence(result("M05", "line:L1", "10/10", simulated=True))
    verdict = judged({**METRIC, "values": [value()]}, found)
    assert (verdict.verdict, verdict.numbers, verdict.simulated) == ("insufficient_data", "met", True)
    assert "不能判为达标" in verdict.why


def test_simulated_numbers_below_the_bar_stay_short() -> None:
    found = evidence(result("M05", "line:L1", "1/10", simulated=True))
    assert judged({**METRIC, "values": [value()]}, found).verdict == "short"


def test_condition_that_does_not_hold_fails_with_its_number() -> None:
    held = (("condition.longest_stop", 0), ("longest_stop_h", 30))
    verdict = judged({**METRIC, "values": [value()]}, evidence(result("M05", "line:L1", "10/10", parameters=held)))
    assert (verdict.verdict, verdict.distance) == ("short", 0)
    assert "最长停机 30 小时，超过 24 小时" in verdict.why


def test_names_come_nearest_first_and_reach_at_least_the_distance() -> None:
    members = (
        member("A", "000", "not_configured"),
        member("B", "001", "silent"),
        member("C", "111"),
        member("D", "011", "no_controller"),
        member("E", "000", "not_nc"),
    )
    verdict = judged(
        {**METRIC, "values": [value()]}, evidence(result("M05", "line:L1", "1/5", upper="3/5", members=members))
    )
    assert [n[0] for n in verdict.needs] == ["D", "B", "A", "E"]
    assert verdict.distance == 3


def test_money_that_is_missing_is_said_in_yuan_with_the_items_that_lack_a_paper() -> None:
    members = (member("I1", "111"), member("I2", "011", "no_payment"))
    found = result("M21", "line:L1", "800000001/100", value="999999999/100", members=members, unit="CNY")
    bar = {**METRIC, "metric": "M21", "values": [value("10000000/1", unit="CNY")]}
    verdict = judged(bar, evidence(found))
    assert (verdict.verdict, verdict.distance, verdict.distance_unit) == ("short", 2_000_000, "yuan")
    assert "差 200 万元" in verdict.why
    assert [n[0] for n in verdict.needs] == ["I2"]
    exact = result("M21", "line:L1", "1000000000/100", unit="CNY")
    assert judged(bar, evidence(exact)).verdict == "met"
    assert judged(bar, evidence(result("M21", "line:L1", "999999999/100", unit="CNY"))).distance == 1


def test_an_amount_never_meets_a_bar_that_is_a_ratio() -> None:
    found = result("M21", "line:L1", "1000000000/100", unit="CNY")
    assert judged({**METRIC, "metric": "M21", "values": [value()]}, evidence(found)).verdict == "insufficient_data"


def test_only_named_members_count_and_one_that_is_not_there_is_missing() -> None:
    members = (member("采购", "111"), member("库存", "111"), member("销售", "000", "no_transactions"))
    found = result("M16", "plant", "2/3", members=members)
    criterion = {**METRIC, "metric": "M16", "scope": "plant", "op": "==", "values": [value("1/1")]}
    assert judged({**criterion, "members": ["采购", "库存"]}, evidence(found)).verdict == "met"
    verdict = judged({**criterion, "members": ["采购", "销售", "财务"]}, evidence(found))
    assert (verdict.verdict, verdict.distance, verdict.distance_unit) == ("short", 2, "domain")
    assert [n[0] for n in verdict.needs] == ["销售", "财务"]
    assert verdict.judged[0].lower == Bound(1, 3)


def test_readings_that_disagree_are_said_and_do_not_decide() -> None:
    facts = (("b_lower", 3), ("b_denominator", 10), ("c_lower", 4), ("c_denominator", 5))
    found = result("M06", "line:L1", "3/4", parameters=facts)
    verdict = judged({**METRIC, "metric": "M06", "values": [value("60/100")]}, evidence(found))
    assert verdict.verdict == "met"
    assert verdict.warnings == ("L1：口径 B（分母为产线全部生产装备）为 3/10，不满足，与口径 A 的结论不同",)


def test_the_other_denominator_of_networking_and_a_shrinking_one_are_said() -> None:
    found = evidence(
        result("M01", "plant", "9/10", parameters=(("denominator_max", 12),), declared=Bound(10, 10)),
        result("M02", "plant", "6/10"),
    )
    verdict = judged({**METRIC, "metric": "M01", "scope": "plant", "values": [value()]}, found)
    assert verdict.verdict == "met"
    assert verdict.warnings == (
        "按 M02 的口径为 6/10，不满足，两种口径结论不同",
        "分母在窗口内曾为 12，现为 10",
        "申报 10/10 高于可证明 9/10",
    )


def test_a_threshold_holds_on_its_own_days_only() -> None:
    early = value("50/100", until="2026-06-30")
    late = value("80/100") | {"from": "2026-07-01"}
    rules = instrument({**METRIC, "values": [early, late]})
    found = evidence(result("M05", "line:L1", "60/100"))
    assert judged({**METRIC, "values": [early, late]}, found).verdict == "short"
    assert rules.value_of(rules.criteria[0], found.day) == rules.criteria[0].values[1]
