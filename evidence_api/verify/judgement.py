"""Verdicts once more, from rules.json and the recomputed results: docs/metrics.md, Verdicts.

In: criteria as canonical JSON, results as they stand in results.json. Out: (criterion, verdict) for each criterion in force on
the plant's day of the cut-off. A criterion with a metric is judged by the lower bound of every result of its metric and scope
kind; nothing simulated is ever met; what no metric decides is never scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

WORST_FIRST = ("short", "insufficient_data", "needs_judgement", "declared_only", "not_applicable", "met")


def judge(rules: dict[str, Any], results: Sequence[dict[str, Any]], day: date) -> dict[str, tuple[str, str]]:
    """criterion id -> (verdict, what the integers alone say). Errors: `KeyError`, `ValueError` for what are not rules."""
    if not _holds(rules["in_force"], day):
        return {}
    found = {}
    for criterion in rules["criteria"]:
        if criterion["judged_by"] != "metric":
            word = "declared_only" if criterion["judged_by"] == "document" else "needs_judgement"
            found[criterion["id"]] = (word, word)
            continue
        value = next((v for v in criterion["values"] if _holds(v, day)), None)
        if value is not None:
            found[criterion["id"]] = _measured(criterion, value, results)
    return found


def _measured(criterion: dict[str, Any], value: dict[str, Any], results: Sequence[dict[str, Any]]) -> tuple[str, str]:
    ours = chosen(criterion, results)
    numerator, denominator = (int(x) for x in value["threshold"].split("/"))
    usable = [r for r in ours if r["status"] == "ok"]
    if not all(_reaches(r, criterion["op"], numerator, denominator) for r in usable):
        return "short", "short"
    if not usable or len(usable) != len(ours):
        return "insufficient_data", "insufficient_data"
    return ("insufficient_data" if any(r["simulated"] for r in ours) else "met"), "met"


def distance(criterion: dict[str, Any], day: date, results: Sequence[dict[str, Any]], numbers: str) -> int | None:
    """How many more members the bar needs over all results; None where nothing can be said."""
    value = next((v for v in criterion["values"] if _holds(v, day)), None)
    if value is None or numbers == "insufficient_data":
        return None
    numerator, denominator = (int(x) for x in value["threshold"].split("/"))
    ours = [r["lower"] for r in chosen(criterion, results)]
    return sum(max(0, -(-numerator * int(d) // denominator) - int(n)) for n, d in ours)


def chosen(criterion: dict[str, Any], results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of a criterion's metric and kind of scope."""
    kind, metric = criterion["scope"], criterion["metric"]
    return [r for r in results if r["metric"] == metric and r["scope"].partition(":")[0] == kind]


def bar(criterion: dict[str, Any], day: date) -> str:
    """`>= 70/100`, as it stands on a day."""
    return next((f"{criterion['op']} {v['threshold']}" for v in criterion["values"] if _holds(v, day)), "")


def level_verdict(rules: dict[str, Any], level: str, words: dict[str, tuple[str, str]]) -> str:
    """What a level comes to: the worst word among its hard criteria; met only when each of them is."""
    mine = {c["id"]: c["gate"] for c in rules["criteria"] if level in c["levels"] and c["id"] in words}
    hard = {words[i][0] for i, gate in mine.items() if gate == "hard"}
    return next((w for w in WORST_FIRST if w in hard), "needs_judgement")


def _reaches(result: dict[str, Any], op: str, numerator: int, denominator: int) -> bool:
    n, d = result["lower"]
    conditions = [v for k, v in result["parameters"] if k.startswith("condition.")]
    enough = n * denominator >= numerator * d if op == ">=" else n * denominator == numerator * d
    return bool(d > 0 and enough and all(v == 1 for v in conditions))


def _holds(period: dict[str, Any], day: date) -> bool:
    until = period.get("until")
    return date.fromisoformat(period["from"]) <= day and (until is None or day <= date.fromisoformat(until))
