"""MQTT (3.1.1, ISO/IEC 20922): the devices behind one broker, each with its topic.

In: the sources of one broker. Out: rows of the messages that come (`mqtt/payload.py`), acknowledged to the broker only after `emit` has
returned (QoS 1, a session that stays). A payload that cannot be understood is a `rejected` row; an interval without a message a
`silent` row; a broker that is down a row per device and interval with its reason.
Retained messages are old: they are no contact and no value; they are counted and left. A retained status message is the device's identity.
Trap: a broker sends at most its `max_inflight_messages` (mosquitto: 20) before it waits for acknowledgements: messages per second are
bounded by that number over the store's flush time. docs/adapters.md says how to raise it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import uuid
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

import structlog
from paho.mqtt.client import MQTTMessage

from adapters.batch import Batch, Outcome
from adapters.contract import Clock, Emit, Identify, Identity, OnState, ReadError, Site
from adapters.health import Backoff, Health
from adapters.mqtt.link import BrokerLink
from adapters.mqtt.payload import MessageDecoder, Undecodable, parse
from adapters.rows import Rows, failed_batch
from adapters.schedule import next_multiple
from adapters.tasks import together
from adapters.template import Source
from config.connections import Mqtt

log = structlog.get_logger(__name__)

_PENDING_MOST = 10_000
_TEST_WAIT_S = 30.0
_ORIGINS = ("simulated", "replay")


class MqttAdapter:
    """One broker, its topics and the devices behind them."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        clock, on_state = site.clock, site.on_state
        first = cast(Mqtt, sources[0].connection)
        url = urlsplit(first.broker)
        self._host, self._port = url.hostname or "", url.port or 1883
        self._login = first
        self._clock = clock
        self._topics = {s.device: _Topic(s, clock, on_state) for s in sources}
        self._pending: list[MQTTMessage] = []
        self._arrived = asyncio.Event()
        self._link: BrokerLink | None = None
        self._why: ReadError | None = None
        self._backoff = Backoff(clock)
        self._identities: dict[str, Identity] = {}
        self._retained = 0

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices behind this broker."""
        return tuple(self._topics)

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Listen until cancelled."""
        try:
            async with together() as tasks:
                tasks.create_task(self._stay_connected(emit))
                tasks.create_task(self._record_silence(emit))
                tasks.create_task(self._store(emit, identify))
        finally:
            if self._link is not None:
                await self._link.close()

    async def read_once(self) -> list[Batch]:
        """Wait for one message of each device, at most 30 s; as another client, so that the running collector loses none."""
        link = BrokerLink(self._host, self._port, self._arrive)
        rows: dict[str, Batch] = {}
        try:
            await self._open(link, f"plantproof-test-{uuid.uuid4().hex[:8]}", clean=True)
            link.subscribe(sorted({t.connection.topic for t in self._topics.values()}), qos=0)
            async with asyncio.timeout(min(_TEST_WAIT_S, max(t.patience_s for t in self._topics.values()))):
                while len(rows) < len(self._topics):
                    await self._arrived.wait()
                    rows |= {b.device: b for b in self._take(self._drain())}
        except TimeoutError:
            pass
        except ReadError as err:
            return [t.failed(err.outcome, str(err)) for t in self._topics.values()]
        finally:
            await link.close()
        return [rows.get(d) or t.failed(Outcome.SILENT, t.silence) for d, t in self._topics.items()]

    async def _stay_connected(self, emit: Emit) -> None:
        while True:
            link = BrokerLink(self._host, self._port, self._arrive)
            try:
                await self._open(link, _client_id(self._login), clean=False)
            except ReadError as err:
                self._backoff.failed()
                await self._down(err, emit)
                await self._clock.sleep(self._backoff.remaining_s)
                continue
            self._backoff.succeeded()
            self._why, self._link = None, link
            now = self._clock.now_us()
            for topic in self._topics.values():
                topic.expect(now)
            link.subscribe(sorted({t.connection.status_topic for t in self._topics.values()} - {""}), qos=1)
            link.subscribe(sorted({t.connection.topic for t in self._topics.values()}), qos=1)
            await link.lost.wait()
            await link.close()
            self._pending.clear()  # not acknowledged: they come again
            await self._down(ReadError(Outcome.DISCONNECTED, f"{link.where}: 连接中断 (connection lost)"), emit)

    async def _open(self, link: BrokerLink, client_id: str, *, clean: bool) -> None:
        password = None
        if self._login.password_env:
            password = os.environ.get(self._login.password_env)
            if password is None:
                raise ReadError(
                    Outcome.DENIED,
                    f"{link.where}: 环境变量 {self._login.password_env} 未设置 (password not in the environment)",
                )
        await link.open(client_id, clean=clean, username=self._login.username, password=password)

    async def _down(self, err: ReadError, emit: Emit) -> None:
        """The broker is gone: a row at once for each device that counted as connected; the others have theirs each interval."""
        self._why = err
        now = self._clock.now_us()
        batches = []
        for topic in self._topics.values():
            if topic.source.in_service(now) and topic.health.failure is None:
                batches.append(topic.failed(err.outcome, str(err)))
            topic.deadline_us = min(topic.deadline_us, next_multiple(now + 500_000, topic.source.interval_s))
        await _emit_all(emit, batches)

    async def _record_silence(self, emit: Emit) -> None:
        """At each device's deadline: a row that says why there is no message."""
        while True:
            now = self._clock.now_us()
            batches = []
            for topic in self._topics.values():
                if topic.deadline_us > now:
                    continue
                topic.deadline_us = next_multiple(now + topic.source.interval_s * 500_000, topic.source.interval_s)
                if topic.source.in_service(now):
                    batches.append(topic.failed(*self._reason(topic)))
            await _emit_all(emit, batches)
            first_us = min(t.deadline_us for t in self._topics.values())
            await self._clock.sleep(min(1.0, max(0.05, (first_us - self._clock.now_us()) / 1_000_000)))

    def _reason(self, topic: _Topic) -> tuple[Outcome, str]:
        if self._why is not None:
            return self._why.outcome, str(self._why)
        if self._link is not None and topic.connection.topic in self._link.denied:
            return Outcome.DENIED, f"{topic.connection.topic}: 代理不允许订阅 (the broker refuses this topic)"
        return Outcome.SILENT, topic.silence

    def _arrive(self, message: MQTTMessage) -> None:
        self._pending.append(message)
        self._arrived.set()
        if len(self._pending) >= _PENDING_MOST and self._link is not None:
            self._link.pause(True)

    def _drain(self) -> list[MQTTMessage]:
        messages, self._pending = self._pending, []
        self._arrived.clear()
        return messages

    async def _store(self, emit: Emit, identify: Identify) -> None:
        while True:
            await self._arrived.wait()
            link, messages = self._link, self._drain()
            for identity in self._identities_in(messages):
                await identify(identity)
            await _emit_all(emit, self._take(messages))
            if link is not None:
                for message in messages:
                    link.acknowledge(message)
                link.pause(False)

    def _take(self, messages: list[MQTTMessage]) -> list[Batch]:
        """Messages in their order -> one batch for each device that sent some."""
        now = self._clock.now_us()
        by_topic: dict[str, list[_Topic]] = {}
        for topic in self._topics.values():
            by_topic.setdefault(topic.connection.topic, []).append(topic)
        rows: dict[str, Rows] = {}
        for message in messages:
            if message.retain:
                self._retained += message.topic in by_topic
                continue
            for topic in by_topic.get(message.topic, []):
                device = topic.source.device
                topic.take(rows.setdefault(device, Rows(device, topic.source.template)), bytes(message.payload), now)
            if message.topic not in by_topic and not self._is_status(message.topic) and self._link is not None:
                self._link.unsubscribe(message.topic)  # a topic of an earlier register, still in the broker's session
        return [b for r in rows.values() if (b := r.batch()) is not None]

    def _is_status(self, topic: str) -> bool:
        return any(t.connection.status_topic == topic for t in self._topics.values())

    def _identities_in(self, messages: list[MQTTMessage]) -> list[Identity]:
        found = []
        for message in messages:
            for device, topic in self._topics.items():
                if topic.connection.status_topic == message.topic:
                    identity = _identity(device, bytes(message.payload))
                    if identity is not None and self._identities.get(device) != identity:
                        self._identities[device] = identity
                        found.append(identity)
        return found


class _Topic:
    """One device's topic: its decoder, its health, and until when a message is expected."""

    def __init__(self, source: Source, clock: Clock, on_state: OnState | None) -> None:
        self.source = source
        self.connection = cast(Mqtt, source.connection)
        self.health = Health(source.device, clock, log, on_state)
        self.deadline_us = 0
        self._clock = clock
        self._decoder = MessageDecoder(source, self.connection)
        self.expect(clock.now_us())

    @property
    def patience_s(self) -> float:
        """The declared interval and a little for the publisher's own clock."""
        return self.source.interval_s + max(1.0, self.source.interval_s * 0.1)

    @property
    def silence(self) -> str:
        """Why there is a `silent` row."""
        return (
            f"{self.connection.topic}: {self.source.interval_s} 秒内没有消息 (no message within the declared interval)"
        )

    def expect(self, now_us: int) -> None:
        """The next message is due within the interval."""
        self.deadline_us = now_us + int(self.patience_s * 1_000_000)

    def failed(self, outcome: Outcome, words: str) -> Batch:
        """Note the failure and make its row."""
        self.health.failed(outcome, words)
        return failed_batch(self.source.device, self.source.template, self._clock.now_us(), outcome)

    def take(self, rows: Rows, payload: bytes, now_us: int) -> None:
        """A fresh message."""
        self.expect(now_us)
        try:
            self._decoder.rows(rows, payload, now_us)
        except Undecodable as err:
            self.health.failed(Outcome.REJECTED, f"{self.connection.topic}: {err}")
            rows.empty(now_us, Outcome.REJECTED)
        else:
            self.health.contact()


def _identity(device: str, payload: bytes) -> Identity | None:
    try:
        body = parse(payload)
    except Undecodable as err:
        log.warning("状态报文无法理解 the status message cannot be understood", device=device, why=str(err))
        return None
    if not isinstance(body, dict):
        return None
    facts = tuple(sorted((k[:64], str(v)[:256]) for k, v in body.items() if isinstance(v, str | int) and k != "origin"))
    origin = body.get("origin")
    return Identity(device, facts, origin if origin in _ORIGINS else "live")


def _client_id(login: Mqtt) -> str:
    """Stable, so that the broker keeps our session while we are away; at most 23 characters (MQTT 3.1.1 §3.1.3.1)."""
    if login.client_id:
        return login.client_id
    seed = f"{platform.node()} {login.broker} {login.username}".encode()
    return f"plantproof-{hashlib.sha256(seed).hexdigest()[:12]}"


async def _emit_all(emit: Emit, batches: Sequence[Batch]) -> None:
    """Emit together, so that one flush makes all of them durable."""
    if len(batches) == 1:
        await emit(batches[0])
    elif batches:
        await asyncio.gather(*(emit(b) for b in batches))
