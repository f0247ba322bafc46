"""The Chinese words of every metric stand where the numbers stand."""

from __future__ import annotations

from config.metric_formulas import FORMULAS
from config.metric_names import MEMBERS, TITLES
from metrics.registry import METRICS


def test_every_metric_has_a_title_a_unit_and_its_formula_in_words() -> None:
    assert set(FORMULAS) == set(TITLES) == set(MEMBERS) == set(METRICS)
    assert all(formula and proven for formula, proven in FORMULAS.values())
