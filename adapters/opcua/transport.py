"""The wire below a session, held to limits: a server, hostile or broken, cannot make us hold more than one message of 16 MiB.

In: what the socket delivers. Out: whole chunks to the library; a chunk that never ends, a message of endless chunks, or another protocol
on that port ends the connection and is named (`Chunks.fault`). IEC 62541-6 §6.7.2 (chunk header), §7.1.2 (Hello and Acknowledge).
Trap: asyncua 2.1 takes the acknowledge's limits, which say what the *server* receives, for what it may receive itself, so that a server
with a small receive buffer could not answer. `_for_the_library` puts what is ours where the library looks.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Protocol
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UASocketProtocol

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.network import network_error, protocol_error
from adapters.opcua.faults import OpenError
from adapters.opcua.readonly import reading_only

MESSAGE_BYTES = 16 * 1024 * 1024
CHUNKS = 4096
_PORT = 4840
CONNECT_S = 2.0  # of a TCP connection: shorter than SYN repetition, so that a server that returns is found within 2 s
_HEADER = struct.Struct("<3scI")
_KINDS = {b"ACK", b"ERR", b"OPN", b"MSG", b"CLO"}
_ACKNOWLEDGE = struct.Struct("<3scIIIIII")  # header, version, receive buffer, send buffer, message size, chunk count


class Chunks(asyncio.Protocol):
    """Between the socket and the library's protocol: passes whole chunks, within the limits."""

    def __init__(self, inner: UASocketProtocol, where: str) -> None:
        self.fault: ReadError | None = None
        self._inner = inner
        self._where = where
        self._held = bytearray()
        self._wanted = 0  # bytes of the chunk that is held, once its header is here
        self._passed = False
        self._ended = False
        self._message_bytes = 0
        self._message_chunks = 0

    def data_received(self, data: bytes) -> None:
        """What came; whole chunks go on, the rest waits here."""
        if self.fault is not None:
            return
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return  # not looked at again for each byte that drips in: 16 MiB copied a million times stop the process
            data = bytes(self._held)
        self._wanted = 0
        whole = self._whole(data)
        self._held = bytearray(data[whole:])
        if whole and self.fault is None:
            chunks = data if whole == len(data) else data[:whole]
            self._inner.data_received(chunks if self._passed else _for_the_library(chunks))
            self._passed = True

    def eof_received(self) -> bool | None:
        """The server closed."""
        self._ended = True
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone; when neither the server nor we ended it, the library refused what it read."""
        if exc is None and not self._ended and self.fault is None:
            self.fault = ReadError(Outcome.PROTOCOL, f"{self._where}: 应答不合 OPC UA 规范, 已断开 (malformed answer)")
        self._inner.connection_lost(exc)

    def end(self) -> None:
        """We close."""
        self._ended = True

    def _whole(self, data: bytes) -> int:
        """Length of the whole chunks at the beginning of `data`; sets `fault` and closes when they break a limit."""
        at = 0
        while len(data) - at >= _HEADER.size:
            kind, more, size = _HEADER.unpack_from(data, at)
            if kind not in _KINDS or more not in b"FCA":
                return self._refuse(protocol_error(self._where, "OPC UA", data[at : at + 64]))
            self._message_bytes += size
            self._message_chunks += 1
            if size < _HEADER.size or self._message_bytes > MESSAGE_BYTES or self._message_chunks > CHUNKS:
                words = (
                    f"消息过大, 已断开 (expected at most {MESSAGE_BYTES} bytes, found {self._message_bytes} or more)"
                )
                return self._refuse(ReadError(Outcome.PROTOCOL, f"{self._where}: {words}"))
            if at + size > len(data):
                self._message_bytes -= size  # counted when it is whole
                self._message_chunks -= 1
                self._wanted = size
                break
            at += size
            if more != b"C":
                self._message_bytes = self._message_chunks = 0
        if len(data) - at < _HEADER.size and not _can_begin(data[at:]):
            return self._refuse(protocol_error(self._where, "OPC UA", data[at:]))
        return at

    def _refuse(self, fault: ReadError) -> int:
        self.fault = fault
        self._held.clear()
        self._inner.disconnect_socket()
        return 0


class Gate(Protocol):
    """Looks at what the server offers before a session is activated."""

    def check_offer(self, offer: ua.CreateSessionResult, where: str) -> None:
        """Raise to refuse; the session is closed then."""
        ...


class BoundedClient(Client):
    """asyncua's client on a bounded wire. `acknowledged`: something that speaks OPC UA was reached. `proving`: our
    certificate went out, and no secure channel came back yet.
    `gate` sees the server's answer to CreateSession before the session is activated (`security/policy.py`).
    """

    def __init__(self, url: str, where: str, timeout_s: float, watchdog_s: float, gate: Gate | None = None) -> None:
        super().__init__(url, timeout=timeout_s, watchdog_intervall=watchdog_s)
        self.max_messagesize, self.max_chunkcount = MESSAGE_BYTES, CHUNKS
        self._stale_check_interval = (
            3600.0  # twice a second by default, for subscriptions of the library, and we hold none
        )
        self.acknowledged = False
        self.proving = False
        self._offer: ua.CreateSessionResult | None = None
        self._gate = gate
        self._where = where
        self._connect_s = min(timeout_s, CONNECT_S)
        self._chunks: Chunks | None = None

    @property
    def fault(self) -> ReadError | None:
        """What the server did that ended the connection from our side."""
        return self._chunks.fault if self._chunks is not None else None

    async def connect_socket(self) -> None:
        """Connect, and put the limits between socket and library."""
        async with asyncio.timeout(self._connect_s):
            await super().connect_socket()
        protocol = self.uaclient.protocol
        if protocol is None or protocol.transport is None:
            raise ConnectionResetError("closed at once")
        self._chunks = Chunks(protocol, self._where)
        protocol.transport.set_protocol(self._chunks)
        protocol.send_request = reading_only(protocol.send_request)  # type: ignore[method-assign,assignment]  # the one way out

    def disconnect_socket(self) -> None:
        """Close."""
        if self._chunks is not None:
            self._chunks.end()
        super().disconnect_socket()

    async def send_hello(self) -> None:
        """Hello and Acknowledge."""
        await super().send_hello()
        self.acknowledged = True

    async def open_secure_channel(self, renew: bool = False) -> None:
        """OpenSecureChannel."""
        self.proving = self.security_policy.host_certificate is not None and not renew
        await super().open_secure_channel(renew)
        self.proving = False

    async def create_session(self) -> ua.CreateSessionResult:
        """CreateSession; its answer is kept for the gate."""
        self._offer = await super().create_session()
        return self._offer

    async def activate_session(self, *args: Any, **named: Any) -> ua.ActivateSessionResult:
        """ActivateSession, when the gate lets it."""
        if self._gate is not None and self._offer is not None:
            self._gate.check_offer(self._offer, self._where)
        return await super().activate_session(*args, **named)


async def knock(endpoint: str, timeout_s: float) -> None:
    """Is anybody at home? A TCP connection, closed at once: a fifth of what a client costs that finds nobody. Errors: `OpenError`."""
    where = endpoint.removeprefix("opc.tcp://").rstrip("/")
    url = urlsplit(endpoint)
    try:
        async with asyncio.timeout(min(timeout_s, CONNECT_S)):
            connected = asyncio.get_running_loop().create_connection(
                asyncio.Protocol, url.hostname or "", url.port or _PORT
            )
            transport, _ = await connected
    except OSError as err:
        failure = network_error(err, where)
        raise OpenError(failure.outcome, str(failure), absent=True) from err
    transport.close()


def _for_the_library(data: bytes) -> bytes:
    if not data.startswith(b"ACKF") or len(data) < _ACKNOWLEDGE.size:
        return data
    kind, more, size, version, receives, sends, _, _ = _ACKNOWLEDGE.unpack_from(data)
    head = _ACKNOWLEDGE.pack(kind, more, size, version, sends, receives, 0, 0)
    return head + data[_ACKNOWLEDGE.size :]


def _can_begin(start: bytes) -> bool:
    return any(kind.startswith(start[:3]) for kind in _KINDS)
