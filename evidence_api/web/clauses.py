"""梯度: the clauses of the rule set in force and how far the report has come with them, level by level.

In: the dated rules (`config/rules/`), the instrument that the report names, its verdicts. Out: `RuleBook`, `LevelCard`s, the headline.
Clauses that this program does not evaluate are counted as such; judgement is never scored, and no level gets a percentage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence_api.web.wording import axis_percent
from metrics.result import VERDICT_ZH

LEVEL_ZH = {"scene": "场景", "basic": "基础级", "advanced": "先进级"}
UNIT_ZH = {"machine": "台", "batch": "批", "day": "天", "challenge": "次"}
# judged by integers; the other words mean that a document or a person decides
EVALUATED = ("met", "simulated", "short", "insufficient_data")
# the worst word names a level: a single gap outweighs everything that is met
_WORST_FIRST = ("short", "insufficient_data", "simulated", "met")
_STATE_ZH: dict[str, str] = {**{str(k): v for k, v in VERDICT_ZH.items()}, "simulated": "数字达标（模拟）", "unknown": "未评估"}


@dataclass(frozen=True, slots=True)
class Clause:
    """A criterion of one level, as the rules state it. threshold: (numerator, denominator) of a ratio bar, else None."""

    id: str
    level: str
    article: str
    name: str
    quote: str
    metric: str
    threshold: tuple[int, int] | None
    threshold_words: str
    scope_kind: str = "plant"  # plant | line

    def judges(self, metric: str, scope: str) -> bool:
        """True when the clause is decided by results of that metric and scope (`plant`, `line:<id>`)."""
        return self.metric == metric and scope.partition(":")[0] == self.scope_kind

    @property
    def level_zh(self) -> str:
        """场景, 基础级, 先进级."""
        return LEVEL_ZH.get(self.level, self.level)


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rule set in force. totals: clauses of each level in the regulation, evaluated here or not."""

    instrument: str
    title: str
    doc_no: str
    period: str
    clauses: tuple[Clause, ...]
    totals: Mapping[str, int]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TallyPart:
    """A stretch of a level's bar: how many clauses share a state."""

    key: str
    at: str
    width: str


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """One evaluated clause on a level card."""

    name: str
    quote: str
    article: str
    verdict: str
    state: str


@dataclass(frozen=True, slots=True)
class LevelCard:
    """One level: its word, how much of it is evaluated, and each evaluated clause."""

    name: str
    verdict: str
    verdict_zh: str
    evaluated: int
    total: int
    note: str
    tally: tuple[TallyPart, ...]
    tally_words: str
    clauses: tuple[ClauseRow, ...]


def level_cards(book: RuleBook, verdicts: Sequence[Mapping[str, Any]]) -> list[LevelCard]:
    """A card per level of the rule set, in ladder order."""
    by_id = {v["criterion"]: v for v in verdicts}
    return [_card(level, book, by_id) for level in LEVEL_ZH if any(c.level == level for c in book.clauses)]


def headline(book: RuleBook, verdicts: Sequence[Mapping[str, Any]]) -> str:
    """One line for somebody who reads nothing else."""
    cards = level_cards(book, verdicts)
    if not cards or not verdicts:
        return "达标情况尚未计算"
    return " · ".join(f"{card.name}{_level_words(card)}" for card in cards)


def _level_words(card: LevelCard) -> str:
    gaps = sum(row.verdict == "short" for row in card.clauses)
    if gaps:
        return f"有 {gaps} 条差距"
    if card.verdict in ("met", "simulated"):
        mark = "（模拟）" if card.verdict == "simulated" else ""
        return f"已评估的 {card.evaluated} 条数字达标{mark}"
    return card.verdict_zh


def state_of(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """The verdict's key and words. Numbers that reach the bar but are not live are shown as that, never as 达标."""
    reached = verdict["simulated"] and verdict.get("numbers") == "met"
    key = "simulated" if reached else verdict["verdict"]
    return key, _STATE_ZH.get(key, key)


def distance_words(verdict: Mapping[str, Any]) -> str:
    """`还差 1 台`, or nothing when the bar is reached or the distance unknown."""
    distance = verdict.get("distance")
    if not distance:
        return ""
    unit = verdict.get("distance_unit", "")
    return f"还差 {distance} {UNIT_ZH.get(unit, unit)}"


def _card(level: str, book: RuleBook, by_id: Mapping[str, Mapping[str, Any]]) -> LevelCard:
    mine = [(c, by_id[c.id]) for c in book.clauses if c.level == level and c.id in by_id]
    rows = [row for row in (_clause_row(c, v) for c, v in mine) if row.verdict in EVALUATED]
    counts = {key: sum(row.verdict == key for row in rows) for key in EVALUATED}
    total = max(book.totals.get(level, 0), len(rows))
    left = total - len(rows)
    worst = next((word for word in _WORST_FIRST if counts.get(word)), "unknown")
    said = "，".join(f"{_STATE_ZH[key]} {n}" for key, n in counts.items() if n)
    return LevelCard(
        name=LEVEL_ZH[level],
        verdict=worst,
        verdict_zh="已评估部分达标" if worst == "met" and left else _STATE_ZH[worst],
        evaluated=len(rows),
        total=total,
        note=f"其余 {left} 条凭材料或人工判断" if left else "",
        tally=_tally(counts, total),
        tally_words=f"{total} 条中已评估 {len(rows)} 条：{said or '无'}",
        clauses=tuple(sorted(rows, key=lambda row: _WORST_FIRST.index(row.verdict))),
    )


def _clause_row(clause: Clause, verdict: Mapping[str, Any]) -> ClauseRow:
    key, words = state_of(verdict)
    return ClauseRow(clause.name, clause.quote, clause.article, key, distance_words(verdict) or words)


def _tally(counts: Mapping[str, int], total: int) -> tuple[TallyPart, ...]:
    parts, done = [], 0
    for key, count in counts.items():
        if count:
            parts.append(TallyPart(key, axis_percent(done, total), axis_percent(count, total)))
            done += count
    return tuple(parts)
