"""From the bytes of one block to raw values: one compiled `struct.Struct` per block, padding over the registers between points.

In: a `Block` and the points. Out: a function from the block's bytes to raw values, in the order of the block's spans.
Orders: `word_order` big + `byte_order` big is ABCD, little + big CDAB, big + little BADC, little + little DCBA.
Text: two bytes a register, cut at the first NUL, trailing blanks removed, UTF-8 or else GB 18030. BCD: four digits a register; a nibble
above 9 is no digit, so there is no value. Bit 0 of a register is the least significant; bits of the bit tables come packed, least
significant first (Modbus Application Protocol V1.1b3 §6.1). None where the bytes are not what was declared: never a zero.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

from adapters.modbus.plan import Block
from config.addressing import words_of
from config.points import Point

_CODE = {
    "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "f16": "e", "f32": "f", "f64": "d", "bit": "H",
}  # fmt: skip

Raw = bool | int | float | str | None
Decode = Callable[[bytes], Sequence[Raw]]
_Fix = Callable[[bytes], Raw]


def compile_decode(block: Block, points: Sequence[Point]) -> Decode:
    """The block's decoder. Overlapping points (two views of one register) are decoded one by one."""
    spans = block.spans
    if block.is_bits:
        offsets = tuple(s.address - block.address for s in spans)
        return lambda raw: [bool(raw[i >> 3] >> (i & 7) & 1) for i in offsets]
    if any(b.address < a.end for a, b in pairwise(spans)):
        return _one_by_one(block, points)
    layout, fixes = [">"], []
    at = block.address
    for i, span in enumerate(spans):
        layout.append(f"{2 * (span.address - at)}x")
        code, fix = layout_of(points[span.index])
        layout.append(code)
        if fix is not None:
            fixes.append((i, fix))
        at = span.end
    unpack = struct.Struct("".join(layout)).unpack
    if not fixes:
        return unpack

    def decode(raw: bytes) -> list[Raw]:
        values = list(unpack(raw))
        for i, fix in fixes:
            values[i] = fix(values[i])
        return values

    return decode


def layout_of(point: Point) -> tuple[str, _Fix | None]:
    """Struct code (big-endian) of a point and, where that is not yet the value, what makes it of the code's bytes."""
    words = words_of(point)
    swap_words, swap_bytes = point.word_order == "little" and words > 1, point.byte_order == "little"
    read = _reader(point)
    if not swap_words and not swap_bytes:
        code = _CODE.get(point.wire or "")
        return (code, None) if code is not None and point.wire != "bit" else (f"{2 * words}s", read)
    if swap_words and swap_bytes:
        return f"{2 * words}s", lambda raw: read(raw[::-1])
    if words == 1:
        return "2s", lambda raw: read(raw[::-1])
    if swap_words and words == 2:
        return "4s", lambda raw: read(raw[2:] + raw[:2])
    order = [
        2 * (words - 1 - w if swap_words else w) + (1 - b if swap_bytes else b) for w in range(words) for b in (0, 1)
    ]
    return f"{2 * words}s", lambda raw: read(bytes([raw[i] for i in order]))


def _one_by_one(block: Block, points: Sequence[Point]) -> Decode:
    parts = []
    for span in block.spans:
        code, fix = layout_of(points[span.index])
        parts.append((struct.Struct(">" + code), 2 * (span.address - block.address), fix))

    def decode(raw: bytes) -> list[Raw]:
        values = [unpack.unpack_from(raw, offset)[0] for unpack, offset, _ in parts]
        return [v if fix is None else fix(v) for v, (_, _, fix) in zip(values, parts, strict=True)]

    return decode


def _reader(point: Point) -> _Fix:
    """What makes a value of the point's bytes, once they are in order."""
    wire = point.wire or "u16"
    if wire == "str":
        return text
    if wire.startswith("bcd"):
        return bcd
    if wire == "bit":
        shift = point.bit or 0
        return lambda raw: bool((raw[0] << 8 | raw[1]) >> shift & 1)
    if wire in ("u8", "i8"):
        at, sign = (0 if point.half == "high" else 1), 0x80 if wire == "i8" else 0
        return lambda raw: (raw[at] ^ sign) - sign
    unpack = struct.Struct(">" + _CODE[wire]).unpack
    return lambda raw: unpack(raw)[0]


def bcd(raw: bytes) -> Raw:
    """Binary coded decimal, most significant digit first; None when a nibble is no digit."""
    digits = raw.hex()
    return int(digits) if digits.isdecimal() else None


def text(raw: bytes) -> Raw:
    """The text in registers; None when it is neither UTF-8 nor GB 18030."""
    kept = raw.split(b"\0", 1)[0].rstrip()
    for encoding in ("utf-8", "gb18030"):
        try:
            return kept.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None
