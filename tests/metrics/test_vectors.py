"""The vectors for a second implementation are the cases, spelled out; they change only when somebody means them to.

Write them again after a case or a definition changed: PLANTPROOF_WRITE_VECTORS=1 pytest tests/metrics/test_vectors.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from evidence_api.verify.twin import TWINS
from tests.metrics.casefile import CASES, compute, inputs_of, load, vector_of

VECTORS = Path(__file__).parents[1] / "vectors" / "metrics"
FILES = sorted(CASES.glob("*.yaml"))


def _vector(path: Path) -> dict[str, Any]:
    case = load(path)
    inputs = vector_of(case)
    stated = {e["metric"] for e in case["expect"]}
    results = [r.to_json() for r in compute(inputs_of(inputs), stated | set(TWINS) | {"M12"})]
    for result in results:
        del result["inputs"]  # digests of a folder that does not exist
    return {
        "format": "plantproof-metric-vector/1",
        "name": case["name"],
        "about": case["about"],
        "inputs": inputs,
        "expected": results,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_vector_is_the_case_spelled_out(path: Path) -> None:
    file = VECTORS / f"{path.stem}.json"
    text = json.dumps(_vector(path), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    if os.environ.get("PLANTPROOF_WRITE_VECTORS"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


def test_every_vector_has_its_case() -> None:
    assert {p.stem for p in VECTORS.glob("*.json")} == {p.stem for p in FILES}
