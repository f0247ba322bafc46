"""能否申报: may a factory apply for a level today, by order of levels, yearly limits, bans and the instrument's own standing.

In: an instrument, a level, a day, `Facts`. Out: `Answer`s, one per rule that has something to say: blocked, in_principle, open, note.
The orders differ and are read from each instrument: GS25 lets a first applicant choose among three levels (第十六条) and counts upwards
afterwards 原则上; SD25 and TJ ask for 基础级 first; SD25 lets 领航级 follow 先进级, TJ does not. Ban lengths that say 至少 are a least.
A ban runs from the day of the decision, which only the plant can enter (称号 终止日期); without it the day of the incident is taken, and
that is said. Revocation needs a title: what happened to a unit that held none bans nobody (GS25 第二十四条 在有效期内).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from config.procedures import SEVERITIES, Kind, Procedure
from config.ruleset import RuleSet
from metrics.standing.dates import years_after
from metrics.standing.facts import INCIDENT_ZH, LEVEL_ZH, Facts, Incident, Title
from metrics.standing.titles import held_levels, procedures_of, value_read

State = Literal["blocked", "in_principle", "open", "note"]
STATE_ZH: dict[State, str] = {"blocked": "不能", "in_principle": "原则上不能", "open": "可以", "note": "注意"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one rule says about an application now. `until`: the last day on which it blocks."""

    rule: str
    article: str
    state: State
    why: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Ban:
    """不得申报: until `last_day` at least."""

    rule: Procedure
    cause: Incident
    first_day: date
    last_day: date
    decided: bool


def may_apply(rules: RuleSet, level: str, day: date, facts: Facts) -> tuple[Answer, ...]:
    """Every rule's answer for one level; an instrument that binds nobody blocks all of it."""
    standing = rules.standing(day)
    found = []
    if standing != "binding":
        found.append(Answer(rules.id, "", "blocked", f"{rules.name_on(day)}：以下仅为试算"))
    found += [*_order(rules, level, day, facts), *_limits(rules, level, day, facts)]
    found += _endangered(rules, day, facts)
    for ban in bans(rules, day, facts):
        if ban.first_day <= day <= ban.last_day:
            found.append(_banned(rules, ban, day))
    return tuple(found)


def bans(rules: RuleSet, day: date, facts: Facts) -> tuple[Ban, ...]:
    """Every ban that what is on record may have brought, ended or not."""
    found = []
    kinds: tuple[Kind, ...] = ("ban", "revocation", "whistleblow")
    for kind in kinds:
        for rule in procedures_of(rules, kind):
            value = value_read(rules, rule, day)
            if value is None or value.years is None:
                continue
            for incident in facts.incidents:
                concerned = kind == "ban" or any(_concerns(t, incident, day) for t in facts.titles)
                if incident.on <= day and triggers(rule, incident) and concerned:
                    found.append(_ban(rule, incident, value.years, facts))
    return tuple(found)


def triggers(rule: Procedure, incident: Incident) -> bool:
    """True when the rule names this kind of thing, and an accident is severe enough for it."""
    if incident.kind not in rule.triggers:
        return False
    if incident.kind != "accident" or rule.severity is None:
        return True
    words = [str(s) for s in SEVERITIES]
    return incident.severity in words and words.index(incident.severity) >= words.index(rule.severity)


def _concerns(title: Title, incident: Incident, day: date) -> bool:
    """The title was there, or was later granted on the strength of what came to light."""
    return title.granted_on <= day and (title.ended_on is None or title.ended_on >= incident.on)


def _endangered(rules: RuleSet, day: date, facts: Facts) -> list[Answer]:
    """Titles still entered as held though something on record calls for their revocation."""
    held = [t for t in facts.titles if t.state in ("held", "filed") and t.granted_on <= day]
    found = []
    for rule in procedures_of(rules, "revocation"):
        for incident in facts.incidents:
            named = [
                t.name for t in held if _concerns(t, incident, day) and (not rule.levels or t.level in rule.levels)
            ]
            if named and incident.on <= day and triggers(rule, incident):
                what = INCIDENT_ZH.get(incident.kind, incident.kind)
                why = f"{incident.on} {incident.severity}{what}属于撤销称号的情形，{'、'.join(named)} 仍登记为有效"
                found.append(Answer(rule.id, rule.article, "note", why))
    return found


def _ban(rule: Procedure, incident: Incident, years: int, facts: Facts) -> Ban:
    decisions = [t.ended_on for t in facts.titles if t.ended_on and t.ended_on >= incident.on and t.state != "held"]
    first = min(decisions, default=incident.on)
    return Ban(rule, incident, first, years_after(first, years), bool(decisions))


def _banned(rules: RuleSet, ban: Ban, day: date) -> Answer:
    value = value_read(rules, ban.rule, day)
    least = "至少" if value and value.at_least else ""
    from_words = "取消或降格之日" if ban.decided else "事发日（处理决定日期未登记，应登记后重算）"
    may = "，由主管部门视情况决定" if ban.rule.discretionary else ""
    why = (
        f"{ban.cause.on} {INCIDENT_ZH.get(ban.cause.kind, ban.cause.kind)}：自{from_words} {ban.first_day} 起"
        f"{least} {value.years if value else ''} 年内不得申报，至 {ban.last_day}{may}"
    )
    return Answer(ban.rule.id, ban.rule.article, "blocked", why, ban.last_day)


def _order(rules: RuleSet, level: str, day: date, facts: Facts) -> list[Answer]:
    held = held_levels(rules, facts, day)
    ladders = [p for p in procedures_of(rules, "ladder") if p.requires or p.first]
    asked = [c for c in rules.criteria if c.judged_by == "title" and level in c.levels]
    found = [_by_title(c.id, c.article, c.holds, held) for c in asked]
    first_time = not facts.titles and not any(a.result != "withdrawn" for a in facts.applications)
    choosing = next((p for p in ladders if level in p.first), None)
    if first_time and choosing is not None:
        options = "、".join(LEVEL_ZH[x] for x in choosing.first)
        return [
            *found,
            Answer(choosing.id, choosing.article, "open", f"没有登记过称号和申报，按首次申报可任选：{options}"),
        ]
    specific = next((p for p in ladders if p.first and level in p.requires), None)
    ladder = specific or next((p for p in ladders if level in p.requires), None)
    if ladder is not None and not asked:
        answer = _by_title(ladder.id, ladder.article, ladder.requires[level], held)
        softened = answer.state == "blocked" and ladder.in_principle
        found.append(Answer(answer.rule, answer.article, "in_principle", answer.why) if softened else answer)
    elif not asked:
        found.append(Answer(rules.id, "", "open", f"{LEVEL_ZH.get(level, level)}没有先获评其他梯次的要求"))
    return found


def _by_title(rule: str, article: str, wanted: tuple[str, ...], held: frozenset[str]) -> Answer:
    words = " 或 ".join(LEVEL_ZH.get(x, x) for x in wanted)
    if held & set(wanted):
        return Answer(rule, article, "open", f"已登记有效称号：{words}（须附认定文件）")
    return Answer(rule, article, "blocked", f"应先获评 {words}，登记的有效称号中没有")


def _limits(rules: RuleSet, level: str, day: date, facts: Facts) -> list[Answer]:
    found = []
    for rule in procedures_of(rules, "limit", level):
        value = value_read(rules, rule, day)
        if value is None or value.count is None:
            continue
        filed = [
            a
            for a in facts.applications
            if a.level == level
            and a.purpose == "first"
            and a.filed_on.year == day.year
            and a.filed_on <= day
            and a.result != "withdrawn"
        ]
        left = value.count - len(filed)
        words = f"{day.year} 年已申报 {len(filed)} 个，{value.as_written}"
        last = date(day.year, 12, 31)
        found.append(
            Answer(rule.id, rule.article, "open", f"{words}，还可申报 {left} 个")
            if left > 0
            else Answer(rule.id, rule.article, "blocked", words, last)
        )
    return found
