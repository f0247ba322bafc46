"""Which registers are read together: points of one table coalesced into blocks, and blocks split where a device refuses.

In: points and the `Limits` of their connection. Out: `Block`s, ascending by address, each within one table. One request per block instead
of one per point: on a serial gateway this is the difference between 15 s and 0.5 s (research/protocols.md §3).
An `Atom` is what is never split: a point, or the points that share a `block` key, whose values are to be of one moment.
No block covers a forbidden address. Limits per request: 125 registers, 2,000 bits (Modbus Application Protocol V1.1b3 §6.1-6.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.modbus.frames import Question, reading
from config.addressing import BIT_TABLES, words_of
from config.connections import Modbus
from config.points import Point

_BITS_PER_REGISTER = 16
_SPARE = 4  # addresses behind a block that may be asked for as well, where a question of another length is needed


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
class Atom:
    """Points that are read in one request or not at all."""

    spans: tuple[Span, ...]

    @property
    def address(self) -> int:
        """First address."""
        return min(s.address for s in self.spans)

    @property
    def end(self) -> int:
        """First address after it."""
        return max(s.end for s in self.spans)


@dataclass(frozen=True, slots=True)
class Block:
    """One request: a table, a range of addresses, and the points inside it. `spare`: how many addresses from the first are allowed."""

    table: str
    address: int
    count: int
    atoms: tuple[Atom, ...]
    spare: int = 0

    @property
    def spans(self) -> tuple[Span, ...]:
        """The points, by address."""
        return tuple(sorted((s for a in self.atoms for s in a.spans), key=lambda s: (s.address, s.end)))

    @property
    def is_bits(self) -> bool:
        """True for coils and discrete inputs."""
        return self.table in BIT_TABLES

    def question(self, unit: int, count: int = 0) -> Question:
        """The request; `count`: for another number of addresses from the first."""
        return reading(unit, self.table, self.address, count or self.count)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for. forbidden: (table, first, last), 0-based. base: what the points' addresses count from."""

    gap: int = 16
    registers: int = 125
    bits: int = 2000
    base: int = 0
    forbidden: tuple[tuple[str, int, int], ...] = ()

    def most(self, table: str) -> int:
        """Addresses in one request."""
        return self.bits if table in BIT_TABLES else self.registers

    def free(self, table: str, first: int, end: int) -> bool:
        """True when [first, end) has no forbidden address."""
        return not any(t == table and first <= last and start < end for t, start, last in self.forbidden)


def limits_of(connection: Modbus) -> Limits:
    """The limits of a device's connection."""
    base = connection.address_base
    forbidden = tuple((table, first - base, last - base) for table, first, last in connection.forbidden_ranges)
    return Limits(connection.gap, connection.max_registers, connection.max_bits, base, forbidden)


def plan(points: Sequence[Point], limits: Limits) -> tuple[Block, ...]:
    """The fewest blocks under the limits, by one pass over each table in address order."""
    members: dict[tuple[str, str], list[Span]] = {}
    for i, point in enumerate(points):
        if point.table is None or point.address is None:
            raise ValueError(f"point {point.name!r}: expected table and address, found none")
        span = Span(i, point.address - limits.base, words_of(point))
        members.setdefault((point.table, point.block or f"\0{i}"), []).append(span)
    tables: dict[str, list[Atom]] = {}
    for (table, _), spans in members.items():
        tables.setdefault(table, []).append(Atom(tuple(spans)))
    return tuple(block for table, atoms in tables.items() for block in _coalesce(table, atoms, limits))


def split(block: Block, limits: Limits) -> tuple[Block, ...]:
    """The block in two, between atoms: what is tried when a device refuses it. One atom stays whole."""
    if len(block.atoms) < 2:
        return (block,)
    half = len(block.atoms) // 2
    return (_block(block.table, block.atoms[:half], limits), _block(block.table, block.atoms[half:], limits))


def _coalesce(table: str, atoms: list[Atom], limits: Limits) -> list[Block]:
    gap = limits.gap * (_BITS_PER_REGISTER if table in BIT_TABLES else 1)
    blocks: list[Block] = []
    group: list[Atom] = []
    end = 0
    for atom in sorted(atoms, key=lambda a: (a.address, a.end)):
        first = group[0].address if group else atom.address
        far = max(end, atom.end)
        fits = atom.address - end <= gap and far - first <= limits.most(table) and limits.free(table, first, far)
        if group and not fits:
            blocks.append(_block(table, tuple(group), limits))
            group = []
        end = max(end, atom.end) if group else atom.end
        group.append(atom)
    if group:
        blocks.append(_block(table, tuple(group), limits))
    return blocks


def _block(table: str, atoms: tuple[Atom, ...], limits: Limits) -> Block:
    first, end = min(a.address for a in atoms), max(a.end for a in atoms)
    far = end
    while far < min(end + _SPARE, first + limits.most(table), 65536) and limits.free(table, first, far + 1):
        far += 1
    return Block(table, first, end - first, atoms, far - first)
