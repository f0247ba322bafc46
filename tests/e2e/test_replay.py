"""Recordings of real machines, collected over the wire: each recorded value is in the store once, under its machine, tag and time.

NIST over OPC UA and MQTT, NAB over Modbus (../shared/data/README.md says whose they are): none lost, none invented, conflicts listed.
The committed cut runs everywhere; the whole series where ../shared/data is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from collector.folder import DataFolder
from collector.ledger import log
from collector.store.lines import read_hours
from collector.store.scan import conflicts, scan
from config.metric_names import TITLES
from config.rulebook import load_ruleset
from metrics.evaluate import evaluate
from metrics.result import MetricResult
from simulators.recordings import read_samples
from tests.adapters.plant import free_port
from tests.e2e.conftest import plantproof
from tests.e2e.replay_collect import HOUR_US, SLOTS_US, collect_nab, collect_nist
from tests.e2e.replay_recorded import Difference, compare, machines_in

CUT = Path("tests/data")
WHOLE = Path("../shared/data")
WHOLE_NIST = WHOLE / "nist-2019q2"
needs_whole = pytest.mark.skipif(not WHOLE.is_dir(), reason="../shared/data is not here")
Say = Callable[[str], None]
DISTINCT = {"Mazak01": 1_960_219, "Mazak03": 1_030_568, "Hurco04": 149, "GFAgie01": 104}  # the other four 68 each
# Hurcos over OPC UA answer every hour and change nothing; whoever sends an MQTT message on three days is not covered.
NOT_NETWORKED = {
    **dict.fromkeys(("Hurco01", "Hurco02", "Hurco03"), "no_change"),
    **dict.fromkeys(("GFAgie01", "Hurco04", "Hurco06"), "coverage"),
}
CONFLICTING = {"Mazak01": 27, "Mazak03": 12}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.fixture
def broker_port(tmp_path: Path) -> Iterator[int]:
    """Debian's mosquitto; 0 where it is not installed: the machines' process then brings the embedded broker."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        assert os.environ.get("PLANTPROOF_REQUIRE") != "all", "expected mosquitto on this machine, found none"
        yield 0
        return
    port, config = free_port(), tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_inflight_messages 0\nmax_queued_messages 0\n"
    )
    quiet = subprocess.DEVNULL
    with subprocess.Popen([program, "-c", str(config)], stdout=quiet, stderr=quiet) as process:
        try:
            yield port
        finally:
            process.terminate()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Counts are shown whether the test passes or not."""

    def shown(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}")

    return shown


def nothing_lost_or_invented(folder: DataFolder, recordings: Path, say: Say) -> dict[str, Difference]:
    """Every machine of the recordings, one at a time."""
    found = {m: compare(folder, recordings, m) for m in machines_in(recordings)}
    for d in found.values():
        say(
            f"{d.machine}: {d.recorded} distinct recorded, {d.lost} lost, {d.invented} invented, {d.conflicts} conflict"
        )
    assert [d for d in found.values() if d.lost or d.invented or d.unlike] == []
    return found


def origins(folder: DataFolder, start_us: int, end_us: int) -> set[str]:
    return set(read_hours(folder, start_us // HOUR_US, end_us // HOUR_US).device["origin"])


def networked(folder: DataFolder, at_us: int) -> MetricResult:
    """M01 设备联网率 at a moment."""
    report = evaluate(folder, load_ruleset("GS25", TITLES), at_us)
    return next(r for r in report.results if r.metric == "M01")


@pytest.mark.timeout(600)
async def test_the_cut_over_opcua_and_mqtt_is_found_whole_and_its_pack_says_replay(
    tmp_path: Path, broker_port: int, say: Say
) -> None:
    start_us, end_us = at("2019-04-02T14:00Z"), at("2019-06-22T00:00Z")
    recordings = CUT / "nist"
    folder = await collect_nist(recordings, tmp_path, start_us, end_us, broker_port=broker_port, every_hour=False)
    found = nothing_lost_or_invented(folder, recordings, say)
    assert sum(d.recorded for d in found.values()) > 60_000
    assert {m: d.conflicts for m, d in found.items() if d.conflicts} == {"Mazak01": 3, "Mazak03": 2}
    assert len(conflicts(folder)) == 5
    assert origins(folder, start_us, end_us) == {"replay"}
    assert log.verify_log(folder.ledger).size > 100
    built = plantproof("pack", "build", "--data", str(folder.path), "--json")
    assert built.returncode == 0, built.stderr
    pack = json.loads(built.stdout)["path"]
    assert pack.endswith("-REPLAY.zip")
    verified = plantproof("verify", pack, "--key", folder.genesis["public_key"])
    assert verified.returncode == 8, verified.stdout


@pytest.mark.quarter
@needs_whole
@pytest.mark.timeout(1500)
async def test_the_nist_quarter_is_found_whole_and_two_of_its_eight_machines_are_networked(
    tmp_path: Path, broker_port: int, say: Say
) -> None:
    """The quarter by the plant's calendar: 2019-04-01 to 06-30, UTC+8."""
    start_us, end_us = at("2019-04-01T00:00+08:00"), at("2019-07-01T00:00+08:00")
    folder = await collect_nist(WHOLE_NIST, tmp_path, start_us, end_us, broker_port=broker_port, every_hour=True)
    found = nothing_lost_or_invented(folder, WHOLE_NIST, say)
    assert {m: d.recorded for m, d in found.items()} == {m: DISTINCT.get(m, 68) for m in found}
    assert len(found) == 8
    assert {m: d.conflicts for m, d in found.items() if d.conflicts} == CONFLICTING
    assert origins(folder, start_us, end_us) == {"replay"}
    assert log.verify_log(folder.ledger).size > 2184
    result = networked(folder, end_us)
    bounds = [(b.numerator, b.denominator) for b in (result.lower, result.value, result.upper)]
    say(f"M01 设备联网率 lower, value, upper: {bounds}")
    assert bounds == [(2, 8)] * 3  # every confirming read is in its own hour, so nothing of the value came late
    assert {m.id: m.why for m in result.members} == {"Mazak01": "ok", "Mazak03": "ok"} | NOT_NETWORKED
    assert result.simulated


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(CUT / "nab_machine_temperature.csv", id="cut"),
        pytest.param(
            WHOLE / "nab_machine_temperature.csv",
            id="whole",
            marks=[pytest.mark.quarter, needs_whole, pytest.mark.timeout(900)],
        ),
    ],
)
async def test_nab_over_modbus_is_found_whole_each_sample_under_its_own_time(
    path: Path, tmp_path: Path, say: Say
) -> None:
    """One sample per completed read. In the whole series 12 stamps come twice: its clock goes back by 55 minutes once."""
    samples = read_samples(path)
    recorded = {(s.at_us + SLOTS_US, s.value) for s in samples}
    folder = await collect_nab(samples, tmp_path)
    reads = scan(folder, devices=["NAB"], shape="wide").filter(pl.col("outcome") == 0).collect()
    assert (
        reads["p.sample_time"] * 1000 + SLOTS_US == reads["source_us"]
    ).all()  # the sample's own stamp, a second before
    values = scan(folder, devices=["NAB"]).collect()
    found = facts(values.filter(pl.col("point") == "temperature"))
    say(f"NAB: {len(samples)} samples, {len(recorded)} distinct recorded, {len(found)} distinct found")
    assert sorted(found) == sorted(recorded)
    stamps = values.filter(pl.col("point") == "sample_time")
    assert sorted(stamps["source_us"]) == sorted({s.at_us + SLOTS_US for s in samples})
    assert (stamps["v_i64"] * 1000 + SLOTS_US == stamps["source_us"]).all()
    twice = Counter(at_us for at_us, _ in recorded)
    listed = conflicts(folder)
    assert set(listed["point"]) <= {"temperature"}
    assert sorted(facts(listed)) == sorted(r for r in recorded if twice[r[0]] > 1)
    times = [s.at_us for s in samples]
    assert origins(folder, min(times), max(times)) == {"replay"}
    assert log.verify_log(folder.ledger).size > len(samples) // 12


def facts(values: pl.DataFrame) -> list[tuple[int, float]]:
    return list(zip(values["source_us"], values["v_f64"], strict=True))
