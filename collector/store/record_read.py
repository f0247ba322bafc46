"""生产记录 off the disk: the canonical CSVs of every import revision -> typed frames, one row per key.

In: a data folder, a ledger size. Out: `RecordFrames`. Per key and column the last cell that is not empty counts, revisions ascending;
`entered_us` is when the key was first accepted, `source` and `source_row` the delivery that last said something of it.
Refuses (`LedgerError`): files that do not fit their leaf.
"""

from __future__ import annotations

import polars as pl

from collector.folder import DataFolder
from collector.ledger.entry import LedgerError
from collector.record_revisions import ORIGIN_COLUMNS, ImportRevision, header, imports
from collector.store.record_frames import RecordFrames, typed
from config.record_kinds import KINDS, Kind


def read_frames(folder: DataFolder, size: int | None = None) -> RecordFrames:
    """All accepted rows as of a ledger size. Errors: `LedgerError`."""
    revisions = imports(folder, size)
    frames = {}
    for kind in KINDS.values():
        parts = [_read(kind, r) for r in revisions if r.has(kind)]
        if parts:
            frames[kind.name] = typed(kind, _newest(kind, pl.concat(parts)))
    return RecordFrames(revisions[-1].rev if revisions else 0, frames)


def _read(kind: Kind, revision: ImportRevision) -> pl.DataFrame:
    """One file as text, its columns in the kind's order; columns that it does not know yet are empty."""
    name = f"{kind.name}.csv"
    try:
        found = pl.read_csv(revision.read(name), infer_schema=False).fill_null("")
    except pl.exceptions.PolarsError as err:
        raise LedgerError(f"{revision.place / name}: expected a canonical CSV, found: {err}") from err
    if not set(ORIGIN_COLUMNS) <= set(found.columns):
        raise LedgerError(f"{revision.place / name}: expected columns {header(kind)}, found {found.columns}")
    missing = [pl.lit("").alias(c.name) for c in kind.columns if c.name not in found.columns]
    return found.with_columns(*missing).select(
        *header(kind)[:-1],
        pl.col("source_row").cast(pl.Int64),
        pl.lit(revision.entered_us, pl.Int64).alias("entered_us"),
    )


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
            pl.col("entered_us", "ord").first(),
        )
    )
    columns = ["ord", *rows.columns]
    return pl.concat([single.select(columns), merged.select(columns)]).sort("ord").drop("ord")
