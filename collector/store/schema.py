"""Column names and types of rows at rest, once (docs/format/segments.md); blocks of the journal to Arrow tables.

In: `Block`s of one template. Out: one Arrow table, devices ascending, each device's rows in journal order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.batch import NO_TIME, Column, Template, ValueType
from collector.frame import Block, Frame

VALUE, QUALITY = "p.", "q."
SERVER = "server_lag_us"  # server time minus source time; a file without one has no such column
ARROW_TYPE = {
    ValueType.BOOL: pa.bool_(),
    ValueType.I64: pa.int64(),
    ValueType.U64: pa.uint64(),
    ValueType.F32: pa.float32(),
    ValueType.F64: pa.float64(),
    ValueType.STR: pa.string(),
}
BASE: tuple[tuple[str, pa.DataType], ...] = (
    ("device", pa.string()),
    ("hour", pa.int32()),
    ("frame", pa.int64()),
    ("source_us", pa.int64()),
    ("lag_us", pa.int64()),
    ("outcome", pa.uint8()),
    ("q", pa.uint32()),
)


def arrow_schema(template: Template) -> pa.Schema:
    """Full schema of a template: base, server time, values, column qualities."""
    values = [(VALUE + name, ARROW_TYPE[kind]) for name, kind in template.columns]
    qualities = [(QUALITY + name, pa.uint32()) for name, _ in template.columns]
    return pa.schema([*BASE, (SERVER, pa.int64()), *values, *qualities])


def is_optional(name: str) -> bool:
    """True for a column that a file leaves out when it would say nothing."""
    return name == SERVER or name.startswith(QUALITY)


def tables_of(frames: Sequence[Frame]) -> dict[Template, pa.Table]:
    """Row frames grouped by template, each as one table."""
    found: dict[Template, list[tuple[Frame, Block]]] = {}
    for frame in frames:
        for block in frame.blocks:
            found.setdefault(block.template, []).append((frame, block))
    return {template: _table(template, parts) for template, parts in found.items()}


def _table(template: Template, parts: list[tuple[Frame, Block]]) -> pa.Table:
    device, names = _devices([b for _, b in parts])
    order = np.argsort(device, kind="stable")  # each device's rows keep their journal order
    sizes = [len(b.source_us) for _, b in parts]

    def taken(arrays: list[np.ndarray], kind: pa.DataType) -> pa.Array:
        return pa.array(np.concatenate(arrays)[order], kind)

    columns = {
        "device": pa.DictionaryArray.from_arrays(pa.array(device[order]), pa.array(names)).cast(pa.string()),
        "hour": taken([np.repeat(np.int32(f.hour), n) for (f, _), n in zip(parts, sizes, strict=True)], pa.int32()),
        "frame": taken([np.repeat(np.int64(f.seq), n) for (f, _), n in zip(parts, sizes, strict=True)], pa.int64()),
        "source_us": taken([b.source_us for _, b in parts], pa.int64()),
        "lag_us": taken([b.lag_us for _, b in parts], pa.int64()),
        "outcome": taken([b.outcome for _, b in parts], pa.uint8()),
        "q": taken([b.quality for _, b in parts], pa.uint32()),
        SERVER: _server_lags([b for _, b in parts], order),
    }
    for i, (name, kind) in enumerate(template.columns):
        columns[VALUE + name] = _values([b.columns[i] for _, b in parts], kind, order)
        columns[QUALITY + name] = _qualities([b.point_quality[i] for _, b in parts], sizes, order)
    return pa.table(columns, schema=arrow_schema(template))


def _devices(blocks: Sequence[Block]) -> tuple[np.ndarray, list[str]]:
    """Device number of each row, and the names in order. Frames of a plant list the same devices again and again."""
    lists = {b.devices for b in blocks}
    names = sorted(set().union(*lists))
    number = {d: i for i, d in enumerate(names)}
    numbers = {devices: np.array([number[d] for d in devices], np.int32) for devices in lists}
    return np.concatenate([np.repeat(numbers[b.devices], b.counts) for b in blocks]), names


def _server_lags(blocks: list[Block], order: np.ndarray) -> pa.Array:
    if all(b.server_us is None for b in blocks):
        return pa.nulls(len(order), pa.int64())
    server = np.concatenate(
        [np.full(len(b.source_us), NO_TIME) if b.server_us is None else b.server_us for b in blocks]
    )
    there = server != NO_TIME
    lags = np.where(there, server, 0) - np.where(there, np.concatenate([b.source_us for b in blocks]), 0)
    return pa.array(lags[order], pa.int64(), mask=~there[order])


def _values(parts: list[Column], kind: ValueType, order: np.ndarray) -> pa.Array:
    valid = None
    if any(c.valid is not None for c in parts):
        valid = np.concatenate([np.ones(len(c.values), np.bool_) if c.valid is None else c.valid for c in parts])
    if kind is ValueType.STR:
        text = pa.chunked_array([pa.array(c.values, pa.string()) for c in parts]).combine_chunks()
        taken = text.take(pa.array(order))
        if valid is None:
            return taken
        return pc.if_else(pa.array(valid[order]), taken, pa.scalar(None, pa.string()))
    values = np.concatenate([np.asarray(c.values) for c in parts])[order]
    return pa.array(values, ARROW_TYPE[kind], mask=None if valid is None else ~valid[order])


def _qualities(parts: list[np.ndarray | None], sizes: list[int], order: np.ndarray) -> pa.Array:
    if all(q is None for q in parts):
        return pa.nulls(len(order), pa.uint32())
    values = np.concatenate([np.zeros(n, np.uint32) if q is None else q for q, n in zip(parts, sizes, strict=True)])
    absent = np.concatenate([np.full(n, q is None) for q, n in zip(parts, sizes, strict=True)])
    return pa.array(values[order], pa.uint32(), mask=absent[order])
