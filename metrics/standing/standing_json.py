"""期限、能否申报、奖励 of one instrument as JSON and as iCalendar: one builder for the command line, the report child, page and API.

In: an instrument, a plant day, `Facts`, the ledger size they were read at. Out: `plantproof-deadlines/1` (docs/api.md) and the calendar's
bytes; both a pure function of those. Integers, strings, booleans only. Words of states are in it, so that a reader needs no table of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from config.ruleset import RuleSet
from metrics.report_json import DEADLINES_FORMAT
from metrics.standing.awards import award_ceiling, wan_words
from metrics.standing.calendar_file import calendar_of
from metrics.standing.deadlines import STATE_ZH, Deadline, deadlines
from metrics.standing.eligibility import STATE_ZH as ANSWER_ZH
from metrics.standing.eligibility import Answer, State, may_apply
from metrics.standing.facts import LEVEL_ZH, Facts

DECIDING: tuple[State, ...] = ("blocked", "in_principle", "open", "note")  # the first that a rule says is the answer


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a plant stands under one instrument on one day. found: every deadline, earliest first."""

    rules: RuleSet
    day: date
    size: int
    facts: Facts
    found: tuple[Deadline, ...]

    @property
    def overdue(self) -> bool:
        """Something is past its day, or was done after it."""
        return any(d.state in ("overdue", "late") for d in self.found)

    def to_json(self) -> dict[str, Any]:
        """The body of `plantproof deadlines --json`."""
        rules, day, facts = self.rules, self.day, self.facts
        own = {"id": rules.id, "title": rules.title, "name": rules.name_on(day), "standing": rules.standing(day)}
        return {
            "format": DEADLINES_FORMAT,
            "instrument": {**own, "doc_no": rules.doc_no, "sha256": rules.sha256},
            "day": day.isoformat(),
            "size": self.size,
            "recorded": {
                "titles": len(facts.titles),
                "applications": len(facts.applications),
                "incidents": len(facts.incidents),
                "awards": len(facts.awards),
                "evaluations": len(facts.evaluations),
            },
            "without_document": [
                [t.id, t.name, LEVEL_ZH.get(t.level, t.level)] for t in facts.titles if not t.document
            ],
            "deadlines": [_deadline(d, day) for d in self.found],
            "levels": [_level(self, level.id, level.title) for level in rules.levels],
        }

    def calendar(self, plant: str) -> bytes:
        """The body of `plantproof deadlines --ics`: the same for the same day."""
        midnight = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        return calendar_of(self.found, self.rules, plant, midnight)


def standing_of(rules: RuleSet, day: date, facts: Facts, size: int) -> Standing:
    """Every deadline of an instrument on a day. size: ledger entries that the facts were read from."""
    return Standing(rules, day, size, facts, deadlines(rules, day, facts))


def _deadline(d: Deadline, day: date) -> dict[str, Any]:
    return {
        "id": d.id,
        "due": d.due.isoformat(),
        "days_left": (d.due - day).days,
        "title": d.title,
        "subject": d.subject,
        "state": d.state,
        "state_zh": STATE_ZH[d.state],
        "rule": d.rule,
        "article": d.article,
        "words": d.words,
        "readings": [[words, last.isoformat()] for words, last in d.readings],
        "own": d.own,
        "note": d.note,
        "alarms": [x.isoformat() for x in d.alarms],
    }


def _level(at: Standing, level: str, title: str) -> dict[str, Any]:
    answers = may_apply(at.rules, level, at.day, at.facts)
    ceiling = award_ceiling(at.rules, level, at.day, at.facts)
    state = _state(answers)
    return {
        "id": level,
        "title": title,
        "state": state,
        "state_zh": ANSWER_ZH[state],
        "may_apply": [
            {
                "rule": a.rule,
                "article": a.article,
                "state": a.state,
                "state_zh": ANSWER_ZH[a.state],
                "why": a.why,
                "until": a.until and a.until.isoformat(),
            }
            for a in answers
        ],
        "award": {
            "fen": ceiling.fen,
            "words": "" if ceiling.fen is None else f"至多 {wan_words(ceiling.fen)}",
            "steps": [list(s) for s in ceiling.steps],
        },
    }


def _state(answers: Sequence[Answer]) -> State:
    """What the answers come to: one that blocks outweighs all that do not."""
    return next((s for s in DECIDING if any(a.state == s for a in answers)), "note")
