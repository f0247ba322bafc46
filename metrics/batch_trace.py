"""批次追溯率 (M13): can every batch closed in three months be followed from supplier lot to shipment, with its parameters.

Numerator: batches without any reason against them; denominator: batches closed in the window, trial batches (flagged
beforehand) listed apart. Reasons, in order: no_lot no_supplier_lot no_operation key_process_missing open_operation no_operator
no_program not_monotonic no_inspection no_shipment no_key_parameter parameter_gap. Exact rules: docs/metrics.md, M13.
Undetermined: no records, no batch closed. Source: GS25 第十二条(四)5 每个批次产品均可…可追溯; catalogue §4.1 M13.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from config.records import BatchRecord, InspectionRecord, LotRecord, OperationRecord, RecordSet, ShipmentRecord
from config.register import Register
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.minutes import FULL, MINUTE_US
from metrics.result import Member, MetricResult, Window
from metrics.window import HOUR_US

COVERAGE_PERCENT = 90
NO_RECORDS = "没有导入生产记录 (no records imported): plantproof records import"


def batch_traceability(inputs: Inputs) -> list[MetricResult]:
    """M13 批次追溯率; members are batches."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M13", "plant", window, inputs)]
    if inputs.records is None:
        return [ratio_of_members("M13", "plant", window, inputs, (), notes=(NO_RECORDS,))]
    closed = [b for b in inputs.records.batches if _closed_in(b, window)]
    counted = [b for b in closed if not b.trial]
    files = _files(inputs.records)
    operations = [o for b in counted for o in files[b.batch_id].operations]
    coverage = _Coverage.read(inputs, operations)
    members = tuple(_member(b, files[b.batch_id], inputs.register, coverage) for b in counted)
    trials = tuple((b.batch_id, "试制批，不计 (trial)") for b in closed if b.trial)
    return [
        ratio_of_members(
            "M13",
            "plant",
            window,
            inputs,
            members,
            exclusions=trials,
            parameters=(
                ("coverage_min_percent", COVERAGE_PERCENT),
                ("trial_batches", len(trials)),
                ("open_batches", sum(b.closed_us is None for b in inputs.records.batches)),
            ),
        )
    ]


@dataclass(slots=True)
class _File:
    """产品档案: everything recorded about one batch."""

    operations: list[OperationRecord] = field(default_factory=list)
    lots: list[LotRecord] = field(default_factory=list)
    inspections: list[InspectionRecord] = field(default_factory=list)
    shipments: list[ShipmentRecord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reason:
    """One thing against a batch. It holds for the lower bound; `value` and `upper`: also for those."""

    code: str
    subject: str
    value: bool = True
    upper: bool = True


def _closed_in(batch: BatchRecord, window: Window) -> bool:
    return batch.closed_us is not None and window.start_us <= batch.closed_us < window.end_us


def _files(records: RecordSet) -> dict[str, _File]:
    files: dict[str, _File] = defaultdict(_File)
    for operation in records.operations:
        files[operation.batch_id].operations.append(operation)
    for lot in records.lots:
        files[lot.batch_id].lots.append(lot)
    for inspection in records.inspections:
        files[inspection.batch_id].inspections.append(inspection)
    for shipment in records.shipments:
        files[shipment.batch_id].shipments.append(shipment)
    return files


def _member(batch: BatchRecord, file: _File, register: Register, coverage: _Coverage) -> Member:
    reasons = [
        *_lot_reasons(file),
        *_route_reasons(file, register),
        *_operation_reasons(file, register),
        *_time_reasons(batch, file),
        *_link_reasons(file, register),
        *_parameter_reasons(file, register, coverage),
    ]
    first: dict[str, str] = {}
    for reason in reasons:
        first.setdefault(reason.code, reason.subject)
    return Member(
        batch.batch_id,
        batch.product,
        not reasons,
        not any(r.value for r in reasons),
        not any(r.upper for r in reasons),
        next(iter(first), "ok"),
        tuple(first.items()),
    )


def _lot_reasons(file: _File) -> Iterator[_Reason]:
    if not file.lots:
        yield _Reason("no_lot", "")
    for lot in file.lots:
        if not lot.supplier_lot:
            yield _Reason("no_supplier_lot", f"{lot.item}/{lot.lot_id}")


def _route(file: _File, register: Register) -> tuple[list[str], list[str]]:
    """(key processes, inspection processes) of the lines the batch ran on, in the register's order."""
    ran = {o.process_id for o in file.operations}
    lines = {p.line for p in register.processes if p.id in ran}
    there = [p for p in register.processes if p.line in lines]
    return [p.id for p in there if p.key], [p.id for p in there if p.inspection]


def _route_reasons(file: _File, register: Register) -> Iterator[_Reason]:
    if not file.operations:
        yield _Reason("no_operation", "")
    ran = {o.process_id for o in file.operations}
    for process in _route(file, register)[0]:
        if process not in ran:
            yield _Reason("key_process_missing", process)


def _key_operations(file: _File, register: Register) -> list[OperationRecord]:
    keys = set(_route(file, register)[0])
    return [o for o in file.operations if o.process_id in keys]


def _operation_reasons(file: _File, register: Register) -> Iterator[_Reason]:
    operations = _key_operations(file, register)
    yield from (_Reason("open_operation", o.process_id) for o in operations if o.end_us is None)
    yield from (_Reason("no_operator", o.process_id) for o in operations if not o.operator)
    yield from (_Reason("no_program", o.process_id) for o in operations if not o.program)


def _time_reasons(batch: BatchRecord, file: _File) -> Iterator[_Reason]:
    ends = [o.end_us for o in file.operations if o.end_us is not None]
    starts: dict[str, int] = {}
    for operation in file.operations:
        known = starts.get(operation.process_id, operation.start_us)
        starts[operation.process_id] = min(known, operation.start_us)
        end_us = operation.end_us
        if end_us is None:
            continue
        if end_us <= operation.start_us or (batch.closed_us is not None and end_us > batch.closed_us):
            yield _Reason("not_monotonic", operation.process_id)
    first = min(starts.values(), default=None)
    for inspection in file.inspections:
        earliest = starts.get(inspection.process_id, first)
        if earliest is not None and inspection.at_us < earliest:
            yield _Reason("not_monotonic", f"检验 {inspection.process_id}")
    for shipment in file.shipments:
        earliest = max(ends, default=None) if shipment.kind == "ship" else first
        if earliest is not None and shipment.at_us < earliest:
            yield _Reason("not_monotonic", f"{shipment.kind} {shipment.document}")


def _link_reasons(file: _File, register: Register) -> Iterator[_Reason]:
    inspected = {i.process_id for i in file.inspections}
    for process in _route(file, register)[1]:
        if process not in inspected:
            yield _Reason("no_inspection", process)
    if not any(s.document for s in file.shipments):
        yield _Reason("no_shipment", "")


def _parameter_reasons(file: _File, register: Register, coverage: _Coverage) -> Iterator[_Reason]:
    gaps = []
    for operation in _key_operations(file, register):
        if operation.end_us is None or operation.end_us <= operation.start_us:
            continue
        points = _key_points(register, operation.device_id)
        if not points:
            yield _Reason("no_key_parameter", operation.device_id, upper=False)
        for point in points:
            total, lower, value, upper = coverage.minutes(
                operation.device_id, point, operation.start_us, operation.end_us
            )
            if not _reaches(lower, total):
                subject = f"{operation.device_id}.{point}"
                gaps.append(_Reason("parameter_gap", subject, not _reaches(value, total), not _reaches(upper, total)))
    yield from gaps


def _reaches(covered: int, total: int) -> bool:
    return 100 * covered >= COVERAGE_PERCENT * total


def _key_points(register: Register, device_id: str) -> list[str]:
    device = register.device.get(device_id)
    if device is None or device.points is None:
        return []
    return [p.name for p in register.point_set[device.points].points if p.key_parameter]


@dataclass(frozen=True, slots=True)
class _Coverage:
    """Minute masks of the hours that operations touched. Absent device hours were never seen by anybody."""

    within: range
    points: dict[tuple[str, int, str], int]
    late: dict[tuple[str, int], int]
    unseen: dict[tuple[str, int], int]

    @staticmethod
    def read(inputs: Inputs, operations: list[OperationRecord]) -> _Coverage:
        """Only the hours that are asked for leave the frames."""
        minutes = inputs.minutes
        within = range(minutes.first_hour, minutes.first_hour + minutes.owed.shape[1])
        touched = {
            (o.device_id, hour)
            for o in operations
            if o.end_us is not None
            for hour in _hours(o.start_us, o.end_us, within)
        }
        asked = pl.DataFrame(sorted(touched), {"device": pl.String, "hour": pl.Int64}, orient="row")
        rows = inputs.lines.parameter.join(asked, on=["device", "hour"], how="inner")
        keys = zip(rows["device"].to_list(), rows["hour"].to_list(), rows["point"].to_list(), strict=True)
        position = {name: i for i, name in enumerate(minutes.devices)}
        late, unseen = {}, {}
        for device, hour in touched:
            column = hour - minutes.first_hour
            row = position.get(device)
            if row is not None:
                late[device, hour] = int(minutes.late[row, column])
                unseen[device, hour] = int(minutes.unseen[row, column])
        return _Coverage(within, dict(zip(keys, rows["covered"].to_list(), strict=True)), late, unseen)

    def minutes(self, device: str, point: str, start_us: int, end_us: int) -> tuple[int, int, int, int]:
        """(minutes touching [start, end), covered for lower, value, upper)."""
        first, end = start_us // MINUTE_US, -(-end_us // MINUTE_US)
        lower = value = upper = owned = 0
        for hour in _hours(start_us, end_us, self.within):
            mask = FULL
            if hour == first // 60:
                mask &= FULL >> (first % 60)
            if hour == (end - 1) // 60:
                mask &= FULL & ~(FULL >> ((end - 1) % 60 + 1))
            covered = self.points.get((device, hour, point), 0)
            seen = covered | self.late.get((device, hour), 0)
            possible = seen | self.unseen.get((device, hour), FULL)
            lower += (covered & mask).bit_count()
            value += (seen & mask).bit_count()
            upper += (possible & mask).bit_count()
            owned += mask.bit_count()
        total = end - first
        return total, lower, value, upper + total - owned  # hours outside the lines at hand: unseen


def _hours(start_us: int, end_us: int, within: range) -> range:
    """Hours that touch [start, end), as far as there can be lines."""
    first, end = start_us // HOUR_US, -(-end_us // HOUR_US)
    return range(max(first, within.start), min(end, within.stop))
