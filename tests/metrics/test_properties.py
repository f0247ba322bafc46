"""What holds for every plant: bounds in order, truncated display, integer comparison, nothing won by moving a date."""

from __future__ import annotations

from datetime import date, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics.evaluate import compute_all
from metrics.minutes import FULL
from metrics.result import Bound, Member, MetricError, MetricResult, Window
from metrics.window import DAY_US, HOUR_US, last_months, midnight_us
from tests.metrics.casefile import inputs_of

PLANT = timezone(timedelta(hours=8))
FIRST = midnight_us(date(2026, 10, 2), PLANT) // HOUR_US
MASKS = st.sampled_from([0, FULL, FULL ^ 0b111111, FULL ^ 0b1111111, (1 << 54) - 1, 1]) | st.integers(0, FULL)


@st.composite
def plants(draw: st.DrawFn) -> dict[str, Any]:
    """A month of one to three machines: blocks of covered, late, missing and unwatched hours."""
    names = ["A", "B", "C"][: draw(st.integers(1, 3))]
    lines: list[dict[str, Any]] = []
    for name in names:
        hour = FIRST
        while hour < FIRST + 720:
            hours = min(draw(st.sampled_from([720, 200, 25, 1])), FIRST + 720 - hour)
            lines += _blocks(draw, name, hour, hours) if len(lines) < 30 else []
            hour += hours if len(lines) < 30 else 720
    return _vector(names, lines, draw)


def _blocks(draw: st.DrawFn, name: str, hour: int, hours: int) -> list[dict[str, Any]]:
    """Equal hours of one machine: a D line unless unsealed, an L line when something came late."""
    kind = draw(st.sampled_from(["line", "unsealed", "late"]))
    mask = draw(MASKS)
    n = mask.bit_count()
    run = draw(st.sampled_from(["0,3600,0", "1800,1800,0", "0,0,3600", ",,"]))
    output, changed = draw(st.sampled_from(["", "0", "60"])), draw(st.integers(0, 2))
    contact = f"{mask:015x},{n},{60 - n},0,0,0,{3600 - 60 * n},timeout"
    line = f"D,{name},{{hour}},1,live,3600,{contact},{run},{output},{output},{changed},0,p,q"
    blocks: list[dict[str, Any]] = []
    if kind != "unsealed":
        blocks.append({"line": line, "first_hour": hour, "hours": hours})
    if kind == "late":
        line = f"L,{name},{{hour}},{{source}},{draw(MASKS):015x},1,c"
        blocks.append({"line": line, "first_hour": hour, "hours": hours, "lag": draw(st.integers(1, 170))})
    return blocks


def _vector(names: list[str], lines: list[dict[str, Any]], draw: st.DrawFn) -> dict[str, Any]:
    def device(name: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": name,
            "name": name,
            "line": "L1",
            "process": "P1",
            "in_service_from": "2025-01-01",
        }
        if draw(st.booleans()):
            body["in_service_from"] = draw(st.sampled_from(["2026-10-20", "2026-10-27", "2026-11-01"]))
        if draw(st.booleans()):
            body |= {"nc": True, "major_nc": True, "controller": draw(st.sampled_from(["", "FANUC"]))}
        if draw(st.integers(0, 4)):
            body |= {"points": "pts", "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "a"}}
        return body

    down = [[FIRST + draw(st.integers(0, 719)), 0, 3600] for _ in range(draw(st.integers(0, 3)))]
    register = {
        "format": "plantproof-register/1",
        "line": [{"id": "L1", "name": "一线", "representative": True}],
        "process": [{"id": "P1", "name": "车", "line": "L1", "key": True}],
        "points": [{"id": "pts", "point": [{"name": "s", "type": "f64", "path": "$.s"}]}],
        "device": [device(n) for n in names],
    }
    return {
        "at_us": (FIRST + 720) * 3_600_000_000,
        "origin_class": "live",
        "ledger_root": "00" * 32,
        "registers": [{"rev": 1, "effective_ms": FIRST * 3_600_000, "sha256": "", "register": register}],
        "exclusions": [],
        "down": down,
        "lines": lines,
        "records": None,
        "recomputed": None,
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(plants())
def test_lower_is_at_most_value_is_at_most_upper_for_every_metric(vector: dict[str, Any]) -> None:
    for result in compute_all(inputs_of(vector)):
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
        Bound(2, 1)


@given(st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_three_months_back_is_the_same_day_or_the_last_of_its_month(day: date) -> None:
    window = last_months(midnight_us(day, PLANT) + 5 * HOUR_US, 3, PLANT)
    assert window.end_us == midnight_us(day, PLANT)
    assert 89 <= (window.end_us - window.start_us) // DAY_US <= 92
