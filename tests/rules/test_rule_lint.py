"""The linter passes on all that is shipped, and fails on each mistake planted into a copy of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from config.metric_names import TITLES
from config.rule_lint import lint, lint_shelf
from config.rule_text import official_text
from config.rulebook import load_shelf, parse_ruleset, shipped_rules
from config.ruleset import RuleSet

GS25, SD25, TJ = "CN-GS/GS25", "CN-SD/SD25", "CN-TJ/TJ"
ELEMENTS = "CN/ELEMENTS25"

PLANTED = yaml.safe_load((Path(__file__).parent / "planted.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def shelf() -> dict[str, RuleSet]:
    return load_shelf(TITLES)


def test_all_shipped_files_say_what_their_texts_say(shelf: dict[str, RuleSet]) -> None:
    assert lint_shelf(shelf, {name: official_text(name) for name in shelf}) == []


@pytest.mark.parametrize("row", PLANTED, ids=[f"{i} {row['file']}" for i, row in enumerate(PLANTED)])
def test_planted_mistake_is_found(row: dict[str, str]) -> None:
    raw = shipped_rules()[row["file"]].read_text(encoding="utf-8")
    assert row["words"] in raw, "the file has changed: plant the mistake elsewhere"
    rules = parse_ruleset(raw.replace(row["words"], row["instead"], 1).encode(), row["file"], TITLES)
    problems = [str(problem) for problem in lint(rules, official_text(row["file"]))]
    assert any(row["said"] in problem for problem in problems), problems


def test_id_given_twice_in_two_files_is_found(shelf: dict[str, RuleSet]) -> None:
    raw = shipped_rules()[TJ].read_text(encoding="utf-8").replace("id: TJ-5-B-a", "id: SD25-10").encode()
    problems = lint_shelf(shelf | {TJ: parse_ruleset(raw, TJ, TITLES)}, {TJ: official_text(TJ)})
    assert any(f"{TJ}: SD25-10: 编号已用于 {SD25}" in str(problem) for problem in problems)


def _moved_bars(rules: RuleSet) -> Iterator[tuple[str, RuleSet]]:
    """Every threshold of the instrument's own words, one at a time a hundredth (or one) too low."""
    for i, criterion in enumerate(rules.criteria):
        if criterion.values and criterion.values[0].threshold_by == "instrument":
            value = criterion.values[0]
            lower = value.model_copy(update={"threshold": f"{value.fraction[0] - 1}/{value.fraction[1]}"})
            moved = criterion.model_copy(update={"values": (lower,)})
            yield (
                criterion.id,
                rules.model_copy(update={"criteria": (*rules.criteria[:i], moved, *rules.criteria[i + 1 :])}),
            )


@pytest.mark.parametrize("name", [GS25, SD25, TJ, ELEMENTS, "CN/GBT37393-2019"])
def test_no_bar_of_the_words_can_be_lowered_unseen(shelf: dict[str, RuleSet], name: str) -> None:
    moved = list(_moved_bars(shelf[name]))
    assert moved
    for criterion, rules in moved:
        assert any(f"criteria[{criterion}]" in str(p) for p in lint(rules, official_text(name))), criterion
