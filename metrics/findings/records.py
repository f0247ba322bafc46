"""记录的疑点: rows that were handed in and never counted, cells that were changed afterwards, batches that are shipped but never closed.

In: `Inputs` (records, import facts). Out: findings `rows_quarantined`, `rows_replaced`, `batches_shipped_open`. A batch that no
import accepted, or that nobody closes, is not among the members of M13: this is where a reviewer sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from config.record_kinds import KINDS
from metrics.findings.finding import Finding, finding
from metrics.inputs import Inputs
from metrics.result import MetricResult
from metrics.window import local_day

NAMED = 20  # batches named in one row of a finding


def rows_quarantined(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Rows kept aside since the three months began, per import and kind; batches among them that no import has closed, by name."""
    closed = set()
    if inputs.records is not None:
        batches = inputs.records.frame("batches")
        closed = set(batches.filter(pl.col("closed_at").is_not_null())["batch_id"].to_list())
    rows = []
    for facts in inputs.import_facts:
        if facts.entered_us < inputs.three_months.start_us:
            continue
        day = str(local_day(facts.entered_us, inputs.tz))
        for kind, count in facts.kept_aside.items():
            absent = [b for b in facts.batches if b not in closed] if kind == "batches" else []
            rows.append((f"第 {facts.rev} 版", day, KINDS[kind].zh, str(count), _names(absent)))
    why = "隔离的行不进任何计算：从未导入、没有完工时间的批次也不在 M13 的分母里 (rows kept aside count nowhere)"
    heads = ("版次", "日期", "记录", "隔离行数", "其中至今没有导入完工时间的批次")
    return finding("rows_quarantined", "隔离的行为什么还没改好？", why, heads, rows)


def rows_replaced(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Cells changed with --replace since the three months began."""
    rows = [
        (f"第 {facts.rev} 版", KINDS[kind].zh, key, KINDS[kind].column[column].zh, before, after, facts.reason)
        for facts in inputs.import_facts
        if facts.entered_us >= inputs.three_months.start_us
        for kind, key, column, before, after in facts.replaced
    ]
    why = "导入后又更改的内容，原值与新值都在账本里 (changed after it was imported)"
    heads = ("版次", "记录", "编号", "列", "原为", "改为", "原因")
    return finding("rows_replaced", "记录为什么事后更改？", why, heads, rows)


def batches_shipped_open(inputs: Inputs, _: Sequence[MetricResult]) -> list[Finding]:
    """Batches shipped before T that no import closed: M13 counts closed ones only."""
    if inputs.records is None:
        return []
    shipped = (
        inputs.records.frame("shipments")
        .filter((pl.col("kind") == "ship") & (pl.col("at") < inputs.end_us))
        .group_by("batch_id")
        .agg(pl.col("at").min())
    )
    still = (
        inputs.records.frame("batches").filter(pl.col("closed_at").is_null()).join(shipped, on="batch_id").sort("at")
    )
    rows = [
        (batch, product, str(local_day(at, inputs.tz)))
        for batch, product, at in still.select("batch_id", "product", "at").rows()
    ]
    why = "已发货而没有完工时间的批次不进 M13 的分母 (shipped, never closed: not a member of M13)"
    return finding("batches_shipped_open", "发了货的批次何时完工？", why, ("批次", "产品", "首次发货"), rows)


def _names(batches: Sequence[str]) -> str:
    more = f" 等 {len(batches)} 个" if len(batches) > NAMED else ""
    return "、".join(batches[:NAMED]) + more
