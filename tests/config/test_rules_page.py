"""docs/rules.md names every key of a rules file and every shipped file; one without its line fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from config.procedures import Procedure, ProcedureValue
from config.rulebook import shipped_rules
from config.ruleset import (
    AdoptedEdition,
    Adoption,
    Criterion,
    DatedValue,
    DocumentNeed,
    EventBar,
    IndexLevel,
    IndexRule,
    Level,
    RuleSet,
    Scene,
    Shown,
)

PAGE = (Path(__file__).parents[2] / "docs/rules.md").read_text(encoding="utf-8")
COMPUTED = ("sha256",)
MODELS = [
    RuleSet,
    Level,
    Shown,
    Adoption,
    AdoptedEdition,
    Criterion,
    DatedValue,
    DocumentNeed,
    EventBar,
    Procedure,
    ProcedureValue,
    Scene,
    IndexRule,
    IndexLevel,
]


@pytest.mark.parametrize("model", MODELS)
def test_the_page_names_every_key(model: type[BaseModel]) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items() if name not in COMPUTED]
    code = set(re.findall(r"\w+", " ".join(PAGE.split("`")[1::2])))
    assert [key for key in keys if key not in code] == []


def test_the_page_names_every_shipped_file() -> None:
    assert [name for name in shipped_rules() if f"`{name}`" not in PAGE] == []
