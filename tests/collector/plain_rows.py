"""Canonical rows and commitments a second time: `struct` and `hashlib`, written from docs/format/rows.md alone.

In: rows as plain values, those carried in apart. Out: canonical bytes of a device-hour, its salted commitment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import struct
from typing import Any

from tests.builders import Row


def commitment(seed: bytes, device: str, text: str, row_class: str, own: list[Row], carried: list[Row]) -> str:
    """SHA-256 over domain, salt and canonical hour, base64url."""
    salt = hmac.new(seed, f"{device}|{text}|{row_class}".encode(), hashlib.sha256).digest()[:16]
    body = b"plantproof-commit/1\n" + salt + canonical_hour(device, text, row_class, own, carried)
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")


def canonical_hour(device: str, text: str, row_class: str, own: list[Row], carried: list[Row]) -> bytes:
    """Header, then each template's rows, ascending by digest."""
    encode = _presence_row if row_class == "presence" else _process_row
    parts = [f"plantproof-rows/1\n{row_class}\n{device}\n{text}\n".encode()]
    for template in sorted({r.template for r in [*own, *carried]}, key=digest):
        before, rows = [r for r in carried if r.template == template], [r for r in own if r.template == template]
        parts.append(digest(template) + struct.pack("<II", len(before), len(rows)))
        parts += [encode(r) for r in [*before, *rows]]
    return b"".join(parts)


def digest(template: Any) -> bytes:
    """SHA-256 of a template's canonical JSON."""
    points = ",".join(f'["{p.name}","{p.type}","{p.unit}"]' for p in template.points)
    return hashlib.sha256(f'{{"kind":"{template.kind}","points":[{points}]}}'.encode()).digest()


def _presence_row(row: Row) -> bytes:
    has = row.server_us is not None
    return struct.pack("<qqBIBq", row.source_us, row.lag_us, row.outcome, row.quality, has, row.server_us or 0)


def _process_row(row: Row) -> bytes:
    parts = [struct.pack("<q", row.source_us)]
    for name, kind in _columns(row.template):
        value = row.values.get(name)
        parts.append(struct.pack("<BI", value is not None, row.qualities.get(name, row.quality)))
        parts.append(_value_bytes(kind, value))
    return b"".join(parts)


def _columns(template: Any) -> list[tuple[str, str]]:
    if template.kind == "wide":
        return [(p.name, str(p.type)) for p in template.points]
    used = {str(p.type) for p in template.points}
    return [("point", "u64"), *((f"v_{k}", k) for k in "bool i64 u64 f32 f64 str".split() if k in used)]


def _value_bytes(kind: str, value: Any) -> bytes:
    if kind == "str":
        raw = (value or "").encode()
        return struct.pack("<I", len(raw)) + raw
    if kind in ("f32", "f64"):
        if value is not None and math.isnan(value):
            return bytes.fromhex("0000c07f" if kind == "f32" else "000000000000f87f")
        return struct.pack("<f" if kind == "f32" else "<d", value or 0.0 if value is None else value)
    return struct.pack({"bool": "<?", "i64": "<q", "u64": "<Q"}[kind], value or 0)
