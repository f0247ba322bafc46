"""The instruments of the picker and the one on the page, as the report names them: with 征求意见稿 or 已失效 where it is so.

In: the index and the report that the child wrote. Out: `Instrument`s, `RuleBook`. No rules file is read here: the report carries its rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STANDING_ZH = {"binding": "", "draft": "征求意见稿", "not_yet": "尚未施行", "expired": "已失效"}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One entry of the picker."""

    id: str
    name: str
    standing: str
    standing_zh: str
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The instrument on the page and the ones it adopts. problem: why nothing is met by it, where that is so."""

    instrument: str
    name: str
    doc_no: str
    period: str
    references: tuple[str, ...]
    problem: str


def instruments(listed: Sequence[Mapping[str, Any]], chosen: str) -> list[Instrument]:
    """The picker, in the index's order."""
    return [
        Instrument(
            id=i["id"],
            name=i["name"],
            standing=i["standing"],
            standing_zh=STANDING_ZH.get(i["standing"], i["standing"]),
            href=f"/?rules={i['id']}",
            chosen=i["id"] == chosen,
        )
        for i in listed
    ]


def rule_book(report: Mapping[str, Any]) -> RuleBook:
    """What the report says of its instrument."""
    own = report["instrument"]
    problem = ""
    if own["standing"] != "binding":
        problem = f"{own['name']}：对谁都没有约束力，下列判定只供参考"
    elif not report["criteria"]:
        problem = f"{own['name']} 在 {report['day']} 没有生效的条款，不作判定"
    return RuleBook(
        instrument=own["id"],
        name=own["name"],
        doc_no=own["doc_no"] or "",
        period=_period(own),
        references=tuple(r["instrument"]["name"] for r in report["references"]),
        problem=problem,
    )


def _period(own: Mapping[str, Any]) -> str:
    if own["from"] is None:
        return "没有施行日"
    return f"{own['from']} 起施行" + (f"，至 {own['until']}" if own["until"] else "")
