"""One MQTT message -> rows: JSON, a path per point, and the payload's own time.

In: payload bytes and the source that subscribed to the topic. Out: a wide row (`kind = "wide"`: the message carries the machine) or
one event row per point found (`kind = "event"`: the message carries what changed).
Paths: `$.a.b[0]`. Time: ISO 8601 (without an offset: plant time) or epoch milliseconds; absent, unreadable or before 1980, the
collector's clock is used and the quality becomes Uncertain. JSON null is a missing value, an object or array a Bad_TypeMismatch.
Refuses (`Undecodable`): payloads over 1 MiB, what is not JSON, JSON in which no point is found. Each becomes a `rejected` row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timezone

import orjson

from adapters.batch import BAD_NO_DATA, UNCERTAIN
from adapters.rows import Rows
from adapters.template import Source
from config.connections import Mqtt

MAX_BYTES = 1 << 20
_EARLIEST_US = 315_532_800_000_000  # 1980-01-01
_LATEST_US = 7_258_118_400_000_000  # 2200-01-01
_MOST_DIGITS = 20  # more is no time, and int() would refuse thousands of them
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Undecodable(Exception):
    """A payload that makes no row; the words say why."""


class _Absent:
    """Nothing at that path (JSON null is something)."""


ABSENT = _Absent()
Getter = Callable[[object], object]


class MessageDecoder:
    """The messages of one device."""

    def __init__(self, source: Source, connection: Mqtt) -> None:
        self._source = source
        self._getters = tuple(compile_path(p.path or "$") for p in source.points)
        self._time = compile_path(connection.time_path) if connection.time_path else None

    def rows(self, rows: Rows, payload: bytes, now_us: int) -> None:
        """Add the message's rows. Errors: `Undecodable`, and nothing is added."""
        body = parse(payload)
        found = [get(body) for get in self._getters]
        if all(raw is ABSENT for raw in found):
            raise Undecodable("报文里没有任何测点 (expected at least one point's path, found none)")
        source_us, doubt = now_us, 0
        if self._time is not None:
            stamp = parse_time(self._time(body), self._source.tz)
            source_us, doubt = (now_us, UNCERTAIN) if stamp is None else (stamp, 0)
        if self._source.template.kind == "event":
            for i, raw in enumerate(found):
                if raw is not ABSENT:
                    value, quality = self._source.casts[i](raw)
                    rows.event(i, value, doubt, source_us, now_us, value_quality=quality or doubt)
            return
        typed = [
            (None, BAD_NO_DATA) if raw is ABSENT else cast(raw)
            for cast, raw in zip(self._source.casts, found, strict=True)
        ]
        rows.wide(source_us, now_us, [v for v, _ in typed], [q or doubt for _, q in typed])


def parse(payload: bytes) -> object:
    """JSON. Errors: `Undecodable`."""
    if len(payload) > MAX_BYTES:
        raise Undecodable(f"报文过大 (expected at most {MAX_BYTES} bytes, found {len(payload)})")
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as err:
        raise Undecodable(f"报文不是 JSON (expected JSON, found: {err})") from err


def compile_path(path: str) -> Getter:
    """`$.a.b[0]` -> a function from the body to what stands there, or `ABSENT`."""
    steps = [key or int(index) for key, index in _STEP.findall(path)]

    def get(body: object) -> object:
        for step in steps:
            if isinstance(step, str):
                if not isinstance(body, dict) or step not in body:
                    return ABSENT
                body = body[step]
            elif isinstance(body, list) and step < len(body):
                body = body[step]
            else:
                return ABSENT
        return body

    return get


def parse_time(raw: object, tz: timezone) -> int | None:
    """A payload's stamp in microseconds since 1970 UTC, or None."""
    if isinstance(raw, str) and raw.isascii() and raw.isdigit():
        raw = int(raw[:_MOST_DIGITS])
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    if not isinstance(raw, str) and not abs(raw) < _LATEST_US:  # also what rounds to no number at all
        return None
    if isinstance(raw, str):
        try:
            stamp = datetime.fromisoformat(raw)
        except ValueError:
            return None
        span = (stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=tz)) - _EPOCH
        micros = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    else:
        micros = raw * 1000 if isinstance(raw, int) else round(raw * 1000)
    return micros if _EARLIEST_US <= micros < _LATEST_US else None
