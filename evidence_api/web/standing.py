"""期限与能否申报: what is due next, overdue first, and for each level whether one may apply.

In: the deadlines that the child wrote (`plantproof-deadlines/1`), the plant's day now. Out: `Due` for `overview.html`. Days, states and
reasons are the child's; this module orders and words them. Done things stay in the whole list only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

NEXT = 5
FOREVER = date.max.isoformat()  # 长期
# state -> class of its chip; the word in it says the same without colour. 可以 is not 达标 and does not look like it
_CHIP = {
    "overdue": "overdue",
    "late": "overdue",
    "due": "short",
    "open": "later",
    "done": "done",
    "info": "note",
}
_ANSWER_CHIP = {"blocked": "short", "in_principle": "insufficient_data", "open": "may", "note": "note"}


@dataclass(frozen=True, slots=True)
class DueRow:
    """One deadline. left: how long, in words. quote: the article's words in quotation marks, or where the day is from.

    own: say that the reminder is ours.
    """

    due: str
    left: str
    chip: str
    state_zh: str
    title: str
    subject: str
    article: str
    quote: str
    readings: tuple[tuple[str, str], ...]
    note: str
    own: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """What one rule says."""

    chip: str
    state_zh: str
    article: str
    why: str


@dataclass(frozen=True, slots=True)
class LevelAnswer:
    """能否申报 of one level: the reason that decides, and every other."""

    title: str
    chip: str
    state_zh: str
    first: Reason | None
    others: tuple[Reason, ...]
    award: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """The two sections. stale: why the days may be off. unrecorded: nothing was entered that has a day. binding: the instrument holds."""

    instrument: str
    name: str
    binding: bool
    day: str
    stale: str
    overdue: int
    next: tuple[DueRow, ...]
    rows: tuple[DueRow, ...]
    unrecorded: bool
    without_document: tuple[str, ...]
    levels: tuple[LevelAnswer, ...]


def standing_values(body: Mapping[str, Any] | None, today: date) -> Due | None:
    """The sections' values; None before the first run."""
    if body is None:
        return None
    own, listed, recorded = body["instrument"], body["deadlines"], body["recorded"]
    return Due(
        instrument=own["id"],
        name=own["name"],
        binding=own["standing"] == "binding",
        day=body["day"],
        stale="" if body["day"] == today.isoformat() else f"按 {body['day']} 计算，今天是 {today}；重算后更新",
        overdue=sum(d["state"] == "overdue" for d in listed),
        next=tuple(_row(d) for d in sorted(listed, key=_urgency) if _ahead(d))[:NEXT],
        rows=tuple(_row(d) for d in listed),
        unrecorded=not (recorded["titles"] or recorded["applications"] or recorded["incidents"]),
        without_document=tuple(f"{level} {name}" for _, name, level in body["without_document"]),
        levels=tuple(_level(x) for x in body["levels"]),
    )


def _ahead(d: Mapping[str, Any]) -> bool:
    """Still to be done or to be known; what is done, or a mere fact of the past, is in the whole list."""
    return d["state"] in ("overdue", "due", "open") or (d["state"] == "info" and d["days_left"] >= 0)


def _urgency(d: Mapping[str, Any]) -> tuple[bool, str, str]:
    return d["state"] != "overdue", d["due"], d["id"]


def _row(d: Mapping[str, Any]) -> DueRow:
    forever = d["due"] == FOREVER
    return DueRow(
        due="长期" if forever else d["due"],
        left="" if forever else _left(d),
        chip=_CHIP.get(d["state"], "unknown"),
        state_zh=d["state_zh"],
        title=d["title"],
        subject=d["subject"],
        article=d["article"],
        quote=f"“{d['words']}”" if d["article"] and d["words"] and not _ours(d) else d["words"],
        readings=tuple((words, last) for words, last in d["readings"]),
        note=d["note"],
        own=d["own"] and "提醒" not in d["note"],
    )


def _ours(d: Mapping[str, Any]) -> bool:
    """True where `words` name the thing instead of quoting the article (年度评估)."""
    return d["own"] and d["words"] in d["title"]


def _left(d: Mapping[str, Any]) -> str:
    days = d["days_left"]
    if d["state"] == "overdue":
        return f"已逾期 {-days} 天"
    if d["state"] in ("done", "late") or days < 0:
        return ""
    return "就在今天" if days == 0 else f"还有 {days} 天"


def _level(level: Mapping[str, Any]) -> LevelAnswer:
    reasons = [(a["state"], _reason(a)) for a in level["may_apply"]]
    first = next((r for state, r in reasons if state == level["state"]), None)
    return LevelAnswer(
        title=level["title"],
        chip=_ANSWER_CHIP.get(level["state"], "unknown"),
        state_zh=level["state_zh"],
        first=first,
        others=tuple(r for _, r in reasons if r is not first),
        award=level["award"]["words"],
        steps=tuple(" ".join(x for x in step if x) for step in level["award"]["steps"]),
    )


def _reason(a: Mapping[str, Any]) -> Reason:
    return Reason(_ANSWER_CHIP.get(a["state"], "unknown"), a["state_zh"], a["article"], a["why"])
