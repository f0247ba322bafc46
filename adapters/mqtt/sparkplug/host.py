"""What a host says (Sparkplug 3.0 §5.2, §5.12, §6.4.24): its STATE, and the request for a rebirth. Nothing else ever leaves.

In: a host id, an edge node, the time. Out: topics and payloads; `Throttle` says when an edge node may be asked (again).
STATE is JSON with the same timestamp in the will (online false) and in the birth (online true) of one connection.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from adapters.mqtt.packets import Will
from adapters.mqtt.sparkplug.metric import DataType
from adapters.mqtt.sparkplug.payload import NAMESPACE
from adapters.mqtt.sparkplug.wire import PayloadMessage

REBIRTH = "Node Control/Rebirth"
_FIRST_US = 1_000_000
_CAP_US = 600_000_000
_JITTER = (1.0, 1.3)


class Presence:
    """The STATE of one host. Without a host id there is none: `topic` is empty."""

    def __init__(self, host_id: str) -> None:
        self.topic = f"{NAMESPACE}/STATE/{host_id}" if host_id else ""
        self.contradicted = False  # somebody said that this host is offline
        self._at_ms = 0

    def will(self, at_ms: int) -> Will | None:
        """The death certificate of the connection that begins now."""
        self._at_ms = at_ms
        return Will(self.topic, _state(at_ms, online=False), qos=1, retain=True) if self.topic else None

    def online(self) -> bytes:
        """The birth certificate, with the will's timestamp."""
        self.contradicted = False
        return _state(self._at_ms, online=True)

    def offline(self, at_ms: int) -> bytes:
        """The death certificate of one who leaves by himself."""
        return _state(at_ms, online=False)

    def hear(self, payload: bytes) -> None:
        """What was said on our own topic."""
        try:
            body = json.loads(payload)
        except ValueError:
            return
        self.contradicted |= isinstance(body, dict) and body.get("online") is False


def command_topic(group: str, edge_node: str) -> str:
    """Where an edge node takes commands."""
    return f"{NAMESPACE}/{group}/NCMD/{edge_node}"


def rebirth_payload(at_ms: int) -> bytes:
    """Node Control/Rebirth = true, by name: no alias is needed to ask (§5.12)."""
    payload = PayloadMessage(timestamp=at_ms)
    payload.metrics.add(name=REBIRTH, timestamp=at_ms, datatype=DataType.BOOLEAN, boolean_value=True)
    return bytes(payload.SerializeToString())


def _state(at_ms: int, *, online: bool) -> bytes:
    return json.dumps({"online": online, "timestamp": at_ms}, separators=(",", ":")).encode()


class Throttle:
    """When one edge node may be asked: at once, then after 1, 2, 4 … 600 s; at once again when it was quiet for twice that."""

    def __init__(self, jitter: Callable[[float, float], float] = random.uniform) -> None:
        self._jitter = jitter
        self._asked_us = 0
        self._base_us = 0
        self._wait_us = 0

    def may_ask(self, now_us: int) -> bool:
        """True when it may be asked now; it then counts as asked."""
        since_us = now_us - self._asked_us
        if self._base_us and 0 <= since_us < self._wait_us:  # below: the clock was set back
            return False
        again = self._base_us and since_us < 2 * self._wait_us
        self._base_us = min(_CAP_US, self._base_us * 2) if again else _FIRST_US
        self._asked_us, self._wait_us = now_us, int(self._base_us * self._jitter(*_JITTER))
        return True
