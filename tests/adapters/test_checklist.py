"""adapters/CHECKLIST.yaml: every adapter answers every claim, and every `done` names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from adapters.registry import ADAPTERS

ROOT = Path(__file__).parents[2]
CHECKLIST = yaml.safe_load((ROOT / "adapters/CHECKLIST.yaml").read_text(encoding="utf-8"))


def test_the_checklist_covers_exactly_the_registry() -> None:
    assert set(CHECKLIST) == set(ADAPTERS)


def test_every_adapter_answers_the_same_claims() -> None:
    claims = [set(rows) for rows in CHECKLIST.values()]
    assert all(c == claims[0] for c in claims)


@pytest.mark.parametrize("protocol", sorted(CHECKLIST))
def test_done_names_a_test_that_exists_and_the_rest_a_reason(protocol: str) -> None:
    for claim, row in CHECKLIST[protocol].items():
        if row["status"] == "done":
            file, _, name = row["test"].partition("::")
            text = (ROOT / "tests/adapters" / file).read_text(encoding="utf-8")
            assert re.search(rf"def {name}\(", text), f"{protocol}.{claim}: expected {name} in {file}, found none"
        else:
            assert row["status"] in ("todo", "exempt")
            assert row["reason"]
