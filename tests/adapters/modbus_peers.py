"""Modbus peers that do as they are told: TCP or serial frames over TCP, any bytes in any order at any time, everything asked kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from tests.adapters.plant import device_of

Send = Callable[[bytes], Awaitable[None]]
Talk = Callable[["Peer", bytes, Send], Awaitable[None]]


def crc(adu: bytes) -> bytes:
    """CRC-16/MODBUS from its definition (Serial Line V1.02 §6.2.2), low byte first."""
    value = 0xFFFF
    for byte in adu:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


class Peer:
    """A server whose `talk` gets each request (transaction and protocol over TCP, nothing over serial, then unit and PDU)."""

    def __init__(self, talk: Talk | None = None, *, rtu: bool = False, port: int = 0) -> None:
        self.talk = talk or answer
        self.rtu = rtu
        self.port = port
        self.asked: list[tuple[int, int, int, int]] = []  # unit, function, address, count
        self.at_s: list[float] = []
        self.connections = 0
        self.registers: dict[int, int] = {}  # what is served; other addresses serve their own number
        self._talks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the port and every connection, as a server that ends does."""
        self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()
        self._talks.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        self.connections += 1

        async def send(raw: bytes) -> None:
            writer.write(raw)
            await writer.drain()

        try:
            while True:
                request = await self._request(reader)
                body = request if self.rtu else request[4:]
                self.asked.append(
                    (body[0], body[1], int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big"))
                )
                self.at_s.append(asyncio.get_running_loop().time())
                await self.talk(self, request, send)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # our own end, or the client's
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        if not self.rtu:
            head = await reader.readexactly(6)
            return head[:4] + await reader.readexactly(int.from_bytes(head[4:6], "big"))
        head = await reader.readexactly(2)
        more = {17: 2, 43: 5}.get(head[1], 6)
        frame = head + await reader.readexactly(more)
        assert frame[-2:] == crc(frame[:-2])
        return frame[:-2]

    def frame(self, request: bytes, pdu: bytes, *, unit: int | None = None, transaction: int | None = None) -> bytes:
        """The answer's frame; unit and transaction are the request's unless given."""
        if self.rtu:
            adu = bytes([request[0] if unit is None else unit]) + pdu
            return adu + crc(adu)
        first = request[:2] if transaction is None else transaction.to_bytes(2, "big")
        body = bytes([request[4] if unit is None else unit]) + pdu
        return first + b"\0\0" + len(body).to_bytes(2, "big") + body

    def pdu(self, request: bytes) -> bytes:
        """The right answer: registers, bits (address divisible by 3), or that the function is not known."""
        body = request if self.rtu else request[4:]
        function, address, count = body[1], int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big")
        if function in (3, 4):
            words = b"".join(self.registers.get(a, a).to_bytes(2, "big") for a in range(address, address + count))
            return bytes([function, len(words)]) + words
        if function in (1, 2):
            bits = sum((a % 3 == 0) << i for i, a in enumerate(range(address, address + count)))
            return bytes([function, (count + 7) // 8]) + bits.to_bytes((count + 7) // 8, "little")
        return bytes([function | 0x80, 1])

    def device(self, device: str, unit: int = 1, interval_s: int = 1, **more: Any) -> dict[str, Any]:
        """A device of the register that this peer serves."""
        where = {"transport": "rtu_over_tcp", "baudrate": 115200} if self.rtu else {}
        connection = {"protocol": "modbus", "host": "127.0.0.1", "port": self.port, "unit": unit, "timeout_ms": 300}
        return device_of(device, {**connection, **where, **more}, interval_s)


async def answer(peer: Peer, request: bytes, send: Send) -> None:
    """As it should be."""
    await send(peer.frame(request, peer.pdu(request)))


async def silence(peer: Peer, request: bytes, send: Send) -> None:
    """Nothing."""


def refusing(code: int) -> Talk:
    """An exception for everything."""

    async def refuse(peer: Peer, request: bytes, send: Send) -> None:
        function = (request if peer.rtu else request[4:])[1]
        await send(peer.frame(request, bytes([function | 0x80, code])))

    return refuse


def register(name: str, address: int, **more: Any) -> dict[str, Any]:
    """A point: one register."""
    return {"name": name, "type": "i64", "table": "holding_register", "address": address, "wire": "u16", **more}
