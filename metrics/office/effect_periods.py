"""成效的两个时期: whether a figure after can be compared with one before, and whether it is better: integers only.

In: two rows of records `effects` (改造前, 改造后) of one indicator and scope. Out: a code of docs/metrics.md M18 and the improvement as
an integer fraction. Up: more is better; down: less is. energy_use (能源资源利用率) is up when its formula divides by energy and down when
it divides energy (单位产品综合能耗); a formula that does not show which is not judged. Months are calendar months, the stricter reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from math import gcd

from metrics.office.papers import Row
from metrics.result import Pair
from metrics.window import months_before

PERIOD_MONTHS = 3
UP = frozenset(
    "production_efficiency labour_productivity oee first_pass_yield on_time_delivery inventory_turns revenue_per_head".split()
)
DOWN = frozenset("operating_cost development_time defect_rate maintenance_cost".split())
ENERGY = re.compile(r"能耗|能源|标煤|标准煤|用电|电量|用气|用水|kgce|tce|kWh|千瓦时", re.IGNORECASE)
DIVIDED = re.compile(r"[÷/／]")
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class EffectPeriod:
    """One row. numerator, denominator: millionths. last: included."""

    first: date
    last: date
    numerator: int
    denominator: int
    formula: str
    source: str
    document: str

    @staticmethod
    def of(row: Row) -> EffectPeriod:
        """A row of the frame."""
        return EffectPeriod(
            row["first_day"],
            row["last_day"],
            row["numerator"],
            row["denominator"],
            row["formula"],
            row["data_source"],
            row["document"],
        )

    @property
    def fraction(self) -> str:
        """`184/1000`, as decimal text."""
        return f"{_decimal(self.numerator)}/{_decimal(self.denominator)}"

    @property
    def whole(self) -> bool:
        """At least three calendar months. A period that ends in the first or last year of the calendar is a slip of the pen."""
        if self.last.year in (date.min.year, date.max.year):
            return False
        return months_before(self.last + timedelta(days=1), PERIOD_MONTHS) >= self.first


def judged(indicator: str, before: EffectPeriod | None, after: EffectPeriod | None, day: date) -> tuple[str, bool]:
    """(code, whether it is unknown rather than missed); `ok`: improved. day: the last one that has ended."""
    if before is None or after is None:
        return ("no_before" if before is None else "no_after"), True
    reasons = (
        ("period_not_ended", max(before.last, after.last) > day, True),
        ("after_before_before", after.last < before.first, False),
        ("periods_overlap", after.first <= before.last, False),
        ("period_too_short", not (before.whole and after.whole), False),
        ("formula_differs", before.formula != after.formula, False),
        ("no_denominator", before.denominator <= 0 or after.denominator <= 0, True),
        ("before_zero", before.numerator <= 0, True),
        ("direction_unknown", direction(indicator, before.formula) == 0, True),
    )
    for code, holds, unknown in reasons:
        if holds:
            return code, unknown
    return ("ok" if _gain(indicator, before, after) > 0 else "not_improved"), False


def direction(indicator: str, formula: str) -> int:
    """1: more is better, -1: less is, 0: the formula does not say."""
    if indicator in UP or indicator in DOWN:
        return 1 if indicator in UP else -1
    above, *below = [ENERGY.search(part) is not None for part in DIVIDED.split(formula)]
    if len(below) != 1 or above == below[0]:
        return 0
    return -1 if above else 1


def between(indicator: str, before: EffectPeriod, after: EffectPeriod) -> list[Pair]:
    """Facts: the improvement as a reduced fraction and in per mille, cut downwards so that it never looks better than it is."""
    base = before.numerator * after.denominator
    comparable = before.formula == after.formula and direction(indicator, before.formula) != 0
    if base <= 0 or before.denominator <= 0 or not comparable:
        return []
    gain = _gain(indicator, before, after)
    common = gcd(gain, base)
    return [
        ("improvement", f"{gain // common}/{base // common}"),
        ("improvement_permille", gain * 1000 // base),
        ("same_months", int(months_of(before) == months_of(after))),
    ]


def months_of(period: EffectPeriod) -> frozenset[int]:
    """The months of the year that the period touches."""
    first, last = period.first, period.last
    count = (last.year - first.year) * 12 + last.month - first.month
    return frozenset((first.month - 1 + i) % 12 + 1 for i in range(count + 1))


def _gain(indicator: str, before: EffectPeriod, after: EffectPeriod) -> int:
    """Improvement times before.numerator x after.denominator: an integer of the same sign."""
    change = after.numerator * before.denominator - before.numerator * after.denominator
    return change * direction(indicator, before.formula)


def _decimal(millionths: int) -> str:
    whole, rest = divmod(millionths, MILLION)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
