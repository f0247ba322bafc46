"""Words of a regulation read as numbers the way a lawyer reads them, and words without a number read as none."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import rule_words as read
from config.rule_text import chinese


@pytest.mark.parametrize(
    ("words", "bar"),
    [
        ("70%以上", (">=", 70, 100, "ratio")),  # 以上 includes the number
        ("80%及以上", (">=", 80, 100, "ratio")),
        ("不低于70%", (">=", 70, 100, "ratio")),
        ("≥20%", (">=", 20, 100, "ratio")),
        ("90%的数据", (">=", 90, 100, "ratio")),
        ("达到99.5%", (">=", 995, 1000, "ratio")),
        ("超过50%", (">", 50, 100, "ratio")),
        ("不超过5%", ("<=", 5, 100, "ratio")),
        ("3%以下", ("<=", 3, 100, "ratio")),
        ("低于3%", ("<", 3, 100, "ratio")),
        ("全部", ("==", 1, 1, "ratio")),
        ("每个批次", ("==", 1, 1, "ratio")),
        ("至少覆盖生产作业、生产管理、运营管理3个环节", ("==", 1, 1, "ratio")),
        ("二级及以上", (">=", 2, 1, "level")),
        ("不低于3级", (">=", 3, 1, "level")),
        ("达1000万元(不包含土建投资)以上", (">=", 10_000_000, 1, "CNY")),
        ("不低于2亿元", (">=", 200_000_000, 1, "CNY")),
    ],
)
def test_words_set_a_bar(words: str, bar: tuple[str, int, int, str]) -> None:
    assert read.bar(words) == read.Bar(*bar)


@pytest.mark.parametrize(
    "words", ["", "明显成效", "基本实现", "≥3个月", "规模以上", "较大及以上", "至少覆盖生产作业、生产管理2环节、"]
)
def test_words_without_a_number_set_none(words: str) -> None:
    assert read.bar(words) is None


def test_count_of_stages_that_does_not_fit_their_names_is_no_reading() -> None:
    assert read.stages("覆盖生产作业、生产管理3个环节") == ()
    assert read.stages("覆盖生产作业、生产管理2个环节") == ("生产作业", "生产管理")


def test_times_of_procedures() -> None:
    assert (read.years("有效期三年"), read.years("至少2年内"), read.years("十二年")) == (3, 2, 12)
    assert read.years("有效期至2028年12月31日") is None
    assert read.years("近三年") is None
    assert (read.months("有效期结束前3个月"), read.months("近三年"), read.months("六个月")) == (3, 36, 6)
    assert (read.count("不得超过2个"), read.count("不得超过两个"), read.count("3个月")) == (2, 2, None)
    assert read.month_of_year("每年3月初") == 3
    assert read.days("自2022年4月30日起,至2025年12月31日") == [date(2022, 4, 30), date(2025, 12, 31)]
    assert read.days("2025年2月30日") == []
    assert read.money_wan("最高30万元、100万元、300万元") == [30, 100, 300]


def test_severity_is_read_with_its_bracket_and_not_from_a_major_change() -> None:
    assert read.severity("未发生重大(含)以上安全") == "重大"
    assert read.severity("无特别重大及以上事故") == "特别重大"
    assert read.severity("企业发生重大调整或事故的…发生重大安全、环保事故") == "重大"
    assert read.severity("企业发生重大调整") is None


@given(st.integers(1, 99))
def test_any_percentage_reads_as_itself_in_digits_and_levels_in_numerals(number: int) -> None:
    assert read.bar(f"{number}%以上") == read.Bar(">=", number, 100, "ratio")
    assert read.number(chinese(number)) == read.number(str(number)) == number


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(1, 20))
def test_term_of_years_ends_on_the_day_before_its_anniversary(first: date, years: int) -> None:
    last = read.anniversary(first, years)
    following = date.fromordinal(last.toordinal() + 1)
    assert following.year == first.year + years
    same = (following.month, following.day) == (first.month, first.day)
    assert same or ((first.month, first.day), (following.month, following.day)) == ((2, 29), (3, 1))
