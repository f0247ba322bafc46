"""docs/findings.md names every check that is run."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[3]


def test_the_page_names_every_code() -> None:
    page = (FOLDER / "docs" / "findings.md").read_text(encoding="utf-8")
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (FOLDER / "metrics" / "findings").glob("*.py"))
    codes = set(re.findall(r'return finding\(\s*"([a-z_]+)"', sources))
    assert len(codes) >= 13
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []
