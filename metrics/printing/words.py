"""Words for what the numbers carry as codes: reasons of members, conditions of a metric, verdicts. Chinese; codes are docs/metrics.md's.

In: a code. Out: what a person in the plant reads; the code itself where nobody has given it words. No polars: pages read this too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import config.metric_names
from config.fact_names import FACTS, FLAGS, VALUES
from config.metric_names import TITLES
from config.record_kinds import KINDS
from config.wording import plant_time

HOUR_S = 3600
WHY: dict[str, str] = {"absent": "没有这一项", **config.metric_names.WHY}

# condition -> (words, parameter that holds the number)
CONDITIONS: dict[str, tuple[str, str]] = {
    "condition.longest_stop": ("最长停机 {} 小时，超过 24 小时", "longest_stop_h"),
    "condition.unknown_days": ("状态不明 {} 天，超过 5%", "unknown_days"),
    "condition.excused_days": ("免计 {} 天，超过 20%", "excused_days"),
    "condition.commissioned": ("产线的投产日期没有填，或者太晚{}", ""),
}

# cause code of a D line -> words (docs/format/hour-lines.md, "Cause")
CAUSE_ZH = {
    "planned_stop": "计划停机",
    "not_connected": "未接入",
    "collector_down": "采集停止",
    "timeout": "超时无应答",
    "refused": "连接被拒绝",
    "unreachable": "网络不可达",
    "disconnected": "连接中断",
    "protocol": "应答不符合协议",
    "device_failure": "设备报故障",
    "denied": "无权读取",
    "silent": "无数据上报",
    "bad_quality": "数据质量差",
}


def why_words(code: str) -> str:
    """`coverage` -> 覆盖率不足 90%; several codes in a row are several reasons."""
    if code in WHY:
        return WHY[code]
    parts = [p for p in re.split(r"[,;+ ]+", code) if p]
    return "、".join(WHY.get(p, p) for p in parts)


def called(member_id: str, name: str) -> str:
    """`CNC-07 七号车床`; the name alone where it says the id, or where the id is the key of a record row (`B1/P1/M1@…Z`)."""
    if not name or name == member_id:
        return member_id
    return name if member_id in name or "@" in member_id else f"{member_id} {name}"


def facts_words(facts: Iterable[tuple[str, int | str]]) -> str:
    """`自动运行 0 秒 · 关键工序 是`: every fact that says something, in the order given."""
    return " · ".join(fact_words(name, value) for name, value in facts if value != "")


def fact_words(name: str, value: int | str) -> str:
    """`金额 1,500,000 元`; a name without words stays as it is, `x=1`."""
    label = FACTS.get(name) or _energy_factor(name)
    return f"{label} {value_words(name, value)}" if label else f"{name}={value}"


def value_words(name: str, value: int | str) -> str:
    """A value in the unit that its name carries: fen as yuan, seconds as h:mm from an hour on, times in plant time."""
    if isinstance(value, str):
        if name == "cause":
            return CAUSE_ZH.get(value, value)
        if name == "records" and value in KINDS:
            return KINDS[value].zh
        if name == "reasons":
            return why_words(value)
        return VALUES.get(name, {}).get(value, plant_time(value))
    if name in FLAGS or name.startswith("condition."):
        return "是" if value else "否"
    return _counted(name, value)


def _counted(name: str, value: int) -> str:
    unit = name.rpartition("_")[2]
    if unit == "fen":
        return f"{value // 100:,}{f'.{value % 100:02d}' if value % 100 else ''} 元"
    if unit == "s" and value >= HOUR_S:
        return f"{value // HOUR_S:,}:{value // 60 % 60:02d}（时:分）"
    if unit == "millionths":
        return f"{value // 1_000_000}.{value % 1_000_000:06d}".rstrip("0").rstrip(".")
    after = {"s": " 秒", "min": " 分钟", "percent": " %", "permille": " ‰", "h": " 小时"}.get(unit, "")
    return (f"{value:,}" if after else str(value)) + after


def _energy_factor(name: str) -> str:
    """`kgce_per_m3_gas` -> `gas 折标系数（kgce/m3）`."""
    found = re.fullmatch(r"kgce_per_([^_]+)_(.+)", name)
    return f"{found[2]} 折标系数（kgce/{found[1]}）" if found else ""


def condition_words(name: str, facts: dict[str, int | str]) -> str:
    """A condition that does not hold, with its number."""
    text, fact = CONDITIONS.get(name, (f"条件 {name.removeprefix('condition.')} 不满足{{}}", ""))
    return text.format(facts.get(fact, ""))


def metric_words(metric: str) -> str:
    """`M05 生产装备数控化率`."""
    return f"{metric} {TITLES[metric]}" if metric in TITLES else metric
