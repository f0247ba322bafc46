"""`check` and `ratio` over a real data folder: same bytes twice, nothing from after the ledger size, exit codes."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder, open_folder
from collector.ledger.log import read_lines
from collector.revisions import apply_register
from config.ruleset import load_ruleset
from config.settings import PlantTable
from metrics.evaluate import evaluate, read_inputs
from metrics.registry import METRICS
from plantproof import run

REGISTER = """
format = "plantproof-register/1"
[[line]]
id = "L1"
name = "一线"
representative = true
[[device]]
id = "{device}"
name = "车床"
line = "L1"
nc = true
in_service_from = 2025-01-01
"""


def _us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A live folder with two register revisions: machine A from September, machine B in its place from October."""
    clock = DrivenClock(_us("2026-09-01T08:00:00+08:00"))
    made = create_folder(tmp_path / "data", PlantTable(name="某厂", credit_code="91620100MA0000000X"), "live", clock)
    for device, at in (("A", "2026-09-01T09:00:00+08:00"), ("B", "2026-10-01T09:00:00+08:00")):
        clock.advance_to(_us(at))
        file = tmp_path / f"{device}.toml"
        file.write_text(REGISTER.replace("{device}", device), encoding="utf-8")
        apply_register(made, file, "测试", clock, "test")
    return open_folder(tmp_path / "data")


def test_nothing_entered_after_the_ledger_size_is_seen(folder: DataFolder) -> None:
    at_us = _us("2026-11-01T10:00:00+08:00")
    size = len(read_lines(folder.ledger))
    assert list(read_inputs(folder, at_us, size).register.device) == ["B"]
    assert list(read_inputs(folder, at_us, size - 1).register.device) == ["A"]


def test_register_of_the_window_is_used_not_the_newest(folder: DataFolder) -> None:
    inputs = read_inputs(folder, _us("2026-10-01T23:00:00+08:00"))
    assert list(inputs.register.device) == ["A"]


def test_report_is_a_function_of_folder_moment_and_size(folder: DataFolder) -> None:
    rules = load_ruleset("GS25", METRICS)
    reports = [evaluate(folder, rules, _us("2026-11-01T10:00:00+08:00")).to_json() for _ in range(2)]
    assert json.dumps(reports[0]) == json.dumps(reports[1])
    assert reports[0]["size"] == len(read_lines(folder.ledger))


def test_report_holds_integers_and_strings_only(folder: DataFolder) -> None:
    def floats(x: object) -> list[object]:
        if isinstance(x, dict):
            return [f for v in x.values() for f in floats(v)]
        if isinstance(x, list):
            return [f for v in x for f in floats(v)]
        return [x] if isinstance(x, float) else []

    report = evaluate(folder, load_ruleset("GS25", METRICS), _us("2026-11-01T10:00:00+08:00"))
    assert floats(report.to_json()) == []


def test_check_below_the_bar_exits_3_and_prints_one_line_of_json(
    folder: DataFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run(["check", "--json", "--at", "2026-11-01T10:00:00", "--data", str(folder.path)])
    out = capfd.readouterr().out
    assert code == 3
    assert out.count("\n") == 1
    body = json.loads(out)
    assert {v["criterion"]: v["verdict"] for v in body["verdicts"]}["GS25-12-3-3g"] == "short"
    assert not body["simulated"]


def test_check_says_level_verdict_and_distance_in_words(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    run(["check", "--why", "--level", "basic", "--at", "2026-11-01", "--data", str(folder.path)])
    out = capfd.readouterr().out
    assert "基础级智能工厂 · 已评估 3 / 共 20" in out
    assert "差 1 台" in out
    assert "✘ B 车床：没有数控运行数据（实测不计，上限计入）" in out


def test_check_before_the_instrument_has_no_rule(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--at", "2025-08-05", "--data", str(folder.path)]) == 3
    assert "2025-08-05 没有生效的条款" in capfd.readouterr().out


def test_ratio_shows_three_bounds_and_members(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["ratio", "M06", "--why", "--at", "2026-11-01", "--data", str(folder.path)]) == 0
    out = capfd.readouterr().out
    assert "关键工序数控化率 M06 · line:L1" in out
    assert "下限 (可证明)" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "--level", "gold"], "没有梯次 'gold'"),
        (["ratio", "M99"], "没有指标 'M99'"),
        (["check", "--at", "2026-13-01"], "应为时间，如 2026-10-01"),
    ],
)
def test_wrong_word_on_the_command_line_exits_2(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run([*arguments, "--data", str(folder.path)]) == 2
    assert words in capfd.readouterr().err


def test_unknown_instrument_exits_4(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--rules", "ZZ99", "--data", str(folder.path)]) == 4
    assert "没有这个办法" in capfd.readouterr().err


def test_missing_folder_exits_5(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--data", str(tmp_path / "nowhere")]) == 5
    assert "找不到数据目录" in capfd.readouterr().err
