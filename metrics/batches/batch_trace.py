"""批次可追溯: what stands against each batch: the core of 批次追溯率 (M13).

In: `Inputs` with records, the batches asked for. Out: one `Member` per batch, with every reason that holds once, in
the order of `CODES`, and the first thing concerned. A fault of a source's row counts when the row is from before the link: it is
in the batch's file too. One vectorised pass per question; only linked batches are walked one by one.
Exact rules: docs/metrics.md, M13. Source: GS25 第十二条(四)5; catalogue §4.1 M13.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from config.register import Register
from metrics.batches.batch_family import ALWAYS, INSPECTION, LOT, NEVER, OPERATION, PROCESS, SHIPMENT, Family
from metrics.batches.batch_file import BatchFiles, read_files
from metrics.batches.operation_coverage import covered_minutes, key_points
from metrics.inputs import Inputs, Records
from metrics.result import Member

COVERAGE_PERCENT = 90
CODES = (
    "cyclic no_lot no_supplier_lot no_operation key_process_missing open_operation no_operator no_program "
    "not_monotonic no_inspection no_shipment no_key_parameter parameter_gap"
).split()
RANK = {code: i for i, code in enumerate(CODES)}
SHIP = "ship"
# at: the moment of the row at fault, by which it belongs to the files of later batches; value, upper: holds for those too
FAULT = {
    "b": pl.UInt32,
    "rank": pl.Int32,
    "subject": pl.String,
    "at": pl.Int64,
    "value": pl.Boolean,
    "upper": pl.Boolean,
}
Fault = tuple[int, str]  # moment, subject


@dataclass(frozen=True, slots=True, eq=False)
class BatchRows:
    """What does not depend on the hour lines. operations: those of key processes that end after they start. faults, missing: `FAULT`."""

    names: tuple[tuple[str, str], ...]
    operations: pl.DataFrame
    faults: pl.DataFrame
    missing: pl.DataFrame
    family: Family


def batch_rows(records: Records, register: Register, batches: pl.DataFrame) -> BatchRows:
    """`batches`: rows of kind batches; all that is said of them in the records (`Inputs.batch_rows` keeps it)."""
    files = read_files(records, register, batches)
    operations = _key_operations(files).filter(pl.col("end") > pl.col("start")).select("b", "device_id", "start", "end")
    return BatchRows(
        tuple(zip(batches["batch_id"].to_list(), batches["product"].to_list(), strict=True)),
        operations,
        pl.concat([*_row_faults(files), *_time_faults(files)]),
        pl.concat(_missing(files)),
        files.family,
    )


def judged_batches(inputs: Inputs, rows: BatchRows) -> tuple[Member, ...]:
    """Members in the order of the batches."""
    own = pl.concat([rows.faults, *_parameter_faults(inputs, rows.operations)])
    faults = pl.concat([_inherited(rows.family, own), rows.missing])
    reasons = (
        faults.sort("b", "rank", maintain_order=True)
        .group_by("b", "rank", maintain_order=True)
        .agg(pl.col("subject").first(), pl.col("value").any(), pl.col("upper").any())
    )
    against: dict[int, list[tuple[str, str, bool, bool]]] = {}
    for b, rank, subject, value, upper in reasons.rows():
        against.setdefault(b, []).append((CODES[rank], subject, value, upper))
    return tuple(_member(batch, product, against.get(b, [])) for b, (batch, product) in enumerate(rows.names))


def _member(batch: str, product: str, against: list[tuple[str, str, bool, bool]]) -> Member:
    if not against:
        return Member(batch, product, True, True, True, "ok")
    value = not any(r[2] for r in against)
    upper = not any(r[3] for r in against)
    return Member(batch, product, False, value, upper, against[0][0], tuple((r[0], r[1]) for r in against))


def _faults(rows: pl.DataFrame, code: str, subject: pl.Expr, at: pl.Expr) -> pl.DataFrame:
    """Rows at fault -> `FAULT`, against all three bounds."""
    return rows.select(
        "b",
        pl.lit(RANK[code], pl.Int32).alias("rank"),
        subject.cast(pl.String).alias("subject"),
        at.cast(pl.Int64).alias("at"),
        pl.lit(True).alias("value"),
        pl.lit(True).alias("upper"),
    )


def _row_faults(files: BatchFiles) -> Iterator[pl.DataFrame]:
    """What single rows lack: supplier lot, end, operator, program."""
    lots = files.lots.filter(pl.col("supplier_lot") == "")
    yield _faults(lots, "no_supplier_lot", pl.concat_str("item", pl.lit("/"), "lot_id"), pl.lit(ALWAYS))
    key = _key_operations(files)
    for code, lacks in (
        ("open_operation", pl.col("end").is_null()),
        ("no_operator", pl.col("operator") == ""),
        ("no_program", pl.col("program") == ""),
    ):
        yield _faults(key.filter(lacks), code, pl.col("process_id"), pl.col("start"))


def _key_operations(files: BatchFiles) -> pl.DataFrame:
    keys = files.processes.filter("key").select("p")
    return files.operations.join(keys, on="p", how="semi", maintain_order="left")


def _time_faults(files: BatchFiles) -> Iterator[pl.DataFrame]:
    """Times that stand the wrong way: operations, inspections, shipments, links."""
    code, process = "not_monotonic", pl.col("process_id")
    closed = files.batches.select("b", "closed_at")
    operations = files.operations.join(closed, on="b", how="left", maintain_order="left")
    wrong = (pl.col("end") <= pl.col("start")) | (pl.col("end") > pl.col("closed_at"))
    yield _faults(operations.filter(wrong), code, process, pl.col("start"))
    known = files.known
    starts = known.filter(pl.col("what") == PROCESS).select("b", "p", "first")
    begun = known.filter(pl.col("what") == OPERATION).select("b", begun="first")
    inspections = files.inspections.join(starts, on=["b", "p"], how="left", maintain_order="left").join(
        begun, on="b", how="left", maintain_order="left"
    )
    early = pl.col("at") < pl.coalesce("first", "begun")
    yield _faults(inspections.filter(early), code, pl.concat_str(pl.lit("检验 "), process), pl.col("at"))
    links = _links(files)
    ends = pl.concat([files.operations.select("b", at="end"), links.select("b", "at")])
    shipments = files.shipments.join(begun, on="b", how="left", maintain_order="left").join(
        ends.group_by("b").agg(made=pl.col("at").max()), on="b", how="left", maintain_order="left"
    )
    earliest = pl.when(pl.col("kind") == SHIP).then("made").otherwise("begun")
    paper = pl.concat_str("kind", pl.lit(" "), "document")
    yield _faults(shipments.filter(pl.col("at") < earliest), code, paper, pl.lit(NEVER))
    late = links.join(closed, on="b").filter(pl.col("at") > pl.col("closed_at"))
    yield _faults(late, code, pl.concat_str(pl.lit("来源 "), "parent"), pl.col("at"))


def _links(files: BatchFiles) -> pl.DataFrame:
    """(b, parent, at) of each link into a batch."""
    rows = [(b, e.parent, e.at_us) for b, edges in files.family.sources.items() for e in edges]
    return pl.DataFrame(rows, {"b": pl.UInt32, "parent": pl.String, "at": pl.Int64}, orient="row")


def _parameter_faults(inputs: Inputs, operations: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Key operations whose device has no key parameter, or one that was not covered."""
    without = operations.join(key_points(inputs.register), on="device_id", how="anti")
    yield _faults(without, "no_key_parameter", pl.col("device_id"), pl.col("start")).with_columns(upper=pl.lit(False))
    covered = covered_minutes(inputs, operations)
    short = {bound: 100 * pl.col(bound) < COVERAGE_PERCENT * pl.col("total") for bound in ("lower", "value", "upper")}
    gaps = covered.filter(short["lower"])
    faults = _faults(gaps, "parameter_gap", pl.concat_str("device_id", pl.lit("."), "point"), pl.col("start"))
    yield faults.with_columns(gaps.select(value=short["value"], upper=short["upper"]))


def _missing(files: BatchFiles) -> Iterator[pl.DataFrame]:
    """What the file does not show though it must: lots, operations, the route's processes and inspections, a shipment."""
    shown, everyone = files.proven, files.batches.select("b")
    for code, what in (("no_lot", LOT), ("no_operation", OPERATION), ("no_shipment", SHIPMENT)):
        lacking = everyone.join(shown.filter(pl.col("what") == what), on="b", how="anti")
        yield _faults(lacking, code, pl.lit(""), pl.lit(NEVER))
    ran = files.known.filter(pl.col("what") == PROCESS).join(files.processes.select("p", "line"), on="p")
    lines = ran.filter(pl.col("line").is_not_null()).select("b", "line").unique()
    route = lines.join(files.processes, on="line", how="inner").sort("b", "p")
    for code, what, needed in (("key_process_missing", PROCESS, "key"), ("no_inspection", INSPECTION, "inspection")):
        lacking = route.filter(needed).join(
            shown.filter(pl.col("what") == what), on=["b", "p"], how="anti", maintain_order="left"
        )
        yield _faults(lacking, code, pl.col("process_id"), pl.lit(NEVER))
    yield _faults(everyone.filter(pl.col("b").is_in(sorted(files.cyclic))), "cyclic", pl.lit(""), pl.lit(NEVER))


def _inherited(family: Family, own: pl.DataFrame) -> pl.DataFrame:
    """Faults of a batch's own rows and of its sources' rows from before the link."""
    if not family.linked:
        return own
    linked = pl.col("b").is_in(pl.Series(sorted(family.linked), dtype=pl.UInt32).implode())
    found: dict[int, dict[tuple[int, int], Fault]] = {}  # (rank, bound) -> earliest fault
    for b, rank, subject, at, value, upper in own.filter(linked).rows():
        for bound in (0, *([1] if value else []), *([2] if upper else [])):
            _earliest(found.setdefault(b, {}), (rank, bound), (at, subject))
    for b in family.order:
        for source, at_us in family.before(b):
            for key, fault in found.get(source, {}).items():
                if fault[0] < at_us:
                    _earliest(found.setdefault(b, {}), key, fault)
    rows = [
        (b, rank, subject, at, (rank, 1) in faults, (rank, 2) in faults)
        for b, faults in found.items()
        for (rank, bound), (at, subject) in faults.items()
        if bound == 0
    ]
    return pl.concat([own.filter(~linked), pl.DataFrame(rows, FAULT, orient="row")])


def _earliest(faults: dict[tuple[int, int], Fault], key: tuple[int, int], fault: Fault) -> None:
    if key not in faults or fault[0] < faults[key][0]:
        faults[key] = fault
