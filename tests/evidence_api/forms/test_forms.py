"""申报附表: every number carries its source, what nobody entered is listed, and a factory's own template is filled like ours."""

from __future__ import annotations

import io
from typing import Any

import docx
import openpyxl
import pytest

from config.errors import ConfigError
from config.metric_names import TITLES
from config.rulebook import load_shelf
from evidence_api.forms.blank import SHEETS, blank_document, blank_workbook
from evidence_api.forms.fill_document import fill_document
from evidence_api.forms.fill_workbook import fill_workbook
from tests.evidence_api.forms.plant import content

PROVINCIAL = [
    (name, level.id)
    for name, rules in load_shelf(TITLES).items()
    if name.split("/")[0] != "CN"
    for level in rules.levels
]


def _workbook(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _read(book: openpyxl.Workbook) -> openpyxl.Workbook:
    """What somebody sees who opens the saved file."""
    out = io.BytesIO()
    book.save(out)
    return openpyxl.load_workbook(io.BytesIO(out.getvalue()))


def _words(raw: bytes) -> str:
    document = docx.Document(io.BytesIO(raw))
    cells = [c.text for t in document.tables for row in t.rows for c in row.cells]
    return "\n".join([*(p.text for p in document.paragraphs), *cells])


@pytest.mark.parametrize(("instrument", "level"), PROVINCIAL)
def test_every_instrument_and_level_has_both_forms_with_its_name_and_standing(instrument: str, level: str) -> None:
    filled = content(instrument, level)
    book, _ = fill_workbook(blank_workbook(), filled, "t")
    raw, _ = fill_document(blank_document(), filled, "t")
    name = filled.fields["instrument"].value
    read = _read(book)
    assert name in str(read["封面"]["B6"].value)
    assert str(name) in _words(raw)
    if instrument.startswith("CN-SD"):
        assert "征求意见稿" in str(name) or "失效" in str(name)
    assert read["条件对照"].max_row == 1 + len(filled.tables["criteria"])


def test_no_placeholder_is_left_and_every_sheet_is_there() -> None:
    book, missing = fill_workbook(blank_workbook(), content(), "t")
    read = _read(book)
    assert read.sheetnames == ["封面", *SHEETS]
    assert not [c.coordinate for sheet in read for row in sheet.iter_rows() for c in row if "{{" in str(c.value)]
    assert missing == ["法定代表人", "联系人", "联系电话"]


def test_each_number_says_where_it_comes_from() -> None:
    read = _read(fill_workbook(blank_workbook(), content(), "t")[0])
    rows = {row[0].value: row for row in read["指标"].iter_rows(min_row=2)}
    m05 = rows["M05 生产装备数控化率"]
    assert m05[4].value == "1/2"
    assert m05[4].comment is not None
    for words in ("M05", "line:L1", "台账第 1 版", "账本", "窗口 2026-11-01 至 2026-12-01"):
        assert words in m05[4].comment.text
    for name in ("指标", "设备清单", "联网设备", "数控设备"):
        for row in read[name].iter_rows(min_row=2):
            assert row[-1].comment is not None, name


def test_retired_machines_are_no_longer_listed_and_a_name_is_never_a_formula() -> None:
    sheet = _read(fill_workbook(blank_workbook(), content(), "t")[0])["设备清单"]
    names = [row[2].value for row in sheet.iter_rows(min_row=2)]
    assert names == ["'=数控车床", "普通车床"]


def test_the_three_numbers_of_a_criterion_are_the_reports() -> None:
    row = next(r for r in content().tables["criteria"] if r["title"].source == "GS25-12-3-3g")
    assert [row[k].value for k in ("declared", "seen", "proven")] == ["1/2", "1/2", "1/2"]
    assert "70" in str(row["required"].value)


def test_what_is_unknown_is_marked_and_listed() -> None:
    book, missing = fill_workbook(
        _workbook(["法人", "{{ 法定代表人 }}"], ["共 {{ M01_denominator }} 台，{{ 无 }}"]), content(), "t"
    )
    sheet = _read(book).active
    assert sheet is not None
    assert sheet["B1"].value == "【待填】"
    assert sheet["B1"].fill.fgColor.rgb == "00FFF2A8"
    assert missing == ["法定代表人", "无"]


def test_numbers_stay_numbers_in_a_cell_of_their_own_and_rows_below_a_table_move_down() -> None:
    book, _ = fill_workbook(
        _workbook(["{{ M01_denominator }}"], ["{{ devices.id }}", "{{devices.name}}"], ["合计 {{M01_denominator}}"]),
        content(),
        "t",
    )
    sheet = _read(book).active
    assert sheet is not None
    assert [[c.value for c in row][:1] for row in sheet.iter_rows()] == [[2], ["A"], ["B"], ["合计 2"]]


def test_an_empty_table_says_so() -> None:
    book, _ = fill_workbook(_workbook(["{{ stops.id }}", "{{ stops.reason }}"]), content(), "t")
    sheet = _read(book).active
    assert sheet is not None
    assert [c.value for c in sheet[1]] == ["（无）"]


def test_the_word_form_lists_what_is_to_be_filled_in_and_escapes_what_it_is_given() -> None:
    raw, missing = fill_document(blank_document(), content(), "t")
    words = _words(raw)
    assert "【待填：企业简介】" in words
    assert {"企业简介", "联系人", "后续计划"} <= set(missing)
    assert "陇原精密制造" in words
    assert "关键工序数控化率" in words


def _document(text: str) -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (b"no zip", "不是可用的 docx 模板"),
        (_document("{% for x in %}"), "模板有误"),
        (_document("{{ ''.__class__.__mro__ }}"), "模板有误"),
    ],
)
def test_a_broken_word_template_is_refused(template: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fill_document(template, content(), "GS25.docx")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["{{ devices.id }}", "{{ stops.id }}"]], "一行只能用一个表"),
        ([["{{ devices.colour }}"]], "没有列 'colour'"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_its_place(rows: list[list[Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        fill_workbook(_workbook(*rows), content(), "GS25.xlsx")
    assert "GS25.xlsx: Sheet!1" in str(caught.value)


def test_what_is_no_workbook_is_refused() -> None:
    with pytest.raises(ConfigError, match="不是可用的 xlsx 模板"):
        fill_workbook(b"no zip", content(), "GS25.xlsx")
