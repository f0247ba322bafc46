"""The workshop on paper: its registers are valid, its numbers are the ones docs/demo.md tells, its records link up."""

from __future__ import annotations

import csv
import io
import tomllib
from datetime import date
from pathlib import Path

from config.load import parse_register
from config.records import parse_records
from config.register import Register
from simulators.mes import FLAWS, lots
from simulators.workshop import Ports, Story, records, register_toml

STORY = Story(date(2026, 11, 22))


def register(revision: int) -> Register:
    return parse_register(tomllib.loads(register_toml(STORY, revision, Ports())), "demo.toml")


def test_both_revisions_are_valid_registers_and_the_second_shrinks_the_denominator() -> None:
    first, second = register(1), register(2)
    day = STORY.date_of(-1)
    in_service = [sum(d.in_service_from <= day and not d.retired_at for d in r.devices) for r in (first, second)]
    assert in_service == [29, 28]
    assert sum(d.connection is not None for d in second.devices) == 25


def test_twenty_four_machines_are_connected_on_every_day_of_the_story() -> None:
    for day in range(-95, 3):
        by_protocol = [m.protocol for m in STORY.machines(day)]
        assert [by_protocol.count(p) for p in ("opcua", "modbus", "mqtt")] == [8, 12, 4]


def test_paper_says_twelve_of_twenty_and_one_of_them_has_no_proof() -> None:
    second = register(2)
    key = {p.id for p in second.processes if p.key}
    members = [d for d in second.devices if d.process in key and d.retired_at is None]
    assert len(members) == 20
    assert sum(d.nc for d in members) == 12
    assert [d.id for d in members if d.nc and d.connection is None] == ["L1-CNC-05"]


def test_the_planned_stop_stands_in_the_calendar_before_it_begins() -> None:
    closure = register(1).calendar.closures[0]
    start_us, _ = STORY.closure_us
    assert int(closure.start.timestamp()) * 1_000_000 == start_us
    assert STORY.events()[0].at_us < start_us


def test_records_are_accepted_by_the_import_and_each_flaw_is_planted_once(tmp_path: Path) -> None:
    for name, text in records(STORY).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = parse_records(tmp_path, register(2))
    assert 250 <= sum(b.closed_us is not None for b in found.batches) <= 350
    assert any(b.closed_us is None for b in found.batches)
    assert sorted(lot.flaw for lot in lots(STORY) if lot.flaw) == sorted(FLAWS)


def test_nothing_in_the_records_is_later_than_their_export() -> None:
    export = next(e for e in STORY.events() if e.kind == "records")
    newest = max(row["end"] for row in csv.DictReader(io.StringIO(records(STORY)["operations.csv"])))
    assert newest < "2026-11-21T23:30:00+08:00"
    assert export.at_us == STORY.at_us(-1, 23 * 60 + 30)


def test_same_seed_and_day_give_the_same_paper_and_another_seed_another() -> None:
    assert records(STORY) == records(Story(date(2026, 11, 22)))
    assert records(STORY) != records(Story(date(2026, 11, 22), seed=1))
