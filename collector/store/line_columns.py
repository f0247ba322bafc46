"""小时行的列式副本: the hour lines of a UTC day as Parquet beside their CSV, so that three months are read without parsing text.

In: a day's CSV bytes and its frames. Out: `rollup/columns/<yyyy>-<mm>-<dd>.<first 32 hex of the CSV's SHA-256>.<kind>.parquet`.
Derived and disposable: a CSV that changed has another digest, so a copy of other bytes is never taken for it; without a copy, or with one
that cannot be read, the CSV is parsed. Written by who writes the CSV, so that readers only read. Never evidence: seals commit to lines.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from collector.durable import write_durably

COLUMNS = "columns"  # folder below rollup/
KINDS = ("device", "parameter", "late")
Frames = tuple[pl.DataFrame, ...]  # in the order of KINDS


def digests(days: Sequence[Path]) -> list[str]:
    """What each CSV is known by."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(_digest, days))


def write_columns(columns: Path, day: Path, frames: Frames) -> None:
    """Copy the frames of a day's CSV; copies of what it was before are removed."""
    files = _files(columns, day, _digest(day))
    for file, frame in zip(files, frames, strict=True):
        body = io.BytesIO()
        frame.write_parquet(body, compression="uncompressed", statistics=False)
        write_durably(file, body.getvalue())
    for old in columns.glob(f"{_name(day)}.*.parquet"):
        if old not in files:
            old.unlink(missing_ok=True)


def copied(columns: Path, day: Path, digest: str) -> bool:
    """True when there is a copy of these very bytes."""
    return all(file.exists() for file in _files(columns, day, digest))


def read_columns(
    columns: Path, days: Mapping[Path, str], within: pl.Expr, without: Sequence[str], kinds: int
) -> Frames | None:
    """The rows `within` of some days (CSV -> its digest) below each other, of the first `kinds`, `without` some columns.

    None when a copy cannot be read.
    """
    files = [_files(columns, day, digest)[:kinds] for day, digest in days.items()]
    try:
        wanted = (pl.scan_parquet(list(of_kind)).filter(within) for of_kind in zip(*files, strict=True))
        return tuple(rows.drop(without, strict=False).collect() for rows in wanted)
    except (pl.exceptions.PolarsError, OSError):
        return None


def _files(columns: Path, day: Path, digest: str) -> tuple[Path, ...]:
    return tuple(columns / f"{_name(day)}.{digest}.{kind}.parquet" for kind in KINDS)


def _name(day: Path) -> str:
    """`rollup/hours/2026/07/01.csv` -> `2026-07-01`."""
    return "-".join((*day.parts[-3:-1], day.stem))


def _digest(day: Path) -> str:
    with day.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
