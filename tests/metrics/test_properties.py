"""What holds for every plant: bounds in order, nothing won by losing data, nothing won by a machine that is not connected.

Line metrics: those counted from lines and register. M12 stands apart: its 50 device-hours are drawn anew whenever data changes.
Metrics of records and papers have properties of their own.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import date, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics.machines.minutes import FULL
from metrics.result import Bound, Member, MetricError, MetricResult, Window
from metrics.window import DAY_US, HOUR_US, last_months, midnight_us
from tests.metrics.casefile import compute, inputs_of

PLANT = timezone(timedelta(hours=8))
FIRST = midnight_us(date(2026, 10, 2), PLANT) // HOUR_US
MASKS = st.sampled_from([FULL, FULL, FULL, 0, FULL ^ 0b111111, FULL ^ 0b1111111, (1 << 54) - 1, 1]) | st.integers(
    0, FULL
)
LINE_METRICS = {"M01", "M02", "M03", "M04", "M05", "M06", "M07", "M08", "M09", "M11", "M22", "M23", "M26"}
ON_PAPER = (
    "M04",
    "M05",
    "M06",
)  # their upper is what paper says, which a new machine may add to; M11's: a machine nobody watches may run
CLASSES = ["nc_robot", "sensing_control", "inspection_assembly", "logistics_storage"]
CONNECTED = {"points": "pts", "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "a"}}
# run, stop, unknown, output, auto; then running and known, and inside limits, of the key parameter
STATES = st.sampled_from(
    [
        ("3600,0,0,60,3600", "3600,3600"),
        ("3600,0,0,,3600", "3600,3500"),
        ("1800,1800,0,60,3600", "1700,1700"),
        ("1800,0,1800,0,1800", "1800,900"),
        ("0,3600,0,0,0", "0,0"),
        ("0,0,3600,,0", "0,0"),
        (",,,,", ","),
        (",,,60,3600", ","),
    ]
)
SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)


@st.composite
def plants(draw: st.DrawFn) -> dict[str, Any]:
    """A month of one to three machines: blocks of covered, late, missing and unwatched hours."""
    names = ["A", "B", "C"][: draw(st.integers(1, 3))]
    lines: list[dict[str, Any]] = []
    for name in names:
        hour = FIRST
        while hour < FIRST + 720:
            hours = min(draw(st.sampled_from([720, 720, 200, 25, 1])), FIRST + 720 - hour)
            lines += _blocks(draw, name, hour, hours) if len(lines) < 30 else []
            hour += hours if len(lines) < 30 else 720
    return _vector(names, lines, draw)


def _blocks(draw: st.DrawFn, name: str, hour: int, hours: int) -> list[dict[str, Any]]:
    """Equal hours of one machine: D and P lines unless unsealed, an L line when something came late."""
    kind = draw(st.sampled_from(["line", "line", "unsealed", "late"]))
    span = {"first_hour": hour, "hours": hours}
    mask, known = draw(MASKS), draw(MASKS)
    n = mask.bit_count()
    state, parameter = draw(STATES)
    contact = f"{mask:015x},{n},{60 - n},{draw(st.sampled_from([0, 0, 3]))},0,0,{3600 - 60 * n},timeout"
    device = f"D,{name},{{hour}},1,live,3600,{contact},{state},{draw(st.integers(0, 2))},0,p,q"
    blocks: list[dict[str, Any]] = []
    if kind != "unsealed":
        point = f"P,{name},{{hour}},temp,{known:015x},{known.bit_count()},0,{parameter}"
        blocks += [{"line": device, **span}] + ([{"line": point, **span}] if draw(st.integers(0, 5)) else [])
    if kind == "late":
        line = f"L,{name},{{hour}},{{source}},{draw(MASKS):015x},1,c"
        blocks.append({"line": line, **span, "lag": draw(st.integers(1, 170))})
    return blocks


def _device(draw: st.DrawFn, name: str) -> dict[str, Any]:
    body: dict[str, Any] = {"id": name, "name": name, "line": "L1", "process": draw(st.sampled_from(["P1", "P2"]))}
    body["in_service_from"] = draw(st.sampled_from(["2026-10-02"] * 4 + ["2025-01-01", "2026-10-20", "2026-10-27"]))
    body |= {"digital": draw(st.booleans()), "interval_s": draw(st.sampled_from([60, 60, 300]))}
    if draw(st.booleans()):
        body |= {"nc": True, "major_nc": True, "controller": draw(st.sampled_from(["", "FANUC"]))}
    if draw(st.booleans()):
        body["equipment_class"] = draw(st.sampled_from(CLASSES))
    return body | (CONNECTED if draw(st.integers(0, 5)) else {})


def _vector(names: list[str], lines: list[dict[str, Any]], draw: st.DrawFn) -> dict[str, Any]:
    devices = [_device(draw, n) for n in names]
    connected = [d["id"] for d in devices if "points" in d]
    points = [
        {"name": "s", "type": "f64", "path": "$.s"},
        {"name": "auto", "type": "bool", "role": "auto", "path": "$.a"},
    ]
    temp = {"name": "temp", "type": "f64", "key_parameter": True, "spec_low": "1", "path": "$.t"}
    register = {
        "format": "plantproof-register/1",
        "line": [{"id": "L1", "name": "一线", "representative": True}],
        "process": [
            {"id": "P1", "name": "车", "line": "L1", "key": True},
            {"id": "P2", "name": "磨", "line": "L1", "key": True},
        ],
        "points": [{"id": "pts", "point": [*points, temp]}],
        "device": devices,
        "parameter": [{"id": f"K{i}", "name": i, "process": "P1", "device": i, "point": "temp"} for i in connected]
        + [{"id": "K0", "name": "纸面", "process": "P1"}],
        "item": [
            {"id": f"{i}{p}", "name": i, "source": "point", "device": i, "point": p}
            for i in connected
            for p in ("s", "temp")
        ],
    }
    operations = "batch_id,process_id,device_id,start\n" + "".join(f"B1,P1,{n},2026-10-20T00:00:00Z\n" for n in names)
    return {
        "at_us": (FIRST + 720) * 3_600_000_000,
        "origin_class": "live",
        "ledger_root": "00" * 32,
        "registers": [{"rev": 1, "effective_ms": FIRST * 3_600_000, "sha256": "", "register": register}],
        "exclusions": [],
        "down": [[FIRST + draw(st.integers(0, 719)), 0, 3600] for _ in range(draw(st.integers(0, 3)))],
        "lines": lines,
        "records": {"operations.csv": operations},
        "recomputed": None,
    }


def _results(vector: dict[str, Any]) -> dict[tuple[str, str], MetricResult]:
    return {(r.metric, r.scope): r for r in compute(inputs_of(vector), LINE_METRICS)}


@SLOW
@given(plants())
def test_lower_is_at_most_value_is_at_most_upper_for_every_line_metric(vector: dict[str, Any]) -> None:
    results = _results(vector)
    assert {metric for metric, _ in results} == LINE_METRICS
    for result in results.values():
        assert result.lower.not_above(result.value)
        assert result.value.not_above(result.upper)
        assert all((not m.lower or m.value) and (not m.value or m.upper) for m in result.members)
        facts = [dict(m.facts) for m in result.members if result.metric == "M01"]
        for f in facts:
            covered, owed = int(f["covered_min"]), int(f["obligated_min"])
            seen, watched, possible = (
                int(f["value_covered_min"]),
                int(f["value_obligated_min"]),
                int(f["upper_covered_min"]),
            )
            assert covered * watched <= seen * owed
            assert seen * owed <= possible * watched or watched == 0


@SLOW
@given(plants(), st.data())
def test_losing_data_never_raises_a_lower_bound(vector: dict[str, Any], data: st.DataObject) -> None:
    before, after = _results(vector), _results(_with_less(vector, data.draw))
    for key, result in before.items():
        assert _not_raised(result.lower, after[key].lower), key
        kept = {m.id for m in result.members if m.lower}
        assert {m.id for m in after[key].members if m.lower} <= kept, key


def _with_less(vector: dict[str, Any], draw: Any) -> dict[str, Any]:
    """Some lines gone, some hours of a block gone, some minutes not covered, some states not told, records gone."""
    less = deepcopy(vector)
    kept = []
    for block in less["lines"]:
        how = draw(st.sampled_from(["keep", "keep", "drop", "shorter", "minutes", "state"]))
        fields = block["line"].split(",")
        if how == "drop":
            continue
        if how == "shorter":
            block["hours"] = draw(st.integers(0, block["hours"] - 1))
        if how == "minutes":
            column = 6 if fields[0] == "D" else 4
            fields[column] = f"{int(fields[column], 16) & draw(MASKS):015x}"
        if how == "state" and fields[0] == "D":
            fields[14:19] = [""] * 5
        if how == "state" and fields[0] == "P":
            fields[7:9] = ["", ""]
        kept.append({**block, "line": ",".join(fields)})
    records = less["records"] if draw(st.booleans()) else None
    return less | {"lines": kept, "records": records}


@SLOW
@given(plants(), st.data())
def test_a_machine_that_is_not_connected_never_raises_a_ratio(vector: dict[str, Any], data: st.DataObject) -> None:
    added = _device(data.draw, "Z")
    added = {k: v for k, v in added.items() if k not in CONNECTED}
    plain = not added["digital"] and "nc" not in added
    more = deepcopy(vector)
    more["registers"][0]["register"]["device"].append(added)
    if data.draw(st.booleans()):  # the seal lists it with nothing in it
        line = "D,Z,{hour},1,live,3600,000000000000000,0,0,0,0,0,3600,not_connected,,,,,,0,0,p,q"
        more["lines"].append({"line": line, "first_hour": FIRST, "hours": 720})
    before, after = _results(vector), _results(more)
    for key, result in before.items():
        assert _not_raised(result.lower, after[key].lower), key
        assert _not_raised(result.value, after[key].value), key
        if key[0] != "M11" and (plain or key[0] not in ON_PAPER):
            assert _not_raised(result.upper, after[key].upper), key


def _not_raised(before: Bound, after: Bound) -> bool:
    """The fraction did not grow; an empty set passes nothing, so from it and to it nothing is won."""
    if before.denominator == 0 or after.denominator == 0:
        return after.numerator == 0
    return after.numerator * before.denominator <= before.numerator * after.denominator


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_percent_is_truncated_and_never_reaches_what_the_fraction_does_not(n: int, d: int) -> None:
    n = min(n, d)
    shown = Fraction(Bound(n, d).percent.removesuffix(" %")) / 100
    assert shown <= Fraction(n, d) < shown + Fraction(1, 1000)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 100))
def test_threshold_is_compared_as_integers(n: int, d: int, percent: int) -> None:
    n = min(n, d)
    assert Bound(n, d).at_least(percent, 100) == (Fraction(n, d) >= Fraction(percent, 100))


def test_number_itself_is_enough() -> None:
    assert Bound(7, 10).at_least(70, 100)
    assert not Bound(69_999, 100_000).at_least(70, 100)
    assert Bound(69_999, 100_000).percent == "69.9 %"


def test_empty_set_is_never_enough() -> None:
    assert not Bound(0, 0).at_least(0, 1)
    assert Bound(0, 0).percent == "—"


def test_bounds_out_of_order_are_a_bug_and_refused() -> None:
    window = Window(0, DAY_US)
    parts: dict[str, Any] = {
        "metric": "M01",
        "version": 1,
        "scope": "plant",
        "window": window,
        "declared": None,
        "members": (),
        "exclusions": (),
        "parameters": (),
        "inputs": (),
        "simulated": False,
        "status": "ok",
        "notes": (),
    }
    with pytest.raises(MetricError, match="lower <= value <= upper"):
        MetricResult(lower=Bound(2, 3), value=Bound(1, 3), upper=Bound(3, 3), **parts)
    with pytest.raises(MetricError, match="lower implies value"):
        Member("A", "A", True, False, True, "ok")
    with pytest.raises(MetricError, match="numerator <= denominator"):
        MetricResult(lower=Bound(2, 1), value=Bound(2, 1), upper=Bound(2, 1), **parts)


@given(st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_three_months_back_is_the_same_day_or_the_last_of_its_month(day: date) -> None:
    window = last_months(midnight_us(day, PLANT) + 5 * HOUR_US, 3, PLANT)
    assert window.end_us == midnight_us(day, PLANT)
    assert 89 <= (window.end_us - window.start_us) // DAY_US <= 92
