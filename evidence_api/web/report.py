"""The numbers of the page: `state/reports/`, one report per instrument, written by one child process: `plantproof check --all`.

In: a data folder and the command. Out: `ReportView`: one instrument's report as it is, the index of all, whether a newer seal exists.
The web process never counts anything itself, so page, API and command line show the same integers by construction.
At most one child at a time, with a time limit; its last words are kept when it fails. A failed run is tried again after a pause.
The files are derived: deleting them costs one run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from metrics.report_json import (
    DEADLINES_FORMAT,
    FINDINGS,
    FINDINGS_FORMAT,
    FORMAT,
    INDEX,
    INDEX_FORMAT,
    deadlines_path,
    report_path,
)

REPORTS = "reports"
TIMEOUT_S = 300.0
RETRY_S = 60.0
POLL_S = 5.0
KEPT = 6  # parsed files: report, deadlines and findings on the page, and what somebody else looks at
DAY_US = 86_400_000_000
# `check` exits 0 (bar met) or 3 (ran, below the bar): both are answers.
ANSWERS = (0, 3)
_REPORT_SHAPE = {
    "day": str,
    "end_us": int,
    "size": int,
    "instrument": dict,
    "criteria": list,
    "results": list,
    "verdicts": list,
    "levels": list,
    "references": list,
}
_INDEX_SHAPE = {"day": str, "at_us": int, "end_us": int, "size": int, "default": str, "instruments": list}
_DEADLINES_SHAPE = {"day": str, "size": int, "instrument": dict, "recorded": dict, "deadlines": list, "levels": list}
_FINDINGS_SHAPE = {"day": str, "size": int, "raw_read": bool, "not_checked": list, "findings": list}


@dataclass(frozen=True, slots=True)
class ReportView:
    """`body` is None until a first run has ended, or where no such instrument was judged. `size`: ledger entries it was made from.

    instruments: those of the index, the site's own first. at_us: the plant midnight the run took for now.
    program, shipped_rules: what made them, as the index says; empty in an older one.
    deadlines, findings: what the same run left beside the report; None where it did not.
    """

    body: dict[str, Any] | None
    size: int
    written_ms: int
    running: bool
    problem: str
    instruments: tuple[dict[str, Any], ...] = ()
    at_us: int = 0
    program: str = ""
    shipped_rules: str = ""
    deadlines: dict[str, Any] | None = None
    findings: dict[str, Any] | None = None

    def older_than(self, index: int) -> bool:
        """True when the entry at that place in the ledger is not in these numbers."""
        return index >= 0 and self.size <= index

    def of_other_rules(self, program: str, shipped_rules: str, since_ms: int) -> bool:
        """True when other rules, or before `since_ms` another version, made these numbers.

        A version that came later than this process is newer than it: its reports stay.
        """
        version = self.program != program and self.written_ms < since_ms
        return self.size >= 0 and (version or self.shipped_rules != shipped_rules)

    def day_over(self, now_us: int) -> bool:
        """True when the plant day of these numbers has ended: what was due in a day may be overdue."""
        return bool(self.instruments) and now_us - self.at_us >= DAY_US

    def find(self, name: str) -> str | None:
        """The id of an instrument by id or by its last part (`SD25`); the site's own for an empty name."""
        ids = [i["id"] for i in self.instruments]
        if not name:
            return ids[0] if ids else None
        return next((i for i in ids if name in (i, i.rpartition("/")[2])), None)


def check_command(folder: Path) -> tuple[str, ...]:
    """`plantproof check --all` on that folder, with this interpreter."""
    reports = str(folder / "state" / REPORTS)
    return (
        *(sys.executable, "-m", "plantproof", "check", "--all", "--json", "--json-dir", reports),
        *("--data", str(folder)),
    )


class ReportKeeper:
    """Keeps `state/reports/` no older than the newest seal. Owner of the one child process."""

    def __init__(self, state: Path, command: Sequence[str], timeout_s: float = TIMEOUT_S) -> None:
        self._folder = state / REPORTS
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._problem = ""
        self._lock = asyncio.Lock()
        self._kept: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}

    def view(self, name: str = "") -> ReportView:
        """What is there now of one instrument (empty: the site's own); never waits for the child."""
        nothing = ReportView(None, -1, 0, self._lock.locked(), self._problem)
        path = self._folder / INDEX
        try:
            index, written_ms = self._read(path, parse_index)
            found = tuple(index["instruments"])
            at_us, size = index["at_us"], index["size"]
            made_by: dict[str, Any] = {k: str(index.get(k, "")) for k in ("program", "shipped_rules")}
            view = replace(nothing, size=size, written_ms=written_ms, instruments=found, at_us=at_us, **made_by)
            instrument = view.find(name)
            if instrument is None:
                return view
            path = report_path(self._folder, instrument)
            body, written_ms = self._read(path, parse_report)
            path = deadlines_path(self._folder, instrument)
            view = replace(view, deadlines=_of_same_run(self._beside(path, parse_deadlines), body))
            path = self._folder / FINDINGS
            view = replace(view, findings=_of_same_run(self._beside(path, parse_findings), body))
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError) as err:
            return replace(nothing, problem=f"{path}: 不是 check 的输出: {err}")
        # a run that died between two files leaves an older index, the last of them: then all of it is still due
        return replace(view, body=body, size=min(body["size"], size), written_ms=written_ms)

    def raw(self, instrument: str) -> bytes:
        """The bytes of one report. Errors: OSError, ValueError."""
        return report_path(self._folder, instrument).read_bytes()

    def raw_deadlines(self, instrument: str, ending: str = "json") -> bytes:
        """The bytes of one instrument's deadlines, as JSON or as `ics`. Errors: OSError, ValueError."""
        return deadlines_path(self._folder, instrument, ending).read_bytes()

    def raw_findings(self) -> bytes:
        """The bytes of the findings. Errors: OSError."""
        return (self._folder / FINDINGS).read_bytes()

    async def follow(self, due: Callable[[], bool]) -> None:
        """Until cancelled: run the command whenever `due()` (asked on a worker thread) says so."""
        while True:
            pause_s = POLL_S
            if await asyncio.to_thread(_safely, due) and not await self.refresh():
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)

    async def refresh(self) -> bool:
        """One run; True when it left reports. A run already under way is waited for, not doubled."""
        if self._lock.locked():
            async with self._lock:
                return not self._problem
        async with self._lock:
            self._problem = await self._run()
            return not self._problem

    def _read(self, path: Path, parse: Callable[[bytes], dict[str, Any]]) -> tuple[dict[str, Any], int]:
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        kept = self._kept.get(path)
        if kept is None or kept[0] != stamp:
            kept = (stamp, parse(path.read_bytes()))
        self._kept.pop(path, None)
        self._kept[path] = kept  # newest last
        for old in [p for p in self._kept if p.name != INDEX][:-KEPT]:
            del self._kept[old]
        return kept[1], stamp[0] // 1_000_000

    def _beside(self, path: Path, parse: Callable[[bytes], dict[str, Any]]) -> dict[str, Any] | None:
        """What an older run did not write is not there; what cannot be read is an error."""
        try:
            return self._read(path, parse)[0]
        except FileNotFoundError:
            return None

    async def _run(self) -> str:
        """What went wrong; empty when nothing did."""
        pipe = asyncio.subprocess.PIPE
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
            )
        except OSError as err:
            return f"无法启动 {self._command[0]}: {err.strerror}"
        try:
            async with asyncio.timeout(self._timeout_s):
                _, talk = await child.communicate()
        except TimeoutError:
            return f"plantproof check 超过 {self._timeout_s:.0f} 秒没有结束，已停止"
        finally:
            if child.returncode is None:  # time limit, or we are asked to end
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode not in ANSWERS:
            words = talk.decode(errors="replace").strip().splitlines()
            return f"plantproof check 退出码 {child.returncode}: {words[-1][:300] if words else '没有说明'}"
        try:
            parse_index((self._folder / INDEX).read_bytes())
        except (OSError, ValueError) as err:
            return f"plantproof check 没有写出合格的报告: {err}"
        return ""


def parse_index(raw: bytes) -> dict[str, Any]:
    """The index, as far as this package depends on its shape. Errors: ValueError."""
    body = _shaped(raw, INDEX_FORMAT, _INDEX_SHAPE)
    for instrument in body["instruments"]:
        if not isinstance(instrument, dict) or not isinstance(instrument.get("id"), str):
            raise ValueError("instruments: expected objects with an id")
    return body


def parse_report(raw: bytes) -> dict[str, Any]:
    """A report, as far as this package depends on its shape. Errors: ValueError."""
    return _shaped(raw, FORMAT, _REPORT_SHAPE)


def parse_deadlines(raw: bytes) -> dict[str, Any]:
    """Deadlines of one instrument, as far as this package depends on their shape. Errors: ValueError."""
    return _shaped(raw, DEADLINES_FORMAT, _DEADLINES_SHAPE)


def parse_findings(raw: bytes) -> dict[str, Any]:
    """The findings, as far as this package depends on their shape. Errors: ValueError."""
    return _shaped(raw, FINDINGS_FORMAT, _FINDINGS_SHAPE)


def _shaped(raw: bytes, wanted: str, shape: dict[str, type]) -> dict[str, Any]:
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("expected an object")
    if body.get("format") != wanted:
        raise ValueError(f"format: expected {wanted}, found {body.get('format')!r}")
    for key, kind in shape.items():
        if not isinstance(body.get(key), kind):
            raise ValueError(f"{key}: expected {kind.__name__}")
    date.fromisoformat(body["day"])
    return body


def _of_same_run(beside: dict[str, Any] | None, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """What stands beside a report, unless it was made from another part of the ledger or for another day: two runs are never mixed."""
    same = beside is not None and (beside["size"], beside["day"]) == (body["size"], body["day"])
    return beside if same else None


def _safely(due: Callable[[], bool]) -> bool:
    """A folder that cannot be read now is not due now; the page says what is wrong with it."""
    try:
        return due()
    except OSError:
        return False
