"""M13 批次追溯率 in plain integers: docs/metrics.md, M13.

In: `Obligation` and the merged records. Out: one `Twin`; members are the batches closed in three months but those set down as trial
before they were closed. Reasons in the order of the page; a batch is traceable when none holds. What comes through links: twin_links.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from evidence_api.verify.evidence import DAY_US, MINUTE_US, Register, to_us
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.records import Row, Rows
from evidence_api.verify.twin_links import ALWAYS, LOT, NEVER, SHIPMENT, Family, Items, Link
from evidence_api.verify.twin_result import Twin, TwinMember, bounds, empty

MONTHS, LEAD_DAYS, COVERAGE_PERCENT = 3, 7, 90
LOWER, VALUE, UPPER = 0, 1, 2
CODES = (
    "cyclic no_lot no_supplier_lot no_operation key_process_missing open_operation no_operator no_program "
    "not_monotonic no_inspection no_shipment no_key_parameter parameter_gap"
).split()


class _Operation(NamedTuple):
    """One operation of a batch; `end` None: not finished."""

    process: str
    device: str
    start: int
    end: int | None
    operator: str
    program: str


class _Fault(NamedTuple):
    """A fault of a row: it stands against every file the row is in."""

    code: str
    at: int
    bounds: tuple[int, ...]


@dataclass(slots=True)
class _Batch:
    """A batch with everything recorded of it. closed None: open."""

    id: str
    closed: int | None
    trial: bool
    entered: int
    operations: list[_Operation] = field(default_factory=list)
    lots: list[Row] = field(default_factory=list)
    inspections: list[tuple[str, int]] = field(default_factory=list)
    shipments: list[tuple[str, int, str]] = field(default_factory=list)

    def items(self) -> Items:
        """What its own rows show, and the earliest moment."""
        found: Items = {LOT: ALWAYS} if self.lots else {}
        seen = [(("operation", p), o.start) for o in self.operations for p in ("", o.process)]
        seen += [(("inspection", process), at) for process, at in self.inspections]
        seen += [(SHIPMENT, NEVER) for _, _, document in self.shipments if document]
        for item, at in seen:
            found[item] = min(at, found.get(item, NEVER))
        return found


def batch_traceability(obligation: Obligation, simulated: bool) -> Twin:
    """M13."""
    register, window = obligation.register, obligation.last_months(MONTHS)
    records = obligation.evidence.records
    if register is None or records is None:
        return empty("M13", "plant", window, simulated)
    batches = read_batches(records)
    closed = [b for b in batches.values() if b.closed is not None and window[0] <= b.closed < window[1]]
    excused = [b for b in closed if b.trial and b.entered < (b.closed or 0)]
    late = [b for b in closed if b.trial and b.entered >= (b.closed or 0)]
    left_out = {b.id for b in excused}
    counted = [b for b in closed if b.id not in left_out]
    files = _Files(obligation, register, batches, records, window)
    members = tuple(_member(files, b) for b in counted)
    lower, value, upper = bounds(members)
    status = "ok" if members else "insufficient_data"
    parameters: dict[str, int | str] = {
        "trial_batches": len(excused),
        "trial_late": len(late),
        "open_batches": sum(b.closed is None for b in batches.values()),
    }
    return Twin("M13", "plant", window, lower, value, upper, None, members, parameters, status, simulated)


def read_batches(records: Rows) -> dict[str, _Batch]:
    """Every batch with its rows. Errors: `ValueError`, `KeyError`."""
    found = {
        row["batch_id"]: _Batch(row["batch_id"], _maybe(row["closed_at"]), row["trial"] == "1", int(row["entered_us"]))
        for row in records.get("batches", [])
    }

    def of(kind: str) -> Iterator[tuple[_Batch, Row]]:
        return ((found[r["batch_id"]], r) for r in records.get(kind, []) if r["batch_id"] in found)

    for batch, row in of("operations"):
        who = (row["process_id"], row["device_id"], instant(row["start"]), _maybe(row["end"]))
        batch.operations.append(_Operation(*who, row["operator"], row["program"]))
    for batch, row in of("lots"):
        batch.lots.append(row)
    for batch, row in of("inspections"):
        batch.inspections.append((row["process_id"], instant(row["at"])))
    for batch, row in of("shipments"):
        batch.shipments.append((row["kind"], instant(row["at"]), row["document"]))
    return found


def instant(text: str) -> int:
    """`2026-10-01T00:30:00Z` in microseconds. Errors: `ValueError` for another spelling."""
    if not text.endswith("Z") or text[10:11] != "T":
        raise ValueError(f"expected a UTC time such as 2026-10-01T00:30:00Z, found {text!r}")
    return to_us(datetime.fromisoformat(text))


def _maybe(text: str) -> int | None:
    return instant(text) if text else None


class _Files:
    """What each batch's file shows and what stands against its rows."""

    def __init__(
        self, obligation: Obligation, register: Register, batches: dict[str, _Batch], records: Rows, window: Any
    ) -> None:
        self.obligation, self.register, self.batches, self.window = obligation, register, batches, window
        links = [Link(r["parent"], r["child"], r["kind"], instant(r["at"])) for r in records.get("links", [])]
        self.links = [k for k in links if k.parent in batches and k.child in batches]
        self.own = {b.id: b.items() for b in batches.values()}
        shipped = {b.id for b in batches.values() if b.shipments}
        self.family = Family.of(self.links, batches, self.own, shipped)
        self._faults: dict[str, dict[tuple[str, int], int]] = {}

    def known(self, batch: str) -> Items:
        """Every item that some row of the file shows."""
        return self.family.known.get(batch, self.own[batch])

    def shows(self, batch: str, item: tuple[str, str]) -> bool:
        """True when the item is proven for the batch."""
        return self.family.shows(batch, item, self.own[batch])

    def faults(self, batch: str) -> dict[tuple[str, int], int]:
        """(code, bound) -> earliest moment of such a fault in the batch's file; ancestors come first, so nothing recurses deep."""
        ahead = [batch]
        while ahead:
            name = ahead[-1]
            links = self.family.sources(name)
            waiting = [k.parent for k in links if k.parent not in self._faults]
            if name not in self._faults and waiting:
                ahead += waiting
                continue
            ahead.pop()
            if name in self._faults:
                continue
            found: dict[tuple[str, int], int] = {}
            for fault in _own_faults(self, self.batches[name]):
                for bound in fault.bounds:
                    found[fault.code, bound] = min(fault.at, found.get((fault.code, bound), NEVER))
            for k in links:
                for key, at in self._faults[k.parent].items():
                    if at < k.at:
                        found[key] = min(at, found.get(key, NEVER))
            self._faults[name] = found
        return self._faults[batch]


def _member(files: _Files, batch: _Batch) -> TwinMember:
    missing, faults = set(_missing(files, batch)), files.faults(batch.id)
    against = [missing | {code for code, b in faults if b == bound} for bound in (LOWER, VALUE, UPPER)]
    lower, value, upper = (not reasons for reasons in against)
    why = next((code for code in CODES if code in against[LOWER]), "ok")
    return TwinMember(batch.id, lower, value or lower, upper or value or lower, why)


def _missing(files: _Files, batch: _Batch) -> Iterator[str]:
    """Reasons 0, 1, 2 and 5: what is not proven though it must be."""
    if files.family.cyclic(batch.id):
        yield "cyclic"
    for code, item in (("no_lot", LOT), ("no_operation", ("operation", "")), ("no_shipment", SHIPMENT)):
        if not files.shows(batch.id, item):
            yield code
    processes = files.register.processes
    ran = {p for what, p in files.known(batch.id) if what == "operation"}
    lines = {processes[p]["line"] for p in ran if p in processes}
    for process in (p for p in processes.values() if p["line"] in lines):
        if process.get("key") and not files.shows(batch.id, ("operation", process["id"])):
            yield "key_process_missing"
        if process.get("inspection") and not files.shows(batch.id, ("inspection", process["id"])):
            yield "no_inspection"


def _own_faults(files: _Files, batch: _Batch) -> Iterator[_Fault]:
    """Faults of the batch's own rows."""
    every = (LOWER, VALUE, UPPER)
    for lot in batch.lots:
        if not lot["supplier_lot"]:
            yield _Fault("no_supplier_lot", ALWAYS, every)
    for at in _out_of_order(files, batch):
        yield _Fault("not_monotonic", at, every)
    for o in batch.operations:
        if files.register.processes.get(o.process, {}).get("key"):
            for code, holds in (
                ("open_operation", o.end is None),
                ("no_operator", not o.operator),
                ("no_program", not o.program),
            ):
                if holds:
                    yield _Fault(code, o.start, every)
            yield from _parameter_faults(files, o)


def _out_of_order(files: _Files, batch: _Batch) -> Iterator[int]:
    """The moment of each row that stands the wrong way round."""
    closed = NEVER if batch.closed is None else batch.closed
    links = files.family.into.get(batch.id, [])
    known = files.known(batch.id)
    begun = known.get(("operation", ""), ALWAYS)
    for o in batch.operations:
        if o.end is not None and (o.end <= o.start or o.end > closed):
            yield o.start
    for process, at in batch.inspections:
        if at < known.get(("operation", process), begun):
            yield at
    made = max([*(o.end for o in batch.operations if o.end is not None), *(k.at for k in links)], default=ALWAYS)
    for kind, at, _ in batch.shipments:
        if at < (made if kind == "ship" else begun):
            yield NEVER
    for k in links:
        if k.at > closed:
            yield k.at


def _parameter_faults(files: _Files, o: _Operation) -> Iterator[_Fault]:
    """Reason 6 of one operation of a key process."""
    if o.end is None or o.end <= o.start:
        return
    device = files.register.devices.get(o.device)
    names = [p["name"] for p in (device.points if device else ()) if p.get("key_parameter")]
    if not names:
        yield _Fault("no_key_parameter", o.start, (LOWER, VALUE))
    for name in names:
        failing = tuple(b for b in (LOWER, VALUE, UPPER) if not _covers(files.obligation, o, name, files.window, b))
        if failing:
            yield _Fault("parameter_gap", o.start, failing)


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
        mask = known[hour].covered if hour in known else 0
        mask |= masks.late if bound != LOWER else 0
        mask |= masks.unseen if bound == UPPER else 0
        covered += (mask & wanted).bit_count()
    return 100 * covered >= COVERAGE_PERCENT * (end - first)
