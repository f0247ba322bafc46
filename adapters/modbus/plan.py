"""Which registers are read together: points of one table coalesced into blocks, and blocks split where a device refuses.

In: points, `max_gap` (registers read and thrown away to save a request) and `max_registers` (what the device takes at once).
Out: `Block`s, ascending by address, each within one table. One request per block instead of one per point: on a serial gateway
this is the difference between 15 s and 0.5 s (research/protocols.md §3).
Limits per request: 125 registers, 2,000 bits (Modbus Application Protocol V1.1b3 §6.1-6.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.points import Point

MAX_BITS = 2000
_WORDS = {"bit": 1, "u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}
_BIT_TABLES = ("coil", "discrete_input")


@dataclass(frozen=True, slots=True)
class Span:
    """Where one point lies: index in the template, first address, length in registers (or bits)."""

    index: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """First address after it."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Block:
    """One request: a table, a range of addresses, and the points inside it."""

    table: str
    address: int
    count: int
    spans: tuple[Span, ...]

    @property
    def is_bits(self) -> bool:
        """True for coils and discrete inputs."""
        return self.table in _BIT_TABLES


def words_of(point: Point) -> int:
    """Registers that a point occupies (bits: 1)."""
    return point.length or 1 if point.wire == "str" else _WORDS[point.wire or "u16"]


def plan(points: Sequence[Point], max_gap: int, max_registers: int) -> tuple[Block, ...]:
    """The fewest blocks under the limits, by one pass over each table in address order."""
    tables: dict[str, list[Span]] = {}
    for i, point in enumerate(points):
        if point.table is None or point.address is None:
            raise ValueError(f"point {point.name!r}: expected table and address, found none")
        tables.setdefault(point.table, []).append(Span(i, point.address, words_of(point)))
    blocks: list[Block] = []
    for table, spans in tables.items():
        limit = min(MAX_BITS, max_registers * 16) if table in _BIT_TABLES else max_registers
        blocks += _coalesce(table, sorted(spans, key=lambda s: (s.address, s.end)), max_gap, limit)
    return tuple(blocks)


def split(block: Block) -> tuple[Block, ...]:
    """The block in two, at a point's boundary: what is tried when a device refuses it. One point stays whole."""
    if len(block.spans) < 2:
        return (block,)
    half = len(block.spans) // 2
    return (_block(block.table, block.spans[:half]), _block(block.table, block.spans[half:]))


def _coalesce(table: str, spans: list[Span], max_gap: int, limit: int) -> list[Block]:
    blocks: list[Block] = []
    group: list[Span] = []
    end = 0
    for span in spans:
        if group and (span.address - end > max_gap or max(end, span.end) - group[0].address > limit):
            blocks.append(_block(table, tuple(group)))
            group = []
        end = max(end, span.end) if group else span.end
        group.append(span)
    if group:
        blocks.append(_block(table, tuple(group)))
    return blocks


def _block(table: str, spans: tuple[Span, ...]) -> Block:
    first = spans[0].address
    return Block(table, first, max(s.end for s in spans) - first, spans)
