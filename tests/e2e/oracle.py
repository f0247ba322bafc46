"""What the ratios must be, worked out from the truth log: imports nothing of ours, standard library only.

In: `truth.jsonl` (simulators/truth.py), the register as TOML (last revision), the folder of the record CSVs, in one or more revisions.
Out: `expect()`: per metric and scope `numerator`, `denominator`, the ids that miss, and what paper says where it says something.
The definitions are docs/metrics.md, read by a second person: lower and value agree, since nothing comes late here.
Of records only M10 and M13 are worked out; what the offices hand in can be told by hand (tests/e2e/test_instruments.py).
"""

from __future__ import annotations

import calendar
import csv
import json
import tomllib
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

TZ = timezone(timedelta(hours=8))
Thing = dict[str, Any]
Hours = dict[tuple[str, int], Thing]


def expect(truth: Path, register: Path, folder: Path) -> Thing:
    facts = [json.loads(line) for line in truth.read_text("utf-8").splitlines()]
    plant = tomllib.loads(register.read_text("utf-8"))
    today = date.fromisoformat(next(f["today"] for f in facts if f["fact"] == "story"))
    year, month = divmod(today.year * 12 + today.month - 4, 12)
    start = date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
    days30, months3 = (midnight(today) - 720, midnight(today)), (midnight(start), midnight(today))
    hours: Hours = {}
    for fact in (f for f in facts if f["fact"] == "hours"):
        for row in fact["hours"]:
            line = hours[fact["device"], row[0]] = dict(zip(fact["columns"], row, strict=False))
            line["covered"], line["key"] = int(line["covered"], 16), int(line.get("key_covered", line["covered"]), 16)
    owed = Owed(plant, [f for f in facts if f["fact"] == "excused"])
    devices = [d for d in plant["device"] if d.get("production", True) and serves(d, today - timedelta(days=1))]
    online = {d["id"] for d in devices if networked(d, hours, owed, days30)}
    keys = {p["id"] for p in plant["process"] if p.get("key")}
    auto = {d for (d, h), x in hours.items() if days30[0] <= h < days30[1] and x.get("auto_s")}
    proven = {d["id"] for d in devices if d.get("nc") and d.get("controller") and d["id"] in auto}
    result = {"M01 plant": ratio(devices, online)}
    result["M03 plant"] = ratio([d for d in devices if d.get("major_nc") or d.get("machining_centre")], online)
    result["M06 plant"] = ratio([d for d in devices if d["process"] in keys], proven, "nc")
    records = Records(folder)
    result["M13 plant"] = traceable(plant, records, hours, months3)
    result["M10 plant"] = dispatched(plant, records, months3, lambda d: True)
    for line in (x["id"] for x in plant["line"] if x.get("representative")):
        here = [d for d in devices if d["line"] == line]
        result[f"M05 line:{line}"] = ratio(here, proven, "nc")
        result[f"M06 line:{line}"] = ratio([d for d in here if d["process"] in keys], proven, "nc")
        result[f"M10 line:{line}"] = dispatched(plant, records, months3, lambda d, own=line: d["line"] == own)
        ever = [d for d in plant["device"] if d["line"] == line and d["process"] in keys and d.get("production", True)]
        result[f"M11 line:{line}"] = stable(ever, hours, owed, months3)
    return result


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=TZ).timestamp()) // 3600


def serves(device: Thing, day: date) -> bool:
    return bool(device["in_service_from"] <= day < device.get("retired_at", date.max))


def ratio(members: list[Thing], counted: set[str], paper: str = "") -> Thing:
    missing = sorted(d["id"] for d in members if d["id"] not in counted)
    found = {"numerator": len(members) - len(missing), "denominator": len(members), "missing": missing}
    return found | ({"declared": sum(bool(d.get(paper)) for d in members)} if paper else {})


class Owed:  # minutes in which a machine had to be seen: the planned shifts without what was excused in time
    def __init__(self, plant: Thing, excused: list[Thing]) -> None:
        clock = [[int(s[k][:2]) * 60 + int(s[k][3:]) for k in ("start", "end")] for s in plant["calendar"]["shifts"]]
        self.planned = {minute for a, b in clock for minute in range(a, b)}
        self.spans = [(e["devices"], e["why"], e["from_us"] // 60_000_000, e["to_us"] // 60_000_000) for e in excused]
        self.devices = {d["id"]: d for d in plant["device"]}

    def bits(self, device: str, hour: int) -> int:
        local = datetime.fromtimestamp(hour * 3600, TZ)
        spans = [(a, b) for ids, why, a, b in self.spans if why == "closure" or device in ids]
        due = [
            local.hour * 60 + m in self.planned and not any(a <= hour * 60 + m < b for a, b in spans) for m in range(60)
        ]
        return int("".join("01"[d] for d in due), 2) * serves(self.devices[device], local.date())


def networked(device: Thing, hours: Hours, owed: Owed, window: tuple[int, int]) -> bool:
    due = seen = tail = 0
    days = set()
    for hour in range(*window):
        bits = owed.bits(device["id"], hour)
        got = hours.get((device["id"], hour), {"covered": 0})["covered"] & bits
        due, seen = due + bits.bit_count(), seen + got.bit_count()
        tail = (bits & ((got & -got) - 1)).bit_count() if got else tail + bits.bit_count()
        days |= {(hour + 8) // 24} if bits else set()
    return "connection" in device and len(days) >= 7 and 100 * seen >= 90 * due > 0 and tail <= 1440


def stable(devices: list[Thing], hours: Hours, owed: Owed, window: tuple[int, int]) -> Thing:
    words = []
    for day in range(*window, 24):
        status: dict[str, set[str]] = defaultdict(set)
        for d in devices:
            bits = {h: owed.bits(d["id"], h) for h in range(day, day + 24)}
            lines = {h: hours.get((d["id"], h), {"covered": 0}) for h in bits}
            due = sum(b.bit_count() for b in bits.values())
            covered = 100 * sum((lines[h]["covered"] & b).bit_count() for h, b in bits.items()) >= 90 * due
            ran = any((x.get("run_s") or 0) > 0 or (x.get("output") or 0) > 0 for x in lines.values())
            status[d["process"]] |= {"R" if covered and ran else "S" if covered else "U"} if due else set()
        judged = [s for s in status.values() if s]
        run, maybe = all("R" in s for s in judged), all(s & {"R", "U"} for s in judged)
        words.append("E" if not judged else "R" if run else "U" if maybe else "S")
    return {"numerator": words.count("R"), "denominator": len(words) - words.count("E"), "unknown": words.count("U")}


KEYS = {"batches": 1, "operations": 4, "lots": 3, "inspections": 3, "shipments": 3, "links": 3, "dispatches": 1}


class Records:  # rows of all revisions by kind and key, the last cell that says something; the whole `file` of a batch
    def __init__(self, folder: Path) -> None:
        self.of: dict[str, dict[tuple[str, ...], dict[str, str]]] = {kind: {} for kind in KEYS}
        for kind, keys in KEYS.items():
            for path in sorted(folder.rglob(f"{kind}.csv")):
                for row in csv.DictReader(path.read_text("utf-8").splitlines()):
                    known = self.of[kind].setdefault(tuple(row.values())[:keys], {})
                    known |= {name: cell for name, cell in row.items() if cell or name not in known}

    def file(self, kind: str, batch: str) -> list[dict[str, str]]:
        before = [x["parent"] for x in self.of["links"].values() if x["child"] == batch]
        own = [x for x in self.of[kind].values() if x["batch_id"] == batch]
        return own + [x for parent in before for x in self.file(kind, parent)]


def dispatched(plant: Thing, records: Records, window: tuple[int, int], wanted: Any) -> Thing:
    nc = {d["id"] for d in plant["device"] if d.get("production", True) and d.get("nc") and wanted(d)}
    jobs = [x for x in records.of["operations"].values() if x["device_id"] in nc]
    jobs = [x for x in jobs if window[0] * 3600 <= at(x["start"]) < window[1] * 3600]
    where = ("batch_id", "process_id", "device_id")
    sent = {tuple(x[k] for k in where): x for x in records.of["dispatches"].values() if x["method"] == "network"}
    missing = []
    for job in jobs:
        order = sent.get(tuple(job[k] for k in where), {"at": job["end"], "program": "", "acked_at": ""})
        begun, same = at(job["start"]), order["program"] == job["program"] != ""
        if not (same and at(order["at"]) <= begun and order["acked_at"] and at(order["acked_at"]) <= begun + 900):
            missing.append(job["batch_id"])
    return {"numerator": len(jobs) - len(missing), "denominator": len(jobs), "batches": sorted(missing)}


def traceable(plant: Thing, records: Records, hours: Hours, window: tuple[int, int]) -> Thing:
    lines = {p["id"]: p["line"] for p in plant["process"]}
    closed = {b: x["closed_at"] for (b,), x in records.of["batches"].items() if x["trial"] == "0" and x["closed_at"]}
    members = [b for b, end in closed.items() if window[0] * 3600 <= at(end) < window[1] * 3600]
    why: dict[str, str] = {}
    for batch in members:
        steps, lots, checked = (records.file(kind, batch) for kind in ("operations", "lots", "inspections"))
        ships = [x for x in records.of["shipments"].values() if x["batch_id"] == batch]
        route = [p for p in plant["process"] if p["line"] in {lines[s["process_id"]] for s in steps}]
        key, checks = ({p["id"] for p in route if p.get(flag)} for flag in ("key", "inspection"))
        flaws = {
            "no_lot": not lots,
            "no_supplier_lot": any(not x["supplier_lot"] for x in lots),
            "key_process_missing": not key <= {s["process_id"] for s in steps},
            "no_operator": any(not s["operator"] for s in steps),
            "no_program": any(not s["program"] for s in steps),
            "not_monotonic": any(at(x["at"]) < min(at(s["start"]) for s in steps) for x in ships),
            "no_inspection": not checks <= {x["process_id"] for x in checked},
            "no_shipment": not any(x["document"] for x in ships),
            "parameter_gap": any(unseen(s, hours) for s in steps if s["process_id"] in key),
        }
        why[batch] = next((word for word in flaws if flaws[word]), "")
    wrong = {batch: word for batch, word in why.items() if word}
    return {"numerator": len(members) - len(wrong), "denominator": len(members), "missing": sorted(wrong), "why": wrong}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def unseen(step: dict[str, str], hours: Hours) -> bool:
    span = range(at(step["start"]) // 60, -(-at(step["end"]) // 60))
    seen = [hours.get((step["device_id"], m // 60), {"key": 0})["key"] >> (59 - m % 60) & 1 for m in span]
    return bool(100 * sum(seen) < 90 * len(span))
