"""期限: both readings, the stricter is due; what was done, late, overdue; our own reminders say that they are ours."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import icalendar
import pytest

from config.documents import DOCUMENT_KINDS
from metrics.standing.calendar_file import calendar_of
from metrics.standing.costs import METRICS
from metrics.standing.deadlines import Deadline, deadlines
from tests.metrics.standing.facts import Facts, applied, day, evaluated, incident, rules, title
from tests.metrics.verdict_builders import paper

CATALOGUE = Path(__file__).parents[3] / "metrics" / "catalogue"
GRANTED = "2025-09-20"  # three years: valid to 2028-09-19, renewal due 2028-06-19


def _one(found: tuple[Deadline, ...], ending: str) -> Deadline:
    (only,) = [d for d in found if d.id.endswith(ending)]
    return only


def test_renewal_is_due_three_calendar_months_before_the_title_ends_and_both_readings_are_shown() -> None:
    found = deadlines(rules("GS25"), day("2026-11-22"), Facts(titles=(title("basic", GRANTED),)))
    renewal = _one(found, "-renewal")
    assert renewal.due == day("2028-06-19")
    assert [last for _, last in renewal.readings] == [day("2028-06-19"), day("2028-09-19")]
    assert (renewal.state, renewal.own) == ("open", False)
    assert "3个月" in renewal.words
    assert _one(found, "basic-2025-09-20-expiry").due == day("2028-09-19")


@pytest.mark.parametrize(
    ("today", "filed", "state", "said"),
    [
        ("2028-06-19", "", "due", "从严"),
        ("2028-06-20", "", "overdue", "从严"),
        ("2028-06-30", "2028-06-19", "done", "2028-06-19"),
        ("2028-06-30", "2028-06-20", "late", "晚于"),
        ("2028-03-01", "2028-02-01", "done", "早于期满前 6 个月"),
        ("2027-12-21", "", "open", "从严"),
        ("2027-12-22", "", "due", "从严"),
    ],
)
def test_renewal_state(today: str, filed: str, state: str, said: str) -> None:
    held = title("basic", GRANTED)
    asked = (applied("basic", filed, purpose="renewal", title_id=held.id),) if filed else ()
    renewal = _one(deadlines(rules("GS25"), day(today), Facts((held,), asked)), "-renewal")
    assert renewal.state == state
    assert said in renewal.note


def test_a_renewal_that_passed_extends_by_three_years() -> None:
    held = title("basic", GRANTED)
    asked = (applied("basic", "2028-06-01", purpose="renewal", result="granted", title_id=held.id),)
    found = deadlines(rules("GS25"), day("2028-12-01"), Facts((held,), asked))
    assert _one(found, "-2025-09-20-expiry").due == day("2031-09-19")
    assert _one(found, "-renewal").due == day("2031-06-19")
    assert _one(found, "-renewal").state == "open"


def test_the_certificates_own_end_comes_before_the_rules_years() -> None:
    found = deadlines(rules("GS25"), day("2026-11-22"), Facts((title("basic", GRANTED, until="2027-05-31"),)))
    assert _one(found, "-renewal").due == day("2027-02-28")


def test_an_instrument_without_a_term_assumes_none() -> None:
    found = deadlines(rules("SD25"), day("2026-11-22"), Facts((title("basic", GRANTED),)))
    assert not [d for d in found if d.id.startswith("T-")]


def test_tianjin_advanced_is_evaluated_every_year() -> None:
    held = title("advanced", "2025-03-10")
    facts = Facts((held,), evaluations=(evaluated(held.id, "2025-12-01"),))
    found = [d for d in deadlines(rules("TJ"), day("2026-11-22"), facts) if "-evaluation-" in d.id]
    assert [(d.due, d.state) for d in found] == [
        (day("2026-03-09"), "done"),
        (day("2027-03-09"), "due"),
        (day("2028-03-09"), "open"),
    ]
    assert not [
        d
        for d in deadlines(rules("TJ"), day("2026-11-22"), Facts((title("basic", "2025-03-10"),)))
        if "evaluation" in d.id
    ]


def test_shandong_wants_a_major_change_reported_within_three_months() -> None:
    found = deadlines(rules("SD25"), day("2027-03-01"), Facts(incidents=(incident("major_change", "2026-11-30"),)))
    report = _one(found, "P-SD25-15")
    assert (report.due, report.state, report.own) == (day("2027-02-28"), "overdue", False)


def test_gansu_names_no_days_for_a_change_so_the_reminder_is_marked_as_ours() -> None:
    report = _one(
        deadlines(rules("GS25"), day("2026-11-22"), Facts(incidents=(incident("rename", "2026-11-10"),))), "P-GS25-21"
    )
    assert report.own
    assert report.due == day("2026-12-10")
    assert "本产品的提醒" in report.note


def test_a_reported_change_is_done_or_late() -> None:
    for reported, state in (("2027-02-28", "done"), ("2027-03-01", "late")):
        found = deadlines(
            rules("SD25"),
            day("2027-06-01"),
            Facts(incidents=(incident("major_change", "2026-11-30", reported=reported),)),
        )
        assert _one(found, "P-SD25-15").state == state


def test_the_instruments_own_end_and_the_yearly_notice_are_listed() -> None:
    found = deadlines(rules("GS25"), day("2026-11-22"), Facts())
    assert _one(found, "GS25-expiry").due == day("2028-08-05")
    assert _one(found, "P-GS25-15-2027").due == day("2027-03-01")
    assert all(a.due <= b.due for a, b in pairwise(found))


def test_an_expired_instrument_says_so_in_its_own_deadline() -> None:
    expired = _one(deadlines(rules("SD22"), day("2026-11-22"), Facts()), "SD22-expiry")
    assert "2025-12-31" in expired.subject
    assert "失效" in expired.subject


@pytest.mark.parametrize(
    ("kind", "until", "said"),
    [
        ("rd_tools", "2027-01-31", "到期后影响 M15 数字化研发设计工具普及率（"),
        ("rd_tools", "2026-11-21", "已到期，影响 M15 "),
        ("interface", "2027-01-31", "到期后影响 M04 生产设备数字化率"),
        ("accident_free", "2027-01-31", "到期后影响 第"),
        ("screenshot", "2027-01-31", "本办法没有条款用到这类材料"),
    ],
)
def test_a_paper_that_ends_says_what_it_costs(kind: str, until: str, said: str) -> None:
    ending = paper(kind, valid_until=day(until))
    (found,) = (
        d for d in deadlines(rules("GS25"), day("2026-11-22"), Facts(documents=(ending,))) if d.id.endswith("-valid")
    )
    assert found.note.startswith(said)
    other = paper(kind, doc_id="D-2")
    both = deadlines(rules("GS25"), day("2026-11-22"), Facts(documents=(ending, other)))
    assert ("另有有效的" in _one(both, "-valid").note) == (kind != "screenshot")


def test_every_metric_that_a_paper_costs_reads_papers_of_that_kind() -> None:
    code = {p.name.partition("_")[0].upper(): p.read_text(encoding="utf-8") for p in CATALOGUE.glob("*.py")}
    shared = (CATALOGUE.parent / "office/scenes.py").read_text(encoding="utf-8")
    for kind, names in METRICS.items():
        assert kind in DOCUMENT_KINDS
        for name in names:
            assert f'"{kind}"' in code[name] + shared


def test_a_ban_names_the_first_day_on_which_one_may_apply_again() -> None:
    facts = Facts(
        (title("basic", "2025-03-01", state="revoked", ended="2026-08-01"),),
        incidents=(incident("false_material", "2026-06-01"),),
    )
    found = [d for d in deadlines(rules("GS25"), day("2026-11-22"), facts) if d.id.endswith("P-GS25-24-ban")]
    assert [d.due for d in found] == [day("2028-08-02")]


def test_the_calendar_file_has_four_alarms_an_event_and_stable_ids() -> None:
    found = deadlines(rules("GS25"), day("2026-11-22"), Facts((title("basic", GRANTED, name="一号线，代表；产线"),)))
    at = datetime(2026, 11, 22, tzinfo=UTC)
    raw = calendar_of(found, rules("GS25"), "陇原", at)
    assert raw == calendar_of(found, rules("GS25"), "陇原", at)
    events = icalendar.Calendar.from_ical(raw).walk("VEVENT")
    assert len(events) == len(found)
    assert {len(e.walk("VALARM")) for e in events} == {4}
    assert len({str(e["uid"]) for e in events}) == len(events)
    assert any("一号线，代表；产线" in str(e["summary"]) for e in events)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 75  # RFC 5545 §3.1
