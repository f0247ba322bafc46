"""A process that stays reads new hours only, and what it counts is what one that starts anew counts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.rules_plant import HOUR_US, Shape, build, end_us, register_of, seal
from collector.clock import DrivenClock
from collector.folder import DataFolder
from collector.intake.imports import import_deliveries
from collector.intake.tables import delivery_of_file
from metrics.evaluate import compute_all, read_inputs
from metrics.inputs import Inputs
from metrics.resume import resume

SHAPE = Shape(lines=1, days=2)
LAST = end_us() // HOUR_US


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return build(tmp_path, SHAPE, held_back=3)


def _numbers(inputs: Inputs) -> list[dict[str, object]]:
    return [r.to_json() for r in compute_all(inputs)]


def test_after_new_hours_the_numbers_are_those_of_a_reading_from_the_start(folder: DataFolder) -> None:
    warm = read_inputs(folder, end_us())
    compute_all(warm)
    for hour in (LAST - 3, LAST - 2, LAST - 1):
        seal(folder, register_of(SHAPE), range(hour, hour + 1))
        warm = resume(warm, folder, end_us())
        assert warm.lines.device["hour"].max() == hour
        assert _numbers(warm) == _numbers(read_inputs(folder, end_us()))


def test_a_batch_made_in_the_new_hours_is_judged_by_them(folder: DataFolder, tmp_path: Path) -> None:
    start, end, closed = (_text(LAST * HOUR_US - minutes * 60_000_000) for minutes in (170, 20, 5))
    files = {
        "batches": f"batch_id,product,quantity,closed_at,trial\nB1,阀体,5,{closed},0\n",
        "operations": "batch_id,process_id,device_id,start,end,operator,program\n"
        f"B1,L1-P1,L1-P1-01,{start},{end},张伟,O1\nB1,L1-P3,L1-P3-01,{start},{end},张伟,O1\n",
    }
    for kind, text in files.items():
        (tmp_path / f"{kind}.csv").write_text(text, encoding="utf-8")
    deliveries = [delivery_of_file(tmp_path / f"{kind}.csv") for kind in files]
    got = import_deliveries(folder, deliveries, reason="MES 导出", clock=DrivenClock(end_us() + HOUR_US), actor="test")
    assert not got.quarantined, [str(f) for q in got.quarantined for f in q.faults]
    warm = read_inputs(folder, end_us())
    before = _numbers(warm)
    for hour in (LAST - 3, LAST - 2, LAST - 1):
        seal(folder, register_of(SHAPE), range(hour, hour + 1))
        warm = resume(warm, folder, end_us())
        assert warm.batch_rows.operations.height == 2
        assert _numbers(warm) == _numbers(read_inputs(folder, end_us()))
    assert _members("M13", before) != _members("M13", _numbers(warm))


def _members(metric: str, numbers: list[dict[str, object]]) -> list[object]:
    return [r["members"] for r in numbers if r["metric"] == metric]


def _text(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_several_hours_at_once_and_none(folder: DataFolder) -> None:
    warm = read_inputs(folder, end_us())
    compute_all(warm)
    assert _numbers(resume(warm, folder, end_us())) == _numbers(warm)
    seal(folder, register_of(SHAPE), range(LAST - 3, LAST))
    assert _numbers(resume(warm, folder, end_us())) == _numbers(read_inputs(folder, end_us()))


def test_another_day_is_read_from_the_start(folder: DataFolder) -> None:
    warm = read_inputs(folder, end_us())
    compute_all(warm)
    yesterday = end_us() - 24 * HOUR_US
    assert _numbers(resume(warm, folder, yesterday)) == _numbers(read_inputs(folder, yesterday))


def test_inputs_of_another_ledger_are_not_continued(folder: DataFolder, tmp_path: Path) -> None:
    other = build(tmp_path / "other", SHAPE, held_back=4)
    warm = read_inputs(other, end_us())
    assert resume(warm, folder, end_us()).ledger_root == read_inputs(folder, end_us()).ledger_root
