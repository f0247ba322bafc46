"""A province is one YAML file: an invented one, with an edition of its own of what it adopts, works without any Python."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.metric_names import TITLES
from config.rule_lint import lint
from config.rulebook import adopted, load_ruleset, load_shelf

TEXT = """某省智能工厂梯度培育办法
某工信〔2026〕7号 2026年5月1日
第一章 总则
第一条 为培育智能工厂，制定本办法。
第二条 申报单位应具备以下条件：
（一）近三年无重大及以上安全事故；
（二）设备联网率不低于85%，生产装备数控化率在75%以上；
（三）智能制造能力成熟度三级及以上；
（四）满足《某省要素条件》。
第三条 先进级智能工厂应先获评基础级智能工厂。
第四条 称号有效期为2年，应在有效期结束前6个月申请复核。
第五条 本办法自2026年6月1日起施行，有效期至2029年5月31日。
"""
PROVINCE = """format: plantproof-rules/2
id: CN-XX/TEST25
edition: 1
title: 某省智能工厂梯度培育办法
doc_no: 某工信〔2026〕7号
issuer: 某省工业和信息化厅
status: in_force
in_force: {from: 2026-06-01, until: 2029-05-31}
levels:
  - {id: basic, title: 基础级智能工厂}
  - {id: advanced, title: 先进级智能工厂}
adopts:
  - family: CN-XX/ELEMENTS
    how: named
    article: 第二条(四)
    as_written: 《某省要素条件》
    editions:
      - {from: 2026-06-01, until: 2026-12-31, instrument: CN-XX/ELEMENTS26}
      - {from: 2027-01-01, until: null, instrument: CN-XX/ELEMENTS27}
criteria:
  - id: TEST25-2-1
    title: 无重大及以上事故
    levels: [basic, advanced]
    article: 第二条(一)
    quote: 近三年无重大及以上安全事故
    gate: hard
    judged_by: event
    event: {kinds: [accident], severity: 重大, months: 36}
  - id: TEST25-2-2a
    title: 设备联网率
    levels: [basic, advanced]
    article: 第二条(二)
    quote: 设备联网率不低于85%
    gate: hard
    judged_by: metric
    metric: M01
    scope: plant
    op: ">="
    values: [{from: 2026-06-01, until: null, threshold: 85/100, threshold_by: instrument, as_written: 不低于85%}]
  - id: TEST25-2-2b
    title: 生产装备数控化率
    levels: [advanced]
    article: 第二条(二)
    quote: 生产装备数控化率在75%以上
    gate: hard
    judged_by: metric
    metric: M05
    scope: line
    op: ">="
    values: [{from: 2026-06-01, until: null, threshold: 75/100, threshold_by: instrument, as_written: 75%以上}]
  - id: TEST25-2-3
    title: 成熟度
    levels: [advanced]
    article: 第二条(三)
    quote: 智能制造能力成熟度三级及以上
    gate: hard
    judged_by: document
    documents: [{kind: maturity}]
    op: ">="
    values: [{from: 2026-06-01, until: null, threshold: 3/1, unit: level, threshold_by: instrument, as_written: 三级及以上}]
  - id: TEST25-2-4
    title: 要素条件
    levels: [basic, advanced]
    article: 第二条(四)
    quote: 满足《某省要素条件》
    gate: hard
    judged_by: reference
    adopts: CN-XX/ELEMENTS
  - id: TEST25-3
    title: 先有基础级
    levels: [advanced]
    article: 第三条
    quote: 先进级智能工厂应先获评基础级智能工厂
    gate: hard
    judged_by: title
    holds: [basic]
procedures:
  - id: P-TEST25-4a
    kind: validity
    title: 有效期
    article: 第四条
    quote: 称号有效期为2年
    values: [{from: 2026-06-01, until: null, as_written: 有效期为2年, years: 2}]
  - id: P-TEST25-4b
    kind: renewal
    title: 复核
    article: 第四条
    quote: 应在有效期结束前6个月申请复核
    values: [{from: 2026-06-01, until: null, as_written: 有效期结束前6个月, months: 6}]
"""
ELEMENTS = """format: plantproof-rules/2
id: CN-XX/ELEMENTS{edition}
family: CN-XX/ELEMENTS
edition: 20{edition}
title: 某省要素条件（20{edition}年版）
issuer: 某省工业和信息化厅
grade: C
status: in_force
in_force: {{from: 20{edition}-01-01, until: null}}
levels: [{{id: basic, title: 基础级}}]
criteria:
  - id: XX-ELEMENTS{edition}-1
    title: AI 场景比例
    levels: [basic]
    article: 建设成效
    quote: AI场景比例≥{percent}%
    grade: C
    gate: hard
    judged_by: metric
    metric: M19
    scope: plant
    op: ">="
    values: [{{from: 20{edition}-01-01, until: null, threshold: {percent}/100, threshold_by: instrument, as_written: ≥{percent}%}}]
"""


@pytest.fixture
def province(tmp_path: Path) -> Path:
    """A rules folder of the factory's own; the file that somebody wrote for CN-XX."""
    folder = tmp_path / "rules" / "CN-XX"
    folder.mkdir(parents=True)
    (folder / "TEST25.yaml").write_text(PROVINCE, encoding="utf-8")
    for edition, percent in (("26", "10"), ("27", "30")):
        (folder / f"ELEMENTS{edition}.yaml").write_text(
            ELEMENTS.format(edition=edition, percent=percent), encoding="utf-8"
        )
    return folder / "TEST25.yaml"


def test_one_file_is_a_province(province: Path) -> None:
    rules = load_ruleset(str(province), TITLES)
    assert lint(rules, TEXT) == []
    assert [c.id for c in rules.criteria_on(date(2026, 7, 1), "basic")] == ["TEST25-2-1", "TEST25-2-2a", "TEST25-2-4"]
    assert rules.criteria_on(date(2026, 5, 31)) == ()
    assert rules.name_on(date(2029, 6, 1)) == "某省智能工厂梯度培育办法（已于 2029-05-31 失效）"
    assert {p.id: (p.values[0].years, p.values[0].months) for p in rules.procedures} == {
        "P-TEST25-4a": (2, None),
        "P-TEST25-4b": (None, 6),
    }


def test_newer_edition_of_what_it_adopts_is_one_more_file_and_one_more_entry(province: Path) -> None:
    shelf = load_shelf(TITLES, str(province))
    rules = shelf["CN-XX/TEST25"]
    found = {
        day: edition.criteria[0].values[0].fraction
        if (edition := adopted(rules, "CN-XX/ELEMENTS", day, shelf))
        else None
        for day in (date(2026, 12, 31), date(2027, 1, 1))
    }
    assert found == {date(2026, 12, 31): (10, 100), date(2027, 1, 1): (30, 100)}


def test_latest_edition_is_the_newest_that_binds_on_the_day(province: Path) -> None:
    start, end = PROVINCE.index("    how: named"), PROVINCE.index("criteria:")
    latest = "    how: latest\n    article: 第二条(四)\n    as_written: 《某省要素条件》\n"
    province.write_text(PROVINCE[:start] + latest + PROVINCE[end:], encoding="utf-8")
    shelf = load_shelf(TITLES, str(province))
    found = [
        adopted(shelf["CN-XX/TEST25"], "CN-XX/ELEMENTS", day, shelf) for day in (date(2026, 12, 31), date(2027, 1, 1))
    ]
    assert [edition and edition.id for edition in found] == ["CN-XX/ELEMENTS26", "CN-XX/ELEMENTS27"]


def test_annual_notice_that_nobody_entered_gives_no_edition(province: Path) -> None:
    start, end = PROVINCE.index("    how: named"), PROVINCE.index("criteria:")
    notice = (
        "    how: annual_notice\n    article: 第二条(四)\n    as_written: 《某省要素条件》\n    editions:\n"
        "      - {from: 2026-06-01, until: 2026-12-31, instrument: CN-XX/ELEMENTS26}\n"
    )
    province.write_text(PROVINCE[:start] + notice + PROVINCE[end:], encoding="utf-8")
    shelf = load_shelf(TITLES, str(province))
    rules = shelf["CN-XX/TEST25"]
    assert adopted(rules, "CN-XX/ELEMENTS", date(2027, 1, 1), shelf) is None


def test_adopted_family_that_no_file_defines_is_refused(province: Path) -> None:
    (province.parent / "ELEMENTS26.yaml").unlink()
    with pytest.raises(
        ConfigError, match=r"adopts\[CN-XX/ELEMENTS\].editions\[0\].instrument: 没有属于 CN-XX/ELEMENTS 的"
    ):
        load_shelf(TITLES, str(province))
    (province.parent / "ELEMENTS27.yaml").unlink()
    with pytest.raises(ConfigError, match=r"adopts\[CN-XX/ELEMENTS\]: 没有文件定义这一类引用文件"):
        load_shelf(TITLES, str(province))


def test_factory_file_with_the_id_of_a_shipped_one_is_refused(province: Path) -> None:
    province.write_text(PROVINCE.replace("id: CN-XX/TEST25", "id: CN-GS/GS25"), encoding="utf-8")
    with pytest.raises(ConfigError, match="编号 CN-GS/GS25 已有另一份文件使用"):
        load_shelf(TITLES, str(province))


def test_file_whose_id_is_not_its_place_is_refused(province: Path) -> None:
    province.rename(province.with_name("TEST26.yaml"))
    with pytest.raises(ConfigError, match=r"编号应与文件夹和文件名相同 .expected CN-XX/TEST26., found CN-XX/TEST25"):
        load_shelf(TITLES, str(province.with_name("TEST26.yaml")))
