"""Amounts that are no ratio: yuan as yuan, kgce as a number, never a percentage and never fen over 100; the verifier says the same."""

from __future__ import annotations

from fractions import Fraction
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from evidence_api.pack.report_html import report_page
from evidence_api.verify.findings import Number
from evidence_api.verify.recount import amount, shown
from metrics.printing.tables import result_table
from metrics.result import Bound
from metrics.verdicts.units import amount_words, decimal_words
from tests.metrics.verdict_builders import result

MONEY: dict[str, Any] = {"unit": "CNY", "declared": Bound(902_000_000, 100)}
COAL: dict[str, Any] = {"unit": "kgce", "value": "445641/50000", "upper": "760763/75000"}
BODY = {
    "mark": "",
    "plant": {"name": "厂", "credit_code": "91620100MA0000000X", "site": "一区"},
    "ledger": {"log": "x", "size": 1, "root": "00"},
    "counts": {"devices": 1, "device_hours": 1, "seals": 1},
    "level": "basic",
    "window": [0, 0],
    "pack_id": "0123456789",
    "number": 1,
    "limits": [],
    "program": "0",
}


def test_the_pack_report_and_the_ratio_table_show_yuan_and_kgce() -> None:
    found = [result("M21", "line:L1", "902000000/100", **MONEY), result("M24", "plant", "577389/125000", **COAL)]
    rules = {"levels": [{"id": "basic", "title": "基础级"}], "criteria": []}
    report = {
        "instrument": {"name": "办法", "doc_no": None},
        "verdicts": [],
        "references": [],
        "strips": [],
        "results": [r.to_json() for r in found],
    }
    page = report_page(BODY, report, rules).decode()
    out = Console(width=200, record=True, file=StringIO())
    for r in found:
        for part in result_table(r, why=False):
            out.print(part)
    for text in (page, out.export_text()):
        assert text.count("9,020,000 元") == 4
        assert "8.91282 kgce" in text
        assert "760763/75000 kgce（10.143…）" in text
        assert "902000000" not in text
        assert " %" not in (text.partition("</style>")[2] or text).replace("0 – 100 %", "")


@pytest.mark.parametrize(
    ("metric", "pair", "words"),
    [
        ("M21", (902_000_000, 100), "全厂 9,020,000 元（下限 9,020,000 元，上限 9,020,000 元）"),
        ("M24", (0, 0), "全厂 —（下限 —，上限 —）"),
        ("M24", (1, 3), "全厂 1/3 kgce（0.333…）（下限 1/3 kgce（0.333…），上限 1/3 kgce（0.333…））"),
        ("M05", (1, 2), "全厂 1/2 50.0 %（下限 1/2，上限 1/2）"),
    ],
)
def test_the_verifier_prints_an_amount_in_its_unit(metric: str, pair: tuple[int, int], words: str) -> None:
    assert shown(Number(metric, "plant", "ok", pair, pair, pair)) == words


@given(st.integers(0, 10**12), st.integers(1, 10**9))
def test_both_sides_write_the_same_and_a_decimal_is_exact(numerator: int, denominator: int) -> None:
    for unit in ("CNY", "kgce"):
        assert amount((numerator, denominator), unit) == amount_words(numerator, denominator, unit)
    assert Fraction(decimal_words(numerator, denominator)) == Fraction(numerator, denominator)
