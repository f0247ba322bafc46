"""What the machine itself can do, in the same run as the figures: disk, memory, hash, and the barest ingest one could write.

In: a folder on the disk that the store uses. Out: `Limits`. `bare` is the floor of any durable columnar ingest: ready arrays of a
second compressed (zstd-1), hashed, appended and fdatasynced; at the end one Parquet file of everything (zstd-9). No product code.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from benchmarks.workload import WORDS, Workload

FRAME_BYTES = 8192  # about one second of 2,000 points
APPENDS = 300
BLOCK = 8 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Measured here and now."""

    fsync_p50_ms: float
    fsync_p99_ms: float
    write_mb_per_s: float
    sha256_mb_per_s: float
    copy_gb_per_s: float
    bare_points_per_cpu_s: float


def measure(place: Path, work: Workload) -> Limits:
    """All limits; a few seconds."""
    p50, p99 = append_ms(place)
    return Limits(p50, p99, _write_mb_per_s(place), _sha256_mb_per_s(), _copy_gb_per_s(), bare(place, work))


def append_ms(place: Path) -> tuple[float, float]:
    """(p50, p99) of appending a frame's bytes and fdatasync."""
    path, data = place / "append.bin", os.urandom(FRAME_BYTES)
    taken = []
    with path.open("ab", buffering=0) as file:
        for _ in range(APPENDS):
            begun = time.perf_counter()
            file.write(data)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def bare(place: Path, work: Workload) -> float:
    """Points per CPU-second with nothing but compression, hash and disk."""
    arrays: list[NDArray[Any]] = [work.source_us, work.lag_us, work.quality, *work.values.values()]
    seconds = [np.ascontiguousarray(a.T) for a in arrays]
    path, compressor = place / "bare.bin", zstandard.ZstdCompressor(level=1)
    begun = time.process_time()
    with path.open("wb", buffering=0) as file:
        for second in range(work.seconds):
            body = compressor.compress(b"".join([a[second].data for a in seconds]))
            hashlib.sha256(body)
            file.write(body)
            os.fdatasync(file.fileno())
    columns = {name: pa.array(values.reshape(-1)) for name, values in work.values.items() if name not in WORDS}
    for name, words in WORDS.items():
        codes = pa.array(work.values[name].reshape(-1), pa.int32())
        columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array(words))
    columns |= {"source_us": pa.array(work.source_us.reshape(-1)), "lag_us": pa.array(work.lag_us.reshape(-1))}
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=9)
    spent = time.process_time() - begun
    path.unlink()
    return work.points / spent


def _write_mb_per_s(place: Path) -> float:
    path, data = place / "write.bin", os.urandom(BLOCK)
    begun = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(32):
            file.write(data)
        os.fsync(file.fileno())
    spent = time.perf_counter() - begun
    path.unlink()
    return 32 * BLOCK / spent / 1e6


def _sha256_mb_per_s() -> float:
    data = os.urandom(BLOCK)
    begun = time.process_time()
    for _ in range(8):
        hashlib.sha256(data)
    return 8 * BLOCK / (time.process_time() - begun) / 1e6


def _copy_gb_per_s() -> float:
    data = np.ones(1 << 24)
    begun = time.process_time()
    for _ in range(4):
        data.copy()
    return 4 * 2 * data.nbytes / (time.process_time() - begun) / 1e9
