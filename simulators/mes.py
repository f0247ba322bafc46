"""The workshop's production batches, before anybody writes them down: their steps, when they closed, what is wrong with them.

In: a story. Out: `lots(story)`. Some 320 batches over the 95 days; operations stand where a real machine really ran.
Nine batches have one flaw each, every flaw of its own kind (`FLAWS`): they are what 批次追溯率 must find, and nothing else.
Four trial batches were marked beforehand; one batch was split, one is the rework of another; the last few are still open.
The rows that the MES exports about them: simulators/mes_export.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from adapters.batch import Outcome
from simulators.fleet import MACHINE
from simulators.profiles import RUN
from simulators.script import day_script
from simulators.story import FIRST_DAY, TRIAL_DAYS, Story

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
_LAST_END = 23 * 60  # the last step of a day ends before the evening's export


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a batch: [start, end) in minutes of a day of the story."""

    process: str
    device: str
    day: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Link:
    """Where a batch came from: split, rework of `parent`, at (day, minute)."""

    parent: str
    kind: str
    day: int
    minute: int


@dataclass(frozen=True, slots=True)
class Lot:
    """One production batch (批次): its steps, when it was closed (day, minute) and what is wrong with it."""

    id: str
    number: int
    product: str
    quantity: int
    operations: tuple[Operation, ...]
    closed: tuple[int, int] | None
    trial: bool = False
    flaw: str = ""
    link: Link | None = None  # it has no material lots of its own then


@lru_cache(maxsize=2)
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
    return tuple(_with_family(_with_flaws(story, _with_trials(found))))


def _lot(story: Story, n: int, product: str, operations: tuple[Operation, ...], rng: np.random.Generator) -> Lot:
    last = operations[-1]
    closed = (last.day + 1, 600 + int(rng.integers(0, 120)))
    begun = story.date_of(operations[0].day)
    return Lot(
        f"B{begun:%y%m%d}-{n + 1:03d}",
        n + 1,
        product,
        int(rng.integers(12, 60)) * 10,
        operations,
        closed if closed[0] < 0 else None,
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


def _with_trials(found: list[Lot]) -> list[Lot]:
    """The first batch begun on or after each trial day is a trial."""
    for day in TRIAL_DAYS:
        i = next(i for i, lot in enumerate(found) if lot.operations[0].day >= day)
        found[i] = replace(found[i], product="试制 " + found[i].product, trial=True)
    return found


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


def _with_family(found: list[Lot]) -> list[Lot]:
    """One batch is split before grinding, its second half still waits; another is the regrinding of a batch from stock."""
    plain = [
        i
        for i, lot in enumerate(found)
        if lot.product == "阀体 VB-20" and lot.closed and lot.closed[0] >= -60 and not lot.flaw
    ]
    split, before, rework = plain[10], plain[30], plain[36]
    child, source = found[rework], found[before]
    last = child.operations[-1]
    found[rework] = replace(child, operations=(last,), link=Link(source.id, "rework", last.day, last.start - 20))
    whole = found[split]
    cut = whole.operations[2]
    link = Link(whole.id, "split", cut.day, cut.start - 5)
    mother = replace(whole, operations=whole.operations[:2], closed=None)
    halves = [
        replace(whole, id=f"{whole.id}-{k}", operations=steps, closed=closed, quantity=whole.quantity // 2, link=link)
        for k, steps, closed in ((1, whole.operations[2:], whole.closed), (2, (), None))
    ]
    return [*found[:split], mother, *halves, *found[split + 1 :]]
