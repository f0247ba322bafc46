"""What criteria add up to: levels, gates, instruments that bind nobody, adopted instruments, the same JSON by two ways."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from collector.ledger.entry import canonical_json
from config.metric_names import TITLES
from config.rulebook import load_shelf
from config.ruleset import RuleSet
from metrics.instruments import provincial
from metrics.report import Report
from metrics.report_json import only_level
from metrics.result import MetricResult
from metrics.verdicts.assess import assess
from metrics.verdicts.evidence import Evidence
from tests.metrics.verdict_builders import DAY, METRIC, evidence, instrument, paper, result, value

MET = {**METRIC, "values": [value()]}
GOOD = result("M05", "line:L1", "8/10")


def report(rules: RuleSet, found: Evidence, shelf: dict[str, RuleSet] | None = None) -> Report:
    own, *references = assess(rules, found, shelf or {}).values()
    return Report(0, found.day, 0, own, tuple(references), found.results, (), "live", 1, "00")


def level_word(*criteria: dict[str, Any], found: Evidence | None = None, **more: Any) -> str:
    return report(instrument(*criteria, **more), found or evidence(GOOD)).levels[0].verdict


def test_a_level_is_met_when_every_criterion_that_decides_is() -> None:
    assert level_word(MET) == "met"
    assert level_word(MET, {"judged_by": "person"}) == "needs_judgement"
    assert level_word(MET, {"judged_by": "document", "documents": [{"kind": "licence"}]}) == "insufficient_data"
    assert level_word(MET, found=evidence()) == "insufficient_data"


@pytest.mark.parametrize("gate", ["soft", "preference", "definition"])
def test_what_does_not_decide_does_not_hold_a_level_back(gate: str) -> None:
    assert level_word(MET, {"judged_by": "person", "gate": gate}) == "met"
    assert level_word({"judged_by": "person", "gate": gate}) == "needs_judgement"


def test_what_does_not_apply_does_not_hold_a_level_back() -> None:
    sme = {"judged_by": "document", "documents": [{"kind": "sme_index", "only_for": ["small"]}]}
    found = evidence(GOOD, records={"profile": [{"name": "size", "value": "large"}]})
    assert level_word(MET, sme, found=found) == "met"
    assert level_word(sme, found=found) == "not_applicable"


def test_an_exclusion_decides_like_a_requirement() -> None:
    bar = {"judged_by": "event", "event": {"kinds": ["tax"], "months": 36}, "gate": "exclusion"}
    happened = {"incidents": [{"incident_id": "E1", "kind": "tax", "on": "2026-01-01"}]}
    assert level_word(MET, bar, found=evidence(GOOD, records=happened)) == "short"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"status": "draft", "in_force": {"from": None, "until": None}}, "某省办法（征求意见稿，未施行）"),
        (
            {"status": "expired", "in_force": {"from": "2025-01-01", "until": "2025-12-31"}},
            "某省办法（已于 2025-12-31 失效）",
        ),
    ],
)
def test_an_instrument_that_binds_nobody_says_so_and_is_never_met(more: dict[str, Any], words: str) -> None:
    found = report(instrument(MET, **more), evidence(GOOD))
    assert found.own.name == words
    assert found.to_json()["instrument"]["name"] == words
    assert [v.verdict for v in found.verdicts] == ["met"]
    assert found.levels[0].verdict == "not_applicable"
    assert not found.all_met


def test_before_its_first_day_an_instrument_has_no_criteria() -> None:
    found = report(instrument(MET), evidence(GOOD, day=date(2024, 12, 31)))
    assert (found.criteria, found.levels, found.all_met) == ((), (), False)
    assert found.own.name == "某省办法（2025-01-01 起施行，尚未施行）"


def test_all_is_met_only_when_a_number_says_so_and_none_says_otherwise() -> None:
    person, licence = {"judged_by": "person"}, {"judged_by": "document", "documents": [{"kind": "licence"}]}
    assert report(instrument(MET, person), evidence(GOOD)).all_met
    assert report(instrument(MET, licence), evidence(GOOD, documents=(paper("licence"),))).all_met
    assert not report(instrument(MET, licence), evidence(GOOD)).all_met
    assert not report(instrument(MET), evidence(result("M05", "line:L1", "1/10"))).all_met
    assert not report(instrument(person), evidence()).all_met


def adopting(**how: Any) -> tuple[RuleSet, dict[str, RuleSet]]:
    adoption = {"family": "F", "how": "latest", "article": "第九条", "as_written": "某条件"} | how
    own = instrument({"judged_by": "reference", "adopts": "F"}, adopts=[adoption])
    editions = {
        f"CN/F{year}": instrument(
            MET | {"values": [value(bar)]},
            id=f"CN/F{year}",
            family="F",
            title=f"某条件{year}",
            edition=year,
            in_force={"from": f"{year}-01-01", "until": None},
        )
        for year, bar in ((2025, "70/100"), (2026, "90/100"))
    }
    return own, {own.id: own} | editions


def test_the_newest_edition_of_an_adopted_instrument_decides_from_its_day_on() -> None:
    own, shelf = adopting()
    before = report(own, evidence(GOOD, day=date(2025, 12, 31)), shelf)
    assert (before.levels[0].verdict, [r.rules.id for r in before.references]) == ("met", ["CN/F2025"])
    after = report(own, evidence(GOOD), shelf)
    assert (after.levels[0].verdict, [r.rules.id for r in after.references]) == ("short", ["CN/F2026"])
    assert "按某条件2026逐条判定：基础级 差距" in after.verdicts[0].why


def test_an_edition_that_nobody_knows_needs_judgement() -> None:
    own, shelf = adopting(
        how="annual_notice", editions=[{"from": "2025-01-01", "until": "2025-12-31", "instrument": "CN/F2025"}]
    )
    assert report(own, evidence(GOOD), shelf).levels[0].verdict == "needs_judgement"


def test_an_edition_that_no_longer_binds_is_neither_a_pass_nor_left_out() -> None:
    dead = instrument(MET, id="CN/OLD", family="F", in_force={"from": "2020-01-01", "until": "2026-06-30"})
    named = [{"from": "2025-01-01", "until": None, "instrument": "CN/OLD"}]
    adoption = {"family": "F", "how": "named", "article": "第九条", "as_written": "某条件", "editions": named}
    own = instrument(MET, {"judged_by": "reference", "adopts": "F"}, adopts=[adoption])
    found = report(own, evidence(GOOD), {own.id: own, dead.id: dead})
    assert [v.verdict for v in found.verdicts] == ["met", "needs_judgement"]
    assert found.levels[0].verdict == "needs_judgement"


def test_instruments_that_adopt_each_other_end() -> None:
    def one(name: str, family: str, other: str) -> RuleSet:
        adoption = {"family": other, "how": "latest", "article": "第九条", "as_written": "某条件"}
        criterion = {"judged_by": "reference", "adopts": other}
        return instrument(criterion, id=name, family=family, adopts=[adoption])

    shelf = {"CN/A": one("CN/A", "A", "B"), "CN/B": one("CN/B", "B", "A")}
    assert report(shelf["CN/A"], evidence(GOOD), shelf).levels[0].verdict == "needs_judgement"


def test_a_simulated_number_below_a_reference_never_makes_it_met() -> None:
    own, shelf = adopting()
    simulated: MetricResult = result("M05", "line:L1", "10/10", simulated=True)
    found = report(own, evidence(simulated), shelf)
    assert (found.levels[0].verdict, found.verdicts[0].simulated, found.all_met) == ("insufficient_data", True, False)


@pytest.fixture(scope="module")
def shelf() -> dict[str, RuleSet]:
    return load_shelf(TITLES)


def test_every_shipped_instrument_reports_canonical_json_with_every_criterion_in_it(shelf: dict[str, RuleSet]) -> None:
    for rules in provincial(shelf):
        body = report(rules, evidence(GOOD), shelf).to_json()
        canonical_json(body)
        assert [c["id"] for c in body["criteria"]] == [v["criterion"] for v in body["verdicts"]]
        assert {c["id"] for c in body["criteria"]} == {c.id for c in rules.criteria_on(DAY)}
        assert all(c["article"] and c["quote"] and c["required"] and c["title"] for c in body["criteria"])
        assert {i for level in body["levels"] for i in level["criteria"]} == {c["id"] for c in body["criteria"]}


def test_one_level_is_the_same_from_the_report_and_from_its_json(shelf: dict[str, RuleSet]) -> None:
    for rules in provincial(shelf):
        whole = report(rules, evidence(GOOD), shelf)
        for level in rules.levels:
            by_json = only_level(whole.to_json(), level.id)
            assert json.dumps(by_json, sort_keys=True) == json.dumps(whole.at_level(level.id).to_json(), sort_keys=True)
