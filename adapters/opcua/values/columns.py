"""The values in Read and Publish responses -> columns: never an object per value.

In: the bytes of one response from where its values begin (responses.py). Out: `Values`: for each its handle (or its place in the
read), status, source and server time; and the values themselves in `Part`s, a numpy column per layout, a list for text and the rest.
A DataValue's mask and its Variant's type, two bytes, fix the size of what follows: a body of one layout is one strided view, a mixed one
is cut by a table of sizes (research/protocols.md §2), and what has no fixed layout (arrays, structures) is decoded value by value.
Stamps are microseconds since 1970; absent or before 1980 (1601 is "no value", 1970 an unset clock) is `NO_TIME`.
Refuses (`Malformed`): lengths beyond the body.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from adapters.batch import NO_TIME
from adapters.opcua.values.binary import FIXED, Malformed, Reader, data_value

_TICKS_1970_US = 11_644_473_600_000_000
EARLIEST_US = 315_532_800_000_000  # 1980-01-01
_EARLIEST_TICKS = (EARLIEST_US + _TICKS_1970_US) * 10
_STRING = 12
_FEW = 4  # below this, a view costs more than it saves


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Values of one builtin type: `rows` are their places in the delivery. kind 0: anything, as Python values."""

    rows: NDArray[np.intp]
    kind: int
    values: NDArray[np.generic] | list[object]


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """n values in the server's order. handle: the monitored item's, or the place in the read."""

    handle: NDArray[np.int64]
    status: NDArray[np.uint32]
    source_us: NDArray[np.int64]
    server_us: NDArray[np.int64]
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return len(self.handle)

    def chosen(self, rows: NDArray[np.intp]) -> Values:
        """These rows only, in this order; `rows` ascends."""
        if len(self.parts) == 1 and len(self.parts[0].rows) == len(self):  # one layout: its rows are all of them
            (only,) = self.parts
            found = [only.values[i] for i in rows.tolist()] if isinstance(only.values, list) else only.values[rows]
            every = np.arange(len(rows))
            part = Part(every, only.kind, found)
            return Values(self.handle[rows], self.status[rows], self.source_us[rows], self.server_us[rows], (part,))
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))
        parts = []
        for part in self.parts:
            kept = place[part.rows] >= 0
            if kept.any():
                values = part.values
                values = (
                    [v for v, k in zip(values, kept.tolist(), strict=True) if k]
                    if isinstance(values, list)
                    else values[kept]
                )
                parts.append(Part(place[part.rows[kept]], part.kind, values))
        return Values(self.handle[rows], self.status[rows], self.source_us[rows], self.server_us[rows], tuple(parts))

    def spread(self, rows: NDArray[np.intp], count: int, status: int) -> Values:
        """These values at the given rows of `count`; the others have no value and this status."""
        made = empty(count, status)
        made.status[rows], made.source_us[rows], made.server_us[rows] = self.status, self.source_us, self.server_us
        return Values(
            made.handle,
            made.status,
            made.source_us,
            made.server_us,
            tuple(Part(rows[p.rows], p.kind, p.values) for p in self.parts),
        )

    def raws(self) -> list[object]:
        """The values as Python objects, in order."""
        found: list[object] = [None] * len(self)
        for part in self.parts:
            values = part.values if isinstance(part.values, list) else part.values.tolist()
            for row, value in zip(part.rows.tolist(), values, strict=True):
                found[row] = value
        return found


def empty(count: int, status: int) -> Values:
    """Values that are not there, for one reason."""
    none = np.full(count, NO_TIME)
    return Values(np.arange(count, dtype=np.int64), np.full(count, status, np.uint32), none, none.copy(), ())


def joined(values: Iterable[Values]) -> Values:
    """Several reads, one after the other: handles are counted through."""
    found = list(values)
    if len(found) == 1:
        return found[0]
    if not found:
        return empty(0, 0)
    starts = np.cumsum([0, *(len(v) for v in found)])
    parts = tuple(
        Part(p.rows + start, p.kind, p.values) for v, start in zip(found, starts, strict=False) for p in v.parts
    )
    return Values(
        np.arange(starts[-1], dtype=np.int64),
        np.concatenate([v.status for v in found]),
        np.concatenate([v.source_us for v in found]),
        np.concatenate([v.server_us for v in found]),
        parts,
    )


def time_us(ticks: int) -> int:
    """100 ns since 1601 -> microseconds since 1970, or `NO_TIME`."""
    return ticks // 10 - _TICKS_1970_US if ticks >= _EARLIEST_TICKS else NO_TIME


def values_of(read: Reader, *, handles: bool) -> Values:
    """An array of MonitoredItemNotification (with `handles`), or of DataValue, at the reader's place. Errors: `Malformed`."""
    lead = 4 if handles else 0
    count = read.count(lead + 1)
    sizes = _SIZES[lead]
    data, start = read.data, read.at
    key = data[start + lead : start + lead + 2]
    size = sizes.get(key, 0)
    if count >= _FEW and size and key[1] != _STRING and start + count * size <= len(data):
        marks = np.frombuffer(data, np.uint8, count * size, start).reshape(count, size)[:, lead : lead + 2]
        if (marks == marks[0]).all():
            read.at = start + count * size
            return _uniform(data, start, count, key, lead)
    return _mixed(read, count, lead)


def _uniform(data: bytes, start: int, count: int, key: bytes, lead: int) -> Values:
    """All of one layout: views of the body."""
    table = np.frombuffer(data, _layout(key, lead), count, start)
    every = np.arange(count)
    handle = table["handle"].astype(np.int64) if lead else every
    status, source, server = _stamps(table)
    part = Part(every, key[1], table["value"])
    return Values(handle, status, source, server, (part,))


def _mixed(read: Reader, count: int, lead: int) -> Values:
    """Cut by the table of sizes, gathered by layout; what has none is decoded one by one."""
    sizes, data = _SIZES[lead], read.data
    at, end = read.at, len(read.data)
    offsets: dict[bytes, list[int]] = {}
    rows: dict[bytes, list[int]] = {}
    odd: list[tuple[int, int, object, int, int, int]] = []  # row, handle, value, status, source, server
    for row in range(count):
        key = data[at + lead : at + lead + 2]
        size = sizes.get(key, 0)
        if size and key[1] == _STRING:
            length = int.from_bytes(data[at + lead + 2 : at + lead + 6], "little", signed=True)
            size = size + length if length >= 0 else 0
        if not size:
            read.at = at
            handle = read.u32() if lead else row
            odd.append((row, handle, *data_value(read)))
            at = read.at
            continue
        if key not in offsets:
            offsets[key], rows[key] = [], []
        offsets[key].append(at)
        rows[key].append(row)
        at += size
        if at > end:
            raise Malformed(f"expected {count} values in the body, found its end at value {row}")
    read.at = at
    made = _Columns(count, lead)
    for key, found in offsets.items():
        made.gather(data, key, np.array(found), np.array(rows[key]))
    if odd:
        made.one_by_one(odd)
    return made.values()


class _Columns:
    """Columns of a mixed body, filled layout by layout."""

    def __init__(self, count: int, lead: int) -> None:
        self._lead = lead
        self._handle = np.arange(count, dtype=np.int64)
        self._status = np.zeros(count, np.uint32)
        self._source = np.full(count, NO_TIME)
        self._server = np.full(count, NO_TIME)
        self._parts: list[Part] = []

    def gather(self, data: bytes, key: bytes, at: NDArray[np.intp], rows: NDArray[np.intp]) -> None:
        """Records of one layout, wherever they stand. A text's own bytes stand between its head and its stamps."""
        if key[1] == _STRING:
            self._texts(data, key, at, rows)
            return
        layout = _layout(key, self._lead)
        octets = np.frombuffer(data, np.uint8)[at[:, None] + np.arange(layout.itemsize)]
        table = octets.view(layout).ravel()
        self._stamps(table, rows)
        self._parts.append(Part(rows, key[1], table["value"]))

    def _texts(self, data: bytes, key: bytes, at: NDArray[np.intp], rows: NDArray[np.intp]) -> None:
        first = at + self._lead + 6
        octets = np.frombuffer(data, np.uint8)
        length = octets[(first - 4)[:, None] + np.arange(4)].view("<i4").ravel()
        last = first + length
        layout = _layout(key, self._lead)
        head, tail = self._lead + 6, layout.itemsize - self._lead - 6
        spots = np.concatenate([at[:, None] + np.arange(head), last[:, None] + np.arange(tail)], axis=1)
        self._stamps(np.ascontiguousarray(octets[spots]).view(layout).ravel(), rows)
        ends = zip(first.tolist(), last.tolist(), strict=True)
        texts: list[object] = [data[a:b].decode("utf-8", "backslashreplace") for a, b in ends]
        self._parts.append(Part(rows, _STRING, texts))

    def _stamps(self, table: NDArray[np.void], rows: NDArray[np.intp]) -> None:
        if self._lead:
            self._handle[rows] = table["handle"]
        self._status[rows], self._source[rows], self._server[rows] = _stamps(table)

    def one_by_one(self, odd: list[tuple[int, int, object, int, int, int]]) -> None:
        """Values that the library of layouts does not know."""
        rows, handles, values, statuses, sources, servers = zip(*odd, strict=True)
        at = np.array(rows, np.intp)
        self._handle[at] = handles
        self._status[at] = statuses
        self._source[at] = [time_us(t) for t in sources]
        self._server[at] = [time_us(t) for t in servers]
        self._parts.append(Part(at, 0, list(values)))

    def values(self) -> Values:
        """What was gathered."""
        return Values(self._handle, self._status, self._source, self._server, tuple(self._parts))


def _stamps(
    table: NDArray[np.void],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    names = table.dtype.names or ()
    count = len(table)
    status = table["status"].astype(np.uint32) if "status" in names else np.zeros(count, np.uint32)
    source = _micros(table["source"]) if "source" in names else np.full(count, NO_TIME)
    server = _micros(table["server"]) if "server" in names else np.full(count, NO_TIME)
    return status, source, server


def _micros(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(ticks >= _EARLIEST_TICKS, ticks // 10 - _TICKS_1970_US, NO_TIME)


def _fields(mask: int, kind: int, lead: int) -> list[tuple[str, str]]:
    """Names and types of a record, in the order of IEC 62541-6 §5.2.2.17 (no picoseconds)."""
    head = [("handle", "<u4")] if lead else []
    value = [("length", "<i4")] if kind == _STRING else [("value", FIXED[kind])]
    stamps = [("status", "<u4", 2), ("source", "<i8", 4), ("server", "<i8", 8)]
    return [*head, ("mask", "u1"), ("kind", "u1"), *value, *((n, t) for n, t, bit in stamps if mask & bit)]


_MASKS = [1 | status | source | server for status, source, server in product((0, 2), (0, 4), (0, 8))]
_LAYOUTS = {
    (lead, bytes((mask, kind))): np.dtype(_fields(mask, kind, lead))
    for lead, mask, kind in product((0, 4), _MASKS, (*FIXED, _STRING))
}
_SIZES = {lead: {key: t.itemsize for (which, key), t in _LAYOUTS.items() if which == lead} for lead in (0, 4)}


def _layout(key: bytes, lead: int) -> np.dtype[np.void]:
    return _LAYOUTS[lead, key]
