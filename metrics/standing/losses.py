"""称号的丧失: which of a plant's titles something on record concerns, and by which rule a lost title was lost.

In: an instrument, titles and incidents as recorded. Out: titles, incidents, rules; who may apply (eligibility.py) and what is still paid
(awards.py) follow from them. 在有效期内 (GS25 第二十四条): an accident before the title was granted or after its term had ended costs it
nothing; false material may be older than the title that it brought. A rule's least severity counts; an accident without a grade triggers
nothing and is asked about. No link between incident and title is recorded, so every title that fits is taken.
"""

from __future__ import annotations

from datetime import date

from config.procedures import SEVERITIES, Procedure
from config.ruleset import RuleSet
from metrics.standing.facts import Facts, Incident, Title
from metrics.standing.titles import term

BEFORE_GRANT = ("false_material", "inconsistent_with_site")  # what was in the application
DECIDED: dict[str, tuple[str, ...]] = {"revocation": ("revoked",), "whistleblow": ("revoked", "downgraded")}


def triggers(rule: Procedure, incident: Incident) -> bool:
    """True when the rule names this kind of thing, and an accident is severe enough for it; a punished 违法违规 is 其他…处罚."""
    kind = "other_penalty" if incident.kind == "violation" and incident.punished else incident.kind
    if kind not in rule.triggers:
        return False
    if kind != "accident" or rule.severity is None:
        return True
    words = [str(s) for s in SEVERITIES]
    return incident.severity in words and words.index(incident.severity) >= words.index(rule.severity)


def concerned_by(rules: RuleSet, rule: Procedure, incident: Incident, facts: Facts, day: date) -> list[Title]:
    """Titles that a rule takes for this incident: of its levels, granted, not ended before, within their term."""
    return [
        t
        for t in facts.titles
        if t.granted_on <= day
        and (not rule.levels or t.level in rule.levels)
        and (t.ended_on is None or t.ended_on >= incident.on)
        and (t.granted_on <= incident.on or incident.kind in BEFORE_GRANT)
        and ((last := term(rules, t, facts, day).last_day) is None or incident.on <= last)
    ]


def causes_of(rules: RuleSet, rule: Procedure, lost: Title, facts: Facts, day: date) -> list[Incident]:
    """What on record lets this rule have taken this title."""
    if lost.state not in DECIDED.get(rule.kind, ()):
        return []
    return [
        i
        for i in facts.incidents
        if i.on <= day and triggers(rule, i) and lost in concerned_by(rules, rule, i, facts, day)
    ]


def loss_rule(rules: RuleSet, lost: Title, facts: Facts, day: date) -> Procedure | None:
    """The rule on applying again after this loss: the one with a cause on record, else the one that needs none (复核未通过)."""
    again = [p for p in rules.procedures if p.again_from_lower and (not p.levels or lost.level in p.levels)]
    caused = [p for p in again if causes_of(rules, p, lost, facts, day)]
    return next((p for p in (*caused, *again) if p in caused or p.kind not in DECIDED), None)


def since_loss(lost: Title) -> date:
    """From when on a title counts as won back; of a loss without a date the day of its grant."""
    return lost.ended_on or lost.granted_on
