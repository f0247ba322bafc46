"""Which messages of a session were handed over, and which may be acknowledged: the receiver's half of QoS 1 and 2 (MQTT 5 §4.3).

In: each message of QoS 1 or 2 as it comes, and each that is durable. Out: is it new; the acknowledgements due, in the order of arrival
(§4.6). A message is PUBACKed or PUBRECed when it is durable, not before: a PUBREC lets the broker forget the payload.
The broker repeats (DUP) what it believes unacknowledged: after a lost connection, or after its own crash from an older image. A repeat of
what we still hold, or have stored, is acknowledged and not handed over again. It is known by identifier, topic and payload.
Cannot be known: repeats of what an earlier process of ours stored, and what a broker sends anew without DUP under another identifier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.mqtt.packets import PUBACK, PUBREC, Message


@dataclass(slots=True, eq=False)
class _Delivery:
    mid: int
    qos: int
    content: int
    message: Message | None  # until it is durable
    released: bool = False  # QoS 2: PUBREL came, the identifier is free
    queued: bool = True  # waits in `_order` for its acknowledgement


class Deliveries:
    """The unacknowledged and the lately acknowledged messages of one session."""

    def __init__(self) -> None:
        self._known: dict[int, _Delivery] = {}  # by identifier: at most 65,535
        self._order: deque[_Delivery] = deque()  # of this connection, not acknowledged
        self.repeated = 0

    @property
    def unacknowledged(self) -> int:
        """Messages of this connection that the broker holds until we acknowledge them."""
        return len(self._order)

    def begin(self, *, session_present: bool) -> None:
        """A new connection: the broker repeats what it holds; without our session it has forgotten everything."""
        for delivery in self._order:
            delivery.queued = False
        self._order.clear()
        if not session_present:
            self._known.clear()

    def arrived(self, message: Message) -> bool:
        """True when the message is new to us, False when it was handed over before."""
        content = hash((message.topic, message.payload, message.size))
        known = self._known.get(message.mid)
        if known is not None and known.content == content and known.qos == message.qos:
            # whatever DUP says: the identifier is not free before our acknowledgement (§2.2.1), of QoS 2 before PUBREL (§4.3.3)
            held = known.queued or (message.qos == 2 and not known.released)
            if message.dup or held:
                if not known.queued:
                    known.queued = True
                    self._order.append(known)
                self.repeated += 1
                return False
        if known is not None and known.queued:
            self._order.remove(
                known
            )  # a broker that uses an identifier twice: the older one can no longer be acknowledged
        made = _Delivery(message.mid, message.qos, content, message)
        self._known[message.mid] = made
        self._order.append(made)
        return True

    def durable(self, messages: Iterable[Message]) -> None:
        """These are stored. One whose identifier a newer message has taken over is of an older session: nothing to acknowledge."""
        for message in messages:
            known = self._known.get(message.mid)
            if known is not None and known.message is message:
                known.message = None

    def due(self) -> list[tuple[int, int]]:
        """(PUBACK or PUBREC, identifier) for all that may be acknowledged now; asked for once."""
        found = []
        while self._order and self._order[0].message is None:
            first = self._order.popleft()
            first.queued = False
            found.append((PUBACK if first.qos == 1 else PUBREC, first.mid))
        return found

    def released(self, mid: int) -> None:
        """PUBREL: the exchange is over, the identifier is free."""
        known = self._known.get(mid)
        if known is not None:
            known.released = True
