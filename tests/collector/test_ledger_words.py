"""`plantproof ledger show`: entries in words and in plant time; what counts is the entry itself, with --json."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from pathlib import Path

import pytest

import plantproof
from adapters.contract import Identity
from collector.ledger import log
from collector.ledger.entry import TYPES, Entry
from collector.ledger_words import KINDS, described, plant_time
from collector.maintain import maintain
from collector.revisions import add_exclusion
from tests.builders import FIRST_HOUR, HOUR_US, SIMPLE, Driver, failed_row, ok_row, simple_register

T0 = FIRST_HOUR * HOUR_US  # 2026-11-18 00:00 UTC, 08:00 in the plant
PLANT = timezone(timedelta(hours=8))


async def a_ledger(tmp_path: Path) -> Driver:
    """Two registers, an identity, an exclusion, a sealed hour with a failure, four days without a collector."""
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    await driver.start()
    assert driver.capture is not None
    await driver.capture.identify(Identity("A", (("ProductName", "床[1]"),), "live"))
    driver.clock.advance_to(T0 + 1_000_000)
    driver.register(simple_register("A", "B"))
    await driver.emit([[ok_row("A", SIMPLE, T0, state=1, speed=2.0), failed_row("A", SIMPLE, T0 + 1)]])
    add_exclusion(
        driver.folder, ("A",), T0, T0 + HOUR_US, reason="保养", approver="周经理", clock=driver.clock, actor="李工"
    )
    driver.clock.advance_to(T0 + HOUR_US)
    await driver.tick()
    await driver.stop()
    driver.clock.advance_to(T0 + 100 * HOUR_US)
    await driver.start()
    await driver.stop()
    await driver.start()  # a new file: the one before it is closed now
    await driver.stop()
    maintain(driver.folder)
    return driver


async def test_each_entry_is_told_in_plant_time(tmp_path: Path) -> None:
    driver = await a_ledger(tmp_path)
    told = [(e.t, described(e, PLANT)) for e in log.read_entries(driver.folder.ledger)]
    texts = {t: text for t, (_, text) in told}
    seals = [text for t, (_, text) in told if t == "seal"]
    assert "2026-11-18 08:00–09:00 · 2 台 · 成功 1，失败 1，丢失 0，迟到 0" in seals[0]
    assert seals[-1].startswith("2026-11-18 ")
    assert "至 2026-11-22 12:00 未运行 · 2 台" in seals[-1]
    assert texts["register"] == "第 2 版 · 2 台 · 新增 B · 分母 M01 plant 1→2、M04 plant 1→2 · test"
    assert texts["identity"] == "A 第 1 次 · 实采 (live) · ProductName=床[1]"
    assert texts["records"] == "第 1 版 停机登记 · devices 1 · 保养"
    assert "测试机械厂" in texts["genesis"]
    assert all(kind == KINDS[t] for t, (kind, _) in told)
    assert plant_time(T0 // 1000, PLANT) == "2026-11-18 08:00:00"


async def test_show_prints_words_and_with_json_the_entries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    driver = await a_ledger(tmp_path)
    where = ["--data", str(driver.folder.path), "--count", "100"]
    assert plantproof.run(["ledger", "show", *where]) == 0
    shown = capsys.readouterr().out
    assert "小时封存" in shown
    assert "08:00:00" in shown
    assert "{" not in shown
    assert plantproof.run(["ledger", "show", *where, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    entries = log.read_entries(driver.folder.ledger)
    assert [(r["t"], r["body"], r["at"][-1]) for r in rows] == [(e.t, e.body, "Z") for e in entries]


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_a_body_that_is_not_what_its_type_says_is_shown_as_it_is(kind: str) -> None:
    assert described(Entry(kind, 0, "x", {"odd": [1]}), PLANT)[1] == '{"odd": [1]}'
