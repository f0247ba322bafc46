"""`plantproof records follow`: the process that takes records in: the watched folder, MQTT, and what REST left in records/inbox.

In: a data folder and the [records] settings. Out: import revisions; answers in records/inbox; `state/intake.json` says that it runs.
An MQTT message is acknowledged (PUBACK) when it lies in records/inbox with fsync, not earlier: what the process takes with it when it dies
before that, the broker sends again; the same topic and payload have the same name in the inbox and are imported once.
Its token for REST (keys/intake.token, 0600) is made at the first start.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import secrets
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog

from adapters.contract import ReadError
from adapters.mqtt.link import BrokerLink
from adapters.mqtt.packets import Message
from collector.clock import Clock
from collector.durable import write_durably
from collector.folder import DataFolder
from collector.intake import inbox as box
from collector.intake.known import Known
from collector.intake.queue import import_one, import_waiting
from collector.intake.watched import Watched
from collector.register_revisions import registers
from config.settings import RecordsMqtt, RecordsTable

STATE, TOKEN = "intake.json", "intake.token"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
ANSWERS_KEPT_S = 90 * 86_400
_QUICK_S = 0.2  # how often the inbox is looked at: REST waits for its answer
log = structlog.get_logger()


class Intake:
    """One look after the other at everything that waits."""

    def __init__(self, folder: DataFolder, settings: RecordsTable, clock: Clock) -> None:
        self._folder, self._settings, self._clock = folder, settings, clock
        self._known = Known(folder)
        self._watched = Watched(settings.watch) if settings.watch else None
        self._looked_s = float("-inf")

    def look(self, now_s: float) -> int:
        """Import what waits; how many deliveries and files. now_s: of a clock that only goes forward."""
        self._say_alive()
        if not registers(self._folder):
            return 0  # nothing can be checked yet: it waits
        done = import_waiting(self._folder, self._clock, self._known, self._settings.gather_s)
        if self._watched is not None and now_s - self._looked_s >= self._settings.poll_s:
            self._looked_s = now_s
            try:
                done += self._take_files(self._watched, now_s)
            except OSError as err:  # a share that is gone or read-only must not keep REST and MQTT out
                log.warning("交接目录用不了 watched folder unusable", folder=str(self._settings.watch), why=str(err))
        return done

    def _take_files(self, watched: Watched, now_s: float) -> int:
        done = 0
        for path in watched.still(now_s):
            take = partial(import_one, self._folder, clock=self._clock, known=self._known)
            lies = watched.take(path, take)
            log.info("记录文件已处理 record file taken", file=path.name, lies=str(lies))
            done += 1
        return done

    def stopped(self) -> None:
        """Nobody takes records in any more."""
        (self._folder.state / STATE).unlink(missing_ok=True)

    def _say_alive(self) -> None:
        path = self._folder.state / STATE
        body = {"pid": os.getpid(), "at_us": self._clock.now_us()}
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps(body))  # a state for the page: not worth an fsync each 0.2 s
        aside.rename(path)


async def follow(folder: DataFolder, settings: RecordsTable, clock: Clock) -> None:
    """Run until cancelled."""
    ensure_token(folder)
    box.prune(box.inbox_of(folder.records), time.time() - ANSWERS_KEPT_S)
    intake = Intake(folder, settings, clock)
    async with asyncio.TaskGroup() as group:
        if settings.mqtt is not None:
            group.create_task(receive(folder, settings.mqtt))
        try:
            while True:
                await asyncio.to_thread(intake.look, time.monotonic())
                await asyncio.sleep(_QUICK_S)
        finally:
            intake.stopped()


def ensure_token(folder: DataFolder) -> str:
    """The token that REST senders show; made when there is none."""
    path = folder.keys / TOKEN
    if not path.exists():
        write_durably(path, secrets.token_urlsafe(32).encode(), mode=0o600)
    return path.read_text().strip()


async def receive(folder: DataFolder, settings: RecordsMqtt) -> None:
    """Messages of the broker into the inbox, for ever; connects again after a loss. A disk that does not take them ends the process."""
    inbox = box.inbox_of(folder.records)
    arrived: asyncio.Queue[Sequence[Message]] = asyncio.Queue()
    link = BrokerLink(settings.connection, arrived.put_nowait, keys=folder.keys, state=folder.state)
    link.subscribe([settings.topic], qos=1)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep(link, arrived, inbox))
            group.create_task(_stay_connected(link, _client_id(settings)))
    finally:
        await link.close()


def _client_id(settings: RecordsMqtt) -> str:
    """Stable, and never that of the collector's own session at the same broker: one would end the other."""
    seed = f"{platform.node()} {settings.broker} {settings.topic}".encode()
    return settings.client_id or f"pp-records-{hashlib.sha256(seed).hexdigest()[:12]}"


async def _stay_connected(link: BrokerLink, client_id: str) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await link.open(client_id, clean=False)
            pause_s = FIRST_PAUSE_S
            await link.lost.wait()
        except ReadError as err:
            log.warning("记录的 MQTT 代理连不上 records broker unreachable", broker=link.where, why=str(err))
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _keep(link: BrokerLink, arrived: asyncio.Queue[Sequence[Message]], inbox: Path) -> None:
    while True:
        messages = await arrived.get()
        await asyncio.to_thread(_store, inbox, messages)
        link.acknowledge(messages)


def _store(inbox: Path, messages: Sequence[Message]) -> None:
    for message in messages:
        if not message.payload:
            continue  # what clears a retained message is no delivery
        name = hashlib.sha256(message.topic.encode() + b"\0" + message.payload).hexdigest()
        box.put(inbox, box.Waiting(name, "json", "", message.topic[:120], "mqtt", message.payload))
