"""指标: each result of the report as a row with three numbers: 申报 (declared), 实测 (value), 可证明 (lower), against the bar.

In: results and verdicts of `state/report.json` and the clauses of the rule set. Out: `Ratio` rows for the page.
Nothing is computed here but lengths and truncated percentages: verdict and distance are the report's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence_api.web.clauses import LEVEL_ZH, Clause, distance_words, state_of
from evidence_api.web.wording import axis_percent, local_time, percent_down

MISSING_SHOWN = 12
# metric id -> name, member code -> words: docs/metrics.md (the registry itself would import numpy)
METRIC_ZH = {
    "M01": "设备联网率",
    "M03": "主要数控设备联网率",
    "M05": "生产装备数控化率",
    "M06": "关键工序数控化率",
    "M11": "稳定运行",
    "M12": "历史数据可追溯",
    "M13": "批次追溯率",
}
WHY_ZH = {
    "not_configured": "台账没有通信地址",
    "no_obligation": "窗口内没有应采时段",
    "pending": "应采不足 7 天",
    "coverage": "覆盖率不足 90 %",
    "silent": "最近 24 小时应采时段无数据",
    "no_change": "数值从未变化",
    "not_nc": "非数控",
    "no_runtime_proof": "无数控运行数据",
    "no_controller": "台账未写控制器型号",
    "stopped": "停机",
    "unknown": "状态不明",
    "mismatch": "复算与封存不符",
    "unreadable": "原始数据读不出",
    "no_lot": "无物料批",
    "no_supplier_lot": "物料批无供方批号",
    "no_operation": "无工序记录",
    "key_process_missing": "缺关键工序",
    "open_operation": "工序未结束",
    "no_operator": "无操作者或班次",
    "no_program": "无程序或配方号",
    "not_monotonic": "时间先后矛盾",
    "no_inspection": "缺检验结果",
    "no_shipment": "无出入库单据",
    "no_key_parameter": "设备无关键参数测点",
    "parameter_gap": "关键参数采集不足 90 %",
}
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


def ratio_rows(
    report: Mapping[str, Any], clauses: Sequence[Clause], lines: Mapping[str, str], offset_h: int
) -> list[Ratio]:
    """One row per result, in the report's order. lines: line id -> its name."""
    verdicts = {v["criterion"]: v for v in report["verdicts"]}
    return [_row(result, clauses, verdicts, lines, offset_h) for result in report["results"]]


def _row(
    result: Mapping[str, Any],
    clauses: Sequence[Clause],
    verdicts: Mapping[str, Mapping[str, Any]],
    lines: Mapping[str, str],
    offset_h: int,
) -> Ratio:
    judged = [c for c in clauses if c.judges(result["metric"], result["scope"])]
    verdict = next((verdicts[c.id] for c in judged if c.id in verdicts), None)
    key, words = state_of(verdict) if verdict else ("unknown", "仅列示")
    numbers = _numbers(result)
    name = METRIC_ZH.get(result["metric"], result["metric"])
    missing = _missing(result["members"])
    barred = next((c for c in judged if c.threshold is not None), None)
    said = "，".join(f"{n.label} {n.fraction} {n.percent}" for n in numbers)
    return Ratio(
        name=name,
        article="、".join(dict.fromkeys(c.article for c in judged)),
        scope=_scope(result["scope"], lines),
        window=_window(result["window"], offset_h),
        level="、".join(dict.fromkeys(LEVEL_ZH.get(c.level, c.level_zh) for c in judged)) or "不作门槛，仅列示",
        numbers=numbers,
        threshold=barred.threshold_words if barred else "",
        threshold_at=axis_percent(*barred.threshold) if barred and barred.threshold else "",
        verdict=key,
        verdict_zh=words,
        distance=distance_words(verdict) if verdict else "",
        why=verdict["why"] if verdict else "",
        missing_words=f"未计入可证明的 {len(missing)} 项" if missing else "判定依据",
        missing=tuple(missing[:MISSING_SHOWN]),
        missing_more=max(0, len(missing) - MISSING_SHOWN),
        sentence=f"{name}：{said}" + (f"，门槛 {barred.threshold_words}" if barred else ""),
    )


def _missing(members: Sequence[Mapping[str, Any]]) -> list[Missing]:
    return [
        Missing(m["name"] or m["id"], WHY_ZH.get(m["why"], m["why"]))
        for m in members
        if not m["lower"] and m["why"] != LEFT_OUT
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
        else:
            at = axis_percent(*pair) if pair[1] else ""
            found.append(Number(key, label, percent_down(*pair), f"{pair[0]}/{pair[1]}", at))
    return tuple(found)


def _window(window: Mapping[str, int], offset_h: int) -> str:
    """Local days of a half-open window: the last day is the one before its end."""
    first = local_time(window["start_us"] // 1000, offset_h)
    last = local_time(window["end_us"] // 1000 - 1, offset_h)
    return f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} 至 {last:%m-%d}"
