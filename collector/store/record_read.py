"""生产记录 off the disk: the canonical CSVs of every import revision -> typed frames, one row per key.

In: a data folder, a ledger size. Out: `RecordFrames`, and what imports kept aside or replaced (`ImportFacts`). Per key and column the
last cell that is not empty counts, revisions ascending; `entered_us` is when the key was first accepted, and of a batch when its trial
flag (and a closing that was stated) last became what it is; `source` and `source_row` the delivery that last said something of it.
Refuses (`LedgerError`): files that do not fit their leaf.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import polars as pl

from collector.folder import DataFolder
from collector.ledger.entry import LedgerError
from collector.record_revisions import (
    ORIGIN_COLUMNS,
    QUARANTINE,
    REPLACED,
    ImportRevision,
    header,
    imports,
    table_rows,
)
from collector.store.record_frames import ImportFacts, RecordFrames, typed
from config.record_kinds import KINDS, Kind


def read_frames(folder: DataFolder, size: int | None = None) -> RecordFrames:
    """All accepted rows as of a ledger size. Errors: `LedgerError`."""
    revisions = imports(folder, size)
    frames = {}
    for kind in KINDS.values():
        having = [r for r in revisions if r.has(kind)]
        if having:
            frames[kind.name] = typed(kind, _newest(kind, _read(kind, having)))
    return RecordFrames(revisions[-1].rev if revisions else 0, frames)


def read_import_facts(folder: DataFolder, size: int | None = None) -> tuple[ImportFacts, ...]:
    """Imports that kept rows aside or replaced cells, oldest first. Errors: `LedgerError`."""
    return tuple(_facts(r) for r in imports(folder, size) if {QUARANTINE, REPLACED} & set(r.files))


def _facts(revision: ImportRevision) -> ImportFacts:
    aside = table_rows(revision.read(QUARANTINE)) if QUARANTINE in revision.files else []
    replaced = table_rows(revision.read(REPLACED)) if REPLACED in revision.files else []
    counts = Counter(r["kind"] for r in aside)
    named = (json.loads(r["cells"]).get("batch_id", "").strip() for r in aside if r["kind"] == "batches")
    return ImportFacts(
        revision.rev,
        revision.entered_us,
        revision.actor,
        revision.reason,
        {kind: counts[kind] for kind in KINDS if kind in counts},
        tuple(dict.fromkeys(b for b in named if b)),
        tuple((r["kind"], r["key"], r["column"], r["before"], r["after"]) for r in replaced),
    )


def _read(kind: Kind, revisions: Sequence[ImportRevision]) -> pl.DataFrame:
    """Their files of a kind as text, columns in the kind's order. A plant whose MES sends one row a minute has 130,000 files in three
    months, so those of one header are read as one: no accepted cell holds a newline, a line is a row."""
    name = f"{kind.name}.csv"
    parts: list[pl.DataFrame] = []
    for head, group in groupby(((r, *_split(r, name)) for r in revisions), key=itemgetter(1)):
        files = [(r, body) for r, _, body in group]
        place = files[0][0].place / name
        try:
            found = pl.read_csv(b"".join((head, b"\n", *(body for _, body in files))), infer_schema=False).fill_null("")
        except pl.exceptions.PolarsError as err:
            raise LedgerError(f"{place}: expected a canonical CSV, found: {err}") from err
        counts = [body.count(b"\n") for _, body in files]
        if found.height != sum(counts):
            raise LedgerError(f"{place}: expected {sum(counts)} rows, one per line, found {found.height}")
        entered = pl.Series("entered_us", [r.entered_us for r, _ in files], pl.Int64)
        at = pl.Series(range(len(files)), dtype=pl.UInt32).repeat_by(pl.Series(counts, dtype=pl.UInt32)).explode()
        parts.append(_columns(kind, found, f"{place}").with_columns(entered.gather(at.drop_nulls())))
    return pl.concat(parts)


def _split(revision: ImportRevision, name: str) -> tuple[bytes, bytes]:
    """The header, and the lines under it."""
    head, _, body = revision.read(name).partition(b"\n")
    return head, body if not body or body.endswith(b"\n") else body + b"\n"


def _columns(kind: Kind, found: pl.DataFrame, place: str) -> pl.DataFrame:
    """The kind's columns and the origin's; columns that the file does not know yet are empty."""
    if not set(ORIGIN_COLUMNS) <= set(found.columns):
        raise LedgerError(f"{place}: expected columns {header(kind)}, found {found.columns}")
    missing = [pl.lit("").alias(c.name) for c in kind.columns if c.name not in found.columns]
    return found.with_columns(*missing).select(*header(kind)[:-1], pl.col("source_row").cast(pl.Int64))


def _newest(kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    """One row per key in the order in which the keys first came; only keys that came twice need merging."""
    key = list(kind.key)
    again = pl.struct(key).is_duplicated()
    marked = rows.with_row_index("ord").with_columns(again.alias("again"))
    single = marked.filter(~pl.col("again"))
    if single.height == rows.height:
        return rows
    others = [c.name for c in kind.columns if c.name not in kind.key]
    merged = (
        marked.filter("again")
        .group_by(key, maintain_order=True)
        .agg(
            *(pl.col(n).filter(pl.col(n) != "").last().fill_null("") for n in others),
            pl.col("source", "source_row").last(),
            _entered(kind),
            pl.col("ord").first(),
        )
    )
    columns = ["ord", *rows.columns]
    return pl.concat([single.select(columns), merged.select(columns)]).sort("ord").drop("ord")


def _entered(kind: Kind) -> pl.Expr:
    """When a key of several rows was entered. A batch that is flagged as trial after its closing, or whose closing is moved behind the
    flag, was not flagged beforehand (docs/format/records.md)."""
    first = pl.col("entered_us").first()
    if kind.name != "batches":
        return first
    flag, closing = pl.col("trial").filter(pl.col("trial") != ""), pl.col("closed_at").filter(pl.col("closed_at") != "")
    flagged = pl.col("entered_us").filter(pl.col("trial") != "").filter(flag.ne_missing(flag.shift()))
    moved = (
        pl.col("entered_us")
        .filter(pl.col("closed_at") != "")
        .filter((closing != closing.shift()).fill_null(value=False))
    )
    return pl.max_horizontal(first, flagged.max(), moved.max()).alias("entered_us")
