"""The child that makes the numbers: one at a time, with a limit, its failure told."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from evidence_api.web.report import ReportKeeper, check_command
from evidence_api.web.sources import Sources
from tests.evidence_api.web.plant_folder import Plant, report_body

EXAMPLE = "import os, sys, time; "


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", EXAMPLE + code)


@pytest.fixture
def report(plant: Plant, tmp_path: Path) -> Path:
    """A report as `check --json` prints it."""
    path = tmp_path / "printed.json"
    path.write_text(json.dumps(report_body(plant.folder, 7, True)))
    return path


async def test_output_of_the_child_becomes_the_report(tmp_path: Path, report: Path) -> None:
    # 3: below the bar, which is an answer
    keeper = ReportKeeper(tmp_path, child(f"print(open({str(report)!r}).read()); sys.exit(3)"))
    assert keeper.view().body is None
    assert await keeper.refresh()
    view = keeper.view()
    assert (view.size, view.problem, view.running) == (7, "", False)
    assert view.older_than(7)
    assert not view.older_than(6)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('no config', file=sys.stderr); sys.exit(4)", "退出码 4: no config"),
        ("print('{}')", "不合格式"),
        ("print('Traceback')", "不合格式"),
    ],
)
async def test_a_child_that_fails_leaves_the_old_report_and_its_last_words(
    tmp_path: Path, report: Path, code: str, words: str
) -> None:
    shutil.copy(report, tmp_path / "report.json")
    keeper = ReportKeeper(tmp_path, child(code))
    assert not await keeper.refresh()
    assert words in keeper.view().problem
    assert keeper.view().size == 7


async def test_a_child_that_does_not_end_is_ended(tmp_path: Path) -> None:
    keeper = ReportKeeper(tmp_path, child("time.sleep(600)"), timeout_s=0.2)
    assert not await keeper.refresh()
    assert "没有结束" in keeper.view().problem


async def test_a_command_that_is_not_there_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    keeper = ReportKeeper(tmp_path, ("/nonexistent/plantproof",))
    assert not await keeper.refresh()
    assert "无法启动" in keeper.view().problem


async def test_two_who_ask_share_one_child(tmp_path: Path, report: Path) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x'); print(open({str(report)!r}).read())"
    keeper = ReportKeeper(tmp_path, child(code))
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
    assert words[-4:] == ("check", "--json", "--data", str(tmp_path))


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
