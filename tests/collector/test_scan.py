"""The reader: every distinct recorded value under its device, point and time, wherever the rows lie; conflicts are listed, not judged."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from collector.capture import Cutting
from collector.maintain import maintain
from collector.store.scan import VALUE_COLUMNS, conflicts, scan
from tests.builders import FIRST_HOUR, HOUR_US, SIMPLE, Driver, Row, batch_of, ok_row, simple_register
from tests.collector.random_plant import RandomPlant

T0 = FIRST_HOUR * HOUR_US
Key = tuple[str, str, int, Any]


def told(value: Any) -> Any:
    """A value as a key: one NaN, one zero."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return value


def plain(rows: list[Row]) -> set[Key]:
    """(device, point, source time, value) of every value that a device delivered."""
    found: set[Key] = set()
    for row in (r for r in rows if r.outcome <= 1):
        if row.template.kind == "event":
            if "point" in row.values:
                name = row.template.points[int(row.values["point"] or 0)].name
                found |= {(row.device, name, row.source_us, told(v)) for n, v in row.values.items() if n != "point"}
        else:
            found |= {(row.device, n, row.source_us, told(v)) for n, v in row.values.items()}
    return found


def scanned(frame: pl.DataFrame) -> list[Key]:
    """The same of a long scan, rows without a value left out."""
    found = []
    for row in frame.select("device", "point", "source_us", *VALUE_COLUMNS).iter_rows():
        values = [v for v in row[3:] if v is not None]
        assert len(values) <= 1
        found += [(row[0], row[1], row[2], told(v)) for v in values]
    return found


@pytest.mark.parametrize("seed", [40, 41])
async def test_a_scan_finds_every_distinct_value_once_in_the_journal_and_in_segments(tmp_path: Path, seed: int) -> None:
    driver = Driver(tmp_path, T0 + 20 * HOUR_US)
    plant = RandomPlant(driver, seed)
    await plant.run(3)
    expected = plain(driver.rows)
    before = scanned(scan(driver.folder).collect())
    maintain(driver.folder)
    after = scanned(scan(driver.folder).collect())
    assert len(before) == len(set(before)) == len(expected)
    assert set(before) == set(after) == expected
    assert len(after) == len(before)


async def two_devices(tmp_path: Path) -> Driver:
    """A few rows of two devices: partly in a segment, partly still in the journal."""
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A", "B"))
    await driver.start()
    await driver.emit([[ok_row(d, SIMPLE, T0 + i, state=i, speed=float(i)) for i in range(5)] for d in "AB"])
    await driver.stop()
    await driver.start()
    maintain(driver.folder)
    await driver.emit([[ok_row("A", SIMPLE, T0 + i, state=i, speed=float(i)) for i in range(4, 8)]])  # T0 + 4 again
    return driver


async def test_a_window_is_half_open_and_devices_are_chosen(tmp_path: Path) -> None:
    driver = await two_devices(tmp_path)
    found = scan(driver.folder, devices=["A"], start_us=T0 + 3, end_us=T0 + 6).collect()
    assert sorted(scanned(found)) == sorted(
        (("A", n, T0 + i, v)) for i in (3, 4, 5) for n, v in (("state", i), ("speed", float(i)))
    )
    await driver.stop()


async def test_a_wide_scan_gives_the_rows_of_a_template_once(tmp_path: Path) -> None:
    driver = await two_devices(tmp_path)
    found = scan(driver.folder, shape="wide", template_id=SIMPLE.id).collect()
    assert sorted(found.select("device", "source_us", "p.state").iter_rows()) == sorted(
        [("A", T0 + i, i) for i in range(8)] + [("B", T0 + i, i) for i in range(5)]
    )
    with pytest.raises(ValueError, match="expected long or wide"):
        scan(driver.folder, shape="tall")
    await driver.stop()


async def test_server_time_comes_back_with_its_value_from_journal_segment_and_day_file(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0, cutting=Cutting(0, 600_000_000))
    driver.register(simple_register("A", "B"))
    await driver.start()
    told = {"A": (None, T0 - 7, None, T0 + 3), "B": (None,) * 4}

    def found() -> dict[str, list[int | None]]:
        values = scan(driver.folder).filter(pl.col("point") == "speed").sort("device", "source_us").collect()
        rows = scan(driver.folder, shape="wide", template_id=SIMPLE.id).sort("device", "source_us").collect()
        assert rows.select("device", "server_us").equals(values.select("device", "server_us"))
        return {d: values.filter(pl.col("device") == d)["server_us"].to_list() for d in "AB"}

    for i in range(4):  # a file for each: the first has no server time at all
        rows = [replace(ok_row(d, SIMPLE, T0 + i, state=1, speed=float(i)), server_us=told[d][i]) for d in "AB"]
        await driver.emit([[r] for r in rows])
        driver.clock.advance_to(T0 + (i + 1) * 600_000_000)
    expected = {d: list(told[d]) for d in "AB"}
    assert found() == expected
    maintain(driver.folder)
    assert found() == expected
    driver.clock.advance_to(T0 + 24 * HOUR_US)
    await driver.stop()
    await driver.start()
    maintain(driver.folder)
    assert found() == expected
    assert [p.name for p in driver.folder.segments.rglob("*.parquet")] == [f"{SIMPLE.id}.parquet"]
    await driver.stop()


async def test_values_that_contradict_each_other_are_both_kept_and_listed(tmp_path: Path) -> None:
    driver = await two_devices(tmp_path)
    assert conflicts(driver.folder).is_empty()
    assert driver.capture is not None
    await driver.capture.emit(batch_of([ok_row("B", SIMPLE, T0 + 2, state=2, speed=99.0)]))
    found = conflicts(driver.folder)
    assert sorted(scanned(found)) == [("B", "speed", T0 + 2, 2.0), ("B", "speed", T0 + 2, 99.0)]
    assert len(scanned(scan(driver.folder, devices=["B"]).collect())) == 11
    await driver.stop()


async def test_an_empty_folder_scans_to_nothing(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    assert scan(driver.folder).collect().is_empty()
    assert scan(driver.folder, shape="wide").collect().is_empty()
    assert conflicts(driver.folder).is_empty()
