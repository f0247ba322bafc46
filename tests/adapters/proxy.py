"""A TCP proxy that spoils things on purpose: between an adapter and a real server, it delays, drips, cuts, stalls, garbles, repeats.

In: the server's port. Out: a port to connect to, switches that take effect at once, and every byte either side said. Nothing is random:
a test says what goes wrong and when.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

Change = Callable[[bytes], bytes]


def unchanged(data: bytes) -> bytes:
    """Bytes as they came."""
    return data


@dataclass
class FaultProxy:
    """Switches: `up` and `down` change bytes on their way; `drip` sends one byte at a time; a cleared `flowing` holds all back."""

    server_port: int
    port: int = 0
    up: Change = unchanged
    down: Change = unchanged
    drip: bool = False
    delay_s: float = 0.0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    said_up: bytearray = field(default_factory=bytearray)
    said_down: bytearray = field(default_factory=bytearray)
    connections: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        """Accept connections; again on the same port after `refuse`."""
        self.flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Close the port and every connection: the server is gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    def break_off(self) -> None:
        """Break every connection now, from within a change of bytes too; new ones are accepted."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def cut(self) -> None:
        """Break every connection in the middle of whatever it is doing, and wait until they are gone; new ones are accepted."""
        self.break_off()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        one = asyncio.create_task(self._copy(reader, far_writer, upwards=True))
        two = asyncio.create_task(self._copy(far_reader, writer, upwards=False))
        self._tasks |= {one, two}
        await asyncio.wait((one, two), return_when=asyncio.FIRST_COMPLETED)
        for task in (one, two):
            task.cancel()
        await asyncio.gather(one, two, return_exceptions=True)
        self._tasks -= {one, two}
        for end in (writer, far_writer):
            self._writers.discard(end)
            end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upwards: bool) -> None:
        said = self.said_up if upwards else self.said_down
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                said += data
                await self.flowing.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                changed = (self.up if upwards else self.down)(data)
                for part in _bytes_of(changed) if self.drip else [changed]:
                    writer.write(part)
                    await writer.drain()
                    if self.drip:
                        await asyncio.sleep(0)


def _bytes_of(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@contextlib.asynccontextmanager
async def proxied(server_port: int) -> AsyncIterator[FaultProxy]:
    """A listening proxy in front of a server; everything is closed on leaving."""
    proxy = FaultProxy(server_port)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.refuse()
