"""申报附表: every number carries its source, what nobody entered is listed, and a factory's own template is filled like ours."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import Any

import docx
import openpyxl
import pytest
from openpyxl.styles import Alignment

from config.errors import ConfigError
from config.metric_names import TITLES
from config.rulebook import load_shelf
from evidence_api.forms.blank import SHEETS, blank_document, blank_workbook
from evidence_api.forms.content import Cell, Content
from evidence_api.forms.fill_document import fill_document
from evidence_api.forms.fill_workbook import fill_workbook
from evidence_api.forms.tables import content_of
from tests.evidence_api.forms.plant import basis, content

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
    assert names == ["=数控车床", "普通车床"]
    assert sheet["C2"].data_type == "s"


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


# --- templates as people make them, and names as people (or worse) write them


def _content(name: str = "甲", rows: int = 3) -> Content:
    table = [{"id": Cell(f"{name}{i}", "台账"), "count": Cell(i, "台账")} for i in range(rows)]
    return Content({"name": Cell(name, "创世"), "total": Cell(rows, "台账")}, {"devices": table, "stops": table})


def _filled(build: Any, content_: Content) -> Any:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    build(sheet)
    out = io.BytesIO()
    book.save(out)
    return _read(fill_workbook(out.getvalue(), content_, "t.xlsx")[0]).active


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")'])
@pytest.mark.parametrize("template", ["{{ name }}", "{{ name }}车间", " {{ name }}"])
def test_text_is_never_a_formula_wherever_it_stands(name: str, template: str) -> None:
    def build(sheet: Any) -> None:
        sheet["A1"] = template

    cell = _filled(build, _content(name))["A1"]
    assert cell.data_type == "s"
    assert cell.value.strip() == template.strip().replace("{{ name }}", name)
    assert cell.quotePrefix or not cell.value.startswith("=")


def test_a_formula_of_the_template_takes_numbers_and_refuses_text() -> None:
    assert _filled(lambda s: s.append(["={{ total }}*2"]), _content())["A1"].value == "=3*2"
    with pytest.raises(ConfigError, match="公式里只能用整数") as caught:
        _filled(lambda s: s.append(['="{{ name }}"']), _content('"&HYPERLINK("http://x")&"'))
    assert "t.xlsx: Sheet: A1" in str(caught.value)


def test_control_characters_and_very_long_texts_spoil_no_file() -> None:
    sheet = _filled(lambda s: s.append(["{{ name }}"]), _content("一\x0b号\x00线" + "很长" * 20_000))
    assert sheet["A1"].value.startswith("一号线")
    assert sheet["A1"].value.endswith("此处截断）")
    raw, _ = fill_document(_document("{{ name }}"), _content("一\x0b号线"), "t")
    assert "一号线" in _words(raw)


def test_what_stands_below_a_table_moves_with_all_that_belongs_to_it() -> None:
    def build(sheet: Any) -> None:
        sheet.append(["设备清单", None, None])
        sheet.append(["{{ devices.id }}", None, "{{ devices.count }}", "=C2*2"])
        sheet.append(["合计", None, "=SUM(C2:C2)", '="C2 "&C3'])
        sheet.append(["{{ stops.id }}", None, "{{ stops.count }}"])
        sheet.append(["签字：{{ name }}", None, None])
        for area in ("A1:C1", "A2:B2", "A5:C5"):
            sheet.merge_cells(area)
        sheet.row_dimensions[2].height, sheet.row_dimensions[5].height = 30, 60

    sheet = _filled(build, _content())
    assert [sheet.cell(r, 1).value for r in range(1, 10)] == [
        "设备清单", "甲0", "甲1", "甲2", "合计", "甲0", "甲1", "甲2", "签字：甲"
    ]  # fmt: skip
    assert {str(r) for r in sheet.merged_cells.ranges} == {"A1:C1", "A2:B2", "A3:B3", "A4:B4", "A9:C9"}
    assert [sheet.cell(r, 4).value for r in range(2, 6)] == ["=C2*2", "=C3*2", "=C4*2", '="C2 "&C5']
    assert sheet["C5"].value == "=SUM(C2:C4)"
    assert [sheet.row_dimensions[r].height for r in (2, 3, 4, 9)] == [30, 30, 30, 60]
    assert sheet["A4"].comment is not None


def test_an_empty_table_keeps_its_one_row() -> None:
    sheet = _filled(lambda s: s.append(["{{ devices.id }}", "{{ devices.count }}"]), _content(rows=0))
    assert [c.value for c in sheet[1]] == ["（无）"]


def test_a_template_with_pictures_is_refused_because_they_would_be_lost() -> None:
    out = io.BytesIO(blank_workbook())
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("xl/media/image1.png", b"png")
    with pytest.raises(ConfigError, match=r"图片或图形 xl/media/image1\.png"):
        fill_workbook(out.getvalue(), content(), "GS25.xlsx")


def test_a_word_template_keeps_its_pictures_and_reads_names_in_headers() -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "{{ name }} {{ 没有的 }}"
    out = io.BytesIO()
    document.save(out)
    raw, missing = fill_document(out.getvalue(), _content(), "t")
    assert docx.Document(io.BytesIO(raw)).sections[0].header.paragraphs[0].text == "甲 【待填：没有的】"
    assert missing == ["没有的"]


@pytest.mark.parametrize(
    "attack",
    [
        "{{ name.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ devices.append(1) }}",
        "{% for i in range(99999999) %}x{% endfor %}",
        "{% include 'x' %}",
    ],
)
def test_a_word_template_is_no_program(attack: str) -> None:
    with pytest.raises(ConfigError):
        fill_document(_document(attack), _content(), "t.docx")


def test_rows_are_high_enough_for_their_text() -> None:
    def build(sheet: Any) -> None:
        sheet.append(["{{ devices.id }}", "{{ devices.count }}"])
        sheet["A1"].alignment = Alignment(wrap_text=True)
        sheet.column_dimensions["A"].width = 11  # five Chinese characters

    sheet = _filled(build, _content("数控车床" * 5))
    assert [sheet.row_dimensions[r].height for r in (1, 2, 3)] == [75, 75, 75]  # 20 characters and a digit
    assert _filled(build, _content("短")).row_dimensions[1].height is None


def test_an_amount_of_money_is_written_in_yuan() -> None:
    rows = {str(r["metric"].value).split()[0]: r for r in content().tables["metrics"]}
    assert (rows["M21"]["seen"].value, rows["M21"]["percent"].value) == ("0.00 元", "—")
    assert rows["M21"]["upper"].value == "8,000,000.00 元"
    assert content().fields["M21_L1_seen"].value == "0.00 元"


def test_a_long_list_of_what_is_missing_says_how_long_it_is() -> None:
    needs = [[f"D{i}", f"{i} 号机", "未联网"] for i in range(20)]
    report = basis().report
    verdicts = [v | {"needs": needs} for v in report["verdicts"]]
    made = content_of(replace(basis(), report={**report, "verdicts": verdicts}))
    words = str(made.tables["criteria"][0]["needs"].value)
    assert words.endswith("；……共 20 项，全部见 plantproof check --why")
    assert words.count("未联网") == 8
