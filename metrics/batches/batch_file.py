"""产品档案: what is recorded of each batch as columns of integers, before anything is judged (M13).

In: record frames, the batches asked for, the register of T. Out: `BatchFiles`: the rows of those batches and of their relatives, the
batch as `b` and the process as `p`, and the *items* (metrics/batches/batch_family.py) that each batch's file shows.
Definition: docs/metrics.md, M13.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from config.register import Register
from metrics.batches.batch_family import ALWAYS, INSPECTION, LOT, NEVER, OPERATION, PROCESS, SHIPMENT, Family
from metrics.batches.genealogy import Genealogy
from metrics.inputs import Records
from metrics.result import Window


@dataclass(frozen=True, slots=True, eq=False)
class BatchFiles:
    """Rows of the batches asked for and of their relatives. number: batch id -> b. process: id -> p.

    The others are frames of record rows with b (and p). cyclic: b's on a cycle or behind one.
    """

    batches: pl.DataFrame
    processes: pl.DataFrame
    operations: pl.DataFrame
    lots: pl.DataFrame
    inspections: pl.DataFrame
    shipments: pl.DataFrame
    known: pl.DataFrame
    proven: pl.DataFrame
    family: Family
    cyclic: frozenset[int]


def closed_batches(records: Records, window: Window) -> pl.DataFrame:
    """Batches closed in the window; `excused`: trial, and entered as such before closing."""
    within = (pl.col("closed_at") >= window.start_us) & (pl.col("closed_at") < window.end_us)
    return (
        records.frame("batches")
        .filter(within)
        .with_columns(excused=pl.col("trial") & (pl.col("entered_us") < pl.col("closed_at")))
    )


def read_files(records: Records, register: Register, asked: pl.DataFrame) -> BatchFiles:
    """`asked`: rows of kind batches. Relatives: every ancestor, and every descendant, of them."""
    graph = Genealogy.read(records.frame("links"))
    wanted = asked["batch_id"].to_list()
    relatives = sorted((graph.ancestors(wanted) | graph.descendants(wanted)) - set(wanted))
    batches = (
        pl.concat([asked, records.frame("batches").filter(pl.col("batch_id").is_in(relatives))]) if relatives else asked
    ).with_row_index("b")
    index = batches.select("b", "batch_id")
    operations, lots, inspections, shipments = (
        records.frame(kind).join(index, on="batch_id", how="inner", maintain_order="left")
        for kind in ("operations", "lots", "inspections", "shipments")
    )
    processes = _processes(register, operations, inspections)
    place = processes.select("p", "process_id")
    operations = operations.join(place, on="process_id", how="inner", maintain_order="left")
    inspections = inspections.join(place, on="process_id", how="inner", maintain_order="left")
    number = dict(zip(index["batch_id"].to_list(), index["b"].to_list(), strict=True))
    own = _own_items(operations, lots, inspections, shipments)
    family = Family.of(graph, number, shipments)
    known, proven = family.items(own)
    return BatchFiles(
        batches=batches,
        processes=processes,
        operations=operations,
        lots=lots,
        inspections=inspections,
        shipments=shipments,
        known=known,
        proven=proven,
        family=family,
        cyclic=frozenset(number[b] for b in graph.cyclic if b in number),
    )


def _processes(register: Register, operations: pl.DataFrame, inspections: pl.DataFrame) -> pl.DataFrame:
    """p, process_id, line, key, inspection: the register's processes in its order, then those that only records know."""
    there = [(p.id, p.line, p.key, p.inspection) for p in register.processes]
    named = {*operations["process_id"].unique().to_list(), *inspections["process_id"].unique().to_list()}
    rows = there + [(p, None, False, False) for p in sorted(named - {t[0] for t in there})]
    columns = {"process_id": pl.String, "line": pl.String, "key": pl.Boolean, "inspection": pl.Boolean}
    return pl.DataFrame(rows, columns, orient="row").with_row_index("p").with_columns(pl.col("p").cast(pl.Int32))


def _own_items(
    operations: pl.DataFrame, lots: pl.DataFrame, inspections: pl.DataFrame, shipments: pl.DataFrame
) -> pl.DataFrame:
    """Items of the batches' own rows."""

    def items(rows: pl.DataFrame, what: int, p: pl.Expr, first: pl.Expr) -> pl.DataFrame:
        return rows.select("b", pl.lit(what, pl.Int32).alias("what"), p.cast(pl.Int32).alias("p"), first.alias("first"))

    nothing = pl.lit(-1)
    starts = operations.group_by("b", "p").agg(pl.col("start").min())
    checks = inspections.group_by("b", "p").agg(pl.col("at").min())
    papers = shipments.filter(pl.col("document") != "").select("b").unique()
    return pl.concat(
        [
            items(lots.select("b").unique(), LOT, nothing, pl.lit(ALWAYS, pl.Int64)),
            items(starts.group_by("b").agg(pl.col("start").min()), OPERATION, nothing, pl.col("start")),
            items(starts, PROCESS, pl.col("p"), pl.col("start")),
            items(checks, INSPECTION, pl.col("p"), pl.col("at")),
            items(papers, SHIPMENT, nothing, pl.lit(NEVER, pl.Int64)),
        ]
    )
