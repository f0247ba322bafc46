"""梯度与条款: each level with every criterion of it: 条款、要求、申报/实测/可证明、判定、还差 (names).

In: a report. Out: `LevelCard`s and the headline. Verdicts, bounds and names are the report's; this module words and orders them.
Judgement is never scored, and no level gets a percentage. A criterion that refers to another instrument carries that one's criteria.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence_api.web.wording import axis_percent, percent_down
from metrics.printing.words import called
from metrics.result import VERDICT_ZH
from metrics.verdicts.rows import GATE_ZH
from metrics.verdicts.units import BY_NAME, amount_words, distance_words

# the pressing ones first; the first that a level has names it
ORDER = ("short", "insufficient_data", "simulated", "needs_judgement", "declared_only", "not_applicable", "met")
NAMES_SHOWN = 3
_STATE_ZH: dict[str, str] = {
    **{str(k): v for k, v in VERDICT_ZH.items()},
    "simulated": "数字达标（模拟）",
    "unknown": "未评估",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """The numbers that were compared, of one scope."""

    scope: str
    declared: str
    value: str
    lower: str


@dataclass(frozen=True, slots=True)
class Named:
    """A thing to act on."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """One criterion at one level. below: the adopted instrument's criteria, where this one refers to it."""

    id: str
    article: str
    name: str
    gate: str
    quote: str
    required: str
    figures: tuple[Figure, ...]
    verdict: str
    state: str
    distance: str
    needs: tuple[Named, ...]
    needs_more: bool
    why: str
    warnings: tuple[str, ...]
    below_name: str = ""
    below: tuple[ClauseRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TallyPart:
    """A stretch of a level's bar: how many criteria share a state."""

    key: str
    at: str
    width: str


@dataclass(frozen=True, slots=True)
class LevelCard:
    """One level: its word, how many criteria have which word, and each criterion, the pressing ones first."""

    id: str
    title: str
    verdict: str
    verdict_zh: str
    total: int
    counts: tuple[tuple[str, str, int], ...]
    tally: tuple[TallyPart, ...]
    tally_words: str
    clauses: tuple[ClauseRow, ...]


def level_cards(report: Mapping[str, Any] | None, lines: Mapping[str, str]) -> list[LevelCard]:
    """A card per level of the report, in ladder order; none before the first report. lines: line id -> its name."""
    if report is None:
        return []
    return [_card(level, report, lines) for level in report["levels"]]


def headline(cards: Sequence[LevelCard]) -> list[str]:
    """One line for somebody who reads nothing else, level by level."""
    return [f"{card.title.removesuffix('智能工厂') or card.title}：{_level_words(card)}" for card in cards] or [
        "达标情况尚未计算"
    ]


def state_of(verdict: Mapping[str, Any], level: str = "") -> tuple[str, str]:
    """The verdict's key and words. Numbers that reach the bar but are not live are shown as that, never as 达标."""
    word = dict(map(tuple, verdict.get("by_level", ()))).get(level, verdict["verdict"])
    key = "simulated" if verdict["simulated"] and verdict.get("numbers") == "met" else word
    return key, _STATE_ZH.get(key, key)


def _level_words(card: LevelCard) -> str:
    of = {key: n for key, _, n in card.counts}
    if of.get("short"):
        return f"{of['short']} 条差距"
    if of.get("insufficient_data"):
        return f"{of['insufficient_data']} 条数据不足"
    return card.verdict_zh


def _card(level: Mapping[str, Any], report: Mapping[str, Any], lines: Mapping[str, str]) -> LevelCard:
    rows = _rows(level, report, report, lines)
    found = [row.verdict for row in rows]
    counts = tuple((key, _STATE_ZH[key], found.count(key)) for key in ORDER if key in found)
    said = "，".join(f"{words} {n}" for _, words, n in counts)
    simulated = level["verdict"] == "insufficient_data" and "insufficient_data" not in found and "simulated" in found
    key = "simulated" if simulated else level["verdict"]
    return LevelCard(
        id=level["id"],
        title=level["title"],
        verdict=key,
        verdict_zh=_STATE_ZH[key],
        total=level["total"],
        counts=counts,
        tally=_tally(counts, level["total"]),
        tally_words=f"{level['title']} 共 {level['total']} 条：{said or '无'}",
        clauses=rows,
    )


def _rows(
    level: Mapping[str, Any], part: Mapping[str, Any], report: Mapping[str, Any], lines: Mapping[str, str]
) -> tuple[ClauseRow, ...]:
    """The criteria of a level of the report's instrument, or of one that it adopts (`part`)."""
    criteria = {c["id"]: c for c in part["criteria"]}
    verdicts = {v["criterion"]: v for v in part["verdicts"]}
    rows = [_row(criteria[i], verdicts[i], level["id"], part, report, lines) for i in level["criteria"]]
    return tuple(sorted(rows, key=lambda row: ORDER.index(row.verdict)))


def _row(
    criterion: Mapping[str, Any],
    verdict: Mapping[str, Any],
    level: str,
    part: Mapping[str, Any],
    report: Mapping[str, Any],
    lines: Mapping[str, str],
) -> ClauseRow:
    key, words = state_of(verdict, level)
    open_ = key in ("short", "insufficient_data")
    by_id = verdict["distance_unit"] not in BY_NAME
    needs = [Named(_called(n[0], n[1], by_id=by_id), n[2]) for n in verdict["needs"]] if open_ else []
    below_name, below = _below(criterion, level, part, report, lines)
    return ClauseRow(
        id=criterion["id"],
        article=criterion["article"],
        name=criterion["title"],
        gate=GATE_ZH.get(criterion["gate"], ""),
        quote=criterion["quote"],
        required=criterion["required"],
        figures=tuple(_figure(j, lines) for j in verdict["judged"] if j["value"][1]),
        verdict=key,
        state=words,
        distance=distance_words(verdict["distance"], verdict["distance_unit"]) if open_ else "",
        needs=tuple(needs[:NAMES_SHOWN]),
        needs_more=len(needs) > NAMES_SHOWN,
        why=verdict["why"],
        warnings=tuple(verdict["warnings"]),
        below_name=below_name,
        below=below,
    )


def _called(number: str, name: str, *, by_id: bool) -> str:
    return called(number, name) if by_id else name or number


def _below(
    criterion: Mapping[str, Any],
    level: str,
    part: Mapping[str, Any],
    report: Mapping[str, Any],
    lines: Mapping[str, str],
) -> tuple[str, tuple[ClauseRow, ...]]:
    if criterion["judged_by"] != "reference":
        return "", ()
    instrument = part["adopted"].get(criterion["adopts"])
    nested = next((r for r in report["references"] if r["instrument"]["id"] == instrument), None)
    summary = next((x for x in nested["levels"] if x["id"] == level), None) if nested else None
    if nested is None or summary is None:
        return "", ()
    return nested["instrument"]["name"], _rows(summary, nested, report, lines)


def _figure(judged: Mapping[str, Any], lines: Mapping[str, str]) -> Figure:
    kind, _, name = judged["scope"].partition(":")
    unit = judged["unit"]
    return Figure(
        scope="" if kind == "plant" else lines.get(name, name),
        declared=_bound(judged["declared"], unit),
        value=_bound(judged["value"], unit),
        lower=_bound(judged["lower"], unit),
    )


def _bound(pair: Sequence[int] | None, unit: str) -> str:
    if pair is None:
        return "—"
    return f"{pair[0]}/{pair[1]} {percent_down(*pair)}" if unit == "ratio" else amount_words(pair[0], pair[1], unit)


def _tally(counts: Sequence[tuple[str, str, int]], total: int) -> tuple[TallyPart, ...]:
    parts, done = [], 0
    for key, _, count in counts:
        parts.append(TallyPart(key, axis_percent(done, total), axis_percent(count, total)))
        done += count
    return tuple(parts)
