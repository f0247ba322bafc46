"""What holds for any enterprise records: bounds in order, evidence taken away proves no more, effects compared as exact fractions.

*Evidence* is what a plant shows for a thing: a flag, version, approver, voucher, source, a document, transactions, exchanges, decisions,
effect rows, investment items. (Taking away the thing itself may raise a ratio: a bad project that nobody lists. That is for the doubts.)
"""

from __future__ import annotations

from copy import deepcopy
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.store.record_frames import ORIGIN
from config.metric_names import TITLES, WHY
from config.record_kinds import KINDS
from metrics.catalogue.m16_resource_domains import DOMAINS
from metrics.catalogue.m17_life_cycle_domains import LIFE_CYCLE
from metrics.catalogue.m18_effects import INDICATORS
from metrics.office.effect_periods import DOWN, UP, EffectPeriod, between, direction, judged
from metrics.result import Bound, MetricResult
from tests.metrics.casefile import CASES, compute, inputs_of, load, vector_of

MINE = {"M15", "M15b", "M16", "M17", "M18", "M21", "M24", "FIN"}
EVIDENCE = {
    "projects": ("tool", "licensed", "in_pdm"),
    "drawings": ("in_pdm", "version", "approver", "approved"),
    "effects": ("data_source", "document"),
    "investments": ("contract", "invoice", "payment", "asset_no"),
    "changes": ("reason",),
}
SHOWN = ("transactions", "exchanges", "changes", "effects", "investments")  # whole rows that only ever show something
PAPERS = {"R": "rd_tools", "C": "contract", "I": "invoice", "P": "payment", "F": "financial_statements", "E": "effect"}
DAYS = st.dates(date(2025, 10, 25), date(2026, 11, 5)).map(str)
YES = st.sampled_from(["是", "是", "否", ""])
REGISTER = {
    "format": "plantproof-register/1",
    "line": [{"id": "L1", "name": "一线", "representative": True, "commissioned": "2026-01-01"}],
    "device": [
        {"id": "A", "name": "一号", "line": "L1", "in_service_from": "2025-01-01"},
        {
            "id": "E",
            "name": "电表",
            "line": "L1",
            "production": False,
            "meter": "electricity",
            "in_service_from": "2025-01-01",
        },
    ],
    "system": [
        {
            "id": "S1",
            "name": "ERP",
            "kind": "erp",
            "domains": [*DOMAINS[:5], *LIFE_CYCLE[:3]],
            "live_since": "2026-01-01",
        },
        {
            "id": "S2",
            "name": "MES",
            "kind": "mes",
            "domains": [*DOMAINS[5:], *LIFE_CYCLE[3:]],
            "live_since": "2026-09-01",
        },
    ],
    "interface": [{"id": "I1", "source": "S1", "target": "S2", "domains": list(LIFE_CYCLE)}],
    "energy": [{"medium": "gas", "name": "气", "unit": "m3", "kgce_per_unit": "1.2143", "source": "测试"}],
}


def _paper(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from([kind, kind, "", "X"])


def _numbered(prefix: str, **cells: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows with an id of their own in the first cell."""
    first, *_ = cells
    rows = st.lists(st.fixed_dictionaries(cells), max_size=6)
    return rows.map(lambda found: [{**r, first: f"{prefix}{i}"} for i, r in enumerate(found)])


NOTHING = st.just("")
PROJECTS = _numbered(
    "X",
    project_id=NOTHING,
    name=st.just("项目"),
    began=DAYS,
    tool=st.sampled_from(["CAD", ""]),
    licensed=YES,
    in_pdm=YES,
    persons=st.integers(0, 9),
    persons_using=st.integers(0, 9),
)
DRAWINGS = _numbered(
    "D",
    drawing_id=NOTHING,
    released=DAYS,
    version=st.sampled_from(["A", ""]),
    approver=st.sampled_from(["王", ""]),
    approved=st.one_of(DAYS, NOTHING),
    in_pdm=YES,
)
ITEMS = _numbered(
    "V",
    item_id=NOTHING,
    line_id=st.just("L1"),
    category=st.sampled_from(["设备", "软件", "土建"]),
    name=st.just("物"),
    amount=st.sampled_from([3_000_000, 3_000_000, 0, 7]),  # the same item twice, often
    contract=_paper("C"),
    invoice=_paper("I"),
    payment=_paper("P"),
    asset_no=st.sampled_from(["Z", ""]),
)
CHANGES = _numbered(
    "K",
    change_id=NOTHING,
    at=DAYS.map(lambda d: f"{d} 08:00:00"),
    subject=st.just("排产"),
    actor=st.sampled_from(["算法", "人工"]),
    reason=st.sampled_from(["缺料", ""]),
    domain=st.sampled_from(LIFE_CYCLE),
    overridden=YES,
)
FINANCE = st.sampled_from([[], [{"year": 2025, "revenue": 1000000, "document": "F"}]])
BILLS = [["气表", "gas", "2026-09-16", "2026-10-15", 30], ["气表", "gas", "2026-10-16", "2026-11-02", 7]]
BATCHES = st.lists(st.sampled_from([0, 3, ""]), max_size=3).map(
    lambda quantities: [[f"B{i}", "轴", q, "2026-10-05 10:00:00", "否"] for i, q in enumerate(quantities)]
)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """A plant with papers and records of every kind these metrics read, good and bad."""
    exchange = {"interface_id": "I1", "day": "2026-08-01", "ok": 1, "repeat": {"times": draw(st.integers(84, 92))}}
    records = {
        "projects": draw(PROJECTS),
        "drawings": draw(DRAWINGS),
        "investments": draw(ITEMS),
        "changes": draw(CHANGES),
        "transactions": [_weeks(draw, d) for d in DOMAINS if draw(st.booleans())],
        "exchanges": [exchange],
        "effects": [r for i in INDICATORS if draw(st.booleans()) for r in _effect(draw, i)],
        "finance": draw(FINANCE),
        "energy": draw(st.sampled_from([[], BILLS])),
        "batches": draw(BATCHES),
    }
    until = st.sampled_from([None, date(2026, 10, 31), date(2026, 10, 30)])
    documents = [{"id": i, "kind": kind, "years": [2025]} for i, kind in PAPERS.items()]
    for document in documents:
        if (last := draw(until)) is not None:
            document["valid_until"] = last
    hour, line = draw(st.integers(1, 23)), {"device": "E", "to": "2026-11-01T00:00+08:00", "output_delta": 3}
    return {
        "at": "2026-11-01T00:00:00+08:00",
        "register": {"effective": "2026-07-01T00:00:00+08:00", "body": REGISTER},
        "lines": [{**line, "from": f"2026-10-01T{hour:02d}:00+08:00"}],
        "documents": documents,
        "records": records,
    }


def _weeks(draw: st.DrawFn, domain: str) -> dict[str, Any]:
    times = draw(st.integers(7, 13))
    return {
        "domain": domain,
        "day": "2026-08-04",
        "count": draw(st.integers(0, 1)),
        "repeat": {"days": 7, "times": times},
    }


def _effect(draw: st.DrawFn, indicator: str) -> list[dict[str, Any]]:
    spans = {
        "before": ("2025-08-01", "2025-10-31"),
        "after": ("2026-08-01", draw(st.sampled_from(["2026-10-31", "2026-09-30"]))),
    }
    return [
        {
            "indicator": indicator,
            "scope": draw(st.sampled_from(["plant", "plant", "L1"])),
            "period": period,
            "first_day": first,
            "last_day": last,
            "numerator": draw(st.integers(0, 3)),
            "denominator": draw(st.integers(0, 3)),
            "formula": "综合能耗÷产量",
            "data_source": draw(st.sampled_from(["MES", "MES", ""])),
            "document": draw(_paper("E")),
        }
        for period, (first, last) in spans.items()
    ]


def _results(case: dict[str, Any]) -> dict[tuple[str, str], MetricResult]:
    return {(r.metric, r.scope): r for r in compute(inputs_of(vector_of(case)), MINE)}


def _not_above(less: Bound, more: Bound) -> bool:
    """As a number that could pass: nothing at all is no more than anything."""
    return less.denominator == 0 or (more.denominator > 0 and less.not_above(more))


SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)


@SLOW
@given(cases())
def test_bounds_are_in_order_for_any_enterprise_records(case: dict[str, Any]) -> None:
    for result in _results(case).values():
        assert result.lower.not_above(result.value)
        assert result.value.not_above(result.upper)
        assert {m.why for m in result.members} <= {*WHY, "ok"}


@SLOW
@given(cases(), st.data())
def test_taking_evidence_away_never_raises_a_lower_bound(case: dict[str, Any], data: st.DataObject) -> None:
    before = _results(case)
    poorer = deepcopy(case)
    choices = [("cell", kind, i) for kind in EVIDENCE for i in range(len(poorer["records"][kind]))]
    choices += [("row", kind, i) for kind in SHOWN for i in range(len(poorer["records"][kind]))]
    choices += [("paper", "documents", i) for i in range(len(poorer["documents"]))]
    how, kind, index = data.draw(st.sampled_from(choices))
    if how == "cell":
        poorer["records"][kind][index][data.draw(st.sampled_from(EVIDENCE[kind]))] = ""
    else:
        del (poorer["records"][kind] if how == "row" else poorer["documents"])[index]
    for key, result in _results(poorer).items():
        if key[0] != "M24":  # not a share of what is proven
            assert _not_above(result.lower, before[key].lower), (key, how, kind, index)


@settings(SLOW, max_examples=15)
@given(cases(), st.integers(0, 12))
def test_missing_weeks_of_the_export_open_the_upper_bound_only(case: dict[str, Any], weeks: int) -> None:
    full = _results(case)["M16", "plant"]
    poorer = deepcopy(case)
    gone = date(2026, 8, 4) + timedelta(days=7 * weeks)
    for row in poorer["records"]["transactions"]:
        row["repeat"]["times"] = min(row["repeat"]["times"], (gone - date(2026, 8, 4)).days // 7)
    cut = _results(poorer)["M16", "plant"]
    assert cut.lower.numerator <= full.lower.numerator
    assert cut.upper.numerator >= cut.value.numerator


DECIMALS = st.integers(0, 10**9)


@given(st.sampled_from(sorted(UP | DOWN)), DECIMALS, DECIMALS, DECIMALS, DECIMALS)
def test_improvement_is_what_exact_fractions_say(indicator: str, bn: int, bd: int, an: int, ad: int) -> None:
    before = EffectPeriod(date(2025, 8, 1), date(2025, 10, 31), bn, bd, "甲÷乙", "MES", "")
    after = EffectPeriod(date(2026, 8, 1), date(2026, 10, 31), an, ad, "甲÷乙", "MES", "")
    why, unknown = judged(indicator, before, after, date(2026, 10, 31))
    if 0 in (bd, ad):
        assert (why, unknown) == ("no_denominator", True)
    elif bn == 0:
        assert (why, unknown) == ("before_zero", True)
    else:
        gain = (Fraction(an, ad) - Fraction(bn, bd)) / Fraction(bn, bd) * direction(indicator, "")
        assert why == ("ok" if gain > 0 else "not_improved")
        facts = dict(between(indicator, before, after))
        assert Fraction(str(facts["improvement"])) == gain
        assert int(facts["improvement_permille"]) <= gain * 1000 < int(facts["improvement_permille"]) + 1


def test_energy_counts_as_better_by_where_the_formula_puts_it() -> None:
    assert direction("energy_use", "综合能耗÷产量") == -1
    assert direction("energy_use", "产值/综合能源消费量(tce)") == 1
    assert direction("energy_use", "利用率") == 0  # nothing says which way is better: not judged
    assert direction("energy_use", "kgce/件/月") == 0
    assert direction("energy_use", "电量÷标煤") == 0


def test_every_indicator_has_a_direction_and_no_kind_hides_where_its_rows_came_from() -> None:
    assert {*UP, *DOWN, "energy_use"} == set(INDICATORS)
    assert set(TITLES) >= MINE
    assert [k.name for k in KINDS.values() if set(ORIGIN) & set(k.column)] == []


@pytest.mark.parametrize(
    "name", ["M15-rd-tools", "M16-domains", "M17-life-cycle", "M18-effects", "M21-FIN-money", "M24-energy"]
)
def test_a_machine_more_or_less_moves_none_of_these_numbers(name: str) -> None:
    case = load(CASES / f"{name}.yaml")
    more = deepcopy(case)
    off = {"from": "2026-08-03T00:00+08:00", "to": "2026-08-10T00:00+08:00", "entered": "2026-08-03T00:00+08:00"}
    for plant, devices in ((case, ["A", "M1", "E1"]), (more, ["A", "M1", "E1", "Z9"])):
        plant["exclusions"] = [{**off, "devices": devices}]
    machine = {"id": "Z9", "name": "新机", "line": "L1", "in_service_from": "2026-08-05", "asset_no": "ZC-99"}
    registers = more["register"] if isinstance(more["register"], list) else [more["register"]]
    for register in registers:
        register["body"]["device"] = [*register["body"].get("device", []), machine]
    grown = _results(more)
    for key, result in _results(case).items():
        assert (grown[key].lower, grown[key].value, grown[key].upper) == (result.lower, result.value, result.upper)
