"""台账与申报的疑点: register edited shortly before T, denominators that shrank, declared numbers above computed ones, late flags.

In: `Inputs`, results. Out: findings `register_edited`, `register_weakened`, `denominator_shrank`, `declared_differs`,
`exclusion_late`, `data_before_service`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import polars as pl

from config.metric_names import TITLES
from config.register import Register
from metrics.findings.finding import Finding, finding
from metrics.inputs import NETWORK_DAYS, Inputs
from metrics.result import Bound, MetricResult
from metrics.window import DAY_US, HOUR_US, hour_text, local_day

EDIT_DAYS = NETWORK_DAYS


def register_edited(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Revisions entered within 30 days before T, but for the first one: who, when, why is in the register history."""
    since = inputs.end_us - EDIT_DAYS * DAY_US
    later = [r for r in inputs.revisions[1:] if since <= r.effective_us < inputs.end_us]
    rows = [(f"第 {r.rev} 版", str(local_day(r.effective_us, inputs.tz)), r.reason) for r in later]
    why = f"截止前 {EDIT_DAYS} 天内改过台账，分母随之而变的要说得清 (register edited shortly before the cut-off)"
    return finding("register_edited", "截止前为什么改台账？", why, ("版次", "日期", "原因"), rows)


def register_weakened(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Machines deleted (not retired) or no longer production equipment, processes no longer key, since the three months began."""
    rows = []
    start = inputs.three_months.start_us
    for old, new in pairwise(r for r in inputs.revisions if r.effective_us < inputs.end_us):
        if new.effective_us < start:
            continue
        when = str(local_day(new.effective_us, inputs.tz))
        rows += [(f"第 {new.rev} 版", when, name, what) for name, what in _weaker(old.register, new.register)]
    why = "删去设备、取消生产装备或关键工序，都会让比率和稳定运行变好看 (machines or key processes taken out of the count)"
    return finding("register_weakened", "为什么不再计入？", why, ("版次", "日期", "对象", "变更"), rows)


def _weaker(old: Register, new: Register) -> Iterator[tuple[str, str]]:
    """What counted in `old` and no longer does in `new`, by name."""
    for device in old.devices:
        now = new.device.get(device.id)
        if now is None:
            yield f"{device.id} {device.name}", "从台账删去"
        elif device.production and not now.production:
            yield f"{device.id} {device.name}", "不再是生产装备"
    keys = {p.id for p in new.processes if p.key}
    for process in old.processes:
        if process.key and process.id not in keys:
            yield f"{process.id} {process.name}", "不再是关键工序"
    lines = {line.id for line in new.lines if line.representative}
    for line in old.lines:
        if line.representative and line.id not in lines:
            yield f"{line.id} {line.name}", "不再是代表产线"


def denominator_shrank(_: Inputs, results: Sequence[MetricResult]) -> list[Finding]:
    """Ratios whose denominator was larger earlier in their window."""
    rows = []
    for result in results:
        facts = dict(result.parameters)
        largest = facts.get("denominator_max")
        now = result.value.denominator
        if result.unit == "ratio" and isinstance(largest, int) and largest > now:
            name = TITLES.get(result.metric, result.metric)
            rows.append((f"{result.metric} {name}", result.scope, str(largest), str(now)))
    why = "窗口内分母曾经更大，比率因此变高 (a smaller denominator raises the ratio)"
    return finding("denominator_shrank", "分母为什么变小？", why, ("指标", "范围", "最大", "截止时"), rows)


def declared_differs(inputs: Inputs, results: Sequence[MetricResult]) -> list[Finding]:
    """Numbers on the application form that are above what is computed, or have another denominator."""
    if inputs.records is None:
        return []
    by_key = {(r.metric, r.scope): r for r in results}
    rows = []
    for metric, scope, numerator, denominator, form in (
        inputs.records.frame("declarations").select("metric", "scope", "numerator", "denominator", "form").rows()
    ):
        result = by_key.get((metric, scope))
        if result is None:
            rows.append((metric, scope, f"{numerator}/{denominator}", "无此结果", form))
        elif _differs(Bound(numerator, denominator), result):
            computed = f"{_text(result.lower)} · {_text(result.value)} · {_text(result.upper)}"
            rows.append((metric, scope, f"{numerator}/{denominator}", computed, form))
    why = "申报书上的数与计算结果不同，或高于可证明的下限 (下限 · 实测 · 上限)"
    return finding("declared_differs", "申报的数从哪里来？", why, ("指标", "范围", "申报", "计算", "表格"), rows)


def exclusion_late(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Stops that were entered more than 72 h after they began: shown, not excused."""
    if inputs.revision is None:
        return []
    start = inputs.three_months.start_us
    rows = [
        (e.id, str(local_day(e.from_us, inputs.tz)), str(local_day(e.entered_us, inputs.tz)), e.reason)
        for e in inputs.excusing
        if not e.counts and start < e.to_us and e.from_us < inputs.end_us
    ]
    why = "开始超过 72 小时才登记的停机不扣除 (entered late, does not count)"
    return finding("exclusion_late", "停机为什么事后才登记？", why, ("编号", "开始", "登记", "原因"), rows)


def data_before_service(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Machines that delivered data before the day on which the register says their service began."""
    if inputs.revision is None:
        return []
    register = inputs.register
    begins = pl.DataFrame(
        [(d.id, d.name, register.in_service_us(d)[0] // HOUR_US) for d in register.devices],
        {"device": pl.String, "name": pl.String, "begins": pl.Int64},
        orient="row",
    )
    early = (
        inputs.lines.device.filter(pl.col("polls_ok") > 0)
        .join(begins, on="device", how="inner")
        .filter(pl.col("hour") < pl.col("begins"))
        .group_by("device", "name", "begins", maintain_order=True)
        .agg(pl.col("hour").min(), pl.len().alias("hours"))
        .sort("device")
    )
    rows = [
        (f"{d} {n}", hour_text(first), hour_text(begins), str(hours)) for d, n, begins, first, hours in early.rows()
    ]
    why = "数据早于台账的投用日期 (data older than commissioning)"
    return finding("data_before_service", "设备哪天投用？", why, ("设备", "最早数据", "台账投用", "小时数"), rows)


def _differs(declared: Bound, result: MetricResult) -> bool:
    """Another denominator, or above the lower bound: 1/2 declared of 2/4 proven is another count of machines.

    An amount (yuan, kgce) has no members: written as whatever fraction, it differs when it is not the amount seen and above the proven one;
    energy per part differs as soon as it is another.
    """
    if result.unit != "ratio":
        if _product(declared, result.value) == _product(result.value, declared):
            return False
        if result.unit == "kgce":
            return True
        return _product(declared, result.lower) > _product(result.lower, declared)
    if declared.denominator != result.value.denominator:
        return True
    return declared.numerator > result.lower.numerator or declared.numerator > result.value.numerator


def _product(one: Bound, other: Bound) -> int:
    """For a comparison of fractions without dividing; nothing to divide by counts as one."""
    return one.numerator * max(1, other.denominator)


def _text(bound: Bound) -> str:
    return f"{bound.numerator}/{bound.denominator}"
