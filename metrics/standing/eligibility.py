"""能否申报: may a factory apply for a level today, by order of levels, yearly limits, bans and the instrument's own standing.

In: an instrument, a level, a day, `Facts`. Out: `Answer`s, one per rule that has something to say: blocked, in_principle, open, note.
The orders differ and are read from each instrument: GS25 lets a first applicant choose among three levels (第十六条) and counts upwards
afterwards 原则上; SD25 and TJ ask for 基础级 first; SD25 lets 领航级 follow 先进级, TJ does not. Ban lengths that say 至少 are a least.
A ban runs from the day of the decision, which only the plant can enter (称号 终止日期); without it the day of the incident is taken, and
that is said. Which title is concerned by what happened, and what a lost one costs: metrics/standing/losses.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from config.procedures import Kind, Procedure
from config.ruleset import RuleSet
from metrics.standing.dates import years_after
from metrics.standing.facts import INCIDENT_ZH, LEVEL_ZH, Facts, Incident
from metrics.standing.losses import DECIDED, causes_of, concerned_by, loss_rule, since_loss, triggers
from metrics.standing.titles import held_levels, procedures_of, term, value_read

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
    found += [*_endangered(rules, day, facts), *_unsaid(rules, day, facts)]
    for ban in bans(rules, day, facts):
        if ban.first_day <= day <= ban.last_day:
            found.append(_banned(rules, ban, day))
    return tuple(found)


def bans(rules: RuleSet, day: date, facts: Facts) -> tuple[Ban, ...]:
    """Every ban that what is on record may have brought, ended or not."""
    found = []
    kinds: tuple[Kind, ...] = ("ban", "revocation", "whistleblow")
    for rule in (r for kind in kinds for r in procedures_of(rules, kind)):
        value = value_read(rules, rule, day)
        if value is None or value.years is None:
            continue
        for incident in facts.incidents:
            if incident.on > day or not triggers(rule, incident):
                continue
            mine = concerned_by(rules, rule, incident, facts, day)
            if mine or rule.kind == "ban":
                ended = [t.ended_on for t in mine if t.state in DECIDED.get(rule.kind, ()) and t.ended_on]
                decided = min((d for d in ended if incident.on <= d <= day), default=None)
                first = decided or incident.on
                found.append(Ban(rule, incident, first, years_after(first, value.years), decided is not None))
    return tuple(found)


def _endangered(rules: RuleSet, day: date, facts: Facts) -> list[Answer]:
    """Titles still entered as held though something on record calls for their revocation."""
    found = []
    for rule in procedures_of(rules, "revocation"):
        for incident in facts.incidents:
            held = [t.name for t in concerned_by(rules, rule, incident, facts, day) if not t.ended_by(day)]
            if held and incident.on <= day and triggers(rule, incident):
                what = INCIDENT_ZH.get(incident.kind, incident.kind)
                why = f"{incident.on} {incident.severity}{what}属于撤销称号的情形，{'、'.join(held)} 仍登记为有效"
                found.append(Answer(rule.id, rule.article, "note", why))
    return found


def _unsaid(rules: RuleSet, day: date, facts: Facts) -> list[Answer]:
    """What was left out of the records and could block: an accident without its grade, a lost title without its cause."""
    found = []
    for rule in procedures_of(rules, "revocation"):
        if rule.severity is not None and "accident" in rule.triggers:
            found += [
                Answer(
                    rule.id, rule.article, "note", f"{i.on} 事故没有登记等级；{rule.severity}及以上属于撤销称号的情形"
                )
                for i in facts.incidents
                if i.kind == "accident" and not i.severity and i.on <= day
            ]
    for title in facts.titles:
        if (
            title.lost_by(day)
            and (rule_of := loss_rule(rules, title, facts, day))
            and not causes_of(rules, rule_of, title, facts, day)
        ):
            articles = "、".join(dict.fromkeys(r.article for r in _with_ban(rules, title.level)))
            if articles:
                why = f"{title.name}的取消或降格没有登记原因；若因{articles}所列情形，另有不得申报的年限，获评也可能没有奖励"
                found.append(Answer(rule_of.id, articles, "note", why))
    return found


def _with_ban(rules: RuleSet, level: str) -> list[Procedure]:
    rules_of = (*procedures_of(rules, "revocation", level), *procedures_of(rules, "whistleblow", level))
    return [r for r in rules_of if any(v.years for v in r.values)]


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
    again = _again(rules, level, day, facts)
    if again:
        return [*found, *again]
    earlier = [t for t in facts.titles if t.granted_on <= day]
    first_time = not earlier and not any(a.result != "withdrawn" and a.filed_on <= day for a in facts.applications)
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


def _again(rules: RuleSet, level: str, day: date, facts: Facts) -> list[Answer]:
    """须从降格所至载体或被取消载体的下一级逐级申报 (GS25 第二十二、二十四、二十五条): what a title lost and not won back leaves open."""
    ranks = [x.id for x in rules.levels]
    found: list[Answer] = []
    for lost in facts.titles:
        rule = loss_rule(rules, lost, facts, day) if lost.lost_by(day) and lost.level in ranks else None
        if rule is None or level not in (rule.levels or ranks):
            continue
        since, rank = since_loss(lost), ranks.index(lost.level)
        won = [t for t in facts.titles if since <= t.granted_on <= day and not t.lost_by(day) and t.level in ranks]
        if any(ranks.index(t.level) >= rank for t in won):
            continue
        start, wanted = max(rank - 1, 0), ranks.index(level)
        how = "降格" if lost.state == "downgraded" else "取消"
        why = f"{lost.name}（{LEVEL_ZH[lost.level]}）{since} {how}，须从{LEVEL_ZH[ranks[start]]}起逐级申报"
        if wanted <= start:
            found.append(Answer(rule.id, rule.article, "open", why))
            continue
        before = ranks[wanted - 1]
        if any(t.level == before and t.held_on(day, term(rules, t, facts, day).last_day) for t in won):
            found.append(Answer(rule.id, rule.article, "open", f"{why}；此后已获评{LEVEL_ZH[before]}"))
        else:
            words = f"{why}；此后还没有获评{LEVEL_ZH[before]}，此前获评的不算（从严）"
            found.append(Answer(rule.id, rule.article, "blocked", words))
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
