"""批次追溯率 (M13) = traceable batches / batches closed in three months.

Numerator: batches against which nothing stands (docs/metrics.md, M13: lots with supplier lot, the route's key processes with
operator, program and covered key parameters, inspections, a shipment, times in order, sources that resolve).
Denominator, members: batches with a closing time in the window; open ones are not. Exclusions: trial batches flagged before they
were closed; flagged later they stay in and a note says so (试制标记迟报).
Undetermined: no records, no batch closed. Source: GS25 第十二条(四)5 每个批次产品均可…可追溯; catalogue §4.1 M13.
"""

from __future__ import annotations

import polars as pl

from metrics.batches.batch_file import closed_batches
from metrics.batches.batch_trace import COVERAGE_PERCENT, judged_batches
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.result import MetricResult

NO_RECORDS = "没有导入生产记录 (no records imported): plantproof records import"


def batch_traceability(inputs: Inputs) -> list[MetricResult]:
    """M13 批次追溯率; members are batches."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M13", "plant", window, inputs)]
    if inputs.records is None or inputs.records.rev == 0:
        return [ratio_of_members("M13", "plant", window, inputs, (), notes=(NO_RECORDS,))]
    closed = closed_batches(inputs.records, window)
    excused = closed.filter("excused")["batch_id"].to_list()
    late = closed.filter(pl.col("trial") & ~pl.col("excused"))["batch_id"].to_list()
    open_batches = inputs.records.frame("batches")["closed_at"].null_count()
    return [
        ratio_of_members(
            "M13",
            "plant",
            window,
            inputs,
            judged_batches(inputs, inputs.batch_rows),
            exclusions=(
                *((b, "试制批，不计 (trial)") for b in excused),
                *((b, "试制标记迟报，计入分母 (flagged after closing, counted)") for b in late),
            ),
            parameters=(
                ("coverage_min_percent", COVERAGE_PERCENT),
                ("trial_batches", len(excused)),
                ("trial_late", len(late)),
                ("open_batches", open_batches),
            ),
            notes=(f"试制标记迟报 {len(late)} 批：完工以后才标明，计入分母",) if late else (),
        )
    ]
