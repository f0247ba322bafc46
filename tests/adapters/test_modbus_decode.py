"""Modbus blocks: coalescing within the limits, and decoding every wire and order back to what was encoded."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.decode import compile_decode
from adapters.modbus.plan import Block, Span, plan, split, words_of
from config.points import Point

NUMBERS = {
    "u16": ("H", st.integers(0, 2**16 - 1)),
    "i16": ("h", st.integers(-(2**15), 2**15 - 1)),
    "u32": ("I", st.integers(0, 2**32 - 1)),
    "i32": ("i", st.integers(-(2**31), 2**31 - 1)),
    "u64": ("Q", st.integers(0, 2**64 - 1)),
    "i64": ("q", st.integers(-(2**63), 2**63 - 1)),
    "f32": ("f", st.floats(width=32, allow_nan=False)),
    "f64": ("d", st.floats(allow_nan=False)),
}
ORDERS = [(w, b) for w in ("big", "little") for b in ("big", "little")]


def point(wire: str, address: int = 0, **more: Any) -> Point:
    kind = "str" if wire == "str" else "bool" if wire == "bit" else "f64"
    table = more.pop("table", "coil" if wire == "bit" else "holding_register")
    return Point(name=f"p{address}", type=kind, table=table, address=address, wire=wire, **more)


def encode(wire: str, value: float | int, word_order: str, byte_order: str) -> bytes:
    """What a device with these orders puts on the wire, from the definition: words, then the bytes in each."""
    raw = struct.pack(">" + NUMBERS[wire][0], value)
    words = [raw[i : i + 2] for i in range(0, len(raw), 2)]
    if word_order == "little":
        words.reverse()
    return b"".join(w[::-1] if byte_order == "little" else w for w in words)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[Point], list[Any], bytes]:
    """Points with gaps between them, their values, and the block's bytes."""
    points, values, raw, address = [], [], b"", 0
    for _ in range(draw(st.integers(1, 8))):
        gap = draw(st.integers(0, 4))
        wire = draw(st.sampled_from(sorted(NUMBERS)))
        words, within = draw(st.sampled_from(ORDERS))
        value = draw(NUMBERS[wire][1])
        address += gap
        points.append(point(wire, address, word_order=words, byte_order=within))
        values.append(value)
        raw += b"\xee" * (2 * gap) + encode(wire, value, words, within)
        address += words_of(points[-1])
    first = points[0].address or 0
    return points, values, raw[2 * first :]


@given(layouts())
def test_every_wire_and_order_decodes_to_what_was_encoded(layout: tuple[list[Point], list[Any], bytes]) -> None:
    points, values, raw = layout
    (block,) = plan(points, max_gap=120, max_registers=125)
    assert len(raw) == 2 * block.count
    assert list(compile_decode(block, points)(raw)) == values


@given(st.lists(st.booleans(), min_size=1, max_size=64))
def test_bits_decode_least_significant_first(bits: list[bool]) -> None:
    points = [point("bit", i) for i in range(len(bits))]
    (block,) = plan(points, max_gap=0, max_registers=125)
    raw = bytearray((len(bits) + 7) // 8)
    for i, bit in enumerate(bits):
        raw[i >> 3] |= bit << (i & 7)
    assert list(compile_decode(block, points)(bytes(raw))) == bits


@pytest.mark.parametrize(
    ("raw", "order", "expected"),
    [
        (b"AB-12\0\0\0", "big", "AB-12"),
        (b"BA1-\x002\0\0", "little", "AB-12"),
        ("车床 ".encode()[:6] + b"  ", "big", "车床"),
        ("车床".encode("gb18030") + b"\0\0\0\0", "big", "车床"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", "big", None),
    ],
)
def test_text_ends_at_the_first_nul_in_utf8_or_gb18030(raw: bytes, order: str, expected: str | None) -> None:
    points = [point("str", length=4, byte_order=order)]
    (block,) = plan(points, max_gap=0, max_registers=125)
    assert list(compile_decode(block, points)(raw)) == [expected]


def test_two_views_of_one_register_are_both_decoded() -> None:
    points = [point("u32", 0), point("u16", 1)]
    (block,) = plan(points, max_gap=0, max_registers=125)
    assert list(compile_decode(block, points)(b"\x00\x01\x00\x02")) == [0x10002, 2]


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(sorted(NUMBERS))), min_size=1, max_size=40),
    st.integers(0, 40),
    st.integers(4, 125),
)
def test_blocks_hold_every_point_once_within_the_limits(
    places: list[tuple[int, str]], max_gap: int, max_registers: int
) -> None:
    points = [point(wire, address) for address, wire in places]
    blocks = plan(points, max_gap, max_registers)
    assert sorted(s.index for b in blocks for s in b.spans) == list(range(len(points)))
    for block in blocks:
        assert block.count <= max_registers
        assert all(block.address <= s.address and s.end <= block.address + block.count for s in block.spans)


def test_tables_are_never_mixed_and_gaps_beyond_the_limit_split() -> None:
    points = [point("u16", 0), point("u16", 17), point("u16", 35), point("u16", 1, table="input_register")]
    found = [(b.table, b.address, b.count) for b in plan(points, 16, 125)]
    assert found == [("holding_register", 0, 18), ("holding_register", 35, 1), ("input_register", 1, 1)]


def test_a_refused_block_is_halved_until_one_point_stands_alone() -> None:
    block = Block("holding_register", 0, 9, (Span(0, 0, 2), Span(1, 4, 2), Span(2, 8, 1)))
    first, second = split(block)
    assert (first.address, first.count, second.address, second.count) == (0, 2, 4, 5)
    assert split(first) == (first,)
