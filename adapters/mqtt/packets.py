"""MQTT control packets to bytes and back (3.1.1: OASIS 2014; 5: OASIS 2019): those a client that listens needs, and no others.

In: bytes as they come, in any pieces. Out: `Packet`s (`Framer`), `Message`s, reason codes; bytes of the packets we send. Pure.
A PUBLISH larger than the limit is skimmed: its head is kept, the rest is let go while it passes, so that 256 MiB cost no memory and the
message still has a name. Property tables are MQTT 5 §2.2.2; reason codes of 3.1.1 CONNACKs are given as their MQTT 5 equals.
Refuses (`Malformed`): what no broker may send: bad lengths, text that is not UTF-8 where a property must be, an alias never declared.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14
V311, V5 = 4, 5
TOPIC_ALIASES = 1000  # how many topics a broker may abbreviate to us
KEPT_BYTES = 80_000  # of a message that is too large: room for the longest topic (65,535) and a look at the payload

# MQTT 5 §2.2.2.2: property -> "b" byte, "h" two, "i" four bytes, "v" variable integer, "s" text, "d" data, "p" text pair
_PROPERTY = {
    1: "b", 2: "i", 3: "s", 8: "s", 9: "d", 11: "v", 17: "i", 18: "s", 19: "h", 21: "s", 22: "d", 23: "b", 24: "i", 25: "b",
    26: "s", 28: "s", 31: "s", 33: "h", 34: "h", 35: "h", 36: "b", 37: "b", 38: "p", 39: "i", 40: "b", 41: "b", 42: "b",
}  # fmt: skip
SESSION_EXPIRY, SERVER_KEEP_ALIVE, SERVER_REFERENCE, REASON_STRING = 17, 19, 28, 31
RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM, TOPIC_ALIAS = 33, 34, 35
_WIDTH = {"b": 1, "h": 2, "i": 4}
_REASON_OF_311 = {0: 0, 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}  # §3.2.2.3 -> MQTT 5 §3.2.2.2

Properties = dict[int, int | str | bytes]


class Malformed(Exception):
    """Bytes that are no MQTT; the words say what was expected."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet: first byte, body, and the length it had (more than the body when it was skimmed)."""

    head: int
    body: bytes
    size: int

    @property
    def kind(self) -> int:
        """The packet type."""
        return self.head >> 4


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH that came. `size` is the payload's real length: larger than `payload` when it was skimmed.

    topic: bytes that are no UTF-8 are shown as \\xff. MQTT 5's payload format is not asked: whatever it says, text must be UTF-8.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    size: int


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us when we vanish (MQTT 5 §3.1.2.5). Only where a protocol demands it (Sparkplug STATE)."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A CONNACK or a DISCONNECT: MQTT 5 reason code, session present, properties."""

    reason: int
    session_present: bool = False
    properties: Properties = field(default_factory=dict)

    def text(self, name: int) -> str:
        """A text property, empty when it is absent."""
        found = self.properties.get(name, "")
        return found if isinstance(found, str) else ""

    def number(self, name: int) -> int | None:
        """A number property."""
        found = self.properties.get(name)
        return found if isinstance(found, int) else None


class Framer:
    """Cuts a stream into packets."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._skimmed: Packet | None = None
        self._to_skip = 0

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that are complete now. Errors: `Malformed`."""
        found: list[Packet] = []
        if self._skimmed is not None:
            cut = min(self._to_skip, len(data))
            self._to_skip -= cut
            if self._to_skip:
                return found
            found.append(self._skimmed)
            self._skimmed, data = None, data[cut:]
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while True:
            length, start = _length(data, at + 1)
            if start < 0:
                break
            if length > self._limit and end - start >= min(length, KEPT_BYTES):
                at = self._skim(found, data, at, start, length)
                if self._skimmed is not None:
                    break
                continue
            if end - start < length:
                break
            found.append(Packet(data[at], data[start : start + length], length))
            at = start + length
        self._rest = data[at:]
        return found

    def _skim(self, found: list[Packet], data: bytes, at: int, start: int, length: int) -> int:
        """Keep the head of a packet that is too large; the place after what there is of it."""
        if data[at] >> 4 != PUBLISH:
            raise Malformed(f"expected a packet of at most {self._limit} bytes, found type {data[at] >> 4} of {length}")
        packet = Packet(data[at], data[start : start + KEPT_BYTES], length)
        if len(data) - start >= length:
            found.append(packet)
            return start + length
        self._skimmed, self._to_skip = packet, length - (len(data) - start)
        return len(data)


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Variable byte integer (§2.2.3) -> value and the place behind it; place -1 when it is not all there."""
    value = shift = 0
    for i in range(at, min(at + 4, len(data))):
        value |= (data[i] & 0x7F) << shift
        if data[i] < 0x80:
            return value, i + 1
        shift += 7
    if len(data) >= at + 4:
        raise Malformed("expected a length of at most four bytes, found more")
    return 0, -1


def read_message(packet: Packet, version: int, aliases: dict[int, str]) -> Message:
    """PUBLISH (§3.3). `aliases` is the connection's table and grows. Errors: `Malformed`."""
    body, qos = packet.body, packet.head >> 1 & 3
    try:
        at = 2 + int.from_bytes(body[:2])
        topic = body[2:at].decode("utf-8", "backslashreplace")
        mid = 0
        if qos:
            mid, at = int.from_bytes(body[at : at + 2]), at + 2
        if version == V5:
            if body[at]:
                properties, at = read_properties(body, at)
                topic = _alias(topic, properties.get(TOPIC_ALIAS), aliases)
            else:
                at += 1
    except IndexError:
        raise Malformed("expected a PUBLISH, found one cut short") from None
    if qos == 3 or at > len(body) or (qos and not mid) or not topic:
        raise Malformed(f"expected a PUBLISH of QoS 0-2 with a topic and an identifier, found {body[:16]!r}")
    size = packet.size - at
    return Message(topic, body[at:], qos, bool(packet.head & 1), bool(packet.head & 8), mid, size)


def _alias(topic: str, alias: object, aliases: dict[int, str]) -> str:
    """§3.3.2.3.4: a topic with an alias declares it, an alias alone stands for the topic declared."""
    if not isinstance(alias, int):
        return topic
    if not 1 <= alias <= TOPIC_ALIASES or (not topic and alias not in aliases):
        raise Malformed(f"expected a topic alias declared before, of at most {TOPIC_ALIASES}, found {alias}")
    if topic:
        aliases[alias] = topic
    return aliases[alias]


def read_properties(body: bytes, at: int) -> tuple[Properties, int]:
    """MQTT 5 §2.2.2 at a place of a body -> the properties (of a repeated one the last) and the place behind. Errors: `Malformed`."""
    length, at = _length(body, at)
    end = at + length
    if at < 0 or end > len(body):
        raise Malformed("expected properties within the packet, found them cut short")
    found: Properties = {}
    while at < end:
        name, kind, at = body[at], _PROPERTY.get(body[at], ""), at + 1
        if kind in _WIDTH:
            value: int | str | bytes = int.from_bytes(body[at : at + _WIDTH[kind]])
            at += _WIDTH[kind]
        elif kind == "v":
            value, at = _length(body, at)
        elif kind:
            value, at = _data(body, at)
            if kind == "p":
                value, at = _data(body, at)
            if kind != "d":
                value = value.decode("utf-8", "backslashreplace")
        else:
            raise Malformed(f"expected a property of MQTT 5, found {name}")
        if at < 0 or at > end:
            raise Malformed("expected whole properties, found one cut short")
        found[name] = value
    return found, end


def _data(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(body[at : at + 2])
    return body[at + 2 : end], end


def read_connack(packet: Packet, version: int) -> Answer:
    """CONNACK (§3.2). A broker that does not know MQTT 5 answers in the form of 3.1.1. Errors: `Malformed`."""
    body = packet.body
    if len(body) < 2:
        raise Malformed("expected a CONNACK of two bytes at least, found less")
    if version != V5 or len(body) == 2:
        return Answer(_REASON_OF_311.get(body[1], body[1]), bool(body[0] & 1))
    return Answer(body[1], bool(body[0] & 1), read_properties(body, 2)[0])


def read_disconnect(packet: Packet) -> Answer:
    """A broker's DISCONNECT (MQTT 5 §3.14). Errors: `Malformed`."""
    body = packet.body
    return Answer(body[0] if body else 0, False, read_properties(body, 1)[0] if len(body) > 1 else {})


def read_codes(packet: Packet, version: int) -> tuple[int, list[int]]:
    """SUBACK and UNSUBACK (§3.9, §3.11): identifier and one code per topic (none in an UNSUBACK of 3.1.1). Errors: `Malformed`."""
    if len(packet.body) < 2:
        raise Malformed("expected an identifier, found none")
    at = read_properties(packet.body, 2)[1] if version == V5 else 2
    return int.from_bytes(packet.body[:2]), list(packet.body[at:])


def read_mid(packet: Packet) -> tuple[int, int]:
    """PUBACK, PUBREC, PUBREL, PUBCOMP (§3.4-§3.7): identifier and reason code. Errors: `Malformed`."""
    if len(packet.body) < 2:
        raise Malformed("expected an identifier, found none")
    return int.from_bytes(packet.body[:2]), packet.body[2] if len(packet.body) > 2 else 0


def connect(
    version: int,
    client_id: str,
    keep_alive_s: int,
    *,
    clean: bool,
    session_s: int,
    receive_maximum: int,
    username: str = "",
    password: str | None = None,
    will: Will | None = None,
) -> bytes:
    """CONNECT (§3.1)."""
    flags = 2 if clean else 0
    payload = _text(client_id)
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
        payload += (b"\0" if version == V5 else b"") + _text(will.topic) + _sized(will.payload)
    if username:
        flags |= 0x80
        payload += _text(username)
        if password is not None:
            flags |= 0x40
            payload += _text(password)
    properties = b""
    if version == V5:
        properties = struct.pack(">BHBH", RECEIVE_MAXIMUM, receive_maximum, TOPIC_ALIAS_MAXIMUM, TOPIC_ALIASES)
        properties += b"" if clean else struct.pack(">BI", SESSION_EXPIRY, session_s)
        properties = _variable(len(properties)) + properties
    return _packet(
        CONNECT << 4, _text("MQTT") + struct.pack(">BBH", version, flags, keep_alive_s) + properties + payload
    )


def subscribe(version: int, mid: int, topics: Sequence[tuple[str, int]]) -> bytes:
    """SUBSCRIBE (§3.8) to topics, each with its QoS."""
    body = b"".join(_text(topic) + bytes((qos,)) for topic, qos in topics)
    return _packet(SUBSCRIBE << 4 | 2, struct.pack(">H", mid) + _no_properties(version) + body)


def unsubscribe(version: int, mid: int, topics: Sequence[str]) -> bytes:
    """UNSUBSCRIBE (§3.10)."""
    body = b"".join(map(_text, topics))
    return _packet(UNSUBSCRIBE << 4 | 2, struct.pack(">H", mid) + _no_properties(version) + body)


def publish(version: int, mid: int, topic: str, payload: bytes, qos: int, *, retain: bool) -> bytes:
    """PUBLISH (§3.3). Called in one place: `BrokerLink.publish`, behind its guard."""
    identifier = struct.pack(">H", mid) if qos else b""
    return _packet(PUBLISH << 4 | qos << 1 | retain, _text(topic) + identifier + _no_properties(version) + payload)


def acknowledgement(kind: int, mid: int) -> bytes:
    """PUBACK, PUBREC or PUBCOMP with success (§3.4, §3.5, §3.7): the same in both versions."""
    return struct.pack(">BBH", kind << 4, 2, mid)


PINGREQ_BYTES = bytes((PINGREQ << 4, 0))
DISCONNECT_BYTES = bytes((DISCONNECT << 4, 0))


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + _variable(len(body)) + body


def _variable(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _no_properties(version: int) -> bytes:
    return b"\0" if version == V5 else b""


def _text(value: str) -> bytes:
    return _sized(value.encode())


def _sized(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value
