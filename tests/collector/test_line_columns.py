"""Hour lines copied into columns: read to the same frames, never taken for other bytes, disposable."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rules_plant import HOUR_US, Shape, build, end_us
from collector.folder import DataFolder
from collector.store.lines import COMMITS, HourLines, day_file, read_commits, read_hours, read_lines, write_hours

LAST = end_us() // HOUR_US
FIRST = LAST - 48


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return build(tmp_path, Shape(lines=1, days=2))


def _copies(folder: DataFolder) -> list[Path]:
    return sorted((folder.path / "rollup/columns").iterdir())


def _equal(one: HourLines, other: HourLines) -> bool:
    pairs = ((one.device, other.device), (one.parameter, other.parameter), (one.late, other.late))
    return all(a.equals(b) and a.schema == b.schema for a, b in pairs)


def test_each_day_has_one_copy_of_each_kind_and_no_older_ones(folder: DataFolder) -> None:
    assert len(_copies(folder)) == 3 * len(list(folder.hours.rglob("*.csv")))
    write_hours(folder, [(LAST - 1, read_lines(folder, LAST - 1)[:5])])
    assert len(_copies(folder)) == 3 * len(list(folder.hours.rglob("*.csv")))


def test_copies_and_csv_are_read_to_the_same_frames(folder: DataFolder) -> None:
    quick = read_hours(folder, FIRST + 5, LAST - 3)
    for copy in _copies(folder):
        copy.unlink()
    assert _equal(quick, read_hours(folder, FIRST + 5, LAST - 3))
    assert quick.device.height > 0


def test_some_days_with_copies_and_some_without(folder: DataFolder) -> None:
    whole = read_hours(folder, FIRST, LAST)
    _copies(folder)[4].unlink()
    assert _equal(whole, read_hours(folder, FIRST, LAST))


def test_a_csv_that_changed_is_read_itself(folder: DataFolder) -> None:
    path = day_file(folder, FIRST)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b",live,", b",replay,", 1))
    assert set(read_hours(folder, FIRST, LAST).device["origin"]) == {"live", "replay"}


def test_a_copy_that_cannot_be_read_is_passed_over(folder: DataFolder) -> None:
    whole = read_hours(folder, FIRST, LAST)
    for copy in _copies(folder):
        copy.write_bytes(copy.read_bytes()[:100])
    assert _equal(whole, read_hours(folder, FIRST, LAST))


def test_commitments_are_left_out_or_read_alone(folder: DataFolder) -> None:
    without = read_hours(folder, FIRST, LAST, without=COMMITS).device
    assert not set(COMMITS) & set(without.columns)
    some = read_commits(folder, [FIRST + 1, LAST - 1])
    whole = read_hours(folder, FIRST, LAST).device.select("device", "hour", *COMMITS)
    assert some.equals(whole.filter(whole["hour"].is_in([FIRST + 1, LAST - 1])))
    for copy in _copies(folder):
        copy.unlink()
    assert some.equals(read_commits(folder, [FIRST + 1, LAST - 1]))


def test_lines_that_do_not_parse_get_no_copy(folder: DataFolder) -> None:
    before = len(_copies(folder))
    write_hours(folder, [(LAST + 24, [b"D,x,2026-10-02T12Z,1"])])
    assert len(_copies(folder)) == before
