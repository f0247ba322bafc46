"""`plantproof serve`: says where it listens, ends when told, refuses what is not loopback or not a data folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evidence_api.web.cli import app
from tests.evidence_api.web.plant_folder import Plant

SERVE = "import sys; from evidence_api.web.cli import app; app(sys.argv[1:])"


@contextmanager
def serving(plant: Plant) -> Iterator[tuple[subprocess.Popen[str], str]]:
    words = ["--data", str(plant.folder.path), "--port", "0", "--json"]
    with subprocess.Popen([sys.executable, "-c", SERVE, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            text = process.stdout.readline()
            yield process, json.loads(text)["url"]
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serve_says_where_answers_and_ends_cleanly_when_told(plant: Plant, number: int, code: int) -> None:
    with serving(plant) as (process, url):
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert "总览" in answer.read().decode()
            assert "server" not in {name.lower() for name in answer.headers}
        assert json.loads((plant.folder.state / "web.json").read_text()) == {"pid": process.pid, "url": url}
        process.send_signal(number)
        assert process.wait(timeout=30) == code


def test_a_place_that_is_no_data_folder_is_named_with_exit_5(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--data", str(tmp_path / "nothing")])
    assert result.exit_code == 5
    assert "找不到数据目录" in result.stderr


def test_an_address_that_is_not_loopback_is_refused(plant: Plant) -> None:
    result = CliRunner().invoke(app, ["--data", str(plant.folder.path), "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "127.0.0.1" in result.stderr


def test_a_port_in_use_is_named_with_exit_5(plant: Plant) -> None:
    with serving(plant) as (_, url):
        port = url.rstrip("/").rpartition(":")[2]
        result = CliRunner().invoke(app, ["--data", str(plant.folder.path), "--port", port])
    assert result.exit_code == 5
    assert port in result.stderr
    assert "--port 0" in result.stderr
