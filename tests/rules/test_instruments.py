"""Each instrument comes out as somebody reads it: standing by day, criteria by level, every bar, events, ladder, adoptions, procedures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.metric_names import TITLES
from config.rulebook import adopted, load_shelf
from config.ruleset import Criterion, RuleSet
from metrics.result import Bound, MetricResult, Window
from metrics.verdicts.evidence import Evidence
from metrics.verdicts.judge import judge
from metrics.window import DAY_US

HERE = Path(__file__).parent
CATALOGUE = Path(__file__).parents[3] / "shared" / "regulations" / "criteria.yaml"
CASES = {
    path.name.split(".")[0]: yaml.safe_load(path.read_text(encoding="utf-8")) for path in HERE.glob("*.cases.yaml")
}
needs_catalogue = pytest.mark.skipif(not CATALOGUE.is_file(), reason="../shared is not here")


@pytest.fixture(scope="module")
def shelf() -> dict[str, RuleSet]:
    return load_shelf(TITLES)


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    body: dict[str, Any] = CASES[request.param]
    return body


@pytest.fixture
def rules(case: dict[str, Any], shelf: dict[str, RuleSet]) -> RuleSet:
    return shelf[case["instrument"]]


def test_every_instrument_of_a_province_has_a_case_file(shelf: dict[str, RuleSet]) -> None:
    assert {case["instrument"] for case in CASES.values()} >= {name for name in shelf if not name.startswith("CN/")}


def test_standing_and_name_of_each_day_are_said(case: dict[str, Any], rules: RuleSet) -> None:
    for row in case["standing"]:
        assert (rules.standing(row["day"]), rules.name_on(row["day"])) == (row["is"], row["name"]), row["day"]


def test_no_criterion_is_read_before_the_first_day(rules: RuleSet) -> None:
    first = rules.in_force.first
    if first is not None:
        assert rules.criteria_on(date.fromordinal(first.toordinal() - 1)) == ()
        assert rules.criteria_on(first) == rules.criteria


def test_each_level_has_the_criteria_that_the_text_gives_it(case: dict[str, Any], rules: RuleSet) -> None:
    wanted = dict(case["levels"])
    day, prefix = wanted.pop("day"), wanted.pop("prefix")
    assert list(wanted) == [level.id for level in rules.levels]
    for level, names in wanted.items():
        assert {c.id for c in rules.criteria_on(day, level)} == {prefix + name for name in names}, level


def test_every_bar_is_the_one_in_the_case_file_and_there_is_no_other(case: dict[str, Any], rules: RuleSet) -> None:
    day = case["levels"]["day"]
    found = {c.id: _bar(c, rules, day) for c in rules.criteria if c.values}
    assert found == {row.pop("criterion"): _filled(row) for row in map(dict, case["bars"])}


def test_events_bar_for_as_long_and_from_the_severity_that_is_written(case: dict[str, Any], rules: RuleSet) -> None:
    found = {
        c.id: (set(c.event.kinds), c.event.severity, c.event.if_punished, c.event.months)
        for c in rules.criteria
        if c.event
    }
    assert found == {
        row["criterion"]: (set(row["kinds"]), row.get("severity"), row.get("if_punished", False), row["months"])
        for row in case["events"]
    }


def test_levels_that_must_be_held_before(case: dict[str, Any], rules: RuleSet) -> None:
    assert {c.id: list(c.holds) for c in rules.criteria if c.holds} == case["held"]


def test_adopted_edition_of_each_day(case: dict[str, Any], rules: RuleSet, shelf: dict[str, RuleSet]) -> None:
    assert {row["family"] for row in case["adopts"]} == {a.family for a in rules.adopts}
    for row in case["adopts"]:
        edition = adopted(rules, row["family"], row["day"], shelf)
        assert (edition.id if edition else None) == row["is"], row


def test_procedures_state_the_numbers_of_the_text(case: dict[str, Any], rules: RuleSet) -> None:
    procedures = {p.id: p for p in rules.procedures}
    for name, fields in case["procedures"].items():
        procedure = procedures[name]
        for field, wanted in fields.items():
            holder = procedure if field in type(procedure).model_fields else procedure.values[-1]
            assert getattr(holder, field) == wanted, f"{name}.{field}"


# Where the catalogue calls wished for what the text demands like its neighbours, the text wins: TJ 第五条(二)-(四) has the
# grammar of (一) 实现…, and SD25 第九条(二) stands among the 基本条件 in one sentence with two hard ones.
DEMANDED = frozenset(
    "TJ-5-A-d TJ-5-E-a TJ-5-E-b TJ-5-E-c TJ-5-E-d TJ-5-E-e TJ-5-L-a TJ-5-L-b TJ-5-L-c SD25-9-2a".split()
)


@needs_catalogue
def test_ids_levels_gates_and_articles_are_those_of_the_catalogue(shelf: dict[str, RuleSet]) -> None:
    catalogue = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    provincial = [rules for name, rules in shelf.items() if not name.startswith("CN/")]
    criteria = {c.id: c for rules in provincial for c in rules.criteria}
    procedures = {p.id: p for rules in provincial for p in rules.procedures}
    assert set(criteria) == {row["id"] for row in catalogue["criteria"]}
    assert set(procedures) == {row["id"] for row in catalogue["procedures"]}
    assert (len(criteria), len(procedures)) == (120, 36)
    for row in catalogue["criteria"]:
        found = criteria[row["id"]]
        gate = "hard" if row["id"] in DEMANDED else row["gate"]
        assert (list(found.levels), found.gate, found.article) == (row["levels"], gate, row["article"]), row["id"]
    for row in catalogue["procedures"]:
        assert procedures[row["id"]].kind == row["kind"], row["id"]


@needs_catalogue
def test_national_references_say_what_the_catalogue_says(shelf: dict[str, RuleSet]) -> None:
    catalogue = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    guide = [scene.model_dump() for scene in shelf["CN/SCENES25"].scenes]
    assert guide == catalogue["scene_guide_2025"]
    index, rule = catalogue["sme_index_2024"], shelf["CN/SMEINDEX24"].index_rules[0]
    assert [level.model_dump() for level in rule.levels] == index["level_rule"]
    assert list(rule.constrained) == index["scenes_constrained"]
    assert list(rule.guiding) == index["scenes_guiding"]


def test_what_must_not_be_encoded_is_not(shelf: dict[str, RuleSet]) -> None:
    elements = shelf["CN/ELEMENTS25"]
    ratios = {c.metric for c in elements.criteria if c.op == ">=" and c.values[0].unit == "ratio"}
    assert ratios == {"M19"}  # no 数控化率, 联网率 of the tables that circulate
    amounts = [c.values[0].fraction for c in elements.criteria if c.metric == "FIN"]
    assert amounts == [(20_000_000, 1)]  # 规模以上 only: no 5000万, 2亿, 5亿
    assert {c.metric for c in shelf["CN/GBT37393-2019"].criteria} == {"M04", "M08"}  # no 联网率, 采集完整率
    assert not any("262" in (rules.doc_no or "") for rules in shelf.values())
    assert all(c.metric not in ("M01", "M02") for rules in shelf.values() for c in rules.criteria)


def test_references_without_an_official_copy_are_never_graded_as_read(shelf: dict[str, RuleSet]) -> None:
    for name in (n for n in shelf if n.startswith("CN/")):
        assert shelf[name].grade != "S"
        assert all(c.grade != "S" for c in shelf[name].criteria)


def _verdict_rows() -> list[Any]:
    return [
        pytest.param(case["instrument"], row, id=f"{row['criterion']} {row['lower']}")
        for case in CASES.values()
        for row in case.get("verdicts", [])
    ]


@pytest.mark.parametrize(("instrument", "row"), _verdict_rows())
def test_case_is_judged_as_by_hand(shelf: dict[str, RuleSet], instrument: str, row: dict[str, Any]) -> None:
    rules = shelf[instrument]
    criterion = next(c for c in rules.criteria_on(row["day"]) if c.id == row["criterion"])
    verdict = judge(criterion, rules, Evidence(day=row["day"], results=(_result(criterion, row["lower"]),)))
    assert (verdict.verdict, verdict.distance) == (row["verdict"], row.get("distance"))


def _bar(criterion: Criterion, rules: RuleSet, day: date) -> dict[str, Any]:
    value = rules.value_of(criterion, day)
    assert value is not None
    return {
        "of": criterion.metric or criterion.documents[0].kind,
        "bar": f"{criterion.op} {value.threshold} {value.unit}",
        "by": value.threshold_by,
        "members": list(criterion.members),
        "months": value.months,
    }


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"members": [], "months": None} | dict(row)


def _result(criterion: Criterion, lower: str) -> MetricResult:
    bound = Bound(*(int(x) for x in lower.split("/")))
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
        status="ok" if bound.denominator else "insufficient_data",
        notes=(),
    )
