"""Words for what the numbers carry as codes: reasons of members, conditions of a metric, verdicts. Chinese; codes are docs/metrics.md's.

In: a code. Out: what a person in the plant reads; the code itself where nobody has given it words. No polars: pages read this too.
"""

from __future__ import annotations

import re

import config.metric_names
from config.metric_names import TITLES

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


def condition_words(name: str, facts: dict[str, int | str]) -> str:
    """A condition that does not hold, with its number."""
    text, fact = CONDITIONS.get(name, (f"条件 {name.removeprefix('condition.')} 不满足{{}}", ""))
    return text.format(facts.get(fact, ""))


def metric_words(metric: str) -> str:
    """`M05 生产装备数控化率`."""
    return f"{metric} {TITLES[metric]}" if metric in TITLES else metric
