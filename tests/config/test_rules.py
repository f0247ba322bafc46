"""Rules as dated law: an unknown date gives no rule, and a file that cannot be right is refused with its key path."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ConfigError, Problem
from config.metric_names import TITLES
from config.rulebook import load_ruleset, parse_ruleset, shipped_rules

BAD = Path(__file__).parents[1] / "bad" / "rules"
SAMPLE = Path(__file__).parents[1] / "rules" / "sample.yaml"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda p: p.stem)
def test_refused_rules_name_file_and_key_path(path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_ruleset(path.read_bytes(), path.name, TITLES)
    message = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
    assert str(refusal.value).startswith(path.name)
    assert message in str(refusal.value)


def test_sample_is_sound_so_that_each_bad_file_is_bad_for_one_reason() -> None:
    rules = parse_ruleset(SAMPLE.read_bytes(), SAMPLE.name, TITLES)
    assert rules.criteria[0].values[0].fraction == (70, 100)


def test_threshold_changes_on_its_day_and_ends_on_its_last() -> None:
    first = "{from: 2025-08-06, until: null, threshold: 70/100, threshold_by: instrument, as_written: 70%以上}"
    later = "{from: 2027-01-01, until: 2027-12-31, threshold: 80/100, threshold_by: definition, as_written: 数控化率}"
    text = SAMPLE.read_text(encoding="utf-8").replace(
        first, first.replace("until: null", "until: 2026-12-31") + "\n      - " + later
    )
    criterion = parse_ruleset(text.encode(), "sample", TITLES).criteria[0]
    found = [
        (day, value.fraction if (value := criterion.value_on(day)) else None)
        for day in (date(2025, 8, 5), date(2025, 8, 6), date(2026, 12, 31), date(2027, 1, 1), date(2028, 1, 1))
    ]
    assert [fraction for _, fraction in found] == [None, (70, 100), (70, 100), (80, 100), None]


def test_day_before_the_instrument_has_no_rule_and_after_it_the_last_rules_are_read_as_expired() -> None:
    rules = load_ruleset("GS25", TITLES)
    assert rules.criteria_on(date(2025, 8, 5)) == ()
    assert rules.standing(date(2025, 8, 5)) == "not_yet"
    assert rules.standing(date(2028, 8, 5)) == "binding"
    assert rules.standing(date(2028, 8, 6)) == "expired"
    assert len(rules.criteria_on(date(2028, 8, 6))) == len(rules.criteria_on(date(2028, 8, 5))) == len(rules.criteria)


def test_words_no_and_on_are_words_and_not_truth_values() -> None:
    guide = load_ruleset("SCENES25", TITLES)
    assert [scene.no for scene in guide.scenes] == list(range(1, 41))


def test_unknown_instrument_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"ZZ99: 没有这个办法 .* 现有 .*CN-GS/GS25"):
        load_ruleset("ZZ99", TITLES)


def test_name_no_file_can_have_is_no_instrument() -> None:
    for name in ("x" * 5000, "a\0b", ""):
        with pytest.raises(ConfigError, match="没有这个办法"):
            load_ruleset(name, TITLES)


def test_digest_is_that_of_the_file() -> None:
    import hashlib

    raw = shipped_rules()["CN-GS/GS25"].read_bytes()
    assert load_ruleset("GS25", TITLES).sha256 == hashlib.sha256(raw).hexdigest()


@given(
    st.integers(0, 4000),
    st.integers(0, 40),
    st.one_of(st.binary(max_size=12), st.text("{}[]:-,&*!?|>#'\"\n 0129a是", max_size=12)),
)
@settings(max_examples=150, deadline=None)
def test_damaged_file_is_a_rule_set_or_a_list_of_problems_and_nothing_else(at: int, cut: int, put: bytes | str) -> None:
    raw = SAMPLE.read_bytes()
    at %= len(raw)
    damaged = raw[:at] + (put if isinstance(put, bytes) else put.encode()) + raw[at + cut :]
    problems: list[Problem] | None = None
    try:
        parse_ruleset(damaged, "damaged.yaml", TITLES)
    except ConfigError as refusal:
        problems = refusal.problems
    assert problems is None or (problems and all(p.file == "damaged.yaml" and p.message for p in problems))
