"""Every case file by hand: the integers it states are the integers that come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metrics.result import Bound, MetricResult
from tests.metrics.casefile import CASES, compute, inputs_of, load, vector_of

FILES = sorted(CASES.glob("*.yaml"))


def _bound(text: str) -> Bound:
    numerator, denominator = text.split("/")
    return Bound(int(numerator), int(denominator))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_case_counts_as_written(path: Path) -> None:
    case = load(path)
    stated = {e["metric"] for e in case["expect"]}
    results = {(r.metric, r.scope): r for r in compute(inputs_of(vector_of(case)), stated)}
    for expected in case["expect"]:
        result = results[expected["metric"], expected["scope"]]
        assert _stated(result, expected) == {k: v for k, v in expected.items() if k not in ("metric", "scope")}


def _stated(result: MetricResult, expected: dict[str, Any]) -> dict[str, Any]:
    """The result in the words of the case, as far as the case says anything."""
    members = {m.id: m for m in result.members}
    parameters = dict(result.parameters)
    out: dict[str, Any] = {}
    for key in expected:
        if key in ("lower", "value", "upper", "declared"):
            bound = getattr(result, key)
            out[key] = None if bound is None else f"{bound.numerator}/{bound.denominator}"
        elif key == "why":
            out[key] = {i: m.why for i, m in members.items() if i in expected["why"] or len(members) < 20}
        elif key == "facts":
            out[key] = {i: {k: dict(members[i].facts).get(k) for k in named} for i, named in expected["facts"].items()}
        elif key == "flags":
            out[key] = {i: [members[i].lower, members[i].value, members[i].upper] for i in expected["flags"]}
        elif key == "parameters":
            out[key] = {k: parameters.get(k) for k in expected["parameters"]}
        elif key in ("status", "simulated", "unit"):
            out[key] = getattr(result, key)
        elif key == "members":
            out[key] = list(members)
        elif key == "notes":  # words that stand in them
            out[key] = [words for words in expected["notes"] if any(words in note for note in result.notes)]
        elif key == "exclusions":
            out[key] = [list(e) for e in result.exclusions]
    return out
