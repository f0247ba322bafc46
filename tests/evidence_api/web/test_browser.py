"""The page in Debian's chromium: nothing that its policy forbids, nothing asked of another host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.evidence_api.web.plant_folder import Plant
from tests.evidence_api.web.test_serve import serving

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --dump-dom"
).split()


@pytest.fixture
def chromium() -> str:
    """The browser; its absence is an error where everything is required (CI)."""
    path = shutil.which("chromium")
    if path is None and os.environ.get("PLANTPROOF_REQUIRE") != "all":
        pytest.skip("chromium is not installed")
    assert path, "chromium is required (PLANTPROOF_REQUIRE=all) and not installed"
    return path


def test_browser_finds_no_policy_violation_and_no_foreign_address(plant: Plant, chromium: str, tmp_path: Path) -> None:
    with serving(plant) as (_, url):
        words = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", url]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert "模拟数据 · 不得用于申报" in done.stdout
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    assert "Content Security Policy" not in done.stderr
    foreign = [a for a in re.findall(r"https?://[^\"'<> ]+", done.stdout) if not a.startswith("http://www.w3.org/")]
    assert foreign == []
