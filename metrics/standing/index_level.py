"""中小企业数字化水平: the level that a self-assessment's own answers come to, by the dated level rule of the index.

In: an `IndexRule` (config/rules/CN/SMEINDEX24.yaml), the base score and scene grades as recorded (kind index_scores).
Out: level 0 to 4 with what the next one lacks. It checks a report's stated level against its own answers and never replaces
the report. Scores are millionths of a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.ruleset import IndexLevel, IndexRule

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class IndexResult:
    """level: 0 below the first. lacking: what the next level still asks for, empty at the top."""

    level: int
    lacking: tuple[str, ...]


def index_level(rule: IndexRule, base_micro: int | None, scenes: Mapping[str, int]) -> IndexResult | None:
    """The highest level of which every part is reached; None without a base score: no data is no level."""
    if base_micro is None:
        return None
    reached, lacking = 0, tuple[str, ...]()
    for step in sorted(rule.levels, key=lambda s: s.level):
        lacking = _lacking(rule, step, base_micro, scenes)
        if lacking:
            break
        reached = step.level
    return IndexResult(reached, lacking)


def _lacking(rule: IndexRule, step: IndexLevel, base_micro: int, scenes: Mapping[str, int]) -> tuple[str, ...]:
    known = {*rule.constrained, *rule.guiding}
    there = {name for name, grade in scenes.items() if name in known and grade >= step.scene_level}
    starred = there & set(rule.constrained)
    found = []
    if base_micro < step.base_min * MICRO:
        found.append(f"{step.level} 级：基础得分应不低于 {step.base_min}")
    if len(there) < step.scenes_min:
        found.append(f"{step.level} 级：应有 {step.scenes_min} 个场景达到 {step.scene_level} 级，现有 {len(there)} 个")
    if len(starred) < step.constrained_min:
        found.append(f"{step.level} 级：其中带 ★ 的应有 {step.constrained_min} 个，现有 {len(starred)} 个")
    return tuple(found)
