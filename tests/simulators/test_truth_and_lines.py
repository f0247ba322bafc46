"""The collector's sealed lines against the truth log: two programs that share only the machine's script must agree to the second."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from collector.capture import DRIVEN, Capture
from collector.clock import DrivenClock
from collector.folder import create_folder
from collector.maintain import maintain
from collector.revisions import apply_register
from collector.store.lines import read_hours
from config.settings import PlantTable
from simulators.history import hours
from simulators.story import HOUR_US
from simulators.truth import facts
from simulators.workshop import Ports, Story, register_toml

STORY = Story(date(2026, 11, 22))
FIELDS = {
    "ok": "polls_ok",
    "failed": "polls_failed",
    "losses": "losses",
    "bad": "values_bad",
    "run_s": "run_s",
    "auto_s": "auto_s",
    "output": "output_delta",
    "cause": "cause",
}


@pytest.mark.parametrize("days", [(-34, -32), (-27, -25), (-18, -15)])
async def test_every_device_hour_says_what_the_script_did(days: tuple[int, int], tmp_path: Path) -> None:
    first, end = (STORY.day_start_us(d) // HOUR_US for d in days)
    clock = DrivenClock(first * HOUR_US)
    plant = PlantTable(name="演示工厂", credit_code="91620100MA7DEM0000")
    folder = create_folder(tmp_path / "data", plant, "simulated", clock)
    for revision in (1, 2):
        file = tmp_path / f"{revision}.toml"
        file.write_text(register_toml(STORY, revision, Ports()), encoding="utf-8")
        apply_register(folder, file, "test", clock, "test")
    capture = Capture(folder, clock, DRIVEN)
    await capture.start("test")
    for hour, batches in hours(STORY, first, end + 24):  # a day more, so that every file of the days is closed
        clock.advance_to((hour + 1) * HOUR_US - 1)
        await asyncio.gather(*(capture.emit(b) for b in batches))
    await capture.stop("test")
    maintain(folder)
    lines = {(r["device"], r["hour"]): r for r in read_hours(folder, first, end).device.iter_rows(named=True)}
    compared = 0
    for fact in facts(STORY, first, end):
        for row in cast("list[list[Any]]", fact.get("hours", [])) if fact["fact"] == "hours" else []:
            told = dict(zip(cast("list[str]", fact["columns"]), row, strict=False))
            if told["hour"] == first:
                continue  # the truth log knows the hour before, this collector does not
            line = lines[str(fact["device"]), told["hour"]]
            assert line["covered"] == int(told["covered"], 16), (fact["device"], told)
            assert {k: line[v] for k, v in FIELDS.items()} == {k: told[k] for k in FIELDS}, fact["device"]
            compared += 1
    assert compared == 24 * (end - first - 1)
