"""与行业水平比: the plant's own effect figures (M18, after) against an industry's, as somebody published it.

In: records of kinds `effects` (period after) and `benchmarks` of the criterion's reach: each indicator's newest year up to the day's.
Out: 仅申报 when every indicator that has a figure on both sides is better (equal suffices where the words say 以上), 差距 naming those
that are not, 数据不足 when there is nothing to compare. The published figure is a paper's, so nothing is ever met by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.ruleset import Criterion
from metrics.office.effect_periods import direction
from metrics.result import Verdict
from metrics.verdicts.evidence import Evidence, on_paper
from metrics.verdicts.required import INDICATOR_ZH, REACH_ZH
from metrics.verdicts.units import decimal_words

MILLION = 1_000_000  # decimals are in millionths


@dataclass(frozen=True, slots=True)
class Compared:
    """One indicator of one scope beside the industry's figure."""

    indicator: str
    scope: str
    better: bool
    words: str


def judge_benchmark(criterion: Criterion, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion that compares with an industry."""
    reach = criterion.benchmark or "province_mean"
    published = newest(evidence.rows("benchmarks"), reach, evidence.day.year)
    named = set(criterion.members)
    found = [
        c
        for c in compared(evidence, published, equal_suffices="以上" in criterion.quote)
        if not named or c.indicator in named or INDICATOR_ZH.get(c.indicator) in named
    ]
    if not found:
        missing = "没有行业水平的数据" if not published else "没有可与行业水平对照的成效数据"
        why = f"{missing}（记录 benchmarks：口径 {REACH_ZH[reach]}；记录 effects：改造后）"
        lacking = (str(reach), f"{REACH_ZH[reach]}的出处", why)
        return on_paper(
            criterion, "insufficient_data", why, required=required, distance=1, unit="document", needs=(lacking,)
        )
    worse = [c for c in found if not c.better]
    why = "；".join(c.words for c in found)
    if worse:
        needs = tuple((f"{c.indicator}:{c.scope}", INDICATOR_ZH.get(c.indicator, c.indicator), c.words) for c in worse)
        return on_paper(criterion, "short", why, required=required, distance=len(worse), unit="effect", needs=needs)
    return on_paper(criterion, "declared_only", f"{why}；行业数凭出处，本系统不核实", required=required)


def newest(rows: list[dict[str, Any]], reach: str, this_year: int) -> dict[str, dict[str, Any]]:
    """Indicator -> the row of its newest year at that reach; a year that has not begun was published by nobody."""
    fit = (r for r in rows if r["reach"] == reach and r["denominator"] > 0 and r["year"] <= this_year)
    mine = sorted(fit, key=lambda r: r["year"])
    return {row["indicator"]: row for row in mine}


def compared(evidence: Evidence, published: dict[str, dict[str, Any]], *, equal_suffices: bool) -> Iterator[Compared]:
    """Every own figure (after) that has an industry figure; a line without one of its own is not compared."""
    for row in evidence.rows("effects"):
        other = published.get(row["indicator"])
        sense = direction(row["indicator"], row["formula"])
        if row["period"] != "after" or other is None or not sense or row["denominator"] <= 0:
            continue
        if row["last_day"] >= evidence.day:
            continue
        ours, theirs = row["numerator"] * other["denominator"], other["numerator"] * row["denominator"]
        better = ours * sense > theirs * sense or (equal_suffices and ours == theirs)
        name = INDICATOR_ZH.get(row["indicator"], row["indicator"])
        place = "" if row["scope"] == "plant" else f"{row['scope']} "
        words = (
            f"{place}{name} {_figure(row)}，{other['year']} 年行业为 {_figure(other)}，{'优于' if better else '不优于'}"
        )
        yield Compared(row["indicator"], row["scope"], better, words)


def _figure(row: dict[str, Any]) -> str:
    """`4.5` of 45/10; what no decimal says exactly stays the fraction as it was handed in."""
    exact = decimal_words(row["numerator"], row["denominator"])
    return exact if "/" not in exact else f"{_plain(row['numerator'])}/{_plain(row['denominator'])}"


def _plain(millionths: int) -> str:
    whole, rest = divmod(millionths, MILLION)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
