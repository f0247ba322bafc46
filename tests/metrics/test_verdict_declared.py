"""What no number decides: papers, events, titles, industries, scenes, references: the word, the distance, and what to fetch."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.plan import SceneInstance
from config.ruleset import RuleSet
from evidence_api.verify.titles import stands
from metrics.standing.facts import read_facts
from metrics.standing.titles import held_levels
from metrics.verdicts.evidence import Referred
from metrics.verdicts.judge import judge
from tests.metrics.verdict_builders import evidence, instrument, judged, paper, value

MATURITY = {
    "judged_by": "document",
    "documents": [{"kind": "maturity"}],
    "op": ">=",
    "values": [value("2/1", unit="level")],
}
SME = {"kind": "sme_index", "only_for": ["micro", "small", "medium"]}
YEARS = {"judged_by": "document", "documents": [{"kind": "financial_statements", "years": 3}]}


def incidents(**row: str) -> dict[str, list[dict[str, Any]]]:
    return {"incidents": [{"incident_id": "E1", "kind": "accident", "on": "2025-01-01", "severity": "较大"} | row]}


def event(**bar: Any) -> dict[str, Any]:
    named = {"kinds": ["accident"], "months": 36} | bar
    if "accident" in named["kinds"] and "if_punished" not in bar:
        named.setdefault("severity", "较大")
    return {"judged_by": "event", "event": named}


@pytest.mark.parametrize(
    ("level", "word", "distance"),
    [(None, "insufficient_data", 1), (1, "short", 1), (2, "declared_only", None), (4, "declared_only", None)],
)
def test_a_report_must_certify_at_least_the_level(level: int | None, word: str, distance: int | None) -> None:
    verdict = judged(MATURITY, evidence(documents=(paper("maturity", level=level),)))
    assert (verdict.verdict, verdict.distance) == (word, distance)
    assert verdict.required == "智能制造能力成熟度自评估报告，≥ 2 级"


def test_a_missing_paper_is_named_with_distance_one() -> None:
    verdict = judged(MATURITY, evidence())
    assert (verdict.verdict, verdict.distance, verdict.distance_unit) == ("insufficient_data", 1, "document")
    assert verdict.needs == (("maturity", "智能制造能力成熟度自评估报告", "没有这份材料"),)


@pytest.mark.parametrize(
    ("until", "word"), [(date(2026, 11, 22), "declared_only"), (date(2026, 11, 21), "insufficient_data")]
)
def test_a_paper_holds_through_its_last_day_and_not_after(until: date, word: str) -> None:
    verdict = judged(MATURITY, evidence(documents=(paper("maturity", level=2, valid_until=until),)))
    assert verdict.verdict == word
    if word == "insufficient_data":
        assert "不在有效期内" in verdict.needs[0][2]


def test_a_paper_for_another_criterion_does_not_serve_this_one() -> None:
    assert (
        judged(MATURITY, evidence(documents=(paper("maturity", level=2, criteria=("C9",)),))).verdict
        == "insufficient_data"
    )
    assert (
        judged(MATURITY, evidence(documents=(paper("maturity", level=2, criteria=("C0",)),))).verdict == "declared_only"
    )


@pytest.mark.parametrize(
    ("years", "word"),
    [
        ((2023, 2024, 2025), "declared_only"),
        ((2024, 2025), "insufficient_data"),
        ((2020, 2021, 2022), "insufficient_data"),
        ((2024, 2024, 2025), "insufficient_data"),
    ],
)
def test_three_years_are_three_different_recent_years(years: tuple[int, ...], word: str) -> None:
    papers = tuple(paper("financial_statements", years=(y,)) for y in years)
    assert judged(YEARS, evidence(documents=papers)).verdict == word


@pytest.mark.parametrize(
    ("size", "word"), [("small", "declared_only"), ("large", "insufficient_data"), ("", "insufficient_data")]
)
def test_the_index_stands_in_for_small_enterprises_only(size: str, word: str) -> None:
    records = {"profile": [{"name": "size", "value": size}]} if size else {}
    criterion = {**MATURITY, "documents": [{"kind": "maturity"}, SME]}
    verdict = judged(criterion, evidence(records=records, documents=(paper("sme_index", level=2),)))
    assert verdict.verdict == word
    assert ("企业规模没有填写" in verdict.why) == (not size)


def test_a_criterion_only_for_small_enterprises_does_not_apply_to_a_large_one() -> None:
    large = evidence(records={"profile": [{"name": "size", "value": "large"}]})
    assert judged({"judged_by": "document", "documents": [SME]}, large).verdict == "not_applicable"
    assert judged({"judged_by": "document", "documents": [SME]}, evidence()).verdict == "insufficient_data"


@pytest.mark.parametrize(
    ("severity", "found", "word"),
    [
        ("较大", "一般", "insufficient_data"),
        ("较大", "较大", "short"),
        ("重大", "较大", "insufficient_data"),
        ("重大", "特别重大", "short"),
        ("重大", "", "short"),  # no severity stated: the stricter reading
    ],
)
def test_accidents_count_from_the_severity_of_the_instrument_on(severity: str, found: str, word: str) -> None:
    assert judged(event(severity=severity), evidence(records=incidents(severity=found))).verdict == word


@pytest.mark.parametrize(("punished", "word"), [("1", "short"), ("0", "insufficient_data")])
def test_where_punishment_is_the_bar_any_severity_counts(punished: str, word: str) -> None:
    found = evidence(records=incidents(severity="一般", punished=punished))
    assert judged(event(if_punished=True), found).verdict == word


@pytest.mark.parametrize(
    ("on", "day", "word"),
    [
        ("2023-11-22", date(2026, 11, 22), "short"),
        ("2023-11-21", date(2026, 11, 22), "insufficient_data"),
        ("2024-02-28", date(2027, 3, 1), "insufficient_data"),
        ("2024-02-28", date(2027, 2, 28), "short"),
        ("2026-11-23", date(2026, 11, 22), "insufficient_data"),
    ],
)
def test_the_look_back_is_calendar_months_with_both_days(on: str, day: date, word: str) -> None:
    assert judged(event(), evidence(records=incidents(on=on), day=day)).verdict == word


def test_an_accident_says_from_which_day_it_no_longer_counts() -> None:
    verdict = judged(event(), evidence(records=incidents(on="2025-01-31")))
    assert verdict.needs[0][2] == "2028-02-01 起不再计入"


def test_nothing_recorded_proves_nothing_without_a_paper() -> None:
    bar = event(kinds=["accident", "tax"])
    verdict = judged(bar, evidence())
    assert (verdict.verdict, verdict.distance) == ("insufficient_data", 2)
    assert [n[0] for n in verdict.needs] == ["accident_free", "credit"]
    assert judged(bar, evidence(documents=(paper("credit"),))).distance == 1
    assert judged(bar, evidence(documents=(paper("credit"), paper("accident_free")))).verdict == "declared_only"


def test_an_event_of_an_exclusion_is_a_gap_that_no_paper_fills() -> None:
    bar = {**event(kinds=["false_material"], months=None), "gate": "exclusion"}
    found = evidence(
        records=incidents(kind="false_material", on="2010-01-01", severity=""), documents=(paper("credit"),)
    )
    verdict = judged(bar, found)
    assert (verdict.verdict, verdict.needs[0][2]) == ("short", "条款没有时限，一直计入")


@pytest.mark.parametrize(
    ("title", "word"),
    [
        ({}, "declared_only"),
        ({"state": "filed"}, "declared_only"),
        ({"level": "advanced"}, "short"),
        ({"granted_on": "2026-11-22"}, "declared_only"),
        ({"granted_on": "2026-11-23"}, "short"),
        ({"valid_until": "2026-11-22"}, "declared_only"),
        ({"valid_until": "2026-11-21"}, "short"),
        ({"state": "revoked"}, "short"),
        ({"state": "revoked", "ended_on": "2026-11-23"}, "declared_only"),
        ({"state": "revoked", "ended_on": "2026-11-22"}, "short"),
    ],
)
def test_a_title_counts_while_it_stands(title: dict[str, str], word: str) -> None:
    row = {
        "title_id": "T1",
        "level": "basic",
        "name": "基础级智能工厂",
        "granted_on": "2025-01-01",
        "state": "held",
    } | title
    verdict = judged({"judged_by": "title", "holds": ["basic"]}, evidence(records={"titles": [row]}))
    assert verdict.verdict == word
    assert (verdict.distance, verdict.distance_unit) == ((1, "title") if word == "short" else (None, ""))


@pytest.mark.parametrize(
    ("day", "word"), [(date(2028, 2, 29), "declared_only"), (date(2028, 3, 1), "short"), (date(2030, 1, 1), "short")]
)
def test_a_title_without_a_last_day_ends_as_the_instrument_says(day: date, word: str) -> None:
    row = {"title_id": "T1", "level": "basic", "name": "基础级", "granted_on": "2025-03-01", "state": "held"}
    validity = {
        "id": "P1",
        "kind": "validity",
        "title": "有效期",
        "article": "第二条",
        "quote": "有效期为3年",
        "levels": ["basic"],
        "values": [{"from": "2025-01-01", "until": None, "years": 3, "as_written": "有效期为3年"}],
    }
    found = evidence(records={"titles": [row]}, day=day)
    assert judged({"judged_by": "title", "holds": ["basic"]}, found, procedures=[validity]).verdict == word
    without = judged({"judged_by": "title", "holds": ["basic"]}, found)
    assert (without.verdict, without.warnings[0]) == ("declared_only", "基础级没有写有效期")


VALIDITY = {
    "id": "P1",
    "kind": "validity",
    "title": "有效期",
    "article": "第二条",
    "quote": "有效期为3年",
    "values": [{"from": "2025-01-01", "until": None, "years": 3, "as_written": "有效期为3年"}],
}
RENEWAL = {
    "id": "P2",
    "kind": "renewal",
    "title": "复核",
    "article": "第三条",
    "quote": "结束前3个月复核，延长3年",
    "values": [
        {"from": "2025-01-01", "until": None, "months": 3, "years": 3, "as_written": "结束前3个月复核，延长3年"}
    ],
}


@pytest.mark.parametrize(
    ("result", "title_id", "day", "word"),
    [
        ("granted", "T1", date(2028, 3, 1), "declared_only"),
        ("granted", "T1", date(2031, 2, 28), "declared_only"),
        ("granted", "T1", date(2031, 3, 1), "short"),
        ("refused", "T1", date(2028, 3, 1), "short"),
        ("granted", "T9", date(2028, 3, 1), "short"),
    ],
)
def test_a_granted_renewal_extends_a_title_for_check_as_for_deadlines(
    result: str, title_id: str, day: date, word: str
) -> None:
    title = {"title_id": "T1", "level": "basic", "name": "基础级", "granted_on": "2025-03-01", "state": "held"}
    renewal = {"application_id": "A1", "level": "basic", "purpose": "renewal", "filed_on": "2027-11-01"}
    records = {"titles": [title], "applications": [renewal | {"result": result, "title_id": title_id}]}
    found = evidence(records=records, day=day)
    criterion = {"judged_by": "title", "holds": ["basic"]}
    procedures = [VALIDITY, RENEWAL]
    verdict = judged(criterion, found, procedures=procedures)
    assert verdict.verdict == word
    facts, rules = read_facts(found.records), instrument(criterion, procedures=procedures)
    assert held_levels(rules, facts, day) == (frozenset({"basic"}) if word == "declared_only" else frozenset())
    plain = RuleSet.model_dump(rules, mode="json", by_alias=True)
    row = {"valid_until": "", "ended_on": ""} | title
    assert stands(row, plain, records["applications"], day) == (word == "declared_only")
    if word == "declared_only":
        assert "复核后有效至 2031-02-28" in verdict.why


@settings(max_examples=60, deadline=None)
@given(
    granted=st.dates(date(2022, 1, 1), date(2028, 1, 1)),
    until=st.none() | st.dates(date(2025, 1, 1), date(2031, 1, 1)) | st.just(date(9999, 12, 31)),
    filed=st.lists(st.dates(date(2024, 1, 1), date(2032, 1, 1)), max_size=3, unique=True),
    older=st.booleans(),
    day=st.dates(date(2025, 1, 1), date(2036, 1, 1)),
)
def test_the_verifier_ends_a_title_on_the_same_day(
    granted: date, until: date | None, filed: list[date], older: bool, day: date
) -> None:
    transition = {
        "id": "P3",
        "kind": "transition",
        "title": "衔接",
        "article": "第四条",
        "quote": "复审",
        "granted_before": "2025-06-01",
    }
    rules = instrument(
        {"judged_by": "title", "holds": ["basic"]}, procedures=[VALIDITY, RENEWAL, transition][: 2 + older]
    )
    title = {"title_id": "T1", "level": "basic", "name": "甲", "granted_on": granted.isoformat(), "state": "held"}
    title |= {"valid_until": until.isoformat() if until else "", "ended_on": ""}
    renewals = [
        {"application_id": f"A{i}", "level": "basic", "purpose": "renewal", "filed_on": d.isoformat(), "title_id": "T1"}
        | {"result": "granted"}
        for i, d in enumerate(filed)
    ]
    found = evidence(records={"titles": [title], "applications": renewals}, day=day)
    plain = RuleSet.model_dump(rules, mode="json", by_alias=True)
    word = judge(rules.criteria[0], rules, found).verdict
    assert stands(title, plain, renewals, day) == (word == "declared_only")


def test_a_figure_of_a_year_to_come_is_no_industry_level_and_figures_read_as_decimals() -> None:
    industry = {
        "indicator": "production_efficiency",
        "reach": "province_mean",
        "denominator": "10",
        "data_source": "年鉴",
    }
    own = {"indicator": "production_efficiency", "scope": "plant", "period": "after", "formula": "件÷时"}
    own |= {"first_day": "2026-06-01", "last_day": "2026-10-31", "numerator": "45", "denominator": "10"}
    rows = [industry | {"year": "2026", "numerator": "50"}, industry | {"year": "2027", "numerator": "1"}]
    bar = {"judged_by": "benchmark", "metric": "M18", "benchmark": "province_mean"}
    verdict = judged(bar, evidence(records={"effects": [own], "benchmarks": rows}))
    assert (verdict.verdict, verdict.why) == ("short", "生产效率 4.5，2026 年行业为 5，不优于")
    third = evidence(records={"effects": [own | {"numerator": "1", "denominator": "3"}], "benchmarks": rows[:1]})
    assert "生产效率 1/3，" in judged(bar, third).why


@pytest.mark.parametrize(
    ("after", "quote", "word"),
    [
        ("5", "高于平均", "declared_only"),
        ("6", "高于平均", "short"),
        ("6", "平均以上", "declared_only"),
        ("7", "平均以上", "short"),
    ],
)
def test_own_figures_are_compared_with_the_newest_of_the_industry(after: str, quote: str, word: str) -> None:
    effects = {
        "indicator": "defect_rate",
        "scope": "plant",
        "first_day": "2026-01-01",
        "last_day": "2026-06-30",
        "formula": "x",
    }
    industry = {"indicator": "defect_rate", "reach": "province_mean", "denominator": "100", "source": "年鉴"}
    records = {
        "effects": [effects | {"period": "after", "numerator": after, "denominator": "100"}],
        "benchmarks": [industry | {"year": "2024", "numerator": "1"}, industry | {"year": "2025", "numerator": "6"}],
    }
    bar = {"judged_by": "benchmark", "metric": "M18", "benchmark": "province_mean", "quote": quote}
    assert judged(bar, evidence(records=records)).verdict == word
    assert judged(bar | {"benchmark": "global_lead"}, evidence(records=records)).verdict == "insufficient_data"


def scene(no: int, status: str = "in_production", since: date | None = date(2026, 1, 1)) -> SceneInstance:
    return SceneInstance(id=f"S{no}", no=no, name="在线检测", status=status, since=since)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scenes", "word"),
    [
        ((scene(24),), "declared_only"),
        ((scene(24, since=date(2026, 11, 23)),), "short"),
        ((scene(24, "building", None),), "short"),
        ((scene(41),), "short"),
        ((), "insufficient_data"),
    ],
)
def test_a_scene_counts_when_it_runs_and_stands_in_the_guide(scenes: tuple[SceneInstance, ...], word: str) -> None:
    listed = {"no": 24, "name": "在线智能检测", "stage8": "生产作业", "stage5": "生产作业", "plant_floor": "strong"}
    guide = instrument(scenes=[listed], family="F")
    bar = {"judged_by": "scene", "adopts": "F"}
    found = evidence(scenes=scenes, adopted={"F": Referred(guide, "某指引", {})})
    assert judged(bar, found).verdict == word
    assert judged(bar, evidence(scenes=scenes)).verdict == "needs_judgement"


def test_a_reference_has_a_word_per_level_and_an_unknown_edition_needs_judgement() -> None:
    bar = {"judged_by": "reference", "adopts": "F", "levels": ["basic", "advanced"]}
    adopts = [{"family": "F", "how": "latest", "article": "第九条", "as_written": "某条件"}]
    referred = Referred(instrument({"judged_by": "person"}), "某条件", {"basic": "declared_only", "advanced": "short"})
    verdict = judged(bar, evidence(adopted={"F": referred}))
    assert (verdict.verdict, verdict.at("basic"), verdict.at("advanced")) == ("short", "declared_only", "short")
    unknown = judged(bar, evidence(adopted={"F": None}), adopts=adopts)
    assert unknown.verdict == "needs_judgement"
    assert "引用文件的版本未知（第九条：某条件）" in unknown.why


@pytest.mark.parametrize("judged_by", ["annex", "person"])
def test_what_people_judge_is_never_scored(judged_by: str) -> None:
    assert judged({"judged_by": judged_by}, evidence()).verdict == "needs_judgement"
