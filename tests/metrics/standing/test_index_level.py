"""The level rule of the SME index as a dated table (CN/SMEINDEX24)."""

from __future__ import annotations

from metrics.standing.index_level import MICRO, index_level
from tests.metrics.standing.facts import rules

RULE = rules("CN/SMEINDEX24").index_rules[0]
STARRED, OTHERS = RULE.constrained, RULE.guiding


def test_level_two_needs_forty_points_six_scenes_and_three_of_them_starred() -> None:
    scenes = dict.fromkeys((*STARRED[:3], *OTHERS[:3]), 2)
    assert (found := index_level(RULE, 40 * MICRO, scenes))
    assert found.level == 2
    assert (found := index_level(RULE, 40 * MICRO - 1, scenes))
    assert found.level == 1
    fewer = dict.fromkeys((*STARRED[:2], *OTHERS[:4]), 2)
    assert (found := index_level(RULE, 40 * MICRO, fewer))
    assert found.level == 0
    assert any("★" in words for words in found.lacking)


def test_unknown_scenes_do_not_count_and_no_score_is_no_level() -> None:
    assert (found := index_level(RULE, 100 * MICRO, {f"自造场景{i}": 4 for i in range(20)}))
    assert found.level == 0
    assert index_level(RULE, None, dict.fromkeys(STARRED, 4)) is None


def test_the_highest_level_lacks_nothing() -> None:
    everything = dict.fromkeys((*STARRED, *OTHERS), 4)
    assert (found := index_level(RULE, 100 * MICRO, everything))
    assert (found.level, found.lacking) == (4, ())
