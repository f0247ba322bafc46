"""Journal frames as bytes (docs/format/journal.md): header, checksum, chain, columns.

In: batches or a control map, with seq, hour and clock. Out: exact frame bytes; and back to `Frame`.
Refuses (`FrameError`): wrong magic, lengths, checksum, chain or contents.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import msgpack
import numpy as np
import zstandard
from numpy.typing import NDArray

from adapters.batch import NO_TIME, NUMPY_TYPE, Batch, Column, Columns, Template, ValueType, columns_of

HEADER = struct.Struct("<4sB3xQIqII32sI")
MAGIC = b"PPJ1"
ROWS, CONTROL = 1, 2
NO_FRAME = bytes(32)  # "previous frame" of the first one
MAX_BODY = 256 * 1024 * 1024


class FrameError(ValueError):
    """Bytes that are not a whole, sound frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows of one template in the order they came; `devices[i]` owns the next `counts[i]` rows."""

    template: Template
    devices: tuple[str, ...]
    counts: NDArray[np.uint32]
    source_us: NDArray[np.int64]
    lag_us: NDArray[np.int64]
    outcome: NDArray[np.uint8]
    quality: NDArray[np.uint32]
    columns: tuple[Column, ...]
    point_quality: tuple[NDArray[np.uint32] | None, ...]
    server_us: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame: rows as blocks (kind ROWS) or a control map (kind CONTROL)."""

    seq: int
    hour: int
    clock_us: int
    digest: bytes
    kind: int
    blocks: tuple[Block, ...] = ()
    control: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FrameHead:
    """What the header says, the body still packed."""

    kind: int
    seq: int
    hour: int
    clock_us: int
    raw_len: int
    body_len: int
    prev: bytes
    crc: int


def pack_frame(kind: int, seq: int, hour: int, clock_us: int, prev: bytes, body: bytes) -> bytes:
    """Header and compressed body."""
    if len(body) > MAX_BODY:
        raise FrameError(f"frame {seq}: expected at most {MAX_BODY} body bytes, found {len(body)}: emit less at once")
    packed = zstandard.ZstdCompressor(level=1, write_content_size=True).compress(body)
    head = HEADER.pack(MAGIC, kind, seq, hour, clock_us, len(body), len(packed), prev, 0)[:-4]
    return head + zlib.crc32(packed, zlib.crc32(head)).to_bytes(4, "little") + packed


def rows_body(batches: Iterable[Batch], known: set[str]) -> tuple[bytes, set[str]]:
    """MessagePack of batches grouped by template, and the ids of the templates it had to name (not in `known`)."""
    groups: dict[str, list[Batch]] = {}
    for batch in batches:
        groups.setdefault(batch.template.id, []).append(batch)
    named = {i: g[0].template.to_json() for i, g in groups.items() if i not in known}
    return bytes(msgpack.packb([named, [_block(g) for g in groups.values()]])), set(named)


def control_body(control: dict[str, Any]) -> bytes:
    """MessagePack of a control map."""
    return bytes(msgpack.packb(control))


def read_head(raw: bytes | memoryview, offset: int) -> FrameHead:
    """The header at `offset`. Errors: `FrameError`."""
    if len(raw) - offset < HEADER.size:
        raise FrameError(f"expected {HEADER.size} header bytes, found {len(raw) - offset}")
    magic, kind, seq, hour, clock_us, raw_len, body_len, prev, crc = HEADER.unpack_from(raw, offset)
    if magic != MAGIC or kind not in (ROWS, CONTROL) or max(raw_len, body_len) > MAX_BODY:
        raise FrameError("expected a frame header, found other bytes")
    if len(raw) - offset - HEADER.size < body_len:
        raise FrameError(f"expected {body_len} body bytes, found {len(raw) - offset - HEADER.size}")
    return FrameHead(kind, seq, hour, clock_us, raw_len, body_len, prev, crc)


def scan_frames(raw: bytes) -> Iterator[tuple[int, FrameHead, bytes]]:
    """(end offset, header, digest) of each sound frame from the start; raises `FrameError` at the first bad one."""
    offset, prev, seq = 0, None, None
    while offset < len(raw):
        head = read_head(raw, offset)
        end = offset + HEADER.size + head.body_len
        body = raw[offset + HEADER.size : end]
        if zlib.crc32(body, zlib.crc32(raw[offset : offset + HEADER.size - 4])) != head.crc:
            raise FrameError(f"frame {head.seq}: the checksum does not fit")
        if (prev is not None and head.prev != prev) or (seq is not None and head.seq != seq + 1):
            raise FrameError(f"frame {head.seq}: does not follow the frame before it")
        prev, seq = hashlib.sha256(raw[offset:end]).digest(), head.seq
        yield end, head, prev
        offset = end


def read_frames(raw: bytes, *, rows: bool = True) -> Iterator[Frame]:
    """Every sound frame of a file's bytes, decoded; raises `FrameError` at the first bad one.

    Without `rows`, row frames are checked all the same and come without their blocks.
    """
    templates: dict[str, Template] = {}
    unpack = zstandard.ZstdDecompressor()
    start = 0
    for end, head, digest in scan_frames(raw):
        packed = raw[start + HEADER.size : end]
        start = end
        if head.kind == ROWS and not rows:
            yield Frame(head.seq, head.hour, head.clock_us, digest, ROWS)
            continue
        try:
            body = msgpack.unpackb(unpack.decompress(packed, max_output_size=head.raw_len), strict_map_key=False)
            if head.kind == CONTROL:
                yield Frame(head.seq, head.hour, head.clock_us, digest, CONTROL, control=body)
                continue
            named, blocks = body
            templates |= {i: Template.from_json(raw_json) for i, raw_json in named.items()}
            yield Frame(
                head.seq, head.hour, head.clock_us, digest, ROWS, tuple(_read_block(b, templates) for b in blocks)
            )
        except (ValueError, KeyError, TypeError, zstandard.ZstdError, msgpack.UnpackException) as err:
            raise FrameError(f"frame {head.seq}: expected a body of its kind, found: {err}") from err


def _block(batches: list[Batch]) -> list[Any]:
    """Columns of batches of one template, end to end. A second of a plant is hundreds of batches of one row: no work per value."""
    template = batches[0].template
    parts = list(_as_columns(template, batches))
    lengths = [len(p.source_us) for p in parts]
    columns = [
        _column(own, kind, lengths)
        for own, (_, kind) in zip(zip(*(p.columns for p in parts), strict=True), template.columns, strict=True)
    ]
    row_quality = [p.quality for p in parts]
    qualities = [
        _joined([row if own is None else own for own, row in zip(point, row_quality, strict=True)], "<u4")
        if _any_given(point)
        else None
        for point in zip(*(p.point_quality for p in parts), strict=True)
    ]
    block = [
        template.id,
        [b.device for b in batches],
        np.array(list(map(len, batches)), "<u4").tobytes(),
        _joined([p.source_us for p in parts], "<i8"),
        _joined([p.lag_us for p in parts], "<i8"),
        _joined([p.outcome for p in parts], "u1"),
        _joined(row_quality, "<u4"),
        columns,
        qualities,
    ]
    servers = [p.server_us for p in parts]
    if _any_given(servers):
        stamps = [np.full(n, NO_TIME) if s is None else s for s, n in zip(servers, lengths, strict=True)]
        block.append(_joined(stamps, "<i8"))
    return block


def _as_columns(template: Template, batches: list[Batch]) -> Iterator[Columns]:
    """What the batches hold, in order; the rows of those that are not columns yet become columns together."""
    for are_rows, run in groupby(batches, key=lambda b: b.rows is not None):
        if are_rows:
            yield columns_of(template, [row for batch in run for row in batch.rows or ()])
        else:
            yield from (batch.as_columns() for batch in run)


def _column(parts: tuple[Column, ...], kind: ValueType, lengths: list[int]) -> list[Any]:
    """[values, valid or nil] of one column."""
    valid = None
    given = [c.valid for c in parts]
    if _any_given(given):
        valid = _joined([np.ones(n, np.bool_) if v is None else v for v, n in zip(given, lengths, strict=True)], "?")
    values: list[Any] = [c.values for c in parts]
    return [list(chain.from_iterable(values)) if kind is ValueType.STR else _joined(values, NUMPY_TYPE[kind]), valid]


def _any_given(arrays: Sequence[NDArray[Any] | None]) -> bool:
    return bool([1 for a in arrays if a is not None])


def _joined(parts: Sequence[NDArray[Any]], dtype: str) -> bytes:
    if [a.dtype for a in parts].count(np.dtype(dtype)) == len(parts):
        with suppress(TypeError):  # a strided view has no plain buffer
            return b"".join(parts)  # type: ignore[arg-type]  # arrays are buffers; three times as fast as concatenate
    return np.ascontiguousarray(np.concatenate(parts), dtype).tobytes()


def _read_block(body: list[Any], templates: dict[str, Template]) -> Block:
    template_id, devices, counts, source, lag, outcome, quality, columns, qualities = body[:9]
    server = body[9] if len(body) > 9 else None
    template = templates[template_id]
    source_us = np.frombuffer(source, "<i8")
    n = len(source_us)
    read = [
        Column(
            values if kind is ValueType.STR else np.frombuffer(values, NUMPY_TYPE[kind]),
            None if valid is None else np.frombuffer(valid, "?"),
        )
        for (values, valid), (_, kind) in zip(columns, template.columns, strict=True)
    ]
    block = Block(
        template,
        tuple(devices),
        np.frombuffer(counts, "<u4"),
        source_us,
        np.frombuffer(lag, "<i8"),
        np.frombuffer(outcome, "u1"),
        np.frombuffer(quality, "<u4"),
        tuple(read),
        tuple(None if q is None else np.frombuffer(q, "<u4") for q in qualities),
        None if server is None else np.frombuffer(server, "<i8"),
    )
    found = [*(len(c.values) for c in read), n if block.server_us is None else len(block.server_us)]
    if int(block.counts.sum()) != n or found.count(n) != len(found) or len(devices) != len(counts) // 4:
        raise FrameError("expected columns of one length")
    return block
