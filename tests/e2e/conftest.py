"""One run of the real demo for all end-to-end tests: the command a visitor types, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Demo:
    """What `plantproof demo --once` left behind."""

    folder: Path
    pack: Path
    talk: str


def plantproof(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """The command line as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "plantproof", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


@contextmanager
def served(folder: Path) -> Iterator[Callable[[str], str]]:
    """`plantproof serve` over a folder: get(path) -> body, once its report has been made."""
    command = [sys.executable, "-m", "plantproof", "serve", "--data", str(folder), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]

            def get(path: str) -> str:
                with urllib.request.urlopen(url + path, timeout=30) as answer:
                    return str(answer.read().decode())

            for _ in range(300):
                if json.loads(get("api/v1/ratios"))["ratios"]:
                    break
                time.sleep(0.2)
            yield get
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "data"
    done = plantproof("demo", "--once", "--data", str(folder), "--port", "0", timeout_s=540)
    assert done.returncode == 0, done.stderr
    (pack,) = (folder / "packs").glob("*-DEMO.zip")
    return Demo(folder, pack, done.stderr)
