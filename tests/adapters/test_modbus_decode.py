"""Modbus blocks: coalescing within the limits, and decoding every wire and order back to what was encoded."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.decode import compile_decode
from adapters.modbus.plan import Limits, plan, split
from adapters.modbus.probe import QUADRUPLE, SINGLE, views
from config.addressing import words_of
from config.points import Point

NUMBERS = {
    "u16": ("H", st.integers(0, 2**16 - 1)),
    "i16": ("h", st.integers(-(2**15), 2**15 - 1)),
    "u32": ("I", st.integers(0, 2**32 - 1)),
    "i32": ("i", st.integers(-(2**31), 2**31 - 1)),
    "u64": ("Q", st.integers(0, 2**64 - 1)),
    "i64": ("q", st.integers(-(2**63), 2**63 - 1)),
    "f16": ("e", st.floats(width=16, allow_nan=False)),
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
    (block,) = plan(points, Limits(gap=120))
    assert len(raw) == 2 * block.count
    assert list(compile_decode(block, points)(raw)) == values


@given(st.lists(st.booleans(), min_size=1, max_size=64))
def test_bits_decode_least_significant_first(bits: list[bool]) -> None:
    points = [point("bit", i) for i in range(len(bits))]
    (block,) = plan(points, Limits(gap=0))
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
    (block,) = plan(points, Limits(gap=0))
    assert list(compile_decode(block, points)(raw)) == [expected]


def test_two_views_of_one_register_are_both_decoded() -> None:
    points = [point("u32", 0), point("u16", 1)]
    (block,) = plan(points, Limits(gap=0))
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
    blocks = plan(points, Limits(max_gap, max_registers))
    assert sorted(s.index for b in blocks for s in b.spans) == list(range(len(points)))
    for block in blocks:
        assert block.count <= max_registers
        assert all(block.address <= s.address and s.end <= block.address + block.count for s in block.spans)


def test_tables_are_never_mixed_and_gaps_beyond_the_limit_split() -> None:
    points = [point("u16", 0), point("u16", 17), point("u16", 35), point("u16", 1, table="input_register")]
    found = [(b.table, b.address, b.count) for b in plan(points, Limits(16))]
    assert found == [("holding_register", 0, 18), ("holding_register", 35, 1), ("input_register", 1, 1)]


def test_a_refused_block_is_halved_until_one_point_stands_alone() -> None:
    (block,) = plan([point("u32", 0), point("u32", 4), point("u16", 8)], Limits())
    first, second = split(block, Limits())
    assert (first.address, first.count, second.address, second.count) == (0, 2, 4, 5)
    assert split(first, Limits()) == (first,)


def test_addresses_that_count_from_one_are_asked_for_from_zero() -> None:
    (block,) = plan([point("u16", 1), point("u16", 3)], Limits(base=1))
    assert (block.address, block.count) == (0, 3)


def test_points_of_one_block_are_never_split() -> None:
    points = [point("u16", a, block="pair" if a in (0, 90) else "") for a in (0, 40, 90, 91)]
    (block,) = plan(points, Limits(gap=60))
    halves = split(block, Limits())
    assert [{s.index for s in b.spans} for b in halves] == [{0, 2}, {1, 3}]
    alone = plan(points, Limits(gap=0))
    assert ("holding_register", 0, 92) in [(b.table, b.address, b.count) for b in alone]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from(sorted(NUMBERS))), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=6),
    st.integers(0, 40),
)
def test_theme_9_no_block_and_no_half_of_one_covers_a_forbidden_address(
    places: list[tuple[int, str]], holes: list[tuple[int, int]], gap: int
) -> None:
    forbidden = tuple(("holding_register", first, first + more) for first, more in holes)
    free = Limits(gap, forbidden=forbidden)
    points = [p for a, w in places if free.free("holding_register", a, a + words_of(p := point(w, a)))]
    todo = list(plan(points, free))
    while todo:
        block = todo.pop()
        asked = {*range(block.address, block.address + max(block.count, block.spare))}
        assert not any(asked & {*range(first, last + 1)} for _, first, last in forbidden)
        halves = split(block, free)
        todo += halves if len(halves) > 1 else ()


@given(st.lists(st.integers(0, 6000), min_size=1, max_size=20), st.integers(8, 2000))
def test_blocks_of_bits_stay_under_their_own_limit(addresses: list[int], most: int) -> None:
    blocks = plan([point("bit", a) for a in addresses], Limits(gap=120, bits=most))
    assert all(b.count <= most for b in blocks)


@given(st.integers(0, 99_999_999), st.sampled_from(ORDERS))
def test_bcd_digits_come_back_in_every_order(value: int, order: tuple[str, str]) -> None:
    words, within = order
    raw = struct.unpack(">I", bytes.fromhex(f"{value:08d}"))[0]
    points = [point("bcd32", word_order=words, byte_order=within)]
    (block,) = plan(points, Limits())
    assert list(compile_decode(block, points)(encode("u32", raw, words, within))) == [value]


@given(st.binary(min_size=8, max_size=8))
def test_a_nibble_that_is_no_digit_is_no_value(raw: bytes) -> None:
    points = [point("bcd16", 0), point("bcd64", 0)]
    (block,) = plan(points, Limits())
    expected = [int(t) if t.isdecimal() else None for t in (raw[:2].hex(), raw.hex())]
    assert list(compile_decode(block, points)(raw)) == expected


@given(st.integers(0, 0xFFFF), st.integers(0, 15), st.sampled_from(["big", "little"]))
def test_a_bit_of_a_register_is_counted_from_the_least_significant(register: int, bit: int, order: str) -> None:
    points = [point("bit", table="holding_register", bit=bit, byte_order=order)]
    (block,) = plan(points, Limits())
    assert list(compile_decode(block, points)(encode("u16", register, "big", order))) == [bool(register >> bit & 1)]


@given(st.integers(0, 255), st.integers(-128, 127), st.sampled_from(["big", "little"]))
def test_a_byte_is_the_half_of_its_register(high: int, low: int, order: str) -> None:
    points = [
        point("u8", 0, half="high", byte_order=order),
        point("i8", 0, half="low", byte_order=order).model_copy(update={"name": "low"}),
    ]
    (block,) = plan(points, Limits())
    raw = bytes([high, low & 0xFF])
    assert sorted(compile_decode(block, points)(raw if order == "big" else raw[::-1])) == sorted([high, low])


@given(st.lists(st.binary(min_size=2, max_size=2), min_size=4, max_size=12), st.integers(0, 100))
def test_what_a_probe_shows_is_what_a_poll_reads(registers: list[bytes], address: int) -> None:
    for view in views(registers, address, (*SINGLE, "u32", "f32", *QUADRUPLE)):
        order = {"ABCD": ("big", "big"), "CDAB": ("little", "big"), "BADC": ("big", "little")}
        words, within = order.get(view.order, ("little", "little"))
        points = [point(view.wire, view.address, word_order=words, byte_order=within)]
        (block,) = plan(points, Limits())
        raw = b"".join(registers)[2 * (view.address - address) :][: 2 * block.count]
        (value,) = compile_decode(block, points)(raw)
        assert repr(value) == repr(view.value)  # NaN is NaN
