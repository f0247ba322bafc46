"""一部办法的判定: every criterion of one instrument on one day, those it adopts judged the same way, and what each level comes to.

In: an instrument, the shelf of all instruments, `Evidence`. Out: `Assessment`s. A level is met only when each criterion that decides it
is met, and never under an instrument that binds nobody (征求意见稿, 已失效). An instrument that adopts itself round a corner is
left out there: the reference then needs judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from config.rulebook import adopted
from config.ruleset import Criterion, RuleSet, Standing
from metrics.result import Verdict, VerdictWord
from metrics.verdicts.adopted import WORST_FIRST
from metrics.verdicts.evidence import Evidence, Referred
from metrics.verdicts.judge import DECIDING, judge
from metrics.verdicts.rows import criterion_row, instrument_row

EVALUATED: tuple[VerdictWord, ...] = (
    "met",
    "short",
    "insufficient_data",
)  # what was found, not what a person or a paper says


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """One level: its word, how many criteria it has, how many were decided here, how many of those are met."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """One instrument judged on a day. adopted: family -> id of the edition meant, None where nobody knows it."""

    rules: RuleSet
    day: date
    criteria: tuple[Criterion, ...]
    verdicts: tuple[Verdict, ...]
    levels: tuple[LevelSummary, ...]
    adopted: tuple[tuple[str, str | None], ...] = ()

    @property
    def standing(self) -> Standing:
        """Whether the instrument binds anybody on that day."""
        return self.rules.standing(self.day)

    @property
    def name(self) -> str:
        """Its title as it must be shown."""
        return self.rules.name_on(self.day)

    @property
    def verdict(self) -> dict[str, Verdict]:
        """Verdicts by criterion."""
        return {v.criterion: v for v in self.verdicts}

    def at_level(self, level: str | None) -> Assessment:
        """The part that one level asks for."""
        if level is None:
            return self
        mine = tuple(c for c in self.criteria if level in c.levels)
        kept = {c.id for c in mine}
        return replace(
            self,
            criteria=mine,
            verdicts=tuple(v for v in self.verdicts if v.criterion in kept),
            levels=tuple(x for x in self.levels if x.id == level),
        )

    def to_json(self) -> dict[str, Any]:
        """instrument, criteria, verdicts, levels: a reader needs no rules file beside it."""
        verdict = self.verdict
        return {
            "instrument": instrument_row(self.rules, self.day),
            "adopted": dict(self.adopted),
            "criteria": [criterion_row(c, self.rules, self.day, verdict[c.id].required) for c in self.criteria],
            "verdicts": [v.to_json() for v in self.verdicts],
            "levels": [level.to_json() for level in self.levels],
        }


def assess(rules: RuleSet, evidence: Evidence, shelf: Mapping[str, RuleSet]) -> dict[str, Assessment]:
    """The instrument and all that it adopts, directly or through another: id -> `Assessment`, the instrument itself first."""
    done: dict[str, Assessment] = {}
    own = _assess(rules, evidence, shelf, done, (rules.id,))
    return {rules.id: own} | {k: done[k] for k in sorted(done) if k != rules.id}


def _assess(
    rules: RuleSet,
    evidence: Evidence,
    shelf: Mapping[str, RuleSet],
    done: dict[str, Assessment],
    above: tuple[str, ...],
) -> Assessment:
    if rules.id in done:
        return done[rules.id]
    referred: dict[str, Referred | None] = {}
    for adoption in rules.adopts:
        edition = adopted(rules, adoption.family, evidence.day, shelf)
        if edition is None or edition.id in above:
            referred[adoption.family] = None
            continue
        found = _assess(edition, evidence, shelf, done, (*above, edition.id))
        words = {level.id: _referred_word(level, found) for level in found.levels}
        simulated = any(v.simulated for v in found.verdicts)
        referred[adoption.family] = Referred(edition, found.name, words, simulated)
    criteria = rules.criteria_on(evidence.day)
    verdicts = tuple(judge(c, rules, replace(evidence, adopted=referred)) for c in criteria)
    done[rules.id] = Assessment(
        rules=rules,
        day=evidence.day,
        criteria=criteria,
        verdicts=verdicts,
        levels=summarise(rules, criteria, verdicts, evidence.day),
        adopted=tuple((family, r.rules.id if r else None) for family, r in sorted(referred.items())),
    )
    return done[rules.id]


def _referred_word(level: LevelSummary, found: Assessment) -> VerdictWord:
    """What a level counts for where it is referred to: one that only a dead letter grants is no pass and nothing to leave out."""
    dead = level.verdict == "not_applicable" and found.standing != "binding"
    return "needs_judgement" if dead else level.verdict


def summarise(
    rules: RuleSet, criteria: tuple[Criterion, ...], verdicts: tuple[Verdict, ...], day: date
) -> tuple[LevelSummary, ...]:
    """One summary per level that has criteria on the day."""
    verdict = {v.criterion: v for v in verdicts}
    levels = []
    for level in rules.levels:
        mine = [c for c in criteria if level.id in c.levels]
        if not mine:
            continue
        words = [verdict[c.id].at(level.id) for c in mine]
        deciding = {w for c, w in zip(mine, words, strict=True) if c.gate in DECIDING}
        levels.append(
            LevelSummary(
                id=level.id,
                title=level.title,
                verdict=_level_word(deciding, binding=rules.standing(day) == "binding"),
                total=len(mine),
                evaluated=sum(w in EVALUATED for w in words),
                met=words.count("met"),
                criteria=tuple(c.id for c in mine),
            )
        )
    return tuple(levels)


def _level_word(deciding: set[VerdictWord], *, binding: bool) -> VerdictWord:
    """The worst word of what decides; `not_applicable` where everything is met and the instrument binds nobody."""
    word: VerdictWord = next((w for w in WORST_FIRST if w in deciding), "needs_judgement")
    return "not_applicable" if word == "met" and not binding else word
