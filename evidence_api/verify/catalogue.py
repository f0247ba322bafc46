"""What the verifier knows of every metric there is: title, window, kinds of scope, unit, what one more of it is (docs/metrics.md).

In: nothing. Out: `KINDS`. A copy of what `config/metric_names.py` says, on purpose: the verifier shares no code with what it checks.
"""

from __future__ import annotations

from typing import NamedTuple

PLANT, LINE, BOTH = frozenset({"plant"}), frozenset({"line"}), frozenset({"plant", "line"})
DAYS_30, MONTHS_3, MONTHS_12, MONTH = "30 days", "3 months", "12 months", "last whole month"


class Kind(NamedTuple):
    """One metric. member: unit of a distance. counted: its bounds count the flags of its members."""

    title: str
    window: str
    scopes: frozenset[str]
    member: str
    unit: str = "ratio"
    counted: bool = True


KINDS: dict[str, Kind] = {
    "M01": Kind("设备联网率（总设备口径）", DAYS_30, PLANT, "machine"),
    "M02": Kind("数字化设备联网率", DAYS_30, PLANT, "machine"),
    "M03": Kind("主要数控设备和大型加工中心联网率", DAYS_30, PLANT, "machine"),
    "M04": Kind("生产设备数字化率", DAYS_30, PLANT, "machine"),
    "M05": Kind("生产装备数控化率", DAYS_30, LINE, "machine"),
    "M06": Kind("关键工序数控化率", DAYS_30, BOTH, "machine"),
    "M07": Kind("关键工艺参数数字化率", MONTHS_3, BOTH, "parameter"),
    "M08": Kind("数据自动采集率", DAYS_30, PLANT, "item"),
    "M09": Kind("实时采集质量", DAYS_30, BOTH, "machine"),
    "M10": Kind("生产制造指令网络化传输率", MONTHS_3, BOTH, "job"),
    "M11": Kind("稳定运行", MONTHS_3, LINE, "day", counted=False),
    "M12": Kind("历史数据可追溯", MONTHS_3, PLANT, "challenge"),
    "M13": Kind("批次追溯率", MONTHS_3, PLANT, "batch"),
    "M14": Kind("关键工序在线检测覆盖率", MONTHS_3, BOTH, "process"),
    "M15": Kind("数字化研发设计工具普及率", MONTHS_12, PLANT, "project"),
    "M15b": Kind("PDM 受控率", MONTHS_12, PLANT, "drawing"),
    "M16": Kind("企业资源管理领域覆盖", MONTHS_3, PLANT, "domain"),
    "M17": Kind("产品生命周期智能化率", MONTHS_3, PLANT, "domain"),
    "M18": Kind("成效改善", MONTHS_3, BOTH, "effect"),
    "M19": Kind("AI 场景比例", DAYS_30, PLANT, "scene"),
    "M20": Kind("环节覆盖", DAYS_30, PLANT, "stage"),
    "M21": Kind("代表产线软硬件投资", MONTHS_3, LINE, "yuan", "CNY", counted=False),
    "M22": Kind("关键工序自动化率", DAYS_30, BOTH, "process"),
    "M23": Kind("关键技术装备互联", DAYS_30, PLANT, "class"),
    "M24": Kind("单位产品综合能耗", MONTH, PLANT, "kgce", "kgce", counted=False),
    "M25": Kind("系统互通", MONTHS_3, PLANT, "interface"),
    "M26": Kind("关键过程精准控制", MONTHS_3, BOTH, "parameter", counted=False),
    "M27": Kind("自主决策与动态优化", MONTHS_3, PLANT, "scene"),
    "FIN": Kind("年营业收入", MONTHS_3, PLANT, "yuan", "CNY", counted=False),
}
