"""甘肃省智能工厂梯度培育管理实施细则: its words are the instrument's, its numbers stand in the words, its cases come out as by hand."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.ruleset import Criterion, RuleSet, load_ruleset
from metrics.registry import METRICS
from metrics.result import Bound, MetricResult, Window
from metrics.verdict import judge
from metrics.window import DAY_US

SHARED = Path(__file__).parents[3] / "shared" / "regulations"
CASES = yaml.safe_load((Path(__file__).parent / "GS25.cases.yaml").read_text(encoding="utf-8"))
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not here")


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_ruleset("GS25", METRICS)


@needs_shared
def test_every_quote_is_verbatim_in_the_regulation(rules: RuleSet) -> None:
    text = (SHARED / "GS25.txt").read_text(encoding="utf-8")
    for criterion in rules.criteria:
        position = 0
        for part in criterion.quote.split("…"):
            found = text.find(part, position)
            assert found >= 0, f"{criterion.id}: {part}"
            position = found + len(part)


@needs_shared
def test_ids_and_levels_are_those_of_the_catalogue(rules: RuleSet) -> None:
    catalogue = yaml.safe_load((SHARED / "criteria.yaml").read_text(encoding="utf-8"))["criteria"]
    known = {c["id"]: c for c in catalogue if c["instrument"] == "GS25"}
    assert {c.id for c in rules.criteria} == set(known) - {"GS25-13"}  # 卓越级、领航级: by reference
    for criterion in rules.criteria:
        assert list(criterion.levels) == known[criterion.id]["levels"]
        assert criterion.gate == known[criterion.id]["gate"]
        assert criterion.article.startswith(known[criterion.id]["article"][:4])


def test_numbers_of_the_instrument_stand_in_its_words(rules: RuleSet) -> None:
    words = {"全部": (1, 1), "每个批次": (1, 1)}
    for criterion in rules.criteria:
        for value in criterion.values:
            if value.threshold_by == "instrument":
                percent = re.fullmatch(r"(\d+)%以上", value.as_written)
                expected = (int(percent[1]), 100) if percent else words[value.as_written]
                assert value.fraction == expected, criterion.id


def test_judgement_and_documents_are_never_scored(rules: RuleSet) -> None:
    for criterion in rules.criteria:
        if criterion.judged_by != "metric":
            verdict = judge(criterion, None, [])
            assert verdict.verdict == ("declared_only" if criterion.judged_by == "document" else "needs_judgement")
            assert verdict.distance is None


def test_device_network_ratio_is_shown_and_not_judged(rules: RuleSet) -> None:
    assert [s.metric for s in rules.shown] == ["M01"]
    assert all(c.metric != "M01" for c in rules.criteria)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['criterion']} {c['lower']} {c['day']}")
def test_case_is_judged_as_by_hand(rules: RuleSet, case: dict[str, Any]) -> None:
    in_force = {c.id: c for c in rules.criteria_on(case["day"])}
    if case["verdict"] == "none":
        assert case["criterion"] not in in_force
        return
    criterion = in_force[case["criterion"]]
    verdict = judge(criterion, criterion.value_on(case["day"]), [_result(criterion, case["lower"])])
    assert (verdict.verdict, verdict.distance) == (case["verdict"], case.get("distance"))


def _result(criterion: Criterion, lower: str) -> MetricResult:
    numerator, denominator = (int(x) for x in lower.split("/"))
    bound = Bound(numerator, denominator)
    return MetricResult(
        metric=criterion.metric or "",
        version=1,
        scope="plant" if criterion.scope == "plant" else "line:L1",
        window=Window(0, DAY_US),
        lower=bound,
        value=bound,
        upper=bound,
        declared=None,
        members=(),
        exclusions=(),
        parameters=(),
        inputs=(),
        simulated=False,
        status="ok" if denominator else "insufficient_data",
        notes=(),
    )


def test_day_of_a_case_is_a_date() -> None:
    assert all(isinstance(c["day"], date) for c in CASES)
