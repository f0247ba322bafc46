"""M16 企业资源管理领域覆盖 = domains whose business runs in systems week by week / domains of enterprise resource planning.

Members and denominator: the eight domains of GS25 第十二条(三)4 and any other that transactions of the window name, or systems and
no life-cycle list (M17); criteria choose theirs by name. A domain is live when in at least 80/100 of the working weeks of three months
(metrics/office/working_days.py) it has a day with a transaction. Numerator: lower = live, and a system of the register that serves it has
been live since the window's first day; value = live; upper = weeks in which no domain has any row (export missing) counted for it.
Declared: domains that a system of the register serves. Undetermined: no register, no transactions, no working week.
Source: GS25 第十二条(三)4 采购、库存、销售、财务、人力资源、生产计划、产品质量、设备资产; catalogue §4.1 M16.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import polars as pl

from config.plan import System
from metrics.catalogue.m17_life_cycle_domains import LIFE_CYCLE
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.papers import missing_rows
from metrics.office.working_days import working_weeks
from metrics.result import Member, MetricResult, Pair
from metrics.window import local_day

DOMAINS = tuple("采购 库存 销售 财务 人力资源 生产计划 产品质量 设备资产".split())
WEEKS_PERCENT = 80


def resource_domains(inputs: Inputs) -> list[MetricResult]:
    """M16 企业资源管理领域覆盖; members are domains by name."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M16", "plant", window, inputs)]
    systems = inputs.register.systems
    weeks = working_weeks(inputs, window)
    reported, live = _weeks(inputs, weeks)
    named = {*live, *(d for s in systems for d in s.domains if d not in LIFE_CYCLE)}
    names = (*DOMAINS, *sorted(named - set(DOMAINS)))
    since = local_day(window.start_us, inputs.tz)
    unknown = len(weeks) - len(reported)
    members = tuple(_member(n, live.get(n, set()), unknown, len(weeks), _serving(systems, n, since)) for n in names)
    return [
        ratio_of_members(
            "M16",
            "plant",
            window,
            inputs,
            members,
            declared=sum(any(n in s.domains for s in systems) for n in names),
            parameters=(
                ("weeks_min_percent", WEEKS_PERCENT),
                ("working_weeks", len(weeks)),
                ("weeks_without_rows", unknown),
                ("named_domains", len(DOMAINS)),
            ),
            notes=() if reported else (missing_rows("transactions"),),
            status="ok" if reported else "insufficient_data",
        )
    ]


def _weeks(inputs: Inputs, weeks: tuple[date, ...]) -> tuple[set[date], dict[str, set[date]]]:
    """Working weeks in which any row stands, and per domain those with a transaction."""
    if inputs.records is None:
        return set(), {}
    rows = (
        inputs.records.frame("transactions")
        .select("domain", pl.col("day").dt.truncate("1w").alias("monday"), "count")
        .filter(pl.col("monday").is_in(pl.Series(weeks, dtype=pl.Date).implode()))
    )
    live: dict[str, set[date]] = {}
    for domain, monday, count in rows.iter_rows():
        found = live.setdefault(domain, set())
        if count > 0:
            found.add(monday)
    return set(rows["monday"].to_list()), live


def _serving(systems: Iterable[System], domain: str, since: date) -> str:
    """The first system that serves the domain and was live on the window's first day; empty without one."""
    return next((s.id for s in systems if domain in s.domains and s.live_since and s.live_since <= since), "")


def _member(name: str, live: set[date], unknown: int, weeks: int, system: str) -> Member:
    value = weeks > 0 and 100 * len(live) >= WEEKS_PERCENT * weeks
    upper = 100 * (len(live) + unknown) >= WEEKS_PERCENT * weeks
    reasons = (("no_transactions", not live), ("too_few_weeks", not value), ("no_live_system", not system))
    why = next((code for code, holds in reasons if holds), "ok")
    facts: tuple[Pair, ...] = (("weeks_live", len(live)), ("working_weeks", weeks), ("system", system))
    return Member(name, name, why == "ok", value, upper, why, facts)
