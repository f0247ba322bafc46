"""M13 a second time, word by word after docs/metrics.md: slow, recursive, without polars. What the fast one is held to.

In: record rows as dicts (times in minutes since 1970, None where empty), links, minutes covered of (device, point), the routes.
Out: batch -> (lower, value, upper, every reason of the lower in order).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Flags = tuple[bool, bool, bool, tuple[str, ...]]
CODES = (
    "cyclic no_lot no_supplier_lot no_operation key_process_missing open_operation no_operator no_program "
    "not_monotonic no_inspection no_shipment no_key_parameter parameter_gap"
).split()
FOREVER = 10**15


@dataclass
class Plant:
    """covered: (device, bound) -> minutes in which its key parameter was covered; devices without one are not in it."""

    rows: dict[str, list[Row]]
    processes: dict[str, Row]
    covered: dict[tuple[str, str], set[int]]

    def own(self, kind: str, batch: str) -> list[Row]:
        return [r for r in self.rows[kind] if r["batch_id"] == batch]

    def into(self, batch: str) -> list[Row]:
        return [r for r in self.rows["links"] if r["child"] == batch]

    def ancestors(self, batch: str) -> set[str]:
        found: set[str] = set()
        ahead = [batch]
        while ahead:
            new = {r["parent"] for b in ahead for r in self.into(b)} - found
            found |= new
            ahead = list(new)
        return found

    def cyclic(self, batch: str) -> bool:
        up = self.ancestors(batch)
        return batch in up or any(a in self.ancestors(a) for a in up)

    def file(self, kind: str, batch: str, before: int = FOREVER) -> list[Row]:
        """Rows of the batch's file with a time before `before`."""
        rows = [r for r in self.own(kind, batch) if self.time(kind, r) < before]
        if not self.cyclic(batch):
            for link in self.into(batch):
                rows += self.file(kind, link["parent"], min(before, link["at"]))
        return rows

    def time(self, kind: str, row: Row) -> int:
        return {"lots": -FOREVER, "operations": row.get("start"), "inspections": row.get("at")}[kind]  # type: ignore[return-value]

    def proven(self, kind: str, batch: str, process: str | None, before: int = FOREVER) -> bool:
        if any(self.time(kind, r) < before and process in (None, r.get("process_id")) for r in self.own(kind, batch)):
            return True
        links = [] if self.cyclic(batch) else self.into(batch)
        return bool(links) and all(self.proven(kind, k["parent"], process, min(before, k["at"])) for k in links)

    def became(self, batch: str) -> list[str]:
        if self.own("shipments", batch):
            return []
        return [r["child"] for r in self.rows["links"] if r["parent"] == batch and r["kind"] in ("split", "merge")]

    def shown_below(self, kind: str, batch: str, process: str | None) -> bool:
        def shows(child: str) -> bool:
            rows = self.own(kind, child)
            if any(r["document"] if kind == "shipments" else process in (None, r["process_id"]) for r in rows):
                return True
            return self.shown_below(kind, child, process)

        children = [] if self.cyclic(batch) else self.became(batch)
        return bool(children) and all(shows(c) for c in children)

    def judge(self, batch: Row) -> Flags:
        reasons = [list(self.reasons(batch, bound)) for bound in ("lower", "value", "upper")]
        return not reasons[0], not reasons[1], not reasons[2], tuple(sorted(set(reasons[0]), key=CODES.index))

    def reasons(self, batch: Row, bound: str) -> Iterator[str]:
        name = batch["batch_id"]
        if self.cyclic(name):
            yield "cyclic"
        if not self.proven("lots", name, None):
            yield "no_lot"
        if not (self.proven("operations", name, None) or self.shown_below("operations", name, None)):
            yield "no_operation"
        ran = {r["process_id"] for r in self.file("operations", name)}
        lines = {self.processes[p]["line"] for p in ran if p in self.processes}
        for process, row in self.processes.items():
            if row["line"] in lines:
                for needed, kind, code in (
                    ("key", "operations", "key_process_missing"),
                    ("inspection", "inspections", "no_inspection"),
                ):
                    shown = self.proven(kind, name, process) or self.shown_below(kind, name, process)
                    if row[needed] and not shown:
                        yield code
        if not (any(r["document"] for r in self.own("shipments", name)) or self.shown_below("shipments", name, None)):
            yield "no_shipment"
        yield from (code for code, _ in self.faults(name, bound))

    def faults(self, batch: str, bound: str, before: int = FOREVER) -> Iterator[tuple[str, int]]:
        """(code, time) of the faults of rows in the batch's file with a time before `before`."""
        yield from ((code, at) for code, at in self.own_faults(batch, bound) if at < before)
        if not self.cyclic(batch):
            for link in self.into(batch):
                yield from self.faults(link["parent"], bound, min(before, link["at"]))

    def own_faults(self, batch: str, bound: str) -> Iterator[tuple[str, int]]:
        closed = next(r["closed_at"] for r in self.rows["batches"] if r["batch_id"] == batch)
        yield from (("no_supplier_lot", -FOREVER) for r in self.own("lots", batch) if not r["supplier_lot"])
        for r in self.own("operations", batch):
            start, end = r["start"], r["end"]
            if end is not None and (end <= start or (closed is not None and end > closed)):
                yield "not_monotonic", start
            if self.processes.get(r["process_id"], {}).get("key"):
                yield from self.key_operation(r, bound)
        known = self.file("operations", batch)
        for r in self.own("inspections", batch):
            starts = [k["start"] for k in known if k["process_id"] == r["process_id"]] or [k["start"] for k in known]
            if starts and r["at"] < min(starts):
                yield "not_monotonic", r["at"]
        made = [r["end"] for r in self.own("operations", batch) if r["end"] is not None]
        made += [k["at"] for k in self.into(batch)]
        for r in self.own("shipments", batch):
            first = max(made, default=None) if r["kind"] == "ship" else min((k["start"] for k in known), default=None)
            if first is not None and r["at"] < first:
                yield "not_monotonic", FOREVER - 1
        for link in self.into(batch):
            if closed is not None and link["at"] > closed:
                yield "not_monotonic", link["at"]

    def key_operation(self, row: Row, bound: str) -> Iterator[tuple[str, int]]:
        start, end = row["start"], row["end"]
        if end is None:
            yield "open_operation", start
        if not row["operator"]:
            yield "no_operator", start
        if not row["program"]:
            yield "no_program", start
        if end is not None and end > start:
            yield from self.parameter(row, bound)

    def parameter(self, row: Row, bound: str) -> Iterator[tuple[str, int]]:
        if (row["device_id"], bound) not in self.covered:
            if bound != "upper":
                yield "no_key_parameter", row["start"]
            return
        minutes = range(row["start"], row["end"])
        if 100 * len(self.covered[row["device_id"], bound] & set(minutes)) < 90 * len(minutes):
            yield "parameter_gap", row["start"]
