"""`check` and `ratio` over a real data folder: same bytes twice, nothing from after the ledger size, exit codes."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder, open_folder
from collector.ledger.log import read_lines
from collector.register_revisions import apply_register
from config.metric_names import TITLES
from config.rulebook import load_ruleset
from config.settings import PlantTable
from metrics.evaluate import evaluate, read_inputs
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
        apply_register(made, file, "旧机床换新机床", clock, "test")
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
    rules = load_ruleset("GS25", TITLES)
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

    report = evaluate(folder, load_ruleset("GS25", TITLES), _us("2026-11-01T10:00:00+08:00"))
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


def test_check_prints_every_criterion_with_article_required_numbers_and_names(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run(["check", "--level", "basic", "--at", "2026-11-01", "--data", str(folder.path)]) == 3
    out = capfd.readouterr().out
    rules = load_ruleset("GS25", TITLES)
    for criterion in rules.criteria_on(date(2026, 11, 1), "basic"):
        assert f"{criterion.article}  {criterion.id}" in out
    assert "基础级智能工厂  差距 · 共" in out
    assert "要求：生产装备数控化率 ≥ 70 %，每条代表产线" in out
    assert "L1：申报 1/1 (100.0 %) · 实测 0/1 (0.0 %) · 可证明 0/1 (0.0 %)" in out
    assert "还差 1 台：B 车床（没有数控运行数据）" in out
    assert "还差 1 份材料：营业执照（没有这份材料）" in out
    assert "? 需人工判断" in out


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_of_check_is_wider_than_the_terminal(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    run(["check", "--rules", "SD25", "--at", "2026-11-01", "--data", str(folder.path)])
    body = capfd.readouterr().out.partition("基础级")[2]
    assert [line for line in body.splitlines() if cell_len(line) > columns] == []


def test_an_instrument_that_binds_nobody_says_so_and_exits_3(
    folder: DataFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, words in (("SD22", "（已于 2025-12-31 失效）"), ("SD25", "（征求意见稿，未施行）")):
        assert run(["check", "--rules", name, "--at", "2026-11-01", "--data", str(folder.path)]) == 3
        out = capfd.readouterr().out
        assert words in out.splitlines()[0]
        assert "没有约束力" in out


def test_why_walks_from_the_article_to_the_members(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    run(["check", "--why", "GS25-12-3-3g", "--at", "2026-11-01", "--data", str(folder.path)])
    out = capfd.readouterr().out
    places = [
        "一、条款  甘肃省智能工厂梯度培育管理实施细则 第十二条(三)3",
        "主要数控设备和大型加工中心全部联网,生产制造指令",  # the whole article, not the quote only
        "二、原文  “产线数控装备占生产装备总数比重(生产装备数控化率)在70%以上”",
        "三、要求  生产装备数控化率 ≥ 70 %",
        "四、指标  M05",
        "五、数字  L1",
        "下限（可证明，判定用） 0/1",
        "✘ B 车床：没有数控运行数据（实测不计，上限计入）",
        "结论  差距",
    ]
    found = [out.find(words) for words in places]
    assert -1 not in found
    assert found == sorted(found)


def test_a_member_is_followed_down_to_its_sealed_hours(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["check", "--why", "GS25-12-3-3g", "--member", "B", "--at", "2026-11-01", "--data", str(folder.path)]
    run(words)
    out = capfd.readouterr().out
    assert "✘ 2026-10-02  1440 ·    0 ·   0 · 1440  封存小时 2026-10-01T16Z … 2026-10-02T15Z，其中 24 小时没有行" in out
    assert out.count("✘ 2026-10-") == 30


def test_ratio_knows_every_metric_of_the_catalogue(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["ratio", "--at", "2026-11-01", "--data", str(folder.path)]) == 0
    out = capfd.readouterr().out
    assert [name for name in TITLES if name not in out] == []


def test_check_before_the_instrument_has_no_rule(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--at", "2025-08-05", "--data", str(folder.path)]) == 3
    assert "2025-08-05 没有生效的条款" in capfd.readouterr().out


def test_ratio_shows_three_bounds_and_members(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["ratio", "M06", "--why", "--at", "2026-11-01", "--data", str(folder.path)]) == 0
    out = capfd.readouterr().out
    assert "关键工序数控化率 M06 · line:L1" in out
    assert "下限（可证明）" in out


def test_without_a_moment_a_report_is_the_same_all_day(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["check", "--json", "--data", str(folder.path)]
    outputs = set()
    for _ in range(2):
        run(words)
        outputs.add(capfd.readouterr().out)
    assert len(outputs) == 1
    body = json.loads(outputs.pop())
    assert body["at_us"] == body["end_us"]


def test_a_smaller_ledger_is_asked_for_by_its_size(folder: DataFolder, capfd: pytest.CaptureFixture[str]) -> None:
    run(["check", "--json", "--size", "2", "--at", "2026-11-01", "--data", str(folder.path)])
    body = json.loads(capfd.readouterr().out)
    assert body["size"] == 2
    assert {m["id"] for r in body["results"] if r["metric"] == "M01" for m in r["members"]} == {"A"}


def test_all_instruments_are_written_as_check_prints_each_of_them(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    at = ["--at", "2026-11-01", "--data", str(folder.path)]
    (tmp_path / "reports" / "CN-ZZ").mkdir(parents=True)
    (tmp_path / "reports" / "CN-ZZ" / "OLD.json").write_text("{}")
    assert run(["check", "--all", "--json", "--json-dir", str(tmp_path / "reports"), *at]) == 3
    index = json.loads(capfd.readouterr().out)
    assert json.loads((tmp_path / "reports" / "index.json").read_bytes()) == index
    names = [i["id"] for i in index["instruments"]]
    assert names == ["CN-GS/GS25", "CN-SD/SD22", "CN-SD/SD25", "CN-TJ/TJ"]
    for name in names:
        run(["check", "--json", "--rules", name, *at])
        assert (tmp_path / "reports" / f"{name}.json").read_bytes() == capfd.readouterr().out.encode()
    assert not (tmp_path / "reports" / "CN-ZZ" / "OLD.json").exists()


def test_the_instrument_of_the_settings_is_the_default(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = tmp_path / "plantproof.toml"
    settings.write_text(
        '[plant]\nname = "某厂"\ncredit_code = "91620100MA0000000X"\n[rules]\ninstrument = "CN-SD/SD22"\n',
        encoding="utf-8",
    )
    run(["check", "--config", str(settings), "--at", "2026-11-01", "--data", str(folder.path)])
    assert "山东省智能制造场景" in capfd.readouterr().out.splitlines()[0]


PROVINCE = """
format: plantproof-rules/2
id: CN-XX/XX26
edition: 1
title: 某省智能工厂培育办法
issuer: 某省工业和信息化厅
status: in_force
in_force: {from: 2026-01-01, until: null}
levels: [{id: star, title: 星级工厂}]
criteria:
  - id: XX26-1
    title: 设备联网
    levels: [star]
    article: 第一条
    quote: 设备联网率应在80%以上
    gate: hard
    judged_by: metric
    metric: M01
    scope: plant
    op: ">="
    values: [{from: 2026-01-01, until: null, threshold: 80/100, threshold_by: instrument, as_written: 80%以上}]
"""


def test_an_invented_province_needs_one_file(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "XX26.yaml"
    file.write_text(PROVINCE, encoding="utf-8")
    at = ["--at", "2026-11-01", "--data", str(folder.path)]
    assert run(["check", "--rules", str(file), "--level", "star", *at]) == 3
    out = capfd.readouterr().out
    assert "某省智能工厂培育办法" in out
    assert "还差 1 台：B 车床（台账没有通信地址）" in out
    run(["check", "--json", "--rules", str(file), *at])
    assert json.loads(capfd.readouterr().out)["verdicts"][0]["verdict"] == "short"


def test_a_broken_rules_file_is_refused_with_file_place_expected_and_found(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "XX26.yaml"
    file.write_text(
        PROVINCE.replace("metric: M01", "metric: M77").replace(
            "2026-01-01, until: null, t", "2026-02-30, until: null, t"
        )
    )
    before = {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}
    assert run(["check", "--rules", str(file), "--data", str(folder.path)]) == 4
    err = capfd.readouterr().err
    assert f"{file}" in err
    assert "2026-02-30" in err
    assert {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "--level", "gold"], "没有梯次 'gold'"),
        (["ratio", "M99"], "没有指标 'M99'"),
        (["check", "--at", "2026-13-01"], "应为时间，如 2026-10-01"),
        (["check", "--why", "GS25-99"], "没有条款 'GS25-99'"),
        (["check", "--why", "GS25-12-3-3g", "--member", "Z9"], "名单里没有 'Z9'"),
        (["check", "--member", "Z9"], "要与 --why 同用"),
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


def test_settings_that_name_no_instrument_exit_4(
    folder: DataFolder, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = tmp_path / "plantproof.toml"
    for text, words in (('instrument = "ZZ99"', "没有这个办法"), ("instrument = 7", "rules.instrument")):
        settings.write_text(
            f'[plant]\nname = "某厂"\ncredit_code = "91620100MA0000000X"\n[rules]\n{text}\n', encoding="utf-8"
        )
        assert run(["check", "--config", str(settings), "--data", str(folder.path)]) == 4
        assert words in capfd.readouterr().err


def test_missing_folder_exits_5(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--data", str(tmp_path / "nowhere")]) == 5
    assert "找不到数据目录" in capfd.readouterr().err
