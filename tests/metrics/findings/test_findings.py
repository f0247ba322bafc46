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


def test_a_machine_deleted_or_unmarked_is_asked_about_and_a_retired_one_is_not() -> None:
    retired = {"id": "C", "retired_at": "2026-10-01"}
    registers = [
        {"effective": "2026-07-01T00:00:00+08:00", "body": _body({"id": "A"}, {"id": "B"}, {"id": "C"})},
        {"effective": "2026-10-15T10:00:00+08:00", "body": _body({"id": "B", "production": False}, retired)},
    ]
    (found,) = _of(inputs_of(vector_of({"at": T, "register": registers, "lines": []})), "register_weakened")
    assert [row[2:] for row in found.rows] == [("A A", "从台账删去"), ("B B", "不再是生产装备")]


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
    rows = [
        {
            **operation,
            "batch_id": f"B{i}",
            "start": f"2026-10-10 {8 + i // 12:02d}:{i % 12 * 5:02d}:00",
            "end": f"2026-10-10 {8 + i // 12:02d}:{i % 12 * 5 + 4:02d}:00",
        }
        for i in range(60)
    ]
    inputs = _plant({"id": "A", "capacity_per_h": "20"}, lines=[], records={"operations": rows})
    (found,) = _of(inputs, "beyond_capacity")
    assert (len(found.rows), found.count) == (50, 60)
    assert replace(found).to_json()["count"] == 60


# --- cheats that keep a little distance


def test_two_machines_read_from_one_controller_are_asked_about_though_the_polls_differ() -> None:
    lines = []
    for hour in range(200):
        day, at = 10 + hour // 24, hour % 24
        made = 20 + (hour * 37) % 41
        for device, parts, ran in (("A", made, 3000), ("B", made + hour % 2, 3020), ("C", 20 + (hour * 29) % 43, 3000)):
            start = f"2026-10-{day:02d}T{at:02d}:00+08:00"
            ends = f"2026-10-{day + (at == 23):02d}T{(at + 1) % 24:02d}:00+08:00"
            figures = {"run_s": ran, "stop_s": 3600 - ran, "unknown_s": 0, "output_delta": parts}
            lines.append({"device": device, "from": start, "to": ends, **figures})
    (found,) = _of(_plant({"id": "A"}, {"id": "B"}, {"id": "C"}, lines=lines), "identical_hours")
    assert found.rows == (("A、B", "200"),)


def test_machines_at_one_address_are_asked_about_and_templates_that_name_the_machine_are_not() -> None:
    own = {"connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "plant/{device}"}}
    inputs = _plant({"id": "A"}, {"id": "B"}, {"id": "C", **own}, {"id": "D", **own}, lines=[])
    (found,) = _of(inputs, "same_address")
    assert found.rows == (("A、B", "2"),)
    retired = _plant({"id": "A", "retired_at": "2026-02-01"}, {"id": "B"}, lines=[])
    assert _of(retired, "same_address") == []


def _running(*devices: str) -> Inputs:
    lines = [_days(d, "2026-10-10", "2026-10-12", run_s=3600, stop_s=0, unknown_s=0) for d in devices]
    return _plant(*({"id": d} for d in devices), lines=lines)


def test_a_stream_copied_with_an_offset_in_time_is_asked_about_and_counters_are_not() -> None:
    start = us("2026-10-10T00:00:00+08:00")
    values = [f"{20 + (i * 37) % 23}.5" for i in range(120)]
    stamps = [start + i * 10_000_000 + (i * 7919) % 900_000 for i in range(120)]
    late = [at + 47_123_456 for at in stamps]
    raw = _readings(("A", stamps, values), ("B", late[:100], values[20:]))
    (found,) = _of(_running("A", "B"), "identical_streams", lambda _: raw)
    assert found.rows == (("A.v、B.v", "120"),)
    counters = [str(1000 + i) for i in range(120)]
    honest = _readings(("A", stamps, counters), ("B", late, counters))
    assert _of(_running("A", "B"), "identical_streams", lambda _: honest) == []


@pytest.mark.parametrize(
    ("jitter_us", "phase_us", "lost", "asked"),
    [
        (0, 0, (), True),
        (0, 123_456, (), True),
        (0, 0, (7, 40), True),
        (900, 0, (), True),
        (900, 123_456, (), False),
        (9000, 0, (), False),
    ],
)
def test_a_grid_stays_a_grid_with_a_lost_reading_or_a_tiny_jitter(
    jitter_us: int, phase_us: int, lost: tuple[int, ...], asked: bool
) -> None:
    start = us("2026-10-10T00:00:00+08:00") + phase_us
    stamps = [start + i * 10_000_000 + (i * 7919) % (jitter_us + 1) for i in range(120) if i not in lost]
    raw = _readings(("A", stamps, [str(i) for i in range(len(stamps))]))
    assert bool(_of(_running("A"), "perfect_grid", lambda _: raw)) is asked


def test_a_register_edited_exactly_thirty_days_before_is_asked_about_and_one_before_that_is_not() -> None:
    body = _body({"id": "A"})
    for moment, asked in (("2026-10-02T00:00:00+08:00", True), ("2026-10-01T23:59:59+08:00", False)):
        registers = [{"effective": m, "body": body} for m in ("2026-09-01T00:00:00+08:00", moment)]
        assert (
            bool(_of(inputs_of(vector_of({"at": T, "register": registers, "lines": []})), "register_edited")) is asked
        )


def test_a_machine_moved_to_another_line_shrinks_the_line_it_left() -> None:
    def body(line: str) -> dict[str, Any]:
        made = _body({"id": "A"}, {"id": "B", "line": line})
        return made | {"line": [{"id": "L1", "name": "一线", "representative": True}, {"id": "L2", "name": "二线"}]}

    registers = [
        {"effective": "2026-07-01T00:00:00+08:00", "body": body("L1")},
        {"effective": "2026-10-15T10:00:00+08:00", "body": body("L2")},
    ]
    (found,) = _of(inputs_of(vector_of({"at": T, "register": registers, "lines": []})), "denominator_shrank")
    assert ("M05 生产装备数控化率", "line:L1", "2", "1") in found.rows


@pytest.mark.parametrize(("numerator", "denominator", "asked"), [(0, 1, False), (0, 100, False), (9_000_000, 1, True)])
def test_a_declared_amount_is_compared_as_an_amount(numerator: int, denominator: int, asked: bool) -> None:
    item = ["I1", "L1", "equipment", "数控车床", "8000000.00"]
    declared = {"metric": "M21", "scope": "line:L1", "numerator": numerator, "denominator": denominator, "form": "表 1"}
    body = _body({"id": "A"}) | {"line": [{"id": "L1", "name": "一线", "representative": True}]}
    register = {"effective": "2026-07-01T00:00:00+08:00", "body": body}
    case = {"at": T, "register": register, "lines": [], "records": {"declarations": [declared], "investments": [item]}}
    assert bool(_of(inputs_of(vector_of(case)), "declared_differs")) is asked


def test_a_machine_that_was_not_heard_made_nothing_that_we_know_of() -> None:
    lines = [
        _days("A", "2026-10-01", "2026-10-02", output_delta=2),
        _days("A", "2026-10-02", "2026-10-03", output_delta=0, minutes="none"),
        _days("E", "2026-10-01", "2026-10-03", output_delta=10),
    ]
    assert _of(_plant({"id": "A"}, METER, lines=lines), "energy_without_output") == []


def test_parts_made_while_the_meter_was_silent_accuse_nobody() -> None:
    lines = [
        {"device": "A", "from": "2026-10-01T00:00+08:00", "to": "2026-10-01T12:00+08:00", "output_delta": 5},
        {"device": "E", "from": "2026-10-01T00:00+08:00", "to": "2026-10-01T12:00+08:00", "minutes": "none"},
        {"device": "E", "from": "2026-10-01T12:00+08:00", "to": "2026-10-02T00:00+08:00", "output_delta": 0},
    ]
    assert _of(_plant({"id": "A"}, METER, lines=lines), "output_without_energy") == []


def test_parts_that_only_the_records_know_of_need_energy_as_well() -> None:
    operation = {
        "batch_id": "B1", "process_id": "P1", "device_id": "A",
        "start": "2026-10-10 08:10:00", "end": "2026-10-10 09:00:00", "good": 7,
    }  # fmt: skip
    lines = [_days(d, "2026-10-10", "2026-10-11", output_delta=0) for d in ("A", "E")]
    (found,) = _of(
        _plant({"id": "A"}, METER, lines=lines, records={"operations": [operation]}), "output_without_energy"
    )
    assert found.rows == (("L1", "2026-10-10", "7", "0"),)


@pytest.mark.parametrize(
    ("operations", "asked"),
    [
        ([("08:00", "08:00", 1)], True),  # no time at all
        ([("08:00", "09:00", 15), ("08:00", "09:00", 15)], True),  # two batches at once, each possible alone
        ([("08:00", "09:00", 20), ("09:00", "10:00", 20)], False),
    ],
)
def test_batches_that_overlap_share_the_machines_time(operations: list[tuple[str, str, int]], asked: bool) -> None:
    rows = [
        {"batch_id": f"B{i}", "process_id": "P1", "device_id": "A", "good": good,
         "start": f"2026-10-10 {start}:00", "end": f"2026-10-10 {end}:00"}
        for i, (start, end, good) in enumerate(operations)
    ]  # fmt: skip
    inputs = _plant({"id": "A", "capacity_per_h": "20"}, lines=[], records={"operations": rows})
    assert bool(_of(inputs, "beyond_capacity")) is asked
