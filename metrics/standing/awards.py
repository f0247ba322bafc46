"""奖励测算: at most how much an award can still be, in 万元, by the instrument's caps and what was already paid.

GS25 第十八条 to 第二十条: pay = max(0, min(total cap - paid for all, level cap - paid for lower levels)); scenes besides
min(… , scene cap - paid for scenes); 卓越级 and 领航级 outside the total; nothing after a revocation under 第二十四条、第二十五条.
All of it is 最高: a ceiling, never a promise. Amounts are fen inside, so that no rounding happens. Undetermined: no award rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from config.procedures import Procedure
from config.ruleset import RuleSet
from metrics.standing.facts import LEVEL_ZH, Facts
from metrics.standing.losses import causes_of
from metrics.standing.titles import procedures_of, value_read

WAN_FEN = 10_000 * 100
LADDER = ("scene", "basic", "advanced", "excellent", "leading")


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Most that may be paid for a level. steps: how it came about, each with its article. fen None: the instrument names no award."""

    level: str
    fen: int | None
    steps: tuple[tuple[str, str], ...]


def award_ceiling(rules: RuleSet, level: str, day: date, facts: Facts) -> Ceiling:
    """The ceiling of one more award for `level` on a day."""
    capping = next((p for p in procedures_of(rules, "award", level) if level in _caps(rules, p, day)), None)
    if capping is None:
        return Ceiling(level, None, (("", "本办法没有写这一梯次的奖励"),))
    forfeited = _forfeited(rules, facts, day)
    if forfeited:
        return Ceiling(level, 0, (forfeited,))
    cap = _caps(rules, capping, day)[level] * WAN_FEN
    steps = [(capping.article, f"最高 {wan_words(cap)}"), *_unexplained(rules, facts, day)]
    left = cap
    if not capping.outside_total:
        for rule in procedures_of(rules, "award", level):
            left = min(left, _after_rule(rules, rule, level, day, facts, cap, steps))
    return Ceiling(level, max(0, left), tuple(steps))


def _after_rule(
    rules: RuleSet, rule: Procedure, level: str, day: date, facts: Facts, cap: int, steps: list[tuple[str, str]]
) -> int:
    """What one rule of accumulation leaves."""
    value = value_read(rules, rule, day)
    left = cap
    if value is None or rule.outside_total:
        return left
    if value.total_cap_wan is not None:
        counted = {*rule.levels, *rule.includes_legacy}
        paid = _paid(facts, counted, day)
        left = min(left, value.total_cap_wan * WAN_FEN - paid)
        steps.append((rule.article, f"累计不超过 {value.total_cap_wan} 万元，已得 {wan_words(paid)}"))
    if rule.deducts_lower:
        lower = set(LADDER[: LADDER.index(level)]) & set(rule.levels) if level in LADDER else set()
        paid = _paid(facts, lower, day)
        if paid:
            left = min(left, cap - paid)
            steps.append((rule.article, f"扣除较低梯次已得 {wan_words(paid)}"))
    if level in value.level_total_cap_wan:
        limit = value.level_total_cap_wan[level]
        paid = _paid(facts, {level}, day)
        left = min(left, limit * WAN_FEN - paid)
        steps.append((rule.article, f"{LEVEL_ZH[level]}累计不超过 {limit} 万元，已得 {wan_words(paid)}"))
    return left


def _forfeited(rules: RuleSet, facts: Facts, day: date) -> tuple[str, str] | None:
    """The rule under which a later title earns nothing, when something on record took a title by it."""
    lost = [t for t in facts.titles if t.lost_by(day)]
    for rule in _forfeiting(rules):
        for title in lost:
            if causes_of(rules, rule, title, facts, day):
                return rule.article, f"{title.name} 因故取消或降格后，获评不再给予资金奖励"
    return None


def _unexplained(rules: RuleSet, facts: Facts, day: date) -> list[tuple[str, str]]:
    """A lost title without a recorded cause: the ceiling may be nothing at all."""
    articles = "、".join(dict.fromkeys(rule.article for rule in _forfeiting(rules)))
    lost = "、".join(t.name for t in facts.titles if t.lost_by(day))
    return [(articles, f"{lost} 取消或降格的原因没有登记，若属所列情形则为 0")] if lost and articles else []


def _forfeiting(rules: RuleSet) -> list[Procedure]:
    taking = (*procedures_of(rules, "revocation"), *procedures_of(rules, "whistleblow"))
    return [rule for rule in taking if rule.award_after == "none"]


def _caps(rules: RuleSet, rule: Procedure, day: date) -> dict[str, int]:
    value = value_read(rules, rule, day)
    return value.caps_wan if value else {}


def _paid(facts: Facts, levels: set[str], day: date) -> int:
    return sum(a.amount_fen for a in facts.awards if a.level in levels and a.paid_on <= day)


def wan_words(fen: int) -> str:
    """`69.5 万元`, exact."""
    whole, rest = divmod(fen, WAN_FEN)
    return f"{whole} 万元" if not rest else f"{whole}.{rest:06d}".rstrip("0") + " 万元"
