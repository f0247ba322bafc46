"""Which days and weeks the plant worked, by its own calendar."""

from __future__ import annotations

from datetime import date
from typing import Any

from metrics.inputs import Inputs
from metrics.office.working_days import days_of_success, working_days, working_weeks
from tests.metrics.casefile import inputs_of, vector_of

FAR = "2026-07-01T00:00:00+08:00"


def _plant(calendar: dict[str, Any], exclusions: list[dict[str, Any]] | None = None, **more: Any) -> Inputs:
    """Two lines with a machine each and a meter; T is 2026-11-01."""
    device = {"name": "机", "in_service_from": "2025-01-01"}
    body = {
        "format": "plantproof-register/1",
        "calendar": calendar,
        "line": [{"id": "L1", "name": "一线"}, {"id": "L2", "name": "二线"}],
        "device": [
            {**device, "id": "A", "line": "L1"},
            {**device, "id": "B", "line": "L2"},
            {**device, "id": "E", "line": "L1", "production": False, "meter": "electricity"},
        ],
        "system": [{"id": "S", "name": "ERP", "kind": "erp"}],
        "interface": [{"id": "I", "source": "S", "target": "S"}],
    }
    case = {
        "at": "2026-11-01T00:00:00+08:00",
        "register": {"effective": more.get("effective", FAR), "body": body},
        "exclusions": exclusions or [],
        "records": more.get("records", {}),
    }
    return inputs_of(vector_of(case))


def _closure(start: str, end: str, **more: Any) -> dict[str, Any]:
    return {"id": "C", "start": f"{start}:00+08:00", "end": f"{end}:00+08:00", "reason": "停", "approver": "王", **more}


def _free(inputs: Inputs) -> list[str]:
    """The days of the three months that are no working days."""
    window = inputs.three_months
    kept = set(working_days(inputs, window))
    return [
        f"{m:02d}-{d:02d}"
        for m in (8, 9, 10)
        for d in range(1, 32)
        if (m, d) != (9, 31) and date(2026, m, d) not in kept
    ]


def test_without_closures_every_day_is_a_working_day() -> None:
    inputs = _plant({})
    assert len(working_days(inputs, inputs.three_months)) == 92
    weeks = working_weeks(inputs, inputs.three_months)
    assert (weeks[0], weeks[-1], len(weeks)) == (date(2026, 8, 3), date(2026, 10, 19), 12)  # 26 October's ends after T


def test_a_closure_of_the_plant_takes_its_whole_days_and_no_part_of_one() -> None:
    assert _free(_plant({"closures": [_closure("2026-10-01T12:00", "2026-10-04T12:00")]})) == ["10-02", "10-03"]


def test_a_day_is_free_when_the_closure_covers_its_shifts() -> None:
    shifts = [{"name": "早", "start": "08:00", "end": "16:00"}]
    assert _free(_plant({"shifts": shifts, "closures": [_closure("2026-10-01T08:00", "2026-10-02T16:00")]})) == [
        "10-01",
        "10-02",
    ]
    night = [{"name": "夜", "start": "22:00", "end": "06:00"}]
    closures = [_closure("2026-10-01T22:00", "2026-10-02T06:00")]
    assert _free(_plant({"shifts": night, "closures": closures})) == []  # each day keeps its other part


def test_two_closures_that_meet_close_the_day_together() -> None:
    closures = [
        _closure("2026-10-01T00:00", "2026-10-01T10:00"),
        _closure("2026-10-01T10:00", "2026-10-02T00:00", id="C2"),
    ]
    assert _free(_plant({"closures": closures})) == ["10-01"]


def test_a_closure_of_lines_or_an_exclusion_of_machines_closes_no_day() -> None:
    closure = _closure("2026-10-01T00:00", "2026-10-02T00:00", lines=["L1", "L2"])
    assert _free(_plant({"closures": [closure]})) == []
    power = {"devices": ["A", "B", "E"], "from": "2026-10-01T00:00+08:00", "to": "2026-10-02T00:00+08:00"}
    assert _free(_plant({}, [{**power, "entered": "2026-09-30T00:00+08:00"}])) == []


def test_a_closure_entered_late_does_not_count() -> None:
    closed = {"closures": [_closure("2026-10-01T00:00", "2026-10-02T00:00")]}
    assert _free(_plant(closed, effective="2026-10-04T00:00:00+08:00")) == ["10-01"]
    assert _free(_plant(closed, effective="2026-10-04T00:00:01+08:00")) == []


def test_a_week_without_a_working_day_is_no_working_week() -> None:
    inputs = _plant({"closures": [_closure("2026-09-28T00:00", "2026-10-05T00:00")]})
    assert date(2026, 9, 28) not in working_weeks(inputs, inputs.three_months)
    inputs = _plant({"closures": [_closure("2026-09-28T00:00", "2026-10-04T23:59")]})
    assert date(2026, 9, 28) in working_weeks(inputs, inputs.three_months)


def test_success_is_counted_once_a_day_and_on_working_days_only() -> None:
    rows = [["I", "2026-10-01", 5], ["I", "2026-10-02", 1, 9], ["I", "2026-10-03", 0, 3], ["I", "2026-11-01", 7]]
    inputs = _plant({"closures": [_closure("2026-10-01T00:00", "2026-10-02T00:00")]}, records={"exchanges": rows})
    assert days_of_success(inputs, working_days(inputs, inputs.three_months)) == {"I": 1}
