"""指标: each result of the report as a row with three numbers: 申报 (declared), 实测 (value), 可证明 (lower), against the bar.

In: a report. Out: `Ratio` rows: those that the instrument's criteria are decided by, apart from those that are only listed.
Nothing is computed here but lengths and truncated percentages: verdict and distance are the report's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.metric_names import TITLES
from evidence_api.web.clauses import state_of
from evidence_api.web.wording import axis_percent, local_time, percent_down
from metrics.printing.words import why_words
from metrics.verdicts.units import amount_words, distance_words

MISSING_SHOWN = 12
LEFT_OUT = "excused"  # a member that is no part of the fraction (M11)


@dataclass(frozen=True, slots=True)
class Number:
    """One of the three numbers. `at`: length on the axis in percent, empty when there is nothing to draw."""

    key: str
    label: str
    percent: str
    fraction: str
    at: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A member of the denominator that is not proven, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """A row of 指标."""

    name: str
    article: str
    scope: str
    window: str
    level: str
    numbers: tuple[Number, ...]
    threshold: str
    threshold_at: str
    verdict: str
    verdict_zh: str
    distance: str
    why: str
    missing_words: str
    missing: tuple[Missing, ...]
    missing_more: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Clause:
    """A criterion that a metric decides, with its verdict."""

    criterion: Mapping[str, Any]
    verdict: Mapping[str, Any]

    def judges(self, result: Mapping[str, Any]) -> bool:
        """True when results of that metric and kind of scope decide it."""
        mine = (self.criterion["judged_by"], self.criterion["metric"], self.criterion["scope"])
        return mine == ("metric", result["metric"], result["scope"].partition(":")[0])


def ratio_rows(report: Mapping[str, Any], lines: Mapping[str, str], offset_h: int) -> tuple[list[Ratio], list[Ratio]]:
    """(rows that decide a criterion or are shown by the instrument, the other ones with a number). lines: line id -> its name."""
    verdicts = {v["criterion"]: v for v in report["verdicts"]}
    clauses = [Clause(c, verdicts[c["id"]]) for c in report["criteria"]]
    named = {s["metric"] for s in report["shown"]}
    ours: list[Ratio] = []
    others: list[Ratio] = []
    for result in report["results"]:
        judged = [c for c in clauses if c.judges(result)]
        if judged or result["metric"] in named:
            ours.append(_row(result, judged, report, lines, offset_h))
        elif result["value"][1]:
            others.append(_row(result, [], report, lines, offset_h))
    return ours, others


def _row(
    result: Mapping[str, Any],
    judged: Sequence[Clause],
    report: Mapping[str, Any],
    lines: Mapping[str, str],
    offset_h: int,
) -> Ratio:
    verdict = judged[0].verdict if judged else None
    key, words = state_of(verdict) if verdict else ("unknown", "仅列示")
    numbers = _numbers(result)
    name = f"{TITLES.get(result['metric'], result['metric'])}"
    missing = _missing(result["members"])
    bar = judged[0].criterion if judged and result["unit"] == "ratio" and not judged[0].criterion["members"] else None
    threshold = _bar(judged[0].criterion) if judged else ""
    said = "，".join(f"{n.label} {n.fraction} {n.percent}" for n in numbers)
    titles = {level["id"]: level["title"] for level in report["instrument"]["levels"]}
    levels = dict.fromkeys(titles[level] for c in judged for level in c.criterion["levels"])
    return Ratio(
        name=name,
        article="、".join(dict.fromkeys(c.criterion["article"] for c in judged)),
        scope=_scope(result["scope"], lines),
        window=_window(result["window"], offset_h),
        level="、".join(levels) or "不作门槛，仅列示",
        numbers=numbers,
        threshold=threshold,
        threshold_at=axis_percent(*bar["threshold"]) if bar and bar["threshold"] else "",
        verdict=key,
        verdict_zh=words,
        distance=_still(verdict),
        why=verdict["why"] if verdict else "；".join(result["notes"]),
        missing_words=f"未计入可证明的 {len(missing)} 项" if missing else "判定依据",
        missing=tuple(missing[:MISSING_SHOWN]),
        missing_more=max(0, len(missing) - MISSING_SHOWN),
        sentence=f"{name}：{said}" + (f"，门槛 {threshold}" if threshold else ""),
    )


def _still(verdict: Mapping[str, Any] | None) -> str:
    words = distance_words(verdict["distance"], verdict["distance_unit"]) if verdict else ""
    return f"还差 {words}" if words else ""


def _bar(criterion: Mapping[str, Any]) -> str:
    """The bar without the metric's name, which stands beside it."""
    words: str = criterion["required"]
    return words.removeprefix(f"{TITLES.get(criterion['metric'], '')} ").partition("，")[0].partition("：")[0]


def _missing(members: Sequence[Mapping[str, Any]]) -> list[Missing]:
    return [
        Missing(m["name"] or m["id"], why_words(m["why"])) for m in members if not m["lower"] and m["why"] != LEFT_OUT
    ]


def _scope(scope: str, lines: Mapping[str, str]) -> str:
    kind, _, name = scope.partition(":")
    return "全厂" if kind == "plant" else lines.get(name, name)


def _numbers(result: Mapping[str, Any]) -> tuple[Number, ...]:
    found = []
    for key, label in (("declared", "申报"), ("value", "实测"), ("lower", "可证明")):
        pair = result[key]
        if pair is None:
            found.append(Number(key, label, "—", "", ""))
        elif result["unit"] != "ratio":
            found.append(Number(key, label, amount_words(pair[0], pair[1], result["unit"]), "", ""))
        else:
            at = axis_percent(*pair) if pair[1] else ""
            found.append(Number(key, label, percent_down(*pair), f"{pair[0]}/{pair[1]}", at))
    return tuple(found)


def _window(window: Mapping[str, int], offset_h: int) -> str:
    """Local days of a half-open window: the last day is the one before its end."""
    first = local_time(window["start_us"] // 1000, offset_h)
    last = local_time(window["end_us"] // 1000 - 1, offset_h)
    return f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} 至 {last:%m-%d}"
