"""Small instruments, results, records and documents for the verdict tests."""

from __future__ import annotations

from datetime import date
from typing import Any

from collector.store.record_frames import RecordFrames, frame_of_rows
from config.documents import Document
from config.plan import SceneInstance
from config.record_kinds import KINDS
from config.ruleset import RuleSet
from metrics.result import Bound, Member, MetricResult, Pair, Verdict, Window
from metrics.verdicts.evidence import Evidence, Referred
from metrics.verdicts.judge import judge
from metrics.window import DAY_US

DAY = date(2026, 11, 22)
METRIC = {"judged_by": "metric", "metric": "M05", "scope": "line", "op": ">="}


def value(threshold: str = "70/100", **more: Any) -> dict[str, Any]:
    """One dated threshold."""
    return {
        "from": "2025-01-01",
        "until": None,
        "threshold": threshold,
        "threshold_by": "instrument",
        "as_written": "原文",
    } | more


def instrument(*criteria: dict[str, Any], **more: Any) -> RuleSet:
    """An instrument with these criteria; what a criterion does not say is filled in."""
    body: dict[str, Any] = {
        "format": "plantproof-rules/2",
        "id": "CN-XX/XX25",
        "edition": 1,
        "title": "某省办法",
        "issuer": "某省工信厅",
        "status": "in_force",
        "in_force": {"from": "2025-01-01", "until": None},
        "levels": [{"id": "basic", "title": "基础级"}, {"id": "advanced", "title": "先进级"}],
    }
    filled = [
        {"id": f"C{i}", "title": "一条", "levels": ["basic"], "article": "第一条", "quote": "原文", "gate": "hard"} | c
        for i, c in enumerate(criteria)
    ]
    return RuleSet.model_validate(body | {"criteria": filled} | more)


def judged(criterion: dict[str, Any], evidence: Evidence, **more: Any) -> Verdict:
    """The verdict on one criterion."""
    rules = instrument(criterion, **more)
    return judge(rules.criteria[0], rules, evidence)


def evidence(
    *results: MetricResult,
    records: dict[str, list[dict[str, Any]]] | None = None,
    documents: tuple[Document, ...] = (),
    scenes: tuple[SceneInstance, ...] = (),
    adopted: dict[str, Referred | None] | None = None,
    day: date = DAY,
) -> Evidence:
    """What a verdict may look at."""
    frames = {kind: frame_of_rows(KINDS[kind], rows) for kind, rows in (records or {}).items()}
    return Evidence(day, results, RecordFrames(1, frames), documents, scenes, (), adopted or {})


def result(
    metric: str,
    scope: str,
    lower: str,
    *,
    value: str = "",
    upper: str = "",
    members: tuple[Member, ...] = (),
    **more: Any,
) -> MetricResult:
    """A result from fractions in text."""
    low, mid, high = (
        Bound(*(int(x) for x in t.split("/"))) for t in (lower, value or upper or lower, upper or value or lower)
    )
    body: dict[str, Any] = {
        "metric": metric,
        "version": 1,
        "scope": scope,
        "window": Window(0, DAY_US),
        "lower": low,
        "value": mid,
        "upper": high,
        "declared": None,
        "members": members,
        "exclusions": (),
        "parameters": (),
        "inputs": (),
        "simulated": False,
        "status": "ok",
        "notes": (),
    }
    return MetricResult(**body | more)


def member(name: str, bounds: str, why: str = "ok", **facts: int | str) -> Member:
    """`bounds`: three of 0 and 1, lower value upper."""
    low, mid, high = (b == "1" for b in bounds)
    pairs: tuple[Pair, ...] = tuple(facts.items())
    return Member(name, f"{name}号", low, mid, high, why, pairs)


def paper(kind: str, **more: Any) -> Document:
    """A document that is valid."""
    body: dict[str, Any] = {
        "doc_id": f"D-{kind}",
        "sha256": "ab" * 32,
        "kind": kind,
        "name": f"{kind} 一份",
        "issuer": "",
        "issued_on": None,
        "valid_until": None,
        "level": None,
        "years": (),
        "criteria": (),
        "size_bytes": 1,
        "entered_us": 0,
    }
    return Document(**body | more)
