"""期限、能否申报、疑点 over HTTP and on the page: the command line's bytes, overdue first and in words, nothing invented when empty."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import icalendar
import pytest

from evidence_api.web.app import create_app
from evidence_api.web.questions import question_values
from evidence_api.web.report import ReportKeeper, check_command
from evidence_api.web.sources import Sources
from evidence_api.web.standing import Due, standing_values
from metrics.findings_cli import app as findings_app
from metrics.standing.facts import Facts
from plantproof import run
from tests.evidence_api.web.plant_folder import Plant, browser, leave_reports, reports

NAMES = ("CN-GS/GS25", "CN-SD/SD22", "CN-SD/SD25", "CN-TJ/TJ")
TODAY = date(2026, 11, 22)


def spaced(html: str) -> str:
    """The text of a page, runs of blanks as one."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def section(html: str, name: str) -> str:
    """One section of the page by its heading's id."""
    found = re.search(rf'<section aria-labelledby="{name}".*?</section>', html, re.DOTALL)
    assert found, name
    return found[0]


def due_of(plant: Plant, name: str = "CN-GS/GS25", today: date = TODAY) -> Due:
    """The page's values of an instrument."""
    due = standing_values(json.loads((plant.folder.state / f"reports/deadlines/{name}.json").read_bytes()), today)
    assert due is not None
    return due


async def test_what_the_api_serves_is_what_the_command_line_prints(
    plant: Plant, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.rmtree(plant.folder.state / "reports")
    keeper = ReportKeeper(plant.folder.state, check_command(plant.folder.path))
    assert await keeper.refresh(), keeper.view().problem
    found = keeper.view().findings
    assert found is not None
    at = ["--size", str(found["size"]), "--data", str(plant.folder.path)]
    async with browser(create_app(plant.folder.path, clock=plant.clock, command=())) as client:
        for name in NAMES:
            file = tmp_path / "due.ics"
            day = ["--rules", name, "--at", found["day"], *at]
            assert await asyncio.to_thread(run, ["deadlines", "--json", "--ics", str(file), *day]) in (0, 3)
            printed = capfd.readouterr().out.encode()
            assert (await client.get(f"/api/v1/deadlines?rules={name}")).content == printed
            assert (await client.get(f"/api/v1/deadlines.ics?rules={name}")).content == file.read_bytes()
        with pytest.raises(SystemExit):
            await asyncio.to_thread(findings_app, ["--json", "--skip-raw", "--at", found["day"], *at])
        assert (await client.get("/api/v1/findings")).content == capfd.readouterr().out.encode()
    assert (found["raw_read"], len(found["not_checked"])) == (False, 2)


async def test_the_calendar_is_an_attachment_that_a_calendar_program_reads(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/deadlines.ics?rules=GS25")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="deadlines-CN-GS-GS25.ics"'
    days = {str(e["summary"]): e["dtstart"].dt for e in icalendar.Calendar.from_ical(answer.content).walk("VEVENT")}
    assert days["申请复核：基础级智能工厂 一号线<基础级>"] == date(2026, 10, 31)
    for path in ("deadlines", "deadlines.ics", "findings"):
        head = await client.head(f"/api/v1/{path}")
        assert (head.status_code, head.content) == (200, b"")


async def test_deadlines_name_standing_day_and_both_readings(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/deadlines")).json()
    assert (body["format"], body["day"], body["instrument"]["id"]) == (
        "plantproof-deadlines/1",
        "2026-11-22",
        "CN-GS/GS25",
    )
    renewal = next(d for d in body["deadlines"] if d["id"] == "T1-renewal")
    assert (renewal["due"], renewal["days_left"], renewal["state"]) == ("2026-10-31", -22, "overdue")
    assert [last for _, last in renewal["readings"]] == ["2026-10-31", "2027-01-31"]
    assert body["recorded"]["titles"] == 2
    assert {x["id"]: x["state"] for x in body["levels"]}["leading"] == "blocked"
    for name, words in (("SD22", "（已于 2025-12-31 失效）"), ("SD25", "（征求意见稿，未施行）")):
        other = (await client.get(f"/api/v1/deadlines?rules={name}")).json()
        assert other["instrument"]["name"].endswith(words)
        assert {x["state"] for x in other["levels"]} == {"blocked"}


@pytest.mark.parametrize("path", ["deadlines", "deadlines.ics", "findings"])
async def test_before_the_first_run_there_is_no_report_and_that_is_said(
    make_plant: Callable[..., Plant], path: str
) -> None:
    plant = make_plant(days=3)
    async with browser(create_app(plant.folder.path, clock=plant.clock, command=())) as client:
        answer = await client.get(f"/api/v1/{path}")
        page = await client.get("/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_report")
    assert set(answer.json()["error"]) == {"code", "message", "where", "fix"}
    assert page.status_code == 200
    assert "h-due" not in page.text


@pytest.mark.parametrize("path", ["deadlines", "deadlines.ics"])
@pytest.mark.parametrize("name", ["NONE", "../../genesis", "CN/ELEMENTS25"])
async def test_an_instrument_that_was_not_judged_has_no_deadlines(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    answer = await client.get(f"/api/v1/{path}", params={"rules": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_instrument")


async def test_reports_of_a_version_without_deadlines_still_make_a_page(
    client: httpx.AsyncClient, plant: Plant
) -> None:
    shutil.rmtree(plant.folder.state / "reports" / "deadlines")
    (plant.folder.state / "reports" / "findings.json").unlink()
    page = await client.get("/")
    assert page.status_code == 200
    assert "h-due" not in page.text
    assert "第十二条(三)3" in page.text
    assert (await client.get("/api/v1/deadlines")).json()["error"]["code"] == "no_report"


async def test_deadlines_that_are_not_ours_are_a_problem_and_not_a_crash(
    client: httpx.AsyncClient, plant: Plant
) -> None:
    (plant.folder.state / "reports" / "deadlines" / "CN-GS" / "GS25.json").write_text('{"format":"x"}')
    page = await client.get("/")
    assert page.status_code == 200
    assert "不是 check 的输出" in page.text


async def test_the_page_lists_the_next_five_overdue_first_with_words_and_both_readings(
    client: httpx.AsyncClient, plant: Plant
) -> None:
    due = due_of(plant)
    assert [(r.due, r.state_zh) for r in due.next] == [
        ("2026-10-10", "已逾期"),
        ("2026-10-31", "已逾期"),
        ("2027-01-31", "临近"),
        ("2027-03-01", "提示"),
        ("2028-06-19", "未到期"),
    ]
    assert len(due.rows) > len(due.next)
    html = section((await client.get("/")).text, "h-due")
    text = spaced(html)
    for words in (
        "2 项已逾期",
        "已逾期 22 天",
        "还有 70 天",
        "最迟须在期满前 3 个月当日提出 2026-10-31（从严，作期限）",
        "期满前 3 个月内提出 2027-01-31",
        "第二十二条 “有效期结束前3个月",
        "本系统不核实",
    ):
        assert words in text
    assert 'href="/api/v1/deadlines.ics?rules=CN-GS/GS25"' in html
    assert 'href="/api/v1/deadlines?rules=CN-GS/GS25"' in html
    assert "一号线&lt;基础级&gt;" in html


async def test_the_page_says_for_each_level_whether_one_may_apply_and_why(client: httpx.AsyncClient) -> None:
    html = section((await client.get("/")).text, "h-apply")
    text = spaced(html)
    assert "✓可以 第十六条 已登记有效称号：智能制造优秀场景" in text
    assert "▲不能 第十四条 应先获评 卓越级智能工厂，登记的有效称号中没有" in text
    assert "奖励至多 90 万元" in text
    assert "v-met" not in html  # 可以 is not 达标


async def test_the_page_shows_each_question_with_its_count_and_first_rows(
    client: httpx.AsyncClient, plant: Plant
) -> None:
    html = section((await client.get("/")).text, "h-asked")
    text = spaced(html)
    assert "申报的数从哪里来？ 1 处" in text
    assert "停机为什么事后才补？ 60 处" in text
    assert "另有 55 处" in text
    assert "7/7 &lt;表三&gt;" in html
    assert "未查：几台设备的原始读数是否相同" in text
    assert html.count("<details") == 2
    body = json.loads((plant.folder.state / "reports" / "findings.json").read_bytes())
    nothing = question_values(body | {"findings": [], "not_checked": []})
    assert nothing is not None
    assert (nothing.questions, nothing.not_checked) == ((), "")


async def test_nothing_recorded_says_how_to_enter_it(client: httpx.AsyncClient, plant: Plant) -> None:
    where = plant.folder.state / "reports"
    leave_reports(plant.folder, where, reports(plant.folder, None, True), Facts())
    (where / "findings.json").write_text(
        '{"day":"2026-11-22","findings":[],"format":"plantproof-findings/1","not_checked":[],"raw_read":true,"size":5}'
    )
    for name in NAMES:
        html = (await client.get(f"/?rules={name}")).text
        text = spaced(section(html, "h-due"))
        assert "还没有登记称号、申报或重大事项" in text
        assert "plantproof records import" in text
        assert "逾期" not in text.partition("全部")[0]
    assert "没有发现疑点" in html
    assert "没有附认定文件" not in html


@pytest.mark.parametrize(("name", "words"), [("SD22", "（已于 2025-12-31 失效）"), ("SD25", "（征求意见稿，未施行）")])
async def test_an_instrument_that_binds_nobody_says_so_at_deadlines_and_at_applications(
    client: httpx.AsyncClient, name: str, words: str
) -> None:
    html = (await client.get(f"/?rules={name}")).text
    for part in ("h-due", "h-apply"):
        assert words in section(html, part)
    assert "不能" in section(html, "h-apply")
    assert "以下仅为试算" in section(html, "h-apply")


def test_numbers_of_an_earlier_day_say_so(plant: Plant) -> None:
    assert due_of(plant).stale == ""
    assert due_of(plant, today=date(2026, 11, 23)).stale == "按 2026-11-22 计算，今天是 2026-11-23；重算后更新"


def test_a_paper_that_never_ends_has_no_countdown(plant: Plant) -> None:
    body = json.loads((plant.folder.state / "reports/deadlines/CN-GS/GS25.json").read_bytes())
    row = body["deadlines"][0] | {"due": "9999-12-31", "days_left": 2912119, "state": "open", "state_zh": "未到期"}
    due = standing_values(body | {"deadlines": [row]}, TODAY)
    assert due is not None
    assert (due.next[0].due, due.next[0].left) == ("长期", "")


def test_done_things_are_in_the_whole_list_only(plant: Plant) -> None:
    body = json.loads((plant.folder.state / "reports/deadlines/CN-GS/GS25.json").read_bytes())
    done = [d | {"state": "done", "state_zh": "已办"} for d in body["deadlines"]]
    due = standing_values(body | {"deadlines": done}, TODAY)
    assert due is not None
    assert (due.next, len(due.rows)) == ((), len(done))


def test_a_report_is_due_when_records_came_and_it_is_some_minutes_old(plant: Plant) -> None:
    sources = Sources(plant.folder, ReportKeeper(plant.folder.state, ()), plant.clock)
    entries = plant.folder.ledger / "entries.ndjson"
    _age(entries, plant, 60)
    assert not sources.report_due()
    with entries.open("ab") as file:
        file.write(b'{"at_ms":1,"by":"x","body":{},"t":"records"}\n')
    report = plant.folder.state / "reports" / "CN-GS" / "GS25.json"
    for age_s, due in ((301, True), (299, False)):
        _age(entries, plant, 60)
        _age(report, plant, age_s)
        assert sources.report_due() is due
    _age(report, plant, 301)
    _age(entries, plant, 1)  # still being written
    assert not sources.report_due()


def test_a_report_is_due_when_its_plant_day_is_over(plant: Plant) -> None:
    sources = Sources(plant.folder, ReportKeeper(plant.folder.state, ()), plant.clock)
    entries = plant.folder.ledger / "entries.ndjson"
    for utc, due in (
        (datetime(2026, 11, 22, 15, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 22, 16, tzinfo=UTC), True),
    ):
        plant.clock.advance_to(int(utc.timestamp()) * 1_000_000)  # 16:00 is midnight at +08:00
        _age(entries, plant, 60)
        assert sources.report_due() is due


@pytest.mark.parametrize(
    ("key", "value", "due"),
    [
        ("shipped_rules", None, True),
        ("shipped_rules", "0" * 64, True),
        ("program", "0.0.1", True),
        ("day", "2026-11-22", False),
    ],
)
def test_a_report_is_due_when_other_rules_or_another_version_made_it(
    plant: Plant, key: str, value: str | None, due: bool
) -> None:
    index = plant.folder.state / "reports" / "index.json"
    body = json.loads(index.read_bytes())
    assert body.pop(key)
    index.write_text(json.dumps(body | ({key: value} if value else {})))
    for path in (index, plant.folder.ledger / "entries.ndjson", index.parent / "CN-GS" / "GS25.json"):
        _age(path, plant, 60)
    assert Sources(plant.folder, ReportKeeper(plant.folder.state, ()), plant.clock).report_due() is due


def test_a_report_of_a_version_that_came_after_this_process_stays(plant: Plant) -> None:
    sources = Sources(plant.folder, ReportKeeper(plant.folder.state, ()), plant.clock)
    plant.clock.advance_to(plant.clock.now_us() + 100_000_000)
    report = plant.folder.state / "reports" / "CN-GS" / "GS25.json"
    index = report.parents[1] / "index.json"
    index.write_text(json.dumps(json.loads(index.read_bytes()) | {"program": "9.9.9"}))
    _age(plant.folder.ledger / "entries.ndjson", plant, 60)
    _age(report, plant, 50)  # written after the process began
    assert not sources.report_due()


def _age(path: Path, plant: Plant, age_s: int) -> None:
    at_s = plant.clock.now_us() / 1e6 - age_s
    os.utime(path, (at_s, at_s))
