"""Every instrument on the demo plant, end to end: what each says, why, and that command line and API say it in the same bytes.

The integers are worked out from the story (docs/demo.md, simulators/office.py, simulators/mes_export.py), not copied from output.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.metric_names import TITLES
from metrics.report_json import only_level, report_bytes
from metrics.standing.dates import months_after, years_after
from tests.e2e.conftest import Demo, plantproof, served

pytestmark = pytest.mark.timeout(600)
INSTRUMENTS = ("CN-GS/GS25", "CN-SD/SD25", "CN-TJ/TJ", "CN-SD/SD22")
STANDING = {  # what stands behind its name wherever the name appears
    "CN-GS/GS25": ("binding", ""),
    "CN-SD/SD25": ("draft", "（征求意见稿，未施行）"),
    "CN-TJ/TJ": ("binding", ""),
    "CN-SD/SD22": ("expired", "（已于 2025-12-31 失效）"),
}
# level -> short, insufficient data, declared only, needs judgement. Simulated numbers that reach a bar are insufficient data.
# Missing: 安全可控说明, 承诺书, 网络安全材料, 无事故证明, 信用报告; every "no accident" and "no discredit" waits for them.
COUNTS = {
    "CN-GS/GS25": {
        # short M27 · waiting 2; M11, M12, M18 reached, but simulated · papers 5 (licence, accounts, people, scene, technology)
        "scene": (1, 5, 5, 1),
        # short M15 M15b M21 M18 M07 M03 M10 M06 M16 and 省内平均 (L1 makes 4.5 an hour, the province 5.0) · waiting 2; M20, M05
        "basic": (10, 4, 4, 2),
        # short M20 M15 M15b M18 M23 M06 M17 M14 M13 · waiting 2, nobody published an 同行业领先 · papers 5
        "advanced": (9, 3, 5, 2),
        "excellent": (1, 0, 0, 0),
        "leading": (1, 0, 0, 0),
    },
    "CN-SD/SD25": {
        "basic": (
            1,
            7,
            5,
            2,
        ),  # short 要素条件 · waiting 6 (承诺书 twice, 无事故, 信用, 可控, 网络安全), FIN reached, but simulated
        "advanced": (2, 7, 5, 2),  # and no title of 基础级
        "excellent": (3, 7, 4, 2),  # and maturity level 2 of 3
        "leading": (3, 7, 4, 2),  # and of 4
    },
    "CN-TJ/TJ": {
        "basic": (2, 5, 2, 3),  # short 要素条件, 省内平均 · waiting 3; FIN, M20
        "advanced": (
            3,
            5,
            2,
            4,
        ),  # short 要素条件, M20 without 运营管理, no title · waiting 3, FIN, nobody published 省内领先
        "excellent": (4, 5, 1, 5),  # and maturity
        "leading": (3, 5, 1, 4),  # 覆盖环节 is a person's there
    },
    "CN-SD/SD22": {
        # short: development_time has no proof, of labour productivity and maintenance nobody handed anything in
        # reached, but simulated: energy, defects · waiting: 虚假信息, 事故, 偷漏税
        "scene": (3, 5, 4, 4),
        "workshop": (3, 5, 4, 6),
        "factory_2022": (3, 5, 4, 6),
    },
}
# metric and scope -> provable, measured, at most; why stands in docs/demo.md
BY_HAND: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "M02 plant": ((23, 25), (23, 25), (23, 25)),  # the 28 without two lathes and a press that are not digital
    "M04 plant": ((24, 28), (24, 28), (25, 28)),  # L1-CNC-05 is digital on paper, nobody ever read it
    "M07 line:L1": ((5, 7), (6, 7), (6, 7)),  # one on paper only; the five-axis centre was silent for 11 of 92 days
    "M07 plant": ((8, 10), (9, 10), (9, 10)),
    "M08 plant": ((8, 10), (8, 10), (8, 10)),  # one typed in, one from the silent machine
    "M09 line:L1": ((11, 13), (11, 13), (11, 13)),
    "M14 line:L1": ((1, 4), (1, 4), (1, 4)),  # only the furnace inspects by itself
    "M14 plant": ((2, 7), (3, 7), (3, 7)),  # assembly does too, but its alarm was never closed
    "M15 plant": ((0, 5), (4, 5), (5, 5)),  # the licences ran out three weeks ago; one project is not in the PDM
    "M15b plant": ((4, 6), (4, 6), (5, 6)),  # one nobody signed, one signed too late
    "M16 plant": ((7, 8), (7, 8), (7, 8)),  # 设备资产 was silent for four weeks
    "M17 plant": (
        (2, 6),
        (3, 6),
        (5, 6),
    ),  # 物料需求, 计划排产; 生产监控 decides nothing by itself; 售后服务 has no system
    "M18 line:L1": ((2, 12), (2, 12), (12, 12)),
    "M18 plant": ((4, 12), (5, 12), (12, 12)),  # 研制周期 without proof; seven indicators were not handed in
    "M19 plant": ((1, 4), (2, 4), (2, 4)),  # the scheduler rests on Sundays
    "M20 plant": ((2, 5), (2, 5), (3, 5)),  # 运营管理 is being built
    "M21 line:L1": (
        (902_000_000, 100),
        (1_052_000_000, 100),
        (1_118_000_000, 100),
    ),  # fen: 420+186+168+128; +150; +66 万元
    "M23 plant": ((2, 4), (3, 4), (3, 4)),  # no sensor of a class of its own; the palletizer is in no record
    "M25 plant": ((2, 4), (3, 4), (3, 4)),  # WMS since 60 days; PDM fails every ninth day
    "M27 plant": ((1, 2), (1, 2), (2, 2)),  # the model of the leak test never changed anything
    "FIN plant": ((8_640_000_000, 100),) * 3,
}


@dataclass(frozen=True)
class Told:
    """What the API answers, and what `check --json` prints at the same ledger size."""

    listed: list[dict[str, Any]]
    api: dict[str, str]
    basic: str
    line: dict[str, str]

    def body(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.line[name])
        return found


@pytest.fixture(scope="module")
def reports(demo: Demo) -> Told:
    with served(demo.folder) as get:
        listed = json.loads(get("api/v1/instruments"))["instruments"]
        api = {name: get(f"api/v1/reports/{name}") for name in INSTRUMENTS}
        basic = get("api/v1/reports/CN-GS/GS25?level=basic")
    line = {}
    for name, answer in api.items():
        size = str(json.loads(answer)["size"])
        done = plantproof("check", "--rules", name, "--json", "--size", size, "--data", str(demo.folder))
        assert done.returncode == 3, done.stderr
        line[name] = done.stdout
    return Told(listed, api, basic, line)


@pytest.fixture(scope="module")
def words(demo: Demo) -> str:
    """Every instrument as a person reads it."""
    done = plantproof("check", "--all", "--data", str(demo.folder))
    assert done.returncode == 3, done.stderr
    return done.stdout


def today(demo: Demo) -> date:
    with (demo.folder / "truth.jsonl").open(encoding="utf-8") as file:
        return date.fromisoformat(json.loads(file.readline())["today"])


def at_level(assessment: dict[str, Any], level: dict[str, Any]) -> list[str]:
    verdicts = {v["criterion"]: dict(v["by_level"]).get(level["id"], v["verdict"]) for v in assessment["verdicts"]}
    return [verdicts[c] for c in level["criteria"]]


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_each_instrument_says_its_standing_wherever_its_name_appears(
    name: str, demo: Demo, reports: Told, words: str
) -> None:
    standing, mark = STANDING[name]
    instrument = reports.body(name)["instrument"]
    assert (instrument["id"], instrument["standing"]) == (name, standing)
    bare = instrument["title"].removesuffix("（征求意见稿）")
    assert instrument["name"] == bare + mark
    due = plantproof("deadlines", "--rules", name, "--data", str(demo.folder)).stdout
    for text in (words, due):
        assert text.count(bare) == text.count(bare + mark) > 0


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_criterion_of_every_level_is_judged_exactly_once(name: str, reports: Told) -> None:
    body = reports.body(name)
    assert body["references"] or name == "CN-SD/SD22"
    for assessment in (body, *body["references"]):
        ids = [c["id"] for c in assessment["criteria"]]
        assert len(ids) == len(set(ids))
        assert [v["criterion"] for v in assessment["verdicts"]] == ids
        for level in assessment["levels"]:
            named = [c["id"] for c in assessment["criteria"] if level["id"] in c["levels"]]
            assert sorted(level["criteria"]) == sorted(named)
            assert level["verdict"] != "met"


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_verdicts_are_as_many_of_each_kind_as_the_story_implies(name: str, reports: Told) -> None:
    body = reports.body(name)
    kinds = ("short", "insufficient_data", "declared_only", "needs_judgement")
    found = {}
    for level in body["levels"]:
        verdicts = Counter(at_level(body, level))
        assert not set(verdicts) - set(kinds)
        found[level["id"]] = tuple(verdicts[k] for k in kinds)
    assert found == COUNTS[name]


def test_adopted_references_are_judged_too(reports: Told) -> None:
    for name in ("CN-GS/GS25", "CN-SD/SD25", "CN-TJ/TJ"):
        adopted = {r["instrument"]["id"]: r for r in reports.body(name)["references"]}
        elements = adopted["CN/ELEMENTS25"]
        assert {x["id"]: x["verdict"] for x in elements["levels"]} == dict.fromkeys(
            ("basic", "advanced", "excellent", "leading"), "short"
        )
        ai = next(v for v in elements["verdicts"] if v["criterion"] == "ELEMENTS25-ai-E")
        assert ai["judged"][0]["lower"] == [1, 4]
        assert "CN/SCENES25" in adopted


def test_all_instruments_stand_on_the_same_numbers(reports: Told) -> None:
    bodies = [reports.body(name) for name in INSTRUMENTS]
    measured = [
        {
            f"{r['metric']} {r['scope']}": (r["lower"], r["value"], r["upper"])
            for r in b["results"]
            if r["metric"] != "M20"
        }
        for b in bodies
    ]
    assert all(m == measured[0] for m in measured)  # M20 counts the stages of the guide that an instrument adopts


def test_numbers_of_the_records_are_those_worked_out_by_hand(reports: Told) -> None:
    results = {f"{r['metric']} {r['scope']}": r for r in reports.body("CN-GS/GS25")["results"]}
    for key, bounds in BY_HAND.items():
        found = results[key]
        assert [tuple(found[k]) for k in ("lower", "value", "upper")] == list(bounds), key
    assert {r["metric"] for r in results.values()} == set(TITLES)  # none was forgotten
    assert len(results) == 37  # eight of them for line and plant


def test_what_is_missing_is_named_as_things_a_person_can_act_on(demo: Demo, reports: Told) -> None:
    verdicts = {v["criterion"]: v for v in reports.body("CN-GS/GS25")["verdicts"]}
    assert (verdicts["GS25-12-3-3d"]["distance"], verdicts["GS25-12-3-3d"]["needs"][0][0]) == (1, "L1-5AX-01")
    assert [n[0] for n in verdicts["GS25-12-3-3a"]["needs"]] == ["TZ-05", "TZ-06"]
    assert verdicts["GS25-12-4-5b"]["distance"] == 9
    why = plantproof("check", "--why", "GS25-12-4-3b", "--data", str(demo.folder))
    assert why.returncode == 3, why.stderr
    for words in ("第十二条(四)3", "11/20", "L1-CNC-05", "还差"):
        assert words in why.stdout


def test_api_and_command_line_give_the_same_bytes(reports: Told) -> None:
    assert {i["id"] for i in reports.listed} == set(INSTRUMENTS)
    assert all(i["name"].endswith(STANDING[i["id"]][1]) for i in reports.listed)
    for name in INSTRUMENTS:
        assert reports.line[name] == reports.api[name], name
    assert report_bytes(only_level(json.loads(reports.api["CN-GS/GS25"]), "basic")).decode() == reports.basic


def test_deadlines_name_the_renewal_the_rename_and_the_expired_licence(demo: Demo, tmp_path: Path) -> None:
    calendar = tmp_path / "due.ics"
    done = plantproof("deadlines", "--json", "--ics", str(calendar), "--data", str(demo.folder))
    assert done.returncode == 3, done.stderr  # the licence is overdue
    found = {d["title"]: d for d in json.loads(done.stdout)["deadlines"]}
    day = today(demo)
    last = years_after(day - timedelta(days=960), 3) - timedelta(days=1)
    assert found["称号有效期届满"]["due"] == last.isoformat()
    assert found["申请复核"]["due"] == months_after(last, -3).isoformat()
    assert [r[1] for r in found["申请复核"]["readings"]] == [months_after(last, -3).isoformat(), last.isoformat()]
    assert found["报备重大变化"]["due"] == (day - timedelta(days=20) + timedelta(days=30)).isoformat()
    assert (found["材料到期"]["due"], found["材料到期"]["state"]) == ((day - timedelta(days=21)).isoformat(), "overdue")
    assert calendar.read_bytes().count(b"BEGIN:VALARM") >= 4
    levels = {x["id"]: x for x in json.loads(done.stdout)["levels"]}
    assert levels["scene"]["award"]["fen"] == 30_000_000  # 300,000 yuan, of which the cap leaves all
    assert levels["basic"]["award"]["fen"] == 70_000_000  # 1,000,000 less the scene's


def test_findings_ask_about_the_numbers_declared_too_high_and_the_rows_kept_aside(demo: Demo) -> None:
    done = plantproof("findings", "--json", "--data", str(demo.folder))
    assert done.returncode == 3, done.stderr
    found = {f["code"]: f for f in json.loads(done.stdout)["findings"]}
    assert set(found) == {"declared_differs", "rows_quarantined"}  # nothing else in the story is odd
    assert [row[0] for row in found["declared_differs"]["rows"]] == ["M01", "M06"]
    assert sum(int(row[3]) for row in found["rows_quarantined"]["rows"]) == 5


def test_records_and_register_show_what_was_handed_in(demo: Demo) -> None:
    data = ("--data", str(demo.folder))
    kept = json.loads(plantproof("records", "quarantine", "--json", *data).stdout)
    assert len(kept) == 5
    register = plantproof("register", "show", *data)
    assert register.returncode == 0
    assert "报废" in register.stdout
    rework = child_of_rework(demo)
    shown = plantproof("records", "show", rework, *data)
    assert shown.returncode == 0, shown.stderr
    assert "返工" in shown.stdout
    checked = plantproof("document", "check", *data)
    assert checked.returncode == 3  # every paper is there; one is out of date
    assert "SQ-01" in checked.stdout


def child_of_rework(demo: Demo) -> str:
    for path in sorted((demo.folder / "records").glob("*/links.csv")):
        for line in path.read_text("utf-8").splitlines():
            if ",rework," in line:
                return line.split(",")[1]
    raise AssertionError("no rework was handed in")
