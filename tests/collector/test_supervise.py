"""The supervisor: children that die are started again after a growing pause, hopeless ones end the run, a signal ends all in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collector import supervise

# stands in for `python -m plantproof`: each child writes what happens to it into a file of its name
FAKE = """
import signal, sys, time
name, kind = sys.argv[1:3]
file = open(name + ".log", "a", buffering=1)
def stop(number, frame):
    file.write("told to stop\\n")
    if kind == "stubborn":
        return
    time.sleep(0.2)
    file.write("ended in order\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
file.write("started\\n")
if kind.isdigit():
    sys.exit(int(kind))
while True:
    time.sleep(0.05)
"""
RUN = "import json, sys; from collector.supervise import supervise; sys.exit(supervise(json.loads(sys.argv[1])))"


class Supervised:
    """A supervisor in a process of its own, over fake children."""

    def __init__(self, place: Path, **kinds: str) -> None:
        import json

        (place / "plantproof.py").write_text(FAKE)
        self.place = place
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        body = json.dumps({name: [name, kind] for name, kind in kinds.items()})
        command = [sys.executable, "-c", RUN, body]
        self.process = subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True)

    def log(self, name: str) -> list[str]:
        """What a child wrote."""
        path = self.place / f"{name}.log"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, name: str, lines: int) -> None:
        """Until a child has written so many lines."""
        for _ in range(600):
            if len(self.log(name)) >= lines:
                return
            time.sleep(0.05)
        raise AssertionError(f"{name}: {self.log(name)}")

    def end(self) -> tuple[int, str]:
        """(exit code, stderr) once it has ended."""
        _, told = self.process.communicate(timeout=60)
        return self.process.returncode, told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_child_in_order_and_the_run_with_0(tmp_path: Path, number: signal.Signals) -> None:
    run = Supervised(tmp_path, collector="good", web="good")
    run.wait_for("collector", 1)
    run.wait_for("web", 1)
    run.process.send_signal(number)
    assert run.end()[0] == 0
    assert run.log("collector") == run.log("web") == ["started", "told to stop", "ended in order"]


def test_a_child_that_does_not_end_is_killed_and_the_others_are_not_kept_waiting(tmp_path: Path) -> None:
    run = Supervised(tmp_path, collector="good", web="stubborn")
    run.wait_for("web", 1)
    run.wait_for("collector", 1)
    run.process.terminate()
    code, told = run.end()
    assert code == 0
    assert "web: 未在" in told
    assert run.log("collector")[-1] == "ended in order"
    assert supervise.STOP_WITHIN_S < 5


@pytest.mark.parametrize("code", supervise.HOPELESS)
def test_a_child_that_cannot_work_ends_the_run_with_its_code(tmp_path: Path, code: int) -> None:
    run = Supervised(tmp_path, collector=str(code), web="good")
    assert run.end()[0] == code
    assert "started" in run.log("collector")
    assert run.log("web") in (["started", "told to stop", "ended in order"], [])  # perhaps told before it had begun


def test_a_child_that_crashes_is_started_again(tmp_path: Path) -> None:
    run = Supervised(tmp_path, collector="good", web="1")
    run.wait_for("web", 2)
    run.process.terminate()
    code, told = run.end()
    assert code == 0
    assert "web: 进程已退出 (ended with 1)，重新启动" in told
    assert run.log("collector") == ["started", "told to stop", "ended in order"]


class FakeProcess:
    """A process that has always ended already."""

    def poll(self) -> int:
        return 1


def test_the_pause_before_a_restart_doubles_to_a_minute_and_is_forgiven_after_steady_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    started: list[float] = []

    def popen(*_args: Any, **_kwargs: Any) -> FakeProcess:
        started.append(now[0])
        return FakeProcess()

    monkeypatch.setattr("collector.supervise.time.monotonic", lambda: now[0])
    monkeypatch.setattr("collector.supervise.subprocess.Popen", popen)
    child = supervise._start("web", ["x"])
    while len(started) < 10:
        now[0] += 0.25
        assert supervise._look_after(child) == 0
    pauses = [b - a for a, b in pairwise(started)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    now[0] += supervise.STEADY_S + 1
    supervise._look_after(child)
    assert child.pause_s == supervise.FIRST_PAUSE_S
