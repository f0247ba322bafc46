"""Sealed hours again from raw rows: whatever was merged, deleted or cut differently, the lines and commitments stay the same."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import polars as pl
import pytest

from collector.capture import DRIVEN, Cutting
from collector.folder import DataFolder
from collector.maintain import maintain
from collector.recompute import recompute_hour, recompute_hours, restore_lines
from collector.store.catalog import open_catalog
from collector.store.errors import StoreError
from collector.store.lines import read_lines
from collector.store.scan import scan
from tests.builders import FIRST_HOUR, HOUR_US, Driver, drive_hours, simple_register
from tests.collector.plain_lines import lines_of_hour
from tests.collector.random_plant import RandomPlant
from tests.collector.test_hour_lines import seals_of

TEN_MINUTES = Cutting(flush_ms=20, file_us=600_000_000)
SEVEN_MINUTES = Cutting(flush_ms=0, file_us=420_000_000)


class Maintained(RandomPlant):
    """A random plant whose collector's files are looked after now and then, as in live operation."""

    async def _interrupt(self, length_us: int) -> None:
        maintain(self.driver.folder)
        await super()._interrupt(length_us)


def levels(folder: DataFolder) -> dict[str, int]:
    """How many segments of each level."""
    with open_catalog(folder) as catalog:
        found = [s.level for s in catalog.segments()]
    return {level: found.count(level) for level in set(found)}


def assert_all_equal(folder: DataFolder, hours: list[int]) -> None:
    """Each hour's lines from raw rows are the sealed ones."""
    for hour in hours:
        assert recompute_hour(folder, hour) == [x.decode() for x in read_lines(folder, hour)], hour


@pytest.mark.parametrize(("seed", "cutting"), [(20, DRIVEN), (21, SEVEN_MINUTES)])
async def test_fifty_random_device_hours_equal_their_sealed_lines_after_deletions_and_merges(
    tmp_path: Path, seed: int, cutting: Cutting
) -> None:
    driver = Driver(tmp_path, (FIRST_HOUR + 20) * HOUR_US + 1, cutting=cutting)
    plant = Maintained(driver, seed)
    await plant.run(6)  # over midnight UTC: the first day is merged
    folder = driver.folder
    for hour in (
        FIRST_HOUR + 26,
        FIRST_HOUR + 27,
    ):  # the sealing passes differ from the reading ones: one after the other
        driver.clock.advance_to((hour + 1) * HOUR_US)
        await driver.start()
        await driver.stop()
        maintain(folder)
    sealed = sorted(seals_of(folder))
    assert len(sealed) >= 7
    assert levels(folder).get("day")
    lines = [(h, x.decode()) for h in sealed for x in read_lines(folder, h) if x[:1] == b"D"]
    again = {h: recompute_hour(folder, h) for h in sealed}
    plain = {h: lines_of_hour(plant.world(), h) for h in sealed}
    for hour, line in random.Random(seed).sample(lines, 50):
        assert line in again[hour]
        assert line in plain[hour]
    together = recompute_hours(folder, sealed)
    assert [[x.decode() for x in together[h].lines] for h in sealed] == [again[h] for h in sealed]

    shutil.rmtree(folder.hours)
    folder.hours.mkdir()
    assert restore_lines(folder) == (len(sealed), [])
    rows = scan(folder).collect().height
    for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
        (folder.path / name).unlink(missing_ok=True)
    assert_all_equal(folder, sealed)
    assert scan(folder).collect().height == rows


@pytest.mark.parametrize("seed", [30, 31])
async def test_live_cutting_and_driven_days_give_the_same_lines(tmp_path: Path, seed: int) -> None:
    found = []
    for name, cutting in (("driven", DRIVEN), ("live", TEN_MINUTES)):
        (tmp_path / name).mkdir()
        driver = Driver(tmp_path / name, (FIRST_HOUR + 21) * HOUR_US, cutting=cutting)
        plant = RandomPlant(driver, seed)
        await plant.run(4)
        maintain(driver.folder)
        seals = seals_of(driver.folder)
        # genesis and frame numbers differ, nothing else
        kept = {h: {k: v for k, v in s.items() if k not in ("frames", "head")} for h, s in seals.items()}
        found.append((kept, {h: read_lines(driver.folder, h) for h in seals}))
    assert len(found[0][0]) >= 4
    assert found[0] == found[1]


async def test_ten_minute_segments_become_one_file_a_day_and_the_rows_stay(tmp_path: Path) -> None:
    driver = Driver(tmp_path, (FIRST_HOUR + 22) * HOUR_US, cutting=Cutting(0, 600_000_000))
    driver.register(simple_register("A", "B"))
    await driver.start()
    for step in range(22 * 60, 26 * 60, 5):
        driver.clock.advance_to(FIRST_HOUR * HOUR_US + step * 60_000_000)
        await drive_now(driver)
    await driver.stop()
    maintain(driver.folder)
    before = scan(driver.folder).collect().height
    open_files = list((driver.folder.segments / "open").glob("*.parquet"))
    assert levels(driver.folder) == {"day": 1, "open": len(open_files)}
    assert all(int(p.name[:16]) for p in open_files)
    assert before == 2 * 2 * 48
    sealed = sorted(seals_of(driver.folder))
    assert_all_equal(driver.folder, sealed)


async def drive_now(driver: Driver) -> None:
    """One good poll of A and of B at the clock's time."""
    from tests.builders import SIMPLE, ok_row

    now = driver.clock.now_us()
    await driver.emit([[ok_row(d, SIMPLE, now, state=1, speed=3.0)] for d in "AB"])


async def test_a_segment_made_twice_is_the_same_and_a_whole_day_is_written_at_once(tmp_path: Path) -> None:
    driver = Driver(tmp_path, FIRST_HOUR * HOUR_US)
    driver.register(simple_register("A", "B"))
    await driver.start()
    await drive_hours(driver, "AB", 25)
    maintain(driver.folder)
    assert levels(driver.folder) == {"day": 1}
    day = next(driver.folder.segments.glob("2026/*/*/*.parquet"))
    first = day.read_bytes()
    (driver.folder.path / "catalog.db").unlink()
    maintain(driver.folder)
    assert day.read_bytes() == first
    await driver.stop()


async def test_a_file_of_many_rows_becomes_the_same_segments_a_portion_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for rows_at_once in (10_000, 70):
        monkeypatch.setattr("collector.store.portions.PORTION_ROWS", rows_at_once)
        monkeypatch.setattr("collector.store.merge.SLICE_ROWS", rows_at_once)
        place = tmp_path / str(rows_at_once)
        place.mkdir()
        driver = Driver(place, (FIRST_HOUR + 10) * HOUR_US)
        await RandomPlant(driver, 21).run(3)
        open_files = driver.folder.segments / "open"
        (open_files / ".left.000000.part").write_bytes(b"of a process that died")
        maintain(driver.folder)
        paths = sorted(open_files.iterdir())
        assert all(p.suffix == ".parquet" for p in paths)
        found.append({p.name: pl.read_parquet(p) for p in paths})
    first, second = found
    assert first.keys() == second.keys()
    assert sum(len(f) for f in first.values()) > 500
    for name, rows in first.items():
        assert rows.equals(second[name]), name


async def test_an_hour_without_a_seal_is_refused(tmp_path: Path) -> None:
    driver = Driver(tmp_path, FIRST_HOUR * HOUR_US)
    with pytest.raises(StoreError, match=r"2026-11-18T05Z: expected a sealed hour"):
        recompute_hour(driver.folder, FIRST_HOUR + 5)
