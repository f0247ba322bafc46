"""Applying a register: all of it or nothing, once, with its reason where a denominator moves; what was known when."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

import plantproof
from collector import register_revisions
from collector.audit import audit
from collector.ledger import log
from collector.register_cli import _show_diff
from collector.register_revisions import apply_register, registers
from config.errors import ConfigError
from config.load import load_register
from config.register_diff import RegisterDiff, TableDiff
from config.tables.register_writers import export_register
from config.wording import CHINA
from tests.builders import FIRST_HOUR, HOUR_US, Driver, simple_register
from tests.config.workbooks import changed

T0 = FIRST_HOUR * HOUR_US
DAY_US = 24 * HOUR_US


def applied(driver: Driver, place: Path, text: str, reason: str = "试验用的台账") -> int:
    """Apply a register's text with a reason."""
    (place / "r.toml").write_text(text, encoding="utf-8")
    return apply_register(driver.folder, place / "r.toml", reason, driver.clock, "李工").rev


def test_a_broken_workbook_leaves_the_register_in_force(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    applied(driver, tmp_path, simple_register("A"))
    before = sorted((p.name, p.read_bytes()) for p in driver.folder.register.iterdir())
    ledger = (driver.folder.ledger / "entries.ndjson").read_bytes()
    path = changed(tmp_path / "t.xlsx", {"设备!C2": "L9"})
    with pytest.raises(ConfigError, match=r"设备!C2"):
        apply_register(driver.folder, path, "换一版台账", driver.clock, "李工")
    assert sorted((p.name, p.read_bytes()) for p in driver.folder.register.iterdir()) == before
    assert (driver.folder.ledger / "entries.ndjson").read_bytes() == ledger


def test_the_same_content_in_another_form_is_no_new_revision_and_the_file_is_kept(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    applied(driver, tmp_path, simple_register("A"))
    register = load_register(tmp_path / "r.toml")
    for name in ("same.xlsx", "same", "same.csv"):
        export_register(register, tmp_path / name)
        assert apply_register(driver.folder, tmp_path / name, "另一种格式", driver.clock, "李工").rev == 1
    path = changed(tmp_path / "t.xlsx", {})
    assert apply_register(driver.folder, path, "改用工作簿", driver.clock, "李工").rev == 2
    assert (driver.folder.register / "000002.xlsx").read_bytes() == path.read_bytes()
    assert audit(driver.folder.path).sound


def test_a_moved_denominator_needs_a_reason_and_stands_in_the_leaf(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    applied(driver, tmp_path, simple_register("A"))
    with pytest.raises(ConfigError, match="M01、M04 的分母变化，应写明原因"):
        applied(driver, tmp_path, simple_register("A", "B"), "加 机")
    assert applied(driver, tmp_path, simple_register("A", "B"), "新购一台") == 2
    assert applied(driver, tmp_path, simple_register("A", "B").replace("interval_s = 60", "interval_s = 30"), "改") == 3
    _, second, third = log.read_of(driver.folder.ledger, "register")
    assert second.body["denominators"] == [["M01", "plant", 1, 2], ["M04", "plant", 1, 2]]
    assert third.body["denominators"] == []
    assert second.body["source"]["name"] == "r.toml"


def test_a_change_dated_ahead_moves_the_denominator_of_its_day(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    applied(driver, tmp_path, simple_register("A", "B"))
    head, mark, last = simple_register("A", "B").rpartition("in_service_from = 2026-01-01")
    text = head + mark + "\nretired_at = 2030-01-01" + last
    with pytest.raises(ConfigError, match="分母变化"):
        applied(driver, tmp_path, text, "退")
    applied(driver, tmp_path, text, "到期退役")
    moves = log.read_of(driver.folder.ledger, "register")[-1].body["denominators"]
    assert ["M01", "plant @2030-01-01", 2, 1] in moves


def test_a_leaf_of_thousands_of_devices_is_cut_to_counts_and_a_digest(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    applied(driver, tmp_path, simple_register(*(f"DEVICE-WITH-A-LONG-NAME-{i:05}" for i in range(1500))))
    body = log.read_of(driver.folder.ledger, "register")[-1].body
    assert len(body["diff"]["added"]) == 100
    assert body["cut"]["added"]["count"] == 1500
    assert len(body["cut"]["added"]["sha256"]) == 64
    assert audit(driver.folder.path).sound


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_import_killed_anywhere_is_done_or_not_begun(tmp_path: Path, call: int) -> None:
    driver = Driver(tmp_path, T0)
    applied(driver, tmp_path, simple_register("A"))
    pid = os.fork()
    if pid == 0:
        real, left = register_revisions.write_durably, [call]

        def dying(path: Path, raw: bytes) -> None:
            left[0] -= 1
            if left[0] == 0:
                path.write_bytes(raw[: len(raw) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            real(path, raw)

        register_revisions.write_durably = dying  # type: ignore[assignment]
        try:
            applied(driver, tmp_path, simple_register("A", "B"))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert [r.rev for r in registers(driver.folder)] == ([1] if call < 3 else [1, 2])
    assert applied(driver, tmp_path, simple_register("A", "B")) == 2
    assert [r.rev for r in registers(driver.folder)] == [1, 2]
    assert audit(driver.folder.path).sound


def run(*words: object) -> int:
    """One command line."""
    return plantproof.run(["register", *map(str, words)])


def test_the_commands_preview_apply_and_tell_what_was_known_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = Driver(tmp_path, T0)
    data = ("--data", driver.folder.path)
    book = changed(tmp_path / "台账.xlsx", {"设备!F5": "√"})
    assert run("import", book, "--reason", "首次建立", "--dry-run", *data) == 0
    assert "分母 M01 plant: 0 → 4" in capsys.readouterr().out
    assert registers(driver.folder) == []
    assert run("import", book, "--reason", "首次建立", *data) == 4  # no terminal to ask
    assert run("import", book, "--reason", "首次建立", "--yes", *data) == 0
    assert run("apply", book, "--reason", "再来一次", *data) == 0  # the same: nothing to ask, nothing to do
    assert "不产生新版" in capsys.readouterr().out
    later = changed(tmp_path / "台账.xlsx", {"设备!F5": "否", "设备!J2": "沈阳机床"})
    assert run("import", later, "--reason", "核对铭牌", "--yes", *data) == 0
    assert [r.rev for r in registers(driver.folder)] == [1, 2]
    assert run("history", "CNC-001", "--json", *data) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(r["rev"], r["key"], r["new"]) for r in told] == [
        (1, "device", "数控车床 CK6150"),
        (2, "maker", "沈阳机床"),
    ]
    assert told[1]["known"].endswith("+08:00")
    assert run("history", "CNC-001", *data) == 0
    words = capsys.readouterr().out
    assert ("制造商" in words, "maker" in words, "device" in words) == (True, False, False)
    first = registers(driver.folder)[0].effective_us
    known = f"{(first // 1_000_000) - 1}"
    assert run("show", "--known", known, *data) == 4
    assert run("show", "--on", "2010-01-01", "--json", *data) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["devices"] == ["LTH-007"]
    assert run("export", "-o", tmp_path / "out.xlsx", *data) == 0
    assert load_register(tmp_path / "out.xlsx").sha256 == registers(driver.folder)[-1].sha256
    assert run("show", *data) == 0
    assert run("history", "CNC-002", *data) == 4


def test_differences_name_the_columns_of_the_workbook_and_the_plants_time(capsys: pytest.CaptureFixture[str]) -> None:
    change = TableDiff((), (), {"LTH-007": (("retired_at", "", "2026-10-01"), ("connection.address", "a", "b"))})
    closed = TableDiff((), (), {"C1": (("end", "2026-10-01T00:30:00Z", "2026-10-01T01:30:00Z"),)})
    points = TableDiff((), (), {"lathe": (("point temp.unit", "℃", "K"), ("point temp.nobody", "", "1"))})
    diff = RegisterDiff({"device": change, "calendar.closures": closed, "points": points}, (), ())
    _show_diff(Console(width=200), diff, CHINA)
    words = capsys.readouterr().out
    for said in (
        "设备 LTH-007: 停用日期 （空） → 2026-10-01",
        "设备 LTH-007: 地址 a → b",
        "2026-10-01 08:30:00 → 2026-10-01 09:30:00",
        "测点 temp 单位 ℃ → K",
        "测点 temp nobody （空） → 1",
    ):
        assert said in words


def test_check_writes_the_annotated_copy_and_still_says_that_the_file_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = changed(tmp_path / "台账.xlsx", {"设备!C2": "L9"})
    assert run("check", book, "--annotate", tmp_path / "批注.xlsx") == 4
    assert (tmp_path / "批注.xlsx").exists()
    assert "设备!C2: 产线：没有 产线 'L9'" in capsys.readouterr().err
    assert run("check", book, "--json") == 4
    assert json.loads(capsys.readouterr().out)["problems"][0]["where"] == "设备!C2"


def test_the_template_is_a_sound_register(tmp_path: Path) -> None:
    assert run("template", "-o", tmp_path / "t.xlsx") == 0
    assert run("check", tmp_path / "t.xlsx") == 0
