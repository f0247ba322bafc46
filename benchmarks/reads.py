"""Reading back: one series of one sealed day through `scan`, and an aggregate over every column in a child whose memory is watched.

In: a folder with a sealed day. Out: `Reads`. The aggregate goes slice by slice of devices, as every job over whole days has to.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from benchmarks.workload import REFERENCE_DAY_US
from collector.folder import DataFolder, open_folder
from collector.store.scan import scan

SLICE_DEVICES = 5
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Reads:
    """ms of wall time, warm page cache; MB; points per CPU-second."""

    series_day_ms: float
    bare_series_ms: float  # two columns of the device's row group, nothing else
    scan_peak_mb: float
    scan_points_per_cpu_s: float


def measure(folder: DataFolder, devices: tuple[str, ...]) -> Reads:
    """Both figures of a folder whose day file has one row group per device."""
    device = devices[len(devices) // 2]
    series = min(_timed(lambda: _series(folder, device)) for _ in range(REPEATS))
    path = next(folder.segments.rglob("*.parquet"))
    bare = min(_timed(lambda: _bare_series(path, len(devices) // 2)) for _ in range(REPEATS))
    command = [sys.executable, "-c", "import sys; from benchmarks.reads import child; child(*sys.argv[1:])"]
    done = subprocess.run([*command, str(folder.path), *devices], stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    return Reads(series, bare, found["peak_mb"], found["points_per_cpu_s"])


def child(path: str, *devices: str) -> None:
    """In a process of its own: minimum, maximum and count of every value of every device; prints peak memory and rate."""
    folder = open_folder(Path(path))
    begun = time.process_time()
    points = 0
    for first in range(0, len(devices), SLICE_DEVICES):
        rows = scan(folder, devices=devices[first : first + SLICE_DEVICES], shape="wide")
        values = [c for c in rows.collect_schema().names() if c.startswith("p.")]
        smallest, largest = pl.col(values).min().name.prefix("min "), pl.col(values).max().name.prefix("max ")
        found = rows.select(pl.len(), smallest, largest).collect()
        points += int(found["len"][0]) * len(values)
    spent = time.process_time() - begun
    sys.stdout.write(json.dumps({"peak_mb": _peak_mb(), "points_per_cpu_s": points / spent}))


def _peak_mb() -> float:
    """Of this program's own memory map: ru_maxrss would count what the parent held when it was forked."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) / 1000


def _series(folder: DataFolder, device: str) -> int:
    end_us = REFERENCE_DAY_US + 86_400_000_000
    rows = scan(folder, devices=[device], start_us=REFERENCE_DAY_US, end_us=end_us, shape="wide")
    return len(rows.select("source_us", "p.temp").collect())


def _bare_series(path: Path, group: int) -> int:
    return len(pq.ParquetFile(path).read_row_group(group, columns=["source_us", "p.temp"]))


def _timed(work: object) -> float:
    begun = time.perf_counter()
    if callable(work):
        work()
    return (time.perf_counter() - begun) * 1000
