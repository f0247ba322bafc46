"""`make bench`: every figure beside its limit of the same run, as a table and as benchmarks/results.json.

In: nothing, or names of parts to run (the others keep their last figures). Out: a list of {name, value, unit, limit, ratio, method},
named after ../shared/benchmarks.md. CPU figures are process time with children; wall time is given only for latencies.
A part that cannot run here (no recording, no demo) is left out and said so; a figure short of its aim is printed as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import bound, collecting, ingest, limits, nist, reads, rules, size, tree_memory, workload
from benchmarks.figure import Figure

RESULTS = Path(__file__).with_name("results.json")
INGEST = (200, 3000)  # devices, seconds: the last 50 minutes of a day
WIDE_DAY = (20, 86_400)
EVENT_HOURS = (4, 21_600)
DEMO_AIM_MB, BOUND_AIM, INGEST_AIM = 400.0, 1.35, 1_000_000.0


def main() -> int:
    """Run the parts, print, keep."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    wanted = parser.parse_args().parts or list(PARTS)
    talk = Console(stderr=True, highlight=False)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="plantproof-bench-", dir=RESULTS.parents[1]) as place:
        for part in wanted:
            begun = time.monotonic()
            (Path(place) / part).mkdir()
            talk.print(f"{part} …", end=" ")
            try:
                found += PARTS[part](Path(place) / part)
            except (OSError, tree_memory.TreeError) as err:
                talk.print(f"跳过 (left out): {err}")
                continue
            talk.print(f"{time.monotonic() - begun:.0f} s")
    _keep(found)
    _print(found)
    return 0


def ingest_figures(place: Path) -> list[Figure]:
    """Journal to sealed day, and the disk under it."""
    devices, seconds = INGEST
    work = workload.generate(devices, seconds)
    machine = limits.measure(place, work)
    run = ingest.ingest(place / "data", work)
    what = f"{devices} devices x 10 points x {seconds} s (the end of a day), one frame a second, ten-minute files"
    floor = "limit: the same arrays only compressed (zstd-1), hashed, fdatasynced and written once as Parquet (zstd-9)"

    def rate(name: str, cpu_s: float, method: str) -> Figure:
        per_s = work.points / cpu_s
        return Figure(name, per_s, "1/s", machine.bare_points_per_cpu_s, per_s / machine.bare_points_per_cpu_s, method)

    p99, fsync_p99 = run.append_p(99), machine.fsync_p99_ms
    return [
        rate("store.ingest_points_per_cpu_s", run.cpu_s, f"{what}; emit to sealed day file; {floor}"),
        rate("store.ingest_journal_points_per_cpu_s", run.capture_cpu_s, "emit and journal alone, batches of one row"),
        rate(
            "store.ingest_unsealed_points_per_cpu_s", run.unsealed_cpu_s, "without sealing: journal, segments, day file"
        ),
        rate("store.seal_points_per_cpu_s", run.seal_cpu_s, "sealing alone: lines, both commitments, root, leaf"),
        Figure(
            "store.append_p99_ms",
            p99,
            "ms",
            fsync_p99,
            p99 / fsync_p99,
            f"emit to acknowledgement of a second's frame of {devices} devices, wall",
        ),
        Figure(
            "store.append_p50_ms",
            run.append_p(50),
            "ms",
            machine.fsync_p50_ms,
            run.append_p(50) / machine.fsync_p50_ms,
            "as above, median",
        ),
        Figure(
            "store.fsync_p99_ms",
            fsync_p99,
            "ms",
            None,
            None,
            f"append of {limits.FRAME_BYTES} bytes and fdatasync, wall, same disk, same run",
        ),
        Figure("limit.write_mb_per_s", machine.write_mb_per_s, "MB/s", None, None, "256 MiB sequential, fsync"),
        Figure("limit.sha256_mb_per_s", machine.sha256_mb_per_s, "MB/s", None, None, "one thread, CPU time"),
        Figure(
            "limit.copy_gb_per_s", machine.copy_gb_per_s, "GB/s", None, None, "read and write, one thread, CPU time"
        ),
    ]


def size_figures(place: Path) -> list[Figure]:
    """Sealed bytes against the bound, and reading them back."""
    devices, seconds = WIDE_DAY
    work = workload.generate(devices, seconds)
    least = bound.bound_of(work).wide_bytes
    day = size.wide_day(place / "wide", work)
    driven = work.points / day.cpu_s
    got = reads.measure(day.folder, work.devices)
    what = f"{devices} of the 200 devices, whole day, one row group per device as in a full plant"
    events = workload.generate(*EVENT_HOURS)
    event_least = bound.bound_of(events).event_bytes
    event = size.event_day(place / "event", events)
    kind = (
        f"event rows: {EVENT_HOURS[0]} devices x 10 points x {EVENT_HOURS[1]} s, each value with µs stamps of its own"
    )
    return [
        *_against_bound("store.bytes", day.bytes_per_point, least, f"{what}; bound: benchmarks/bound.py, same data"),
        Figure(
            "store.ingest_driven_points_per_cpu_s",
            driven,
            "1/s",
            None,
            None,
            "the same day, emit to sealed day file, one frame an hour (history, replay)",
        ),
        *_against_bound("store.event_bytes", event.bytes_per_point, event_least, f"{kind}; bound: same data"),
        Figure(
            "store.series_day_ms",
            got.series_day_ms,
            "ms",
            got.bare_series_ms,
            got.series_day_ms / got.bare_series_ms,
            "scan of one point of one device, sealed day, wall, warm; limit: its two column chunks read",
        ),
        Figure(
            "store.scan_peak_mb",
            got.scan_peak_mb,
            "MB",
            None,
            None,
            f"child: smallest and largest of every column, {devices} devices x one day, {reads.SLICE_DEVICES} devices at a time, by scan",
        ),
        Figure(
            "store.scan_points_per_cpu_s",
            got.scan_points_per_cpu_s,
            "1/s",
            None,
            None,
            "the same child, with interpreter and imports done",
        ),
    ]


def nist_figures(place: Path) -> list[Figure]:
    """A real machine."""
    found = nist.quarter(place)
    parts = ", ".join(f"{k} {v:.2f}" for k, v in found.parts.items())
    method = (
        f"NIST Mazak03, quarter, {found.stored.points} rows as event text rows, one file a day; estimate: streams apart, "
        f"the smaller of LZMA and two-part models (B a row: {parts}) over the whole quarter; the published gzip has {found.gzip_bytes:.2f}"
    )
    return _against_bound("store.nist_bytes", found.stored.bytes_per_point, found.bound_bytes, method)


def demo_figures(place: Path) -> list[Figure]:
    """The demo's process tree."""
    tree = tree_memory.watch_demo(place)
    staying, passing = (", ".join(f"{name} {mb:.0f}" for name, mb in p) for p in (tree.staying, tree.passing))
    method = (
        f"largest sum of PSS in {tree_memory.WATCH_S:.0f} s once live, processes that stay: {staying}; limit is the aim"
    )
    more = f"with children that pass (the hourly check, maintenance): {passing or 'none seen'}; limit is the aim"
    return [
        Figure("demo.tree_pss_mb", tree.staying_mb, "MB", DEMO_AIM_MB, tree.staying_mb / DEMO_AIM_MB, method),
        Figure("demo.tree_pss_peak_mb", tree.peak_mb, "MB", DEMO_AIM_MB, tree.peak_mb / DEMO_AIM_MB, more),
        Figure("demo.live_s", tree.live_s, "s", None, None, "start to pack built and live, after set-up, wall"),
    ]


PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "ingest": ingest_figures,
    "size": size_figures,
    "nist": nist_figures,
    "demo": demo_figures,
    "collect": collecting.figures,
    "rules": rules.figures,
}


def _against_bound(name: str, value: float, least: float, method: str) -> list[Figure]:
    return [
        Figure(f"{name}_per_point", value, "B", least, value / least, method),
        Figure(f"{name}_vs_bound", value / least, "ratio", BOUND_AIM, value / least / BOUND_AIM, "limit is the aim"),
    ]


def _keep(found: list[Figure]) -> None:
    """Parts that did not run keep their last figures."""
    new = {f.name: asdict(f) for f in found}
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    together = [new.pop(f["name"], f) for f in before] + list(new.values())
    rounded = [{k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in f.items()} for f in together]
    RESULTS.write_text(json.dumps(rounded, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _print(found: list[Figure]) -> None:
    table = Table("figure", "value", "unit", "limit", "value / limit", box=None)
    for f in found:
        limit, ratio = (f"{f.limit:,.4g}" if f.limit else "", f"{f.ratio:.2f}" if f.ratio else "")
        table.add_row(f.name, f"{f.value:,.0f}" if f.value >= 1000 else f"{f.value:.3g}", f.unit, limit, ratio)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
