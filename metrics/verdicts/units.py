"""数目的写法: distances and amounts as people write them: `3 台`, `120 万元`. Pages and commands share them.

In: integers and a unit of config/metric_names.py. Out: text; amounts are cut to whole yuan, never rounded up.
"""

from __future__ import annotations

from math import gcd

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
    """An amount that is no ratio: `8,000,000 元`, `8.91282 kgce`, `760763/75000 kgce（10.143…）`."""
    if denominator == 0:
        return "—"
    if unit == "CNY":
        return f"{numerator // denominator:,} 元"
    exact = decimal_words(numerator, denominator)
    thousandths = numerator * 1000 // denominator
    cut = f"（{thousandths // 1000}.{thousandths % 1000:03d}…）" if "/" in exact else ""
    return f"{exact} {unit}{cut}"


def decimal_words(numerator: int, denominator: int) -> str:
    """The quotient exactly: `4.5` of 45/10, `5` of 50/10; one that never ends stays the fraction it is, `1/3`."""
    parts, places = denominator // gcd(numerator, denominator), 0
    while (10**places) % parts and places < parts.bit_length():
        places += 1
    if (10**places) % parts:
        return f"{numerator}/{denominator}"
    whole, rest = divmod(numerator * 10**places // denominator, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)
