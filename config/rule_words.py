"""读数: what the words of an instrument say in numbers, so that a threshold can be compared with the sentence it came from.

In: `as_written` and `quote` of a rules file. Out: `Bar` (comparison, fraction, unit), months, years, counts, money, days, names.
以上 includes the number (民法典 第一千二百五十九条), so every 以上 reads `>=`. Words that say no number give none, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from config.rule_text import chinese

_NUMBER = r"(?:\d+|[一二两三四五六七八九十]{1,3})"
_CHINESE = {chinese(n): n for n in range(1, 100)} | {"两": 2}
_PERCENT = r"(\d+(?:\.\d{1,3})?)%"
# comparison -> words around a percentage, the first that fits; 以上 and 以下 include the number
_COMPARED: tuple[tuple[str, str], ...] = (
    (">=", rf"不[低少小]于{_PERCENT}"),
    ("<=", rf"(?:不[高多大]于|不超过|≤){_PERCENT}|{_PERCENT}(?:\(含\))?以下"),
    (">=", rf"{_PERCENT}(?:及|\(含\))?以上|(?:≥|达到|达){_PERCENT}|^{_PERCENT}的"),
    (">", rf"(?:超过|[高大]于|>){_PERCENT}"),
    ("<", rf"(?:[低小少]于|<){_PERCENT}"),
)
_DATE = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日")
STAGES = ("工厂建设", "研发设计", "生产作业", "生产管理", "运营管理")
# how the instruments name members that the program calls by an id; the article's words on the right
CLASS_WORDS = {
    "nc_robot": "高档数控机床与工业机器人",
    "sensing_control": "智能传感与控制设备",
    "inspection_assembly": "智能检测与装配装备",
    "logistics_storage": "智能物流与仓储装备",
}
EFFECT_WORDS: dict[str, tuple[str, ...]] = {
    "operating_cost": ("降低运营成本", "成本降低"),
    "development_time": ("缩短产品研制周期",),
    "production_efficiency": ("提高生产效率", "效率提升"),
    "defect_rate": ("降低不良品率", "降低产品不良品率", "降低产品不良率"),
    "energy_use": ("提高能源资源利用率", "提高能源利用率"),
    "labour_productivity": ("提高劳动生产率",),
    "maintenance_cost": ("降低运维成本",),
}
BENCHMARK_WORDS: dict[str, str] = {
    "province_mean": r"(省内平均|省(\(区、市\))?同行业平均)",
    "province_lead": r"省(\(区、市\))?同行业领先",
    "national_lead": r"国内同行业领先",
    "global_lead": r"全球领先",
    "industry_lead": r"同行业中处于领先",
}
TRIGGER_WORDS: dict[str, str] = {
    "accident": "事故",
    "changed_conditions": "条件发生变化",
    "dishonesty": "失信",
    "evaluation_failed": "评估不合格",
    "false_material": "造假|虚假|弄虚作假",
    "inconsistent_with_site": "与现场审核存在严重不符",
    "no_reply": "未按要求回复",
    "not_operating": "丧失正常经营能力",
    "other_penalty": "部门处罚",
    "tax": "税",
    "terminated": "终止",
}
EVENT_WORDS: dict[str, str] = {
    "accident": "事故",
    "dishonesty": "失信|不良信用",
    "false_material": "虚假",
    "tax": "偷税漏税|偷漏税|违法",  # 偷税漏税等违规违法行为: GS25 第二十四条, SD25 第十六条(四), SD22 第六条(三)
    "violation": "违法",
    "other_penalty": "违法",  # 违法、违规行为受到相关部门处罚: SD25 第十六条(五)
}
LEVEL_WORDS = {
    "scene": "场景",
    "basic": "基础级",
    "advanced": "先进级",
    "excellent": "卓越级",
    "leading": "领航级",
    "workshop": "数字化车间",
    "factory_2022": "智能工厂",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar that words set: comparison, numerator / denominator, unit."""

    op: str
    numerator: int
    denominator: int
    unit: str


def bar(words: str) -> Bar | None:
    """70%以上 -> >= 70/100 · 全部, 每个批次, 覆盖…环节 -> == 1/1 · 二级及以上 -> >= 2 level · 达1000万元…以上 -> >= 10000000 CNY."""
    for op, pattern in _COMPARED:
        if found := re.search(pattern, words):
            whole, _, rest = next(filter(None, found.groups())).partition(".")
            return Bar(op, int(whole + rest), 100 * 10 ** len(rest), "ratio")
    if found := re.search(rf"({_NUMBER})级(?:及|\(含\))?以上|不低于({_NUMBER})级|达到({_NUMBER})级", words):
        return Bar(">=", number(next(filter(None, found.groups()))), 1, "level")
    if found := re.search(r"(?:(\d+)([万亿])元.*以上|(?:不[低少]于|≥)(\d+)([万亿])元)", words):
        digits, unit = (x for x in found.groups() if x is not None)
        return Bar(">=", int(digits) * {"万": 10_000, "亿": 100_000_000}[unit], 1, "CNY")
    if re.search(r"全部|每个批次", words) or stages(words):
        return Bar("==", 1, 1, "ratio")
    return None


def stages(words: str) -> tuple[str, ...]:
    """环节 that the words name: 覆盖全环节 -> all five · 覆盖生产作业、管理、运营环节 -> three."""
    if re.search(r"覆盖全(?:环节|部[5五]个环节)", words):
        return STAGES
    if "生产作业、管理、运营环节" in words:
        return ("生产作业", "生产管理", "运营管理")
    named = re.search(rf"(?:覆盖|围绕)((?:{'|'.join(STAGES)})(?:、(?:{'|'.join(STAGES)}))*)({_NUMBER}个)?环节", words)
    if named is None:
        return ()
    names = tuple(named[1].split("、"))
    return names if named[2] is None or number(named[2][:-1]) == len(names) else ()


def effects(words: str) -> tuple[str, ...]:
    """成效 indicators that the words name."""
    return tuple(name for name, said in EFFECT_WORDS.items() if any(x in words for x in said))


def months(words: str) -> int | None:
    """≥3个月 -> 3 · 近三年 -> 36."""
    if found := re.search(rf"({_NUMBER})个月", words):
        return number(found[1])
    found = re.search(rf"(?:近|过去)({_NUMBER})年", words)
    return number(found[1]) * 12 if found else None


def years(words: str) -> int | None:
    """3年, 三年, 至少2年 -> the number; years of a calendar date are none."""
    found = re.search(rf"(?<![\d近去])({_NUMBER})年(?!\d|度|初)", _DATE.sub("", words))
    return number(found[1]) if found else None


def count(words: str) -> int | None:
    """不得超过2个 -> 2; months are none."""
    found = re.search(rf"({_NUMBER})个(?!月)", words)
    return number(found[1]) if found else None


def month_of_year(words: str) -> int | None:
    """每年3月初 -> 3."""
    found = re.search(r"每年(\d{1,2})月", words)
    return int(found[1]) if found else None


def money_wan(words: str) -> list[int]:
    """30万元、100万元 -> [30, 100]."""
    return [int(x) for x in re.findall(r"(\d+)万元", words)]


def days(words: str) -> list[date]:
    """Calendar dates that the words write out, in order; one that does not exist is left out."""
    found: list[date] = []
    for year, month, day in _DATE.findall(words):
        try:
            found.append(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return found


def severity(words: str) -> str | None:
    """无较大及以上…事故 -> 较大 · 重大（含）以上 -> 重大 · 发生较大安全 -> 较大."""
    found = re.search(r"(特别重大|重大|较大|一般)(?:及以上|\(含\)以上)", words)
    found = found or re.search(r"发生(特别重大|重大|较大|一般)(?=安全|环保|质量)", words)
    return found[1] if found else None


def anniversary(first: date, years_count: int) -> date:
    """The last day of a term of whole years that begins on `first`."""
    year = first.year + years_count
    leap_day = (first.month, first.day) == (2, 29)
    end = date(year, 3, 1) if leap_day and not _leap(year) else first.replace(year=year)
    return date.fromordinal(end.toordinal() - 1)


def number(word: str) -> int:
    """`3`, 三, 十二 or 两."""
    return int(word) if word.isdigit() else _CHINESE[word]


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
