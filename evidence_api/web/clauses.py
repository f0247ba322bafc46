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

LEVEL_ZH = {"scene": "场景", "basic": "基础级", "advanced": "先进级"}  # the short words; titles are the instrument's
UNIT_ZH = {"machine": "台", "batch": "批", "day": "天", "challenge": "次"}
# judged by integers; the other words mean that a document or a person decides
EVALUATED = ("met", "simulated", "short", "insufficient_data")
# the worst word names a level: a single gap outweighs everything that is met
_WORST_FIRST = ("short", "insufficient_data", "simulated", "met")
_STATE_ZH: dict[str, str] = {
    **{str(k): v for k, v in VERDICT_ZH.items()},
    "simulated": "数字达标（模拟）",
    "unknown": "未评估",
}


@dataclass(frozen=True, slots=True)
class Clause:
    """A criterion at one of its levels, as the rules state it. threshold: (numerator, denominator) of a ratio bar, else None.

    judged_by: metric, document or person. scope_kind: plant or line, for a metric.
    """

    id: str
    level: str
    level_zh: str
    article: str
    name: str
    quote: str
    judged_by: str
    metric: str
    scope_kind: str
    threshold: tuple[int, int] | None
    threshold_words: str

    def judges(self, metric: str, scope: str) -> bool:
        """True when the clause is decided by results of that metric and scope (`plant`, `line:<id>`)."""
        return self.metric == metric and scope.partition(":")[0] == self.scope_kind


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rule set in force."""

    instrument: str
    title: str
    doc_no: str
    period: str
    clauses: tuple[Clause, ...]
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
    title: str
    verdict: str
    verdict_zh: str
    evaluated: int
    total: int
    note: str
    tally: tuple[TallyPart, ...]
    tally_words: str
    clauses: tuple[ClauseRow, ...]


def level_cards(book: RuleBook, report: Mapping[str, Any] | None) -> list[LevelCard]:
    """A card per level of the report, in ladder order; none before the first report."""
    if report is None:
        return []
    by_id = {v["criterion"]: v for v in report["verdicts"]}
    return [_card(level, book, by_id) for level in report["levels"]]


def headline(cards: Sequence[LevelCard]) -> list[str]:
    """One line for somebody who reads nothing else, level by level."""
    return [f"{card.name}：{_level_words(card)}" for card in cards] or ["达标情况尚未计算"]


def _level_words(card: LevelCard) -> str:
    gaps = sum(row.verdict == "short" for row in card.clauses)
    if gaps:
        return f"{gaps} 条差距"
    if card.verdict in ("met", "partly", "simulated"):
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


def _card(level: Mapping[str, Any], book: RuleBook, by_id: Mapping[str, Mapping[str, Any]]) -> LevelCard:
    mine = [c for c in book.clauses if c.level == level["id"] and c.id in by_id]
    rows = [row for row in (_clause_row(c, by_id[c.id]) for c in mine) if row.verdict in EVALUATED]
    counts = {key: sum(row.verdict == key for row in rows) for key in EVALUATED}
    total, evaluated = level["total"], level["evaluated"]
    papers = sum(c.judged_by == "document" for c in mine)
    left = total - evaluated
    worst = next((word for word in _WORST_FIRST if counts[word]), "unknown")
    key = "partly" if worst == "met" and left else worst
    said = "，".join(f"{_STATE_ZH[state]} {n}" for state, n in counts.items() if n)
    return LevelCard(
        name=LEVEL_ZH.get(level["id"], level["title"]),
        title=level["title"],
        verdict=key,
        verdict_zh=_STATE_ZH[key],
        evaluated=evaluated,
        total=total,
        note=f"其余：{papers} 条凭材料，{left - papers} 条须人工判断" if left else "",
        tally=_tally(counts, total),
        tally_words=f"{total} 条中已评估 {evaluated} 条：{said or '无'}",
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
