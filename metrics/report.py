"""自评报告: all results and verdicts of one moment, and what they add up to for each level.

In: results, verdicts, the rules. Out: `Report` and its JSON (integers, strings, booleans): what `plantproof check --json` prints,
what the page shows and what a `result` leaf hashes. The same bytes for the same folder, moment and ledger size.
A level is met only when every hard criterion is: criteria that nobody evaluated here keep it open, never met.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from config.ruleset import Criterion, RuleSet
from metrics.result import MetricResult, Verdict, VerdictWord

FORMAT = "plantproof-report/1"
EVALUATED: tuple[VerdictWord, ...] = ("met", "short", "insufficient_data")
# the first that some hard criterion has, names the level
_ORDER: tuple[VerdictWord, ...] = (
    "short",
    "insufficient_data",
    "needs_judgement",
    "declared_only",
    "not_applicable",
    "met",
)


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """One level: how many criteria it has, how many were evaluated by numbers, how many of those are met."""

    id: str
    title: str
    verdict: VerdictWord
    total: int
    evaluated: int
    met: int
    criteria: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Integers and strings only."""
        return {
            "id": self.id,
            "title": self.title,
            "verdict": self.verdict,
            "total": self.total,
            "evaluated": self.evaluated,
            "met": self.met,
            "criteria": list(self.criteria),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """at_us: the moment asked for; day: the plant's day of it; end_us: T.

    strips: device -> lower day statuses over the three months (`RRSUE-`).
    """

    at_us: int
    day: date
    end_us: int
    rules: RuleSet
    results: tuple[MetricResult, ...]
    criteria: tuple[Criterion, ...]
    verdicts: tuple[Verdict, ...]
    levels: tuple[LevelSummary, ...]
    strips: tuple[tuple[str, str], ...]
    origin_class: str
    size: int
    root: str

    @property
    def simulated(self) -> bool:
        """Some number rests on data that was not collected live."""
        return self.origin_class != "live" or any(r.simulated for r in self.results)

    @property
    def all_met(self) -> bool:
        """Every criterion that a number decides is met, and there is one."""
        words = [v.verdict for v in self.verdicts if v.verdict in EVALUATED]
        return bool(words) and all(w == "met" for w in words)

    def to_json(self) -> dict[str, Any]:
        """The whole report."""
        return {
            "format": FORMAT,
            "at_us": self.at_us,
            "day": self.day.isoformat(),
            "end_us": self.end_us,
            "instrument": {
                "id": self.rules.id,
                "title": self.rules.title,
                "doc_no": self.rules.doc_no,
                "edition": self.rules.edition,
                "sha256": self.rules.sha256,
            },
            "size": self.size,
            "root": self.root,
            "origin_class": self.origin_class,
            "simulated": self.simulated,
            "shown": [{"metric": s.metric, "why": s.why} for s in self.rules.shown],
            "results": [r.to_json() for r in self.results],
            "verdicts": [v.to_json() for v in self.verdicts],
            "levels": [level.to_json() for level in self.levels],
            "strips": [list(s) for s in self.strips],
        }


def summarise(
    rules: RuleSet, criteria: tuple[Criterion, ...], verdicts: tuple[Verdict, ...]
) -> tuple[LevelSummary, ...]:
    """One summary per level that has criteria in force."""
    word = {v.criterion: v.verdict for v in verdicts}
    levels = []
    for level in rules.levels:
        mine = [c for c in criteria if level.id in c.levels]
        if not mine:
            continue
        hard = {word[c.id] for c in mine if c.gate == "hard"}
        words = [word[c.id] for c in mine]
        levels.append(
            LevelSummary(
                id=level.id,
                title=level.title,
                verdict=next((w for w in _ORDER if w in hard), "needs_judgement"),
                total=len(mine),
                evaluated=sum(w in EVALUATED for w in words),
                met=words.count("met"),
                criteria=tuple(c.id for c in mine),
            )
        )
    return tuple(levels)
