"""One run of the real demo for all end-to-end tests: the command a visitor types, in processes of its own."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "data"
    done = plantproof("demo", "--once", "--data", str(folder), "--port", "0", timeout_s=280)
    assert done.returncode == 0, done.stderr
    (pack,) = (folder / "packs").glob("*-DEMO.zip")
    return Demo(folder, pack, done.stderr)
