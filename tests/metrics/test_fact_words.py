"""Facts and parameters as people read them: every code of the vectors has words; money, times and seconds in units people use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.fact_names import FACTS
from metrics.printing.words import called, fact_words, facts_words

VECTORS = Path(__file__).parents[1] / "vectors" / "metrics"


def test_every_fact_and_parameter_of_the_vectors_has_words() -> None:
    names = set()
    for path in VECTORS.glob("*.json"):
        for result in json.loads(path.read_text(encoding="utf-8")).get("expected", []):
            names |= {name for name, _ in result["parameters"]}
            names |= {name for member in result["members"] for name, _ in member["facts"]}
    assert len(names) > 200
    assert {n for n in names if fact_words(n, 1).startswith(n)} == set()


def test_every_label_is_chinese_and_said_once_per_line() -> None:
    assert all(any(ord(c) > 0x2E80 for c in words) for words in FACTS.values())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("amount_fen", 150_000_000, "金额 1,500,000 元"),
        ("amount_fen", 150_000_001, "金额 1,500,000.01 元"),
        ("auto_s", 0, "自动运行 0 秒"),
        ("auto_s", 3_599, "自动运行 3,599 秒"),
        ("run_s", 6_624_060, "运行 1,840:01（时:分）"),
        ("key", 1, "关键工序 是"),
        ("condition.longest_stop", 0, "最长停机不超过 24 小时 否"),
        ("coverage_min_percent", 90, "覆盖率下限 90 %"),
        ("output_millionths", 150_500_000, "产量 150.5"),
        ("year", 2025, "年度 2025"),
        ("cause", "collector_down", "主要断档原因 采集停止"),
        ("kgce_per_m3_gas", "1.2143", "gas 折标系数（kgce/m3） 1.2143"),
        ("began", "2026-10-01T00:30:00Z", "开始 2026-10-01 08:30:00"),
        ("nobody_knows", 7, "nobody_knows=7"),
    ],
)
def test_a_fact_reads_as_people_say_it(name: str, value: int | str, words: str) -> None:
    assert fact_words(name, value) == words


def test_a_fact_without_a_value_is_left_out() -> None:
    assert facts_words((("cause", ""), ("auto_s", 0), ("key", 1))) == "自动运行 0 秒 · 关键工序 是"


def test_a_member_is_called_once_and_a_record_key_by_its_words() -> None:
    assert called("CNC-07", "七号车床") == "CNC-07 七号车床"
    assert called("CNC-07", "CNC-07") == called("CNC-07", "") == "CNC-07"
    name = "批次 B1 · 工序 P30 · 设备 VMC-02 · 2026-10-01 08:00:00"
    assert called("B1/P30/VMC-02@2026-10-01T00:00:00Z", name) == name
