"""期限: what must be done by when: renewal, yearly evaluation, report of a major change, end of a ban, of an instrument, of a paper.

In: an instrument, a day, `Facts`. Out: `Deadline`s in the order of their day. Where words can be read in two ways both readings are there
and the stricter is the due day: 应在有效期结束前3个月…发起复核申请 is a last day (expiry minus three months) or a window that opens then.
A day the instrument does not state is our own reminder and says so (grade D). All days are plant days (Asia/Shanghai).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from config.documents import DOCUMENT_KINDS
from config.procedures import Procedure
from config.ruleset import RuleSet
from metrics.standing.costs import cost_words
from metrics.standing.dates import alarm_days, day_after, last_valid_day, months_after, next_month_start, years_after
from metrics.standing.eligibility import bans
from metrics.standing.facts import INCIDENT_ZH, LEVEL_ZH, Facts, Incident, Title
from metrics.standing.titles import Term, procedures_of, renewals_of, term, value_read

State = Literal["open", "due", "done", "late", "overdue", "info"]
STATE_ZH: dict[State, str] = {
    "open": "未到期",
    "due": "临近",
    "done": "已办",
    "late": "迟办",
    "overdue": "已逾期",
    "info": "提示",
}
CHANGES = ("major_change", "rename", "restructure", "accident")
EARLY_MONTHS = 6
AHEAD_YEARS = 3  # yearly evaluations are listed that far ahead


@dataclass(frozen=True, slots=True)
class Deadline:
    """One due day. id: stable over runs. readings: (which reading of the words, its day). own: our reminder, no day in the text."""

    id: str
    due: date
    title: str
    subject: str
    state: State
    rule: str
    article: str
    words: str
    readings: tuple[tuple[str, date], ...] = ()
    own: bool = False
    note: str = ""

    @property
    def alarms(self) -> tuple[date, ...]:
        """180, 120, 90 and 30 days ahead."""
        return alarm_days(self.due)


def deadlines(rules: RuleSet, day: date, facts: Facts) -> tuple[Deadline, ...]:
    """Everything with a day, earliest first; what is done or long past stays listed with its state."""
    terms = [term(rules, t, facts, day) for t in facts.titles if t.granted_on <= day and not t.ended_by(day)]
    found = [d for t in terms for d in (*_renewal(rules, t, day, facts), *_evaluations(rules, t, day, facts))]
    found += [d for i in facts.incidents if i.on <= day for d in _reports(rules, i, day, titled=bool(terms))]
    found += [*_ban_ends(rules, day, facts), *_cycles(rules, day), *_expiry(rules, day), *_papers(rules, facts, day)]
    return tuple(sorted(found, key=lambda d: (d.due, d.id)))


def _renewal(rules: RuleSet, held: Term, day: date, facts: Facts) -> list[Deadline]:
    title, last = held.title, held.last_day
    if last is None:
        return []
    name = f"{LEVEL_ZH.get(title.level, title.level)} {title.name}"
    gone: State = "overdue" if day > last else _nearness(last, day)
    found = [
        Deadline(f"{title.id}-expiry", last, "称号有效期届满", name, gone, "", "", held.by, note=f"最后有效日 {last}")
    ]
    for rule in procedures_of(rules, "renewal", title.level):
        value = value_read(rules, rule, day)
        if value is None or value.months is None:
            continue
        due = months_after(last, -value.months)
        readings = ((f"最迟须在期满前 {value.months} 个月当日提出", due), (f"期满前 {value.months} 个月内提出", last))
        state, note = _filed(due, held, value.months, day, facts)
        found.append(
            Deadline(
                f"{title.id}-renewal",
                due,
                "申请复核",
                name,
                state,
                rule.id,
                rule.article,
                value.as_written,
                readings,
                note=note,
            )
        )
    return found


def _filed(due: date, held: Term, months: int, day: date, facts: Facts) -> tuple[State, str]:
    """State of a renewal: the application of this term that was filed, or how near the day is."""
    filed = [a for a in renewals_of(facts, held.title, day) if a.filed_on > held.since]
    if not filed:
        return _nearness(due, day), f"从严以较早一日为准{_unnamed(held.title, day, facts)}"
    ours = min(filed, key=lambda a: a.filed_on)
    refused = "；复核未通过的将降格或取消，请登记处理结果" if all(a.result == "refused" for a in filed) else ""
    if ours.filed_on > due:
        return "late", f"{ours.filed_on} 提出，晚于从严的期限{refused}"
    words = f"{ours.filed_on} 提出{refused}"
    if held.last_day is not None and ours.filed_on < months_after(held.last_day, -EARLY_MONTHS):
        words += f"；早于期满前 {EARLY_MONTHS} 个月，若按“期满前 {months} 个月内”理解可能不被受理，请向初审部门确认"
    return "done", words


def _unnamed(title: Title, day: date, facts: Facts) -> str:
    """Renewals on record that name no title, or one that is not on record: they count for none."""
    known = {t.id for t in facts.titles}
    lost = [
        a.id
        for a in facts.applications
        if a.purpose == "renewal" and a.level == title.level and a.title_id not in known and a.filed_on <= day
    ]
    return f"；复核申请 {'、'.join(lost)} 没有写对称号编号，未计入" if lost else ""


def _evaluations(rules: RuleSet, held: Term, day: date, facts: Facts) -> list[Deadline]:
    title, last = held.title, held.last_day
    found = []
    for rule in procedures_of(rules, "evaluation", title.level):
        if rule.period != "year" or last is None:
            continue
        start, number = title.granted_on, 1
        while start <= min(last, years_after(day, AHEAD_YEARS)):
            end = last_valid_day(title.granted_on, number)
            results = [e for e in facts.evaluations if e.title_id == title.id and start <= e.on <= min(end, day)]
            results.sort(key=lambda e: e.on)
            state: State = "done" if results and all(e.passed for e in results[-1:]) else _nearness(end, day)
            note = (
                "评估未达标，须限期整改"
                if results and not results[-1].passed
                else "由主管部门委托第三方，日期以通知为准"
            )
            found.append(
                Deadline(
                    f"{title.id}-evaluation-{number}",
                    min(end, last),
                    f"第 {number} 年年度评估",
                    title.name,
                    state,
                    rule.id,
                    rule.article,
                    "年度评估",
                    own=True,
                    note=note,
                )
            )
            if end == date.max:
                break
            start, number = day_after(end), number + 1
    return found


def _reports(rules: RuleSet, incident: Incident, day: date, *, titled: bool) -> list[Deadline]:
    if incident.kind not in CHANGES:
        return []
    found = []
    for rule in (*procedures_of(rules, "report_change"), *procedures_of(rules, "revocation")):
        due, words, own = _report_due(rules, rule, incident, day)
        if due is None:
            continue
        done = incident.reported_on
        state: State = ("done" if done <= due else "late") if done and done <= day else _nearness(due, day)
        what = INCIDENT_ZH.get(incident.kind, incident.kind)
        found.append(
            Deadline(
                f"{incident.id}-{rule.id}",
                due,
                "报备重大变化",
                f"{incident.on} {what}",
                state,
                rule.id,
                rule.article,
                words,
                own=own,
                note=(f"{done} 已报备" if done else "报备后请登记日期")
                + ("；条文没有天数，此为本产品的提醒" if own else "")
                + ("" if titled else "；没有登记有效称号，确无称号的不必报备"),
            )
        )
    return found


def _report_due(rules: RuleSet, rule: Procedure, incident: Incident, day: date) -> tuple[date | None, str, bool]:
    """(due, words, ours) of a rule that asks for a report of this incident."""
    if incident.kind == "accident" and rule.kind == "report_change":
        return None, "", False
    value = value_read(rules, rule, day)
    if rule.kind == "report_change" and value is not None and value.months is not None:
        return months_after(incident.on, value.months), value.as_written, False
    if rule.internal_days is not None:
        return incident.on + timedelta(days=rule.internal_days), rule.quote, True
    return None, "", False


def _ban_ends(rules: RuleSet, day: date, facts: Facts) -> list[Deadline]:
    return [
        Deadline(
            f"{ban.cause.id}-{ban.rule.id}-ban",
            day_after(ban.last_day),
            "禁申期满（最早）",
            f"{ban.cause.on} {INCIDENT_ZH.get(ban.cause.kind, ban.cause.kind)}",
            "info",
            ban.rule.id,
            ban.rule.article,
            ban.rule.quote,
            note="" if ban.decided else "处理决定日期未登记，按事发日推算",
        )
        for ban in bans(rules, day, facts)
    ]


def _cycles(rules: RuleSet, day: date) -> list[Deadline]:
    found = []
    for rule in procedures_of(rules, "cycle"):
        value = value_read(rules, rule, day)
        if value is not None and value.month is not None and rules.standing(day) == "binding":
            at = next_month_start(day, value.month)
            found.append(
                Deadline(
                    f"{rule.id}-{at.year}",
                    at,
                    "留意年度通知",
                    rules.title,
                    "info",
                    rule.id,
                    rule.article,
                    value.as_written,
                    own=True,
                    note="确切日期以通知为准",
                )
            )
    return found


def _expiry(rules: RuleSet, day: date) -> list[Deadline]:
    if rules.in_force.last is None:
        return []
    gone = day > rules.in_force.last
    rule = next(iter(procedures_of(rules, "expiry")), None)
    return [
        Deadline(
            f"{rules.id}-expiry",
            rules.in_force.last,
            "办法失效" if not gone else "办法已失效",
            rules.name_on(day),
            "info",
            rule.id if rule else "",
            rule.article if rule else "",
            rule.quote if rule else "",
            note="" if rule else "条文没有写",
        )
    ]


def _papers(rules: RuleSet, facts: Facts, day: date) -> list[Deadline]:
    return [
        Deadline(
            f"{d.doc_id}-valid",
            d.valid_until,
            "材料到期",
            f"{DOCUMENT_KINDS.get(d.kind, d.kind)} {d.name}",
            _nearness(d.valid_until, day),
            "",
            "",
            "材料所载有效期",
            note=cost_words(rules, d, facts, day),
        )
        for d in facts.documents
        if d.valid_until is not None
    ]


def _nearness(due: date, day: date) -> State:
    """Open, due within the first alarm's days, or overdue."""
    if day > due:
        return "overdue"
    return "due" if day >= alarm_days(due)[0] else "open"
