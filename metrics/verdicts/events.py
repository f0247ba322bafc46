"""近 n 个月没有发生: accidents and bad records. A row of 重大事项 that counts is a gap; without one a paper must say so.

In: the bar of the criterion, records of kind `incidents`, documents. Out: 差距 naming what happened and the day from which it no longer
counts; else 仅申报 with the papers; else 数据不足: that nothing is recorded proves nothing. The look-back is `months` calendar
months (none given: ever), clamped to the month's end, both days included (stricter). An accident without a severity counts (stricter).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from config.procedures import SEVERITIES
from config.ruleset import Criterion, DocumentNeed, EventBar
from metrics.result import Verdict
from metrics.verdicts.declared import held, lacking
from metrics.verdicts.evidence import Evidence, on_paper
from metrics.verdicts.required import EVENT_ZH
from metrics.window import months_before

PAPER = {"accident": "accident_free"}  # the others: 信用报告


def judge_event(criterion: Criterion, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion about what must not have happened."""
    bar = criterion.event
    if bar is None:
        return on_paper(criterion, "needs_judgement", "条款没有写明事项", required=required)
    found = [row for row in evidence.rows("incidents") if counts(bar, row, evidence.day)]
    if found:
        needs = tuple((row["incident_id"], _happened(row), _until(bar, row["on"])) for row in found)
        why = "；".join(f"{name}，{until}" for _, name, until in needs)
        return on_paper(criterion, "short", why, required=required, needs=needs)
    wanted = criterion.documents or default_papers(bar)
    filled = {need: held(evidence, criterion, need) for need in wanted}
    enough = any(filled.values()) if criterion.documents else all(filled.values())
    if enough:
        papers = "、".join(f"“{d.name}”" for documents in filled.values() for d in documents[:1])
        why = f"记录中没有这类事项，凭{papers}；本系统不核实其内容"
        return on_paper(criterion, "declared_only", why, required=required)
    missing = tuple(lacking(evidence, criterion, need) for need, documents in filled.items() if not documents)
    joined = (" 或 " if criterion.documents else "、").join(name for _, name, _ in missing)
    return on_paper(
        criterion,
        "insufficient_data",
        f"记录中没有这类事项，但也没有{joined}可以证明",
        required=required,
        distance=1 if criterion.documents else len(missing),
        unit="document",
        needs=missing,
    )


def counts(bar: EventBar, row: dict[str, Any], day: date) -> bool:
    """True when a row of 重大事项 is one that the bar forbids on that day."""
    on: date = row["on"]
    if row["kind"] not in bar.kinds or on > day or (bar.months and on < months_before(day, bar.months)):
        return False
    if row["kind"] != "accident" or (bar.severity is None and not bar.if_punished):
        return True
    if bar.if_punished and row["punished"]:
        return True
    if bar.severity is None:
        return False
    return row["severity"] not in SEVERITIES or SEVERITIES.index(row["severity"]) >= SEVERITIES.index(bar.severity)


def default_papers(bar: EventBar) -> tuple[DocumentNeed, ...]:
    """What must be there where a criterion names no paper."""
    kinds = dict.fromkeys(PAPER.get(kind, "credit") for kind in bar.kinds)
    return tuple(DocumentNeed(kind=kind) for kind in kinds)


def _happened(row: dict[str, Any]) -> str:
    what = f"{row['severity']}事故" if row["kind"] == "accident" and row["severity"] else EVENT_ZH[row["kind"]]
    return f"{row['on']} {what}{'（受到处罚）' if row['punished'] else ''}"


def _until(bar: EventBar, on: date) -> str:
    """The first day on which the look-back no longer reaches it."""
    if bar.months is None:
        return "条款没有时限，一直计入"
    day = months_before(on, -bar.months)
    while months_before(day, bar.months) <= on:
        day += timedelta(days=1)
    return f"{day} 起不再计入"
