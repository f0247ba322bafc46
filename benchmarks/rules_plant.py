"""A large plant on disk, seeded: 300 machines, 92 days of sealed hours (662,400 device-hours), a register with every table.

In: an empty folder. Out: a data folder whose window is 2026-07-01 to 2026-10-01, plant time. Hours are written by the product's own
functions (`write_hours`, one seal leaf each, true roots); the last hour can be held back and sealed later. Lines are made up, not
reduced from raw rows: there are none, so M12 finds nothing to recompute. Production records: benchmarks/rules_records.py.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from collector.clock import DrivenClock
from collector.documents import Statement, add_document
from collector.folder import DataFolder, create_folder
from collector.hours import hour_text
from collector.ledger import merkle
from collector.ledger.entry import Entry
from collector.register_revisions import apply_register
from collector.store.lines import write_hours
from config.load import parse_register
from config.register import FORMAT, Register
from config.settings import PlantTable
from config.tables.register_writers import toml_bytes

HOUR_US = 3_600_000_000
FIRST_HOUR = int(datetime(2026, 6, 30, 16, tzinfo=UTC).timestamp()) // 3600  # 2026-07-01T00:00+08:00
DAYS, LINES, PROCESSES, MACHINES = 92, 6, 5, 10  # machines of a process; 300 together
KEY_PROCESSES, KEY_LINES = (1, 3), 5  # of the first five lines: 100 machines with key parameters
POINTS = ("temp", "press")
FULL = (1 << 60) - 1
SEED = 4
PAPERS = "licence commitment maturity financial_statements accident_free pdm mes rd_tools security organisation".split()
STAGES = ("采购", "库存", "销售", "财务", "生产", "设备", "质量", "能源")


@dataclass(frozen=True, slots=True)
class Shape:
    """How much of it: the whole in the benchmark, a corner of it in its test."""

    lines: int = LINES
    days: int = DAYS

    @property
    def hours(self) -> range:
        """The UTC hours of its days, the last days of the window."""
        end = FIRST_HOUR + 24 * DAYS
        return range(end - 24 * self.days, end)


def end_us() -> int:
    """T: 2026-10-01T00:00+08:00."""
    return (FIRST_HOUR + 24 * DAYS) * HOUR_US


def build(place: Path, shape: Shape, *, held_back: int = 0) -> DataFolder:
    """The data folder with register, documents and hours, all but the last `held_back`."""
    clock = DrivenClock((FIRST_HOUR - 24 * 60) * HOUR_US)
    place.mkdir(parents=True, exist_ok=True)
    folder = create_folder(place / "data", PlantTable(name="量具厂", credit_code="91620000000000000X"), "live", clock)
    register = register_of(shape)
    file = place / "register.toml"
    file.write_bytes(toml_bytes(register))
    apply_register(folder, file, "建账 (first)", clock, "bench")
    for n, kind in enumerate(PAPERS):
        paper = place / f"{kind}.txt"
        paper.write_text(f"{kind} {n}", encoding="utf-8")
        said = Statement(kind, kind, "某机构", issued="2026-03-01", level=2, years=(2023, 2024, 2025))
        add_document(folder, paper, said, clock=clock, actor="bench")
    hours = shape.hours
    for first in range(hours.start, hours.stop - held_back, 24):
        seal(folder, register, range(first, min(first + 24, hours.stop - held_back)))
    return folder


def seal(folder: DataFolder, register: Register, hours: range) -> None:
    """Lines and leaves of some hours, as the collector writes them."""
    made = [(hour, lines) for hour in hours for lines in [tuple(sorted(hour_lines(register, hour)))]]
    write_hours(folder, made)
    folder.append(*(_leaf(hour, lines) for hour, lines in made))


def hour_lines(register: Register, hour: int) -> Iterator[bytes]:
    """One hour of every machine: mostly covered, now and then a gap; key parameters beside; a late line here and there."""
    rng = np.random.Generator(np.random.PCG64([SEED, hour]))
    devices, text = register.devices, hour_text(hour)
    gaps = np.where(rng.random(len(devices)) < 0.05, rng.integers(1, 40, len(devices)), 0).tolist()
    runs, outputs = rng.integers(1200, 3400, len(devices)).tolist(), rng.integers(0, 80, len(devices)).tolist()
    commits = base64.urlsafe_b64encode(rng.bytes(66 * len(devices))).decode()
    for i, device in enumerate(devices):
        gap, run = gaps[i], runs[i]
        covered = f"{FULL >> gap:015x}"
        stop = 3600 - run - 60 * gap if run + 60 * gap < 3600 else 0
        run = min(run, 3600 - 60 * gap)
        known = f"{run},{stop},{3600 - run - stop},{outputs[i]},{run * 9 // 10}"
        both = f"{commits[88 * i : 88 * i + 43]},{commits[88 * i + 44 : 88 * i + 87]}"
        cause = "timeout" if gap else ""
        counts = f"{60 - gap},{gap},0,0,{int(gap > 35)},{60 * gap}"
        yield f"D,{device.id},{text},1,live,3600,{covered},{counts},{cause},{known},4,0,{both}".encode()
        if device.points == "key":
            inside = run - run // 50
            for point in POINTS:
                yield f"P,{device.id},{text},{point},{covered},{60 - gap},{gap},{run},{inside}".encode()
        if gap > 35 and hour > FIRST_HOUR:
            yield f"L,{device.id},{text},{hour_text(hour - 1)},{1 << (59 - gap):015x},1,{commits[:43]}".encode()


def register_of(shape: Shape) -> Register:
    """Lines of five processes of ten machines, two of the processes key, and every other table."""
    lines = [f"L{n}" for n in range(1, shape.lines + 1)]
    routes = [(line, n) for line in lines for n in range(1, PROCESSES + 1)]
    devices = [_device(line, n, m) for line, n in routes for m in range(1, MACHINES + 1)]
    keyed = [d for d in devices if d["points"] == "key"]
    parameters = [
        {"id": f"CP-{d['id']}-{p}", "name": p, "process": d["process"], "device": d["id"], "point": p}
        for d in keyed
        for p in POINTS
    ]
    body: dict[str, Any] = {
        "format": FORMAT,
        "calendar": {"closures": _closures()},
        "line": [
            {"id": x, "name": x, "representative": x == "L1", "commissioned": "2024-01-01"} for x in lines
        ],
        "process": [
            {
                "id": f"{line}-P{n}",
                "name": f"{line} 工序 {n}",
                "line": line,
                "key": n in KEY_PROCESSES and lines.index(line) < KEY_LINES,
                "inspection": n % 2 == 1,
            }
            for line, n in routes
        ],
        "points": [_points("key", key=True), _points("plain", key=False)],
        "device": devices,
        "parameter": parameters,
        "item": [_item(d["id"], p) for d in devices for p in ("state", "count", *POINTS)],
        "scene": [
            {"id": f"S{n}", "no": n, "name": f"场景 {n}", "status": "in_production", "since": "2025-06-01", "ai": n < 6}
            for n in range(1, 25)
        ],
        "system": [
            {"id": f"SYS-{kind}", "name": kind, "kind": kind, "domains": STAGES, "live_since": "2024-01-01"}
            for kind in ("erp", "mes", "plm", "wms", "scada")
        ],
        "interface": [
            {"id": f"I-{a}-{b}", "source": f"SYS-{a}", "target": f"SYS-{b}", "domains": STAGES[:3]}
            for a, b in (("erp", "mes"), ("mes", "scada"), ("plm", "mes"), ("wms", "mes"))
        ],
        "energy": [
            {"medium": "electricity", "name": "电", "unit": "kWh", "kgce_per_unit": "0.1229", "source": "GB/T 2589"}
        ],
    }  # fmt: skip
    return parse_register(body, "bench")


def _device(line: str, process: int, machine: int) -> dict[str, Any]:
    name = f"{line}-P{process}-{machine:02d}"
    keyed = process in KEY_PROCESSES and int(line[1:]) <= KEY_LINES
    nc = machine <= 8
    return {
        "id": name,
        "name": f"设备 {name}",
        "line": line,
        "process": f"{line}-P{process}",
        "digital": True,
        "nc": nc,
        "major_nc": nc and machine <= 2,
        "controller": "FANUC 0i" if nc else "",
        "equipment_class": "nc_robot" if nc else "sensing_control",
        "in_service_from": "2024-03-01",
        "points": "key" if keyed else "plain",
        "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": f"p/{name}"},
    }


def _points(name: str, *, key: bool) -> dict[str, Any]:
    limits = {"spec_low": "1", "spec_high": "9"} if key else {}
    process = [{"name": p, "type": "f64", "path": f"$.{p}", "key_parameter": key, **limits} for p in POINTS]
    state = {"name": "state", "type": "i64", "role": "state", "path": "$.s"}
    count = {"name": "count", "type": "i64", "role": "output", "path": "$.n"}
    auto = {"name": "auto", "type": "bool", "role": "auto", "path": "$.a"}
    return {"id": name, "state_map": {"0": "stop", "1": "run"}, "point": [state, count, auto, *process]}


def _item(device: str, point: str) -> dict[str, Any]:
    return {"id": f"I-{device}-{point}", "name": point, "source": "point", "device": device, "point": point}


def _closures() -> list[dict[str, Any]]:
    return [
        {
            "id": f"C{m}",
            "start": f"2026-0{m}-10T00:00:00+08:00",
            "end": f"2026-0{m}-11T00:00:00+08:00",
            "reason": "检修",
            "approver": "厂长",
        }
        for m in (7, 8, 9)
    ]


def _leaf(hour: int, lines: tuple[bytes, ...]) -> Entry:
    kinds = [line[:1] for line in lines]
    body = {
        "hour": hour_text(hour),
        "register": 1,
        "n": kinds.count(b"D"),
        "parameters": kinds.count(b"P"),
        "late": kinds.count(b"L"),
        "root": merkle.root([merkle.leaf_hash(line) for line in lines]).hex(),
        "frames": [0, 0],
        "head": "0" * 64,
        "down": [],
        "clock": {"boot": "0" * 32, "max_error_us": 0, "mono_ms": 0, "sync": "unknown", "wall_ms": hour * 3_600_000},
        "cause": "",
        "sums": {"ok": 0, "failed": 0, "losses": 0, "late": 0},
    }
    return Entry("seal", (hour + 1) * 3_600_000, "collector", body)
