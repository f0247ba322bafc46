"""A process that stays reads new hours only, and what it counts is what one that starts anew counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rules_plant import HOUR_US, Shape, build, end_us, register_of, seal
from collector.folder import DataFolder
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
