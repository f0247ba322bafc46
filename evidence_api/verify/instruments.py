"""办法 as dated data, from the canonical JSON in the pack: whether one binds, what it asks on a day, which edition it adopts.

In: rules as plain JSON values, a day. Out: words, criteria, thresholds. Rules in full: docs/rules.md, docs/metrics.md (Verdicts). A draft,
an expired or a coming instrument can be read; it binds nobody and says so in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

Rules = dict[str, Any]
Shelf = Mapping[str, Rules]


class NotOnShelf(Exception):
    """An edition that is named and not there."""


def standing(rules: Rules, day: date) -> str:
    """binding, draft, not_yet, expired."""
    first = rules["in_force"]["from"]
    if rules["status"] == "draft" or first is None:
        return "draft"
    if day < date.fromisoformat(first):
        return "not_yet"
    return "binding" if holds_on(rules["in_force"], day) else "expired"


def name_on(rules: Rules, day: date) -> str:
    """The title as it must be shown."""
    word, title = standing(rules, day), str(rules["title"])
    if word == "binding":
        return title
    first, until = rules["in_force"]["from"], rules["in_force"]["until"]
    words = {"draft": "征求意见稿，未施行", "not_yet": f"{first} 起施行，尚未施行", "expired": f"已于 {until} 失效"}
    return f"{title.removesuffix('（征求意见稿）')}（{words[word]}）"


def value_of(rules: Rules, criterion: dict[str, Any], day: date) -> dict[str, Any] | None:
    """The threshold read on a day: of the day; of the last day of an expired instrument; the last one of a draft."""
    values = criterion["values"]
    if standing(rules, day) == "draft":
        return values[-1] if values else None
    read = _reading_day(rules, day)
    return next((v for v in values if holds_on(v, read)), None) if read else None


def criteria_on(rules: Rules, day: date) -> list[dict[str, Any]]:
    """Criteria read on a day, in the file's order."""
    if standing(rules, day) == "not_yet":
        return []
    return [c for c in rules["criteria"] if not c["values"] or value_of(rules, c, day) is not None]


def adopted(rules: Rules, family: str, day: date, shelf: Shelf) -> Rules | None:
    """The edition meant on a day. Errors: `NotOnShelf`."""
    adoption = next((a for a in rules["adopts"] if a["family"] == family), None)
    if adoption is None:
        return None
    read = _reading_day(rules, day) or day
    named = next((e["instrument"] for e in adoption["editions"] if holds_on(e, read)), None)
    if named is not None:
        if named not in shelf:
            raise NotOnShelf(named)
        return shelf[named]
    if adoption["how"] != "latest":
        return None
    editions = [r for r in shelf.values() if r["family"] == family and standing(r, read) == "binding"]
    return max(editions, key=lambda r: (r["in_force"]["from"] or "", r["edition"]), default=None)


def fraction(value: dict[str, Any]) -> tuple[int, int]:
    """A threshold as integers."""
    numerator, denominator = value["threshold"].split("/")
    return int(numerator), int(denominator)


def instrument_row(rules: Rules, day: date, sha256: str) -> dict[str, Any]:
    """What a report calls it."""
    same = {k: rules[k] for k in ("id", "title", "doc_no", "issuer", "edition", "grade")}
    dates = {"from": rules["in_force"]["from"], "until": rules["in_force"]["until"]}
    levels = [{"id": x["id"], "title": x["title"]} for x in rules["levels"]]
    said = {"name": name_on(rules, day), "standing": standing(rules, day), "sha256": sha256}
    return same | dates | said | {"levels": levels}


def criterion_row(criterion: dict[str, Any], rules: Rules, day: date) -> dict[str, Any]:
    """What a report says of a criterion, but for `required`, which are words."""
    value = value_of(rules, criterion, day)
    same = ("id", "title", "levels", "article", "quote", "grade", "gate", "judged_by", "members", "shows", "note")
    said = {k: criterion[k] for k in same} | {k: criterion[k] or "" for k in ("metric", "scope", "adopts", "op")}
    told = {k: value[k] if value else "" for k in ("unit", "as_written", "threshold_by")}
    return said | told | {"threshold": list(fraction(value)) if value else None}


def holds_on(period: dict[str, Any], day: date) -> bool:
    """Both ends included; without a first day it never holds."""
    first, until = period["from"], period["until"]
    return (
        first is not None and date.fromisoformat(first) <= day and (until is None or day <= date.fromisoformat(until))
    )


def _reading_day(rules: Rules, day: date) -> date | None:
    word = standing(rules, day)
    until = rules["in_force"]["until"]
    return day if word == "binding" else date.fromisoformat(until) if word == "expired" else None
