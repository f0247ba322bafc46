"""Sparkplug B 3.0 host: the edge nodes behind one broker, and the register's devices on them.

In: the sources of one connection. Out: rows of births and data (`sparkplug/edge.py`), handed over before the broker hears an
acknowledgement. A clean session, as §5.2 demands: what is sent while we are away is gone, and the row of the broken connection says so.
With `host_id` this is the primary host of that id: STATE online after subscribing, offline as the will and before leaving.
What leaves: that STATE, and Node Control/Rebirth = true to edge nodes of the register whose state is not known: a moment after
connecting, after a gap, at an unknown alias; throttled per edge node (`host.py`), never with `rebirth = false`.
Retained births and data are old: neither contact nor value. Silence is judged by the declared interval, as in MQTT: a live edge node
that reports by exception says nothing of a machine that reports nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import platform
import uuid
from collections.abc import Sequence
from typing import cast

import structlog

from adapters.batch import Batch, Outcome
from adapters.contract import Emit, Identify, Identity, ReadError, Site
from adapters.deadletter import DeadLetters, Letter
from adapters.health import Backoff
from adapters.mqtt.link import BrokerLink
from adapters.mqtt.packets import Message
from adapters.mqtt.sparkplug.edge import EdgeNode
from adapters.mqtt.sparkplug.host import Presence, command_topic, rebirth_payload
from adapters.mqtt.sparkplug.member import Member
from adapters.mqtt.sparkplug.payload import NAMESPACE, Undecodable, Verb, address
from adapters.mqtt.sparkplug.session import State
from adapters.mqtt.window import Window
from adapters.rows import failed_batch
from adapters.schedule import next_multiple
from adapters.tasks import together
from adapters.template import Source
from config.connections import Sparkplug

log = structlog.get_logger(__name__)

_PENDING_MOST = 20_000
_PENDING_BYTES = 64 << 20  # of messages not yet taken, before the broker has to wait
_TICK_S = 0.25
_STEADY_US = 10_000_000  # a connection that lasted so long was one; a shorter one counts as a failure
_GRACE_US = 300_000  # for births that come by themselves after a connection
_ASKED_AT_ONCE = 25  # edge nodes in one tick: a hundred a second give their births
_ABSENT = (Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TIMEOUT)
_TEST_WAIT_S = 30.0
_ROUTES_MOST = 100_000

Route = tuple[EdgeNode, Verb, str]  # whose message, of which kind, about which device


class SparkplugAdapter:
    """One broker, its edge nodes and the devices behind them."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        self._site, self._clock = site, site.clock
        self._login = cast(Sparkplug, sources[0].connection)
        self._nodes: dict[tuple[str, str], EdgeNode] = {}
        self._members: dict[str, Member] = {}
        self._routes: dict[str, Route] = {}  # by topic
        self._may_publish: set[str] = set()
        self._presence = Presence(self._login.host_id)
        self._link = BrokerLink(
            self._login, self._arrive, keys=site.keys, state=site.state, may_publish=self._may_publish
        )
        self._dead = DeadLetters(site.state, f"sparkplug-{self._link.where}")
        self._letters: list[Letter] = []
        self._pending: list[tuple[int, Sequence[Message]]] = []
        self._waiting = self._waiting_bytes = 0
        self._taken: list[Message] = []  # and not yet durable
        self._replaced: list[Batch] = []  # rows of devices that a newer register dropped or knows otherwise
        self._window = Window()  # of edge nodes that publish at QoS 1, although §6.4 says 0
        self._wake = asyncio.Event()
        self._next_tick_us = 0
        self._why: ReadError | None = None
        self._opened_us = 0
        self._backoff = Backoff(site.clock)
        self._greet_us = 0
        self._to_greet: list[EdgeNode] = []  # asked once after a connection, when nothing was heard of them
        self._identities: dict[str, Identity] = {}
        self._retained = 0
        self._take_over(sources)

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices behind this broker."""
        return tuple(self._members)

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Listen until cancelled."""
        try:
            async with together() as tasks:
                tasks.create_task(self._stay_connected())
                tasks.create_task(self._tick())
                tasks.create_task(self._work(emit, identify))
        finally:
            await self._leave()

    async def apply(self, sources: Sequence[Source]) -> None:
        """Take over a newer register: devices that stay are not touched; an edge node with a new device is asked for its births."""
        topics, nodes = set(self._topics()), set(self._nodes)
        self._drain()  # what came so far is the register's of then
        self._take_over(sources)
        self._link.unsubscribe(sorted(topics - set(self._topics())))
        self._link.subscribe([t for t in self._topics() if t not in topics], qos=1)
        self._to_greet += [node for key, node in self._nodes.items() if key not in nodes]

    async def read_once(self) -> list[Batch]:
        """Wait for a birth or values of each device, at most 30 s, asking once; as another client, without a STATE."""
        rows: dict[str, Batch] = {}
        try:
            self._link.subscribe(self._topics(), qos=0)
            await self._link.open(f"plantproof-test-{uuid.uuid4().hex[:7]}", clean=True)
            self._begin(self._clock.now_us())
            async with asyncio.timeout(min(_TEST_WAIT_S, max(m.patience_s for m in self._members.values()))):
                while len(rows) < len(self._members):
                    await asyncio.sleep(_TICK_S / 5)
                    await self._process()
                    rows |= {b.device: b for b in self._batches() if Outcome(int(b.outcome[0])).is_contact}
        except TimeoutError:
            pass
        except ReadError as err:
            return [self._failed(m, err.outcome, str(err)) for m in self._members.values()]
        finally:
            await self._link.close()
        return [rows.get(d) or self._failed(m, *self._reason(m)) for d, m in self._members.items()]

    def _take_over(self, sources: Sequence[Source]) -> None:
        """Members whose source is equal stay as they are."""
        kept = {s.device: m for s in sources if (m := self._members.get(s.device)) is not None and m.source == s}
        self._replaced += [b for d, m in self._members.items() if d not in kept and (b := m.batch()) is not None]
        self._members = {s.device: kept.get(s.device) or Member(s, self._site) for s in sources}
        by_node: dict[tuple[str, str], list[Member]] = {}
        for member in self._members.values():
            by_node.setdefault((member.connection.group, member.connection.edge_node), []).append(member)
        self._nodes = {key: self._nodes.get(key) or EdgeNode(*key) for key in by_node}
        for key, node in self._nodes.items():
            node.apply(by_node[key])
        self._routes.clear()
        self._may_publish.clear()
        self._may_publish |= {command_topic(n.group, n.name) for n in self._nodes.values() if n.may_ask}
        if self._presence.topic:
            self._may_publish.add(self._presence.topic)

    def _topics(self) -> list[str]:
        """The messages of the register's edge nodes, commands apart; all of their devices, since they share one sequence."""
        topics = [self._presence.topic] if self._presence.topic else []
        for group, name in self._nodes:
            topics += [f"{NAMESPACE}/{group}/{verb}/{name}{'/+' if verb.of_device else ''}" for verb in Verb]
        return topics

    async def _stay_connected(self) -> None:
        self._link.subscribe(self._topics(), qos=1)
        while True:
            try:
                await self._connect()
            except ReadError as err:
                self._backoff.failed(absent=err.outcome in _ABSENT)
                self._down(err)
                await self._clock.sleep(self._backoff.remaining_s)
                continue
            opened_us = self._clock.now_us()
            await self._link.lost.wait()
            self._down(
                self._link.why or ReadError(Outcome.DISCONNECTED, f"{self._link.where}: 连接中断 (connection lost)")
            )
            if self._clock.now_us() - opened_us >= _STEADY_US:
                self._backoff.succeeded()
            else:  # kicked, or a broker that falls over: not again at once
                self._backoff.failed()
            await self._clock.sleep(self._backoff.remaining_s)

    async def _connect(self) -> None:
        """Connect, subscribe, then say that we are online, in this order (§5.2). Errors: `ReadError`."""
        will = self._presence.will(self._clock.now_us() // 1000)
        await self._link.open(_client_id(self._login), clean=True, will=will)
        self._begin(self._clock.now_us())
        if will is not None:
            await self._link.publish(will.topic, self._presence.online(), 1, retain=True)

    def _begin(self, now_us: int) -> None:
        """A new connection: whoever is not heard of within the grace is asked."""
        self._why, self._greet_us, self._to_greet = None, now_us + _GRACE_US, list(self._nodes.values())
        self._opened_us = now_us
        for member in self._members.values():
            if member.health.failure is None:  # who is missed already has a row each interval, however often we connect
                member.expect(now_us)

    async def _leave(self) -> None:
        """Say that we are offline, then goodbye (§5.13): a DISCONNECT alone would silence the will."""
        topic = self._presence.topic
        if topic and not self._link.lost.is_set():
            try:
                await self._link.publish(topic, self._presence.offline(self._clock.now_us() // 1000), 1, retain=True)
            except ReadError as err:
                log.warning("离线状态未能发出 STATE offline could not be published", why=str(err))
        await self._link.close()

    def _down(self, err: ReadError) -> None:
        """The broker is gone: a row at once for each device that counted as connected; the others have theirs each interval."""
        self._why = err
        now = self._clock.now_us()
        self._drain()
        for node in self._nodes.values():
            node.disconnect(now)
        for member in self._members.values():
            if member.source.in_service(now) and member.health.failure is None:
                member.failed(err.outcome, str(err), now)
            member.deadline_us = min(member.deadline_us, next_multiple(now + 500_000, member.source.interval_s))
        self._wake.set()

    def _arrive(self, messages: Sequence[Message]) -> None:
        now = self._clock.now_us()
        self._window.arrived(len(messages), now)
        self._pending.append((now, messages))
        self._waiting += len(messages)
        self._waiting_bytes += sum(len(m.payload) for m in messages)
        self._wake.set()
        if self._waiting >= _PENDING_MOST or self._waiting_bytes >= _PENDING_BYTES:
            self._link.pause(True)

    async def _tick(self) -> None:
        """Time passes without messages, too."""
        while True:
            await self._clock.sleep(_TICK_S)
            self._wake.set()

    async def _work(self, emit: Emit, identify: Identify) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._process()
            for identity in self._new_identities():
                await identify(identity)
            batches, deliveries = self._batches(), self._link.deliveries
            messages, self._taken = self._taken, []
            if batches:
                urgent = deliveries.unacknowledged > 0 and self._window.full(self._clock.now_us())
                await emit(*batches, urgent=urgent)
            before, now = deliveries.unacknowledged, self._clock.now_us()
            self._link.acknowledge(messages)
            self._window.acknowledged(before - deliveries.unacknowledged, now)
            if self._window.full(now):
                self._link.hurry()
            self._link.pause(False)

    async def _process(self) -> None:
        """Messages to rows, what time brings, what is to be said."""
        self._drain()
        now = self._clock.now_us()
        if 0 < self._next_tick_us - now <= _TICK_S * 1_000_000:  # more: the clock was set back
            return
        self._next_tick_us = now + int(_TICK_S * 1_000_000)
        for node in self._nodes.values():
            node.pass_time(now)
        self._record_silence(now)
        if not self._link.lost.is_set():
            try:
                await self._speak(now)
            except ReadError as err:
                log.warning("报文未能发出 a message could not be published", why=str(err))
        letters = [letter for node in self._nodes.values() for letter in node.letters]
        self._dead.add([*self._letters, *letters], now)
        for written in (self._letters, *(node.letters for node in self._nodes.values())):
            written.clear()

    def _drain(self) -> None:
        pending, self._pending, self._waiting, self._waiting_bytes = self._pending, [], 0, 0
        for received_us, messages in pending:
            self._taken += messages
            for message in messages:
                self._take(message, received_us)

    def _take(self, message: Message, received_us: int) -> None:
        topic = message.topic
        if topic == self._presence.topic:
            self._presence.hear(message.payload)
        elif message.retain:
            self._retained += 1
        else:
            route = self._routes.get(topic) or self._route(message)
            if route is not None:
                node, verb, device = route
                node.take(topic, verb, device, message.payload, message.size, received_us)

    def _route(self, message: Message) -> Route | None:
        """Whose message that is; remembered, as there are as many topics as devices. None: nobody's."""
        try:
            group, name, verb, device = address(message.topic)
        except Undecodable as err:
            self._letters.append(Letter(message.topic, message.payload, message.size, str(err)))
            return None
        node = self._nodes.get((group, name))
        if node is None:
            return None
        if len(self._routes) < _ROUTES_MOST:
            self._routes[message.topic] = (node, verb, device)
        return node, verb, device

    async def _speak(self, now_us: int) -> None:
        """STATE again when somebody said that we are offline (§5.2); rebirths where they are needed. Errors: `ReadError`."""
        if self._presence.contradicted:
            await self._link.publish(self._presence.topic, self._presence.online(), 1, retain=True)
        if now_us >= self._greet_us:
            for node in self._to_greet:
                if node.session.state is State.UNKNOWN:
                    node.session.want("刚连接, 没有见到出生报文 (connected, and no birth seen yet)")
            self._to_greet = []
        wanting = (n for n in self._nodes.values() if n.session.wanted and n.may_ask)
        for node in itertools.islice((n for n in wanting if n.throttle.may_ask(now_us)), _ASKED_AT_ONCE):
            log.info("请求重生 a rebirth is asked for", group=node.group, edge_node=node.name, why=node.session.wanted)
            await self._link.publish(command_topic(node.group, node.name), rebirth_payload(now_us // 1000))

    def _record_silence(self, now_us: int) -> None:
        """At each device's deadline: a row that says why there is no value."""
        for member in self._members.values():
            latest_us = now_us + int(2_000_000 * member.patience_s)  # later still: the clock was set back
            member.deadline_us = min(member.deadline_us, latest_us)
            if member.deadline_us > now_us:
                continue
            interval_s = member.source.interval_s
            member.deadline_us = next_multiple(now_us + interval_s * 500_000, interval_s)
            if member.source.in_service(now_us):
                member.failed(*self._reason(member), now_us)

    def _reason(self, member: Member) -> tuple[Outcome, str]:
        if self._why is not None:
            return self._why.outcome, str(self._why)
        if member.offline:
            return Outcome.DISCONNECTED, member.offline
        denied = next((t for t in self._link.denied if t.startswith(member.value_topic)), None)
        if denied is not None:
            return Outcome.DENIED, f"{denied}: 代理不允许订阅 (the broker refuses this topic)"
        known = member.health.failure
        if known is not None and self._clock.now_us() - self._opened_us < member.patience_s * 1_000_000:
            return known.outcome, known.words  # connected just now: not silent yet
        return Outcome.SILENT, member.silence

    def _failed(self, member: Member, outcome: Outcome, words: str) -> Batch:
        now = self._clock.now_us()
        member.health.failed(outcome, words)
        return failed_batch(member.source.device, member.source.template, now, outcome)

    def _batches(self) -> list[Batch]:
        replaced, self._replaced = self._replaced, []
        return replaced + [b for m in self._members.values() if (b := m.batch()) is not None]

    def _new_identities(self) -> list[Identity]:
        """What the births said of their devices, where it is news."""
        found = []
        for node in self._nodes.values():
            for identity in node.identities:
                if self._identities.get(identity.device) != identity:
                    self._identities[identity.device] = identity
                    found.append(identity)
            node.identities.clear()
        return found


def _client_id(login: Sparkplug) -> str:
    """Stable, so that a broker throws out our own forgotten connection; at most 23 characters (MQTT 3.1.1 §3.1.3.1)."""
    if login.client_id:
        return login.client_id
    seed = f"sparkplug {platform.node()} {login.broker} {login.username} {login.host_id}".encode()
    return f"plantproof-{hashlib.sha256(seed).hexdigest()[:12]}"
