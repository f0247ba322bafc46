"""From a verdict down to minutes: over every case file each criterion can be walked, and the minutes of the days are the metric's own."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from collector.ledger.entry import canonical_json
from config.metric_names import TITLES
from config.rulebook import load_shelf
from config.ruleset import RuleSet
from metrics.evaluate import Computed, compute_all, report_of
from metrics.instruments import provincial
from metrics.machines.device_hours import device_days_of
from metrics.printing.hanging import Hanging, breaks
from metrics.printing.tables import level_lists
from metrics.printing.walk import devices_of, find_criterion, walk, walk_member
from metrics.printing.words import WHY
from metrics.window import DAY_US
from tests.metrics.casefile import CASES, inputs_of, load, vector_of

FILES = sorted(CASES.glob("*.yaml"))


@lru_cache
def shelf() -> dict[str, RuleSet]:
    return load_shelf(TITLES)


def computed(path: Path) -> Computed:
    inputs = inputs_of(vector_of(load(path)))
    return Computed(inputs.end_us, inputs, compute_all(inputs), ())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_criterion_of_every_instrument_can_be_judged_printed_and_walked(path: Path) -> None:
    numbers = computed(path)
    codes = {m.why for r in numbers.results for m in r.members} - {"ok"}
    assert codes <= set(WHY)  # each reason has words for a person
    out = Console(width=80, force_terminal=False)
    with out.capture() as captured:
        for rules in provincial(shelf()):
            report = report_of(numbers, rules, shelf())
            canonical_json(report.to_json())
            assert not any(v.verdict == "met" and v.simulated for v in report.verdicts)
            for part in level_lists(report):
                out.print(part)
            for criterion in report.criteria:
                found = find_criterion(report, criterion.id)
                assert found is not None
                assert list(walk(report, found))
    assert [line for line in captured.get().splitlines() if cell_len(line) > 80] == []


@pytest.mark.parametrize("name", ["M01-networked", "M01-obligation", "M11-stable-running"])
def test_the_minutes_of_the_days_add_up_to_those_of_the_metric(name: str) -> None:
    numbers = computed(CASES / f"{name}.yaml")
    network = [(r, m) for r in numbers.results if r.metric == "M01" for m in r.members]
    assert network
    for result, member in network:
        days = device_days_of(numbers.inputs, member.id, result.window)
        facts = dict(member.facts)
        assert len(days) == (result.window.end_us - result.window.start_us) // DAY_US
        assert sum(d.sums[0] for d in days) == facts["obligated_min"]
        assert sum(d.sums[1] for d in days) == facts["covered_min"]
        assert all(len(d.hours) == 24 for d in days)
        lines = "\n".join(line.plain for line in walk_member(numbers, result, member) if isinstance(line, Text))
        assert lines.count("封存小时") == len(days)


def test_days_and_batches_lead_to_the_machines_they_rest_on() -> None:
    numbers = computed(CASES / "M11-stable-running.yaml")
    result = next(r for r in numbers.results if r.metric == "M11")
    day = result.members[0]
    assert date.fromisoformat(day.id)
    found = devices_of(numbers.inputs, result, day)
    assert found
    assert all(w.end_us - w.start_us == DAY_US for _, w in found)
    batches = computed(CASES / "M13-batches.yaml")
    traced = [(r, m) for r in batches.results if r.metric == "M13" for m in r.members]
    assert any(devices_of(batches.inputs, r, m) for r, m in traced)


@pytest.mark.parametrize("room", [20, 33, 67])
def test_lines_break_between_chinese_characters_and_lose_nothing(room: int) -> None:
    text = "要求：主要数控设备和大型加工中心联网率 全部，每条代表产线（records 的 benchmarks）；口径 A。"
    pieces = [p.plain for p in Text(text).divide(breaks(text, room))]
    assert "".join(pieces) == text
    assert all(cell_len(p.rstrip()) <= room for p in pieces)
    assert not any(p[0] in "，。；：）" for p in pieces)
    out = Console(width=room + 13)
    with out.capture() as captured:
        out.print(Hanging(Text("✘ 差距"), 13, [Text(text)]))
    lines = captured.get().splitlines()
    assert lines[0].startswith("✘ 差距")
    assert all(line.startswith(" " * 13) for line in lines[1:])
