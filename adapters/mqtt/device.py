"""One MQTT device as its adapter keeps it: its decoder, its health, how patient one is with it.

In: a source, its messages. Out: rows, and the words of what could not be understood; failure rows.
"""

from __future__ import annotations

from typing import cast

import structlog

from adapters.batch import Batch, Outcome
from adapters.contract import Clock, Identity, OnState
from adapters.deadletter import Letter
from adapters.health import Health
from adapters.mqtt.packets import Message
from adapters.mqtt.payload import MessageDecoder, Undecodable, parse, too_large
from adapters.rows import Rows, failed_batch
from adapters.template import Source
from config.connections import Mqtt

log = structlog.get_logger(__name__)

_ORIGINS = ("simulated", "replay")


class Device:
    """A device behind the broker."""

    def __init__(self, source: Source, clock: Clock, on_state: OnState | None) -> None:
        self.source = source
        self.health = Health(source.device, clock, log, on_state)
        self._clock = clock
        self._decoder = MessageDecoder(source, cast(Mqtt, source.connection))

    @property
    def patience_us(self) -> int:
        """The declared interval and a little for the publisher's own clock."""
        return int((self.source.interval_s + max(1.0, self.source.interval_s * 0.1)) * 1_000_000)

    @property
    def silence(self) -> str:
        """Why there is a `silent` row."""
        topic, seconds = cast(Mqtt, self.source.connection).topic, self.source.interval_s
        return f"{topic}: {seconds} 秒内没有消息 (no message within the declared interval)"

    def failed(self, outcome: Outcome, words: str) -> Batch:
        """Note the failure and make its row."""
        self.health.failed(outcome, words)
        return failed_batch(self.source.device, self.source.template, self._clock.now_us(), outcome)

    def take(self, rows: Rows, message: Message, point: int | None, now_us: int) -> Letter | None:
        """Add a fresh message's rows; a letter when it, or a part of it, could not be understood."""
        try:
            if message.size > len(message.payload):
                raise too_large(message.size)
            why = self._decoder.rows(rows, message.payload, now_us, point)
        except Undecodable as err:
            why = str(err)
            self.health.failed(Outcome.REJECTED, f"{message.topic}: {why}")
        else:
            self.health.contact()
        if not why:
            return None
        rows.empty(now_us, Outcome.REJECTED)
        return Letter(message.topic, message.payload, message.size, why, (self.source.device,))


def identity_of(device: str, message: Message) -> Identity | None:
    """What a status message says the device is: `{"origin": "simulated", …}`; None when it says nothing."""
    try:
        if message.size > len(message.payload):
            raise too_large(message.size)
        body = parse(message.payload)
    except Undecodable as err:
        log.warning("状态报文无法理解 the status message cannot be understood", device=device, why=str(err))
        return None
    if not isinstance(body, dict):
        return None
    facts = tuple(sorted((k[:64], str(v)[:256]) for k, v in body.items() if isinstance(v, str | int) and k != "origin"))
    origin = body.get("origin")
    return Identity(device, facts, origin if origin in _ORIGINS else "live")
