"""Rules as dated law: an unknown date gives no rule, and a file that cannot be right is refused with its key path."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.ruleset import load_ruleset, parse_ruleset, shipped_rules
from metrics.registry import METRICS

BAD = Path(__file__).parents[1] / "bad" / "rules"
SAMPLE = Path(__file__).parents[1] / "rules" / "sample.yaml"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda p: p.stem)
def test_refused_rules_name_file_and_key_path(path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_ruleset(path.read_bytes(), path.name, METRICS)
    message = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
    assert str(refusal.value).startswith(path.name)
    assert message in str(refusal.value)


def test_sample_is_sound_so_that_each_bad_file_is_bad_for_one_reason() -> None:
    rules = parse_ruleset(SAMPLE.read_bytes(), SAMPLE.name, METRICS)
    assert rules.criteria[0].values[0].fraction == (70, 100)


def test_threshold_changes_on_its_day_and_ends_on_its_last() -> None:
    first = "{from: 2025-08-06, until: null, threshold: 70/100, threshold_by: instrument, as_written: 70%以上}"
    later = "{from: 2027-01-01, until: 2027-12-31, threshold: 80/100, threshold_by: definition, as_written: 修订}"
    text = SAMPLE.read_text(encoding="utf-8").replace(
        first, first.replace("until: null", "until: 2026-12-31") + "\n      - " + later
    )
    criterion = parse_ruleset(text.encode(), "sample", METRICS).criteria[0]
    found = [
        (day, value.fraction if (value := criterion.value_on(day)) else None)
        for day in (date(2025, 8, 5), date(2025, 8, 6), date(2026, 12, 31), date(2027, 1, 1), date(2028, 1, 1))
    ]
    assert [fraction for _, fraction in found] == [None, (70, 100), (70, 100), (80, 100), None]


def test_day_before_or_after_the_instrument_has_no_rule() -> None:
    rules = load_ruleset("GS25", METRICS)
    assert rules.criteria_on(date(2025, 8, 5)) == ()
    assert rules.criteria_on(date(2028, 8, 6)) == ()
    assert len(rules.criteria_on(date(2028, 8, 5))) == len(rules.criteria)


def test_unknown_instrument_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"ZZ99: 没有这个办法 .* 现有 GS25"):
        load_ruleset("ZZ99", METRICS)


def test_digest_is_that_of_the_file() -> None:
    import hashlib

    raw = shipped_rules()["GS25"].read_bytes()
    assert load_ruleset("GS25", METRICS).sha256 == hashlib.sha256(raw).hexdigest()
