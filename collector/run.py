"""The collector process: adapters on one side, the journal on the other, everything right of the journal in a child.

In: settings, a data folder with a register. Out: rows on disk, until a signal says stop. One device's failure touches nothing else.
On SIGTERM or SIGINT: adapters are cancelled, what they had emitted is flushed, a stop frame and leaf are written (within 5 s).
Refuses (`RunError`): a folder without a register. A journal that cannot be written ends the process loudly (exit 5).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from adapters.batch import Batch
from adapters.contract import Adapter, Site
from adapters.registry import Link, adapter_of, connections
from adapters.template import Source
from collector.capture import Capture, CaptureError, Cutting
from collector.clock import SystemClock
from collector.durable import write_durably
from collector.folder import DataFolder
from collector.journal import JournalError
from collector.ledger import log as ledger_log
from collector.ledger.entry import LedgerError
from collector.revisions import registers
from config.settings import StoreTable

log = structlog.get_logger("collector")
STATE_EVERY_S = 5.0
RETRY_S = 10.0
STOP_WITHIN_S = 3.0
LEAN = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
}  # what is freed goes back: a third less at the peak


class RunError(Exception):
    """The collector cannot start (exit code 4)."""


@dataclass(frozen=True, slots=True)
class _Running:
    """An adapter, the devices it has, and the task that keeps it going."""

    adapter: Adapter
    sources: list[Source]
    task: asyncio.Task[None]


class Collector:
    """One run of the collector over one data folder."""

    def __init__(self, folder: DataFolder, store: StoreTable, *, accept_clock: bool = False) -> None:
        self._folder = folder
        self._accept_clock = accept_clock
        self._clock = SystemClock()
        self._site = Site(self._clock, keys=folder.keys, state=folder.state)
        cutting = Cutting(store.flush_ms, store.segment_minutes * 60_000_000)
        self._capture = Capture(folder, self._clock, cutting, self._maintain_in_child)
        self._state: dict[str, dict[str, int | str]] = {}
        self._child: asyncio.Task[None] | None = None
        self._again = False
        self._revision = 0
        self._register_changed = asyncio.Event()

    async def run(self) -> None:
        """Collect until a signal comes. Errors: `RunError`, `JournalError`, `CaptureError`."""
        self._connections()  # a register that cannot be used is said before anything is written
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self._capture.start("run", accept_clock=self._accept_clock)
        work = (self._collect(), self._beat(), stopped.wait())
        tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(x) for x in work]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await _cancelled(rest)
        failure = next((e for t in done if (e := t.exception())), None)
        if failure is None:
            await self._capture.stop("signal")
        self._write_state(running=False)
        if self._child:
            self._child.cancel()
        if failure is not None:
            raise failure

    async def _collect(self) -> None:
        """Run the adapters of the newest register. When another revision is applied, only what it changes is touched."""
        running: dict[Link, _Running] = {}
        try:
            while True:
                self._register_changed.clear()
                await self._take_over(running, self._connections())
                log.info("collecting", devices=sum(len(r.sources) for r in running.values()), register=self._revision)
                changed = asyncio.create_task(self._register_changed.wait())
                tasks = {changed, *(r.task for r in running.values())}
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                failure = next((e for t in done if (e := t.exception())), None)
                if failure is not None:
                    raise failure
        finally:
            await _cancelled([r.task for r in running.values()])

    async def _take_over(self, running: dict[Link, _Running], wanted: dict[Link, list[Source]]) -> None:
        """End the connections that are gone, hand changed devices to those that stay, begin the new ones."""
        gone = [link for link in running if link not in wanted]
        await _cancelled([running.pop(link).task for link in gone])
        devices = {s.device for sources in wanted.values() for s in sources}
        self._state = {d: state for d, state in self._state.items() if d in devices}
        for link, sources in wanted.items():
            there = running.get(link)
            if there is None:
                running[link] = self._begun(sources)
            elif there.sources != sources:
                running[link] = await self._changed(there, sources)

    def _begun(self, sources: list[Source]) -> _Running:
        adapter = adapter_of(sources, self._site)
        return _Running(adapter, sources, asyncio.create_task(self._kept(adapter)))

    async def _changed(self, there: _Running, sources: list[Source]) -> _Running:
        """The adapter with its changed devices; one that cannot take them over begins anew, and costs nobody else anything."""
        try:
            await there.adapter.apply(sources)
        except Exception:
            log.exception("适配器未能接受新台账，重新开始 adapter begun anew", devices=list(there.adapter.devices))
            await _cancelled([there.task])
            return self._begun(sources)
        return _Running(there.adapter, sources, there.task)

    async def _kept(self, adapter: Adapter) -> None:
        """One adapter, again and again. A fault of its own stops nobody else; what the store cannot do ends the run."""
        while True:
            try:
                await adapter.run(self._emit, self._capture.identify)
            except (JournalError, CaptureError, LedgerError):
                raise
            except Exception:
                log.exception("适配器出错，稍后重试 adapter failed; tried again", devices=list(adapter.devices))
            await asyncio.sleep(RETRY_S)

    def _connections(self) -> dict[Link, list[Source]]:
        revisions = registers(self._folder)
        if not revisions:
            raise RunError(
                f"{self._folder.path}: 还没有设备台账 (expected an applied register, found none)\n"
                "    → plantproof register apply 文件.toml --reason 首次建立"
            )
        self._revision = revisions[-1].rev
        return connections(revisions[-1].register, self._clock.now_us())

    async def _emit(self, *batches: Batch, urgent: bool = False) -> None:
        await self._capture.emit(*batches, urgent=urgent)
        for batch in batches:
            outcome, at_us = batch.newest
            self._state[batch.device] = {"outcome": outcome.name.lower(), "at_us": at_us}

    async def _beat(self) -> None:
        """Keep hours closing and pages informed; a journal that fails here ends the run."""
        while True:
            await asyncio.sleep(STATE_EVERY_S)
            await self._capture.tick()
            newest = ledger_log.last_of(self._folder.ledger, "register")
            if newest and newest.body["rev"] != self._revision:
                self._register_changed.set()
            self._write_state(running=True)

    def _write_state(self, *, running: bool) -> None:
        body = {"running": running, "at_us": self._clock.now_us(), "rows": self._capture.rows, "devices": self._state}
        with suppress(OSError):  # state is for pages; it is never evidence and never stops collection
            write_durably(self._folder.state / "devices.json", json.dumps(body).encode())

    async def _maintain_in_child(self) -> None:
        """Segments, seals and merges run in a child process; never two, and once more when a file closed meanwhile."""
        if self._child and not self._child.done():
            self._again = True
            return
        self._child = asyncio.create_task(self._maintain())

    async def _maintain(self) -> None:
        again = True
        while again:
            self._again = False
            child = await asyncio.create_subprocess_exec(*maintain_command(self._folder.path), env=os.environ | LEAN)
            try:
                code = await child.wait()
            except asyncio.CancelledError:
                child.terminate()  # it repeats its step at the next start
                await child.wait()
                raise
            if code:
                log.error("maintenance failed; it is tried again at the next file", code=code)
            again = self._again


async def _cancelled(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel and wait, but not for ever: a connection that will not close is left to the process's end."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_WITHIN_S)


def maintain_command(path: Path) -> list[str]:
    """The command line of the child that runs everything right of the journal."""
    return [sys.executable, "-m", "plantproof", "store", "maintain", "--quiet", "--data", str(path)]
