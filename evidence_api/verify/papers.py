"""凭材料与记录判定, once more: documents, events, titles, benchmarks, scenes (docs/metrics.md, Verdicts).

In: a criterion, `Ground`: leaves of documents, merged record rows, scenes of the register. Out: `Word`. A paper proves that it is held,
never that it is true: nothing here is ever met, the best word is declared_only.
"""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction
from typing import Any

from evidence_api.verify.evidence import Document
from evidence_api.verify.instruments import Rules, fraction
from evidence_api.verify.obligation import months_before
from evidence_api.verify.titles import stands
from evidence_api.verify.word import Ground, Row, Word

SIZES = ("micro", "small", "medium", "large")
SEVERITIES = ("一般", "较大", "重大", "特别重大")  # ascending
PAPER = {"accident": "accident_free"}  # of an event; the others: credit
INDICATORS = {
    "operating_cost": (-1, "运营成本"),
    "development_time": (-1, "产品研制周期"),
    "production_efficiency": (1, "生产效率"),
    "defect_rate": (-1, "不良品率"),
    "energy_use": (0, "能源资源利用率"),
    "labour_productivity": (1, "劳动生产率"),
    "maintenance_cost": (-1, "运维成本"),
    "oee": (1, "设备综合利用率"),
    "first_pass_yield": (1, "一次合格率"),
    "on_time_delivery": (1, "订单准时交付率"),
    "inventory_turns": (1, "库存周转率"),
    "revenue_per_head": (1, "人均营收"),
}
_ENERGY = re.compile(r"能耗|能源|标煤|标准煤|用电|电量|用气|用水|kgce|tce|kWh|千瓦时", re.IGNORECASE)
_DIVIDED = re.compile(r"[÷/／]")
DECLARED, NEEDS_JUDGEMENT = Word("declared_only"), Word("needs_judgement")


def judge_document(criterion: dict[str, Any], value: dict[str, Any] | None, ground: Ground) -> Word:
    """凭材料: one of several papers suffices."""
    size = next((r["value"] for r in _rows(ground, "profile") if r["name"] == "size"), "")
    size = size if size in SIZES else ""
    ours = [need for need in criterion["documents"] if not need["only_for"] or size in need["only_for"]]
    if not ours and size:
        return Word("not_applicable")
    papers = [d for kind in {n["kind"]: n for n in ours}.values() for d in _held(ground, criterion, kind)]
    if not papers:
        return Word("insufficient_data", 1, "document")
    if value is None:
        return DECLARED
    numerator, denominator = fraction(value)
    needed = -(-numerator // denominator)
    levels = [d.level for d in papers if d.level is not None]
    if not levels:
        return Word("insufficient_data", 1, "document")
    return DECLARED if max(levels) >= needed else Word("short", needed - max(levels), "level")


def judge_event(criterion: dict[str, Any], ground: Ground) -> Word:
    """近 n 个月没有发生: a row that counts is a gap; without one a paper must say so."""
    bar = criterion["event"]
    if any(_counts(bar, row, ground.day) for row in _rows(ground, "incidents")):
        return Word("short")
    default = [{"kind": k, "years": 1} for k in dict.fromkeys(PAPER.get(kind, "credit") for kind in bar["kinds"])]
    filled = [bool(_held(ground, criterion, need)) for need in criterion["documents"] or default]
    if any(filled) if criterion["documents"] else all(filled):
        return DECLARED
    return Word("insufficient_data", 1 if criterion["documents"] else filled.count(False), "document")


def judge_title(criterion: dict[str, Any], rules: Rules, ground: Ground) -> Word:
    """须先获得的称号."""
    mine = [r for r in _rows(ground, "titles") if r["level"] in criterion["holds"]]
    filed = _rows(ground, "applications")
    return DECLARED if any(stands(r, rules, filed, ground.day) for r in mine) else Word("short", 1, "title")


def judge_benchmark(criterion: dict[str, Any], ground: Ground) -> Word:
    """与行业水平比: every indicator that has a figure on both sides must be better."""
    reach = criterion["benchmark"] or "province_mean"
    published: dict[str, Row] = {}
    for row in sorted(_rows(ground, "benchmarks"), key=lambda r: int(r["year"])):
        if row["reach"] == reach and Fraction(row["denominator"]) > 0 and int(row["year"]) <= ground.day.year:
            published[row["indicator"]] = row
    found = []
    for row in _rows(ground, "effects"):
        code, named = row["indicator"], set(criterion["members"])
        sense = _direction(code, row["formula"])
        if row["period"] != "after" or code not in published or not sense or Fraction(row["denominator"]) <= 0:
            continue
        if text_day(row["last_day"]) >= ground.day or (named and not named & {code, INDICATORS[code][1]}):
            continue
        ours, theirs = _figure(row), _figure(published[code])
        found.append(sense * ours > sense * theirs or ("以上" in criterion["quote"] and ours == theirs))
    if not found:
        return Word("insufficient_data", 1, "document")  # a published figure
    worse = found.count(False)
    return Word("short", worse, "effect") if worse else DECLARED


def judge_scene(criterion: dict[str, Any], ground: Ground) -> Word:
    """A scene of the adopted guide, in production."""
    guide = ground.adopted.get(criterion["adopts"] or "")
    if guide is None:
        return NEEDS_JUDGEMENT
    listed = {scene["no"] for scene in guide.rules["scenes"]}
    for scene in ground.scenes:
        since = scene.get("since")
        running = scene["status"] == "in_production" and since is not None and text_day(since) <= ground.day
        if running and scene["no"] in listed:
            return DECLARED
    return Word("short" if ground.scenes else "insufficient_data", 1, "scene")


def _held(ground: Ground, criterion: dict[str, Any], need: dict[str, Any]) -> list[Document]:
    """Valid papers of the kind that serve the criterion, of enough years together."""
    papers = [
        d
        for d in ground.documents
        if d.kind == need["kind"] and (not d.criteria or criterion["id"] in d.criteria) and d.valid_on(ground.day)
    ]
    if need["years"] == 1:
        return papers
    first = ground.day.year - need["years"]
    years = {y for d in papers for y in d.years if first <= y <= ground.day.year}
    return papers if len(years) >= need["years"] else []


def _counts(bar: dict[str, Any], row: Row, day: date) -> bool:
    on = text_day(row["on"])
    if row["kind"] not in bar["kinds"] or on > day or (bar["months"] and on < months_before(day, bar["months"])):
        return False
    if row["kind"] != "accident" or (bar["severity"] is None and not bar["if_punished"]):
        return True
    if bar["if_punished"] and row["punished"] == "1":
        return True
    if bar["severity"] is None:
        return False
    return row["severity"] not in SEVERITIES or SEVERITIES.index(row["severity"]) >= SEVERITIES.index(bar["severity"])


def _direction(indicator: str, formula: str) -> int:
    """1: more is better, -1: less is, 0: the formula does not say."""
    if indicator != "energy_use":
        return INDICATORS[indicator][0]
    above, *below = [_ENERGY.search(part) is not None for part in _DIVIDED.split(formula)]
    if len(below) != 1 or above == below[0]:
        return 0
    return -1 if above else 1


def _figure(row: Row) -> Fraction:
    return Fraction(row["numerator"]) / Fraction(row["denominator"])


def _rows(ground: Ground, kind: str) -> list[Row]:
    return ground.records.get(kind, [])


def text_day(text: str) -> date:
    """A day as records write it."""
    return date.fromisoformat(text)
