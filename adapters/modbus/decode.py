"""From the bytes of one block to raw values: one compiled `struct.Struct` per block, padding over the registers between points.

In: a `Block` and the points. Out: a function from the block's bytes to raw values, in the order of the block's spans.
Orders: `word_order` big + `byte_order` big is ABCD, little + big CDAB, big + little BADC, little + little DCBA.
Text: two bytes a register (`byte_order` little swaps them), cut at the first NUL, trailing blanks removed, UTF-8 or else GB 18030.
Bits come packed, least significant first (Modbus Application Protocol V1.1b3 §6.1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from adapters.modbus.plan import Block
from config.points import Point

_CODE = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "f32": "f", "f64": "d"}

Raw = bool | int | float | str | None
Decode = Callable[[bytes], Sequence[Raw]]
_Fix = Callable[[bytes], Raw]


def compile_decode(block: Block, points: Sequence[Point]) -> Decode:
    """The block's decoder. Overlapping points (two views of one register) are decoded one by one."""
    if block.is_bits:
        offsets = tuple(s.address - block.address for s in block.spans)
        return lambda raw: [bool(raw[i >> 3] >> (i & 7) & 1) for i in offsets]
    if any(b.address < a.end for a, b in zip(block.spans, block.spans[1:], strict=False)):
        return _one_by_one(block, points)
    layout, fixes = [">"], []
    at = block.address
    for i, span in enumerate(block.spans):
        layout.append(f"{2 * (span.address - at)}x")
        code, fix = _layout(points[span.index], span.count)
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


def _one_by_one(block: Block, points: Sequence[Point]) -> Decode:
    parts = []
    for span in block.spans:
        code, fix = _layout(points[span.index], span.count)
        parts.append((struct.Struct(">" + code), 2 * (span.address - block.address), fix))

    def decode(raw: bytes) -> list[Raw]:
        values = [unpack.unpack_from(raw, offset)[0] for unpack, offset, _ in parts]
        return [v if fix is None else fix(v) for v, (_, _, fix) in zip(values, parts, strict=True)]

    return decode


def _layout(point: Point, words: int) -> tuple[str, _Fix | None]:
    """Struct code of a point and, where big-endian bytes are not enough, what makes a value of its bytes."""
    if point.wire == "str":
        return f"{2 * words}s", _swapped_text if point.byte_order == "little" else _text
    code = _CODE[point.wire or "u16"]
    swap_words = point.word_order == "little" and words > 1
    swap_bytes = point.byte_order == "little"
    if not swap_words and not swap_bytes:
        return code, None
    if swap_words and not swap_bytes:
        order = [i for w in reversed(range(words)) for i in (2 * w, 2 * w + 1)]
    elif swap_bytes and not swap_words:
        order = [i for w in range(words) for i in (2 * w + 1, 2 * w)]
    else:
        order = list(reversed(range(2 * words)))
    unpack = struct.Struct(">" + code).unpack
    return f"{2 * words}s", lambda raw: unpack(bytes([raw[i] for i in order]))[0]


def _text(raw: bytes) -> Raw:
    kept = raw.split(b"\0", 1)[0].rstrip()
    try:
        return kept.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return kept.decode("gb18030")
        except UnicodeDecodeError:
            return None


def _swapped_text(raw: bytes) -> Raw:
    return _text(bytes(raw[i ^ 1] for i in range(len(raw))))
