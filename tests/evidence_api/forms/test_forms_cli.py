"""`plantproof form` and `plantproof findings` from a data folder: both files or none, exit codes, what is simulated says so in its name."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path

import docx
import openpyxl
import pytest

from collector.clock import DrivenClock
from collector.folder import create_folder, open_folder
from collector.register_revisions import apply_register
from config.settings import PlantTable
from plantproof import run

REGISTER = """
format = "plantproof-register/1"
[[line]]
id = "L1"
name = "一线"
representative = true
[[device]]
id = "A"
name = "车床"
line = "L1"
nc = true
in_service_from = 2025-01-01
"""


def _folder(place: Path, origin: str = "live") -> str:
    clock = DrivenClock(int(datetime.fromisoformat("2026-10-20T09:00:00+08:00").timestamp()) * 1_000_000)
    made = create_folder(place / "data", PlantTable(name="某厂", credit_code="91620100MA0000000X"), origin, clock)
    (place / "register.toml").write_text(REGISTER, encoding="utf-8")
    apply_register(made, place / "register.toml", "首次登记", clock, "test")
    return str(made.path)


def _fill(data: str, out: Path, *more: str) -> int:
    moment = ["--at", "2026-11-01T00:00:00"]
    return run(["form", "fill", "--level", "basic", "--data", data, "--out", str(out), *moment, *more])


@pytest.mark.parametrize(("origin", "mark"), [("live", ""), ("simulated", "-DEMO")])
def test_both_forms_are_written_and_what_is_missing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], origin: str, mark: str
) -> None:
    assert _fill(_folder(tmp_path, origin), tmp_path / "out") == 3
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"GS25-basic{mark}-申报书.docx", f"GS25-basic{mark}-附表.xlsx"]
    assert "法定代表人" in capfd.readouterr().out


def test_a_broken_template_writes_neither_and_leaves_what_was_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, out, own = _folder(tmp_path), tmp_path / "out", tmp_path / "表样"
    for folder in (out, own):
        folder.mkdir()
    (out / "GS25-basic-附表.xlsx").write_bytes(b"before")
    (own / "GS25-basic.docx").write_bytes(b"no zip")
    assert _fill(data, out, "--templates", str(own)) == 4
    assert "GS25-basic.docx" in capfd.readouterr().err
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {"GS25-basic-附表.xlsx": b"before"}


def test_the_nearest_template_is_taken_and_the_shipped_ones_can_be_adapted(tmp_path: Path) -> None:
    data, own = _folder(tmp_path), tmp_path / "表样"
    assert run(["form", "templates", "--out", str(own)]) == 0
    book = openpyxl.load_workbook(own / "default.xlsx")
    book["封面"]["A1"] = "甘肃省基础级智能工厂申报书附表"
    book.save(own / "GS25.xlsx")
    assert _fill(data, tmp_path / "out", "--templates", str(own)) == 3
    filled = openpyxl.load_workbook(tmp_path / "out" / "GS25-basic-附表.xlsx")
    assert filled["封面"]["A1"].value == "甘肃省基础级智能工厂申报书附表"


def test_a_complete_template_exits_0_and_an_unknown_level_2(tmp_path: Path) -> None:
    data, own = _folder(tmp_path), tmp_path / "表样"
    own.mkdir()
    document = docx.Document()
    document.add_paragraph("{{ plant_name }}")
    raw = io.BytesIO()
    document.save(raw)
    (own / "default.docx").write_bytes(raw.getvalue())
    book = openpyxl.Workbook()
    book.worksheets[0]["A1"] = "{{ plant_name }}"
    book.save(own / "default.xlsx")
    assert _fill(data, tmp_path / "out", "--templates", str(own)) == 0
    assert run(["form", "fill", "--level", "workshop", "--data", data]) == 2


def test_findings_are_listed_and_exit_3(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = _folder(tmp_path)
    assert run(["findings", "--data", data, "--at", "2026-11-01T00:00:00"]) == 0
    assert "没有发现疑点" in capfd.readouterr().out
    clock = DrivenClock(int(datetime.fromisoformat("2026-10-25T09:00:00+08:00").timestamp()) * 1_000_000)
    (tmp_path / "register.toml").write_text(REGISTER.replace("车床", "铣床"), encoding="utf-8")
    apply_register(open_folder(Path(data)), tmp_path / "register.toml", "改名称", clock, "test")
    assert run(["findings", "--data", data, "--json", "--at", "2026-11-01T00:00:00"]) == 3
    assert [f["code"] for f in json.loads(capfd.readouterr().out)["findings"]] == ["register_edited"]
