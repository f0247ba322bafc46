"""Listen to a broker for a while and describe what is said there: topics, payloads, proposed points. Subscribes, never publishes.

In: a broker connection, topic filters, seconds. Out: `Heard` per topic, in order. A client of its own (clean session, QoS 0), so that the
running collector loses nothing. Bounded: 2,000 topics; of a topic the newest payload.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.mqtt.link import BrokerLink
from adapters.mqtt.packets import Message
from adapters.mqtt.sketch import Sketch, sketch
from config.connections import Mqtt

MOST_TOPICS = 2000


@dataclass(frozen=True, slots=True)
class Heard:
    """One topic: how many fresh messages, the size of the newest, whether the broker keeps one, and what it looks like."""

    topic: str
    messages: int
    size: int
    retained: bool
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class Report:
    """What was heard, the filters that the broker refused, and whether there were more topics than are told."""

    version: int
    topics: Sequence[Heard]
    denied: dict[str, str]
    more: bool


async def listen(connection: Mqtt, filters: Sequence[str], seconds: float, keys: Path | None = None) -> Report:
    """Errors: `ReadError` when the broker cannot be had or is lost before the time is over."""
    newest: dict[str, Message] = {}
    count: dict[str, int] = {}
    retained: set[str] = set()
    more = False

    def hear(messages: Sequence[Message]) -> None:
        nonlocal more
        for message in messages:
            if message.topic not in newest and len(newest) >= MOST_TOPICS:
                more = True
                continue
            newest[message.topic] = message
            count[message.topic] = count.get(message.topic, 0) + (not message.retain)
            if message.retain:
                retained.add(message.topic)

    link = BrokerLink(connection, hear, keys=keys)
    link.subscribe(filters, qos=0)
    try:
        await link.open(f"plantproof-look-{uuid.uuid4().hex[:6]}", clean=True)
        try:
            async with asyncio.timeout(seconds):
                await link.lost.wait()
        except TimeoutError:
            pass
        else:
            raise link.why or AssertionError("a lost connection has its reason")
        heard = [Heard(t, count[t], newest[t].size, t in retained, sketch(newest[t].payload)) for t in sorted(newest)]
        return Report(link.version, heard, dict(link.denied), more)
    finally:
        await link.close()
