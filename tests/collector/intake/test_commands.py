"""The commands a person types: import, list, show, quarantine, template, document; and which processes `run` looks after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import collector.supervise
import plantproof
from collector.revisions import add_exclusion, registers
from config.record_cells import us_of
from config.wording import plant_time
from tests.collector.intake.plant import GOOD, RecordsPlant, table


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


def said(plant: RecordsPlant, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and what was said."""
    capsys.readouterr()
    code = plantproof.run([*words, "--data", str(plant.folder.path)])
    out = capsys.readouterr()
    return code, out.out + out.err


def test_a_folder_is_imported_listed_and_shown(
    plant: RecordsPlant, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    place = tmp_path / "mes"
    place.mkdir()
    for name, text in GOOD.items():
        (place / name).write_text(text, encoding="utf-8")
    assert said(plant, capsys, "records", "import", str(place), "--reason", "九月", "--dry-run")[0] == 0
    assert json.loads(said(plant, capsys, "records", "list", "--json")[1]) == []
    code, words = said(plant, capsys, "records", "import", str(place), "--reason", "九月")
    assert (code, "记录第 1 版" in words) == (0, True)
    assert "没有新内容" in said(plant, capsys, "records", "import", str(place), "--reason", "九月")[1]
    assert json.loads(said(plant, capsys, "records", "list", "--json")[1])[0]["accepted"] == 8
    shown = said(plant, capsys, "records", "show", "B01")[1]
    assert all(word in shown for word in ("产品档案 B01", "45钢", "S1", "张三", "合格", "FH01"))
    assert said(plant, capsys, "records", "show", "B99")[0] == 3


def test_quarantined_rows_give_3_and_are_written_to_be_fixed(
    plant: RecordsPlant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "随便.csv"
    file.write_text(table(("批次号", "产品", "试制"), ("B1", "轴", "也许")), encoding="gb18030")
    assert said(plant, capsys, "records", "import", str(file), "--kind", "batches", "--reason", "九月")[0] == 3
    assert "也许" in said(plant, capsys, "records", "quarantine")[1]
    assert said(plant, capsys, "records", "quarantine", "--csv")[1].startswith("批次号,产品,")
    assert said(plant, capsys, "records", "quarantine", "-o", str(tmp_path / "fix"))[0] == 0
    assert [p.name for p in (tmp_path / "fix").iterdir()] == ["批次-隔离.csv"]
    assert json.loads(said(plant, capsys, "records", "quarantine", "--revision", "7", "--json")[1]) == []


def test_people_read_the_plants_time_and_json_has_utc(
    plant: RecordsPlant, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    place = tmp_path / "批次.csv"
    place.write_text("batch_id,product,closed_at,trial\nB1,轴,2099-10-01T08:30:00,0\nB2,轴,,0\n", encoding="utf-8")
    code, words = said(plant, capsys, "records", "import", str(place), "--reason", "九月")
    assert (code, "2099-10-01 08:30:00 在将来" in words) == (3, True)
    words = said(plant, capsys, "records", "quarantine")[1]
    assert ("2099-10-01 08:30:00 在将来" in words, "Z" in words) == (True, False)
    assert "2099-10-01 08:30:00 在将来" in said(plant, capsys, "records", "quarantine", "--csv")[1]
    assert "2099-10-01T00:30:00Z 在将来" in said(plant, capsys, "records", "quarantine", "--json")[1]
    entered = json.loads(said(plant, capsys, "records", "list", "--json")[1])[0]["entered"]
    words = said(plant, capsys, "records", "list")[1]
    assert (plant_time(entered) in words, entered in words, entered.endswith("Z")) == (True, False, True)


def test_the_list_of_imports_says_which_revisions_are_exclusions(
    plant: RecordsPlant, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    place = tmp_path / "批次.csv"
    place.write_text("batch_id,product,trial\nB1,轴,0\n", encoding="utf-8")
    assert said(plant, capsys, "records", "import", str(place), "--reason", "九月")[0] == 0
    assert "停机登记" not in said(plant, capsys, "records", "list")[1]
    device = next(iter(registers(plant.folder)[-1].register.device))
    from_us = us_of("2026-09-01T00:00:00Z")
    said_by: Any = {"approver": "张三", "actor": "tester", "clock": plant.clock}
    add_exclusion(plant.folder, (device,), from_us, from_us + 3_600_000_000, reason="检修", **said_by)
    assert "第 2 版是停机登记" in said(plant, capsys, "records", "list")[1]
    assert "2026-09-01 08:00:00" in said(plant, capsys, "records", "exclusion", "list")[1]
    assert "2026-09-01T00:00:00Z" in said(plant, capsys, "records", "exclusion", "list", "--json")[1]


def test_a_refused_file_gives_4_and_says_what_to_do(
    plant: RecordsPlant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "批次.csv"
    file.write_bytes(b"\xff\xfe\x00")
    code, words = said(plant, capsys, "records", "import", str(file), "--reason", "九月")
    assert (code, "不是 UTF-8 或 GB18030" in words) == (4, True)
    assert said(plant, capsys, "records", "import", str(tmp_path / "none.csv"), "--reason", "九月")[0] == 4
    assert said(plant, capsys, "records", "import", str(file), "--reason", " ")[0] == 4


def test_a_document_is_added_listed_and_checked(
    plant: RecordsPlant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF")
    words = ("document", "add", str(file), "--kind", "maturity", "--name", "自评估报告", "--valid-until", "2020-01-01")
    assert said(plant, capsys, *words)[0] == 0
    (row,) = json.loads(said(plant, capsys, "document", "list", "--json")[1])
    assert (row["id"], row["kind"], row["valid_until"]) == ("D0001", "maturity", "2020-01-01")
    code, shown = said(plant, capsys, "document", "check")
    assert (code, "过期" in shown) == (3, True)
    (plant.folder.documents / row["sha256"]).unlink()
    assert said(plant, capsys, "document", "check")[0] == 6
    assert said(plant, capsys, "document", "add", str(file), "--kind", "x", "--name", "a")[0] == 4


def test_run_looks_after_the_intake_process_when_records_are_configured(
    plant: RecordsPlant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(collector.supervise, "supervise", lambda processes: started.append(processes) or 0)
    config = tmp_path / "plantproof.toml"
    text = '[plant]\nname = "厂"\ncredit_code = "91620100MA0000000X"\n'
    for more in ("", "[records]\n"):
        config.write_text(text + more, encoding="utf-8")
        plantproof.run(["run", "--data", str(plant.folder.path), "--config", str(config)])
    assert [sorted(s) for s in started] == [["collector", "web"], ["collector", "intake", "web"]]
    assert started[1]["intake"][:2] == ["records", "follow"]
