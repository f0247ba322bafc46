"""称号有效期: until when a title holds, by its certificate or by the instrument's years; and what a factory holds on a day.

In: `Title`, the validity rules of an instrument. Out: last valid day and where it comes from. A renewal that passed extends it by the years
of the renewal rule (GS25 第二十二条: 有效期延长3年), counted from the end of the term before; a renewal entered twice extends once, and a
certificate issued after it is not extended again. A title older than the instrument (GS25 第二十八条) restarts with its re-recognition.
Source: GS25 第二十二条、第二十八条, TJ 第十二条 (先进级 only); SD25 speaks of 有效期 and never says how long: then nothing is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from config.procedures import Kind, Procedure, ProcedureValue
from config.ruleset import RuleSet
from metrics.standing.dates import YEAR_MONTHS, day_after, last_valid_day, months_after
from metrics.standing.facts import Application, Facts, Title


@dataclass(frozen=True, slots=True)
class Term:
    """A title with its end. `by`: certificate, rule (and which), or unknown. `since`: renewals filed up to then belong to earlier terms."""

    title: Title
    last_day: date | None
    by: str
    since: date
    renewals: int = 0


def procedures_of(rules: RuleSet, kind: Kind, level: str = "") -> tuple[Procedure, ...]:
    """The instrument's rules of a kind that concern a level."""
    return tuple(p for p in rules.procedures if p.kind == kind and (not level or not p.levels or level in p.levels))


def value_read(rules: RuleSet, procedure: Procedure, day: date) -> ProcedureValue | None:
    """The numbers read on a day: in force then, the last ones of an expired instrument, those of a draft (试算)."""
    if rules.standing(day) == "draft":
        return procedure.values[-1] if procedure.values else None
    read = rules.reading_day(day)
    return next((v for v in procedure.values if read and v.holds_on(read)), None)


def transition_of(rules: RuleSet, title: Title) -> Procedure | None:
    """The rule under which a title from before the instrument is reviewed again, when it is one."""
    rules_of = procedures_of(rules, "transition")
    return next((p for p in rules_of if p.granted_before is not None and title.granted_on < p.granted_before), None)


def term(rules: RuleSet, title: Title, facts: Facts, day: date) -> Term:
    """Until when a title holds."""
    validity, years = _years(rules, "validity", title.level, day)
    last, by = title.valid_until, "证书所载"
    if last is None and years is not None:
        last, by = last_valid_day(title.granted_on, years), f"{validity} 认定之日起 {years} 年"
    transition = transition_of(rules, title)
    if transition is not None:
        by = f"{by if last else '办法没有写有效期'}；{transition.article}：须按本办法复审，有效期自重新认定时起算"
    if last is None:
        return Term(title, None, by if transition else "办法没有写有效期", title.granted_on)
    _, extension = _years(rules, "renewal", title.level, day)
    since = title.granted_on if title.valid_until is None else _year_before(last)
    count = 0
    for filed in sorted(a.filed_on for a in renewals_of(facts, title, day) if a.result == "granted"):
        older = transition is not None and rules.in_force.first is not None and filed < rules.in_force.first
        if filed <= since or extension is None or older:
            continue
        if transition is not None and count == 0 and years is not None:
            last, by = last_valid_day(filed, years), f"{transition.article} 重新认定起 {years} 年，认定日从严按申请日"
        else:
            last = last_valid_day(day_after(last), extension)
        since, count = _year_before(last), count + 1
    if count and transition is None:
        by = f"{by}，复核通过 {count} 次各延 {extension} 年"
    return Term(title, last, by, since, count)


def renewals_of(facts: Facts, title: Title, day: date) -> tuple[Application, ...]:
    """Applications to renew this title that were filed by a day and not taken back."""
    return tuple(
        a
        for a in facts.applications
        if a.purpose == "renewal" and a.title_id == title.id and a.filed_on <= day and a.result != "withdrawn"
    )


def held_levels(rules: RuleSet, facts: Facts, day: date) -> frozenset[str]:
    """Levels of which some title is held on a day."""
    return frozenset(t.level for t in facts.titles if t.held_on(day, term(rules, t, facts, day).last_day))


def _years(rules: RuleSet, kind: Kind, level: str, day: date) -> tuple[str, int | None]:
    """(article, years) of the first rule of this kind that states them for a level."""
    for rule in procedures_of(rules, kind, level):
        value = value_read(rules, rule, day)
        if value is not None and value.years is not None:
            return rule.article, value.years
    return "", None


def _year_before(last: date) -> date:
    """A renewal of a term is filed in its last year; an earlier one is that of the term before."""
    return months_after(last, -YEAR_MONTHS)
