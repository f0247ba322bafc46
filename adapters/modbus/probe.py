"""Registers side by side in every type and order, so that whoever has no manual finds the encoding (`plantproof modbus probe`).

In: the bytes of registers, some of which the device may have refused. Out: `View`s: where, as what, which value, and whether that value is
plausible; and the TOML of a point. The values are those of the collector's own decoders (`decode.py`): what is shown is what is collected.
Plausible is a hint for the eye, no verdict: a number of a size that machines have, readable text, digits in every BCD nibble.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.modbus.decode import Raw, layout_of
from config.addressing import words_of
from config.points import Point

ORDERS = {"ABCD": ("big", "big"), "CDAB": ("little", "big"), "BADC": ("big", "little"), "DCBA": ("little", "little")}
SINGLE = ("u16", "i16", "f16", "bcd16")
DOUBLE = ("u32", "i32", "f32", "bcd32")
QUADRUPLE = ("u64", "i64", "f64")
_TYPES = {"u": "u64", "i": "i64", "b": "i64", "f": "f64", "s": "str"}
_LARGEST, _SMALLEST = 1e7, 1e-3
_TEXT_AT_LEAST = 3


@dataclass(frozen=True, slots=True)
class View:
    """Registers from `address` on, read as `wire` in `order`."""

    address: int
    wire: str
    order: str
    value: Raw
    plausible: bool


def views(registers: Sequence[bytes | None], address: int, wires: Sequence[str]) -> Iterator[View]:
    """Every view of these wires at every register; a register that is None was refused, and what covers it is left out."""
    for wire in wires:
        for order in ORDERS if wire in (*DOUBLE, *QUADRUPLE) else ("ABCD", "BADC"):
            point = point_of(wire, order, address)
            words = words_of(point)
            for at in range(len(registers) - words + 1):
                raw = [r for r in registers[at : at + words] if r is not None]
                if len(raw) == words:
                    value = value_of(b"".join(raw), point)
                    yield View(address + at, wire, order, value, is_plausible(value, wire))


def texts(registers: Sequence[bytes | None], address: int) -> Iterator[View]:
    """Runs of readable text, in both byte orders."""
    for order in ("ABCD", "BADC"):
        run, first = b"", 0
        for at, raw in enumerate([*registers, None]):
            if raw is not None and _readable(raw):
                first = at if not run else first
                run += raw
                continue
            if len(run.strip(b"\0 ")) >= _TEXT_AT_LEAST:
                point = point_of("str", order, address + first, len(run) // 2)
                yield View(address + first, "str", order, value_of(run, point), plausible=True)
            run = b""


def point_of(wire: str, order: str, address: int, length: int | None = None, table: str = "holding_register") -> Point:
    """A point that reads registers so."""
    words, within = ORDERS[order]
    return Point.model_validate(
        {
            "name": "point",
            "type": _TYPES[wire[0]],
            "table": table,
            "address": address,
            "wire": wire,
            "length": length,
            "word_order": words,
            "byte_order": within,
        }
    )


def value_of(raw: bytes, point: Point) -> Raw:
    """The value that the collector would read."""
    code, fix = layout_of(point)
    value: Raw
    (value,) = struct.unpack(f">{code}", raw)
    return value if fix is None else fix(value)  # type: ignore[arg-type]


def bits_of(raw: bytes) -> str:
    """Bit 15 first, in eights."""
    return f"{raw[0]:08b} {raw[1]:08b}"


def is_plausible(value: Raw, wire: str) -> bool:
    """A number of a size that machines have; zero says nothing."""
    if value is None or isinstance(value, str) or value == 0:
        return False
    if wire in SINGLE:
        return wire in ("u16", "i16") and (value < 1 << 15 if wire == "u16" else value >= -10_000 and value < 0)
    return math.isfinite(value) and _SMALLEST <= abs(value) <= (_LARGEST if wire[0] == "f" else 100 * _LARGEST)


def toml_of(view: View, table: str) -> str:
    """The point as it stands in a register file."""
    point = point_of(view.wire, view.order, view.address, 1 if view.wire == "str" else None, table)
    length = len(str(view.value).encode()) // 2 + len(str(view.value).encode()) % 2 if view.wire == "str" else 0
    lines = ["[[points.point]]", 'name = "改名 rename"', f'type = "{point.type}"', f'table = "{table}"']
    lines += [f"address = {view.address}", f'wire = "{view.wire}"']
    lines += [f"length = {length}"] if length else []
    lines += [f'{key} = "little"' for key in ("word_order", "byte_order") if getattr(point, key) == "little"]
    return "\n".join(lines) + "\n"


def _readable(raw: bytes) -> bool:
    """Two letters or blanks, or two bytes of Chinese text; a mixture is a number far more often."""
    kept = raw.strip(b"\0 ")
    return bool(kept) and (all(0x20 <= b < 0x7F for b in kept) or all(b >= 0x80 for b in kept))
