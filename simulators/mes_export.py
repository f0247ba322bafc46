"""What the workshop's MES says about its batches: orders, batches, operations, dispatches, lots, inspections, shipments, alarms.

In: a story. Out: `production_rows(story)`, each with the moment from which it is known. Programs reach the machines over the
network but for three that somebody carried on a USB stick, two nobody recorded and one that was answered too late (`DISPATCH_FLAWS`).
Furnace, assembly and leak test inspect by themselves; the other processes are measured by hand. A few rows are wrong: quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from simulators.fleet import MACHINE
from simulators.mes import Lot, Operation, lots
from simulators.record_row import RecordRow, row
from simulators.story import FIRST_DAY, FORGOTTEN_DAYS, FOUND_DAY, NOTICE, TRIAL_DAYS, Story, local_iso

_OPERATORS = ("白班-张伟", "白班-王芳", "中班-刘洋", "中班-陈静")
AUTOMATIC = {"L1-P40": "L1-FUR-01", "L3-P10": "L3-ASM-01", "L3-P20": "L3-LKT-01"}  # 在线检测: process, what inspects
DISPATCH_FLAWS = {
    20: "usb",
    21: "usb",
    22: "usb",
    40: "none",
    41: "none",
    60: "late",
}  # n-th milled batch -> its milling job
_ALARMS = (  # process, device, raised (day, minute), diagnosis, minutes until closed (None: still open)
    ("L1-P40", "L1-FUR-01", (-61, 615), "温控模块通讯中断，更换网线", 280),
    ("L1-P40", "L1-FUR-01", (-18, 130), "温控模块故障，更换备件", 60),
    ("L3-P20", "L3-LKT-01", (-33, 545), "网关固件异常，重启", 35),
    ("L3-P10", "L3-ASM-01", (-6, 1000), "", None),
)


def production_rows(story: Story) -> Iterator[RecordRow]:
    """Every row of the MES, batch by batch."""
    yield from _orders(story)
    milled = 0
    for lot in lots(story):
        yield from _batch(story, lot)
        for step, op in enumerate(lot.operations):
            milling = op.process == "L1-P30" and not lot.trial
            milled += milling
            yield from _step(story, lot, step, op, DISPATCH_FLAWS.get(milled, "") if milling else "")
        yield from _material(story, lot)
        yield from _shipping(story, lot)
    yield from _alarms(story)
    yield from _wrong(story)


def _orders(story: Story) -> Iterator[RecordRow]:
    """One order per product and week of the story."""
    for week in range(14):
        first = FIRST_DAY + 7 * week
        for product in ("阀体 VB-20", "壳体 HS-08"):
            begun = story.at_us(first, 460)
            cells = {"product": product, "released_at": local_iso(begun), "due_on": story.date_of(first + 10)}
            open_order = row("orders", 1, begun, order_id=_order(product, first), **cells)
            yield open_order
            if first + 8 < 0:
                end = story.at_us(first + 8, 720)
                yield replace(open_order, known_us=end, cells={**open_order.cells, "finished_at": local_iso(end)})


def _order(product: str, day: int) -> str:
    return f"GD-{'V' if product.endswith('VB-20') else 'H'}{(day - FIRST_DAY) // 7 + 1:02d}"


def _batch(story: Story, lot: Lot) -> Iterator[RecordRow]:
    begun = _begun(story, lot)
    if lot.trial:  # the planner's notice, before anything was made
        begun = story.at_us(max(d for d in TRIAL_DAYS if d <= lot.operations[0].day), NOTICE - 5)
    cells = {"product": lot.product, "quantity": lot.quantity, "trial": lot.trial}
    if not lot.trial:
        cells["order_id"] = _order(lot.product, story.day_of(_begun(story, lot)))
    opened = row("batches", 1, begun, batch_id=lot.id, **cells)
    yield opened
    if lot.closed:
        closed = story.at_us(*lot.closed)
        yield replace(opened, known_us=closed, cells={**opened.cells, "closed_at": local_iso(closed)})
    if lot.link:
        at = story.at_us(lot.link.day, lot.link.minute)
        yield row("links", 3, at, parent=lot.link.parent, child=lot.id, kind=lot.link.kind, at=local_iso(at))


def _begun(story: Story, lot: Lot) -> int:
    if lot.operations:
        return story.at_us(lot.operations[0].day, lot.operations[0].start)
    assert lot.link is not None  # noqa: S101 - only the waiting half of a split has no steps yet
    return story.at_us(lot.link.day, lot.link.minute)


def _step(story: Story, lot: Lot, step: int, op: Operation, flaw: str) -> Iterator[RecordRow]:
    n = lot.number
    start, end = story.at_us(op.day, op.start), story.at_us(op.day, op.end)
    operator = "" if lot.flaw == "no_operator" and step == 1 else _OPERATORS[2 * (op.start >= 960) + n % 2]
    program = f"O{1000 + 100 * step + n % 7}"
    said = "" if lot.flaw == "no_program" and step == 1 else program
    where = {"batch_id": lot.id, "process_id": op.process, "device_id": op.device}
    yield row(
        "operations", 4, end, **where, start=local_iso(start), end=local_iso(end), operator=operator, program=said
    )
    if MACHINE[op.device].nc and flaw != "none":
        sent = story.at_us(op.day, op.start - 6)
        acked = story.at_us(op.day, op.start + (25 if flaw == "late" else -5))
        method = {"method": "usb"} if flaw == "usb" else {"method": "network", "acked_at": local_iso(acked)}
        job = f"PG-{lot.id}-{op.process}"
        yield row("dispatches", 1, end, job_id=job, **where, at=local_iso(sent), program=program, **method)
    if not (lot.flaw == "no_inspection" and step == 0):
        at = story.at_us(op.day, op.end + 3)
        result = "fail" if (n + step) % 97 == 0 else "pass"
        found = row("inspections", 3, at, batch_id=lot.id, process_id=op.process, at=local_iso(at), result=result)
        device = AUTOMATIC.get(op.process, "")
        yield replace(found, cells={**found.cells, "device_id": device, "automatic": str(int(bool(device)))})


def _material(story: Story, lot: Lot) -> Iterator[RecordRow]:
    if lot.flaw == "no_lot" or lot.link:
        return
    n, at = lot.number, _begun(story, lot)
    for item, code in _items(lot.product):
        supplier = "" if lot.flaw == "no_supplier_lot" else f"S{code}-{2600 + n // 5}"
        yield row("lots", 3, at, batch_id=lot.id, item=item, lot_id=f"M{code}-{n // 3:04d}", supplier_lot=supplier)


def _items(product: str) -> tuple[tuple[str, str], ...]:
    if product.endswith("VB-20"):
        return (("棒料 42CrMo", "B42"), ("密封圈", "SEA"))
    return (("PA66 粒料", "P66"), ("嵌件", "INS"))


def _shipping(story: Story, lot: Lot) -> Iterator[RecordRow]:
    if not lot.closed or lot.flaw == "no_shipment":
        return
    day, minute = lot.closed
    early = lot.flaw == "shipped_before_made"
    packed = (lot.operations[0].day, lot.operations[0].start - 30) if early else (day, minute - 60)
    papers = [("pack", "BZ", packed)] + ([] if early else [("stock", "RK", (day, minute - 20))])
    for kind, prefix, moment in papers:
        at = story.at_us(*moment)
        known = story.at_us(FOUND_DAY, 700) if day in FORGOTTEN_DAYS else at
        yield row(
            "shipments", 3, known, batch_id=lot.id, at=local_iso(at), kind=kind, document=f"{prefix}{lot.number:05d}"
        )


def _alarms(story: Story) -> Iterator[RecordRow]:
    for n, (process, device, (day, minute), diagnosis, minutes) in enumerate(_ALARMS, 1):
        raised = story.at_us(day, minute)
        cells = {"raised_at": local_iso(raised)}
        known = raised
        if minutes is not None:
            known = story.at_us(day, minute + minutes)
            cells |= {"diagnosis": diagnosis, "diagnosed_at": local_iso(story.at_us(day, minute + minutes // 2))}
            cells["closed_at"] = local_iso(known)
        yield row("alarms", 1, known, alarm_id=f"BJ-{n:03d}", process_id=process, device_id=device, **cells)


def _wrong(story: Story) -> Iterator[RecordRow]:
    """What a clerk mistypes: an unknown machine, an end before its start, an unknown batch, a changed quantity, a day to come."""
    known, first = story.at_us(-35, 1000), lots(story)[60]
    day = local_iso(story.at_us(-36, 600)), local_iso(story.at_us(-36, 660))
    step = {"batch_id": first.id, "process_id": "L1-P20"}
    rows = (
        row("operations", 4, known, **step, device_id="L1-CNC-99", start=day[0], end=day[1], operator="白班-张伟"),
        row("operations", 4, known, **step, device_id="L1-CNC-03", start=day[1], end=day[0], operator="白班-张伟"),
        row("inspections", 3, known, batch_id="B000000-000", process_id="L1-P20", at=day[0], result="pass"),
        row("batches", 1, known, batch_id=first.id, product=first.product, quantity=first.quantity + 500, trial=False),
        row(
            "shipments",
            3,
            known,
            batch_id=first.id,
            at=local_iso(story.at_us(30, 600)),
            kind="ship",
            document="FH00001",
        ),
    )
    for n, wrong in enumerate(rows):
        yield replace(wrong, wrong=True, key=(f"wrong {n}",))
