"""The child that makes the numbers: one at a time, with a limit, its failure told."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evidence_api.web.app import create_app
from evidence_api.web.report import ReportKeeper, check_command
from evidence_api.web.sources import Sources
from tests.evidence_api.web.plant_folder import FACTS, Plant, browser, leave_reports, reports

EXAMPLE = "import os, sys, time; "


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", EXAMPLE + code)


@pytest.fixture
def made(plant: Plant, tmp_path: Path) -> Path:
    """Reports as `check --all --json-dir` writes them, in a folder of their own."""
    leave_reports(plant.folder, tmp_path / "made", reports(plant.folder, 7, True), FACTS)
    return tmp_path / "made"


def writes(made: Path, state: Path, code: int) -> tuple[str, ...]:
    """A child that leaves these reports and ends with that code."""
    return child(
        f"import shutil; shutil.copytree({str(made)!r}, {str(state / 'reports')!r}, dirs_exist_ok=True); sys.exit({code})"
    )


async def test_what_the_child_wrote_is_the_report(tmp_path: Path, made: Path) -> None:
    keeper = ReportKeeper(tmp_path, writes(made, tmp_path, 3))  # 3: below the bar, which is an answer
    assert keeper.view().body is None
    assert await keeper.refresh()
    view = keeper.view()
    assert (view.size, view.problem, view.running) == (7, "", False)
    assert view.instruments[0]["id"] == "CN-GS/GS25"
    assert view.body is not None
    assert view.body["instrument"]["id"] == "CN-GS/GS25"
    assert view.older_than(7)
    assert not view.older_than(6)


def printed(folder: Path, *words: str) -> bytes:
    """What `plantproof check --json` writes."""
    command = [sys.executable, "-m", "plantproof", "check", "--json", "--data", str(folder), *words]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr.decode()
    return done.stdout


async def test_what_the_api_serves_is_what_check_prints(plant: Plant) -> None:
    shutil.rmtree(plant.folder.state / "reports")
    keeper = ReportKeeper(plant.folder.state, check_command(plant.folder.path))
    assert await keeper.refresh(), keeper.view().problem
    size = str(keeper.view().size)
    async with browser(create_app(plant.folder.path, clock=plant.clock, command=())) as client:
        for name, level in (("CN-GS/GS25", ""), ("CN-SD/SD25", ""), ("CN-SD/SD22", "workshop"), ("CN-TJ/TJ", "basic")):
            answer = await client.get(f"/api/v1/reports/{name}?level={level}")
            assert answer.content == printed(plant.folder.path, "--rules", name, "--level", level, "--size", size)


async def test_each_instrument_is_found_by_its_id_or_the_last_part_of_it(tmp_path: Path, made: Path) -> None:
    keeper = ReportKeeper(tmp_path, writes(made, tmp_path, 0))
    await keeper.refresh()
    for name in ("CN-SD/SD22", "SD22"):
        view = keeper.view(name)
        assert view.body is not None
        assert view.body["instrument"]["id"] == "CN-SD/SD22"
    assert keeper.view("ZZ99").body is None
    assert keeper.raw("CN-TJ/TJ") == (made / "CN-TJ" / "TJ.json").read_bytes()
    with pytest.raises(ValueError, match="instrument"):
        keeper.raw("../../genesis")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('no config', file=sys.stderr); sys.exit(4)", "退出码 4: no config"),
        ("spoil", "没有写出合格的报告"),
    ],
)
async def test_a_child_that_fails_leaves_the_old_report_and_its_last_words(
    tmp_path: Path, made: Path, code: str, words: str
) -> None:
    shutil.copytree(made, tmp_path / "reports")
    if code == "spoil":
        code = f"open({str(tmp_path / 'reports' / 'index.json')!r}, 'w').write('{{}}')"
    keeper = ReportKeeper(tmp_path, child(code))
    assert not await keeper.refresh()
    view = keeper.view()
    assert words in view.problem or "不是 check 的输出" in view.problem
    assert view.size == (-1 if "没有写出" in words else 7)


def test_a_child_that_died_between_two_files_leaves_work_to_do_and_no_page_of_two_runs(
    plant: Plant, tmp_path: Path, made: Path
) -> None:
    shutil.copytree(made, tmp_path / "reports")
    leave_reports(plant.folder, tmp_path / "later", reports(plant.folder, 9, True), FACTS)
    shutil.copy(tmp_path / "later/CN-GS/GS25.json", tmp_path / "reports/CN-GS/GS25.json")
    view = ReportKeeper(tmp_path, ()).view()
    assert view.body is not None
    assert view.body["size"] == 9
    assert view.older_than(7)  # the other instruments are of the run before
    assert view.deadlines is None
    assert view.findings is None
    whole = ReportKeeper(tmp_path, ()).view("SD25")
    assert whole.deadlines is not None
    assert whole.findings is not None


async def test_a_child_that_does_not_end_is_ended(tmp_path: Path) -> None:
    keeper = ReportKeeper(tmp_path, child("time.sleep(600)"), timeout_s=0.2)
    assert not await keeper.refresh()
    assert "没有结束" in keeper.view().problem


async def test_a_command_that_is_not_there_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    keeper = ReportKeeper(tmp_path, ("/nonexistent/plantproof",))
    assert not await keeper.refresh()
    assert "无法启动" in keeper.view().problem


async def test_two_who_ask_share_one_child(tmp_path: Path, made: Path) -> None:
    count = tmp_path / "count"
    shutil.copytree(made, tmp_path / "reports")
    keeper = ReportKeeper(tmp_path, child(f"open({str(count)!r}, 'a').write('x')"))
    assert await asyncio.gather(keeper.refresh(), keeper.refresh()) == [True, True]
    assert count.read_text() == "x"


async def test_a_report_that_is_due_starts_the_child_and_cancelling_ends_it(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    keeper = ReportKeeper(tmp_path, child(f"open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"))
    task = asyncio.create_task(keeper.follow(lambda: True))
    pid = int(await asyncio.to_thread(started.read_text))  # waits until the child writes
    assert keeper.view().running
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_child_runs_this_interpreter_on_this_folder(tmp_path: Path) -> None:
    words = check_command(tmp_path)
    assert words[0] == sys.executable
    reports_folder = str(tmp_path / "state" / "reports")
    assert words[3:] == ("check", "--all", "--json", "--json-dir", reports_folder, "--data", str(tmp_path))


def test_a_report_is_due_when_a_seal_is_newer_and_the_ledger_has_rested(plant: Plant) -> None:
    entries = plant.folder.ledger / "entries.ndjson"
    sources = Sources(plant.folder, ReportKeeper(plant.folder.state, ()), plant.clock)
    at_s = plant.clock.now_us() / 1e6
    os.utime(entries, (at_s - 60, at_s - 60))
    assert not sources.report_due()  # up to date
    plant.write_report(size=4)
    assert sources.report_due()
    os.utime(entries, (at_s - 1, at_s - 1))  # still being written
    assert not sources.report_due()
