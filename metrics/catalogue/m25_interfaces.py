"""系统互通 (M25) = interfaces with a successful exchange on 95 % of the working days of three months / interfaces.

Members, denominator = declared: the interfaces of the register of T (pairs such as ERP-MES, MES-SCADA), each over the whole window
however young it is. Working day: a day with a minute of a shift that no closure or exclusion of the whole plant, entered in time,
takes away (metrics/office/working_days.py). A day succeeds with a row of ok > 0.
Numerator: lower = days without a row count as failed; value = they are left out, and there is a day with a row; upper = they count
as succeeded. Exclusions: those that close the plant. Undetermined: no register, no interface.
Source: GS25 第十一条 生产经营数据互通共享; TJ 第五条(二); catalogue §4.1 M25.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from config.plan import Interface
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.working_days import working_days
from metrics.result import Member, MetricResult, Pair

DAYS_PERCENT = 95
NO_INTERFACE = "台账没有系统接口 (no interface in the register)"


def interfaces_connected(inputs: Inputs) -> list[MetricResult]:
    """M25 系统互通 over the plant; members are interfaces."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M25", "plant", window, inputs)]
    days = working_days(inputs, window)
    rows = _rows(inputs, days)
    members = tuple(_member(i, len(days), *rows.get(i.id, (0, 0))) for i in inputs.register.interfaces)
    return [
        ratio_of_members(
            "M25",
            "plant",
            window,
            inputs,
            members,
            declared=len(members),
            exclusions=inputs.excuses_of(frozenset(d.id for d in inputs.register.devices), window),
            parameters=(("days_min_percent", DAYS_PERCENT), ("working_days", len(days))),
            notes=() if members else (NO_INTERFACE,),
        )
    ]


def _member(interface: Interface, working: int, good: int, known: int) -> Member:
    """good, known: working days with a success, with a row."""
    unknown = working - known
    lower = working > 0 and _often(good, working)
    value = known > 0 and _often(good, known)
    upper = _often(good + unknown, working)
    reasons = (
        ("ok", lower),
        ("no_working_day", working == 0),
        ("interface_silent", good == 0),
        ("interface_failed", not upper),
    )
    why = next((code for code, holds in reasons if holds), "interface_gaps")
    facts: tuple[Pair, ...] = (
        ("good_days", good),
        ("failed_days", known - good),
        ("days_without_row", unknown),
        ("domains", ",".join(interface.domains)),
    )
    return Member(interface.id, f"{interface.source}-{interface.target}", lower, value, upper, why, facts)


def _often(good: int, days: int) -> bool:
    return 100 * good >= DAYS_PERCENT * days


def _rows(inputs: Inputs, days: tuple[date, ...]) -> dict[str, tuple[int, int]]:
    """(days with a success, days with a row) of each interface, working days only."""
    if inputs.records is None:
        return {}
    found = (
        inputs.records.frame("exchanges")
        .filter(pl.col("day").is_in(pl.Series(days, dtype=pl.Date).implode()))
        .group_by("interface_id", "day")
        .agg(good=(pl.col("ok") > 0).any())
        .group_by("interface_id")
        .agg(pl.col("good").sum(), known=pl.len())
    )
    return {interface: (good, known) for interface, good, known in found.iter_rows()}
