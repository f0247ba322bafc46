"""分批、合批、返工: what a batch's file shows when the batch came out of others, or went on into others (M13).

In: own *items* of each batch, (b, what, p, first): the earliest moment at which its rows show a lot, a process, an inspection or a
shipment; the genealogy. Out: the items of its file. A batch's file is its own rows and, for each link into it, the rows of the source's
file from before the link. `known` has an item when any row shows it; `proven` only when every source shows it (a merge is as
good as its worst part), or when the batch was passed on whole and every batch it became shows it. Definition: docs/metrics.md, M13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from metrics.batches.genealogy import Edge, Genealogy

LOT, OPERATION, PROCESS, INSPECTION, SHIPMENT = range(5)
ALWAYS = -(1 << 62)  # a lot has no time: it belongs to the file at every link
NEVER = 1 << 62  # a shipment stays with its batch
WHOLE = ("split", "merge")  # after a rework the rest of the batch is still there
_PLACES = 20  # an item's key is what << 20 | p + 1; p is -1 where there is no process
_LOTS = 1 << _PLACES  # keys below are of lots, which never come from below

Items = dict[int, int]  # key -> first


@dataclass(frozen=True, slots=True)
class Family:
    """The links among the batches at hand, by b. passed_on: b -> the b's that all of it became."""

    number: Mapping[str, int]
    sources: Mapping[int, tuple[Edge, ...]]
    passed_on: Mapping[int, tuple[int, ...]]
    order: tuple[int, ...]
    linked: frozenset[int]

    @staticmethod
    def of(graph: Genealogy, number: Mapping[str, int], shipments: pl.DataFrame) -> Family:
        """`number`: the batches at hand. Passed on: a split or merge out of it, and no shipment row of its own."""
        if not graph.linked:
            return Family({}, {}, {}, (), frozenset())
        shipped = set(shipments["b"].to_list())
        passed_on = {}
        for batch, edges in graph.results.items():
            became = [e.child for e in edges if e.kind in WHOLE]
            here = batch in number and all(c in number for c in became)  # else it is only somebody's ancestor
            if here and became and number[batch] not in shipped:
                passed_on[number[batch]] = tuple(number[c] for c in became)
        return Family(
            number,
            {number[b]: edges for b, edges in graph.sources.items() if b in number},
            passed_on,
            tuple(number[b] for b in graph.order if b in number),
            frozenset(number[b] for b in graph.linked if b in number),
        )

    def before(self, b: int) -> list[tuple[int, int]]:
        """(source, moment of the link) of each link into b."""
        number = self.number
        return [(number[e.parent], e.at_us) for e in self.sources.get(b, ()) if e.parent in number]

    def items(self, own: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(known, proven); both are `own` for batches without links."""
        if not self.linked:
            return own, own
        mine = _by_batch(own.filter(_among("b", self.linked)))
        known, proven = self._inherited(mine)
        for b, found in self._from_below(mine).items():
            proven[b] = found | proven.get(b, mine.get(b, {}))
        changed = known.keys() | proven.keys()
        others = own.filter(~_among("b", changed))
        both = [{b: items.get(b, mine.get(b, {})) for b in changed} for items in (known, proven)]
        return pl.concat([others, _frame(both[0])]), pl.concat([others, _frame(both[1])])

    def _inherited(self, own: dict[int, Items]) -> tuple[dict[int, Items], dict[int, Items]]:
        """(known, proven) of the batches with sources. Where nothing was merged the two are one and the same object."""
        known: dict[int, Items] = {}
        proven: dict[int, Items] = {}
        for b in self.order:
            links = self.before(b)
            mine = own.get(b, {})
            if not links:
                continue
            any_of = [_until(known.get(s, own.get(s, {})), at_us) for s, at_us in links]
            known[b] = proven[b] = _united(any_of, mine)
            if len(links) > 1 or known.get(links[0][0]) is not proven.get(links[0][0]):
                every = [_until(proven.get(s, own.get(s, {})), at_us) for s, at_us in links]
                shared = {k: max(items[k] for items in every) for k in _common(every)}
                proven[b] = _united([shared], mine)
        return known, proven

    def _from_below(self, own: dict[int, Items]) -> dict[int, Items]:
        """What every batch that a batch became shows, of those passed on; lots are never proven from below."""
        found: dict[int, Items] = {}
        for b in reversed(self.order):
            if b in self.passed_on:
                each = [found.get(c, {}) | own.get(c, {}) for c in self.passed_on[b]]
                found[b] = {k: NEVER for k in _common(each) if k >= _LOTS}
        return found


def _among(column: str, batches: frozenset[int] | set[int]) -> pl.Expr:
    return pl.col(column).is_in(pl.Series(sorted(batches), dtype=pl.UInt32).implode())


def _until(items: Items, at_us: int) -> Items:
    return {key: first for key, first in items.items() if first < at_us}


def _united(each: list[Items], own: Items) -> Items:
    """All keys, the earliest moment of each."""
    found: Items = dict(own)
    for items in each:
        for key, first in items.items():
            if first < found.get(key, NEVER):
                found[key] = first
    return found


def _common(each: list[Items]) -> set[int]:
    return set.intersection(*(set(items) for items in each))


def _by_batch(items: pl.DataFrame) -> dict[int, Items]:
    key = (pl.col("what").cast(pl.Int64) * _LOTS + pl.col("p") + 1).alias("key")
    rows = items.sort("b").select("b", key, "first")
    found: dict[int, Items] = {}
    last, mine = -1, Items()
    for b, k, first in zip(rows["b"].to_list(), rows["key"].to_list(), rows["first"].to_list(), strict=True):
        if b != last:
            last, mine = b, {}
            found[b] = mine
        mine[k] = first
    return found


def _frame(items: dict[int, Items]) -> pl.DataFrame:
    batches = [b for b, found in items.items() for _ in found]
    keys = pl.Series("key", [k for found in items.values() for k in found], pl.Int64)
    first = [at_us for found in items.values() for at_us in found.values()]
    return pl.DataFrame(
        {"b": pl.Series(batches, dtype=pl.UInt32), "key": keys, "first": pl.Series(first, dtype=pl.Int64)}
    ).select(
        "b",
        (pl.col("key") // _LOTS).cast(pl.Int32).alias("what"),
        (pl.col("key") % _LOTS - 1).cast(pl.Int32).alias("p"),
        "first",
    )
