"""能否申报: the orders of levels differ by instrument; bans, limits and what is not in force."""

from __future__ import annotations

import pytest

from metrics.standing.eligibility import Answer, may_apply
from tests.metrics.standing.facts import Facts, applied, day, incident, rules, title

TODAY = day("2026-11-22")


def _states(name: str, level: str, facts: Facts) -> set[str]:
    return {a.state for a in may_apply(rules(name), level, TODAY, facts)}


def _blocked(answers: tuple[Answer, ...]) -> list[str]:
    return [a.article for a in answers if a.state == "blocked"]


@pytest.mark.parametrize("level", ["scene", "basic", "advanced"])
def test_a_first_applicant_in_gansu_chooses_among_three(level: str) -> None:
    assert _states("GS25", level, Facts()) == {"open"}


def test_a_first_applicant_in_gansu_cannot_begin_with_the_fourth_level() -> None:
    assert "blocked" in _states("GS25", "excellent", Facts())


def test_a_second_application_in_gansu_goes_up_step_by_step_in_principle() -> None:
    facts = Facts((title("scene", "2025-10-01"),))
    assert _states("GS25", "advanced", facts) == {"in_principle"}
    assert _states("GS25", "basic", facts) == {"open"}


def test_shandong_and_tianjin_ask_for_basic_first() -> None:
    for name in ("CN-SD/SD25", "CN-TJ/TJ"):
        assert "blocked" in _states(name, "advanced", Facts())
    assert _states("CN-TJ/TJ", "advanced", Facts((title("basic", "2025-10-01", state="filed"),))) == {"open"}


def test_shandong_lets_leading_follow_advanced_and_tianjin_does_not() -> None:
    facts = Facts((title("advanced", "2026-01-10"),))
    title_answers = [a.state for a in may_apply(rules("SD25"), "leading", TODAY, facts) if a.rule.startswith("SD25-")]
    assert title_answers == ["open"]
    assert "blocked" in _states("TJ", "leading", facts)


def test_a_title_that_ran_out_is_not_held() -> None:
    facts = Facts((title("scene", "2023-01-01"),))  # three years: to 2025-12-31
    assert _states("GS25", "basic", facts) == {"in_principle"}


def test_two_scenes_a_year_and_no_third() -> None:
    two = (applied("scene", "2026-03-20"), applied("scene", "2026-04-02", result="refused"))
    assert "blocked" in _states("GS25", "scene", Facts(applications=two))
    one = (
        applied("scene", "2026-03-20"),
        applied("scene", "2026-04-02", result="withdrawn"),
        applied("scene", "2025-05-01"),
    )
    answers = may_apply(rules("GS25"), "scene", TODAY, Facts(applications=one))
    assert any("还可申报 1 个" in a.why for a in answers)


def test_a_draft_or_expired_instrument_never_lets_anybody_apply() -> None:
    for name in ("SD25", "SD22"):
        instrument = rules(name)
        for level in instrument.levels:
            answers = may_apply(instrument, level.id, TODAY, Facts())
            assert answers[0].state == "blocked"
            assert "征求意见稿" in answers[0].why or "失效" in answers[0].why


def test_material_that_does_not_match_the_site_bans_for_two_years_in_gansu() -> None:
    facts = Facts(incidents=(incident("inconsistent_with_site", "2025-06-01"),))
    (ban,) = [a for a in may_apply(rules("GS25"), "basic", TODAY, facts) if a.state == "blocked"]
    assert (ban.article, ban.until) == ("第二十三条", day("2027-06-01"))
    assert "视情况" in ban.why
    assert _blocked(may_apply(rules("GS25"), "basic", day("2027-06-02"), facts)) == []


def test_an_accident_bans_only_whom_it_costs_a_title_and_only_from_its_severity_on() -> None:
    accident = incident("accident", "2026-05-01", severity="较大")
    held = title("basic", "2025-10-01", state="revoked", ended="2026-07-01")
    assert "第二十四条" in _blocked(may_apply(rules("GS25"), "basic", TODAY, Facts((held,), incidents=(accident,))))
    minor = incident("accident", "2026-05-01", severity="一般")
    assert "第二十四条" not in _blocked(may_apply(rules("GS25"), "basic", TODAY, Facts((held,), incidents=(minor,))))
    assert _blocked(may_apply(rules("GS25"), "basic", TODAY, Facts(incidents=(accident,)))) == []


def test_revocation_bars_are_the_instruments_own() -> None:
    """A 较大 accident revokes in Shandong and Gansu; Tianjin needs 重大 (catalogue, accident matrix)."""
    facts = Facts((title("advanced", "2025-12-01"),), incidents=(incident("accident", "2026-05-01", severity="较大"),))
    said = {
        name: [a for a in may_apply(rules(name), "advanced", TODAY, facts) if a.state == "note"]
        for name in ("GS25", "SD25", "TJ")
    }
    assert said["GS25"]
    assert said["SD25"]
    assert not said["TJ"]
