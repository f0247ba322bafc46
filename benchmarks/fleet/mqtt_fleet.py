"""Many MQTT devices behind one publishing connection: JSON of ten values each, or Sparkplug B with aliases, a message a second.

In: broker port, number of devices, "json" or "sparkplug", seconds between messages. Out: one JSON line when connected and one when
stdin ends: messages sent and acknowledged. QoS 1 for JSON; Sparkplug data is QoS 0 as its specification says. Bytes are made by hand.
The devices' beats are spread evenly over the period.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time

import uvloop

POINTS = 10
NODE = "fleet"


class Publisher:
    """One MQTT 3.1.1 connection that publishes and counts acknowledgements."""

    def __init__(self) -> None:
        self.sent = self.acknowledged = 0
        self.asked_again = False  # somebody sent a rebirth request

    async def connect(self, port: int) -> None:
        """CONNECT with a clean session; in Sparkplug no will is needed for a benchmark."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        body = _text("MQTT") + b"\x04\x02\x00\x3c" + _text("fleet")
        self._writer.write(b"\x10" + _length(len(body)) + body)
        await self._reader.readexactly(4)
        self._counting = asyncio.create_task(self._count())

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Send one message."""
        self.sent += 1
        body = _text(topic) + ((self.sent % 65_535 + 1).to_bytes(2, "big") if qos else b"") + payload
        self._writer.write(bytes([0x30 | qos << 1]) + _length(len(body)) + body)

    def subscribe(self, topic: str) -> None:
        """Listen to one topic at QoS 0."""
        body = b"\0\1" + _text(topic) + b"\0"
        self._writer.write(b"\x82" + _length(len(body)) + body)

    async def _count(self) -> None:
        while True:
            head = await self._reader.readexactly(2)  # all that comes here is shorter than 128 bytes
            await self._reader.readexactly(head[1])
            self.acknowledged += head[0] >> 4 == 4
            self.asked_again |= head[0] >> 4 == 3


async def main(port: int, count: int, kind: str, period_s: float) -> None:
    """Publish until stdin ends, say how much."""
    publisher = Publisher()
    await publisher.connect(port)
    sys.stdout.write(json.dumps({"publishing": count}) + "\n")
    sys.stdout.flush()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    send = _sparkplug(publisher, count) if kind == "sparkplug" else _json(publisher)
    next(send)
    start, k, ticks = time.monotonic(), 0, 20
    while not ended.done():
        for device in range(k % ticks, count, ticks):
            send.send(device)
        k += 1
        await asyncio.sleep(max(0.0, start + k * period_s / ticks - time.monotonic()))
    sys.stdout.write(json.dumps({"sent": publisher.sent, "acknowledged": publisher.acknowledged}) + "\n")


def _json(publisher: Publisher):  # type: ignore[no-untyped-def]
    while True:
        device = yield
        now = time.time()
        values = ",".join(f'"p{i}":{(now + i) % 1000:.3f}' for i in range(POINTS))
        publisher.publish(f"fleet/d{device}/data", f'{{"ts":{int(now * 1000)},{values}}}'.encode(), 1)


def _sparkplug(publisher: Publisher, count: int):  # type: ignore[no-untyped-def]
    publisher.subscribe(f"spBv1.0/G/NCMD/{NODE}")
    seq = _births(publisher, count)
    while True:
        device = yield
        if publisher.asked_again:
            publisher.asked_again = False
            seq = _births(publisher, count)
        seq = (seq + 1) % 256
        now = time.time()
        now_ms = int(now * 1000)
        metrics = b"".join(
            _metric(now_ms, 10, alias=device * POINTS + i, double=(now + i) % 1000) for i in range(POINTS)
        )
        publisher.publish(f"spBv1.0/G/DDATA/{NODE}/d{device}", _field(1, now_ms) + metrics + _field(3, seq), 0)


def _births(publisher: Publisher, count: int) -> int:
    """The edge node's birth and its devices'; the last sequence number."""
    now_ms = int(time.time() * 1000)
    born = _metric(now_ms, 8, name="bdSeq", long=0) + _metric(now_ms, 11, name="Node Control/Rebirth", boolean=False)
    publisher.publish(f"spBv1.0/G/NBIRTH/{NODE}", _field(1, now_ms) + born + _field(3, 0), 0)
    seq = 0
    for device in range(count):
        seq = (seq + 1) % 256
        metrics = b"".join(
            _metric(now_ms, 10, name=f"p{i}", alias=device * POINTS + i, double=0.0) for i in range(POINTS)
        )
        publisher.publish(f"spBv1.0/G/DBIRTH/{NODE}/d{device}", _field(1, now_ms) + metrics + _field(3, seq), 0)
    return seq


def _metric(
    now_ms: int,
    datatype: int,
    *,
    name: str = "",
    alias: int | None = None,
    double: float | None = None,
    long: int | None = None,
    boolean: bool | None = None,
) -> bytes:
    """A Sparkplug B metric: 1 name, 2 alias, 3 timestamp, 4 datatype, 11 long, 13 double, 14 boolean."""
    body = b"\x0a" + _varint(len(name.encode())) + name.encode() if name else b""
    body += _field(2, alias) if alias is not None else b""
    body += _field(3, now_ms) + (_field(4, datatype) if name else b"")
    if double is not None:
        body += b"\x69" + struct.pack("<d", double)
    elif long is not None:
        body += _field(11, long)
    elif boolean is not None:
        body += _field(14, int(boolean))
    return b"\x12" + _varint(len(body)) + body


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _length(value: int) -> bytes:
    return _varint(value)


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
