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
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapters.batch import NUMPY_TYPE, Template, ValueType
from collector.store.schema import SERVER

PRESENCE, PROCESS, LATE = "presence", "process", "late"
_STORED = [("source_us", "<i8"), ("lag_us", "<i8"), ("outcome", "u1"), ("q", "<u4")]
PRESENCE_ROW = np.dtype([*_STORED, ("has_server", "u1"), ("server_us", "<i8")])
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
    """Columns source_us, lag_us, outcome, q, server_lag_us (where any) -> presence class."""
    rows = np.zeros(len(frame), PRESENCE_ROW)
    for name, _ in _STORED:
        rows[name] = frame[name].to_numpy()
    if SERVER in frame.columns:
        server_us = frame["source_us"] + frame[SERVER]
        rows["has_server"] = server_us.is_not_null().to_numpy()
        rows["server_us"] = server_us.fill_null(0).to_numpy()
    return RowBytes(rows.tobytes(), np.arange(len(frame) + 1, dtype=np.int64) * PRESENCE_ROW.itemsize)


def process_rows(frame: pl.DataFrame, template: Template) -> RowBytes:
    """Columns source_us, q, p.<column>, q.<column> (where any) -> process class."""
    fixed: list[tuple[str, str]] = [("source_us", "<i8")]
    arrays: list[NDArray[np.generic]] = [frame["source_us"].to_numpy()]
    pieces: list[pa.LargeBinaryArray] = []
    for i, (name, kind) in enumerate(template.columns):
        values = frame[f"p.{name}"]
        quality = frame["q"]
        if f"q.{name}" in frame.columns:
            quality = pl.select(pl.coalesce(frame[f"q.{name}"], frame["q"])).to_series()
        fixed += [(f"h{i}", "u1"), (f"q{i}", "<u4")]
        arrays += [values.is_not_null().to_numpy().astype(np.uint8), quality.to_numpy()]
        if kind is ValueType.STR:
            text = values.fill_null("")
            fixed.append((f"n{i}", "<u4"))
            arrays.append(text.str.len_bytes().to_numpy())
            pieces += [_records(fixed, arrays), text.to_arrow().cast(pa.large_binary())]
            fixed, arrays = [], []
        else:
            fixed.append((f"v{i}", NUMPY_TYPE[kind] if kind is not ValueType.BOOL else "u1"))
            arrays.append(_number(values, kind))
    if fixed:
        pieces.append(_records(fixed, arrays))
    return _row_by_row(pieces)


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


def _records(fields: list[tuple[str, str]], arrays: list[NDArray[np.generic]]) -> pa.LargeBinaryArray:
    """Columns of fixed width as one record of bytes per row."""
    record = np.empty(len(arrays[0]), np.dtype(fields))
    for (name, _), array in zip(fields, arrays, strict=True):
        record[name] = array
    offsets = np.arange(len(record) + 1, dtype=np.int64) * record.dtype.itemsize
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(record.view(np.uint8))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(record), buffers)


def _row_by_row(pieces: list[pa.LargeBinaryArray]) -> RowBytes:
    """Each row's pieces one after the other, rows end to end."""
    rows = pieces[0]
    if len(pieces) > 1:
        rows = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
    _, ends, data = rows.buffers()
    offsets = np.frombuffer(ends, np.int64, len(rows) + 1)
    return RowBytes(data.slice(0, offsets[-1]).to_pybytes() if data else b"", offsets)
