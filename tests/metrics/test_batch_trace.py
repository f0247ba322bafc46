"""M13 against a slow reading of the page, over random genealogies; and what taking rows away can do to a lower bound."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.store.record_frames import RecordFrames, frame_of_rows
from config.load import parse_register
from config.record_kinds import KINDS
from metrics.batches.genealogy import Genealogy, batches_of_lot, trace_back, trace_forward
from metrics.catalogue.m13_batch_traceability import batch_traceability
from metrics.inputs import Inputs
from metrics.result import MetricResult
from tests.metrics.batch_oracle import Plant
from tests.metrics.casefile import Revision, frames, us

END_US = us("2026-11-01T00:00:00+08:00")
MINUTE_US = 60_000_000
DAY = us("2026-09-10T00:00:00+08:00") // MINUTE_US  # the day on which everything happens
OFF_DAY = 60 * 24 * 105  # long before the hours at hand
ROOM = 60 * 12
PROCESSES: dict[str, dict[str, Any]] = {
    "P1": {"line": "L1", "key": True, "inspection": False},
    "P2": {"line": "L1", "key": False, "inspection": True},
    "P3": {"line": "L2", "key": True, "inspection": True},
}
REGISTER = parse_register(
    {
        "format": "plantproof-register/1",
        "line": [{"id": "L1", "name": "一线"}, {"id": "L2", "name": "二线"}],
        "process": [{"id": i, "name": i, **p} for i, p in PROCESSES.items()],
        "points": [
            {"id": "key", "point": [{"name": "t", "type": "f64", "key_parameter": True, "path": "$.t"}]},
            {"id": "plain", "point": [{"name": "s", "type": "f64", "path": "$.s"}]},
        ],
        "device": [
            {
                "id": name,
                "name": name,
                "line": "L1",
                "in_service_from": "2025-01-01",
                "points": points,
                "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "a"},
            }
            for name, points in (("M1", "key"), ("M2", "plain"))
        ],
    },
    "test",
)
Rows = dict[str, list[dict[str, Any]]]
COVERED_HOURS = 4  # of the day: then nothing (value: late), then nobody watched
SEALED_HOURS = 6


def _random_rows(rng: random.Random, plant: str = "") -> Rows:
    """Up to seven batches; in most plants nearly everything is in order, in the others hardly anything."""
    names = [f"{plant}B{i}" for i in range(rng.randint(1, 7))]
    slips = rng.choice([0.005, 0.02, 0.02, 0.1])
    shown = rng.choice([0.5, 0.8, 0.95])

    def slip(right: Any, wrong: Any) -> Any:
        return wrong if rng.random() < slips else right

    def at(first: int = 0, last: int = ROOM) -> int:
        return DAY + (rng.randrange(0, ROOM, 30) if slips > 0.05 else rng.randrange(first, last, 30))

    rows: Rows = {k: [] for k in ("batches", "operations", "lots", "inspections", "shipments", "links")}
    for name in names:
        closed = rng.choice([None, *[slip(DAY + 2 * ROOM, at())] * 6])
        rows["batches"].append({"batch_id": name, "product": "轴", "closed_at": closed})
        rows["lots"] += [
            {"batch_id": name, "item": "钢", "lot_id": f"K{i}", "supplier_lot": slip("S", "")}
            for i in range(rng.choice([0, 1, 1, 2]))
        ]
        for process in (p for p in ("P1", "P2", "P3", "P9") if rng.random() < (shown if p != "P9" else slips)):
            start = slip(at(0, ROOM // 3), rng.choice([at(0, ROOM // 2), DAY - OFF_DAY]))
            rows["operations"].append(
                {
                    "batch_id": name,
                    "process_id": process,
                    "device_id": slip("M1", "M2"),
                    "start": start,
                    "end": slip(start + rng.choice([1, 15, 30, 45]), rng.choice([None, start])),
                    "operator": slip("张", ""),
                    "program": slip("O1", ""),
                }
            )
        for process in (p for p in ("P1", "P2", "P3") if rng.random() < shown):
            of_process = {"batch_id": name, "process_id": process, "result": "pass", "device_id": ""}
            rows["inspections"].append({**of_process, "at": at(ROOM // 2)})
        if rng.random() < shown:
            kind = rng.choice(["pack", "stock", "ship", "ship"])
            rows["shipments"].append(
                {"batch_id": name, "at": at(ROOM, ROOM + 60), "kind": kind, "document": slip("F", "")}
            )
    for _ in range(rng.choice([0, 1, 3, 6, 10])):
        source, target = sorted((rng.choice(names), rng.choice(names)))
        source, target = slip((source, target), (target, source))
        kind = rng.choice(["split", "merge", "rework"])
        rows["links"] = [k for k in rows["links"] if (k["parent"], k["child"], k["kind"]) != (source, target, kind)]
        if source != target or rng.random() < slips:
            rows["links"].append({"parent": source, "child": target, "kind": kind, "at": at(ROOM // 4)})
    return rows


def _inputs(rows: Rows, parameter_lines: list[str] | None = None) -> Inputs:
    def text(name: str, value: Any, kind: str) -> str:
        if value is None or KINDS[kind].column[name].type != "time":
            return "" if value is None else str(value)
        return str(pl.Series([value * MINUTE_US]).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")[0])

    found = {
        kind: frame_of_rows(KINDS[kind], [{n: text(n, v, kind) for n, v in row.items()} for row in of_kind])
        for kind, of_kind in rows.items()
    }
    return Inputs(
        end_us=END_US,
        tz=REGISTER.calendar.tz,
        lines=frames(_device_lines() + (_parameter_lines() if parameter_lines is None else parameter_lines)),
        revisions=(Revision(1, 0, REGISTER, "x"),),
        records=RecordFrames(1, found),
    )


def _iso(hour: int) -> str:
    at = pl.Series([hour * 3_600_000_000]).cast(pl.Datetime("us"))
    return str(at.dt.strftime("%Y-%m-%dT%HZ")[0])


def _device_lines() -> list[str]:
    full = f"{(1 << 60) - 1:015x}"
    rest = f"1,live,3600,{full},60,0,0,0,0,0,,,,,,,1,0,p,q"
    first = DAY // 60
    lines = [f"D,M1,{_iso(first + h)},{rest}" for h in range(SEALED_HOURS)]
    late = f"L,M1,{_iso(first + COVERED_HOURS + 2)},{_iso(first + COVERED_HOURS)},{full},60,c"
    return [*lines, late]


def _parameter_lines() -> list[str]:
    half = f"{((1 << 60) - 1) & ~0x3FFFFFFF:015x}"  # minutes 0 to 29
    full, first = f"{(1 << 60) - 1:015x}", DAY // 60
    return [f"P,M1,{_iso(first + h)},t,{half if h == COVERED_HOURS - 1 else full},60,0,," for h in range(COVERED_HOURS)]


def _oracle(rows: Rows) -> Plant:
    start = DAY
    lower = set(range(start, start + 60 * COVERED_HOURS - 30))
    value = lower | set(range(start + 60 * COVERED_HOURS, start + 60 * COVERED_HOURS + 60))
    sealed = set(range(start, start + 60 * SEALED_HOURS))
    everything = {m for r in rows["operations"] for m in range(r["start"], r["end"] or r["start"])}
    upper = value | (everything - sealed)
    return Plant(rows, PROCESSES, {("M1", "lower"): lower, ("M1", "value"): value, ("M1", "upper"): upper})


def _judged(rows: Rows) -> MetricResult:
    (result,) = batch_traceability(_inputs(rows))
    return result


@pytest.mark.parametrize("block", range(4))
def test_every_batch_is_judged_as_the_page_reads(block: int) -> None:
    """Two hundred plants in one pass; links never lead from one to another."""
    together: Rows = {}
    expected = {}
    for seed in range(block * 200, block * 200 + 200):
        rows = _random_rows(random.Random(seed), f"{seed}")
        plant = _oracle(rows)
        expected |= {b["batch_id"]: plant.judge(b) for b in rows["batches"] if b["closed_at"] is not None}
        together = {kind: together.get(kind, []) + of_kind for kind, of_kind in rows.items()}
    found = {m.id: (m.lower, m.value, m.upper, tuple(code for code, _ in m.facts)) for m in _judged(together).members}
    assert {b: (found[b], want) for b, want in expected.items() if found[b] != want} == {}
    assert found.keys() == expected.keys()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.data())
def test_taking_away_what_shows_something_never_raises_the_lower(seed: int, data: st.DataObject) -> None:
    rows = _random_rows(random.Random(seed))
    before = _judged(rows)
    untimely = {m.id for m in before.members if "not_monotonic" in dict(m.facts)}
    good = [("lots", r) for r in rows["lots"] if r["supplier_lot"]]
    good += [(k, r) for k in ("shipments", "inspections") for r in rows[k] if r["batch_id"] not in untimely]
    passed_on = {
        k["parent"] for k in rows["links"]
    }  # without its shipment such a batch may be judged by what it became
    good = [(k, r) for k, r in good if k != "shipments" or r["batch_id"] not in passed_on]
    if not good:
        return
    kind, gone = data.draw(st.sampled_from(good))
    after = _judged({**rows, kind: [r for r in rows[kind] if r is not gone]})
    assert after.lower.denominator == before.lower.denominator
    assert after.lower.numerator <= before.lower.numerator


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.sets(st.integers(0, COVERED_HOURS - 1)))
def test_taking_away_hour_lines_never_raises_the_lower(seed: int, gone: set[int]) -> None:
    rows = _random_rows(random.Random(seed))
    left = [line for i, line in enumerate(_parameter_lines()) if i not in gone]
    (before,), (after,) = batch_traceability(_inputs(rows)), batch_traceability(_inputs(rows, left))
    for result in (before, after):
        assert result.lower.numerator <= result.value.numerator <= result.upper.numerator
    assert after.lower.numerator <= before.lower.numerator


def test_a_batch_is_traced_back_to_its_lots_and_forward_to_its_shipments() -> None:
    link = {"kind": "split", "at": DAY}
    rows: Rows = {
        "batches": [{"batch_id": b, "product": "轴", "closed_at": None} for b in ("A", "B", "C", "X")],
        "links": [{"parent": "A", "child": "B", **link}, {"parent": "B", "child": "C", **link}],
        "lots": [{"batch_id": "A", "item": "钢", "lot_id": "K1", "supplier_lot": "S1"}],
        "shipments": [{"batch_id": "C", "at": DAY, "kind": "ship", "document": "F1"}],
    }
    records = _inputs(rows).records
    assert records is not None
    back, forward = trace_back(records, "C"), trace_forward(records, "A")
    assert back.batches == ("C", "A", "B")
    assert back.rows["lots"]["supplier_lot"].to_list() == ["S1"]
    assert [(e.parent, e.child) for e in back.edges] == [("A", "B"), ("B", "C")]
    assert forward.rows["shipments"]["document"].to_list() == ["F1"]
    assert not back.cyclic
    assert batches_of_lot(records, "S1") == ("A", "B", "C")
    assert trace_back(records, "X").edges == ()
    assert trace_back(records, "nobody").rows["batches"].is_empty()


def test_a_cycle_is_said_and_does_not_hang() -> None:
    link = {"kind": "rework", "at": DAY}
    pairs = [("A", "B"), ("B", "A"), ("B", "C"), ("S", "S"), ("U", "A")]
    rows: Rows = {"links": [{"parent": p, "child": c, **link} for p, c in pairs]}
    records = _inputs(rows).records
    assert records is not None
    graph = Genealogy.read(records.frame("links"))
    assert graph.cyclic == {"A", "B", "C", "S"}
    assert graph.order == ("U",)
    assert trace_back(records, "C").cyclic
    assert trace_forward(records, "S").batches == ("S",)
