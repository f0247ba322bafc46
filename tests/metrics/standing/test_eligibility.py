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


# --- applying again after a loss (GS25 第二十二条、第二十四条、第二十五条)

LOST = title("basic", "2025-10-01", state="revoked", ended="2026-03-01")


def _answer(level: str, facts: Facts, at: str = "2026-11-22") -> Answer:
    (only,) = [a for a in may_apply(rules("GS25"), level, day(at), facts) if "逐级申报" in a.why]
    return only


@pytest.mark.parametrize(
    ("lost", "levels"),
    [
        ("scene", {"scene": "open", "basic": "blocked", "advanced": "blocked"}),
        ("basic", {"scene": "open", "basic": "blocked", "advanced": "blocked"}),
        ("advanced", {"scene": "open", "basic": "open", "advanced": "blocked"}),
    ],
)
@pytest.mark.parametrize("state", ["revoked", "downgraded"])
def test_after_a_loss_one_begins_a_level_lower_and_the_free_first_choice_does_not_come_back(
    lost: str, levels: dict[str, str], state: str
) -> None:
    facts = Facts((title(lost, "2025-10-01", state=state, ended="2026-03-01"),))
    assert {level: _answer(level, facts).state for level in levels} == levels
    assert all(_answer(level, facts).article == "第二十二条" for level in levels)


def test_only_a_title_won_after_the_loss_opens_the_next_level() -> None:
    older = Facts((title("scene", "2025-09-01"), LOST))
    assert _answer("basic", older).state == "blocked"
    newer = Facts((LOST, title("scene", "2026-06-01")))
    assert _answer("basic", newer).state == "open"
    assert _answer("advanced", newer).state == "blocked"


def test_a_title_won_back_ends_the_matter() -> None:
    facts = Facts((LOST, title("scene", "2026-06-01"), title("basic", "2026-09-01")))
    assert _states("GS25", "advanced", facts) == {"open", "note"}


def test_a_loss_for_cause_names_its_own_article_and_a_loss_without_one_is_asked_about() -> None:
    caused = Facts((LOST,), incidents=(incident("accident", "2026-02-01", severity="较大"),))
    assert _answer("basic", caused).article == "第二十四条"
    unsaid = [a for a in may_apply(rules("GS25"), "scene", TODAY, Facts((LOST,))) if "没有登记原因" in a.why]
    assert [a.article for a in unsaid] == ["第二十四条、第二十五条"]


def test_what_lies_ahead_of_the_day_is_not_known_on_it() -> None:
    facts = Facts((title("scene", "2026-12-01"),), (applied("basic", "2026-12-01"),))
    assert _states("GS25", "advanced", facts) == {"open"}
    lost_later = Facts((title("scene", "2025-10-01", state="revoked", ended="2027-01-01"),))
    assert _states("GS25", "basic", lost_later) == {"open"}


def test_a_loss_without_a_date_is_a_loss() -> None:
    assert _answer("basic", Facts((title("basic", "2025-10-01", state="revoked"),))).state == "blocked"


# --- which title an incident concerns


def _bans(facts: Facts) -> list[tuple[str, str]]:
    return [(a.article, str(a.until)) for a in may_apply(rules("GS25"), "basic", TODAY, facts) if a.until]


@pytest.mark.parametrize("on", ["2025-09-30", "2026-11-01"])
def test_an_accident_before_the_title_or_after_its_term_bans_nobody(on: str) -> None:
    held = title("basic", "2025-10-01", until="2026-10-31")
    assert _bans(Facts((held,), incidents=(incident("accident", on, severity="重大"),))) == []
    within = Facts((held,), incidents=(incident("accident", "2026-10-31", severity="重大"),))
    assert _bans(within) == [("第二十四条", "2028-10-31")]


def test_false_material_may_be_older_than_its_title() -> None:
    facts = Facts((title("basic", "2025-10-01"),), incidents=(incident("false_material", "2025-09-01"),))
    assert {article for article, _ in _bans(facts)} == {"第二十四条", "第二十五条"}


def test_another_titles_end_does_not_move_the_first_day_of_a_ban() -> None:
    """材料与现场不符 is answered by the authority, not by a title that happened to be downgraded later."""
    facts = Facts(
        (title("scene", "2023-09-01", state="downgraded", ended="2026-09-01"),),
        incidents=(incident("inconsistent_with_site", "2025-01-10"),),
    )
    assert _bans(facts) == [("第二十三条", "2027-01-10")]


def test_an_accident_without_its_grade_is_asked_about() -> None:
    facts = Facts((title("basic", "2025-10-01"),), incidents=(incident("accident", "2026-02-01"),))
    assert [a.article for a in may_apply(rules("GS25"), "basic", TODAY, facts) if "没有登记等级" in a.why] == [
        "第二十四条"
    ]


def test_a_punished_violation_is_another_penalty_in_shandong() -> None:
    for punished in (True, False):
        facts = Facts(
            (title("basic", "2025-10-01"),), incidents=(incident("violation", "2026-02-01", punished=punished),)
        )
        found = [a.article for a in may_apply(rules("SD25"), "basic", TODAY, facts) if a.until]
        assert found == (["第十六条"] if punished else [])
