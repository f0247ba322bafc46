"""The driven history: repeatable, one row per machine and minute, and what the truth log says it holds."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from adapters.batch import Batch, Outcome
from simulators.history import hours
from simulators.truth import facts, write_truth
from simulators.workshop import Story

STORY = Story(date(2026, 11, 22))
HOUR_US = 3_600_000_000


def batches(first_day: int, last_day: int) -> list[tuple[int, list[Batch]]]:
    first = STORY.day_start_us(first_day) // HOUR_US
    return list(hours(STORY, first, STORY.day_start_us(last_day) // HOUR_US))


def truth(first_day: int, last_day: int) -> dict[tuple[str, int], list[Any]]:
    first, end = STORY.day_start_us(first_day) // HOUR_US, STORY.day_start_us(last_day) // HOUR_US
    found: dict[tuple[str, int], list[Any]] = {}
    for fact in facts(STORY, first, end):
        if fact["fact"] == "hours":
            rows = cast("list[list[Any]]", fact["hours"])
            found |= {(str(fact["device"]), row[0]): row for row in rows}
    return found


def covered_minutes(contacts_us: list[int], hour: int) -> int:
    """60 bits: at each minute's end, is the newest contact at most 120 s old?"""
    bits = 0
    for minute in range(60):
        end = hour * HOUR_US + (minute + 1) * 60_000_000
        bits = bits << 1 | any(end - 120_000_000 <= c < end for c in contacts_us)
    return bits


def test_every_connected_machine_has_sixty_rows_each_hour() -> None:
    for _, of_hour in batches(-41, -39):
        assert len(of_hour) == 24
        assert {len(b) for b in of_hour} == {60}


def test_rows_stand_in_their_hour_and_ascend() -> None:
    for hour, of_hour in batches(-23, -22):
        for batch in of_hour:
            assert (np.diff(batch.source_us) > 0).all()
            assert batch.source_us[0] // HOUR_US == (batch.source_us[-1] + batch.lag_us[-1]) // HOUR_US == hour


def test_two_runs_give_the_same_rows() -> None:
    def digest(story: Story) -> list[bytes]:
        first = story.day_start_us(-30) // HOUR_US
        return [
            b.source_us.tobytes()
            + b.lag_us.tobytes()
            + b"".join(bytes(str(list(c.values)), "utf-8") for c in b.columns)
            for _, of_hour in hours(story, first, first + 2)
            for b in of_hour
        ]

    assert digest(STORY) == digest(Story(date(2026, 11, 22)))


def test_failed_polls_carry_no_value() -> None:
    for _, of_hour in batches(-27, -26):
        for batch in of_hour:
            failed = batch.outcome != Outcome.OK
            for column in batch.columns:
                assert column.valid is not None or not failed.any()
                assert not any(v for v, f in zip(column.values, failed, strict=True) if f)


@pytest.mark.parametrize("day", [-53, -40, -33, -26, -23, -18, -16])
def test_truth_log_agrees_with_the_rows_about_contact_polls_and_parts(day: int) -> None:
    expected = truth(day, day + 1)
    contacts: dict[str, list[int]] = defaultdict(list)
    last_count: dict[str, tuple[int, int]] = {}
    for hour, of_hour in batches(day - 1, day + 1):
        for batch in of_hour:
            ok = batch.outcome == Outcome.OK
            contacts[batch.device] = [c for c in contacts[batch.device] if c >= (hour - 1) * HOUR_US]
            contacts[batch.device] += batch.source_us[ok].tolist()
            names = [p.name for p in batch.template.points]
            output = next((n for n in ("parts", "count", "shots") if n in names), None)
            made = None
            if output is not None:
                counts = np.asarray(batch.columns[names.index(output)].values)[ok].tolist()
                seen_in, before = last_count.get(batch.device, (0, 0))
                run = [before, *counts] if seen_in == hour - 1 else counts
                made = sum(b - a if b >= a else b for a, b in itertools.pairwise(run))
                if counts:
                    last_count[batch.device] = (hour, counts[-1])
            if (batch.device, hour) in expected:
                row = expected[batch.device, hour]
                assert int(row[1], 16) == covered_minutes(contacts[batch.device], hour), (batch.device, hour)
                assert row[2] == int(ok.sum())
                assert row[8] == made, (batch.device, hour)


def test_each_trouble_has_its_own_cause() -> None:
    found = {}
    for day in (-74, -61, -53, -33, -27, -23, -16, -12):
        for (device, _), row in truth(day, day + 1).items():
            if row[9]:
                found[device, day] = row[9]
    assert found["L1-MRK-01", -74] == "denied"
    assert found["L1-FUR-01", -61] == "device_failure"
    assert found["L3-PAL-01", -53] == "planned_stop"
    assert found["L3-LKT-01", -33] == "silent"
    assert found["L1-CNC-02", -27] == "refused"
    assert found["L2-HYD-02", -23] == "unreachable"
    assert found["L1-5AX-01", -16] == "silent"
    assert found["L1-VMC-02", -12] == "timeout"


def test_seconds_of_an_hour_never_exceed_it_and_a_whole_run_fills_it() -> None:
    rows = [row for (_, _), row in truth(-30, -29).items()]
    assert max(r[6] for r in rows) == 3600
    assert all(0 <= r[6] <= 3600 for r in rows)


def test_truth_log_is_written_as_json_lines(tmp_path: Path) -> None:
    first = STORY.day_start_us(-2) // HOUR_US
    count = write_truth(STORY, first, first + 24, tmp_path / "truth.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == count
    assert {x["fact"] for x in lines} == {"story", "incident", "excused", "batch", "hours"}
