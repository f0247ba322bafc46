"""The numbers of the page: `state/report.json`, the output of `plantproof check --json`, made by a child process.

In: a data folder and the command. Out: `ReportView`: the report as it is, and whether a newer seal exists than it knows.
The web process never counts anything itself, so page, API and command line show the same integers by construction.
At most one child at a time, with a time limit; its last words are kept when it fails. A failed run is tried again after a pause.
The file is derived: deleting it costs one run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from collector.durable import write_durably

REPORT = "report.json"
FORMAT = "plantproof-report/1"  # metrics/report.py
TIMEOUT_S = 300.0
RETRY_S = 60.0
POLL_S = 5.0
# `check` exits 0 (bar met) or 3 (ran, below the bar): both are answers.
ANSWERS = (0, 3)


@dataclass(frozen=True, slots=True)
class ReportView:
    """`body` is None until a first run has ended. `size`: ledger entries it was made from."""

    body: dict[str, Any] | None
    size: int
    written_ms: int
    running: bool
    problem: str

    def older_than(self, seal_index: int) -> bool:
        """True when the seal at that place in the ledger is not in these numbers."""
        return self.body is None or self.size <= seal_index


def check_command(folder: Path) -> tuple[str, ...]:
    """`plantproof check --json` on that folder, with this interpreter."""
    return (sys.executable, "-m", "plantproof", "check", "--json", "--data", str(folder))


class ReportKeeper:
    """Keeps `state/report.json` no older than the newest seal. Owner of the one child process."""

    def __init__(self, state: Path, command: Sequence[str], timeout_s: float = TIMEOUT_S) -> None:
        self._path = state / REPORT
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._problem = ""
        self._lock = asyncio.Lock()
        self._kept: tuple[tuple[int, int], dict[str, Any]] | None = None

    def view(self) -> ReportView:
        """What is there now; never waits for the child."""
        running = self._lock.locked()
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if self._kept is None or self._kept[0] != stamp:
                self._kept = (stamp, _report(self._path.read_bytes()))
        except FileNotFoundError:
            return ReportView(None, -1, 0, running, self._problem)
        except (OSError, ValueError) as err:
            return ReportView(None, -1, 0, running, f"{self._path}: 不是 check 的输出: {err}")
        body = self._kept[1]
        return ReportView(body, body["size"], stamp[0] // 1_000_000, running, self._problem)

    async def follow(self, due: Callable[[], bool]) -> None:
        """Until cancelled: run the command whenever `due()` (asked on a worker thread) says so."""
        while True:
            pause_s = POLL_S
            if await asyncio.to_thread(_safely, due) and not await self.refresh():
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)

    async def refresh(self) -> bool:
        """One run; True when a new report was written. A run already under way is waited for, not doubled."""
        if self._lock.locked():
            async with self._lock:
                return not self._problem
        async with self._lock:
            raw, self._problem = await self._run()
            if raw is None:
                return False
            await asyncio.to_thread(write_durably, self._path, raw)
            return True

    async def _run(self) -> tuple[bytes | None, str]:
        pipe = asyncio.subprocess.PIPE
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
            )
        except OSError as err:
            return None, f"无法启动 {self._command[0]}: {err.strerror}"
        try:
            async with asyncio.timeout(self._timeout_s):
                out, talk = await child.communicate()
        except TimeoutError:
            return None, f"plantproof check 超过 {self._timeout_s:.0f} 秒没有结束，已停止"
        finally:
            if child.returncode is None:  # time limit, or we are asked to end
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode not in ANSWERS:
            words = talk.decode(errors="replace").strip().splitlines()
            return None, f"plantproof check 退出码 {child.returncode}: {words[-1][:300] if words else '没有说明'}"
        try:
            _report(out)
        except ValueError as err:
            return None, f"plantproof check --json 的输出不合格式: {err}"
        return out, ""


def _safely(due: Callable[[], bool]) -> bool:
    """A folder that cannot be read now is not due now; the page says what is wrong with it."""
    try:
        return due()
    except OSError:
        return False


def _report(raw: bytes) -> dict[str, Any]:
    """The report, as far as this package depends on its shape. Errors: ValueError."""
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("expected an object")
    if body.get("format") != FORMAT:
        raise ValueError(f"format: expected {FORMAT}, found {body.get('format')!r}")
    shape = {
        "day": str,
        "end_us": int,
        "size": int,
        "instrument": dict,
        "results": list,
        "verdicts": list,
        "levels": list,
    }
    for key, kind in shape.items():
        if not isinstance(body.get(key), kind):
            raise ValueError(f"{key}: expected {kind.__name__}")
    date.fromisoformat(body["day"])
    return body
