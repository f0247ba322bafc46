"""疑点: each check raises its question on the rows that deserve it, and stays silent on the plant next door."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from metrics.evaluate import compute_all
from metrics.findings.ask import findings
from metrics.findings.finding import Finding
from metrics.inputs import Inputs
from tests.metrics.casefile import inputs_of, us, vector_of

T = "2026-11-01T00:00:00+08:00"
MQTT = {"points": "pts", "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "a"}}
POINTS = [{"id": "pts", "point": [{"name": "v", "type": "f64", "path": "$.v"}]}]


def _body(*devices: dict[str, Any]) -> dict[str, Any]:
    machines = [{"name": d["id"], "line": "L1", "in_service_from": "2025-01-01", **MQTT, **d} for d in devices]
    return {
        "format": "plantproof-register/1",
        "line": [{"id": "L1", "name": "一线"}],
        "points": POINTS,
        "device": machines,
    }


def _plant(*devices: dict[str, Any], lines: list[dict[str, Any]], **more: Any) -> Inputs:
    register = {"effective": "2026-07-01T00:00:00+08:00", "body": _body(*devices)}
    return inputs_of(vector_of({"at": T, "register": register, "lines": lines, **more}))


def _days(device: str, first: str, last: str, **fields: Any) -> dict[str, Any]:
    return {"device": device, "from": f"{first}T00:00+08:00", "to": f"{last}T00:00+08:00", **fields}


def _of(inputs: Inputs, code: str, raw: Any = None) -> list[Finding]:
    return [f for f in findings(inputs, compute_all(inputs), raw) if f.code == code]


def test_a_quiet_plant_raises_no_question() -> None:
    inputs = _plant(
        {"id": "A"}, lines=[_days("A", "2026-08-01", "2026-11-01", run_s=3600, stop_s=0, unknown_s=0, output_delta=3)]
    )
    assert findings(inputs, compute_all(inputs)) == ()


def test_findings_never_change_a_number() -> None:
    inputs = _plant(
        {"id": "A"}, {"id": "B"}, lines=[_days("A", "2026-10-24", "2026-11-01", run_s=3600, stop_s=0, unknown_s=0)]
    )
    before = [r.to_json() for r in compute_all(inputs)]
    assert findings(inputs, compute_all(inputs))
    assert [r.to_json() for r in compute_all(inputs)] == before


def test_a_register_edited_within_thirty_days_is_asked_about_with_its_reason_and_the_first_one_is_not() -> None:
    body = _body({"id": "A"})
    registers = [
        {"effective": f"{day}T10:00:00+08:00", "body": body} for day in ("2026-10-05", "2026-10-20", "2026-09-01")
    ]
    registers.sort(key=lambda r: r["effective"])
    inputs = inputs_of(vector_of({"at": T, "register": registers, "lines": []}))
    (found,) = _of(inputs, "register_edited")
    assert [row[1] for row in found.rows] == ["2026-10-05", "2026-10-20"]


def test_a_denominator_that_shrank_is_asked_about() -> None:
    registers = [
        {"effective": "2026-07-01T00:00:00+08:00", "body": _body({"id": "A"}, {"id": "B"})},
        {"effective": "2026-10-15T10:00:00+08:00", "body": _body({"id": "A"})},
    ]
    inputs = inputs_of(vector_of({"at": T, "register": registers, "lines": []}))
    (found,) = _of(inputs, "denominator_shrank")
    assert ("plant", "2", "1") in {row[1:] for row in found.rows}


@pytest.mark.parametrize(("first", "asked"), [("2026-10-25", True), ("2026-10-05", False)])
def test_coverage_that_rose_in_the_last_week_is_asked_about(first: str, asked: bool) -> None:
    inputs = _plant({"id": "A"}, lines=[_days("A", first, "2026-11-01")])
    assert bool(_of(inputs, "coverage_rose")) is asked


def test_machines_with_equal_figures_in_every_running_hour_are_asked_about_and_others_are_not() -> None:
    lines = [
        _days(
            device, f"2026-10-{day:02d}", f"2026-10-{day + 1:02d}", run_s=3600, stop_s=0, unknown_s=0, output_delta=made
        )
        for day in range(10, 20)
        for device, made in (("A", day), ("B", day), ("C", 40 - day))
    ]
    (found,) = _of(_plant({"id": "A"}, {"id": "B"}, {"id": "C"}, lines=lines), "identical_hours")
    assert found.rows == (("A、B", "240"),)


def test_constant_figures_prove_nothing() -> None:
    lines = [
        _days(d, "2026-10-10", "2026-10-20", run_s=3600, stop_s=0, unknown_s=0, output_delta=5) for d in ("A", "B")
    ]
    assert _of(_plant({"id": "A"}, {"id": "B"}, lines=lines), "identical_hours") == []


def _readings(*streams: tuple[str, list[int], list[str]]) -> pl.DataFrame:
    rows = [(d, "v", at, value) for d, stamps, values in streams for at, value in zip(stamps, values, strict=True)]
    return pl.DataFrame(
        rows, {"device": pl.String, "point": pl.String, "source_us": pl.Int64, "value": pl.String}, orient="row"
    )


def test_equal_streams_of_values_and_stamps_on_a_perfect_grid_are_asked_about() -> None:
    start = us("2026-10-10T00:00:00+08:00")
    grid = [start + i * 60_000_000 for i in range(61)]
    jitter = [at + (i * 7919) % 900_000 for i, at in enumerate(grid)]
    values = [f"{20 + (i * 37) % 23}.5" for i in range(61)]
    other = [f"{30 + (i * 31) % 29}.1" for i in range(61)]
    raw = _readings(("A", jitter, values), ("B", jitter, values), ("C", grid, other))
    running = [_days(d, "2026-10-10", "2026-10-12", run_s=3600, stop_s=0, unknown_s=0) for d in "ABC"]
    inputs = _plant({"id": "A"}, {"id": "B"}, {"id": "C"}, lines=running)
    (same,) = _of(inputs, "identical_streams", lambda _: raw)
    assert same.rows == (("A.v、B.v", "61"),)
    (stamped,) = _of(inputs, "perfect_grid", lambda _: raw)
    assert stamped.rows == (("C", "60/60", "60 秒"),)


def test_data_before_the_day_of_service_is_asked_about() -> None:
    late = {"id": "A", "in_service_from": "2026-10-20"}
    inputs = _plant(late, lines=[_days("A", "2026-10-18", "2026-10-22")])
    (found,) = _of(inputs, "data_before_service")
    assert found.rows[0][0] == "A A"
    assert found.rows[0][3] == "48"


METER = {"id": "E", "production": False, "meter": "electricity"}


def test_output_without_energy_and_energy_without_output_are_asked_about_by_day() -> None:
    lines = [
        _days("A", "2026-10-01", "2026-10-11", output_delta=2),
        _days("A", "2026-10-11", "2026-10-12", output_delta=0),
        _days("E", "2026-10-01", "2026-10-10", output_delta=10),
        _days("E", "2026-10-10", "2026-10-11", output_delta=0),
        _days("E", "2026-10-11", "2026-10-12", output_delta=6),
    ]
    inputs = _plant({"id": "A"}, METER, lines=lines)
    (without,) = _of(inputs, "output_without_energy")
    assert without.rows == (("L1", "2026-10-10", "48", "0"),)
    (idle,) = _of(inputs, "energy_without_output")
    assert idle.rows == (("L1", "2026-10-11", "144", "240"),)


def test_a_silent_meter_accuses_nobody() -> None:
    lines = [
        _days("A", "2026-10-01", "2026-10-02", output_delta=2),
        _days("E", "2026-10-01", "2026-10-02", output_delta=0, minutes="none"),
    ]
    assert _of(_plant({"id": "A"}, METER, lines=lines), "output_without_energy") == []


@pytest.mark.parametrize(("good", "asked"), [(50, False), (51, True)])
def test_more_parts_than_the_machine_can_make_are_asked_about(good: int, asked: bool) -> None:
    operation = {
        "batch_id": "B1",
        "process_id": "P1",
        "device_id": "A",
        "start": "2026-10-10 08:00:00",
        "end": "2026-10-10 10:30:00",
        "good": good,
    }
    inputs = _plant({"id": "A", "capacity_per_h": "20"}, lines=[], records={"operations": [operation]})
    assert bool(_of(inputs, "beyond_capacity")) is asked


@pytest.mark.parametrize(
    ("numerator", "denominator", "asked"), [(1, 2, False), (2, 2, True), (1, 1, True), (0, 2, False)]
)
def test_declared_numbers_are_held_against_computed_ones(numerator: int, denominator: int, asked: bool) -> None:
    lines = [_days("A", "2026-10-01", "2026-11-01")]
    declared = {"metric": "M01", "scope": "plant", "numerator": numerator, "denominator": denominator, "form": "附表 2"}
    inputs = _plant({"id": "A"}, {"id": "B"}, lines=lines, records={"declarations": [declared]})
    assert bool(_of(inputs, "declared_differs")) is asked


def test_a_stop_entered_late_is_asked_about() -> None:
    stop = {
        "devices": ["A"],
        "from": "2026-10-05T00:00+08:00",
        "to": "2026-10-06T00:00+08:00",
        "entered": "2026-10-08T00:00:01+08:00",
    }
    (found,) = _of(_plant({"id": "A"}, lines=[], exclusions=[stop]), "exclusion_late")
    assert found.rows[0][0] == "X000001"
    timely = {**stop, "entered": "2026-10-08T00:00:00+08:00"}
    assert _of(_plant({"id": "A"}, lines=[], exclusions=[timely]), "exclusion_late") == []


def test_rows_are_cut_and_the_count_says_so() -> None:
    operation = {
        "process_id": "P1",
        "device_id": "A",
        "start": "2026-10-10 08:00:00",
        "end": "2026-10-10 08:30:00",
        "good": 100,
    }
    rows = [{**operation, "batch_id": f"B{i}"} for i in range(60)]
    inputs = _plant({"id": "A", "capacity_per_h": "20"}, lines=[], records={"operations": rows})
    (found,) = _of(inputs, "beyond_capacity")
    assert (len(found.rows), found.count) == (50, 60)
    assert replace(found).to_json()["count"] == 60
