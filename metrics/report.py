"""自评报告: all results and verdicts of one moment under one instrument and the ones it adopts.

In: results and `Assessment`s. Out: `Report` and its JSON (integers, strings, booleans): what `plantproof check --json` prints, what page
and API show and what a pack holds. The same bytes for the same folder, moment and ledger size (`metrics/report_json.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from config.ruleset import Criterion, RuleSet
from metrics.report_json import FORMAT
from metrics.result import MetricResult, Verdict
from metrics.verdicts.assess import EVALUATED, Assessment, LevelSummary
from metrics.verdicts.judge import DECIDING

__all__ = ["EVALUATED", "LevelSummary", "Report"]


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """at_us: the moment asked for; day: the plant's day of it; end_us: T. own: the instrument asked for; references: those it adopts.

    strips: device -> lower day statuses over the three months (`RRSUE-`).
    """

    at_us: int
    day: date
    end_us: int
    own: Assessment
    references: tuple[Assessment, ...]
    results: tuple[MetricResult, ...]
    strips: tuple[tuple[str, str], ...]
    origin_class: str
    size: int
    root: str

    @property
    def rules(self) -> RuleSet:
        """The instrument."""
        return self.own.rules

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Its criteria on the day."""
        return self.own.criteria

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One per criterion, in the same order."""
        return self.own.verdicts

    @property
    def levels(self) -> tuple[LevelSummary, ...]:
        """Its levels."""
        return self.own.levels

    @property
    def simulated(self) -> bool:
        """Some number rests on data that was not collected live."""
        return self.origin_class != "live" or any(r.simulated for r in self.results)

    @property
    def all_met(self) -> bool:
        """The instrument binds; of the criteria that decide none is short or without data, and one is met."""
        gate, verdict = {c.id: c.gate for c in self.criteria}, self.own.verdict
        words = [verdict[c].at(x.id) for x in self.levels for c in x.criteria if gate[c] in DECIDING]
        reached = "met" in words and not {"short", "insufficient_data"} & set(words)
        return reached and self.own.standing == "binding"

    def at_level(self, level: str | None) -> Report:
        """The part that one level asks for; the results stay, they are the plant's."""
        references = tuple(a.at_level(level) for a in self.references)
        return replace(self, own=self.own.at_level(level), references=references)

    def to_json(self) -> dict[str, Any]:
        """The whole report."""
        return {
            "format": FORMAT,
            "at_us": self.at_us,
            "day": self.day.isoformat(),
            "end_us": self.end_us,
            "size": self.size,
            "root": self.root,
            "origin_class": self.origin_class,
            "simulated": self.simulated,
            "shown": [{"metric": s.metric, "why": s.why} for s in self.rules.shown],
            "results": [r.to_json() for r in self.results],
            "references": [a.to_json() for a in self.references],
            "strips": [list(s) for s in self.strips],
            **self.own.to_json(),
        }
