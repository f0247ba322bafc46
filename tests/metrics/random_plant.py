"""Random plants as vectors: shifts, closures and exclusions in time and late, register changes, late lines, batches with holes.

In: a seed. Out: the `inputs` of a vector (tests/vectors/metrics/README.md). Odd values on purpose: unaligned times, overlaps, gaps.
"""

from __future__ import annotations

import random
from typing import Any

from config.load import parse_register
from metrics.machines.minutes import FULL
from tests.metrics.casefile import us

END_US = us("2026-11-01T00:00:00+08:00")
HOUR = 3_600_000_000
END = END_US // HOUR
FIRST = END - 105 * 24
CONNECTED = {"points": "pts", "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "a"}}


def random_plant(seed: int) -> dict[str, Any]:
    """The `inputs` of one vector."""
    rng = random.Random(seed)
    devices = [_device(rng, f"D{i}") for i in range(rng.randint(1, 6))]
    calendar = _calendar(rng)
    effective = sorted(rng.choice([FIRST - 100, rng.randint(FIRST, END + 20)]) for _ in range(rng.randint(1, 3)))
    registers = []
    for rev, hour in enumerate(effective, 1):
        registers.append(_register(rng, rev, hour, devices, calendar))
        devices = [_changed(rng, d) for d in devices if rng.random() < 0.9] or devices
        calendar = {
            **calendar,
            "closures": [*calendar["closures"], *([_closure(rng, rev)] if rng.random() < 0.5 else [])],
        }
    names = [f"D{i}" for i in range(6)]
    return {
        "at_us": END_US + rng.choice([0, 1, 40_000_000_000]),
        "origin_class": "live",
        "ledger_root": f"{seed:064x}",
        "registers": registers,
        "exclusions": [_exclusion(rng, i, names) for i in range(rng.randint(0, 3))],
        "down": [_down(rng) for _ in range(rng.randint(0, 30))],
        "lines": [b for d in registers[-1]["register"]["device"] for b in _lines(rng, d["id"], effective)],
        "records": _records(rng, registers) if rng.random() < 0.8 else None,
        "recomputed": None,
    }


def _device(rng: random.Random, name: str) -> dict[str, Any]:
    line = rng.choice(["L1", "L1", "L2"])
    body: dict[str, Any] = {
        "id": name,
        "name": name,
        "line": line,
        "in_service_from": rng.choice(["2025-01-01", "2026-09-10"]),
    }
    if rng.random() < 0.8:
        body["process"] = rng.choice(["P1", "P2", "P3"] if line == "L1" else ["P4"])
    if rng.random() < 0.7:
        body |= {"nc": True, "major_nc": rng.random() < 0.5, "controller": rng.choice(["", "FANUC"])}
    if rng.random() < 0.2:
        body["production"] = False
    return body | (CONNECTED if rng.random() < 0.85 else {})


def _changed(rng: random.Random, device: dict[str, Any]) -> dict[str, Any]:
    change = rng.choice(
        [
            {},
            {},
            {"in_service_from": "2026-10-20"},
            {"retired_at": "2026-10-25"},
            {"nc": True},
            {"line": "L1", "process": "P1"},
        ]
    )
    return {**device, **change}


def _calendar(rng: random.Random) -> dict[str, Any]:
    shifts = rng.choice(
        [[], [("08:00", "20:00")], [("08:30", "16:45"), ("22:00", "06:10")], [("00:00", "24:00")], [("07:00", "07:00")]]
    )
    closures = [_closure(rng, 0)] if rng.random() < 0.5 else []
    return {
        "shifts": [{"name": f"s{i}", "start": a, "end": b} for i, (a, b) in enumerate(shifts)],
        "closures": closures,
    }


def _closure(rng: random.Random, rev: int) -> dict[str, Any]:
    day, hours = rng.randint(1, 25), rng.randint(1, 100)
    month, clock = rng.choice(["08", "09", "10"]), rng.choice(["00:00", "17:31"])
    start = f"2026-{month}-{day:02d}T{rng.randint(0, 23):02d}:{clock}+08:00"
    end = us(start) + hours * HOUR + rng.choice([0, 61_000_000])
    lines = rng.choice([{}, {"lines": ["L1"]}, {"lines": ["L2"]}])
    return {"id": f"C{rev}", "start": start, "end": _iso(end), "reason": "停产", "approver": "厂长", **lines}


def _iso(at_us: int) -> str:
    from datetime import timedelta

    from tests.metrics.casefile import EPOCH

    return (EPOCH + timedelta(microseconds=at_us)).isoformat()


def _register(
    rng: random.Random, rev: int, hour: int, devices: list[dict[str, Any]], calendar: dict[str, Any]
) -> dict[str, Any]:
    body = {
        "format": "plantproof-register/1",
        "calendar": calendar,
        "line": [
            {
                "id": "L1",
                "name": "一线",
                "representative": rng.random() < 0.9,
                "commissioned": rng.choice(["2025-01-01", "2026-08-01", "2026-08-02"]),
            },
            {"id": "L2", "name": "二线", "representative": rng.random() < 0.3},
        ],
        "process": [
            {"id": "P1", "name": "车", "line": "L1", "key": True, "inspection": rng.random() < 0.5},
            {"id": "P2", "name": "磨", "line": "L1", "key": rng.random() < 0.7},
            {"id": "P3", "name": "检", "line": "L1", "inspection": True},
            {"id": "P4", "name": "装", "line": "L2", "key": rng.random() < 0.7},
        ],
        "points": [
            {
                "id": "pts",
                "point": [
                    {"name": "temp", "type": "f64", "key_parameter": True, "path": "$.t"},
                    {
                        "name": "prog",
                        "type": "str",
                        "role": "program",
                        "key_parameter": rng.random() < 0.5,
                        "path": "$.p",
                    },
                ],
            }
        ],
        "device": devices,
    }
    register = parse_register(body, "random")
    import json

    return {
        "rev": rev,
        "effective_ms": hour * 3_600_000 + rev * 600_000 + rng.randint(0, 599_999),
        "sha256": register.sha256,
        "register": json.loads(register.canonical_json()),
    }


def _exclusion(rng: random.Random, index: int, names: list[str]) -> dict[str, Any]:
    start = rng.randint(FIRST, END) * 3_600_000 + rng.choice([0, 61_000])
    entered = start + rng.choice([-1, 72 * 3_600_000, 72 * 3_600_000 + 1])
    return {
        "id": f"X{index + 1:06d}",
        "devices": sorted(rng.sample(names, rng.randint(1, 3))),
        "from_ms": start,
        "to_ms": start + rng.randint(1, 200) * 3_600_000,
        "entered_ms": entered,
        "reason": "检修",
        "approver": "厂长",
    }


def _down(rng: random.Random) -> list[int]:
    start = rng.choice([0, rng.randint(0, 3500)])
    return [rng.randint(END - 800, END - 1), start, rng.randint(start + 1, 3600)]


def _lines(rng: random.Random, name: str, effective: list[int]) -> list[dict[str, Any]]:
    blocks, hour = [], FIRST
    good = rng.random() < 0.7
    while hour < END:
        rev = max((i for i, at in enumerate(effective, 1) if at <= hour), default=1)
        hours = min(rng.choice([1, 5, 24, 200, 700]), END - hour, *(at - hour for at in effective if at > hour), 2000)
        mask = rng.choice([FULL] * 8 + [0, FULL >> 6, rng.getrandbits(60)]) if good else rng.getrandbits(60)
        if rng.random() < 0.93:
            blocks += _hour_lines(rng, name, hour, hours, rev, mask)
        hour += hours
    return blocks


def _hour_lines(rng: random.Random, name: str, hour: int, hours: int, rev: int, mask: int) -> list[dict[str, Any]]:
    n = mask.bit_count()
    run = rng.choice(["1800,1800,0"] * 8 + ["0,3600,0", "0,0,3600", ",,"])
    output, auto = rng.choice(["", "0", "60"]), rng.choice(["", "0", "60"])
    cause = rng.choice(["timeout", "refused", "silent"])
    contact = f"{mask:015x},{n},{60 - n},0,0,0,{3600 - 60 * n},{cause if n < 60 else ''}"
    span = {"first_hour": hour, "hours": hours}
    line = f"D,{name},{{hour}},{rev},live,3600,{contact},{run},{output},{auto},{rng.randint(0, 2)},0,p,q"
    blocks: list[dict[str, Any]] = [{"line": line, **span}]
    if rng.random() < 0.8:
        points = rng.choice([FULL, mask, 0, rng.getrandbits(60)])
        known = _known(rng, run)
        blocks.append({"line": f"P,{name},{{hour}},temp,{points:015x},{points.bit_count()},0,{known}", **span})
    if rng.random() < 0.3:
        blocks.append({"line": f"P,{name},{{hour}},prog,{mask:015x},{rng.choice([0, 5])},0,{_known(rng, run)}", **span})
    if rng.random() < 0.3:
        late = f"L,{name},{{hour}},{{source}},{rng.getrandbits(60) & ~mask or 1:015x},1,c"
        blocks.append({"line": late, "lag": rng.choice([1, 5, 168, 169]), **span})
    return blocks


def _known(rng: random.Random, run: str) -> str:
    """run_ok_s and run_in_s of a P line, within the run_s of its D line."""
    if run == ",,":
        return ","
    known = rng.choice([int(run.split(",", maxsplit=1)[0]), rng.randint(0, int(run.split(",", maxsplit=1)[0]))])
    return f"{known},{rng.choice(['', known, rng.randint(0, known)])}"


COLUMNS: dict[str, tuple[str, ...]] = {
    "batches.csv": ("batch_id", "product", "quantity", "closed_at", "trial"),
    "operations.csv": ("batch_id", "process_id", "device_id", "start", "end", "operator", "program"),
    "lots.csv": ("batch_id", "item", "lot_id", "supplier_lot"),
    "inspections.csv": ("batch_id", "process_id", "at", "result"),
    "shipments.csv": ("batch_id", "at", "kind", "document"),
}


def _records(rng: random.Random, registers: list[dict[str, Any]]) -> dict[str, str]:
    """Batches with something missing here and there. Devices are those of every revision, so that links hold."""
    devices = sorted(set.intersection(*({d["id"] for d in r["register"]["device"]} for r in registers)))
    rows: dict[str, list[list[Any]]] = {name: [] for name in COLUMNS}
    for i in range(rng.randint(0, 25) if devices else 0):
        _batch(rng, f"B{i:02d}", devices, rows)
    return {
        name: "\n".join([",".join(columns)] + [",".join(str(c) for c in row) for row in rows[name]]) + "\n"
        for name, columns in COLUMNS.items()
    }


def _batch(rng: random.Random, batch: str, devices: list[str], rows: dict[str, list[list[Any]]]) -> None:
    closed = rng.randint(FIRST, END + 30) * HOUR + rng.choice([0, 1_000_000])
    rows["batches.csv"].append([batch, "轴", 1, "" if rng.random() < 0.05 else _iso(closed), int(rng.random() < 0.05)])
    if rng.random() < 0.9:
        rows["lots.csv"].append([batch, "钢", "K1", "" if rng.random() < 0.1 else "S1"])
    at = closed - rng.randint(20, 400) * HOUR
    for process in ("P1", "P2", "P3", "P4"):
        if rng.random() < 0.9:
            end = at + rng.randint(1, 5 * 3600) * 1_000_000
            end_text = "" if rng.random() < 0.03 else _iso(at if rng.random() < 0.03 else end)
            who, program = rng.choice(["张三"] * 20 + [""]), rng.choice(["O1"] * 20 + [""])
            rows["operations.csv"].append([batch, process, rng.choice(devices), _iso(at), end_text, who, program])
            at = end
        if rng.random() < 0.9:
            rows["inspections.csv"].append([batch, process, _iso(at + rng.choice([0, 1, -400]) * HOUR // 40), "pass"])
    if rng.random() < 0.9:
        kind = rng.choice(["pack", "stock", "ship"])
        rows["shipments.csv"].append(
            [batch, _iso(at + rng.choice([0, 0, 0, -HOUR])), kind, rng.choice(["FH1"] * 9 + [""])]
        )
