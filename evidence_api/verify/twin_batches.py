"""M13 批次追溯率 in plain integers: docs/metrics.md, M13.

In: `Obligation` and the records of the newest import as rows of text. Out: one `Twin`; members are the batches closed in three
months. Reasons in the order of the page; a batch is traceable when none holds. Times without an offset are plant time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from evidence_api.verify.evidence import DAY_US, MINUTE_US, Register, to_us
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.twin_result import Twin, TwinMember, bounds, empty

MONTHS, LEAD_DAYS, COVERAGE_PERCENT = 3, 7, 90
LOWER, VALUE, UPPER = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation of a batch; `end` None: not finished."""

    process: str
    device: str
    start: int
    end: int | None
    operator: str
    program: str


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch with everything recorded of it."""

    id: str
    closed: int
    operations: list[_Operation]
    lots: list[dict[str, str]]
    inspections: list[tuple[str, int]]
    shipments: list[tuple[str, int, str]]


def batch_traceability(obligation: Obligation, simulated: bool) -> Twin:
    """M13."""
    register, window = obligation.register, obligation.last_months(MONTHS)
    records = obligation.evidence.records
    if register is None or records is None:
        return empty("M13", "plant", window, simulated)
    members = tuple(_member(obligation, register, b, window) for b in read_batches(records, register.tz, window))
    lower, value, upper = bounds(members)
    status = "ok" if members else "insufficient_data"
    return Twin("M13", "plant", window, lower, value, upper, None, members, {}, status, simulated)


def read_batches(records: dict[str, list[dict[str, str]]], tz: timezone, window: tuple[int, int]) -> list[_Batch]:
    """Batches closed in the window that are not trial, with their rows. Errors: `ValueError`, `KeyError`."""
    found: dict[str, _Batch] = {}
    for row in records["batches.csv"]:
        if row["closed_at"] and row["trial"] == "0" and window[0] <= (at := _us(row["closed_at"], tz)) < window[1]:
            found[row["batch_id"]] = _Batch(row["batch_id"], at, [], [], [], [])
    for row in records["operations.csv"]:
        if row["batch_id"] in found:
            end = _us(row["end"], tz) if row["end"] else None
            who = (row["process_id"], row["device_id"], _us(row["start"], tz), end, row["operator"], row["program"])
            found[row["batch_id"]].operations.append(_Operation(*who))
    for row in records["lots.csv"]:
        if row["batch_id"] in found:
            found[row["batch_id"]].lots.append(row)
    for row in records["inspections.csv"]:
        if row["batch_id"] in found:
            found[row["batch_id"]].inspections.append((row["process_id"], _us(row["at"], tz)))
    for row in records["shipments.csv"]:
        if row["batch_id"] in found:
            found[row["batch_id"]].shipments.append((row["kind"], _us(row["at"], tz), row["document"]))
    return list(found.values())


def _us(text: str, tz: timezone) -> int:
    at = datetime.fromisoformat(text)
    return to_us(at if at.tzinfo else at.replace(tzinfo=tz))


def _member(obligation: Obligation, register: Register, batch: _Batch, window: tuple[int, int]) -> TwinMember:
    on_paper = _paper_reasons(register, batch)
    flags, why = [], ""
    for bound in (LOWER, VALUE, UPPER):
        reasons = on_paper or _parameter_reasons(obligation, register, batch, window, bound)
        flags.append(not reasons)
        if bound == LOWER:
            why = reasons[0] if reasons else "ok"
    lower, value, upper = flags
    return TwinMember(batch.id, lower, value or lower, upper or value or lower, why)


def _paper_reasons(register: Register, batch: _Batch) -> list[str]:
    """Reasons 1 to 5, in order."""
    processes = register.processes
    lines = {processes[o.process]["line"] for o in batch.operations if o.process in processes}
    route = [p for p in processes.values() if p["line"] in lines]
    done = {o.process for o in batch.operations}
    key = _key_operations(register, batch)
    checked = {process for process, _ in batch.inspections}
    reasons = (
        ("no_lot", not batch.lots),
        ("no_supplier_lot", any(not lot["supplier_lot"] for lot in batch.lots)),
        ("no_operation", not batch.operations),
        ("key_process_missing", any(p.get("key") and p["id"] not in done for p in route)),
        ("open_operation", any(o.end is None for o in key)),
        ("no_operator", any(not o.operator for o in key)),
        ("no_program", any(not o.program for o in key)),
        ("not_monotonic", _not_monotonic(batch)),
        ("no_inspection", any(p.get("inspection") and p["id"] not in checked for p in route)),
        ("no_shipment", not any(document for _, _, document in batch.shipments)),
    )
    return [code for code, holds in reasons if holds]


def _not_monotonic(batch: _Batch) -> bool:
    starts = [o.start for o in batch.operations]
    ends = [o.end for o in batch.operations if o.end is not None]
    if any(o.end is not None and (o.end <= o.start or o.end > batch.closed) for o in batch.operations):
        return True
    for process, at in batch.inspections:
        own = [o.start for o in batch.operations if o.process == process] or starts
        if own and at < min(own):
            return True
    for kind, at, _ in batch.shipments:
        if kind == "ship" and ends and at < max(ends):
            return True
        if kind != "ship" and starts and at < min(starts):
            return True
    return False


def _parameter_reasons(
    obligation: Obligation, register: Register, batch: _Batch, window: tuple[int, int], bound: int
) -> list[str]:
    """Reason 6 for one bound."""
    found = []
    for o in _key_operations(register, batch):
        if o.end is None or o.end <= o.start:
            continue
        device = register.devices.get(o.device)
        points: tuple[dict[str, Any], ...] = device.points if device else ()
        names = [p["name"] for p in points if p.get("key_parameter")]
        if not names and bound != UPPER:
            found.append("no_key_parameter")
        for name in names:
            if not _covers(obligation, o, name, window, bound):
                found.append("parameter_gap")
    return sorted(found, key=("no_key_parameter", "parameter_gap").index)


def _covers(obligation: Obligation, operation: _Operation, point: str, window: tuple[int, int], bound: int) -> bool:
    first, end = operation.start // MINUTE_US, -(-(operation.end or 0) // MINUTE_US)
    known = obligation.evidence.parameters.get((operation.device, point), {})
    device = obligation.registers[-1].devices[operation.device]
    lead, now = (window[0] - LEAD_DAYS * DAY_US) // MINUTE_US, window[1] // MINUTE_US
    inside = range(max(first, lead), min(end, now))  # elsewhere no lines count: unseen
    covered = end - first - len(inside) if bound == UPPER else 0
    for hour in range(inside.start // 60, -(-inside.stop // 60)) if inside else ():
        from_minute, to_minute = max(inside.start - hour * 60, 0), min(inside.stop - hour * 60, 60)
        wanted = ((1 << (to_minute - from_minute)) - 1) << (60 - to_minute)
        masks = obligation.masks(device, hour)
        mask = known.get(hour, (0, 0))[0]
        mask |= masks.late if bound != LOWER else 0
        mask |= masks.unseen if bound == UPPER else 0
        covered += (mask & wanted).bit_count()
    return 100 * covered >= COVERAGE_PERCENT * (end - first)


def _key_operations(register: Register, batch: _Batch) -> list[_Operation]:
    return [o for o in batch.operations if register.processes.get(o.process, {}).get("key")]
