"""On random plants no check falls over, accuses independent machines of copying, or changes a number."""

from __future__ import annotations

import pytest

from metrics.evaluate import compute_all
from metrics.findings.ask import findings
from tests.metrics.casefile import inputs_of
from tests.metrics.random_plant import random_plant

COPIES = {"identical_hours", "identical_streams", "perfect_grid"}


@pytest.mark.parametrize("seed", range(12))
def test_random_plants_are_asked_about_and_not_changed(seed: int) -> None:
    inputs = inputs_of(random_plant(seed))
    results = compute_all(inputs)
    before = [r.to_json() for r in results]
    found = findings(inputs, results)
    assert not COPIES & {f.code for f in found}
    assert all(f.count >= len(f.rows) > 0 for f in found)
    assert all(len(row) == len(f.columns) for f in found for row in f.rows)
    assert [r.to_json() for r in compute_all(inputs)] == before
