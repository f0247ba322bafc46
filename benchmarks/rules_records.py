"""Records of the plant of benchmarks/rules_plant.py: 20,000 closed batches with five operations, three lots, three inspections, two
shipments and five dispatches each, one in ten with a link (split, merge, rework); beside them every enterprise kind in a plausible size.

In: a register, a count, a folder. Out: CSV files as an MES would export them, named after their kinds, ids as headers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.rules_plant import DAYS, FIRST_HOUR, HOUR_US, PROCESSES, SEED, STAGES
from config.register import Register

BATCHES = 20_000
MINUTE_US = 60_000_000
STEP_MIN, OPERATION_MIN = 180, 100
Cells = list[dict[str, object]]


def write_records(register: Register, batches: int, place: Path) -> tuple[list[Path], int]:
    """The files, and how many rows they hold together."""
    place.mkdir(parents=True)
    rows = 0
    files = []
    for kind, frame in (*_production(register, batches), *_enterprise()):
        path = place / f"{kind}.csv"
        frame.write_csv(path)
        files.append(path)
        rows += frame.height
    return files, rows


def _production(register: Register, batches: int) -> Iterator[tuple[str, pl.DataFrame]]:
    rng = np.random.Generator(np.random.PCG64([SEED, batches]))
    lines = [x.id for x in register.lines]
    begun = np.sort(rng.integers(0, (DAYS - 1) * 1440 - 960, batches))
    number = pl.Series("n", np.arange(batches))
    base = pl.DataFrame({"n": number, "begun": begun, "line": [lines[n % len(lines)] for n in range(batches)]})
    named = base.with_columns(batch_id="B" + pl.col("n").cast(pl.String).str.zfill(6))
    orders = named.select(order_id="GD" + (pl.col("n") // 20).cast(pl.String), begun="begun").unique("order_id")
    yield "orders", orders.sort("order_id").select("order_id", product=pl.lit("阀体"), released_at=_at("begun"))
    yield (
        "batches",
        named.select(
            "batch_id",
            product=pl.lit("阀体 VB-20"),
            quantity=pl.lit(120),
            closed_at=_at(pl.col("begun") + PROCESSES * STEP_MIN + 30),
            trial=pl.when(pl.col("n") % 500 == 7).then(1).otherwise(0),
            order_id="GD" + (pl.col("n") // 20).cast(pl.String),
        ),
    )
    machines = pl.Series("m", rng.integers(1, 11, batches * PROCESSES))
    steps = _times(named, "step", PROCESSES).with_columns(
        machines,
        process_id=pl.concat_str("line", pl.lit("-P"), pl.col("step") + 1),
        start=pl.col("begun") + pl.col("step") * STEP_MIN,
    )
    steps = steps.with_columns(
        device_id=pl.concat_str("process_id", pl.lit("-"), pl.col("m").cast(pl.String).str.zfill(2)),
        end=pl.col("start") + OPERATION_MIN,
    )
    key = ("batch_id", "process_id", "device_id")
    operator = pl.when(pl.col("n") % 97 == 0).then(pl.lit("")).otherwise(pl.lit("白班-张伟"))
    yield (
        "operations",
        steps.select(
            *key, start=_at("start"), end=_at("end"), operator=operator, program=pl.lit("O1001"), good=pl.lit(120)
        ),
    )
    yield (
        "dispatches",
        steps.select(
            pl.concat_str(pl.lit("J"), "batch_id", pl.lit("-"), "step").alias("job_id"),
            *key,
            at=_at(pl.col("start") - 6),
            method=pl.when(pl.col("n") % 50 == 3).then(pl.lit("usb")).otherwise(pl.lit("network")),
            program=pl.lit("O1001"),
            acked_at=_at(pl.col("start") - 5),
        ),
    )
    checked = steps.filter(pl.col("step") % 2 == 0)
    yield (
        "inspections",
        checked.select(
            "batch_id",
            "process_id",
            at=_at(pl.col("end") + 3),
            result=pl.lit("pass"),
            device_id="device_id",
            automatic=(pl.col("step") // 2) % 2,
        ),
    )
    supplier = pl.when(pl.col("n") % 211 == 0).then(pl.lit("")).otherwise("S" + (pl.col("n") // 9).cast(pl.String))
    item, lot = pl.concat_str(pl.lit("物料"), "lot"), pl.concat_str(pl.lit("M"), "lot", pl.lit("-"), pl.col("n") // 7)
    yield "lots", _times(named, "lot", 3).select("batch_id", item=item, lot_id=lot, supplier_lot=supplier)
    yield (
        "shipments",
        _times(named, "paper", 2).select(
            "batch_id",
            at=_at(pl.col("begun") + PROCESSES * STEP_MIN + pl.col("paper") * 10),
            kind=pl.when(pl.col("paper") == 0).then(pl.lit("pack")).otherwise(pl.lit("stock")),
            document=pl.concat_str(pl.lit("D"), "n"),
        ),
    )
    yield (
        "links",
        named.with_columns(parent=pl.col("batch_id").shift(1))
        .filter(pl.col("n") % 10 == 9)
        .select(
            "parent",
            child="batch_id",
            kind=pl.when(pl.col("n") % 30 == 9).then(pl.lit("rework")).otherwise(pl.lit("split")),
            at=_at("begun"),
        ),
    )


def _times(frame: pl.DataFrame, name: str, count: int) -> pl.DataFrame:
    """Each row `count` times, numbered."""
    return frame.join(pl.DataFrame({name: range(count)}), how="cross")


def _at(minutes: str | pl.Expr) -> pl.Expr:
    """Minutes of the window -> canonical time."""
    column = pl.col(minutes) if isinstance(minutes, str) else minutes
    at = pl.lit(FIRST_HOUR * HOUR_US) + column.cast(pl.Int64) * MINUTE_US
    return pl.from_epoch(at, time_unit="us").dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _enterprise() -> Iterator[tuple[str, pl.DataFrame]]:
    days = [(date(2026, 7, 1) + timedelta(n)).isoformat() for n in range(DAYS)]
    kinds: dict[str, Cells] = {
        "transactions": [{"domain": s, "day": d, "count": 40, "system_id": "SYS-erp"} for s in STAGES for d in days],
        "exchanges": [
            {"interface_id": i, "day": d, "ok": 200, "failed": 1}
            for i in ("I-erp-mes", "I-mes-scada", "I-plm-mes", "I-wms-mes")
            for d in days
        ],
        "inferences": [{"scene_id": f"S{n}", "day": d, "count": 900} for n in range(1, 6) for d in days],
        "alarms": [
            {
                "alarm_id": f"A{n}",
                "process_id": "L1-P1",
                "raised_at": f"{days[n % DAYS]}T02:00:00Z",
                "diagnosis": "更换备件",
                "diagnosed_at": f"{days[n % DAYS]}T02:30:00Z",
                "closed_at": f"{days[n % DAYS]}T03:00:00Z",
            }
            for n in range(500)
        ],
        "changes": [
            {"change_id": f"C{n}", "at": f"{days[n % DAYS]}T04:00:00Z", "subject": "setpoint", "actor": "algorithm"}
            | {"reason": "温度漂移", "device_id": "L1-P1-01", "scene_id": "S1", "domain": STAGES[n % 8]}
            for n in range(2000)
        ],
        "projects": [
            {"project_id": f"P{n}", "name": f"项目 {n}", "began": "2026-02-01", "tool": "CAD", "licensed": 1, "in_pdm": 1}
            for n in range(60)
        ],
        "drawings": [
            {"drawing_id": f"T{n}", "released": days[n % DAYS], "version": "A", "approver": "总工", "approved": days[n % DAYS]}
            | {"in_pdm": 1}
            for n in range(3000)
        ],
        "investments": [
            {"item_id": f"I{n}", "line_id": "L1", "category": "equipment", "name": "机床", "amount": "350000.00"}
            | {"tax": "excluded", "paid_on": "2025-05-01"}
            for n in range(200)
        ],
        "finance": [{"year": y, "revenue": "120000000.00", "profit": "8000000.00"} for y in (2023, 2024, 2025)],
        "effects": [
            {"indicator": i, "scope": "plant", "period": p, "first_day": a, "last_day": b, "numerator": n}
            | {"denominator": 100, "formula": "合格数/总数", "data_source": "MES"}
            for i in ("first_pass_yield", "oee", "production_efficiency", "energy_use")
            for p, a, b, n in (("before", "2024-01-01", "2024-12-31", 80), ("after", "2025-07-01", "2026-06-30", 92))
        ],
        "profile": [{"name": "size", "value": "medium"}, {"name": "province", "value": "甘肃"}],
    }  # fmt: skip
    for kind, cells in kinds.items():
        yield kind, pl.DataFrame(cells)
