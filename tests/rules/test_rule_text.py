"""The official texts are cut into articles whatever the copy does to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.rule_text import RULES, article_text, chinese, cut, official_text

SHARED = Path(__file__).parents[3] / "shared" / "regulations"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not here")
@pytest.mark.parametrize("name", ["CN-GS/GS25", "CN-SD/SD25", "CN-SD/SD22", "CN-TJ/TJ"])
def test_shipped_text_is_the_one_that_was_read(name: str) -> None:
    assert (RULES / f"{name}.txt").read_bytes() == (SHARED / f"{name.partition('/')[2]}.txt").read_bytes()


def test_item_of_a_paragraph_on_one_long_line() -> None:
    words = article_text("CN-GS/GS25", "第十二条(三)3")
    assert words.startswith("3.至少拥有1个软硬件投资达1000万元(不包含土建投资)以上")
    assert words.endswith("(关键工序数控化率)在60%以上。")


def test_reference_to_another_article_is_no_heading() -> None:
    assert article_text("CN-GS/GS25", "第二十二条").endswith("获评后奖励按照本《实施细则》第十九条执行。")
    assert article_text("CN-GS/GS25", "第十九条").startswith("第十九条 智能工厂评价奖励按照叠加累计")


def test_lines_broken_in_mid_sentence_are_joined() -> None:
    words = article_text("CN-SD/SD22", "第五条(四)")
    assert words.startswith("（四）申报的智能制造场景、数字化车间、智能工厂应已经建成并投入使用")
    assert "智能工厂满足《智能工厂关键要素》，在缩短产品研制周期" in words
    assert "\n" not in words


def test_paragraphs_of_an_article_stand_on_lines_of_their_own() -> None:
    lines = article_text("CN-SD/SD22", "第六条").splitlines()
    assert [line[:3] for line in lines[1:]] == ["（一）", "（二）", "（三）"]


def test_bookmark_of_a_word_processor_is_not_part_of_the_article() -> None:
    assert article_text("CN-TJ/TJ", "第十条").startswith("第十条  用好天津市制造业高质量发展政策")
    assert article_text("CN-TJ/TJ", "第九条(四)").endswith("由工业和信息化部组织评审认定。")


def test_chapter_heading_and_annexes_end_an_article() -> None:
    assert article_text("CN-TJ/TJ", "第四条").endswith("分阶段推进智能化升级。")  # 第2章 follows
    assert article_text("CN-SD/SD22", "第十六条") == "第十六条 本办法由省工业和信息化厅负责解释。"
    assert article_text("CN-GS/GS25", "第三十条").endswith("(https://www.c3mep.cn/home)开展。")


def test_brackets_of_a_reference_may_be_full_width() -> None:
    assert article_text("CN-GS/GS25", "第十二条（三）3") == article_text("CN-GS/GS25", "第十二条(三)3")


@pytest.mark.parametrize("article", ["第三十一条", "第十二条(五)", "第十二条(三)9", "6.1", ""])
def test_article_that_is_not_there_is_an_error(article: str) -> None:
    with pytest.raises(KeyError):
        article_text("CN-GS/GS25", article)


def test_instrument_without_a_copy_has_no_text() -> None:
    assert official_text("CN/ELEMENTS25") is None
    with pytest.raises(KeyError):
        article_text("CN/ELEMENTS25", "第一条")


def test_articles_are_counted_up_so_that_a_text_without_the_first_has_none() -> None:
    assert cut("第二条 甲。", "第二条") is None
    assert cut("第一条 甲。 第二条 乙。", "第二条") == "第二条 乙。"


def test_numerals() -> None:
    assert [chinese(n) for n in (1, 10, 12, 20, 30, 99)] == ["一", "十", "十二", "二十", "三十", "九十九"]
