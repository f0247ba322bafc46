"""The verifier's twin counts what docs/metrics.md says: held to the same vectors as the metrics."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from evidence_api.verify.evidence import Document, Evidence, Exclusion, parse_register
from evidence_api.verify.lines import (
    Hour,
    hour_number,
    hour_text,
    parse_device_hour,
    parse_late_hour,
    parse_parameter_hour,
)
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.records import read_table
from evidence_api.verify.twin import TWINS, history_draw, recompute

VECTORS = Path(__file__).parents[2] / "vectors" / "metrics"
FILES = sorted(VECTORS.glob("*.json"))
COMMIT = "A" * 43


def _obligation(inputs: dict[str, Any]) -> Obligation:
    registers = [parse_register(r["rev"], r["effective_ms"] * 1000, r["register"]) for r in inputs["registers"]]
    exclusions = [
        Exclusion(x["id"], frozenset(x["devices"]), *(x[k] * 1000 for k in ("from_ms", "to_ms", "entered_ms")))
        for x in inputs["exclusions"]
    ]
    files = inputs["records"]
    records = files and {name.removesuffix(".csv"): _rows(text) for name, text in files.items()}
    root = bytes.fromhex(inputs["ledger_root"])
    held = [_document(d) for d in inputs.get("documents", [])]
    evidence = Evidence(registers, exclusions, records, inputs["origin_class"], root, held)
    for hour, from_s, to_s in inputs["down"]:
        evidence.down.setdefault(hour, []).append((from_s, to_s))
    for block in inputs["lines"]:
        for number in range(block["first_hour"], block["first_hour"] + block["hours"]):
            _add(evidence, block["line"], number, block.get("lag", 0))
    return Obligation(evidence, inputs["at_us"])


def _rows(text: str) -> list[dict[str, str]]:
    """Canonical rows; what random plants write with +00:00 and without a moment of entry is brought into that form."""
    return [{"entered_us": "0"} | row for row in read_table(text.replace("+00:00", "Z").encode())]


def _document(d: dict[str, Any]) -> Document:
    days = (date.fromisoformat(d[k]) if d[k] else None for k in ("issued_on", "valid_until"))
    lists = (tuple(d["years"]), tuple(d["criteria"]))
    return Document(d["doc_id"], d["kind"], d["name"], *days, d["level"], *lists, d["entered_us"])


def _add(evidence: Evidence, template: str, number: int, lag: int) -> None:
    text = template.replace("{hour}", hour_text(number)).replace("{source}", hour_text(number - lag))
    kind, *fields = text.split(",")
    if kind == "D":
        line = ",".join([kind, *fields[:-2], COMMIT, COMMIT]).encode()
        evidence.add_hour(Hour(number, [], [parse_device_hour(line)], [], []), [])
    elif kind == "P":
        evidence.add_hour(Hour(number, [], [], [parse_parameter_hour(text.encode())], []), [])
    else:
        line = ",".join([kind, *fields[:-1], COMMIT]).encode()
        late = parse_late_hour(line)
        assert late.hour == hour_number(fields[1])
        evidence.add_hour(Hour(number, [], [], [], [late]), [])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_twin_counts_what_the_vector_expects(path: Path) -> None:
    vector = json.loads(path.read_text(encoding="utf-8"))
    obligation = _obligation(vector["inputs"])
    expected = [r for r in vector["expected"] if r["metric"] in TWINS]
    for metric in {r["metric"] for r in expected}:
        given = {r["scope"]: r for r in expected if r["metric"] == metric}
        twins = recompute(obligation, metric)
        assert {t.scope for t in twins} == set(given)
        for twin in twins:
            assert twin.differences(given[twin.scope]) == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_twin_draws_the_same_device_hours(path: Path) -> None:
    vector = json.loads(path.read_text(encoding="utf-8"))
    drawn, eligible, seed = history_draw(_obligation(vector["inputs"]))
    for m12 in (r for r in vector["expected"] if r["metric"] == "M12"):
        assert drawn == [m["id"] for m in m12["members"]]
        assert dict(m12["parameters"])["seed"] == seed
        assert dict(m12["parameters"])["eligible"] == eligible


def test_every_twin_and_the_draw_are_held_to_some_vector() -> None:
    expected = [r["metric"] for path in FILES for r in json.loads(path.read_text(encoding="utf-8"))["expected"]]
    assert {*TWINS, "M12"} <= set(expected)
    assert len(FILES) >= 30
