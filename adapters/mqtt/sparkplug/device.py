"""The metrics of one register device -> event rows.

In: births and data of its edge node or device. Out: rows of the points whose `metric` they carry, each with its own time.
Time: the metric's timestamp; without one the message's; absurd (before 1980, after 2200) the clock, quality Uncertain. Server time: when
the edge node sent the message. A historical value keeps its own time or is not taken at all: it may never look like a contact now.
A birth says what is true now: a value not seen before is `ok` with its own time, and `confirmed` too when that is older than 2 s; a
value seen before is `confirmed` only. A point whose metric the birth does not have is Bad_NodeIdUnknown.
What cannot be named or read without its birth is counted, for a `rejected` row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from adapters.batch import GOOD, UNCERTAIN, Outcome
from adapters.mqtt.sparkplug.metric import Read, Refused, as_text, quality_of, reader
from adapters.mqtt.sparkplug.payload import EARLIEST_MS, LATEST_MS, Message
from adapters.paths import ABSENT, Getter, compile_path
from adapters.rows import Rows
from adapters.template import Source
from adapters.values import BAD_TYPE_MISMATCH, Cast
from config.points import Point

BAD_NODE_ID_UNKNOWN = 0x8034_0000
_FRESH_US = 2_000_000
_SIMPLE = frozenset((float, int, bool, str))
_PLAIN: dict[str, type] = {"f64": float, "bool": bool, "str": str}

# a point's index, its cast, its path in the value, and the Python type whose good values the cast would leave as they are
Target = tuple[int, Cast, Getter | None, type | None]
Tag = tuple[int, Read, Sequence[Target]]  # data type, how to read it, the points that want it


@dataclass(slots=True)
class Taken:
    """What came of a message: rows of now, values that could not be had, and what was wrong with the first of those."""

    fresh: int = 0
    refused: int = 0
    why: str = ""
    unknown: bool = False  # an alias, or a wanted name without a type, that no birth declared

    def refuse(self, why: str) -> None:
        """Count a value that makes no row."""
        self.refused += 1
        self.why = self.why or why


class DeviceMetrics:
    """The tables and the memory of one device."""

    def __init__(self, source: Source) -> None:
        self._targets: dict[str, list[Target]] = {}
        for i, point in enumerate(source.points):
            path = compile_path(point.element) if point.element else None
            target = (i, source.casts[i], path, _plain_type(point))
            self._targets.setdefault(cast(str, point.metric), []).append(target)
        self._names: dict[str, Tag] = {}
        self._aliases: dict[int, Tag] = {}
        self._last_us = [0] * len(source.points)
        self._last: list[object] = [None] * len(source.points)

    def birth(self, message: Message, rows: Rows, *, trusted: bool) -> Taken:
        """Learn the tables (when trusted) and deliver the birth's values."""
        names: dict[str, Tag] = {}
        aliases: dict[int, Tag] = {}
        twice: set[int] = set()
        taken = Taken()
        for metric in message.payload.metrics:
            name, datatype = metric.name, metric.datatype
            if not name or not isinstance(name, str):
                taken.refuse("出生报文里有测点没有名称 (a metric of the birth has no name)")
                continue
            tag = (datatype, reader(datatype), self._targets.get(name, ()))
            names[name] = tag
            if metric.HasField("alias"):
                twice |= {metric.alias} & aliases.keys()
                aliases[metric.alias] = tag
            if tag[2]:
                self._take(metric, tag, message, rows, taken, birth=True)
        for alias in twice:  # nobody can say which of the two a value belongs to
            del aliases[alias]
        if trusted:
            self._names, self._aliases = names, aliases
        for name, targets in self._targets.items():
            if name not in names:
                for index, *_ in targets:
                    rows.event(index, None, BAD_NODE_ID_UNKNOWN, message.received_us, message.received_us)
        return taken

    def data(self, message: Message, rows: Rows, *, trusted: bool) -> Taken:
        """Deliver values. Not trusted: only of metrics that carry their own name and type."""
        names, aliases = (self._names, self._aliases) if trusted else ({}, {})
        taken, now_us, sent_ms, sent_us = Taken(), message.received_us, message.payload.timestamp, message.sent_us
        for metric in message.payload.metrics:
            name, datatype = metric.name, metric.datatype
            tag = names.get(name) or self._own(name, datatype) if name else aliases.get(metric.alias)
            if not name and not metric.alias and not metric.HasField("alias"):
                tag = None
            if tag is None:
                taken.unknown = True
                taken.refuse("别名或类型未知 (an alias or a type that no birth declared)")
                continue
            declared, read, targets = tag
            if not targets:
                continue
            if datatype and datatype != declared:
                tag = (datatype, reader(datatype), targets)
            elif not (metric.is_historical or metric.is_null or metric.HasField("properties")):  # as nearly all are
                index, _, _, plain = targets[0]
                raw, stamp_ms = read(metric), metric.timestamp or sent_ms
                kind = type(raw)
                if (
                    kind is plain
                    and (kind is not float or isfinite(raw))
                    and EARLIEST_MS <= stamp_ms < LATEST_MS
                    and len(targets) == 1
                ):
                    self._last_us[index], self._last[index] = stamp_ms * 1000, raw
                    rows.event(index, raw, GOOD, stamp_ms * 1000, now_us, server_us=sent_us)
                    taken.fresh += 1
                    continue
            self._take(metric, tag, message, rows, taken)
        return taken

    def _own(self, name: object, datatype: int) -> Tag | None:
        """The tag of a metric that no birth declared: by its own name and type. None: it is wanted and has no type."""
        targets = self._targets.get(name, ()) if isinstance(name, str) else ()
        return None if targets and not datatype else (datatype, reader(datatype), targets)

    def _take(self, metric: Any, tag: Tag, message: Message, rows: Rows, taken: Taken, *, birth: bool = False) -> None:
        """The rows of one metric."""
        now_us = message.received_us
        stamp_ms = metric.timestamp
        historical = metric.is_historical
        if historical:
            if not EARLIEST_MS <= stamp_ms < LATEST_MS or stamp_ms * 1000 > now_us + _FRESH_US:
                taken.refuse("历史值没有可信的时间 (a historical value without a credible time of its own)")
                return
        else:
            taken.fresh += 1
            stamp_ms = stamp_ms or message.payload.timestamp
        source_us, quality = stamp_ms * 1000, GOOD
        if not EARLIEST_MS <= stamp_ms < LATEST_MS:
            source_us, quality = now_us, UNCERTAIN
        if metric.HasField("properties"):
            quality = quality_of(metric) or quality
        raw = None if metric.is_null else tag[1](metric)
        for index, convert, path, _ in tag[2]:
            found = raw if path is None and type(raw) in _SIMPLE else _inside(raw, path)
            if found is ABSENT:
                continue
            value, mark = (None, found.quality) if isinstance(found, Refused) else convert(found)
            if birth and not historical:
                self._born(rows, index, found, value, quality, mark or quality, source_us, message)
                continue
            rows.event(index, value, quality, source_us, now_us, Outcome.OK, mark or quality, message.sent_us)
            if not historical:
                self._last_us[index], self._last[index] = source_us, found

    def _born(
        self, rows: Rows, index: int, raw: object, value: Any, quality: int, mark: int, source_us: int, message: Message
    ) -> None:
        """A birth's value: new, or the one we have, or both new and old enough to need a confirmation."""
        now_us, sent_us = message.received_us, message.sent_us
        seen = self._last_us[index] == source_us and self._last[index] == raw
        if not seen:
            rows.event(index, value, quality, source_us, now_us, Outcome.OK, mark, sent_us)
            self._last_us[index], self._last[index] = source_us, raw
        if seen or source_us < now_us - _FRESH_US:
            rows.event(index, value, quality, source_us, now_us, Outcome.CONFIRMED, mark, sent_us)


def _inside(raw: object, path: Getter | None) -> object:
    """What stands at the path, structures as JSON text; without a path the whole. `ABSENT`: nothing there."""
    if path is not None and isinstance(raw, list | dict):
        raw = path(raw)
    elif path is not None and raw is not None and not isinstance(raw, Refused):
        return Refused(BAD_TYPE_MISMATCH)  # a number or text has no inside
    return as_text(raw)


def _plain_type(point: Point) -> type | None:
    """The type of a point without any rule; None where the cast has something to say about every value."""
    ruled = (point.element, point.scale, point.offset, point.low, point.high, point.no_value or None)
    return _PLAIN.get(point.type) if all(rule is None for rule in ruled) else None
