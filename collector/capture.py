"""The emit side: batches in, one durable frame for all that came together, then the acknowledgement.

In: `Batch`es and identities from adapters. Out: journal frames; `await emit(batch)` returns after their fdatasync.
Owns the hour: the first frame of a new hour closes the one before it and says by which clock. Cutting is a policy: `live` one frame per
`flush_ms`, sooner when somebody cannot go on without, and a file per ten minutes; `driven` a frame for what was emitted at once and a
file per day. Same functions either way.
Refuses (`CaptureError`): a clock that jumps forward by more than an hour while nothing synchronises it. Stops loudly, loses nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import platform
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any

from adapters.batch import Batch, BatchError
from adapters.contract import Identity
from collector.clock import Clock, SystemClock
from collector.folder import VERSION, DataFolder
from collector.hours import HOUR_US
from collector.journal import Journal
from collector.ledger import log
from collector.ledger.entry import Entry

TICK_US = 30_000_000
URGENT_S = 0.02
DOUBT_US = 72 * HOUR_US
DAY_HOURS = 24


Waiting = list[tuple[tuple[Batch, ...], asyncio.Future[int]]]


class CaptureError(Exception):
    """Collection cannot go on truthfully; the collector stops (exit code 5)."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How frames and files are cut. `flush_ms` 0: a frame for all that was emitted in one turn of the loop."""

    flush_ms: int
    file_us: int


LIVE = Cutting(flush_ms=1000, file_us=600_000_000)
DRIVEN = Cutting(flush_ms=0, file_us=24 * HOUR_US)


class Capture:
    """One collector's journal. `start`, then `emit` and `identify` from any task, then `stop`."""

    def __init__(
        self,
        folder: DataFolder,
        clock: Clock,
        cutting: Cutting = LIVE,
        on_rotate: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._folder, self._clock, self._cutting, self._on_rotate = folder, clock, cutting, on_rotate
        self._waiting: Waiting = []
        self._hurry = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._bucket = -1
        self._newest_us = 0
        self.frames = self.rows = 0

    async def start(self, why: str, *, accept_clock: bool = False) -> None:
        """Open and recover the journal, close the hours that were missed, say so in the ledger.

        Errors: `JournalError`; `CaptureError` when an unsynchronised clock says that more than three days were missed: sealing
        them could not be undone. `accept_clock` is a person's word that it is right; it stands in the start leaf.
        """
        self._journal = Journal(self._folder.journal, self._folder.segments / "quarantine")
        found, now_us = self._journal.recovery, self._clock.now_us()
        missed_us = now_us - found.last_us if found.last_us else 0
        doubtful = isinstance(self._clock, SystemClock) and missed_us > DOUBT_US and not self._clock.block()["sync"]
        if doubtful and not accept_clock:
            self._journal.close()
            raise CaptureError(
                f"上次采集距今 {missed_us // (24 * HOUR_US)} 天，而本机时钟未与时间源同步：不敢据此封存中间的小时 "
                "(more than three days missed, by an unsynchronised clock)\n    → 校时；若时钟确实无误，用 --accept-clock 启动"
            )
        recovered = (
            {"cut_bytes": found.cut_bytes, "file": found.cut_file, "why": found.reason} if found.cut_bytes else {}
        )
        control: dict[str, Any] = {"kind": "start", "why": why, "last_us": found.last_us, "recovered": recovered}
        hour = self._journal.hour_at(now_us)
        if found.last_hour and hour > found.last_hour:
            control |= {"close": [found.last_hour, hour], "clock": self._clock.block()}
        self._bucket = now_us // self._cutting.file_us
        seq = self._journal.append_control(control, now_us)
        self._newest_us = now_us
        leaf: dict[str, Any] = {"boot": self._clock.block()["boot"], "seq": seq, "why": why, "recovered": recovered}
        if doubtful:
            leaf["clock_accepted"] = True
        self._folder.append(*self._software(now_us), Entry("start", now_us // 1000, "collector", leaf))
        await self._rotated()

    async def emit(self, *batches: Batch, urgent: bool = False) -> None:
        """Acknowledged when this returns: the batches are on disk, in one frame. `urgent`: see `adapters.contract.Emit`.

        Errors: `JournalError`, and everybody waiting gets it; `BatchError` for rows that are not of their template: nobody else does.
        """
        if not batches:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((batches, future))
        if urgent:
            self._hurry.set()
        self._schedule()
        await future

    async def identify(self, identity: Identity) -> None:
        """Record who a peer says it is; a leaf follows when its hour is sealed."""
        facts = [list(f) for f in identity.facts]
        await self._control({"kind": "identity", "device": identity.device, "facts": facts, "origin": identity.origin})

    async def tick(self) -> None:
        """Call now and then: closes hours and files by the clock, and shows that the collector was alive."""
        now_us = self._clock.now_us()
        if now_us - self._newest_us >= TICK_US or self._journal.hour_at(now_us) > self._journal.hour:
            await self._control({"kind": "tick"})

    async def stop(self, why: str) -> None:
        """Flush, say why, close."""
        if self._flushing:
            await self._flushing
        await self._flush()
        now_us = self._clock.now_us()
        await self._control({"kind": "stop", "why": why})
        self._journal.close()
        body = {"boot": self._clock.block()["boot"], "seq": self._journal.seq + 1, "why": why}
        self._folder.append(Entry("stop", now_us // 1000, "collector", body))

    def _schedule(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        if self._cutting.flush_ms:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._cutting.flush_ms / 1000):
                    await self._hurry.wait()
                    now_s = asyncio.get_running_loop().time()
                    await asyncio.sleep(URGENT_S - now_s % URGENT_S)  # a grid: all that is urgent shares a frame, too
        else:
            await asyncio.sleep(0)  # whatever is emitted in this turn of the loop shares a frame
        await self._flush()

    async def _flush(self) -> None:
        """One frame for all that waits; then everybody is told."""
        async with self._lock:
            waiting, self._waiting = self._waiting, []
            self._hurry.clear()
            if not waiting:
                return
            try:
                now_us = self._clock.now_us()
                rotated = await self._turn(now_us)
                seq, waiting = await self._append(waiting, now_us)
            except BaseException as err:
                for _, future in waiting:
                    if not future.done():
                        future.set_exception(
                            err if isinstance(err, Exception) else CaptureError("collection was stopped")
                        )
                if self._waiting:  # who came meanwhile is told as well
                    self._flushing = None
                    self._schedule()
                if not isinstance(err, Exception):
                    raise
                return
            self._newest_us = now_us
            self.frames, self.rows = self.frames + bool(waiting), self.rows + sum(map(len, _batches(waiting)))
            for _, future in waiting:
                if not future.done():
                    future.set_result(seq)
        if rotated:
            await self._rotated()
        if self._waiting:  # last, with no await behind it: whoever emits from here on starts a flush of their own
            self._flushing = None
            self._schedule()

    async def _append(self, waiting: Waiting, now_us: int) -> tuple[int, Waiting]:
        """One frame: its number, and who is in it. Rows that are not of their template are told to their adapter alone."""
        try:
            return await self._durably(self._journal.append_rows, _batches(waiting), now_us), waiting
        except BatchError:
            sound = [(together, future) for together, future in waiting if not _refused(together, future)]
            if not sound:
                return self._journal.seq, sound
            return await self._durably(self._journal.append_rows, _batches(sound), now_us), sound

    async def _control(self, control: dict[str, Any]) -> None:
        async with self._lock:
            now_us = self._clock.now_us()
            rotated = await self._turn(now_us)
            await self._durably(self._journal.append_control, control, now_us)
            self._newest_us = now_us
        if rotated:
            await self._rotated()

    async def _turn(self, now_us: int) -> bool:
        """Begin a new file when it is time, and close the hours that have passed."""
        bucket, hour = now_us // self._cutting.file_us, self._journal.hour_at(now_us)
        new_hour = bool(self._journal.hour) and hour > self._journal.hour
        # a file never holds two days (merging goes by day), a live one never two hours, whatever its length in minutes
        new_day = new_hour and hour // DAY_HOURS > self._journal.hour // DAY_HOURS
        rotate = bucket > self._bucket or new_day or (new_hour and self._cutting.file_us <= HOUR_US)
        if rotate:
            self._journal.rotate()
            self._bucket = max(bucket, self._bucket)
        if new_hour:
            clock = self._clock.block()
            if now_us - self._newest_us > HOUR_US and isinstance(self._clock, SystemClock) and not clock["sync"]:
                raise CaptureError(
                    f"时钟向前跳了 {(now_us - self._newest_us) // 1_000_000} 秒，且未与时间源同步：停止采集和封存 "
                    "(the clock jumped forward unsynchronised; collection stops)\n    → 校时后重新启动 (set the clock, then start again)"
                )
            close = {"kind": "close", "close": [self._journal.hour, hour], "clock": clock}
            await self._durably(self._journal.append_control, close, now_us)
        return rotate

    async def _durably(self, write: Callable[..., int], *args: Any) -> int:
        """Live, the disk is waited for in a thread, so that no device waits for it; driven, nobody else is there."""
        return await asyncio.to_thread(write, *args) if self._cutting.flush_ms else write(*args)

    async def _rotated(self) -> None:
        if self._on_rotate:
            await self._on_rotate()

    def _software(self, now_us: int) -> list[Entry]:
        """A leaf when the program is not the one that ran last."""
        body = {"version": VERSION, "python": platform.python_version(), "digest": program_digest()}
        last = log.last_of(self._folder.ledger, "software")
        return [] if last and last.body == body else [Entry("software", now_us // 1000, "collector", body)]


def _batches(waiting: Waiting) -> list[Batch]:
    return [batch for together, _ in waiting for batch in together]


def _refused(batches: tuple[Batch, ...], future: asyncio.Future[int]) -> bool:
    try:
        for batch in batches:
            batch.as_columns()
    except BatchError as err:
        if not future.done():
            future.set_exception(err)
        return True
    return False


def program_digest() -> str:
    """SHA-256 over the names and bytes of the program's own Python files, as installed."""
    digest = hashlib.sha256()
    for package in ("adapters", "collector", "config", "evidence_api", "metrics"):
        root = resources.files(package)
        todo = [(package, root)]
        while todo:
            name, place = todo.pop()
            for child in sorted(place.iterdir(), key=lambda c: c.name):
                if child.is_dir() and child.name != "__pycache__":
                    todo.append((f"{name}/{child.name}", child))
                elif child.name.endswith((".py", ".yaml")):
                    digest.update(f"{name}/{child.name}\0".encode() + hashlib.sha256(child.read_bytes()).digest())
    return digest.hexdigest()
