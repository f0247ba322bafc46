"""The workshop's MES export: batches, operations, lots, inspections, shipments, as the five CSVs of docs/format/records.md.

In: a story. Out: file name -> CSV text. Some 320 batches over the 95 days; operations stand where a real machine really ran.
Nine batches have one flaw each, every flaw of its own kind (`FLAWS`): they are what 批次追溯率 must find, and nothing else.
Four trial batches were marked beforehand; the last few are still open.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field, replace

import numpy as np

from adapters.batch import Outcome
from simulators.fleet import MACHINE
from simulators.profiles import RUN
from simulators.script import day_script
from simulators.story import FIRST_DAY, Story, local_iso

FLAWS = (
    "no_lot",
    "no_supplier_lot",
    "no_operator",
    "no_program",
    "no_inspection",
    "no_shipment",
    "shipped_before_made",
    "machine_unreachable",
    "sensor_broken",
)
_VALVE = (  # 阀体 VB-20: the key processes of line 1, with machines to choose from
    ("L1-P20", ("L1-CNC-03", "L1-CNC-04")),
    ("L1-P30", ("L1-VMC-01", "L1-VMC-02", "L1-5AX-01")),
    ("L1-P40", ("L1-FUR-01",)),
    ("L1-P50", ("L1-GRD-01", "L1-GRD-02", "L1-GRD-03")),
)
_SHELL = (  # 壳体 HS-08: moulded on line 2, assembled and tested on line 3
    ("L2-P20", ("L2-INJ-01", "L2-INJ-02", "L2-INJ-03", "L2-HYD-01")),
    ("L3-P10", ("L3-ASM-01",)),
    ("L3-P20", ("L3-LKT-01",)),
)
_COLUMNS = {
    "batches.csv": ("batch_id", "product", "quantity", "closed_at", "trial"),
    "operations.csv": ("batch_id", "process_id", "device_id", "start", "end", "operator", "program"),
    "lots.csv": ("batch_id", "item", "lot_id", "supplier_lot"),
    "inspections.csv": ("batch_id", "process_id", "at", "result"),
    "shipments.csv": ("batch_id", "at", "kind", "document"),
}
_LAST_END = 23 * 60  # the last step of a day ends before the evening's export
_OPERATORS = ("白班-张伟", "白班-王芳", "中班-刘洋", "中班-陈静")


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a batch: [start, end) in minutes of a day of the story."""

    process: str
    device: str
    day: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lot:
    """One production batch (批次): its steps, when it was closed (day, minute) and what is wrong with it."""

    id: str
    product: str
    quantity: int
    operations: tuple[Operation, ...]
    closed: tuple[int, int] | None
    trial: bool = False
    flaw: str = ""


@dataclass(slots=True)
class _Rows:
    files: dict[str, list[tuple[object, ...]]] = field(default_factory=lambda: {k: [] for k in _COLUMNS})

    def add(self, file: str, *values: object) -> None:
        self.files[file].append(values)


def records(story: Story) -> dict[str, str]:
    """The five CSVs, UTF-8 text with header row."""
    rows = _Rows()
    for lot in lots(story):
        _write(story, lot, rows)
    return {name: _csv(_COLUMNS[name], body) for name, body in rows.files.items()}


def lots(story: Story) -> tuple[Lot, ...]:
    """Every batch of the story, in order of its first operation."""
    rng = np.random.Generator(np.random.PCG64([story.seed, 7]))
    found: list[Lot] = []
    for day in range(FIRST_DAY, 0):
        for product, route in (("阀体 VB-20", _VALVE), ("壳体 HS-08", _SHELL)):
            for _ in range(2 if day % 3 else 1):
                operations = _route(story, route, day, rng)
                if operations:
                    found.append(_lot(story, len(found), product, operations, rng))
    return tuple(_with_flaws(story, found))


def _lot(story: Story, n: int, product: str, operations: tuple[Operation, ...], rng: np.random.Generator) -> Lot:
    last = operations[-1]
    closed = (last.day + 1, 600 + int(rng.integers(0, 120)))
    begun = story.date_of(operations[0].day)
    trial = n in (41, 118, 197, 260)
    return Lot(
        f"B{begun:%y%m%d}-{n + 1:03d}",
        "试制 " + product if trial else product,
        int(rng.integers(12, 60)) * 10,
        operations,
        closed if closed[0] < 0 else None,
        trial,
    )


def _route(
    story: Story, route: tuple[tuple[str, tuple[str, ...]], ...], day: int, rng: np.random.Generator
) -> tuple[Operation, ...]:
    """One step after the other, each on a machine that was seen running then; empty when the day has no room."""
    steps: list[Operation] = []
    at = int(rng.integers(485, 600))
    for process, machines in route:
        order = [machines[int(i)] for i in rng.permutation(len(machines))]
        length = int(rng.integers(70, 150))
        found = None
        for start in range(at, at + 240, 15):
            found = next((m for m in order if start + length <= _LAST_END and _ran(story, m, day, start, length)), None)
            if found:
                at = start
                break
        if found is None:
            return ()
        steps.append(Operation(process, found, day, at, at + length))
        at += length + int(rng.integers(10, 40))
    return tuple(steps)


def _ran(story: Story, device: str, day: int, start: int, length: int) -> bool:
    """True when every poll of that stretch but a stray one gave good values and the machine ran half of the time."""
    machine = MACHINE[device]
    if not machine.in_service(day):
        return False
    script = day_script(story, machine, day)
    span = slice(max(start - 2, 0), start + length + 2)
    lost = int((script.outcome[span] != Outcome.OK).sum())
    return lost <= 1 and not script.sensor_bad[span].any() and bool((script.state[span] == RUN).mean() >= 0.5)


def _with_flaws(story: Story, found: list[Lot]) -> list[Lot]:
    """Plant each flaw on a batch closed well inside the last three months; the last two move one step into an incident."""
    plain = [i for i, lot in enumerate(found) if lot.closed and lot.closed[0] >= -85 and not lot.trial]
    for k, flaw in enumerate(FLAWS[:7]):
        i = plain[12 + 31 * k]
        found[i] = replace(found[i], flaw=flaw)
    for flaw, kind, device in (
        ("machine_unreachable", "network", "L2-INJ-01"),
        ("sensor_broken", "sensor", "L2-INJ-02"),
    ):
        incident = next(i for i in story.incidents if i.kind == kind)
        day, minute = incident.start
        i = next(i for i in plain if found[i].operations[0].day == day and found[i].operations[0].process == "L2-P20")
        first = Operation("L2-P20", device, day, minute + 20, minute + 140)
        later = tuple(
            replace(o, day=day + 1, start=540 + 150 * k, end=630 + 150 * k)
            for k, o in enumerate(found[i].operations[1:])
        )
        found[i] = replace(found[i], operations=(first, *later), closed=(day + 2, 600), flaw=flaw)
    return found


def _write(story: Story, lot: Lot, rows: _Rows) -> None:
    def at(day: int, minute: int) -> str:
        return local_iso(story.at_us(day, minute))

    n = int(lot.id[-3:])
    rows.add("batches.csv", lot.id, lot.product, lot.quantity, at(*lot.closed) if lot.closed else "", int(lot.trial))
    for step, op in enumerate(lot.operations):
        operator = "" if lot.flaw == "no_operator" and step == 1 else _OPERATORS[2 * (op.start >= 960) + n % 2]
        program = "" if lot.flaw == "no_program" and step == 1 else f"O{1000 + 100 * step + n % 7}"
        start, end = at(op.day, op.start), at(op.day, op.end)
        rows.add("operations.csv", lot.id, op.process, op.device, start, end, operator, program)
        if not (lot.flaw == "no_inspection" and step == 0):
            result = "fail" if (n + step) % 97 == 0 else "pass"
            rows.add("inspections.csv", lot.id, op.process, at(op.day, op.end + 3), result)
    if lot.flaw != "no_lot":
        for item, code in _items(lot.product):
            supplier = "" if lot.flaw == "no_supplier_lot" else f"S{code}-{2600 + n // 5}"
            rows.add("lots.csv", lot.id, item, f"M{code}-{n // 3:04d}", supplier)
    if lot.closed and lot.flaw != "no_shipment":
        _ship(story, lot, n, rows)


def _ship(story: Story, lot: Lot, n: int, rows: _Rows) -> None:
    assert lot.closed is not None  # noqa: S101 - only closed batches are shipped
    day, minute = lot.closed
    first = lot.operations[0]
    packed = (first.day, first.start - 30) if lot.flaw == "shipped_before_made" else (day, minute - 60)
    rows.add("shipments.csv", lot.id, local_iso(story.at_us(*packed)), "pack", f"BZ{n:05d}")
    if lot.flaw != "shipped_before_made":
        rows.add("shipments.csv", lot.id, local_iso(story.at_us(day, minute - 20)), "stock", f"RK{n:05d}")


def _items(product: str) -> tuple[tuple[str, str], ...]:
    if product.endswith("VB-20"):
        return (("棒料 42CrMo", "B42"), ("密封圈", "SEA"))
    return (("PA66 粒料", "P66"), ("嵌件", "INS"))


def _csv(header: tuple[str, ...], body: list[tuple[object, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(body)
    return out.getvalue()
