"""Two hands, one page: over random plants the verifier's plain-integer twin writes the same integers as the metrics."""

from __future__ import annotations

import pytest

from evidence_api.verify.twin import TWINS, history_draw, recompute
from metrics.evaluate import compute_all
from tests.evidence_api.packs.test_twin import _obligation
from tests.metrics.casefile import inputs_of
from tests.metrics.random_plant import random_plant


@pytest.mark.parametrize("seed", range(6))
def test_twin_and_metrics_agree_over_a_random_plant(seed: int) -> None:
    vector = random_plant(seed)
    results = [r.to_json() for r in compute_all(inputs_of(vector))]
    obligation = _obligation(vector)
    found = []
    for metric in TWINS:
        ours = {r["scope"]: r for r in results if r["metric"] == metric}
        twins = recompute(obligation, metric)
        assert {t.scope for t in twins} == set(ours)
        found += [(metric, t.scope, d) for t in twins for d in t.differences(ours[t.scope])]
    assert found == []
    assert history_draw(obligation)[0] == [m["id"] for r in results if r["metric"] == "M12" for m in r["members"]]
