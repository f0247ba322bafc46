"""称号有效期, once more: whether a title stands on a day (docs/metrics.md, Verdicts, title), by the standard library alone.

In: a row of `titles`, the rows of `applications`, the instrument as JSON, the day. Out: yes or no. Certificate first, else the years of
the instrument's 有效期; each renewal that was granted extends it by the years of its renewal rule; a title older than an instrument that
reviews such titles again starts anew with its first renewal under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from evidence_api.verify.instruments import Rules, value_of
from evidence_api.verify.obligation import months_before
from evidence_api.verify.word import Row

YEAR_MONTHS = 12


def stands(row: Row, rules: Rules, applications: Sequence[Row], day: date) -> bool:
    """Granted, within its term, and neither revoked nor downgraded."""
    until = _last_day(row, rules, applications, day)
    if _day(row["granted_on"]) > day or (until is not None and until < day):
        return False
    return _day(row["ended_on"]) > day if row["ended_on"] else row["state"] in ("held", "filed")


def _last_day(row: Row, rules: Rules, applications: Sequence[Row], day: date) -> date | None:
    """None: neither certificate nor instrument says how long."""
    granted, level = _day(row["granted_on"]), row["level"]
    years, extension = _years(rules, "validity", level, day), _years(rules, "renewal", level, day)
    stated = _day(row["valid_until"]) if row["valid_until"] else None
    last = stated or (_last_of(granted, years) if years else None)
    if last is None or extension is None:
        return last
    older = any(p["granted_before"] and granted < _day(p["granted_before"]) for p in _rules_of(rules, "transition", ""))
    first = rules["in_force"]["from"]
    since, restarted = (granted if stated is None else _months_after(last, -YEAR_MONTHS)), False
    for filed in _renewed_on(row, applications, day):
        if filed <= since or (older and first and filed < _day(first)):
            continue
        if older and not restarted and years:
            last = _last_of(filed, years)
        else:
            last = _last_of(last + timedelta(days=1) if last < date.max else last, extension)
        since, restarted = _months_after(last, -YEAR_MONTHS), True
    return last


def _renewed_on(row: Row, applications: Sequence[Row], day: date) -> list[date]:
    """When the renewals of this title that were granted had been filed."""
    mine = (a for a in applications if a["purpose"] == "renewal" and a["title_id"] == row["title_id"])
    return sorted(d for d in (_day(a["filed_on"]) for a in mine if a["result"] == "granted") if d <= day)


def _rules_of(rules: Rules, kind: str, level: str) -> list[Rules]:
    return [
        p for p in rules["procedures"] if p["kind"] == kind and (not level or not p["levels"] or level in p["levels"])
    ]


def _years(rules: Rules, kind: str, level: str, day: date) -> int | None:
    """Of the first rule of this kind that states them for a level."""
    read = (value_of(rules, p, day) for p in _rules_of(rules, kind, level))
    return next((int(v["years"]) for v in read if v is not None and v["years"] is not None), None)


def _last_of(first: date, years: int) -> date:
    """The day before the anniversary."""
    return _months_after(first, years * YEAR_MONTHS) - timedelta(days=1)


def _months_after(day: date, months: int) -> date:
    """9999-12-31 (长期) is the end of all days."""
    year = (day.year * YEAR_MONTHS + day.month - 1 + months) // YEAR_MONTHS
    if year > date.max.year:
        return date.max
    return months_before(day, -months) if year >= date.min.year else date.min


def _day(text: str) -> date:
    return date.fromisoformat(text)
