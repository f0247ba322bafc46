"""What can go wrong on a link, for a while: each fault is given a proxy, spoils what passes, and ends; the test heals the proxy.

In: the proxy and the protocol's name. Nothing is random. Where a fault needs the place of a length or of a number in a header, it stands
in `HEADER`, `ABSURD` and `LONGER`: the proxy reads what the server wrote at once, which begins with a header.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.adapters.proxy import FaultProxy

HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nnot here"
FAULT_S = 4.0
HEADER = {"modbus": (0, 1, 4, 5, 6, 7, 8), "opcua": (0, 3, 4, 5, 6, 7, 16, 20, 21), "mqtt": (0, 1)}
LONGER = {"modbus": (4, b"\x00\xf0"), "opcua": (4, b"\x00\xf0\x00\x00"), "mqtt": (1, b"\xff\xff\x03")}
ABSURD = {"modbus": (4, b"\xff\xff"), "opcua": (4, b"\xff\xff\xff\x7f"), "mqtt": (1, b"\xff\xff\xff\x7f")}

Fault = Callable[[FaultProxy, str], Awaitable[None]]


async def one_byte_at_a_time(proxy: FaultProxy, _: str) -> None:
    proxy.drip = True
    await asyncio.sleep(FAULT_S)


async def cut_in_the_middle_of_answers(proxy: FaultProxy, _: str) -> None:
    def cut(k: int, data: bytes) -> bytes:
        if k % 3:
            return data
        asyncio.get_running_loop().call_soon(proxy.break_off)
        return data[: 5 * k % (len(data) + 1)]

    proxy.down = counted(cut)
    await asyncio.sleep(FAULT_S)


async def half_a_frame_then_silence(proxy: FaultProxy, _: str) -> None:
    def stall(data: bytes) -> bytes:
        proxy.flowing.clear()
        return data[: len(data) // 2]

    proxy.down = stall
    await asyncio.sleep(FAULT_S)
    await proxy.cut()  # the other half never comes


async def answers_later_than_the_limit(proxy: FaultProxy, _: str) -> None:
    for delay_s in (0.15, 0.3, 1.0, 0.4):  # so that some come while the next question is waiting for its answer
        proxy.delay_s = delay_s
        await asyncio.sleep(FAULT_S / 4)
        proxy.delay_s = 0.0
        await asyncio.sleep(0.2)


def flipped_bits_in_headers(first: int) -> Fault:
    """One bit of every fourth chunk, from the header's place of that number on."""

    async def fault(proxy: FaultProxy, protocol: str) -> None:
        places = HEADER[protocol]

        def flip(k: int, data: bytes) -> bytes:
            place = places[(first + k // 4) % len(places)]
            if k % 4 or place >= len(data):
                return data
            turn = first + k // 4
            bit = 16 << turn % 4 if protocol == "mqtt" and place == 0 else 1 << turn % 8
            return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]

        proxy.down = counted(flip)
        await asyncio.sleep(FAULT_S)
        if protocol == "mqtt":  # a length grown by a bit: TCP has delivered less than the packet wants
            await proxy.cut()

    fault.__name__ = f"flipped_bits_in_headers_from_{first}"
    return fault


async def everything_now_and_then_twice(proxy: FaultProxy, _: str) -> None:
    proxy.down = counted(lambda k, data: data if k % 4 else data + data)
    await asyncio.sleep(FAULT_S)


async def another_protocol_in_between(proxy: FaultProxy, _: str) -> None:
    proxy.down = counted(lambda k, data: data if k % 6 else HTTP + data)
    await asyncio.sleep(FAULT_S)


def false_lengths(name: str, lengths: dict[str, tuple[int, bytes]]) -> Fault:
    """Every sixth chunk says that it is longer than it is."""

    async def fault(proxy: FaultProxy, protocol: str) -> None:
        place, length = lengths[protocol]
        behind = place + (1 if protocol == "mqtt" else len(length))
        proxy.down = counted(lambda k, data: data if k % 6 else data[:place] + length + data[behind:])
        await asyncio.sleep(FAULT_S)
        if protocol == "mqtt":  # else after one and a half times the keep-alive: see the test of its own
            await proxy.cut()

    fault.__name__ = name
    return fault


async def a_link_that_freezes_and_goes_on(proxy: FaultProxy, _: str) -> None:
    proxy.flowing.clear()
    await asyncio.sleep(FAULT_S)
    proxy.flowing.set()


async def a_port_that_comes_and_goes(proxy: FaultProxy, _: str) -> None:
    for _round in range(5):
        await proxy.refuse()
        await asyncio.sleep(0.4)
        await proxy.listen()
        await asyncio.sleep(0.4)


FAULTS: tuple[Fault, ...] = (
    one_byte_at_a_time,
    cut_in_the_middle_of_answers,
    half_a_frame_then_silence,
    answers_later_than_the_limit,
    *(flipped_bits_in_headers(first) for first in (0, 3, 6)),
    everything_now_and_then_twice,
    another_protocol_in_between,
    false_lengths("absurd_lengths", ABSURD),
    false_lengths("lengths_a_little_too_long", LONGER),
    a_link_that_freezes_and_goes_on,
    a_port_that_comes_and_goes,
)


def counted(change: Callable[[int, bytes], bytes]) -> Callable[[bytes], bytes]:
    """A change of bytes that is told which chunk it is, from 1."""
    seen = Counter[str]()

    def each(data: bytes) -> bytes:
        seen["chunk"] += 1
        return change(seen["chunk"], data)

    return each
