"""M17 产品生命周期智能化率 = life-cycle domains with system, automatic exchange and decisions by rule or model / the six domains.

Members and denominator: the six of GS25 第十二条(四)4, always all six. *system*: one of the register that serves the domain and is live;
*exchange*: an interface of the register that serves it succeeded on at least 95/100 of the working days of three months (as M25);
*decision*: at least one change in that time by algorithm, with a reason, for the domain, not overridden by a person.
Numerator: lower = exchange, decision, and the system live since the window's first day; value = system live and exchange;
upper = system live, or in the register without a day. Declared: domains that a system serves on paper. Exclusions: none.
Undetermined: no register, or neither exchanges nor changes were handed in. Source: GS25 第十二条(四)4 60%以上; catalogue §4.1 M17.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from config.model import NOTHING_SAID
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.papers import last_day, missing_rows
from metrics.office.working_days import days_of_success, working_days
from metrics.result import Member, MetricResult, Pair
from metrics.window import local_day

LIFE_CYCLE = tuple("物料需求 计划排产 生产监控 产品销售 仓储物流 售后服务".split())
DAYS_PERCENT = 95


def life_cycle_domains(inputs: Inputs) -> list[MetricResult]:
    """M17 产品生命周期智能化率; members are the six domains by name."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M17", "plant", window, inputs)]
    seen = _Seen.read(inputs)
    missing = [missing_rows(k) for k, n in (("exchanges", seen.exchanges), ("changes", seen.changes)) if n == 0]
    return [
        ratio_of_members(
            "M17",
            "plant",
            window,
            inputs,
            tuple(_member(inputs, seen, name) for name in LIFE_CYCLE),
            declared=sum(any(name in s.domains for s in inputs.register.systems) for name in LIFE_CYCLE),
            parameters=(("days_min_percent", DAYS_PERCENT), ("working_days", seen.days)),
            notes=tuple(missing),
            status="insufficient_data" if len(missing) == 2 else "ok",
        )
    ]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the records of the window say. decided: decisions that count per domain; exchanges, changes: rows of any kind."""

    days: int
    success: dict[str, int]
    decided: dict[str, int]
    exchanges: int
    changes: int

    @staticmethod
    def read(inputs: Inputs) -> _Seen:
        window = inputs.three_months
        days = working_days(inputs, window)
        if inputs.records is None:
            return _Seen(len(days), {}, {}, 0, 0)
        first, last = local_day(window.start_us, inputs.tz), last_day(inputs)
        exchanges = inputs.records.frame("exchanges").filter(pl.col("day").is_between(first, last))
        changes = inputs.records.frame("changes").filter(
            pl.col("at").is_between(window.start_us, window.end_us, closed="left")
        )
        why = pl.col("reason").str.strip_chars().str.to_lowercase()
        counted = changes.filter(
            (pl.col("actor") == "algorithm") & ~why.is_in(["", *NOTHING_SAID]) & ~pl.col("overridden").fill_null(False)
        )
        decided = counted.group_by("domain").len()
        numbers = dict(zip(decided["domain"].to_list(), decided["len"].to_list(), strict=True))
        return _Seen(len(days), days_of_success(inputs, days), numbers, exchanges.height, changes.height)


def _member(inputs: Inputs, seen: _Seen, name: str) -> Member:
    first, last = local_day(inputs.three_months.start_us, inputs.tz), last_day(inputs)
    serving = [s for s in inputs.register.systems if name in s.domains]
    live = [s for s in serving if s.live_since is not None and s.live_since <= last]
    settled = any(s.live_since is not None and s.live_since <= first for s in live)
    days = max((seen.success.get(i.id, 0) for i in inputs.register.interfaces if name in i.domains), default=0)
    exchange = seen.days > 0 and 100 * days >= DAYS_PERCENT * seen.days
    decisions = seen.decided.get(name, 0)
    reasons = (
        ("no_system", not serving),
        ("system_not_live", not live),
        ("no_exchange", not exchange),
        ("no_decision", decisions == 0),
        ("system_new", not settled),
    )
    why = next((code for code, holds in reasons if holds), "ok")
    facts: tuple[Pair, ...] = (
        ("systems", ",".join(s.id for s in serving)),
        ("exchange_days", days),
        ("working_days", seen.days),
        ("decisions", decisions),
    )
    value = bool(live) and exchange
    upper = value or bool(live) or any(s.live_since is None for s in serving)
    return Member(name, name, why == "ok", value, upper, why, facts)
