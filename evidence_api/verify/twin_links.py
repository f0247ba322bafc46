"""批次关系 in plain integers: what a batch's file shows when it came out of others or went on into others (docs/metrics.md, M13).

In: batches, their links, for each batch its own *items* (what its rows show -> the earliest moment). Out: `Family`: which batches are
cyclic, `known` and `proven` items, what is shown by the batches that one became. Every batch is walked once, sources first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

ALWAYS, NEVER = -(1 << 62), 1 << 62  # a lot has no time and always passes; a shipment never does
LOT, SHIPMENT = ("lot", ""), ("shipment", "")
WHOLE = ("split", "merge")  # after a rework the rest of the batch is still there
Item = tuple[str, str]  # what, process ("" for none in particular)
Items = dict[Item, int]


class Link(NamedTuple):
    """来源批次 -> 去向批次."""

    parent: str
    child: str
    kind: str
    at: int


@dataclass(slots=True)
class Family:
    """Links among batches. order: sources before what came of them; a batch with links that is not in it is cyclic."""

    into: dict[str, list[Link]]
    out_of: dict[str, list[Link]]
    order: list[str]
    known: dict[str, Items] = field(default_factory=dict)
    proven: dict[str, Items] = field(default_factory=dict)
    below: dict[str, set[Item]] = field(default_factory=dict)

    @staticmethod
    def of(links: Iterable[Link], batches: Iterable[str], own: Mapping[str, Items], shipped: set[str]) -> Family:
        """`shipped`: batches with a shipment row."""
        into, out_of = defaultdict(list), defaultdict(list)
        for link in links:
            into[link.child].append(link)
            out_of[link.parent].append(link)
        family = Family(dict(into), dict(out_of), _sorted(batches, into, out_of))
        family._walk(own, shipped)
        return family

    def cyclic(self, batch: str) -> bool:
        """Its own ancestor, or with such an ancestor."""
        return batch not in self.known

    def sources(self, batch: str) -> list[Link]:
        """Links into a batch through which its file goes on; none into a cyclic one."""
        return [] if self.cyclic(batch) else self.into.get(batch, [])

    def shows(self, batch: str, item: Item, own: Items) -> bool:
        """Proven for it: by its file, or by all that it became."""
        return item in self.proven.get(batch, own) or item in self.below.get(batch, ())

    def _walk(self, own: Mapping[str, Items], shipped: set[str]) -> None:
        for batch in self.order:
            mine, links = own.get(batch, {}), self.into.get(batch, [])
            passed = [(_until(self.known[k.parent], k.at), _until(self.proven[k.parent], k.at)) for k in links]
            every = set.intersection(*(set(p) for _, p in passed)) if passed else set()
            self.known[batch] = _earliest([mine, *(known for known, _ in passed)])
            self.proven[batch] = _earliest([mine, {i: max(p[i] for _, p in passed) for i in every}])
        for batch in reversed(self.order):
            became = [k.child for k in self.out_of.get(batch, []) if k.kind in WHOLE]
            if became and batch not in shipped:
                each = [self.below.get(c, set()) | set(own.get(c, {})) for c in became]
                self.below[batch] = set.intersection(*each) - {LOT}


def _sorted(batches: Iterable[str], into: Mapping[str, list[Link]], out_of: Mapping[str, list[Link]]) -> list[str]:
    everyone = dict.fromkeys([*batches, *out_of, *into])
    waiting = {b: len(into.get(b, ())) for b in everyone}
    ready = deque(b for b, n in waiting.items() if n == 0)
    order = []
    while ready:
        order.append(batch := ready.popleft())
        for link in out_of.get(batch, ()):
            waiting[link.child] -= 1
            if waiting[link.child] == 0:
                ready.append(link.child)
    return order


def _until(items: Items, at: int) -> Items:
    return {item: first for item, first in items.items() if first < at}


def _earliest(each: list[Items]) -> Items:
    found: Items = {}
    for items in each:
        for item, first in items.items():
            if first < found.get(item, NEVER + 1):
                found[item] = first
    return found
