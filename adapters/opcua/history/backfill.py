"""Back-fill (补采): after a loss, what a server's history kept of it is read and stored with its own times. IEC 62541-11; reads only.

In: rows on disk (`stored`), the beginning of each session (`began`). Out: event rows of outcome ok: the server's source time, server time
and quality; the store counts them as late by itself (docs/format/hour-lines.md). A gap is exact to one value (`gaps.py`).
Oldest first: a small server keeps a ring and overwrites its oldest values. One request at a time per server, two in the whole process,
each over a bounded span, with a pause after it. Only then asked, once per session: may the node's history be read at all.
What was delivered of each point is kept in `state/opcua-history/<device>.json`, written after the rows were on disk: a process that
dies between the two reads some values again, and the store gives equal ones once. Without that file nothing before the start is filled.
What the server has not stays the recorded gap it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import structlog
from asyncua import ua

from adapters.batch import Batch, Outcome
from adapters.contract import Clock, Emit, ReadError
from adapters.opcua.history.filling import Filling, Work
from adapters.opcua.history.gaps import NOTHING, Delivered
from adapters.opcua.history.historyread import HistoryReader
from adapters.opcua.recall import Recall
from adapters.opcua.session import Session
from adapters.template import Source
from config.connections import OpcUa

log = structlog.get_logger(__name__)

SAVE_EVERY_S = 10.0
LONGEST_US = 31 * 86_400_000_000  # older gaps are not filled
_FORMAT = "plantproof-opcua-history/1"
_FAILURES_MOST = 5  # of one session
_RETRY_S = 5.0


class Watched(Protocol):
    """A device in the adapter: the node of each point, the points that are read because the server will not watch them."""

    node_ids: list[ua.NodeId | None]
    refused: set[int]
    recall: Recall


@dataclass(slots=True, eq=False)
class _Device:
    delivered: Delivered
    watched: Watched | None = None
    changed: bool = False


class History:
    """The back-fill of one server's devices: those that are subscribed and have `history = "auto"`."""

    def __init__(self, sources: Sequence[Source], clock: Clock, folder: Path | None) -> None:
        self._clock = clock
        self._folder = folder / "opcua-history" if folder is not None else None
        self._files = _Files(self._folder)
        self._devices: dict[str, _Device] = {}
        self._reader: HistoryReader | None = None
        self._filling: Filling | None = None
        self._failures = 0
        self._made = 0
        self._saved_us = clock.now_us()
        self._sleep: asyncio.Task[None] | None = None
        self.apply(sources)

    def apply(self, sources: Sequence[Source]) -> None:
        """Take over a newer list of devices: those that are equal keep what is known of them."""
        self.save()
        old = self._devices
        self._devices = {}
        for source in sources:
            connection = cast(OpcUa, source.connection)
            if source.template.kind != "event" or connection.mode != "subscribe" or connection.history == "off":
                continue
            known = old.get(source.device)
            if known is None or known.delivered.source != source:
                known = _Device(Delivered(source))
                known.delivered.restore(self._load(source.device))
            self._devices[source.device] = known

    def interrupted(self) -> None:
        """A session ended, or a new one begins: every row of the old one has been told to `stored`."""
        self._reader = None
        for device in self._devices.values():
            device.delivered.interrupted(self._clock.now_us())

    def began(self, session: Session, watched: Mapping[str, Watched]) -> None:
        """A session with its subscriptions is there."""
        self._reader, self._failures = HistoryReader(session), 0
        for name, device in self._devices.items():
            device.watched = watched.get(name)
        self._wake()

    def repeated(self, batches: Sequence[Batch]) -> list[Batch]:
        """The batches before they are stored: what the collector had stored before it was started again is no new value."""
        devices = ((b, self._devices.get(b.device)) for b in batches)
        return [b if d is None else d.delivered.repeated(b) for b, d in devices]

    def stored(self, batches: Sequence[Batch], *, notified: bool) -> None:
        """Rows that are on disk now; `notified`: they came through a subscription."""
        now = self._clock.now_us()
        for batch in batches:
            device = self._devices.get(batch.device)
            if device is not None:
                device.changed = True
                polled = device.watched.refused if device.watched is not None else ()
                if device.delivered.stored(batch, now, notified=notified, polled=polled):
                    self._wake()

    async def run(self, emit: Emit) -> None:
        """Fill gaps as they come, and keep the state file, until cancelled. `save` when everything else has ended."""
        while True:
            await self._wait(self._seconds_to_work())
            await self._save_if_due()
            reader = self._reader
            if reader is not None and reader.session.alive:
                await self._fill(reader, emit)

    def save(self) -> None:
        """Write what is known now."""
        self._files.write(self._states())

    async def _save_if_due(self) -> None:
        if self._clock.now_us() - self._saved_us >= SAVE_EVERY_S * 1_000_000:
            self._saved_us = self._clock.now_us()
            await asyncio.to_thread(self._files.write, self._states())

    def _is_wanted(self, delivered: Delivered) -> bool:
        """False for a device that the register has changed or dropped meanwhile."""
        device = self._devices.get(delivered.source.device)
        return device is not None and device.delivered is delivered

    async def _fill(self, reader: HistoryReader, emit: Emit) -> None:
        if self._filling is None or self._filling.reader is not reader:
            self._filling = Filling(reader, self._clock, emit, self._is_wanted)
        filling = self._filling
        filling.values = filling.without = filling.unstamped = 0
        try:
            while self._reader is reader and (ready := self._ready()):
                await filling.step(ready)
                await self._save_if_due()
        except ReadError as err:
            self._failed(reader, err)
        if filling.values:
            log.info("历史补采 filled from the server's history", server=reader.where, values=filling.values)
        if filling.unstamped:
            log.warning(
                "历史值没有源时间, 未采用 history without source times is not taken",
                server=reader.where,
                values=filling.unstamped,
            )
        if filling.without:
            log.info(
                "服务器没有这些测点的历史, 缺口保留 no history for these points, their gaps stay",
                server=reader.where,
                points=filling.without,
            )

    def _failed(self, reader: HistoryReader, err: ReadError) -> None:
        self._failures += 1
        log.warning("读取历史失败 reading the history failed", server=reader.where, why=str(err))
        if err.outcome is Outcome.DISCONNECTED:
            reader.session.mark_lost()
        if self._failures >= _FAILURES_MOST and self._reader is reader:
            self._reader = None  # the next session asks again
        until_us = self._clock.now_us() + int(_RETRY_S * 2**self._failures * 1_000_000)
        for device in self._devices.values():
            for gap in device.delivered.gaps:
                gap.ready_us = max(gap.ready_us, until_us)

    def _ready(self) -> list[Work]:
        """Gaps that may be filled now, the oldest first."""
        now = self._clock.now_us()
        found = []
        for device in self._devices.values():
            for gap in device.delivered.gaps:
                if gap.to_us <= now - LONGEST_US:
                    device.delivered.done(gap)
                    continue
                node = device.watched.node_ids[gap.point] if device.watched is not None else None
                if device.watched is not None and gap.ready_us <= now and node is not None:
                    if gap.from_us < now - LONGEST_US:
                        gap.from_us, gap.from_mark = now - LONGEST_US, NOTHING
                    found.append(Work(device.delivered, gap, node, device.watched.recall))
        return sorted(found, key=lambda w: w.gap.from_us)

    def _seconds_to_work(self) -> float:
        at_us = self._saved_us + int(SAVE_EVERY_S * 1_000_000)
        if self._reader is not None:
            found = ((g, d.watched) for d in self._devices.values() for g in d.delivered.gaps)
            ready = (
                g.ready_us for g, watched in found if watched is not None and watched.node_ids[g.point] is not None
            )
            at_us = min(at_us, min(ready, default=at_us))
        return max(0.05, (at_us - self._clock.now_us()) / 1_000_000)

    async def _wait(self, seconds: float) -> None:
        self._sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((self._sleep,))  # `_wake` cancels the sleep, not the sleeper
        finally:
            self._sleep.cancel()
            self._sleep = None

    def _wake(self) -> None:
        if self._sleep is not None:
            self._sleep.cancel()

    def _states(self) -> dict[str, tuple[int, bytes]]:
        """Device -> number and content of its file, of those with news."""
        if self._folder is None:
            return {}
        self._made += 1
        found = {}
        for name, device in self._devices.items():
            if device.changed:
                device.changed = False
                body = {"format": _FORMAT, "points": device.delivered.to_state()}
                found[name] = self._made, json.dumps(body, separators=(",", ":")).encode()
        return found

    def _load(self, device: str) -> object:
        if self._folder is None:
            return None
        try:
            body = json.loads((self._folder / f"{device}.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return body.get("points") if isinstance(body, dict) and body.get("format") == _FORMAT else None


class _Files:
    """The state files. `save` writes while a thread of `_save_if_due` may still do so: one at a time, and never an older state later.

    Whole or not at all; no fsync, the file is disposable: an older one only means that more is read again.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._written: dict[str, int] = {}
        self._one = threading.Lock()

    def write(self, states: Mapping[str, tuple[int, bytes]]) -> None:
        """Device -> number and content."""
        if self._folder is None or not states:
            return
        with (
            self._one,
            contextlib.suppress(OSError),
        ):  # a full disk stops the collector where it matters: in the journal
            self._folder.mkdir(parents=True, exist_ok=True)
            for device, (number, content) in states.items():
                if number > self._written.get(device, 0):
                    draft = self._folder / f"{device}.json.tmp"
                    draft.write_bytes(content)
                    os.replace(draft, self._folder / f"{device}.json")
                    self._written[device] = number
