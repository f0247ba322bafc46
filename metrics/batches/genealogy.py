"""批次谱系: which batch came out of which: split, merge and rework as a directed graph; and questions asked on site.

In: frames of the production records (`links` and the tables of a batch's file). Out: `Genealogy` for M13; `trace_back`
(batch -> lots, by way of its sources) and `trace_forward` (batch -> shipments, by way of what became of it), `batches_of_lot`.
A batch that is its own ancestor, or has such an ancestor, is *cyclic*: nothing can be said of where it came from.
Source: catalogue §4.1 M13 "all links resolve both directions … split/merge/rework = DAG edges". Rules: docs/metrics.md, M13.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from metrics.inputs import Records

FILE_KINDS = ("batches", "lots", "operations", "inspections", "shipments")


@dataclass(frozen=True, slots=True)
class Edge:
    """来源批次 -> 去向批次, at a moment. kind: split, merge, rework."""

    parent: str
    child: str
    kind: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Genealogy:
    """All links. order: linked batches, sources before what came of them; the cyclic ones are not in it."""

    sources: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    results: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    @staticmethod
    def read(links: pl.DataFrame) -> Genealogy:
        """The graph of the rows of kind `links`."""
        columns = (links[c].to_list() for c in ("parent", "child", "kind", "at"))
        edges = [Edge(*row) for row in zip(*columns, strict=True)]
        sources: dict[str, list[Edge]] = defaultdict(list)
        results: dict[str, list[Edge]] = defaultdict(list)
        for edge in edges:
            sources[edge.child].append(edge)
            results[edge.parent].append(edge)
        return Genealogy(_frozen(sources), _frozen(results), _sorted(sources, results))

    @property
    def linked(self) -> set[str]:
        """Batches with a source or a result."""
        return self.sources.keys() | self.results.keys()

    @property
    def cyclic(self) -> set[str]:
        """Batches on a cycle, or downstream of one."""
        return self.linked - set(self.order)

    def ancestors(self, batches: Iterable[str]) -> set[str]:
        """Everything the batches came out of, themselves not included unless they are on a cycle."""
        return _reached(batches, lambda b: (e.parent for e in self.sources.get(b, ())))

    def descendants(self, batches: Iterable[str]) -> set[str]:
        """Everything that came out of the batches."""
        return _reached(batches, lambda b: (e.child for e in self.results.get(b, ())))


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The answer to one question: the batches met (the asked one first), the edges walked, the rows of those batches by kind."""

    batches: tuple[str, ...]
    edges: tuple[Edge, ...]
    cyclic: bool
    rows: Mapping[str, pl.DataFrame]


def trace_back(records: Records, batch: str) -> Trace:
    """追溯: the batch, everything it came out of, and their lots, operations, inspections. Unknown batch: no rows."""
    graph = Genealogy.read(records.frame("links"))
    return _trace(records, graph, batch, graph.ancestors([batch]))


def trace_forward(records: Records, batch: str) -> Trace:
    """追踪: the batch, everything that came out of it, and their shipments."""
    graph = Genealogy.read(records.frame("links"))
    return _trace(records, graph, batch, graph.descendants([batch]))


def batches_of_lot(records: Records, lot: str) -> tuple[str, ...]:
    """Batches that used a lot, by its own number or the supplier's, and everything that came out of them, sorted."""
    lots = records.frame("lots").filter((pl.col("lot_id") == lot) | (pl.col("supplier_lot") == lot))
    used = set(lots["batch_id"].to_list())
    return tuple(sorted(used | Genealogy.read(records.frame("links")).descendants(used)))


def _trace(records: Records, graph: Genealogy, batch: str, others: set[str]) -> Trace:
    met = {batch, *others}
    edges = [e for b in sorted(met) for e in graph.sources.get(b, ()) if e.parent in met]
    rows = {kind: records.frame(kind).filter(pl.col("batch_id").is_in(sorted(met))) for kind in FILE_KINDS}
    return Trace((batch, *sorted(met - {batch})), tuple(edges), not graph.cyclic.isdisjoint(met), rows)


def _frozen(edges: Mapping[str, list[Edge]]) -> dict[str, tuple[Edge, ...]]:
    return {batch: tuple(found) for batch, found in edges.items()}


def _sorted(sources: Mapping[str, list[Edge]], results: Mapping[str, list[Edge]]) -> tuple[str, ...]:
    """Kahn's algorithm: whatever is never free of open sources is on a cycle or behind one."""
    waiting = {batch: len(found) for batch, found in sources.items()}
    ready = deque(batch for batch in results if batch not in sources)
    order = []
    while ready:
        batch = ready.popleft()
        order.append(batch)
        for edge in results.get(batch, ()):
            waiting[edge.child] -= 1
            if waiting[edge.child] == 0:
                ready.append(edge.child)
    return tuple(order)


def _reached(start: Iterable[str], step: Callable[[str], Iterator[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(start)
    while ahead:
        new = [b for batch in ahead for b in step(batch) if b not in found]
        found.update(new)
        ahead = list(dict.fromkeys(new))
    return found
