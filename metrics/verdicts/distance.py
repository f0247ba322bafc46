"""差距: how many more the bar needs, and which things to act on first.

In: a bound, an operator, a threshold as an exact fraction; the members behind it. Out: whole steps (machines, days, yuan) and names.
Nearest first: what was seen and is not proven yet, then what is connected and silent, then what is not connected at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.ruleset import Op
from metrics.printing.words import called, why_words
from metrics.result import Bound, Member, MetricResult
from metrics.verdicts.evidence import Need

LEFT_OUT = "excused"  # a member that is no part of the fraction (M11)
FAR = ("not_configured", "not_connected", "not_nc", "not_digital", "no_device", "no_point", "on_paper")
NAMED = 12  # names beyond the distance that are still worth reading


def holds(bound: Bound, op: Op, threshold: tuple[int, int]) -> bool:
    """`bound op threshold` in integers; an empty set never holds."""
    left, right = bound.numerator * threshold[1], threshold[0] * bound.denominator
    compared = {">=": left >= right, ">": left > right, "==": left == right, "<=": left <= right, "<": left < right}
    return bound.denominator > 0 and compared[op]


def passes(result: MetricResult, op: Op, threshold: tuple[int, int]) -> bool:
    """The bound that speaks against the plant decides: the lower one, for an upper limit the upper one, for `==` both."""
    if op in ("<=", "<"):
        return holds(result.upper, op, threshold)
    return holds(result.lower, op, threshold) and (op != "==" or holds(result.upper, op, threshold))


def missing(result: MetricResult, op: Op, threshold: tuple[int, int]) -> int:
    """Fewest steps with which the bar would hold: one more member of the same set, one more yuan of an amount. 0 when it holds."""
    bound = result.upper if op in ("<=", "<") else result.lower
    step = threshold[1] * (1 if result.unit == "ratio" else bound.denominator)
    short = threshold[0] * bound.denominator - bound.numerator * threshold[1]
    if op in ("<=", "<"):
        short = -short
    if op == "==":
        short = abs(short)
    if op in (">", "<"):
        return max(0, short // step + 1) if step else 0
    return max(0, -(-short // step)) if step else 0


def needs_of(results: Sequence[MetricResult], distance: int | None, unit: str) -> tuple[Need, ...]:
    """The members to act on, nearest first: at least `distance` of them where there are so many."""
    found = [m for r in results for m in r.members if not m.lower and m.why != LEFT_OUT]
    found.sort(key=_nearness)  # stable: members of equal nearness stay in their own order
    wanted = NAMED if unit == "yuan" or distance is None else max(distance, NAMED)
    return tuple((m.id, m.name or m.id, why_words(m.why)) for m in found[:wanted])


def needs_words(needs: Sequence[Need], limit: int, *, by_id: bool) -> str:
    """`CNC-07 七号车床（没有数控运行数据）；…` of the first few. by_id: people know them by number."""
    shown = [
        f"{_called(need, by_id=by_id)}（{need[2]}）" if need[2] else _called(need, by_id=by_id)
        for need in needs[:limit]
    ]
    return "；".join(shown) + ("；……（--why 看全部）" if len(needs) > limit else "")


def _called(need: Need, *, by_id: bool) -> str:
    return called(need[0], need[1]) if by_id and need[0] else need[1]


def _nearness(member: Member) -> int:
    if member.value:
        return 0
    if member.why in FAR or dict(member.facts).get("configured") == 0:
        return 3
    return 1 if member.upper else 2
