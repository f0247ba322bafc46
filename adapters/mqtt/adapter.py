"""MQTT (3.1.1 and 5): the devices behind one broker, each with its topics.

In: the sources of one broker. Out: rows of the messages that come (`payload.py`), acknowledged to the broker only after `emit` has returned
(`deliveries.py`: none lost, none stored twice while this process lives). What came together is emitted together, and reading goes on
while it is being stored. A payload that cannot be understood is a `rejected` row and a dead letter; an interval without a message a
`silent` row; a broker that is down a row per device at once and in each interval, with its reason.
Retained messages are old: they are no contact and no value. A retained status message is the device's identity.
`apply` subscribes and unsubscribes the difference; the connection stays. Publishes nothing: its link may publish nowhere.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import structlog

from adapters.batch import Batch, Outcome
from adapters.contract import Emit, Identify, Identity, ReadError, Site
from adapters.deadletter import DeadLetters, Letter
from adapters.health import Backoff
from adapters.mqtt.deadlines import Deadlines
from adapters.mqtt.device import Device, identity_of
from adapters.mqtt.link import BrokerLink, client_id_of
from adapters.mqtt.packets import Message
from adapters.mqtt.routes import Routes
from adapters.mqtt.window import Window
from adapters.rows import Rows
from adapters.schedule import next_multiple
from adapters.tasks import together
from adapters.template import Source
from config.connections import Mqtt

log = structlog.get_logger(__name__)

STEADY_US = 10_000_000  # a connection that lasted so long was one; a shorter one counts as a failure
_WAITING_BYTES = 64 << 20  # of messages not yet durable, before the broker has to wait
_MESSAGE_BYTES = 1000  # what a message costs beside its payload
_LEFT_MOST = 10_000  # topics nobody asked for that are remembered
_FINISH_S = 2.0  # what a flush of the store takes, and a little
_TEST_WAIT_S = 30.0
_NOBODY_THERE = (Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.DISCONNECTED)


@dataclass(frozen=True, slots=True)
class _Group:
    """What is handed over together: rows, who says it is whom, and the messages to acknowledge then."""

    batches: Sequence[Batch]
    identities: Sequence[Identity] = ()
    messages: Sequence[Message] = ()
    cost: int = 0
    urgent: bool = False


class MqttAdapter:
    """One broker, its topics and the devices behind them."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        self._site, self._clock = site, site.clock
        self._connection = cast(Mqtt, sources[0].connection)
        self._devices: dict[str, Device] = {}
        self._routes = Routes(())
        self._deadlines = Deadlines()
        self._link = BrokerLink(self._connection, self._arrived, keys=site.keys, state=site.state)
        self._letters = DeadLetters(site.state, f"mqtt-{self._link.where}")
        self._window = Window()
        self._backoff = Backoff(site.clock)
        self._why: ReadError | None = None
        self._opened_us = 0
        self._identities: dict[str, Identity] = {}
        self._left: set[str] = set()  # topics given up in this run: their last messages mean nothing
        self._groups: list[_Group] = []
        self._ready = asyncio.Event()
        self._emitting: dict[asyncio.Future[None], _Group] = {}
        self._waiting_bytes = 0
        self._take_over(sources)

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices behind this broker."""
        return tuple(self._devices)

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Listen until cancelled."""
        try:
            async with together() as tasks:
                tasks.create_task(self._stay_connected())
                tasks.create_task(self._record_silence())
                tasks.create_task(self._store(emit, identify))
        finally:
            try:
                await self._finish()
            finally:
                await self._link.close()

    async def apply(self, sources: Sequence[Source]) -> None:
        """Take over a newer register's devices: those that changed begin anew, topics are subscribed and left by the difference."""
        self._take_over(sources)

    async def read_once(self) -> list[Batch]:
        """Wait for one message of each device, at most 30 s; as another client, so that the running collector loses none."""
        heard: list[Message] = []
        came = asyncio.Event()

        def hear(messages: Sequence[Message]) -> None:
            heard.extend(messages)
            came.set()

        link = BrokerLink(self._connection, hear, keys=self._site.keys)
        link.subscribe(self._routes.subscriptions, qos=0)
        rows: dict[str, Batch] = {}
        patience_s = max(d.patience_us for d in self._devices.values()) / 1_000_000
        try:
            await link.open(f"plantproof-test-{uuid.uuid4().hex[:6]}", clean=True)
            async with asyncio.timeout(min(_TEST_WAIT_S, patience_s)):
                while len(rows) < len(self._devices):
                    await came.wait()
                    came.clear()
                    rows |= {b.device: b for b in self._take(heard, [])}
                    heard.clear()
        except TimeoutError:
            pass
        except ReadError as err:
            return [d.failed(err.outcome, str(err)) for d in self._devices.values()]
        finally:
            await link.close()
        return [rows.get(name) or d.failed(Outcome.SILENT, d.silence) for name, d in self._devices.items()]

    def _take_over(self, sources: Sequence[Source]) -> None:
        before, now_us = self._devices, self._clock.now_us()
        self._devices = {
            s.device: before[s.device]
            if s.device in before and before[s.device].source == s
            else Device(s, self._clock, self._site.on_state)
            for s in sources
        }
        for name in before.keys() - self._devices.keys():
            self._deadlines.drop(name)
        for name, device in self._devices.items():
            if before.get(name) is not device:
                self._identities.pop(name, None)
                self._deadlines.drop(name)
                self._deadlines.expect(name, now_us + (0 if self._why else device.patience_us))
        old, self._routes = self._routes, Routes(sources)
        wanted = self._routes.subscriptions
        self._left = (self._left | old.topics()) - self._routes.topics()
        self._link.unsubscribe(old.subscriptions.keys() - wanted.keys())
        for qos in (1, 0, 2):  # the status topics first
            self._link.subscribe([t for t, q in wanted.items() if q == qos], qos)

    async def _stay_connected(self) -> None:
        link, client_id = self._link, client_id_of(self._connection)
        while True:
            try:
                await link.open(client_id, clean=False)
            except ReadError as err:
                self._backoff.failed(absent=err.outcome in _NOBODY_THERE)
                self._down(err)
                await self._clock.sleep(self._backoff.remaining_s)
                continue
            first, self._window = self._why is None, Window()
            if not first and not link.session_present:
                log.warning(
                    "代理丢失了会话, 断线期间的消息可能没有保留 the broker lost our session and what it kept",
                    broker=link.where,
                )
            self._why, opened_us = None, self._clock.now_us()
            self._opened_us = opened_us
            for name, device in self._devices.items():
                if (
                    device.health.failure is None
                ):  # who is missed already has a row each interval, however often we connect
                    self._deadlines.expect(name, opened_us + device.patience_us)
            await link.lost.wait()
            self._down(link.why or ReadError(Outcome.DISCONNECTED, f"{link.where}: 连接中断 (connection lost)"))
            if self._clock.now_us() - opened_us >= STEADY_US:
                self._backoff.succeeded()
            else:  # kicked, or a broker that falls over: not again at once
                self._backoff.failed()
            await self._clock.sleep(self._backoff.remaining_s)

    def _down(self, err: ReadError) -> None:
        """The broker is gone: a row at once for each device that counted as connected; the others have theirs each interval."""
        self._why = err
        now_us = self._clock.now_us()
        batches = []
        for name, device in self._devices.items():
            if device.source.in_service(now_us) and device.health.failure is None:
                batches.append(device.failed(err.outcome, str(err)))
            self._deadlines.hasten(name, next_multiple(now_us + 500_000, device.source.interval_s))
        self._hand_over(_Group(batches))

    async def _record_silence(self) -> None:
        """At each device's deadline: a row that says why there is no message."""
        seen_us = 0
        while True:
            now_us = self._clock.now_us()
            if now_us < seen_us:  # the clock was set back: nobody has until it is that time again
                for name, device in self._devices.items():
                    self._deadlines.hasten(name, now_us + device.patience_us)
            seen_us = now_us
            batches = []
            for name in self._deadlines.over(now_us):
                device = self._devices[name]
                interval_s = device.source.interval_s
                self._deadlines.expect(name, next_multiple(now_us + interval_s * 500_000, interval_s))
                if device.source.in_service(now_us):
                    batches.append(device.failed(*self._reason(device)))
            self._hand_over(_Group(batches))
            first_us = self._deadlines.first_us or now_us + 1_000_000
            await self._clock.sleep(min(1.0, max(0.05, (first_us - self._clock.now_us()) / 1_000_000)))

    def _reason(self, device: Device) -> tuple[Outcome, str]:
        if self._why is not None:
            return self._why.outcome, str(self._why)
        refused = [t for t in self._routes.filters(device.source) if t in self._link.denied]
        if refused:
            return Outcome.DENIED, f"{refused[0]}: {self._link.denied[refused[0]]}"
        known = device.health.failure
        if known is not None and self._clock.now_us() - self._opened_us < device.patience_us:
            return known.outcome, known.words  # connected just now: not silent yet
        return Outcome.SILENT, device.silence

    def _arrived(self, messages: Sequence[Message]) -> None:
        """The link's call: decode at once, store while more is being read."""
        now_us = self._clock.now_us()
        self._window.arrived(len(messages), now_us)
        identities: list[Identity] = []
        batches = self._take(messages, identities)
        cost = sum(len(m.payload) for m in messages) + _MESSAGE_BYTES * len(messages)
        self._waiting_bytes += cost
        if self._waiting_bytes > _WAITING_BYTES:
            self._link.pause(True)
        urgent = self._link.deliveries.unacknowledged > 0 and self._window.full(now_us)
        self._hand_over(_Group(batches, identities, tuple(messages), cost, urgent))

    def _hand_over(self, group: _Group) -> None:
        if group.batches or group.messages:
            self._groups.append(group)
            self._ready.set()

    async def _store(self, emit: Emit, identify: Identify) -> None:
        """Groups in their order; several may be under way, so that a slow disk does not stop the reading."""
        async with together() as under_way:
            while True:
                await self._ready.wait()
                self._ready.clear()
                groups, self._groups = self._groups, []
                for group in groups:
                    for identity in group.identities:
                        await identify(identity)
                    under_way.create_task(self._make_durable(group, emit))

    async def _make_durable(self, group: _Group, emit: Emit) -> None:
        if group.batches:
            emitting = asyncio.ensure_future(emit(*group.batches, urgent=group.urgent))
            self._emitting[emitting] = group
            await asyncio.shield(emitting)  # a stop in order waits for it: `_finish`
            del self._emitting[emitting]
        if group.messages:
            self._acknowledge(group)

    async def _finish(self) -> None:
        """A stop in order: what was emitted will be stored, so its messages are acknowledged and do not come again."""
        self._link.pause(True)
        if self._emitting:
            done, waiting = await asyncio.wait(self._emitting, timeout=_FINISH_S)
            for emitting in waiting:
                emitting.cancel()
            await asyncio.gather(*self._emitting, return_exceptions=True)
            for emitting in done:
                if not emitting.cancelled() and emitting.exception() is None:
                    self._link.acknowledge(self._emitting[emitting].messages)
            self._emitting.clear()
        self._link.pause(False)

    def _acknowledge(self, group: _Group) -> None:
        deliveries = self._link.deliveries
        before, now_us = deliveries.unacknowledged, self._clock.now_us()
        self._link.acknowledge(group.messages)
        self._window.acknowledged(before - deliveries.unacknowledged, now_us)
        self._waiting_bytes -= group.cost
        if self._waiting_bytes < _WAITING_BYTES // 2:
            self._link.pause(False)
        if self._window.full(now_us):
            self._link.hurry()

    def _take(self, messages: Sequence[Message], identities: list[Identity]) -> list[Batch]:
        """Messages in their order -> one batch for each device that sent some, and who says it is whom."""
        now_us = self._clock.now_us()
        rows: dict[str, Rows] = {}
        letters: list[Letter] = []
        for message in messages:
            if message.topic in self._routes.status:
                identities += self._told(message)
            routes = self._routes.of.get(message.topic)
            if routes is None:
                letters += self._astray(message)
            elif not message.retain:
                for route in routes:
                    device = self._devices[route.device]
                    made = rows.get(route.device)
                    if made is None:
                        made = rows[route.device] = Rows(route.device, device.source.template)
                    self._deadlines.expect(route.device, now_us + device.patience_us)
                    letter = device.take(made, message, route.point, now_us)
                    if letter is not None:
                        letters.append(letter)
        self._letters.add(letters, now_us)
        return [b for r in rows.values() if (b := r.batch()) is not None]

    def _told(self, message: Message) -> list[Identity]:
        found = []
        for device in self._routes.status[message.topic]:
            identity = identity_of(device, message)
            if identity is not None and self._identities.get(device) != identity:
                self._identities[device] = identity
                found.append(identity)
        return found

    def _astray(self, message: Message) -> list[Letter]:
        """A topic nobody asked for: an earlier register's, still in the broker's session. It is left."""
        topic = message.topic
        if topic in self._routes.status or topic in self._left:
            return []
        if len(self._left) < _LEFT_MOST:  # a broker that subscribes for us has no end of them
            self._left.add(topic)
            self._link.unsubscribe([topic])
        why = "台账里没有这个主题, 已退订 (no device of the register has this topic; unsubscribed)"
        return [Letter(topic, message.payload, message.size, why)]
