"""由数据判定, once more: a criterion with a metric, from the results in the pack (docs/metrics.md, Verdicts).

In: a criterion, its threshold of the day, `Ground`. Out: `Word`. The bound against the plant decides: the lower one, for an upper limit the
upper one, for `==` both; every scope must hold and every condition; an empty set never passes; nothing simulated is ever met.
"""

from __future__ import annotations

from typing import Any

from evidence_api.verify.catalogue import KINDS
from evidence_api.verify.instruments import fraction
from evidence_api.verify.word import Ground, Word

_JUDGED = ("scope", "unit", "declared", "value", "lower", "upper")
_BOUNDS = ("lower", "value", "upper")


def judge_metric(criterion: dict[str, Any], value: dict[str, Any], ground: Ground) -> Word:
    """The verdict on a criterion that numbers decide."""
    ours = chosen(criterion, ground.results)
    op, bar = criterion["op"], fraction(value)
    usable = [r for r in ours if r["status"] == "ok" and (r["unit"] == "CNY") == (value["unit"] == "CNY")]
    if not all(_passes(r, op, bar) and not unmet(r) for r in usable):
        numbers = "short"
    else:
        numbers = "met" if usable and len(usable) == len(ours) else "insufficient_data"
    simulated = any(r["simulated"] for r in ours)
    return Word(
        "insufficient_data" if simulated and numbers == "met" else numbers,
        None if numbers == "insufficient_data" else sum(_missing(r, op, bar) for r in ours),
        KINDS[criterion["metric"]].member,
        numbers,
        simulated,
        judged=tuple({k: r[k] for k in _JUDGED} for r in ours),
    )


def chosen(criterion: dict[str, Any], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of its metric and kind of scope, over its named members only."""
    kind, metric = criterion["scope"], criterion["metric"]
    mine = [r for r in results if r["metric"] == metric and r["scope"].partition(":")[0] == kind]
    return [_restricted(r, criterion["members"]) for r in mine]


def unmet(result: dict[str, Any]) -> list[str]:
    """Conditions that do not hold."""
    return [k for k, v in result["parameters"] if k.startswith("condition.") and v == 0]


def _restricted(result: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """One that is not there counts as a member that has nothing."""
    if not names:
        return result
    found = {name: m for m in result["members"] for name in (m["id"], m["name"]) if name in names}
    counts = {b: [sum(found[n][b] for n in names if n in found), len(names)] for b in _BOUNDS}
    return result | counts | {"declared": None}


def _holds(pair: list[int], op: str, bar: tuple[int, int]) -> bool:
    left, right = pair[0] * bar[1], bar[0] * pair[1]
    compared = {">=": left >= right, ">": left > right, "==": left == right, "<=": left <= right, "<": left < right}
    return pair[1] > 0 and compared[op]


def _passes(result: dict[str, Any], op: str, bar: tuple[int, int]) -> bool:
    if op in ("<=", "<"):
        return _holds(result["upper"], op, bar)
    return _holds(result["lower"], op, bar) and (op != "==" or _holds(result["upper"], op, bar))


def _missing(result: dict[str, Any], op: str, bar: tuple[int, int]) -> int:
    """Fewest steps to the bar: one more member of the same set, one more yuan of an amount."""
    n, d = (int(x) for x in (result["upper"] if op in ("<=", "<") else result["lower"]))
    step = bar[1] * (1 if result["unit"] == "ratio" else d)
    short = bar[0] * d - n * bar[1]
    short = -short if op in ("<=", "<") else abs(short) if op == "==" else short
    if step == 0:
        return 0
    return max(0, short // step + 1 if op in (">", "<") else -(-short // step))
