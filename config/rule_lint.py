"""规则校对: checks a rules file against the words of its instrument, so that no number stands in the data that does not stand in law.

In: a `RuleSet` (already sound in itself: config/ruleset.py, config/rulebook.py) and the official text, or None where no copy is at hand.
Out: every `Problem` at once; the tests run it over all shipped files. What is checked, in this order:
  1 words      each quote, adoption and route occurs in the article it names (white space apart; … leaves words out, in order)
  2 bars       `as_written` reads as the threshold when threshold_by is instrument; when it is definition, or nobody compares anything,
               the whole quote reads as none
  3 members    the names that count are those that the words name, all of them
  4 others     events, look-back, severity, document years, held levels, benchmarks stand in the quote
  5 procedures years, months, counts, money, days, triggers and manner (原则上, 视情况, 至少 …) stand in the words, none left out
  6 instrument title, number, first and last day stand in the text; every level has criteria
Without a text the words are somebody's transcript: then no grade may be S, and 1 and 6 are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from config import rule_words as read
from config.errors import Problem
from config.procedures import Procedure, ProcedureValue
from config.rule_text import bare, cut
from config.ruleset import Criterion, DatedValue, RuleSet

# field of a procedure -> (its value, the words that must and must only then be there)
_MANNERS: tuple[tuple[str, object, str], ...] = (
    ("in_principle", True, "原则上"),
    ("discretionary", True, "视情况"),
    ("deducts_lower", True, "须扣除"),
    ("outside_total", True, "额外"),
    ("award_after", "none", "不再给予资金奖励"),
    ("award_after", "deducted", "奖励按照本《实施细则》第十九条"),
    ("again_from_lower", True, "再次申报时,须从.*下一级逐级申报"),
    ("on_fail", "downgrade_or_revoke", "降格或(直接)?取消"),
    ("on_fail", "rectify_then_revoke", "整改不合格的?取消"),
    ("period", "year", "每年|当年|年度评估"),
)
_REPEATING = ("cycle", "limit", "evaluation")


def lint(rules: RuleSet, text: str | None) -> list[Problem]:
    """What differs between the data and the words. `text`: the official text of the instrument."""
    found: list[Problem] = []
    for criterion in rules.criteria:
        where = f"criteria[{criterion.id}]"
        faults = [
            *_words(criterion.article, criterion.quote, text),
            *_grade(criterion.grade, text),
            *_criterion(criterion),
        ]
        found += [Problem(rules.id, where, fault) for fault in faults]
    for procedure in rules.procedures:
        where = f"procedures[{procedure.id}]"
        routes = [fault for route in procedure.routes.values() for fault in _words(procedure.article, route, text)]
        faults = [*_words(procedure.article, procedure.quote, text), *_grade(procedure.grade, text), *routes]
        found += [Problem(rules.id, where, fault) for fault in (*faults, *_procedure(procedure, rules))]
    for adoption in rules.adopts:
        faults = list(_words(adoption.article, adoption.as_written, text))
        found += [Problem(rules.id, f"adopts[{adoption.family}]", fault) for fault in faults]
    return found + [Problem(rules.id, where, fault) for where, fault in _instrument(rules, text)]


def lint_shelf(shelf: Mapping[str, RuleSet], texts: Mapping[str, str | None]) -> list[Problem]:
    """All instruments together: each by itself, and no id of a criterion or procedure given twice anywhere."""
    found = [problem for name, rules in shelf.items() for problem in lint(rules, texts.get(name))]
    seen: dict[str, str] = {}
    for name, rules in shelf.items():
        for entry in [c.id for c in rules.criteria] + [p.id for p in rules.procedures]:
            if seen.setdefault(entry, name) != name:
                found.append(Problem(name, entry, f"编号已用于 {seen[entry]} (id used by another file)"))
    return found


def _words(article: str, quote: str, text: str | None) -> Iterator[str]:
    if text is None:
        return
    whole = cut(text, article)
    if whole is None:
        yield f"原文没有 {article} (no such article in the text)"
        return
    position, place = 0, bare(whole)
    for part in map(bare, quote.split("…")):
        position = place.find(part, position)
        if position < 0:
            yield f"{article} 里没有这些字，或次序不同 (words not in the article, or not in this order): {part!r}"
            return
        position += len(part)


def _grade(grade: str, text: str | None) -> Iterator[str]:
    if text is None and grade == "S":
        yield "没有原文的引用不能是 S 级 (grade S needs the text at hand)"


def _criterion(c: Criterion) -> Iterator[str]:
    quote = bare(c.quote)
    for value in c.values:
        yield from _bar(c, value)
    if not c.values and c.judged_by in ("person", "annex", "document") and read.bar(quote) is not None:
        yield f"judged_by {c.judged_by}: 引文写有门槛 (the quote sets a bar that nothing compares)"
    yield from _members(c, quote)
    if c.event is not None:
        said = {name for name, words in read.EVENT_WORDS.items() if re.search(words, quote)}
        yield from _same("kinds", set(c.event.kinds), said)
        yield from _same("months", c.event.months, read.months(quote))
        yield from _same("severity", c.event.severity, read.severity(quote))
        yield from _same("if_punished", c.event.if_punished, "受到处罚" in quote)
    if c.documents:
        yield from _same("only_for", any(need.only_for for need in c.documents), "中小微企业" in quote)
    for need in c.documents:
        back = read.months(quote)
        yield from _same(f"documents[{need.kind}].years", need.years, back // 12 if back else 1)
    for level in c.holds:
        if not re.search(rf"(认定为|获评|达到){read.LEVEL_WORDS.get(level, level)}", quote):
            yield f"holds {level}: 引文没有这个梯次 (level not in the quote)"
    if c.benchmark is not None and not re.search(read.BENCHMARK_WORDS[c.benchmark], quote):
        yield f"benchmark {c.benchmark}: 引文不是这个口径 (the quote says another)"


def _bar(c: Criterion, value: DatedValue) -> Iterator[str]:
    words = bare(value.as_written)
    said = read.bar(words)
    yield from _same("months", value.months, read.months(words))
    if value.threshold_by == "definition":
        if read.bar(bare(c.quote)) is not None:
            yield f"{c.quote!r} 写有数，threshold_by 应为 instrument (the number stands in the words)"
        return
    if said is None:
        yield f"{value.as_written!r} 里读不出门槛，threshold_by 应为 definition (no threshold in these words)"
        return
    numerator, denominator = value.fraction
    same = numerator * said.denominator == said.numerator * denominator
    if not same or c.op != said.op or value.unit != said.unit:
        stated = f"{said.op} {said.numerator}/{said.denominator} {said.unit}"
        yield f"原文读作 (the words read) {stated}, found {c.op} {value.threshold} {value.unit}"


def _members(c: Criterion, quote: str) -> Iterator[str]:
    """Which members count must be what the words name: leaving one out lowers the bar, adding one raises it."""
    if c.metric == "M20":
        yield from _same("members", set(c.members), set(read.stages(quote)))
    elif c.metric == "M18" and c.benchmark is None:
        yield from _same("members", set(c.members), set(read.effects(quote)))
    elif c.metric in ("M16", "M17", "M23"):
        listed = "、".join(read.CLASS_WORDS.get(m, m) for m in c.members)
        if not re.search(rf"(?<!、){re.escape(listed)}(?!、)", quote) or not listed:
            yield f"members 应与引文所列相同 (expected the quote's list), found {listed}"


def _procedure(p: Procedure, rules: RuleSet) -> Iterator[str]:
    quote = bare(p.quote)
    for value in p.values:
        yield from _numbers(value, rules)
    if p.triggers:
        said = {name for name, words in read.TRIGGER_WORDS.items() if re.search(words, quote)}
        yield from _same("triggers", set(p.triggers), said)
        yield from _same("severity", p.severity, read.severity(quote) if "accident" in said else None)
    for field, expected, words in _MANNERS:
        stated = re.search(words, quote) is not None
        if (getattr(p, field) == expected) != stated and (field != "period" or p.kind in _REPEATING):
            yield f"{field} {expected}: 引文{'写有' if stated else '没有'} {words} (the quote {'says' if stated else 'does not say'} so)"
    if p.kind in ("validity", "limit"):
        named = {x.id for x in rules.levels if read.LEVEL_WORDS.get(x.id, x.title) in quote}
        yield from _same("levels", set(p.levels), named)
    for upper, lower in ((u, low) for u, needed in p.requires.items() for low in needed):
        places = [quote.find(read.LEVEL_WORDS.get(level, level)) for level in (lower, upper)]
        if -1 in places or places[0] > places[1]:
            yield f"requires {upper} <- {lower}: 引文的次序不是这样 (not the order of the quote)"
    if p.kind == "transition":
        before = re.search(r"(\d{4})年(\d{1,2})月之前", quote)
        yield from _same(
            "granted_before", p.granted_before, date(int(before[1]), int(before[2]), 1) if before else None
        )
    if p.internal_days is not None and any(v.months or v.years for v in p.values):
        yield "internal_days 只用于条文没有期限时 (only where the words give no time)"


def _numbers(value: ProcedureValue, rules: RuleSet) -> Iterator[str]:
    words = bare(value.as_written)
    money = [*value.caps_wan.values(), *filter(None, [value.total_cap_wan]), *value.level_total_cap_wan.values()]
    yield from _same("years", value.years, read.years(words))
    yield from _same("months", value.months, read.months(words))
    yield from _same("count", value.count, read.count(words))
    yield from _same("month", value.month, read.month_of_year(words))
    yield from _same("at_least", value.at_least, "至少" in words)
    yield from _same("caps_wan", money, read.money_wan(words))
    ends = read.days(words)[-1:]
    if not ends and value.last_day is not None and value.years is not None and rules.in_force.first is not None:
        ends = [read.anniversary(rules.in_force.first, value.years)]
    yield from _same("last_day", value.last_day, ends[0] if ends else None)
    if value.last_day is not None:
        yield from _same("last_day", value.last_day, rules.in_force.last)


def _instrument(rules: RuleSet, text: str | None) -> Iterator[tuple[str, str]]:
    for level in rules.levels:
        if not any(level.id in c.levels for c in rules.criteria):
            yield f"levels[{level.id}]", "这个梯次没有任何条件 (a level without criteria)"
    if text is None:
        if rules.grade == "S":
            yield "grade", "没有原文的办法不能是 S 级 (grade S needs the text at hand)"
        return
    whole = bare(text)
    if rules.status != "draft" and bare(rules.title) not in whole:
        yield "title", "原文没有这个名称 (title not in the text)"
    if rules.status == "draft" and "征求意见稿" not in whole:
        yield "status", "原文不是征求意见稿 (the text is no draft)"
    if rules.doc_no and bare(rules.doc_no) not in whole:
        yield "doc_no", "原文没有这个文号 (number not in the text)"
    yield from (("in_force", fault) for fault in _in_force(rules, whole))


def _in_force(rules: RuleSet, whole: str) -> Iterator[str]:
    first, last = rules.in_force.first, rules.in_force.last
    if first is None:
        return
    stated = re.search(r"自(\d{4}年\d{1,2}月\d{1,2}日)起", whole)
    if rules.effective_by == "stated":
        yield from _same("from", [first], read.days(stated[1]) if stated else [])
    elif rules.effective_by == "issue" and first not in read.days(whole[:2000]):
        yield f"from {first}: 原文没有这个印发日 (no such day of issue)"
    elif stated:
        yield f"effective_by: 原文写明了施行日 {stated[1]} (the text states the first day)"
    if until := re.search(r"有效期至(\d{4}年\d{1,2}月\d{1,2}日)", whole):
        yield from _same("until", [last], read.days(until[1]))
    elif term := re.search(r"起(?:实施|施行|执行),有效期(\d+)年", whole.replace("，", ",")):
        yield from _same("until", last, read.anniversary(first, int(term[1])))


def _same(what: str, found: object, said: object) -> Iterable[str]:
    """Nothing when both are equal, else one fault."""
    return () if found == said else (f"{what}: 原文读作 (the words read) {_shown(said)}, found {_shown(found)}",)


def _shown(value: object) -> str:
    return "、".join(sorted(value)) or "无" if isinstance(value, set) else str(value)
