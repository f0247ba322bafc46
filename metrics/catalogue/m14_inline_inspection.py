"""关键工序在线检测覆盖率 (M14) = key processes measured automatically on the line, with alarms seen through / those that need it.

Members, denominator: processes of the register with `key` and `inspection`; one result per representative line, one over the plant.
Of the batches closed in the three months that ran the process (trial batches flagged in time left out):
lower = at least one, every one has an automatic inspection of the process by a networked device (M01, lower), and an alarm chain
raised -> diagnosed -> closed before T, or a tested alarm, was raised in the window; value = some were inspected, each of those
automatically, and an alarm was raised in the window; upper = no batch is known that was inspected by hand only.
Alarm rules themselves are not in the records. Exclusions: as M13. Undetermined: no register, no such process.
Source: GS25 第十二条(四)5 关键工序采用智能化检测设备…在线自动检测、报警和诊断分析; catalogue §4.1 M14.
"""

from __future__ import annotations

import polars as pl

from config.register import Process
from metrics.batches.batch_file import closed_batches
from metrics.inputs import Inputs, Records, in_service_at_end
from metrics.machines.networked import COVERAGE_PERCENT, contacts
from metrics.members import by_line_and_plant, ratio_of_members
from metrics.result import Member, MetricResult, Pair

NO_PROCESS = "台账没有要求检验的关键工序 (no process with key and inspection in the register)"
_COUNTS = ("batches", "inspected", "automatic", "proven", "alarms", "chains")


def inline_inspection(inputs: Inputs) -> list[MetricResult]:
    """M14 关键工序在线检测覆盖率; members are processes."""
    window = inputs.three_months
    counts = _counts(inputs, inputs.records) if inputs.revision is not None and inputs.records is not None else {}

    def count(scope: str, lines: frozenset[str]) -> MetricResult:
        processes = [p for p in inputs.register.processes if p.key and p.inspection and p.line in lines]
        members = tuple(_member(p, counts.get(p.id, dict.fromkeys(_COUNTS, 0))) for p in processes)
        notes = () if members else (NO_PROCESS,)
        return ratio_of_members("M14", scope, window, inputs, members, notes=notes)

    return by_line_and_plant("M14", window, inputs, count)


def _member(process: Process, n: dict[str, int]) -> Member:
    lower = n["batches"] > 0 and n["proven"] == n["batches"] and n["chains"] > 0
    value = n["inspected"] > 0 and n["automatic"] == n["inspected"] and n["alarms"] > 0
    upper = n["automatic"] == n["inspected"]
    reasons = (
        ("no_batch", n["batches"] == 0),
        ("manual_inspection", n["automatic"] < n["inspected"]),
        ("not_inspected", n["inspected"] < n["batches"]),
        ("inspection_not_networked", n["proven"] < n["batches"]),
        ("no_alarm", n["alarms"] == 0),
        ("alarm_open", n["chains"] == 0),
    )
    why = next((code for code, holds in reasons if holds), "ok")
    facts: tuple[Pair, ...] = tuple((name, n[name]) for name in _COUNTS)
    return Member(process.id, process.name, lower, value, upper, why, facts)


def _counts(inputs: Inputs, records: Records) -> dict[str, dict[str, int]]:
    """Per process: batches that ran it, inspected, automatic, by a networked device (proven); alarms and complete chains."""
    window = inputs.three_months
    batches = closed_batches(records, window).filter(~pl.col("excused")).select("batch_id")
    ran = records.frame("operations").join(batches, on="batch_id", how="semi").select("batch_id", "process_id").unique()
    automatic = pl.col("automatic")
    networked = pl.col("device_id").is_in(sorted(_networked(inputs, records)))
    inspected = (
        records.frame("inspections")
        .filter(pl.col("at") < window.end_us)
        .group_by("batch_id", "process_id")
        .agg(automatic=automatic.any(), proven=(automatic & networked).any())
    )
    of_batches = (
        ran.join(inspected, on=["batch_id", "process_id"], how="left")
        .group_by("process_id")
        .agg(
            batches=pl.len(),
            inspected=pl.col("automatic").is_not_null().sum(),
            automatic=pl.col("automatic").sum(),
            proven=pl.col("proven").sum(),
        )
    )
    return {
        row["process_id"]: {name: int(row[name] or 0) for name in _COUNTS}
        for row in of_batches.join(
            _alarms(records, window.start_us, window.end_us), on="process_id", how="full", coalesce=True
        ).iter_rows(named=True)
    }


def _networked(inputs: Inputs, records: Records) -> set[str]:
    """Devices of automatic inspections that are networked as in M01 (lower)."""
    register = inputs.register
    named = set(records.frame("inspections").filter("automatic")["device_id"].unique().to_list())
    devices = [d for d in register.devices if d.id in named and in_service_at_end(register, d.id, inputs.end_us)]
    return {c.device.id for c in contacts(inputs, devices) if c.flags(COVERAGE_PERCENT)[0]}


def _alarms(records: Records, start_us: int, end_us: int) -> pl.DataFrame:
    """(process_id, alarms, chains) raised in the window."""
    raised, diagnosed, closed = (pl.col(c) for c in ("raised_at", "diagnosed_at", "closed_at"))
    through = (pl.col("diagnosis") != "") & (raised <= diagnosed) & (diagnosed <= closed) & (closed < end_us)
    return (
        records.frame("alarms")
        .filter((raised >= start_us) & (raised < end_us))
        .group_by("process_id")
        .agg(alarms=pl.len(), chains=(pl.col("tested") | through.fill_null(value=False)).sum())
    )
