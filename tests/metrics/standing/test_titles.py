"""称号有效期: renewals counted once each, certificates before rules, old titles under the new instrument, days past all calendars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.standing.calendar_file import calendar_of
from metrics.standing.dates import last_valid_day, months_after
from metrics.standing.deadlines import Deadline, deadlines
from metrics.standing.facts import Title
from metrics.standing.titles import Term, term
from tests.metrics.standing.facts import Facts, applied, day, evaluated, incident, rules, title

GS25 = rules("GS25")
LATER = day("2034-01-01")


def _term(held: Title, *filed: str, at: date = LATER) -> Term:
    renewals = tuple(applied("basic", f, purpose="renewal", result="granted", title_id=held.id) for f in filed)
    return term(GS25, held, Facts((held,), renewals), at)


def _renewal(facts: Facts, at: str) -> Deadline:
    (only,) = [d for d in deadlines(GS25, day(at), facts) if d.id.endswith("-renewal")]
    return only


@pytest.mark.parametrize(
    ("granted", "filed", "last"),
    [
        ("2025-09-20", [], "2028-09-19"),
        ("2025-09-20", ["2028-06-01"], "2031-09-19"),
        ("2025-09-20", ["2028-06-01", "2031-06-01"], "2034-09-19"),
        ("2025-09-20", ["2028-06-01", "2028-06-02"], "2031-09-19"),  # entered twice
        ("2028-02-29", ["2030-12-01"], "2034-02-27"),  # 2031-02-27 is the first end
        ("2026-03-01", ["2028-12-01"], "2032-02-29"),  # 2029-02-28, then the whole of February 2032
    ],
)
def test_each_renewal_extends_once_from_the_end_of_the_term_before(granted: str, filed: list[str], last: str) -> None:
    assert _term(title("basic", granted), *filed).last_day == day(last)


def test_a_renewal_extends_the_certificate_that_it_renews_and_not_the_one_it_brought() -> None:
    old = title("basic", "2025-09-20", until="2028-09-19")
    assert _term(old, "2028-06-01").last_day == day("2031-09-19")
    new = title("basic", "2025-09-20", until="2031-09-19")
    assert _term(new, "2028-06-01").last_day == day("2031-09-19")


def test_a_title_older_than_the_instrument_restarts_with_its_recognition() -> None:
    old = title("scene", "2024-06-01")
    assert "第二十八条" in _term(old, at=day("2026-01-01")).by
    assert _term(old, at=day("2026-01-01")).last_day == day("2027-05-31")
    assert _term(old, "2025-10-15").last_day == day("2028-10-14")
    assert _term(old, "2025-07-15").last_day == day("2027-05-31")  # renewed under the old rules
    assert "第二十八条" not in _term(title("scene", "2025-08-01")).by
    assert _term(title("workshop", "2023-01-01")).last_day is None


@given(st.dates(date(2025, 8, 1), date(2100, 1, 1)), st.integers(0, 4))
def test_unbroken_renewals_add_up_to_whole_terms(granted: date, count: int) -> None:
    held = Title("T", "basic", "一号线", granted, None, "held", None, "", "", "")
    last, filed = last_valid_day(granted, 3), []
    for _ in range(count):
        filed.append(str(months_after(last, -3)))
        last = last_valid_day(last + timedelta(days=1), 3)
    # read within the instrument's life, whatever the dates are
    assert _term(held, *filed, at=date(2130, 1, 1)).last_day == last


def test_what_was_taken_back_was_not_filed_and_what_was_refused_says_so() -> None:
    held = title("basic", "2025-09-20")
    for result, state in (("withdrawn", "overdue"), ("refused", "done"), ("pending", "done")):
        asked = applied("basic", "2028-06-01", purpose="renewal", result=result, title_id=held.id)
        found = _renewal(Facts((held,), (asked,)), "2028-07-01")
        assert found.state == state
        assert ("未通过" in found.note) == (result == "refused")


def test_a_renewal_filed_far_too_early_is_still_seen_and_warned_about() -> None:
    held = title("basic", "2025-09-20")
    asked = applied("basic", "2027-06-01", purpose="renewal", title_id=held.id)
    found = _renewal(Facts((held,), (asked,)), "2028-07-01")
    assert found.state == "done"
    assert "早于期满前 6 个月" in found.note


def test_a_renewal_that_names_no_title_counts_for_none_and_is_named() -> None:
    held = title("basic", "2025-09-20")
    asked = applied("basic", "2028-06-01", purpose="renewal")
    found = _renewal(Facts((held,), (asked,)), "2028-07-01")
    assert found.state == "overdue"
    assert "A-basic-2028-06-01 没有写对称号编号" in found.note


def test_titles_lost_or_yet_to_come_have_no_deadlines() -> None:
    lost = title("basic", "2025-09-20", ended="2026-01-01")
    coming = title("scene", "2027-01-01")
    found = deadlines(GS25, day("2026-11-22"), Facts((lost, coming)))
    assert not [d for d in found if d.id.startswith("T-")]


def test_evaluations_out_of_order_or_of_later_days_do_not_mislead() -> None:
    held = title("advanced", "2025-03-10")
    entered = (evaluated(held.id, "2025-12-01"), evaluated(held.id, "2025-06-01", passed=False))
    at = {d.id: d for d in deadlines(rules("TJ"), day("2026-11-22"), Facts((held,), evaluations=entered))}
    assert at[f"{held.id}-evaluation-1"].state == "done"
    later = (evaluated(held.id, "2027-01-01"),)
    found = {d.id: d for d in deadlines(rules("TJ"), day("2026-11-22"), Facts((held,), evaluations=later))}
    assert found[f"{held.id}-evaluation-2"].state == "due"


def test_every_evaluation_that_was_missed_stays_listed() -> None:
    held = title("advanced", "2024-03-10", until="2028-03-09")
    found = deadlines(rules("TJ"), day("2027-03-01"), Facts((held,)))
    missed = [d.id[-1] for d in found if "-evaluation-" in d.id and d.state == "overdue"]
    assert missed == ["1", "2"]


def test_a_paper_or_title_without_end_breaks_no_calendar() -> None:
    held = title("advanced", "2025-03-10", until="9999-12-31")
    for name in ("TJ", "GS25"):
        found = deadlines(rules(name), day("2026-11-22"), Facts((held,)))
        assert len(found) < 20
        assert calendar_of(found, rules(name), "陇原", datetime(2026, 11, 22, tzinfo=UTC))


def test_an_instrument_that_expires_keeps_the_ids_of_its_events() -> None:
    held = Facts((title("basic", "2026-09-20"),))
    uids = []
    for at in ("2028-08-05", "2028-08-06"):
        raw = calendar_of(deadlines(GS25, day(at), held), GS25, "陇原", datetime.fromisoformat(f"{at}T00:00+00:00"))
        uids.append({line for line in raw.split(b"\r\n") if line.startswith(b"UID")})
    assert uids[0] >= uids[1]


def test_a_plant_without_a_title_is_told_that_it_may_owe_no_report() -> None:
    change = Facts(incidents=(incident("rename", "2026-11-10"),))
    (report,) = [d for d in deadlines(GS25, day("2026-11-22"), change) if d.title == "报备重大变化"]
    assert "确无称号的不必报备" in report.note
