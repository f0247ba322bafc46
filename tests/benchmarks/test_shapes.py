"""The benchmarks still fit the product: their workload is accepted, sealed and weighed. Small shapes, no timing."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bound, ingest, limits, nist, reads, rules, rules_plant, rules_sheet, size, workload
from benchmarks.run import PARTS, RESULTS, Figure
from collector.folder import open_folder
from collector.store.lines import read_hours


def test_the_same_seed_gives_the_same_workload() -> None:
    one, other = (workload.generate(3, 120, seed=5) for _ in range(2))
    assert np.array_equal(one.source_us, other.source_us)
    assert all(np.array_equal(one.values[name], other.values[name]) for name in one.values)


def test_workload_ends_with_its_day() -> None:
    work = workload.generate(2, 90)
    assert (work.start_us + 90 * workload.SECOND_US) % workload.DAY_US == 0
    assert work.points == 2 * 90 * 10
    assert set(work.values) == {p.name for p in workload.WIDE.points}


def test_one_second_is_one_row_of_each_device() -> None:
    batches = workload.second_batches(workload.generate(4, 3), 2)
    assert [b.device for b in batches] == ["CNC-001", "CNC-002", "CNC-003", "CNC-004"]
    assert {len(b) for b in batches} == {1}


def test_ingest_seals_every_row_it_counts(tmp_path: Path) -> None:
    work = workload.generate(3, 700)  # longer than a ten-minute file
    found = ingest.ingest(tmp_path / "data", work)
    assert (found.frames, found.sealed) == (700, 1)
    assert len(found.append_ms) >= 698
    hour = work.start_us // 3_600_000_000
    lines = read_hours(open_folder(tmp_path / "data"), hour, hour + 1)
    assert lines.device["polls_ok"].to_list() == [700] * 3


def test_wide_and_event_rows_of_a_day_are_stored_and_weighed(tmp_path: Path) -> None:
    work = workload.generate(2, 3600)
    wide, event = size.wide_day(tmp_path / "wide", work), size.event_day(tmp_path / "event", work)
    assert (wide.rows, event.rows) == (7200, 72_000)
    least = bound.bound_of(work)
    assert 1 < wide.bytes_per_point / least.wide_bytes < 3
    assert 1 < event.bytes_per_point / least.event_bytes < 3
    assert reads.measure(wide.folder, work.devices).scan_peak_mb > 0


def test_event_batches_come_in_the_order_of_arrival() -> None:
    (_, (batch,)), *_ = size.event_batches(workload.generate(1, 60))
    assert len(batch) == 600
    assert bool(np.all(np.diff(batch.source_us + batch.lag_us) >= 0))


def test_entropy_of_known_codes() -> None:
    codes = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    assert bound.entropy(codes) == pytest.approx(1.0)
    assert bound.conditional(codes[1:], codes[:-1]) == pytest.approx(0.0)
    assert bound.conditional(codes, np.zeros(8)) == pytest.approx(1.0)


def test_a_short_recording_is_weighed(tmp_path: Path) -> None:
    recording = Path(__file__).parents[1] / "data/nist/Mazak03.csv.gz"
    if not recording.exists():
        recording = nist.RECORDING
    if not recording.exists():
        pytest.skip("no NIST recording here")
    rows = nist.read(recording)
    part = slice(0, 500)
    bits = bound.recording_bits(rows.stamps_us[part], rows.tag[part], rows.values[part])
    assert set(bits) == {"tag", "time", "value"}
    assert all(b >= 0 for b in bits.values())


def test_disk_limit_has_both_percentiles_in_order(tmp_path: Path) -> None:
    p50, p99 = limits.append_ms(tmp_path)
    assert 0 < p50 <= p99


def test_kept_results_have_the_agreed_fields() -> None:
    assert set(PARTS) == {"ingest", "size", "nist", "demo", "collect", "rules"}
    if RESULTS.exists():
        kept = json.loads(RESULTS.read_text(encoding="utf-8"))
        assert all(set(f) == {x.name for x in fields(Figure)} for f in kept)


def test_the_rules_part_measures_a_plant_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REPEATS", 1)
    found = {f.name: f for f in rules.figures(tmp_path, rules_plant.Shape(lines=1, days=3), 40)}
    assert found["register.errors_found"].value == rules_sheet.ERRORS
    assert "0 quarantined" in found["records.import_rows_per_s"].method
    agreed = {
        "metrics.all_s",
        "metrics.peak_mb",
        "metrics.vs_single_pass",
        "metrics.one_hour_ms",
        "register.import_5000_s",
    }
    assert agreed <= found.keys()
