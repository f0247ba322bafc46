"""`plantproof run`: real sockets, supervisor, collector, page; ended by SIGTERM within 5 s, brought back after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from collector.clock import SystemClock
from collector.folder import open_folder
from collector.ledger import log
from collector.revisions import apply_register
from simulators.story import Story
from simulators.workshop import Ports, register_toml
from tests.e2e.conftest import plantproof

COMMAND = [sys.executable, "-m", "plantproof"]


def wait_for(test: Callable[[], Any], seconds: float = 60) -> Any:
    """What `test` returns, once it is true."""
    for _ in range(int(seconds * 10)):
        if found := test():
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing after {seconds} s")


@pytest.fixture
def ports() -> Iterator[Ports]:
    with subprocess.Popen([*COMMAND, "simulate"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Ports(**json.loads(process.stdout.readline()))
        process.terminate()


@pytest.fixture
def site(tmp_path: Path, ports: Ports) -> Path:
    """What an engineer does first: init, then the register."""
    config, data = tmp_path / "plantproof.toml", tmp_path / "data"
    plant = ["--name", "兰州某阀门有限公司", "--credit-code", "91620100MA71ABCD1X"]
    done = plantproof("init", *plant, "--config", str(config), "--data", str(data))
    assert done.returncode == 0, done.stderr
    register = tmp_path / "register.toml"
    register.write_text(register_toml(Story(date(2026, 11, 22)), 2, ports))
    done = plantproof("register", "apply", str(register), "--reason", "首次建立", "--yes", "--data", str(data))
    assert done.returncode == 0, done.stderr
    return tmp_path


def state(site: Path) -> dict[str, Any]:
    path = site / "data" / "state" / "devices.json"
    return json.loads(path.read_text()) if path.exists() else {"running": False, "devices": {}}


def collector_pid(supervisor: int) -> int:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = entry.read_text().rsplit(")", 1)
            line = (entry.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(rest.split()[1]) == supervisor and b"collect" in line.split(b"\0"):
            return int(name.split()[0])
    return 0


def test_run_collects_serves_survives_kill_and_ends_on_sigterm(site: Path) -> None:
    where = ["--data", str(site / "data"), "--config", str(site / "plantproof.toml"), "--port", "0"]
    process = subprocess.Popen([*COMMAND, "run", *where])
    try:
        answered = wait_for(lambda: sum(d["outcome"] == "ok" for d in state(site)["devices"].values()) >= 20)
        assert answered
        web = site / "data" / "state" / "web.json"
        assert wait_for(web.exists)
        url = json.loads(web.read_text())["url"]
        with urllib.request.urlopen(url + "api/v1/health", timeout=30) as answer:
            assert json.loads(answer.read())["collector_running"]
        first = wait_for(lambda: collector_pid(process.pid))
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: collector_pid(process.pid) not in (0, first))
        starts = wait_for(lambda: len(log.read_of(site / "data/ledger", "start")) == 2)
        assert starts
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
    assert log.last_of(site / "data/ledger", "stop") is not None
    assert not state(site)["running"]
    assert plantproof("ledger", "verify", "--data", str(site / "data")).returncode == 0


def test_a_killed_supervisor_takes_its_processes_along(site: Path) -> None:
    where = ["--data", str(site / "data"), "--config", str(site / "plantproof.toml"), "--port", "0"]
    process = subprocess.Popen([*COMMAND, "run", *where])
    try:
        wait_for(lambda: state(site)["devices"])
        collector = collector_pid(process.pid)
    finally:
        process.kill()
        process.wait()
    wait_for(
        lambda: (
            not Path(f"/proc/{collector}").exists() or "\nState:\tZ" in Path(f"/proc/{collector}/status").read_text()
        )
    )
    assert log.last_of(site / "data/ledger", "stop") is not None  # it ended in order


def test_a_register_applied_while_running_is_followed(site: Path) -> None:
    where = ["--data", str(site / "data"), "--config", str(site / "plantproof.toml")]
    process = subprocess.Popen([*COMMAND, "collect", *where])
    try:
        wait_for(lambda: len(state(site)["devices"]) >= 20)
        text = (site / "register.toml").read_text().replace('"L3-PAL-01"', '"L3-PAL-02"')
        (site / "register.toml").write_text(text)
        apply_register(open_folder(site / "data"), site / "register.toml", "换号", SystemClock(), "设备科")
        wait_for(lambda: "L3-PAL-02" in state(site)["devices"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_a_folder_without_a_register_ends_the_run_with_4(tmp_path: Path) -> None:
    plant = ["--name", "某厂", "--credit-code", "91620100MA71ABCD1X"]
    data = str(tmp_path / "data")
    assert plantproof("init", *plant, "--config", str(tmp_path / "p.toml"), "--data", data).returncode == 0
    done = plantproof("run", "--data", data, "--config", str(tmp_path / "p.toml"), "--port", "0")
    assert done.returncode == 4
    assert "register apply" in done.stderr
