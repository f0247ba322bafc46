"""要求: what a criterion asks for, in words a plant reads: `≥ 70 %`, `财务报表（近 3 年）`, `近 36 个月无较大及以上事故`.

In: a criterion, its threshold of the day, the instrument. Out: text. Nothing is decided here; the law's own words are the quote.
"""

from __future__ import annotations

from config.documents import DOCUMENT_KINDS
from config.metric_names import TITLES
from config.record_kinds import KINDS
from config.ruleset import Criterion, DatedValue, DocumentNeed, EventBar, RuleSet
from metrics.catalogue.m23_equipment_classes import CLASSES
from metrics.verdicts.units import yuan_words

INDICATOR_ZH = {w[0]: w[1] for w in KINDS["effects"].column["indicator"].words}
SIGN = {">=": "≥", ">": ">", "==": "=", "<=": "≤", "<": "<"}
SIZE_ZH = {"micro": "微型", "small": "小型", "medium": "中型", "large": "大型"}
EVENT_ZH = {w[0]: w[1] for w in KINDS["incidents"].column["kind"].words}
REACH_ZH = {
    "province_mean": "省内平均水平",
    "province_lead": "省内领先水平",
    "national_lead": "国内领先水平",
    "global_lead": "全球领先水平",
    "industry_lead": "同行业领先水平",
}


def required_words(criterion: Criterion, value: DatedValue | None, rules: RuleSet) -> str:
    """The bar of a criterion."""
    if criterion.judged_by == "metric":
        return _measured(criterion, value)
    if criterion.judged_by == "document":
        named = " 或 ".join(need_words(need) for need in criterion.documents)
        return f"{named}，{bar_words(criterion, value)}" if value is not None else named
    if criterion.event is not None:
        return event_words(criterion.event)
    titles = {level.id: level.title for level in rules.levels}
    words = {
        "title": "已获" + " 或 ".join(titles.get(h, h) for h in criterion.holds),
        "benchmark": f"成效指标优于{REACH_ZH[criterion.benchmark or 'province_mean']}",
        "scene": "属于引用指引所列场景，且已投产",
        "reference": "满足引用文件的同级条款",
        "annex": "按附件要求（附件未见公开）",
    }
    return words.get(criterion.judged_by, "由评审人员判断")


def bar_words(criterion: Criterion, value: DatedValue | None) -> str:
    """`≥ 70 %`, `全部`, `≥ 1,000 万元`, `≥ 2 级`. A bar that is no whole percent is written as the fraction it is."""
    if value is None or criterion.op is None:
        return ""
    numerator, denominator = value.fraction
    sign = SIGN[criterion.op]
    if value.unit == "CNY":
        return f"{sign} {yuan_words(numerator // denominator)}"
    if value.unit == "level":
        return f"{sign} {numerator // denominator} 级"
    if numerator == denominator and criterion.op in ("==", ">="):
        return "全部"
    whole = numerator * 100 % denominator == 0
    return f"{sign} {numerator * 100 // denominator} %" if whole else f"{sign} {numerator}/{denominator}"


def need_words(need: DocumentNeed) -> str:
    """`财务报表（近 3 年）`."""
    words = DOCUMENT_KINDS.get(need.kind, need.kind)
    limits = [f"近 {need.years} 年"] if need.years > 1 else []
    if need.only_for:
        limits.append("限" + "、".join(SIZE_ZH[s] for s in need.only_for) + "企业")
    return f"{words}（{'，'.join(limits)}）" if limits else words


def event_words(bar: EventBar) -> str:
    """`近 36 个月无较大及以上事故、失信`."""
    accident = "受到处罚的事故" if bar.if_punished and not bar.severity else "事故"
    if bar.severity:
        accident = f"{bar.severity}及以上事故" + ("或受处罚的事故" if bar.if_punished else "")
    words = [accident if kind == "accident" else EVENT_ZH[kind] for kind in bar.kinds]
    return (f"近 {bar.months} 个月" if bar.months else "") + f"无{'、'.join(words)}"


def member_words(name: str) -> str:
    """A member as the rules name it: effects and classes of equipment by their code, the others as the article writes them."""
    return INDICATOR_ZH.get(name) or CLASSES.get(name, name)


def _measured(criterion: Criterion, value: DatedValue | None) -> str:
    metric = criterion.metric or ""
    words = f"{TITLES.get(metric, metric)} {bar_words(criterion, value)}".rstrip()
    if value is not None and value.months:
        words += f"，{value.months} 个月"
    place = "，每条代表产线" if criterion.scope == "line" else ""
    named = f"：{'、'.join(member_words(m) for m in criterion.members)}" if criterion.members else ""
    return words + place + named
