"""Canonical row bytes and their commitments (docs/format/rows.md), the same however the rows are stored.

In: rows of one template as a polars frame, in journal order. Out: one byte string and the offset of each row in it, so that any
run of rows is a slice. Commitment = SHA-256(domain || salt || canonical hour).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adapters.batch import NUMPY_TYPE, Template, ValueType

PRESENCE, PROCESS, LATE = "presence", "process", "late"
PRESENCE_ROW = np.dtype([("source_us", "<i8"), ("lag_us", "<i8"), ("outcome", "u1"), ("q", "<u4")])
_ROWS, _COMMIT = b"plantproof-rows/1\n", b"plantproof-commit/1\n"
_NAN = {ValueType.F32: np.uint32(0x7FC00000), ValueType.F64: np.uint64(0x7FF8000000000000)}


@dataclass(frozen=True, slots=True, eq=False)
class RowBytes:
    """Canonical rows end to end; row i is `data[offsets[i]:offsets[i + 1]]`."""

    data: bytes
    offsets: NDArray[np.int64]

    def rows(self, start: int, end: int) -> bytes:
        """Bytes of rows [start, end)."""
        return self.data[self.offsets[start] : self.offsets[end]]


def presence_rows(frame: pl.DataFrame) -> RowBytes:
    """Columns source_us, lag_us, outcome, q -> presence class."""
    rows = np.empty(len(frame), PRESENCE_ROW)
    for name in PRESENCE_ROW.names or ():
        rows[name] = frame[name].to_numpy()
    return RowBytes(rows.tobytes(), np.arange(len(frame) + 1, dtype=np.int64) * PRESENCE_ROW.itemsize)


def process_rows(frame: pl.DataFrame, template: Template) -> RowBytes:
    """Columns source_us, q, p.<column>, q.<column> (where any) -> process class."""
    fixed: list[tuple[str, str]] = [("source_us", "<i8")]
    arrays: list[NDArray[np.generic]] = [frame["source_us"].to_numpy()]
    pieces: list[NDArray[np.void] | tuple[NDArray[np.uint32], NDArray[np.uint8]]] = []
    for i, (name, kind) in enumerate(template.columns):
        values = frame[f"p.{name}"]
        quality = frame["q"]
        if f"q.{name}" in frame.columns:
            quality = pl.select(pl.coalesce(frame[f"q.{name}"], frame["q"])).to_series()
        fixed += [(f"h{i}", "u1"), (f"q{i}", "<u4")]
        arrays += [values.is_not_null().to_numpy().astype(np.uint8), quality.to_numpy()]
        if kind is ValueType.STR:
            lengths, text = _text(values)
            fixed.append((f"n{i}", "<u4"))
            arrays.append(lengths)
            pieces += [_record(fixed, arrays), (lengths, text)]
            fixed, arrays = [], []
        else:
            fixed.append((f"v{i}", NUMPY_TYPE[kind] if kind is not ValueType.BOOL else "u1"))
            arrays.append(_number(values, kind))
    if fixed:
        pieces.append(_record(fixed, arrays))
    return _interleave(pieces, len(frame))


def header(row_class: str, device: str, hour_text: str) -> bytes:
    """What a canonical hour begins with; alone, the constant empty hour."""
    return _ROWS + f"{row_class}\n{device}\n{hour_text}\n".encode()


def section(template_digest: bytes, carried: int, rows: int, data: bytes) -> bytes:
    """One template's rows within a canonical hour."""
    return template_digest + carried.to_bytes(4, "little") + rows.to_bytes(4, "little") + data


def salt(seed: bytes, device: str, hour_text: str, row_class: str) -> bytes:
    """16 bytes that open one device-hour of one class only."""
    return hmac.digest(seed, f"{device}|{hour_text}|{row_class}".encode(), "sha256")[:16]


def commitment(salt16: bytes, canonical: Sequence[bytes]) -> bytes:
    """SHA-256 over domain, salt and the parts of a canonical hour."""
    digest = hashlib.sha256(_COMMIT + salt16)
    for part in canonical:
        digest.update(part)
    return digest.digest()


def _number(values: pl.Series, kind: ValueType) -> NDArray[np.generic]:
    if kind is ValueType.BOOL:
        return values.fill_null(value=False).to_numpy().astype(np.uint8)
    array: NDArray[np.generic] = values.fill_null(0).to_numpy()
    if kind in _NAN:
        nan = pl.Series(array).is_nan().to_numpy()
        if nan.any():
            bits = array.copy().view(f"<u{array.dtype.itemsize}")
            bits[nan] = _NAN[kind]
            return bits.view(NUMPY_TYPE[kind])
    return array


def _text(values: pl.Series) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    filled = values.fill_null("")
    lengths = filled.str.len_bytes().to_numpy().astype(np.uint32)
    return lengths, np.frombuffer("".join(filled.to_list()).encode(), np.uint8)


def _record(fields: list[tuple[str, str]], arrays: list[NDArray[np.generic]]) -> NDArray[np.void]:
    record = np.empty(len(arrays[0]), np.dtype(fields))
    for (name, _), array in zip(fields, arrays, strict=True):
        record[name] = array
    return record


def _interleave(pieces: list[NDArray[np.void] | tuple[NDArray[np.uint32], NDArray[np.uint8]]], n: int) -> RowBytes:
    """Row-major bytes of column pieces: fixed-width records and texts in turn."""
    if len(pieces) == 1 and not isinstance(pieces[0], tuple):
        width = pieces[0].dtype.itemsize
        return RowBytes(pieces[0].tobytes(), np.arange(n + 1, dtype=np.int64) * width)
    widths: list[NDArray[np.int64]] = [
        p[0].astype(np.int64) if isinstance(p, tuple) else np.full(n, p.dtype.itemsize, np.int64) for p in pieces
    ]
    offsets = np.concatenate([[0], np.cumsum(np.sum(widths, axis=0))]).astype(np.int64)
    out = np.empty(int(offsets[-1]), np.uint8)
    at = offsets[:-1].copy()
    for piece, lengths in zip(pieces, widths, strict=True):
        if isinstance(piece, tuple):
            start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
            out[np.repeat(at - start, lengths) + np.arange(len(piece[1]))] = piece[1]
        else:
            size = piece.dtype.itemsize
            out[at[:, None] + np.arange(size)] = piece.view(np.uint8).reshape(n, size)
        at += lengths
    return RowBytes(out.tobytes(), offsets)
