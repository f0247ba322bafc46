"""An MQTT message of the Sparkplug namespace -> its verb, its edge node and device, and its parsed payload.

In: topic and payload bytes. Out: `Message`. A payload whose uuid is SPBV1.0_COMPRESSED holds another in its body (DEFLATE or GZIP, as
Eclipse Tahu and npm sparkplug-client do); the sequence number stands in either of the two.
Refuses (`Undecodable`): other topics, more than 1 MiB, what is not protobuf or nests deeper than 100, more than 20,000 metrics,
bodies that unpack to more than 16 MiB, bodies in bodies, a compression nobody named.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adapters.mqtt.sparkplug.wire import DecodeError, PayloadMessage

NAMESPACE = "spBv1.0"
MAX_BYTES = 1 << 20  # as the link lets through (mqtt/link.py)
MAX_UNPACKED = 1 << 24
MAX_METRICS = 20_000
EARLIEST_MS = 315_532_800_000  # 1980-01-01
LATEST_MS = 7_258_118_400_000  # 2200-01-01
_COMPRESSED = "SPBV1.0_COMPRESSED"
_ZLIB_OR_GZIP, _RAW = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS
_SEQUENCE_END = 256


class Undecodable(Exception):
    """A message that makes no row; the words say why."""


class Verb(StrEnum):
    """The message types that an edge node sends (Sparkplug 3.0 §4.1.3)."""

    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"

    @property
    def of_device(self) -> bool:
        """True for a message about a device behind the edge node."""
        return self.value[0] == "D"


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One message of an edge node. `seq` is None where there is none in 0 … 255. `raw`: as it came, for repeats and dead letters."""

    verb: Verb
    device: str  # empty: the edge node itself
    payload: Any
    seq: int | None
    bd_seq: int | None
    received_us: int
    sent_us: int | None  # by the payload's own timestamp, when it is a time between 1980 and 2200
    raw: bytes


_VERBS = {v.value: v for v in Verb}


def address(topic: str) -> tuple[str, str, Verb, str]:
    """Group, edge node, verb, device (empty: the edge node itself). Errors: `Undecodable`."""
    parts = topic.split("/")
    verb = _VERBS.get(parts[2]) if len(parts) in (4, 5) and parts[0] == NAMESPACE else None
    if verb is None or verb.of_device != (len(parts) == 5) or not all(parts):
        raise Undecodable(f"{topic}: 不是 Sparkplug 主题 (expected spBv1.0/<group>/<verb>/<edge node>[/<device>])")
    return parts[1], parts[3], verb, parts[4] if len(parts) == 5 else ""


def decode(verb: Verb, device: str, raw: bytes, size: int, received_us: int) -> Message:
    """Parse and unpack. size: the bytes it had, when not all of them were kept. Errors: `Undecodable`."""
    if size > len(raw):
        raise Undecodable(f"报文过大 (expected at most {MAX_BYTES} bytes, found {size})")
    payload = _parse(raw, MAX_BYTES)
    if payload.uuid == _COMPRESSED:
        payload = _unpack(payload)
    if len(payload.metrics) > MAX_METRICS:
        raise Undecodable(f"测点过多 (expected at most {MAX_METRICS} metrics, found {len(payload.metrics)})")
    seq = payload.seq if payload.HasField("seq") and payload.seq < _SEQUENCE_END else None
    bd_seq = _bd_seq(payload) if verb in (Verb.NBIRTH, Verb.NDEATH) else None
    sent_ms = payload.timestamp
    sent_us = sent_ms * 1000 if EARLIEST_MS <= sent_ms < LATEST_MS else None
    return Message(verb, device, payload, seq, bd_seq, received_us, sent_us, raw)


def _parse(raw: bytes, most: int) -> Any:
    if len(raw) > most:
        raise Undecodable(f"报文过大 (expected at most {most} bytes, found {len(raw)})")
    try:
        return PayloadMessage.FromString(raw)
    except DecodeError as err:
        raise Undecodable(f"报文不是 Sparkplug B (expected protobuf, found: {err})") from err


def _unpack(outer: Any) -> Any:
    algorithm = next((m.string_value for m in outer.metrics if m.name == "algorithm"), "DEFLATE")
    if not isinstance(algorithm, str) or algorithm.upper() not in ("DEFLATE", "GZIP"):
        raise Undecodable(f"压缩算法未知 (expected DEFLATE or GZIP, found {str(algorithm)[:40]!r})")
    inner = _parse(_inflate(outer.body), MAX_UNPACKED)
    if inner.uuid == _COMPRESSED:
        raise Undecodable("压缩报文里又是压缩报文 (expected one compressed body, found one in another)")
    for name in ("seq", "timestamp"):
        if outer.HasField(name) and not inner.HasField(name):
            setattr(inner, name, getattr(outer, name))
    return inner


def _inflate(body: bytes) -> bytes:
    """With the header of zlib or gzip, or, as .NET's DEFLATE does, with none."""
    why = ""
    for bits in (_ZLIB_OR_GZIP, _RAW):
        unpacking = zlib.decompressobj(bits)
        try:
            plain = unpacking.decompress(body, MAX_UNPACKED)
        except zlib.error as err:
            why = why or str(err)
            continue
        if unpacking.eof:
            return plain
        if unpacking.unconsumed_tail or len(plain) >= MAX_UNPACKED:
            raise Undecodable(f"解压后过大 (expected at most {MAX_UNPACKED} bytes when unpacked)")
        why = why or "the end is missing"
    raise Undecodable(f"压缩报文无法解开 (expected DEFLATE or GZIP, found: {why})")


def _bd_seq(payload: Any) -> int | None:
    for metric in payload.metrics:
        if metric.name == "bdSeq" and not metric.is_null:
            return int(metric.long_value or metric.int_value)
    return None
