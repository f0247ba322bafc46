"""What a report says about its rules: the instrument as it must be named, each criterion with article, words and bar.

In: rules and a day. Out: maps of integers and strings, so that page, forms and a third party need no rules file beside the report.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from config.ruleset import Criterion, RuleSet

# gates that are no plain requirement, in words
GATE_ZH = {"soft": "软性要求", "preference": "优先条件", "definition": "定义", "exclusion": "一票否决"}


def instrument_row(rules: RuleSet, day: date) -> dict[str, Any]:
    """Id, title, and the name with its standing (征求意见稿, 已失效)."""
    return {
        "id": rules.id,
        "title": rules.title,
        "name": rules.name_on(day),
        "standing": rules.standing(day),
        "doc_no": rules.doc_no,
        "issuer": rules.issuer,
        "edition": rules.edition,
        "grade": rules.grade,
        "from": _day(rules.in_force.first),
        "until": _day(rules.in_force.last),
        "levels": [{"id": level.id, "title": level.title} for level in rules.levels],
        "sha256": rules.sha256,
    }


def criterion_row(criterion: Criterion, rules: RuleSet, day: date, required: str) -> dict[str, Any]:
    """A criterion as the instrument states it, with the bar read on the day. threshold: [n, d] or null."""
    value = rules.value_of(criterion, day)
    return {
        "id": criterion.id,
        "title": criterion.title,
        "levels": list(criterion.levels),
        "article": criterion.article,
        "quote": criterion.quote,
        "grade": criterion.grade,
        "gate": criterion.gate,
        "judged_by": criterion.judged_by,
        "required": required,
        "metric": criterion.metric or "",
        "scope": criterion.scope or "",
        "members": list(criterion.members),
        "adopts": criterion.adopts or "",
        "shows": list(criterion.shows),
        "op": criterion.op or "",
        "threshold": list(value.fraction) if value else None,
        "unit": value.unit if value else "",
        "as_written": value.as_written if value else "",
        "threshold_by": value.threshold_by if value else "",
        "note": criterion.note,
    }


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
