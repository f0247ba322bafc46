"""Bad workbooks and CSVs: each has its message with sheet and cell, and nothing of them is taken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.load import parse_register_file
from tests.config.workbooks import changed, parsed, with_part

BAD = Path(__file__).parents[1] / "bad/register"
CASES: list[dict[str, Any]] = yaml.safe_load((BAD / "workbooks.yaml").read_text(encoding="utf-8"))


def messages(path: Path, name: str) -> str:
    """Every problem of a file, its path replaced by a name."""
    found = parse_register_file(path)
    assert found.register is None
    return "\n".join(str(p) for p in found.problems).replace(str(path), name)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_a_wrong_workbook_is_refused_with_sheet_and_cell(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "台账.xlsx"
    found = parsed(path, case["cells"])
    assert found.register is None
    kept = BAD / "xlsx" / f"{case['name']}.txt"
    told = "\n".join(str(p) for p in found.problems).replace(str(path), "台账.xlsx")
    if os.environ.get("PLANTPROOF_WRITE_MESSAGES"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(told + "\n", encoding="utf-8")
    assert told == kept.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("path", sorted((BAD / "csv").glob("*.csv")), ids=lambda p: p.stem)
def test_a_wrong_csv_is_refused_with_its_cell(path: Path) -> None:
    kept = path.with_suffix(".txt")
    told = messages(path, path.name)
    if os.environ.get("PLANTPROOF_WRITE_MESSAGES"):
        kept.write_text(told + "\n", encoding="utf-8")
    assert told == kept.read_text(encoding="utf-8").strip()


def test_every_message_belongs_to_a_case() -> None:
    assert {p.stem for p in (BAD / "xlsx").glob("*.txt")} == {c["name"] for c in CASES}
    assert {p.stem for p in (BAD / "csv").glob("*.txt")} == {p.stem for p in (BAD / "csv").glob("*.csv")}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "有密码的工作簿或旧版 .xls"),
        (b"not a workbook", "应为 .xlsx 工作簿"),
        (b"PK\x03\x04 torn", "读不出来"),
        (b"", "应为 .xlsx 工作簿"),
    ],
)
def test_bytes_that_are_no_workbook_are_said_to_be_none(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "台账.xlsx"
    path.write_bytes(raw)
    assert message in messages(path, "台账.xlsx")


def test_a_cell_far_outside_of_the_table_is_refused_and_not_a_reason_to_take_all_memory(tmp_path: Path) -> None:
    path = changed(tmp_path / "台账.xlsx", {"设备!XFD1048576": "x"})
    assert "在很远的行或列有内容" in messages(path, "台账.xlsx")


@pytest.mark.parametrize(
    "cell",
    [
        "<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>",
        '<row r="1048576"><c r = "XFD1048576"><v>1</v></c></row>',
        '<row r="1048576"><c r="xfd1048576"><v>1</v></c></row>',
        '<row r="1048576"><c t="n"><v>1</v></c></row>',
        '<row r="99999"><c r="FZ99999"><v>1</v></c></row>',
    ],
)
def test_however_a_far_cell_is_written_it_is_a_message_and_not_the_end_of_the_process(
    tmp_path: Path, cell: str
) -> None:
    path = with_part(
        tmp_path / "台账.xlsx",
        "xl/worksheets/sheet1.xml",
        lambda xml: xml.replace("</sheetData>", f"{cell}</sheetData>"),
    )
    assert "在很远的行或列有内容" in messages(path, "台账.xlsx")


def test_formats_down_to_the_last_row_are_no_content(tmp_path: Path) -> None:
    cell = '<row r="1048576"><c r="A1048576" s="0"/></row>'
    path = with_part(
        tmp_path / "台账.xlsx",
        "xl/worksheets/sheet1.xml",
        lambda xml: xml.replace("</sheetData>", f"{cell}</sheetData>"),
    )
    assert parse_register_file(path).register is not None


def test_a_folder_without_csv_files_is_refused(tmp_path: Path) -> None:
    assert "应有 设备.csv" in messages(tmp_path, "folder")
