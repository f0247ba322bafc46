"""The passing path is real: machines that announce nothing, the plant's own key, real sockets; verify ends with 0 at E0."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.batch import Batch, Outcome
from adapters.contract import Site
from adapters.registry import build
from collector.capture import DRIVEN, Capture
from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.ledger import log
from collector.maintain import maintain
from collector.revisions import apply_register, registers
from collector.store.lines import read_hours
from config.settings import PlantTable
from simulators.story import HOUR_US, Story
from simulators.workshop import Ports, register_toml
from tests.e2e.conftest import plantproof

PLANT = PlantTable(name="兰州某阀门有限公司", credit_code="91620100MA71ABCD1X")
MINUTES = 125  # two whole hours and a little


@pytest.fixture
def silent_workshop() -> Iterator[Ports]:
    """The workshop's servers, saying nothing of being simulated."""
    process = subprocess.Popen(
        [sys.executable, "-m", "plantproof", "simulate", "--no-announce"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Ports(**json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(15)
        if process.stdout:
            process.stdout.close()


async def collect(folder: DataFolder, clock: DrivenClock) -> set[str]:
    """Two hours of one-minute polls over the wire, the clock moved by hand; the devices that delivered."""
    delivered: set[str] = set()
    capture = Capture(folder, clock, DRIVEN)
    await capture.start("test")

    async def emit(*batches: Batch, urgent: bool = False) -> None:
        await capture.emit(*batches, urgent=urgent)
        delivered.update(b.device for b in batches if Outcome(int(b.outcome[-1])).is_contact)

    register = registers(folder)[-1].register
    tasks = [asyncio.create_task(a.run(emit, capture.identify)) for a in build(register, Site(clock))]
    polled = [d.id for d in register.devices if d.connection and d.connection.protocol != "mqtt"]
    for _ in range(MINUTES):
        rows = capture.rows
        clock.advance_to(clock.now_us() + 60_000_000)
        for _ in range(200):  # until this minute's polls are on disk; a slow machine is not a failure
            await asyncio.sleep(0.01)
            if capture.rows - rows >= len(polled):
                break
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await capture.stop("test")
    return delivered


async def test_an_unannounced_plant_with_its_own_key_reaches_exit_0_at_grade_e0(
    tmp_path: Path, silent_workshop: Ports
) -> None:
    today = datetime.now(UTC).date()
    story = Story(today)
    hour_s = int(datetime.now(UTC).replace(minute=0, second=0, microsecond=0).timestamp())
    clock = DrivenClock(hour_s * 1_000_000 - 3 * HOUR_US + 1_000_000)  # past each device's slot in the minute
    folder = create_folder(tmp_path / "data", PLANT, "live", clock)
    register = tmp_path / "register.toml"
    register.write_text(register_toml(story, 2, silent_workshop))
    apply_register(folder, register, "首次建立台账", clock, "设备科")
    delivered = await collect(folder, clock)
    assert len(delivered) >= 20, sorted(delivered)
    after = Capture(folder, clock, DRIVEN)  # the next start closes the file and the hours before
    clock.advance_to(clock.now_us() + HOUR_US)
    await after.start("test")
    await after.stop("test")
    assert maintain(folder).sealed >= 2
    first = clock.now_us() // HOUR_US - 24
    lines = read_hours(folder, first, first + 25)
    assert set(lines.device["origin"]) == {"live"}
    assert lines.device["polls_ok"].sum() > 20 * 100
    built = plantproof("pack", "build", "--data", str(folder.path), "--json")
    assert built.returncode == 0, built.stderr
    pack = json.loads(built.stdout)["path"]
    assert not Path(pack).name.endswith(("-DEMO.zip", "-REPLAY.zip"))
    known = plantproof("verify", pack, "--key", folder.genesis["public_key"])
    assert known.returncode == 0, known.stdout
    assert "E0" in known.stdout
    assert plantproof("verify", pack).returncode == 7  # genuine for all we know, but whose key is it?
    assert plantproof("verify", pack, "--key", "00" * 32).returncode == 7
    assert log.verify_log(folder.ledger).size > 5
