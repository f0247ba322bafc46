"""Memory of the demo's whole process tree while it is live: simulated machines, collector, web, and the parent.

In: a place for its data. Out: `TreeMemory`, proportional set size (PSS, /proc/<pid>/smaps_rollup) summed over the tree, which counts
shared pages once. `plantproof demo` is started as a user does, left until it says what to do next, watched, then ended by SIGINT.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

WATCH_S, EVERY_S = 30.0, 1.0
LIVE_WITHIN_S = 240.0
LIVE_MARK = "接下来"  # the demo's last words before it waits


class TreeError(Exception):
    """The demo did not become live."""


Sample = dict[int, tuple[str, float]]  # process id -> command, PSS in MB


@dataclass(frozen=True, slots=True)
class TreeMemory:
    """MB of PSS: largest sum of the processes that stay, largest sum with short-lived children; seconds until live."""

    staying_mb: float
    staying: tuple[tuple[str, float], ...]
    peak_mb: float
    passing: tuple[tuple[str, float], ...]
    live_s: float


def watch_demo(place: Path) -> TreeMemory:
    """Run the demo and watch it. Errors: `TreeError`."""
    said = place / "demo.log"
    begun = time.monotonic()
    with said.open("wb") as log:
        demo = subprocess.Popen(
            [sys.executable, "-m", "plantproof", "demo", "--data", str(place / "demo"), "--port", "0"],
            stdout=log,
            stderr=log,
            cwd=place,
        )
    try:
        _wait_until_live(demo, said, begun + LIVE_WITHIN_S)
        live_s = time.monotonic() - begun
        samples: list[Sample] = []
        while time.monotonic() < begun + live_s + WATCH_S:
            samples.append(tree_pss_mb(demo.pid))
            time.sleep(EVERY_S)
    finally:
        demo.send_signal(signal.SIGINT)
        try:
            demo.wait(20)
        except subprocess.TimeoutExpired:
            demo.kill()
            demo.wait()
    return _summed(samples, live_s)


def tree_pss_mb(root: int) -> Sample:
    """Command and PSS of a process and everything below it."""
    found = {}
    for pid in _tree(root):
        with suppress(OSError):  # a child that has just ended
            found[pid] = (_command(pid), _pss_kb(pid) / 1000)
    return found


def _summed(samples: list[Sample], live_s: float) -> TreeMemory:
    stay = set.intersection(*(set(s) for s in samples))
    staying = max(([s[pid] for pid in stay] for s in samples), key=_total)
    peak = max(samples, key=lambda s: _total(s.values()))
    passing = [peak[pid] for pid in peak if pid not in stay]
    return TreeMemory(_total(staying), tuple(staying), _total(peak.values()), tuple(passing), live_s)


def _total(parts: Iterable[tuple[str, float]]) -> float:
    return sum(mb for _, mb in parts)


def _wait_until_live(demo: subprocess.Popen[bytes], said: Path, deadline: float) -> None:
    while LIVE_MARK not in said.read_text(encoding="utf-8", errors="replace"):
        if demo.poll() is not None or time.monotonic() > deadline:
            raise TreeError(
                f"demo: expected to be live, found: {said.read_text(encoding='utf-8', errors='replace')[-400:]}"
            )
        time.sleep(0.2)


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def _command(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    after = [w for w in words if not w.startswith("-")]
    return next((w for w in after[1:] if w not in ("plantproof", "")), os.path.basename(after[0]))


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
