"""One connection to an MQTT broker (MQTT 3.1.1), driven by the event loop: subscribe and acknowledge, never publish.

In: broker, client id, secret. Out: messages through `on_message`, in order; `ReadError` when the broker cannot be had.
paho frames and keeps alive; sockets are watched by asyncio, so callbacks run in the loop's thread. Acknowledgement is manual: a message
is acknowledged when its rows are durable, and comes again (same session, QoS 1) when we die before that.
The first byte is looked at before paho sees it: a CONNACK starts with 0x20, everything else is another protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.network import network_error, protocol_error, timeout_error

CONNECT_S = 5.0
_KEEP_ALIVE_S = 30
_CONNACK = 0x20
_PACKETS_AT_ONCE = 200
_DENIED = ("Not authorized", "Bad user name or password", "Client identifier not valid", "Banned")


class BrokerLink:
    """The connection. `lost` is set once, when it is gone."""

    def __init__(self, host: str, port: int, on_message: Callable[[MQTTMessage], None]) -> None:
        self.where = f"{host}:{port}"
        self.lost = asyncio.Event()
        self.denied: set[str] = set()  # topics the broker would not subscribe us to
        self._host, self._port = host, port
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._socket: socket.socket | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._upkeep: asyncio.Task[None] | None = None
        self._asked: dict[int, list[str]] = {}
        self._paused = False

    async def open(self, client_id: str, *, clean: bool, username: str = "", password: str | None = None) -> None:
        """Connect and wait for the broker's consent. Errors: `ReadError`."""
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=clean,
            protocol=MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_S
        if username:
            client.username_pw_set(username, password)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = lambda _client, _data, message: self._on_message(message)
        self._client = client
        try:
            async with asyncio.timeout(CONNECT_S + 1):
                # name resolution and connect block, so they have a thread; paho bounds them by connect_timeout
                await self._loop.run_in_executor(None, client.connect, self._host, self._port, _KEEP_ALIVE_S)
                self._watch(client)
                await self._ready
        except TimeoutError:
            await self.close()
            raise timeout_error(self.where) from None
        except OSError as err:
            await self.close()
            raise network_error(err, self.where) from err
        except BaseException:
            await self.close()
            raise
        self._upkeep = asyncio.create_task(self._keep_alive(client))

    def subscribe(self, topics: list[str], qos: int) -> None:
        """Subscribe; a refused topic appears in `denied`."""
        if self._client is not None and topics:
            _, mid = self._client.subscribe([(t, qos) for t in topics])
            if mid is not None:
                self._asked[mid] = topics

    def unsubscribe(self, topic: str) -> None:
        """Leave a topic that an earlier run of this session subscribed to."""
        if self._client is not None:
            self._client.unsubscribe(topic)

    def acknowledge(self, message: MQTTMessage) -> None:
        """Tell the broker that the message is ours now. After a loss of the connection it will come again instead."""
        if self._client is not None and not self.lost.is_set():
            self._client.ack(message.mid, message.qos)

    def pause(self, paused: bool) -> None:
        """Stop or resume reading: the broker's own queue waits, nothing is dropped here."""
        if self._socket is None or paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._loop.remove_reader(self._socket.fileno())
        else:
            self._loop.add_reader(self._socket.fileno(), self._readable)

    async def close(self) -> None:
        """Say goodbye and close the socket. The session and its subscriptions stay with the broker."""
        self.lost.set()
        if self._upkeep is not None:
            self._upkeep.cancel()
            self._upkeep = None
        client, self._client = self._client, None
        if client is not None:
            client.on_disconnect = None
            with contextlib.suppress(OSError, ValueError):
                client.disconnect()
                client.loop_write()
            self._unwatch()
            with contextlib.suppress(OSError, AttributeError):
                client.socket().close()  # type: ignore[union-attr]

    def _watch(self, client: Client) -> None:
        sock = client.socket()
        if not isinstance(sock, socket.socket):
            raise ReadError(Outcome.DISCONNECTED, f"{self.where}: 连接中断 (connection lost)")
        self._socket = sock
        client.on_socket_close = lambda *_: self._unwatch()
        client.on_socket_register_write = lambda *_: self._want_write()
        client.on_socket_unregister_write = lambda *_: self._wrote()
        self._loop.add_reader(sock.fileno(), self._readable)
        if client.want_write():
            self._want_write()

    def _unwatch(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())

    def _want_write(self) -> None:
        if self._socket is not None and self._client is not None:
            self._loop.add_writer(self._socket.fileno(), self._client.loop_write)

    def _readable(self) -> None:
        if not self._ready.done() and self._is_foreign():
            return
        for _ in range(_PACKETS_AT_ONCE):
            if (
                self._client is None
                or self._socket is None
                or self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS
            ):
                return
            if not self._more():
                return

    def _more(self) -> bool:
        try:
            return self._socket is not None and len(self._socket.recv(1, socket.MSG_PEEK)) > 0
        except OSError:
            return False

    def _is_foreign(self) -> bool:
        try:
            first = self._socket.recv(64, socket.MSG_PEEK) if self._socket is not None else b""
        except OSError:
            return False
        if not first or first[0] == _CONNACK:
            return False
        self._unwatch()
        self._ready.set_exception(protocol_error(self.where, "MQTT", first))
        return True

    def _wrote(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fileno())

    async def _keep_alive(self, client: Client) -> None:
        while True:
            await asyncio.sleep(1.0)
            client.loop_misc()

    def _connected(
        self, _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        if self._ready.done():
            return
        if not reason.is_failure:
            self._ready.set_result(None)
            return
        words = str(reason)
        outcome = Outcome.DENIED if words in _DENIED else Outcome.UNREACHABLE
        self._ready.set_exception(ReadError(outcome, f"{self.where}: 代理拒绝连接 (the broker says: {words})"))

    def _disconnected(
        self, _client: Client, _d: Any, _f: DisconnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        if not self._ready.done():
            self._ready.set_exception(
                ReadError(Outcome.DISCONNECTED, f"{self.where}: 连接被代理断开 (connection lost: {reason})")
            )
        self.lost.set()

    def _subscribed(
        self, _client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _p: Properties | None
    ) -> None:
        for topic, reason in zip(self._asked.pop(mid, []), reasons, strict=False):
            if reason.is_failure:
                self.denied.add(topic)
