"""Speed of issue 4: every metric and criterion from the rollups, one metric after one more hour, a register of 5,000 rows, records in.

In: a folder. Out: `Figure`s. Each measurement is a process of its own (`child`), whose memory is its own; the peer (one polars pass over
the same rows, calamine alone, polars.read_csv alone) runs in the same run, in a process of its own too. Wall time, best of three, beside
the load of the machine: the method of each figure says both, and CPU time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.reads import _peak_mb
from benchmarks.rules_plant import Shape, build, end_us, seal
from benchmarks.rules_records import BATCHES, write_records
from benchmarks.rules_sheet import ERRORS, ROWS, write_sheet

WHOLE = Shape()
INSTRUMENT = "CN-GS/GS25"
ALL_LIMIT_S, PEAK_LIMIT_MB, HOUR_LIMIT_MS, REGISTER_LIMIT_S = 2.0, 500.0, 100.0, 3.0
HOUR_METRICS = ("M01", "M11", "M13")
REPEATS = 3
Found = dict[str, Any]


def figures(place: Path, shape: Shape = WHOLE, batches: int = BATCHES) -> list[Figure]:
    """Everything; some four minutes, most of them building the plant."""
    folder = build(place, shape, held_back=1)
    from collector.register_revisions import registers  # noqa: PLC0415  (children load what they measure)

    register = registers(folder)[-1].register
    files, rows = write_records(register, batches, place / "records")
    found = _records(place, files, rows)
    found += _one_hour(place)  # seals the hour that was held back
    found += _whole(place, f"{len(register.devices)} devices x {shape.days} days, {batches:,} batches ({rows:,} rows)")
    return [*found, *_register(place)]


def _whole(place: Path, what: str) -> list[Figure]:
    ours, peer = (_best(name, place) for name in ("everything", "single_pass"))
    split = ", ".join(f"{k} {ours[k + '_s']:.2f}" for k in ("reading", "metrics", "verdicts"))
    method = (
        f"{what}; every metric, every criterion of {INSTRUMENT} and what it adopts, from lines and records on disk: {split} s; "
        f"CPU {ours['cpu_s']:.2f} s, imports before it {ours['imports_s']:.2f} s; {_beside(ours)}"
    )
    over = f"wall over one polars pass over the same files ({peer['wall_s']:.2f} s, CPU {peer['cpu_s']:.2f}, {peer['peak_mb']:.0f} MB)"
    cold = _best("without_copies", place, 1)
    return [
        _limited("metrics.all_s", ours["wall_s"], "s", ALL_LIMIT_S, method),
        _limited("metrics.peak_mb", ours["peak_mb"], "MB", PEAK_LIMIT_MB, "largest resident memory of that process"),
        Figure("metrics.vs_single_pass", ours["wall_s"] / peer["wall_s"], "ratio", None, None, over),
        Figure(
            "metrics.all_cpu_s",
            ours["cpu_s"],
            "s",
            peer["cpu_s"],
            ours["cpu_s"] / peer["cpu_s"],
            "CPU; limit: the pass",
        ),
        Figure(
            "metrics.all_without_columns_s",
            cold["wall_s"],
            "s",
            None,
            None,
            f"the same with rollup/columns deleted, every line parsed from CSV; {cold['peak_mb']:.0f} MB; {_beside(cold)}",
        ),
    ]


def _one_hour(place: Path) -> list[Figure]:
    ours = _best("one_hour", place, 1)
    made = []
    for metric in HOUR_METRICS:
        name = "metrics.one_hour_ms" if metric == HOUR_METRICS[0] else f"metrics.one_hour_{metric.lower()}_ms"
        method = (
            f"{metric} after one new sealed hour on disk, in a process that holds the inputs of before (metrics/resume.py): ledger "
            f"and hour read in {ours[f'{metric}_reading']:.0f} ms of it; best of {REPEATS}, the first {ours[f'{metric}_first']:.0f} ms; "
            f"{_beside(ours)}"
        )
        made.append(_limited(name, ours[metric], "ms", HOUR_LIMIT_MS, method))
    return made


def _register(place: Path) -> list[Figure]:
    write_sheet(place)
    ours, peer = (_best(name, place) for name in ("parse_register", "read_calamine"))
    method = (
        f"{ROWS:,} rows xlsx parsed and checked, {ours['problems']} problems found of {ERRORS} planted, every one with sheet and cell; "
        f"CPU {ours['cpu_s']:.2f} s; {_beside(ours)}"
    )
    ratio = ours["wall_s"] / peer["wall_s"]
    said = f"wall over python-calamine reading the same file alone ({peer['wall_s']:.2f} s)"
    return [
        _limited("register.import_5000_s", ours["wall_s"], "s", REGISTER_LIMIT_S, method),
        Figure("register.vs_calamine", ratio, "ratio", None, None, said),
        Figure(
            "register.errors_found",
            float(ours["problems"]),
            "",
            float(ERRORS),
            ours["problems"] / ERRORS,
            "of those planted",
        ),
    ]


def _records(place: Path, files: list[Path], rows: int) -> list[Figure]:
    ours, peer = _run("import_records", place), _run("read_records", place)
    method = (
        f"{len(files)} CSV files, {rows:,} rows judged, written, fsynced and in the ledger, {ours['quarantined']} quarantined, "
        f"{ours['peak_mb']:.0f} MB; limit: polars.read_csv of the same files alone; {_beside(ours)}"
    )
    alone = rows / peer["wall_s"]
    return [
        Figure("records.import_rows_per_s", rows / ours["wall_s"], "1/s", alone, rows / ours["wall_s"] / alone, method)
    ]


def child(name: str, place: str) -> None:
    """In a process of its own: one measurement, as JSON on stdout."""
    found = CHILDREN[name](Path(place))
    sys.stdout.write(json.dumps({"peak_mb": _peak_mb(), "load": os.getloadavg()[0], **found}))


def _everything(place: Path) -> Found:
    begun = time.perf_counter()
    from collector.folder import open_folder  # noqa: PLC0415
    from metrics import evaluate  # noqa: PLC0415
    from metrics.instruments import choose  # noqa: PLC0415

    imports_s = time.perf_counter() - begun
    begun, cpu = time.perf_counter(), time.process_time()
    read = [begun]
    reading = evaluate.read_inputs

    def timed(*args: Any, **more: Any) -> Any:
        found = reading(*args, **more)
        read.append(time.perf_counter())
        return found

    evaluate.read_inputs = timed
    computed = evaluate.compute(open_folder(place / "data"), end_us())
    counted = time.perf_counter()
    report = evaluate.report_of(computed, *choose(INSTRUMENT))
    done = time.perf_counter()
    return {
        "imports_s": imports_s,
        "reading_s": read[-1] - begun,
        "metrics_s": counted - read[-1],
        "verdicts_s": done - counted,
        "wall_s": done - begun,
        "cpu_s": time.process_time() - cpu,
        "verdicts": len(report.verdicts),
    }


def _without_copies(place: Path) -> Found:
    shutil.rmtree(place / "data/rollup/columns")
    return _everything(place)


def _single_pass(place: Path) -> Found:
    import polars as pl  # noqa: PLC0415

    data = place / "data"
    lines = pl.scan_parquet(sorted((data / "rollup/columns").glob("*.device.parquet")))
    parameters = pl.scan_parquet(sorted((data / "rollup/columns").glob("*.parameter.parquet")))
    bits = pl.col("covered").bitwise_count_ones().cast(pl.Int64).sum()
    sums = ["polls_ok", "polls_failed", "values_bad", "gap_s", "run_s", "stop_s", "unknown_s", "output_delta", "auto_s"]
    begun, cpu = time.perf_counter(), time.process_time()
    passes = [
        lines.group_by("device").agg(bits, pl.col(*sums).sum(), pl.len()),
        parameters.group_by("device", "point").agg(bits, pl.col("ok", "bad", "run_ok_s", "run_in_s").sum()),
        *(
            pl.scan_csv(path, infer_schema=False).group_by("batch_id").agg(pl.all().last(), pl.len().alias("rows"))
            for path in sorted(data.glob("records/0*/*.csv"))
            if "batch_id" in path.open(encoding="utf-8").readline()
        ),
    ]
    rows = sum(frame.height for frame in pl.collect_all(passes))
    return {"rows": rows, "wall_s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu}


def _one_hour_later(place: Path) -> Found:
    from collector.folder import open_folder  # noqa: PLC0415
    from collector.register_revisions import registers  # noqa: PLC0415
    from metrics.evaluate import compute_all, fewer_collections, read_inputs  # noqa: PLC0415
    from metrics.registry import METRICS  # noqa: PLC0415
    from metrics.resume import resume  # noqa: PLC0415

    folder = open_folder(place / "data")
    warm = read_inputs(folder, end_us())
    compute_all(warm)
    last = end_us() // 3_600_000_000
    seal(folder, registers(folder)[-1].register, range(last - 1, last))
    found: Found = {}
    with fewer_collections():  # as `compute` has it
        for metric in HOUR_METRICS:
            spent = []
            for _ in range(
                REPEATS
            ):  # the same hour again: it is read and placed as if it were new, nothing counted is kept
                begun = time.perf_counter()
                fresh = resume(warm, folder, end_us())
                read = time.perf_counter()
                METRICS[metric](fresh)
                spent.append((1000 * (time.perf_counter() - begun), 1000 * (read - begun)))
            found[metric], found[f"{metric}_reading"] = min(spent)
            found[f"{metric}_first"] = spent[0][0]
    return {**found, "hours": fresh.lines.device["hour"].n_unique()}


def _parse_register(place: Path) -> Found:
    from config.load import parse_register_file  # noqa: PLC0415
    from config.tables import register_rows, workbook  # noqa: F401, PLC0415  (imports are not measured)

    begun, cpu = time.perf_counter(), time.process_time()
    parsed = parse_register_file(place / "设备台账.xlsx")
    spent = {"wall_s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu}
    return {**spent, "problems": len(parsed.problems), "where": [str(p) for p in parsed.problems[:3]]}


def _read_calamine(place: Path) -> Found:
    from python_calamine import load_workbook  # noqa: PLC0415

    begun, cpu = time.perf_counter(), time.process_time()
    book = load_workbook(place / "设备台账.xlsx")
    rows = sum(len(book.get_sheet_by_name(name).to_python()) for name in book.sheet_names)
    return {"rows": rows, "wall_s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu}


def _import_records(place: Path) -> Found:
    from collector.clock import DrivenClock  # noqa: PLC0415
    from collector.folder import open_folder  # noqa: PLC0415
    from collector.intake.imports import import_deliveries  # noqa: PLC0415
    from collector.intake.tables import delivery_of_file  # noqa: PLC0415

    folder, clock = open_folder(place / "data"), DrivenClock(end_us() + 3_600_000_000)
    begun = time.perf_counter()
    deliveries = [delivery_of_file(path) for path in sorted((place / "records").glob("*.csv"))]
    got = import_deliveries(folder, deliveries, reason="MES 导出", clock=clock, actor="bench")
    return {"wall_s": time.perf_counter() - begun, "rows": got.rows, "quarantined": len(got.quarantined)}


def _read_records(place: Path) -> Found:
    import polars as pl  # noqa: PLC0415

    begun = time.perf_counter()
    rows = sum(pl.read_csv(path, infer_schema=False).height for path in sorted((place / "records").glob("*.csv")))
    return {"wall_s": time.perf_counter() - begun, "rows": rows}


CHILDREN: dict[str, Callable[[Path], Found]] = {
    "everything": _everything,
    "without_copies": _without_copies,
    "single_pass": _single_pass,
    "one_hour": _one_hour_later,
    "parse_register": _parse_register,
    "read_calamine": _read_calamine,
    "import_records": _import_records,
    "read_records": _read_records,
}


def _best(name: str, place: Path, repeats: int = 0) -> Found:
    return min((_run(name, place) for _ in range(repeats or REPEATS)), key=lambda found: found.get("wall_s", 0.0))


def _run(name: str, place: Path) -> Found:
    command = [sys.executable, "-c", "import sys; from benchmarks.rules import child; child(*sys.argv[1:])", name]
    done = subprocess.run(
        [*command, str(place.resolve())], stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[1]
    )
    found: Found = json.loads(done.stdout)
    return found


def _limited(name: str, value: float, unit: str, limit: float, method: str) -> Figure:
    return Figure(name, value, unit, limit, value / limit, f"{method}; limit is the aim")


def _beside(found: Found) -> str:
    return f"load average {found['load']:.1f} on {os.cpu_count()} cores"
