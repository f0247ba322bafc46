"""A server's history without a server: what it kept of one node, the habits servers have, a clock that moves when somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from asyncua import ua

from adapters.batch import GOOD, Outcome
from adapters.opcua.history.filling import Filling, Work
from adapters.opcua.history.gaps import Delivered, Gap
from adapters.opcua.history.historyread import HistoryReader, Page, Range
from adapters.opcua.recall import Recall
from adapters.opcua.values.columns import Part, Values
from adapters.rows import Rows
from adapters.template import Source, source_of
from tests.adapters.plant import Recorder, device_of, register_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NODE = ua.NodeId("m1.ramp", 1)
T0 = 1_795_309_323_000_000
KINDS = {"ramp": "i64", "wave": "f64", "half": "f32", "count": "u64", "on": "bool", "label": "str"}


def source(names: Sequence[str] = ("ramp",), **more: Any) -> Source:
    points = [{"name": n, "type": KINDS[n], "node": f"ns=1;s=m1.{n}"} for n in names]
    connection = {"protocol": "opcua", "endpoint": "opc.tcp://127.0.0.1:4840", "mode": "subscribe", **more}
    register = register_of(points, [device_of("m1", connection)], "event")
    return source_of(register, register.devices[0])


def rows_with(of: Source, *values: tuple[int, Any], outcome: Outcome = Outcome.OK, point: int = 0) -> Any:
    """A batch of (source time, value)."""
    rows = Rows(of.device, of.template)
    for us, value in values:
        rows.event(point, value, GOOD, us, us + 1000, outcome)
    return rows.batch()


def recall_of(of: Source) -> Recall:
    return Recall(of)


def page(*values: tuple[int, Any], status: str = "", rest: bytes | None = None, full: bool = False) -> Page:
    """A page of (source time, value)."""
    count = len(values)
    every = np.arange(count)
    stamps = np.array([us for us, _ in values], np.int64)
    part = Part(every, 0, [v for _, v in values])
    return Page(status, Values(every, np.zeros(count, np.uint32), stamps, stamps, (part,)), rest, full)


@dataclass
class StillClock:
    """A clock that moves when somebody sleeps."""

    us: int = T0 + 86_400_000_000

    def now_us(self) -> int:
        return self.us

    async def sleep(self, seconds: float) -> None:
        self.us += int(seconds * 1_000_000)
        await asyncio.sleep(0)


@dataclass
class Historian:
    """A server's history of one node (and others), with the habits that servers have."""

    kept: list[tuple[int, int]]
    page: int = 3
    limit: int = 5
    end_counts: bool = True
    cuts_off: bool = False  # no continuation points: the rest must be asked for
    where: str = "historian"
    asked: int = 0
    held: set[bytes] = field(default_factory=set)
    session: Any = None
    others: dict[ua.NodeId, list[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = SimpleNamespace(alive=True)

    async def learn(self, nodes: Sequence[ua.NodeId]) -> None:
        pass

    def can(self, node: ua.NodeId) -> bool:
        return node == NODE or node in self.others

    async def read(self, nodes: Sequence[tuple[ua.NodeId, bytes | None]], span: Range) -> list[Page]:
        self.asked += 1
        assert len(nodes) <= self.limit
        return [self._page(node, point, span) for node, point in nodes]

    def _page(self, node: ua.NodeId, point: bytes | None, span: Range) -> Page:
        kept = self.others.get(node, self.kept)
        found = [v for v in kept if span.start_us <= v[0] < span.end_us + self.end_counts]
        at = int((point or b"0").split()[0])
        self.held.discard(point or b"")
        part = found[at : at + self.page]
        rest = None
        if at + self.page < len(found) and not self.cuts_off:
            rest = f"{at + self.page} {node}".encode()
            self.held.add(rest)
        return page(*part, rest=rest, full=len(part) == self.page)

    async def release(self, nodes: Sequence[tuple[ua.NodeId, bytes | None]], span: Range) -> None:
        self.held -= {p for _, p in nodes if p}


def node_of(point: int) -> ua.NodeId:
    """The node of each point of `source`."""
    return ua.NodeId(f"m1.{point}", 1) if point else NODE


async def fill(delivered: Delivered, historian: Any, recorder: Recorder, clock: StillClock) -> None:
    filling = Filling(cast(HistoryReader, historian), clock, recorder.emit, lambda _: True)
    recall = recall_of(delivered.source)
    for _ in range(500):
        if not delivered.gaps:
            return
        gaps = sorted(delivered.gaps, key=lambda g: g.from_us)
        await filling.step([Work(delivered, g, node_of(g.point), recall) for g in gaps])
    raise AssertionError(f"expected an end, found {delivered.gaps}")


def seen(recorder: Recorder) -> list[tuple[int, Any]]:
    return [(r["source_us"], v) for r in recorder.rows("m1") for v in r["values"].values()]


def gap_of(delivered: Delivered, of: Source) -> Gap:
    for us in (T0, T0 + 60_000_000):
        delivered.interrupted(0)
        delivered.stored(rows_with(of, (us, us % 97)), T0, notified=True)
    return delivered.gaps[0]
