"""记录的疑点: rows kept aside, cells replaced, batches shipped but never closed are asked about, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics.evaluate import read_inputs
from metrics.findings.finding import Finding
from metrics.findings.records import batches_shipped_open, rows_quarantined, rows_replaced
from metrics.inputs import Inputs
from tests.collector.intake.plant import NOW_US, RecordsPlant, table

DAY_US = 86_400_000_000
BATCHES = ("batch_id", "product", "closed_at", "trial")


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


def _inputs(plant: RecordsPlant) -> Inputs:
    return read_inputs(plant.folder, NOW_US + DAY_US)


def _rows(found: list[Finding]) -> list[tuple[str, ...]]:
    return [row for f in found for row in f.rows]


def test_a_batch_that_went_to_quarantine_with_its_operations_is_asked_about_by_name(plant: RecordsPlant) -> None:
    operations = table(
        ("batch_id", "process_id", "device_id", "start", "end"),
        ("B2", "P1", "M1", "2026-09-10 08:00", "2026-09-11 08:00"),
    )
    wrong = table(BATCHES, ("B1", "轴", "2026-09-20 08:00", 0), ("B2", "轴", "2026-09-10 09:00", 0))
    plant.csv(("operations.csv", operations), ("batches.csv", wrong))
    inputs = _inputs(plant)
    assert inputs.records is not None
    assert inputs.records.frame("batches")["batch_id"].to_list() == ["B1"]
    assert _rows(rows_quarantined(inputs, ())) == [
        ("第 1 版", "2026-10-01", "批次", "1", "B2"),
        ("第 1 版", "2026-10-01", "工序执行", "1", ""),
    ]
    plant.csv(("batches.csv", table(BATCHES, ("B2", "轴", "2026-09-12 09:00", 0))))
    assert _rows(rows_quarantined(_inputs(plant), ()))[0] == ("第 1 版", "2026-10-01", "批次", "1", "")


def test_a_cell_changed_after_its_import_is_shown_before_and_after(plant: RecordsPlant) -> None:
    plant.csv(("batches.csv", table(BATCHES, ("B1", "轴", "", 0))))
    assert rows_replaced(_inputs(plant), ()) == []
    plant.csv(("batches.csv", table(BATCHES, ("B1", "轴", "", 1))), replace=True)
    assert _rows(rows_replaced(_inputs(plant), ())) == [("第 2 版", "批次", "B1", "试制", "0", "1", "月度导入")]


def test_a_batch_shipped_but_never_closed_is_asked_about(plant: RecordsPlant) -> None:
    shipments = table(
        ("batch_id", "at", "kind", "document"),
        ("B1", "2026-09-21 08:00", "ship", "F1"),
        ("B2", "2026-09-21 08:00", "ship", "F2"),
        ("B3", "2026-09-21 08:00", "stock", "F3"),
    )
    batches = table(BATCHES, ("B1", "轴", "", 0), ("B2", "轴", "2026-09-20 08:00", 0), ("B3", "轴", "", 0))
    plant.csv(("batches.csv", batches), ("shipments.csv", shipments))
    assert _rows(batches_shipped_open(_inputs(plant), ())) == [("B1", "轴", "2026-09-21")]


def test_a_window_without_records_raises_none(plant: RecordsPlant) -> None:
    inputs = _inputs(plant)
    assert [check(inputs, ()) for check in (rows_quarantined, rows_replaced, batches_shipped_open)] == [[], [], []]
