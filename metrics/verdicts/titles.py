"""须先获得的称号: a title of a lower level that must be held on the day (先认定为…, 备案).

In: the levels of which one must be held, records of kinds `titles` and `applications`. Out: 仅申报 naming title and document, else 差距
of one title. Held: granted on or before the day, not past its last valid day, neither revoked nor downgraded by then. The last valid day
is that of `metrics/standing/titles.py`, renewals and transition included, so that `check` and `deadlines` cannot disagree. A title of
which neither certificate nor instrument says how long it holds is taken as it stands, with a warning.
"""

from __future__ import annotations

from datetime import date

from config.ruleset import Criterion, RuleSet
from metrics.result import Verdict
from metrics.standing.facts import read_facts
from metrics.standing.titles import Term, term
from metrics.verdicts.evidence import Evidence, Need, on_paper


def judge_title(criterion: Criterion, rules: RuleSet, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion that asks for a title."""
    facts, day = read_facts(evidence.records, evidence.documents), evidence.day
    mine = [term(rules, t, facts, day) for t in facts.titles if t.level in criterion.holds]
    held = [t for t in mine if t.title.held_on(day, t.last_day)]
    if held:
        return _held(criterion, max(held, key=lambda t: t.title.granted_on), evidence, required)
    names = {level.id: level.title for level in rules.levels}
    wanted = " 或 ".join(names.get(h, h) for h in criterion.holds)
    needs: tuple[Need, ...] = tuple((t.title.id, t.title.name, _why_not(t, day)) for t in mine)
    return on_paper(
        criterion,
        "short",
        f"没有有效的{wanted}称号" + (f"：{needs[0][1]}{needs[0][2]}" if needs else ""),
        required=required,
        distance=1,
        unit="title",
        needs=needs or (("", wanted, "没有这个称号"),),
    )


def _held(criterion: Criterion, found: Term, evidence: Evidence, required: str) -> Verdict:
    title, document = found.title, evidence.document(found.title.document)
    paper = f"，凭“{document.name}”" if document is not None else ""
    renewed = f"，复核后有效至 {found.last_day}" if found.renewals else ""
    warnings = () if found.last_day else (f"{title.name}没有写有效期",)
    if document is None:
        warnings = (*warnings, f"{title.name}没有附认定文件")
    why = f"{title.name}（{title.granted_on} 认定{renewed}）{paper}；本系统不核实其内容"
    return on_paper(criterion, "declared_only", why, required=required, warnings=warnings)


def _why_not(found: Term, day: date) -> str:
    title = found.title
    if title.granted_on > day:
        return f"到 {title.granted_on} 才认定"
    if found.last_day is not None and found.last_day < day:
        return f"有效期已于 {found.last_day} 结束"
    return "已降格" if title.state == "downgraded" else "已被取消或终止"
