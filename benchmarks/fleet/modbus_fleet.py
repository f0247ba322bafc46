"""Many Modbus TCP devices in one process, as cheap as they can be, so that the reader is what is measured.

In: the first port and how many, on the command line. Out: on stdout one JSON line when all listen, and one when stdin ends: requests
served, and by how much the first request of each poll missed its device's own beat (|deviation| from the median phase, ms). Each device
has holding registers that hold the second of the day plus their address: a reader's values can be checked against the time.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from statistics import median

import uvloop

_HEAD = struct.Struct(">HHHBBHH")
_BEAT_S = 1.0


class Device(asyncio.Protocol):
    """One connection to one device. Answers function 3 and 4; anything else is exception 1 (illegal function)."""

    served = 0

    def __init__(self, began: list[float]) -> None:
        self._began = began
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        raw = self._waiting + data
        while len(raw) >= 8 and len(raw) >= 6 + int.from_bytes(raw[4:6], "big"):
            end = 6 + int.from_bytes(raw[4:6], "big")
            self._answer(raw[:end])
            raw = raw[end:]
        self._waiting = raw

    def _answer(self, request: bytes) -> None:
        Device.served += 1
        function = request[7]
        if function not in (3, 4) or len(request) != 12:
            body = bytes([request[6], function | 0x80, 1])
        else:
            _, _, _, unit, _, address, count = _HEAD.unpack(request)
            if address == 0:
                self._began.append(time.time())
            second = int(time.time()) % 40_000
            values = [(second + address + i) % 65_536 for i in range(count)]
            body = struct.pack(f">BBB{count}H", unit, function, 2 * count, *values)
        self._transport.write(request[:4] + len(body).to_bytes(2, "big") + body)  # type: ignore[attr-defined]


async def main(first_port: int, count: int) -> None:
    """Listen, serve until stdin ends, say what was seen."""
    began: list[list[float]] = [[] for _ in range(count)]
    loop = asyncio.get_running_loop()
    for i in range(count):
        await loop.create_server(lambda i=i: Device(began[i]), "127.0.0.1", first_port + i)  # type: ignore[misc]
    sys.stdout.write(json.dumps({"listening": count}) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    missed = sorted(m for times in began for m in _missed_ms(times[5:]))  # the first polls are at once, not on the beat
    sys.stdout.write(
        json.dumps({"served": Device.served, "polls": len(missed), "jitter_ms": _percentiles(missed)}) + "\n"
    )


def _missed_ms(times: list[float]) -> list[float]:
    """How far each time lies from the device's own median phase, in ms."""
    if len(times) < 3:
        return []
    start = times[0]
    phases = [(t - start + _BEAT_S / 2) % _BEAT_S - _BEAT_S / 2 for t in times]
    middle = median(phases)
    return [abs(p - middle) * 1000 for p in phases]


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{p}": round(values[min(len(values) - 1, len(values) * p // 100)], 2) for p in (50, 99)} if values else {}


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
