"""The rule set in force, as the pages need it: from `config/rules/` and the instrument that the report names.

In: a `Snapshot`. Out: `RuleBook`: the clauses in force on the report's day, one per level they belong to.
A rule set that cannot be read, or is not in force, is a problem to show, never an empty list of demands.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import lru_cache

from config.errors import ConfigError
from config.ruleset import Criterion, Period, RuleSet, load_ruleset
from evidence_api.web.clauses import Clause, RuleBook
from evidence_api.web.ratios import METRIC_ZH
from evidence_api.web.sources import Snapshot

NO_RULES = RuleBook("", "", "", "", ())


def clauses_in_force(at: Snapshot) -> RuleBook:
    """The clauses of the report's instrument on the report's day; none before the first report."""
    if at.report.body is None:
        return NO_RULES
    instrument = at.report.body["instrument"]
    try:
        rules = _load(instrument["id"])
    except ConfigError as err:
        return RuleBook(instrument["id"], "", "", "", (), f"规则 {instrument['id']} 无法使用: {err.problems[0]}")
    book = rule_book(rules, date.fromisoformat(at.report.body["day"]))
    if rules.sha256 != instrument["sha256"]:
        return replace(book, problem=f"数字所依据的规则文件与本程序的 {rules.id} 不同，条文以数字所附的为准")
    return book


def rule_book(rules: RuleSet, day: date) -> RuleBook:
    """The clauses that hold on a day, in the file's order, once per level."""
    levels = {level.id: level.title for level in rules.levels}
    clauses = tuple(_clause(c, level, levels[level], day) for level in levels for c in rules.criteria_on(day, level))
    problem = "" if clauses else f"{rules.title} 在 {day} 不在施行期内，不作判定"
    return RuleBook(rules.id, rules.title, rules.doc_no, _period(rules.in_force), clauses, problem)


@lru_cache(maxsize=4)
def _load(instrument: str) -> RuleSet:
    """Shipped with the program: it changes with the program only."""
    return load_ruleset(instrument, METRIC_ZH)


def _clause(criterion: Criterion, level: str, level_zh: str, day: date) -> Clause:
    value = criterion.value_on(day)
    return Clause(
        id=criterion.id,
        level=level,
        level_zh=level_zh,
        article=criterion.article,
        name=criterion.title,
        quote=criterion.quote,
        judged_by=criterion.judged_by,
        metric=criterion.metric or "",
        scope_kind=criterion.scope or "",
        threshold=value.fraction if value else None,
        threshold_words=_bar(criterion, *value.fraction) if value else "",
    )


def _bar(criterion: Criterion, numerator: int, denominator: int) -> str:
    """`≥ 70 %`, `全部`: the bar as a person reads it. A bar that is no whole percent is written as the fraction it is."""
    if numerator == denominator:
        return "全部"
    sign = "≥" if criterion.op == ">=" else "="
    whole = numerator * 100 % denominator == 0
    return f"{sign} {numerator * 100 // denominator} %" if whole else f"{sign} {numerator}/{denominator}"


def _period(period: Period) -> str:
    return f"{period.first} 起施行" + (f"，至 {period.last}" if period.last else "")
