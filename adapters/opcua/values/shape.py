"""What a point takes of a value that is more than a scalar: an element, a field, a name, or the whole as text.

In: a raw value (binary.py), the point, and what the session knows of the server's types. Out: `(value, quality)`, as `Cast` everywhere.
`element` picks from arrays, matrices and structures (`$[3]`, `$[1][2]`, `$.Position.X`). A text point gets an enumeration's name, and
without an element the whole value as canonical JSON: sorted keys, no spaces, bytes in base64, NaN and infinities as texts "NaN",
"Infinity", "-Infinity". A number point gets an enumeration's number.
Bad with its cause: a structure nobody described (Bad_DataTypeIdUnknown), bytes that do not fit it (Bad_DecodingError), an element that is
not there (Bad_NoData), more text than `MOST_BYTES` (Bad_EncodingLimitsExceeded), another type than declared (Bad_TypeMismatch).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable

from adapters.batch import BAD_DECODING, BAD_NO_DATA, GOOD
from adapters.opcua.values.binary import TOO_LARGE, Encoded, Malformed, TooLarge
from adapters.opcua.values.structures import Enumeration, Member, Types, Undescribed
from adapters.paths import ABSENT, compile_path
from adapters.values import Cast, Value
from config.points import Point

MOST_BYTES = 65_536
BAD_DATA_TYPE_ID_UNKNOWN = 0x8011_0000
BAD_ENCODING_LIMITS_EXCEEDED = 0x8008_0000


class Shaping:
    """The types of the session that is open, and which points are enumerations; one for each device."""

    def __init__(self) -> None:
        self.types = Types()
        self.names: dict[int, Enumeration] = {}  # point -> the enumeration of its node's data type


def shaped(index: int, point: Point, cast: Cast, shaping: Shaping) -> Cast:
    """The point's cast, from whatever the server sends."""
    get: Callable[[object], object] | None = compile_path(point.element) if point.element else None
    is_text = point.type == "str"

    def shape(raw: object) -> tuple[Value | None, int]:
        if isinstance(raw, list | dict | Encoded | TooLarge):
            raw, fault = _decoded(raw, shaping.types)
            if fault:
                return None, fault
        if get is not None:
            raw = get(raw)
            if raw is ABSENT:
                return None, BAD_NO_DATA
        elif is_text and isinstance(raw, int) and not isinstance(raw, bool) and index in shaping.names:
            raw = shaping.names[index].get(raw, raw)
        return _as_text(raw, cast) if is_text else cast(raw)

    return shape


def _decoded(raw: object, types: Types) -> tuple[object, int]:
    """The value with its structures decoded, and why it could not be."""
    if raw is TOO_LARGE:
        return None, BAD_ENCODING_LIMITS_EXCEEDED
    try:
        return types.plain(raw), GOOD
    except Undescribed:
        return None, BAD_DATA_TYPE_ID_UNKNOWN
    except (Malformed, RecursionError):
        return None, BAD_DECODING


def _as_text(raw: object, cast: Cast) -> tuple[Value | None, int]:
    text = as_text(raw)
    if isinstance(text, str) and len(text) > MOST_BYTES // 4 and len(text.encode()) > MOST_BYTES:
        return None, BAD_ENCODING_LIMITS_EXCEEDED
    return cast(text)


def as_text(raw: object) -> object:
    """For a text point: names, base64 and canonical JSON; scalars are left to the cast."""
    if isinstance(raw, Member):
        return raw.name
    if isinstance(raw, bytes):
        return base64.b64encode(raw).decode()
    return canonical(raw) if isinstance(raw, list | dict) else raw


def canonical(value: object) -> str:
    """Canonical JSON of an array or a structure."""
    body = _storable(value)
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _storable(value: object) -> object:
    if isinstance(value, list):
        return [_storable(e) for e in value]
    if isinstance(value, dict):
        return {str(k): _storable(v) for k, v in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Member):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return None if isinstance(value, TooLarge) else value
