"""数目的写法: distances and amounts as people write them: `3 台`, `120 万元`. Pages and commands share them.

In: integers and a unit of config/metric_names.py. Out: text; amounts are cut to whole yuan, never rounded up.
"""

from __future__ import annotations

from config.metric_names import UNIT_ZH

WAN = 10_000
BY_NAME = ("document", "title", "effect", "stage", "domain", "class", "level")  # units of which nobody knows a number


def distance_words(distance: int | None, unit: str) -> str:
    """`3 台`, `120 万元`; nothing when the bar is reached or the distance unknown."""
    if not distance:
        return ""
    if unit == "yuan":
        return yuan_words(distance)
    return f"{distance} {UNIT_ZH.get(unit, unit)}".rstrip()


def yuan_words(yuan: int) -> str:
    """`1,000 万元` when it is whole, else `12,345 元`."""
    return f"{yuan // WAN:,} 万元" if yuan >= WAN and yuan % WAN == 0 else f"{yuan:,} 元"


def amount_words(numerator: int, denominator: int, unit: str) -> str:
    """An amount that is no ratio: `8,000,000 元`; others as the fraction they are."""
    if denominator == 0:
        return "—"
    return f"{numerator // denominator:,} 元" if unit == "CNY" else f"{numerator}/{denominator} {unit}"
