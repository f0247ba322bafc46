"""The workshop on paper: its registers are valid, its numbers are the ones docs/demo.md tells, what it hands in is taken or kept aside."""

from __future__ import annotations

import csv
import io
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.intake.imports import Imported, import_deliveries
from collector.intake.tables import delivery_of_file
from collector.revisions import documents
from config.documents import DOCUMENT_KINDS
from config.load import parse_register
from config.record_kinds import KINDS
from config.register import Register
from config.settings import DEMO_PLANT
from plantproof import _hand_in
from simulators.deliveries import delivery, records
from simulators.mes import FLAWS, lots
from simulators.papers import papers
from simulators.story import PAPER_DAY, TRIAL_DAYS, Story
from simulators.workshop import Ports, register_toml

STORY = Story(date(2026, 11, 22))
MISSING = {"controllable", "commitment", "security"}  # the papers the demo plant does not have


def register(revision: int) -> Register:
    return parse_register(tomllib.loads(register_toml(STORY, revision, Ports())), "demo.toml")


def handed_in(story: Story, place: Path) -> tuple[DataFolder, list[Imported]]:
    """The whole story but for the machines: register revisions, documents, deliveries, each at its time."""
    clock = DrivenClock(story.start_us)
    folder = create_folder(place / "data", DEMO_PLANT, "simulated", clock)
    done = []
    for n, event in enumerate(story.events()):
        clock.advance_to(event.at_us)
        desk = place / f"desk-{n}"
        desk.mkdir()
        if event.kind == "records":
            for name, text in delivery(story, event).items():
                (desk / name).write_text(text, encoding="utf-8")
            files = [delivery_of_file(p) for p in sorted(desk.iterdir())]
            done.append(import_deliveries(folder, files, reason=event.reason, clock=clock, actor=event.actor))
        else:
            _hand_in(folder, story, Ports(), event, clock, desk)
    return folder, done


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


def test_the_other_sheets_are_filled_in_too() -> None:
    second = register(2)
    assert [p.id for p in second.parameters if p.point is None] == ["KP-07"]
    assert Counter(i.source for i in second.items) == {"point": 6, "system": 2, "scan": 1, "manual": 1}
    assert Counter(s.status for s in second.scenes) == {"in_production": 4, "building": 1, "planned": 1}
    assert {d.equipment_class for d in second.devices} == {None, "nc_robot", "inspection_assembly", "logistics_storage"}
    assert [d.id for d in second.devices if d.capacity_per_h and not d.nc] == []
    assert [str(e.kgce_per_unit) for e in second.energy] == ["0.1229"]


def test_the_planned_stop_stands_in_the_calendar_before_it_begins() -> None:
    closure = register(1).calendar.closures[0]
    start_us, _ = STORY.closure_us
    assert int(closure.start.timestamp()) * 1_000_000 == start_us
    assert STORY.events()[0].at_us < start_us


@pytest.mark.parametrize("today", [date(2026, 11, 22), date(2028, 2, 29), date(2027, 1, 2)])
def test_every_row_is_taken_but_the_five_that_are_wrong(today: date, tmp_path: Path) -> None:
    story = Story(today)
    folder, done = handed_in(story, tmp_path)
    assert Counter(f.code for i in done for r in i.quarantined for f in r.faults) >= Counter(
        ("conflict", "link", "order", "future")
    )
    assert sum(i.total("quarantined") for i in done) == 5
    assert sum(i.total("duplicates") for i in done) == 0
    assert {kind for i in done for kind in i.counts} == set(KINDS) - {"evaluations"}
    held = {d.kind for d in documents(folder)}
    assert not held & MISSING
    assert held <= set(DOCUMENT_KINDS)
    assert [d.doc_id for d in documents(folder) if d.valid_until and d.valid_until < today] == ["SQ-01"]


def test_trial_batches_are_handed_in_before_they_begin() -> None:
    trials = [lot for lot in lots(STORY) if lot.trial]
    assert len(trials) == len(TRIAL_DAYS)
    notices = [e for e in STORY.events() if e.reason.startswith("试制")]
    for lot, notice in zip(trials, notices, strict=True):
        told = {r["batch_id"]: r for r in csv.DictReader(io.StringIO(delivery(STORY, notice)["batches.csv"]))}
        assert (told[lot.id]["trial"], told[lot.id].get("closed_at", "")) == ("1", "")
        assert notice.at_us < STORY.at_us(lot.operations[0].day, lot.operations[0].start)


def test_each_flaw_is_planted_once_and_one_batch_is_split_and_one_a_rework() -> None:
    found = lots(STORY)
    assert sorted(lot.flaw for lot in found if lot.flaw) == sorted(FLAWS)
    assert 250 <= sum(lot.closed is not None for lot in found) <= 350
    assert any(lot.closed is None and lot.link is None for lot in found)
    assert sorted(lot.link.kind for lot in found if lot.link) == ["rework", "split", "split"]


def test_nothing_in_the_records_is_later_than_their_export() -> None:
    export = STORY.events()[-1]
    newest = max(row["end"] for row in csv.DictReader(io.StringIO(records(STORY)["operations.csv"])))
    assert newest < "2026-11-21T23:30:00+08:00"
    assert export.at_us == STORY.at_us(-1, 23 * 60 + 30)


def test_deliveries_together_hold_every_row_of_the_records_once() -> None:
    handed: Counter[str] = Counter()
    for event in STORY.events():
        if event.kind == "records":
            handed.update({name: text.count("\n") - 1 for name, text in delivery(STORY, event).items()})
    whole = {name: text.count("\n") - 1 for name, text in records(STORY).items()}
    once = set(whole) - {"batches.csv", "orders.csv", "operations.csv", "inspections.csv", "shipments.csv"}
    assert {name: handed[name] for name in once} == {name: whole[name] for name in once}
    assert handed["operations.csv"] == whole["operations.csv"] + 2  # two of the wrong rows


def test_same_seed_and_day_give_the_same_paper_and_another_seed_another() -> None:
    again = Story(date(2026, 11, 22), seed=1)
    assert records(STORY) == records(Story(date(2026, 11, 22)))
    assert records(STORY) != records(again)
    assert [p.raw for p in papers(STORY, PAPER_DAY)] == [p.raw for p in papers(Story(date(2026, 11, 22)), PAPER_DAY)]


def test_papers_say_in_their_first_line_that_they_are_simulated() -> None:
    assert all(p.raw.decode().startswith("演示材料") for day in (PAPER_DAY, -1) for p in papers(STORY, day))
