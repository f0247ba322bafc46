"""One session with an MQTT broker (3.1.1 and 5): subscribe, receive, acknowledge when durable; publish only where it was allowed.

In: a `_Broker` connection, the folders of its certificates and of its state. Out: messages through `on_messages`, in order, one call
for what came together; `ReadError` when the broker cannot be had. One object serves all connections of the session: `open` again after
`lost`. Subscriptions are asked for at each `open`, whether the broker remembers them or not; those an earlier run left are given up.
Version auto: 5 first, then 3.1.1 where the broker does not know it, hangs up or says nothing; what it took is tried first from then on.
Reading only: `publish` and the will refuse every topic that is not in `may_publish`, which is empty for MQTT.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform
import ssl
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import Literal

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.mqtt import packets
from adapters.mqtt.deliveries import Deliveries
from adapters.mqtt.packets import V5, V311, Answer, Framer, Malformed, Message, Packet, Will
from adapters.mqtt.reasons import WRONG_VERSION, goodbye, refusal
from adapters.mqtt.stream import CONNECT_S, Broker, Stream, address_of, open_stream, tls_error
from adapters.mqtt.subscriptions import Subscriptions
from adapters.network import network_error, protocol_error, timeout_error

OnMessages = Callable[[Sequence[Message]], None]

MAX_BYTES = (
    1 << 20
) + 70_000  # of a packet: 1 MiB of payload and the longest topic; more is skimmed and named, never stored
KEEP_ALIVE_S = 20
SESSION_S = 7 * 86_400  # how long a broker of MQTT 5 keeps our session and its queue while we are away
RECEIVE_MAXIMUM = 65_535  # mosquitto takes it as the session's window; 20 otherwise
_TOPICS_AT_ONCE = 100  # of one SUBSCRIBE
_SECOND_THOUGHT_S = 3.0  # for an answer, when there is another version to try
_UNANSWERED = (Outcome.DISCONNECTED, Outcome.TIMEOUT)
_VERSIONS = {"auto": (V5, V311), "5": (V5,), "3.1.1": (V311,)}
_PUBLISH_S = 5.0
_SLOWEST = (
    32_000  # bytes a second of a large packet; slower, and it is a false length that swallows what comes behind it
)
_FAREWELL_S = 0.5  # for the broker to close after our DISCONNECT (MQTT 5 §3.14.4)
_GOODBYE_S = 1.0


def client_id_of(connection: Broker) -> str:
    """The session's name: stable, so that the broker keeps it while we are away; at most 23 characters (MQTT 3.1.1 §3.1.3.1)."""
    if connection.client_id:
        return connection.client_id
    seed = f"{platform.node()} {connection.link}".encode()
    return f"plantproof-{hashlib.sha256(seed).hexdigest()[:12]}"


class ForbiddenPublish(Exception):
    """An attempt to publish where this link may not; a bug of ours, never a broker's fault."""


class BrokerLink:
    """The session. `lost` is set while there is no connection; `why` says what ended the last one.

    may_publish: the only topics that `publish` and a will may name; the owner's own set, which may change with the register.
    """

    def __init__(
        self,
        connection: Broker,
        on_messages: OnMessages,
        *,
        keys: Path | None = None,
        state: Path | None = None,
        may_publish: Container[str] = (),
    ) -> None:
        host, port = address_of(connection)
        self.where = f"{host}:{port}"
        self.lost = asyncio.Event()
        self.lost.set()
        self.why: ReadError | None = None
        self.version = V311
        self._versions: tuple[int, ...] = _VERSIONS[connection.version]  # first the one that was taken last
        self.session_present = False
        self.subscriptions = Subscriptions(self.where, state)
        self.deliveries = Deliveries()
        self._connection, self._keys = connection, keys
        self._on_messages, self._may_publish = on_messages, may_publish
        self._loop = asyncio.get_running_loop()
        self._stream: Stream | None = None
        self._framer = Framer(MAX_BYTES)
        self._aliases: dict[int, str] = {}
        self._greeting: asyncio.Future[Answer] | None = None
        self._publishing: dict[int, asyncio.Future[None]] = {}
        self._upkeep: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._mid = 0
        self._held = self._leaving = False
        self._heard = self._said = self._whole = 0.0  # when: any bytes, ours, a whole packet
        self._trickle_bytes = 0  # of a packet that is not whole, since the keep-alive last looked

    @property
    def denied(self) -> dict[str, str]:
        """Topics the broker would not subscribe us to, and why."""
        return self.subscriptions.denied

    async def open(self, client_id: str, *, clean: bool, will: Will | None = None) -> None:
        """Connect and wait for the broker's consent; then ask for the topics wanted so far. Errors: `ReadError`."""
        if will is not None:
            self._guard(will.topic)
        await self.close()
        if not clean:
            self.subscriptions.remember(client_id)
        versions = self._versions
        for version in versions:
            patience_s = CONNECT_S if version == versions[-1] else _SECOND_THOUGHT_S
            try:
                answer = await self._greet(version, client_id, patience_s, clean=clean, will=will)
            except ReadError as err:
                await self._shut()
                if self._greeting is not None and err.outcome in _UNANSWERED and version != versions[-1]:
                    continue  # some brokers hang up on a version they do not know, or say nothing
                raise
            except BaseException:
                await self._shut()
                raise
            if not answer.reason:
                self._versions = (version, *(v for v in versions if v != version))
                return
            await self._shut()
            if answer.reason not in WRONG_VERSION or version == versions[-1]:
                raise refusal(answer, self.where)
        raise AssertionError("the last version returns or raises")

    def subscribe(self, topics: Iterable[str], qos: int) -> None:
        """Want these topics, now and after each `open`. Before the first `open` nothing is sent: best done then."""
        new = [(t, qos) for t in topics if self.subscriptions.wanted.get(t) != qos]
        self.subscriptions.wanted.update(new)
        if not self.lost.is_set():
            self._ask(new)
            self.subscriptions.note()

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Give these topics up; also one that was never wanted (an earlier run's)."""
        left = list(topics)
        for topic in left:
            self.subscriptions.wanted.pop(topic, None)
            self.subscriptions.denied.pop(topic, None)
        if left and not self.lost.is_set():
            self._give_up(left)
            self.subscriptions.note()

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """These are durable: tell the broker, in the order of arrival. After a loss of the connection it hears it when it asks again."""
        self.deliveries.durable(messages)
        self._acknowledge()

    def pause(self, paused: bool) -> None:
        """Stop or resume reading: the broker's own queue waits, nothing is dropped here."""
        self._held = paused
        if self._stream is not None:
            self._stream.hold(paused)

    def hurry(self) -> None:
        """Do not wait for the grid's next slot: the broker has been waiting for our acknowledgements."""
        if self._stream is not None:
            self._stream.hurry()

    async def publish(self, topic: str, payload: bytes, qos: Literal[0, 1] = 0, *, retain: bool = False) -> None:
        """Publish where `may_publish` allows; QoS 1 waits for the broker's word. Errors: `ForbiddenPublish`, `ReadError`."""
        self._guard(topic)
        if self.lost.is_set():
            raise self.why or ReadError(Outcome.DISCONNECTED, f"{self.where}: 未连接 (not connected)")
        mid = self._next_mid() if qos else 0
        self._write(packets.publish(self.version, mid, topic, payload, qos, retain=retain))
        if not qos:
            return
        answered = self._publishing[mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(_PUBLISH_S):
                await answered
        except TimeoutError:
            raise timeout_error(self.where) from None
        finally:
            self._publishing.pop(mid, None)

    async def close(self) -> None:
        """Say goodbye and close. The session and its subscriptions stay with the broker."""
        if not self.lost.is_set() and self._stream is not None:
            self._leaving = True
            self._write(packets.DISCONNECT_BYTES)
            self._stream.drain()  # closing over unread bytes would reset the connection, and our last words with it
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._gone.wait()
        await self._shut()

    def _guard(self, topic: str) -> None:
        """The one place that decides what may leave the process as a message."""
        if topic not in self._may_publish:
            raise ForbiddenPublish(f"{self.where}: expected a topic this link may publish to, found {topic!r}")

    async def _greet(
        self, version: int, client_id: str, patience_s: float, *, clean: bool, will: Will | None
    ) -> Answer:
        password = self._password()
        self.version, self.why, self._aliases = version, None, {}
        self._framer, self._heard = Framer(MAX_BYTES), 0.0
        self._greeting, self._leaving = None, False
        self._gone = asyncio.Event()
        self._gone.set()
        stream = await open_stream(self._connection, self._keys, self._received, self._disconnected)
        self._stream, self._greeting = stream, self._loop.create_future()
        self._gone.clear()
        if self.why is not None:  # it spoke before it was spoken to: no MQTT
            raise self.why
        self._write(
            packets.connect(
                version,
                client_id,
                KEEP_ALIVE_S,
                clean=clean,
                session_s=SESSION_S,
                receive_maximum=RECEIVE_MAXIMUM,
                username=self._connection.username,
                password=password,
                will=will,
            )
        )
        try:
            async with asyncio.timeout(patience_s):
                return await self._greeting
        except TimeoutError:
            raise timeout_error(self.where) from None

    def _password(self) -> str | None:
        name = self._connection.password_env
        if not name:
            return None
        if name not in os.environ:
            raise ReadError(Outcome.DENIED, f"{self.where}: 环境变量 {name} 未设置 (password not in the environment)")
        return os.environ[name]

    def _opened(self, answer: Answer) -> None:
        self.session_present = answer.session_present
        self.deliveries.begin(session_present=answer.session_present)
        self.lost.clear()
        if self._stream is not None:
            self._stream.moderate()
            self._stream.hold(self._held)
        asked = answer.number(packets.SERVER_KEEP_ALIVE) if self.version == V5 else None
        self._upkeep = asyncio.create_task(self._keep_alive(KEEP_ALIVE_S if asked is None else asked))
        self._give_up(self.subscriptions.leftovers())
        self._ask(list(self.subscriptions.wanted.items()))
        self.subscriptions.note()

    def _ask(self, topics: Sequence[tuple[str, int]]) -> None:
        for at in range(0, len(topics), _TOPICS_AT_ONCE):
            some, mid = topics[at : at + _TOPICS_AT_ONCE], self._next_mid()
            self.subscriptions.asked(mid, some)
            self._write(packets.subscribe(self.version, mid, some))

    def _give_up(self, topics: Sequence[str]) -> None:
        for at in range(0, len(topics), _TOPICS_AT_ONCE):
            self._write(packets.unsubscribe(self.version, self._next_mid(), topics[at : at + _TOPICS_AT_ONCE]))

    def _received(self, data: bytes) -> None:
        if self._leaving:
            return
        if not self._heard and data[0] != packets.CONNACK << 4:
            self._end(protocol_error(self.where, "MQTT", data))
            return
        self._heard = self._loop.time()
        messages: list[Message] = []
        try:
            found = self._framer.feed(data)
            self._trickle_bytes += len(data)
            if found:
                self._whole, self._trickle_bytes = self._heard, 0
            for packet in found:
                if packet.kind != packets.PUBLISH:
                    self._control(packet)
                    continue
                message = packets.read_message(packet, self.version, self._aliases)
                if not message.qos or self.deliveries.arrived(message):
                    messages.append(message)
        except Malformed as err:
            words = f"{self.where}: 代理发来的不是合法的 MQTT 报文 (malformed packet: {err})"
            self._end(ReadError(Outcome.PROTOCOL, words))
        if messages:
            self._on_messages(messages)
        self._acknowledge()

    def _control(self, packet: Packet) -> None:
        kind = packet.kind
        if kind == packets.CONNACK and self._greeting is not None and not self._greeting.done():
            answer = packets.read_connack(packet, self.version)
            if not answer.reason:
                self._opened(answer)  # here and now: the session's messages may follow in the same read
            self._greeting.set_result(answer)
        elif kind == packets.SUBACK:
            self.subscriptions.answered(*packets.read_codes(packet, self.version))
        elif kind == packets.PUBREL:
            mid, _ = packets.read_mid(packet)
            self.deliveries.released(mid)
            self._write(packets.acknowledgement(packets.PUBCOMP, mid))
        elif kind == packets.PUBACK:
            self._published(*packets.read_mid(packet))
        elif kind == packets.DISCONNECT and self.version == V5:
            self._end(goodbye(packets.read_disconnect(packet), self.where))
        elif kind not in (packets.PINGRESP, packets.UNSUBACK):
            raise Malformed(f"expected a packet for a client, found type {kind}")

    def _published(self, mid: int, reason: int) -> None:
        answered = self._publishing.get(mid)
        if answered is None or answered.done():
            return
        if reason < 0x80:
            answered.set_result(None)
        else:
            answered.set_exception(refusal(Answer(reason), self.where))

    def _acknowledge(self) -> None:
        due = self.deliveries.due()
        if due and not self.lost.is_set():
            self._write(b"".join(packets.acknowledgement(kind, mid) for kind, mid in due))

    def _write(self, data: bytes) -> None:
        if self._stream is not None and data:
            self._said = self._loop.time()
            self._stream.write(data)

    def _next_mid(self) -> int:
        self._mid = self._mid % 65_535 + 1
        return self._mid

    def _end(self, why: ReadError) -> None:
        """Give the connection up for a reason of ours or the broker's."""
        self.why = self.why or why
        if self._stream is not None:
            self._stream.abort()

    def _disconnected(self, exc: Exception | None) -> None:
        if self.why is None:
            self.why = ReadError(Outcome.DISCONNECTED, f"{self.where}: 连接中断 (connection lost)")
            if isinstance(exc, ssl.SSLError):
                self.why = tls_error(exc, self.where)
            elif isinstance(exc, OSError):
                self.why = network_error(exc, self.where)
        waiting = [self._greeting, *self._publishing.values()]
        for future in waiting:
            if future is not None and not future.done():
                future.set_exception(self.why)
        self.subscriptions.forget_questions()
        self._stream = None
        self._gone.set()
        self.lost.set()

    async def _shut(self) -> None:
        """Close the socket and wait until it is closed."""
        self.lost.set()
        if self._upkeep is not None:
            await self._upkeep  # ends with `lost`
            self._upkeep = None
        if self._greeting is not None:
            self._greeting.cancel()
        if self._stream is None:
            return
        self._stream.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._gone.wait()
        if self._stream is not None:  # a broker that reads nothing any more
            self._stream.abort()
            self._stream = None

    async def _keep_alive(self, every_s: float) -> None:
        """Ping when nothing was said for half the time; give up when no packet came for it and a half (§3.1.2.10), nor much of one."""
        while not self.lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s / 2 if every_s else None):
                    await self.lost.wait()
                    return
            now = self._loop.time()
            if self._held:
                self._heard = self._whole = now  # we are not listening
            elif now - self._heard > every_s * 1.5:
                self._end(timeout_error(self.where))
            elif now - self._whole > every_s * 1.5 and self._trickle_bytes < _SLOWEST * every_s / 2:
                self._end(
                    ReadError(
                        Outcome.PROTOCOL, f"{self.where}: 报文长度不实, 迟迟收不全 (a packet that never becomes whole)"
                    )
                )
            self._trickle_bytes = 0
            if now - min(self._said, self._heard) >= every_s / 2:
                self._write(packets.PINGREQ_BYTES)
