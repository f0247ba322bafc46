"""Bytes to and from a broker: TCP, TLS (mutual too) and websockets (RFC 6455), read on a grid of 50 ms.

In: a `_Broker` connection, the folder of its certificates. Out: `Stream`, whose bytes come through `on_bytes`; `ReadError` when it
cannot be had. Reading is moderated: after a short read the socket rests until the next slot of the grid, so that a thousand small
messages a second are twenty wake-ups and not a thousand (research/protocols.md §4). The kernel and the broker hold what waits.
asyncio does TCP and TLS, `websockets` the framing; both through their public interfaces. Nothing here knows MQTT.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.network import name_error, network_error, protocol_error, timeout_error
from config.connections import Mqtt, Sparkplug

CONNECT_S = 5.0
GRID_S = 0.05
_SHORT_BYTES = 64 * 1024  # a read of less has emptied the socket
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_FRAME_BYTES = 64 << 20  # of a websocket frame: the largest message that has a name
_DATA = (Opcode.BINARY, Opcode.CONT)

Broker = Mqtt | Sparkplug
OnBytes = Callable[[bytes], None]
OnLost = Callable[[Exception | None], None]


class Stream(asyncio.Protocol):
    """One connection. `moderate()` when the handshake is over; `hold` while there is no room for more."""

    def __init__(self, where: str, on_bytes: OnBytes, on_lost: OnLost) -> None:
        self._where, self._on_bytes, self._on_lost = where, on_bytes, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._tunnel: ClientProtocol | None = None
        self._upgraded: asyncio.Future[None] = self._loop.create_future()
        self._moderated = self._held = False
        self._rest: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        short = len(data) < _SHORT_BYTES
        if self._tunnel is None:
            self._on_bytes(data)
        else:
            self._tunnel.receive_data(data)
            self._from_tunnel(self._tunnel)
        if self._moderated and short and self._rest is None and not self._held:
            self._pause_reading()
            now = self._loop.time()
            self._rest = self._loop.call_at(now - now % GRID_S + GRID_S, self._rested)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is gone."""
        if not self._upgraded.done():
            self._upgraded.cancel()
        if self._rest is not None:
            self._rest.cancel()
        self._transport = None
        self._on_lost(exc)

    async def upgrade(self, url: str) -> None:
        """The websocket handshake, subprotocol mqtt (MQTT 5 §6). Errors: `ReadError`."""
        self._tunnel = ClientProtocol(parse_uri(url), subprotocols=[Subprotocol("mqtt")], max_size=_FRAME_BYTES)
        self._tunnel.send_request(self._tunnel.connect())
        self._flush(self._tunnel)
        try:
            await asyncio.shield(self._upgraded)
        except asyncio.CancelledError:
            if self._upgraded.cancelled():
                raise ReadError(
                    Outcome.DISCONNECTED, f"{self._where}: websocket 握手时连接中断 (lost in the handshake)"
                ) from None
            raise

    def write(self, data: bytes) -> None:
        """Send; nothing after the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tunnel is None:
            self._transport.write(data)
        elif self._upgraded.done():
            self._tunnel.send_binary(data)
            self._flush(self._tunnel)

    def moderate(self) -> None:
        """From now on read on the grid."""
        self._moderated = True

    def hurry(self) -> None:
        """Read at once: the broker has been waiting for what was just written."""
        if self._rest is not None and not self._held:
            self._rest.cancel()
            self._rested()

    def hold(self, held: bool) -> None:
        """Stop or resume reading: what waits stays with the broker."""
        if held == self._held:
            return
        self._held = held
        if held:
            self._pause_reading()
        elif self._rest is None:
            self._resume_reading()

    def drain(self) -> None:
        """Read at once whatever comes, until the other side closes."""
        self._moderated = False
        self.hold(False)
        self.hurry()

    def close(self) -> None:
        """Send what is left, close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _rested(self) -> None:
        self._rest = None
        if not self._held:
            self._resume_reading()

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _from_tunnel(self, tunnel: ClientProtocol) -> None:
        for event in tunnel.events_received():
            if isinstance(event, Response):
                self._upgrade_answered(tunnel)
            elif isinstance(event, Frame) and event.opcode in _DATA:
                self._on_bytes(bytes(event.data))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:  # §6.0: binary frames only
                self.abort()
        if not self._upgraded.done() and tunnel.handshake_exc is not None:
            self._upgrade_answered(tunnel)
        self._flush(tunnel)  # pongs, and the answer to a close

    def _upgrade_answered(self, tunnel: ClientProtocol) -> None:
        if self._upgraded.done():
            return
        error = tunnel.handshake_exc
        if error is None:
            self._upgraded.set_result(None)
        elif isinstance(error, InvalidHandshake):
            words = f"{self._where}: websocket 握手失败, 检查路径和端口 (the websocket handshake failed: {error})"
            self._upgraded.set_exception(ReadError(Outcome.PROTOCOL, words))
        else:
            self._upgraded.set_exception(protocol_error(self._where, "websocket", str(error).encode()))

    def _flush(self, tunnel: ClientProtocol) -> None:
        for data in tunnel.data_to_send():
            if self._transport is None or self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            else:
                self._transport.close()  # the end of a closed websocket


def address_of(connection: Broker) -> tuple[str, int]:
    """Host and port of a broker's address."""
    url = urlsplit(connection.broker)
    return url.hostname or "", url.port or _PORTS[url.scheme]


async def open_stream(connection: Broker, keys: Path | None, on_bytes: OnBytes, on_lost: OnLost) -> Stream:
    """Connect, with TLS and websocket handshakes where the address asks for them. Errors: `ReadError`."""
    host, port = address_of(connection)
    where, url = f"{host}:{port}", urlsplit(connection.broker)
    context = _tls(connection, keys, where) if url.scheme in ("mqtts", "wss") else None
    stream: Stream | None = None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            _, stream = await loop.create_connection(
                lambda: Stream(where, on_bytes, on_lost),
                host,
                port,
                ssl=context,
                server_hostname=host if context else None,
                ssl_handshake_timeout=CONNECT_S if context else None,
            )
            if url.scheme in ("ws", "wss"):
                await stream.upgrade(f"{url.scheme}://{host}:{port}{url.path or '/mqtt'}")
    except TimeoutError:
        if stream is not None:
            stream.abort()
        raise timeout_error(where) from None
    except (ReadError, asyncio.CancelledError):
        if stream is not None:
            stream.abort()
        raise
    except ssl.SSLError as err:
        raise tls_error(err, where) from err
    except OSError as err:
        raise network_error(err, where) from err
    except UnicodeError as err:
        raise name_error(where) from err
    return stream


def tls_error(err: ssl.SSLError, where: str) -> ReadError:
    """What went wrong in TLS, in words."""
    if isinstance(err, ssl.SSLCertVerificationError):
        words = f"代理的证书不可信: {err.verify_message} (the broker's certificate), 检查 ca_file、主机名和有效期"
        return ReadError(Outcome.DENIED, f"{where}: {words}")
    reason = (err.reason or str(err)).replace("_", " ").lower()
    if "alert" in reason or "certificate" in reason:  # the broker's word on our certificate (RFC 8446 §6.2)
        words = f"代理不接受本机的证书 (the broker refuses our certificate: {reason}), 检查 certificate 和 key"
        return ReadError(Outcome.DENIED, f"{where}: {words}")
    return ReadError(
        Outcome.PROTOCOL, f"{where}: 该端口不是 TLS, 检查端口, 或改用 mqtt:// (this port does not speak TLS: {reason})"
    )


def _tls(connection: Broker, keys: Path | None, where: str) -> ssl.SSLContext:
    """Whom to trust and who we are. Errors: `ReadError`."""
    place = keys or Path()
    name = connection.ca_file
    try:
        context = ssl.create_default_context(cafile=str(place / name) if name else None)
        if connection.certificate:
            name = f"{connection.certificate} / {connection.key}"
            context.load_cert_chain(place / connection.certificate, place / connection.key)
    except (OSError, ValueError) as err:  # ssl.SSLError is an OSError
        words = f"证书文件读不出: {place}/{name}: {err} (certificate file unreadable), 放入数据目录的 keys/"
        raise ReadError(Outcome.DENIED, f"{where}: {words}") from err
    return context
