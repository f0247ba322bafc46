"""kill -9 of the collector under load, in every stage: no acknowledged frame is lost, the ledger verifies, one seal an hour.

Each stage keeps one folder over all its kills, so what one crash left is what the next one meets.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from collector import journal
from collector.audit import audit
from collector.capture import Capture
from collector.clock import DrivenClock
from collector.folder import DataFolder
from collector.frame import ROWS
from collector.ledger import log
from collector.maintain import maintain
from collector.recompute import recompute_hour
from collector.store.catalog import open_catalog
from collector.store.lines import read_lines
from collector.store.scan import scan
from tests.builders import FIRST_HOUR, HOUR_US, SECOND_US, Driver, simple_register
from tests.collector.kill_child import DEVICES, LIVE_LIKE, POINTS
from tests.collector.test_hour_lines import seals_of

KILLS = 15
TORN = {("append", "write"), ("ledger", "fsync")}  # calls that can be interrupted half-way
# stage -> (seconds of the driven clock per frame, new files per maintenance, frames at most, calls until it dies at most)
PACE = {
    "append": (60, 3, 400, 60),
    "rotate": (120, 4, 400, 12),
    "segment": (120, 3, 400, 5),
    "merge": (3000, 10, 200, 2),
    "seal": (600, 6, 400, 3),
    "ledger": (600, 6, 400, 4),
    "any time": (300, 4, 4000, 0),
}


class Children:
    """The server that forks the children to be killed."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("kill_child.py"))]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(root)},
        )

    def run(self, job: dict[str, Any], kill_after_s: float | None = None) -> tuple[int, list[Any]]:
        """(exit code, acknowledgements) of one child; with `kill_after_s`, killed from outside so long after its first one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        pid, acknowledged = 0, list[Any]()
        for line in self._process.stdout:
            word, body = line.split(" ", 1)
            if word == "dead":
                return int(body), acknowledged
            assert word != "error", body
            if word == "pid":
                pid = int(body)
            elif word == "ack":
                acknowledged.append(json.loads(body))
                if kill_after_s is not None and len(acknowledged) == 1:
                    time.sleep(kill_after_s)
                    os.kill(pid, signal.SIGKILL)
        raise AssertionError("the server of children ended")

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    """One server for all stages."""
    server = Children()
    yield server
    server.close()


def stored(folder: DataFolder) -> tuple[set[tuple[str, int, int]], set[int], int]:
    """((device, source time, count) of every stored row, frames they came in, number of rows at rest)."""
    columns = ["device", "source_us", "p.state", "frame"]
    with open_catalog(folder) as catalog:
        done = catalog.last_seq()
        parts = [pl.read_parquet(folder.segments / s.path, columns=columns) for s in catalog.segments()]
    found = [row for part in parts for row in part.select(columns).iter_rows()]
    paths = journal.files(folder.journal)
    for i, path in enumerate(paths):
        for frame in journal.read_file(path, tail=i == len(paths) - 1):
            for block in frame.blocks if frame.kind == ROWS and frame.seq > done else ():
                devices = [d for d, n in zip(block.devices, block.counts, strict=True) for _ in range(n)]
                states = block.columns[0].values
                found += [
                    (d, int(s), int(v), frame.seq) for d, s, v in zip(devices, block.source_us, states, strict=True)
                ]
    return {r[:3] for r in found}, {r[3] for r in found}, len(found)


class Victim:
    """One folder through many deaths: what was acknowledged, and what must hold after each."""

    def __init__(self, path: Path, stage: str) -> None:
        driver = Driver(path, FIRST_HOUR * HOUR_US)
        driver.register(simple_register(*DEVICES))
        self.folder, self.stage, self.random = driver.folder, stage, random.Random(stage)
        self.now_us, self.rows, self.frames = FIRST_HOUR * HOUR_US, set[tuple[str, int, int]](), set[int]()
        self.lives = self.deaths = 0

    def job(self) -> dict[str, Any]:
        """The next life."""
        pace = PACE[self.stage]
        self.lives += 1
        return {
            "folder": str(self.folder.path),
            "seed": self.lives,
            "start_us": self.now_us + 20 * SECOND_US,
            "first_count": self.lives * 1_000_000,
            "step_us": pace[0] * SECOND_US,
            "maintain_every": pace[1],
            "steps": pace[2],
        }

    def remember(self, acknowledged: list[Any]) -> None:
        """What the pipe said."""
        for seq, now_us, rows in acknowledged:
            self.frames.add(seq)
            self.rows |= {(d, s, v) for d, s, v in rows}
            self.now_us = now_us

    def check(self) -> None:
        """Nothing acknowledged is missing, nothing is there twice, the ledger verifies."""
        rows, frames, count = stored(self.folder)
        assert not self.rows - rows, f"{len(self.rows - rows)} acknowledged rows are lost"
        assert not self.frames - frames
        assert count == len(rows), "rows are there twice"
        assert log.verify_log(self.folder.ledger).size

    async def reopen(self) -> None:
        """Start, stop and maintain as the next day would; then everything again."""
        self.now_us += 700 * SECOND_US
        capture = Capture(self.folder, DrivenClock(self.now_us), LIVE_LIKE)
        await capture.start("after a death")
        await capture.stop("checked")
        maintain(self.folder)
        self.check()
        report = audit(self.folder.path)
        assert report.sound, report.steps
        frames = [s["frames"] for _, s in sorted(seals_of(self.folder).items()) if s["frames"] != [0, 0]]
        assert not frames or frames[0][0] == 1
        assert all(b[0] == a[1] + 1 for a, b in pairwise(frames)), "a seal speaks of all frames of its hour"

    def finish(self) -> None:
        """At the end: the rows as readers see them, and some hours again from raw rows."""
        values = scan(self.folder).filter(pl.col("point") == "state").collect()
        assert set(values.select("device", "source_us", "v_i64").iter_rows()) >= self.rows
        sealed = sorted(seals_of(self.folder))
        for hour in self.random.sample(sealed, min(4, len(sealed))):
            assert recompute_hour(self.folder, hour) == [x.decode() for x in read_lines(self.folder, hour)]
        assert not [p for p in self.folder.segments.rglob("*.tmp") if "quarantine" not in p.parts]
        assert not list((self.folder.segments / "quarantine").rglob("*.parquet"))


@pytest.mark.parametrize("stage", POINTS)
def test_a_collector_killed_in_a_stage_loses_nothing_it_acknowledged(
    tmp_path: Path, children: Children, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = Victim(tmp_path, stage)
    places = [(i, when) for i in range(len(POINTS[stage])) for when in ("before", "after")]
    places += [(i, "torn") for i, point in enumerate(POINTS[stage]) if (stage, point[1]) in TORN]
    died: dict[tuple[int, str], int] = dict.fromkeys(places, 0)
    for attempt in range(4 * KILLS):
        point, when = places[attempt % len(places)]
        nth = victim.random.randrange(1, PACE[stage][3] + 1)
        code, acknowledged = children.run(victim.job() | {"stage": stage, "point": point, "when": when, "nth": nth})
        victim.remember(acknowledged)
        assert code in (0, -signal.SIGKILL)
        died[point, when] += code != 0
        victim.check()
        if attempt % 3 == 2:  # else the next child meets what this one left
            asyncio.run(victim.reopen())
        if sum(died.values()) >= KILLS and all(died.values()):
            break
    asyncio.run(victim.reopen())
    victim.finish()
    _report(capsys, stage, victim, ", ".join(f"{POINTS[stage][p][1]} {w} {n}" for (p, w), n in died.items()))
    assert sum(died.values()) >= KILLS
    assert all(died.values()), died


def test_theme_17_a_collector_killed_at_any_time_from_outside_loses_nothing_it_acknowledged(
    tmp_path: Path, children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = Victim(tmp_path, "any time")
    for attempt in range(KILLS):
        code, acknowledged = children.run(victim.job(), kill_after_s=victim.random.uniform(0.0, 0.4))
        assert code == -signal.SIGKILL
        victim.remember(acknowledged)
        victim.check()
        if attempt % 3 == 2:
            asyncio.run(victim.reopen())
    asyncio.run(victim.reopen())
    victim.finish()
    _report(capsys, "any time", victim, f"from outside {KILLS}")


def _report(capsys: pytest.CaptureFixture[str], stage: str, victim: Victim, died: str) -> None:
    with capsys.disabled():
        sys.stdout.write(
            f"\nkilled in {stage}: {died}; {len(victim.frames)} acknowledged frames, {len(victim.rows)} rows, none lost "
        )
