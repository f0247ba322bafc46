"""生产记录 as typed polars frames: canonical rows of text in, columns the metrics count with out.

In: rows whose cells are in the canonical form of docs/format/records.md. Out: one frame per kind, one row per key: text "" where
empty; time: Int64 microseconds UTC; day: Date; integer: Int64; decimal: Int64 in millionths; money: Int64 in fen (分); flag: Boolean.
Beside them `source` (first 16 hex of the delivery's SHA-256), `source_row` and `entered_us` (when the row was first accepted; of a batch:
when its trial flag last became what it is, docs/format/records.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from config.record_kinds import KINDS, Column, Kind

ORIGIN = {"source": pl.String, "source_row": pl.Int64, "entered_us": pl.Int64}
_DTYPES: dict[str, type[pl.DataType]] = {
    "time": pl.Int64,
    "day": pl.Date,
    "integer": pl.Int64,
    "decimal": pl.Int64,
    "money": pl.Int64,
    "flag": pl.Boolean,
}


@dataclass(frozen=True, slots=True, eq=False)
class RecordFrames:
    """All accepted rows as of one ledger size. rev: newest import revision in it; 0 before the first."""

    rev: int = 0
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def frame(self, kind: str) -> pl.DataFrame:
        """The rows of a kind; an empty frame of the right columns when there are none."""
        found = self.frames.get(kind)
        return empty_frame(KINDS[kind]) if found is None else found


@dataclass(frozen=True, slots=True)
class ImportFacts:
    """What an import says beside its rows. kept_aside: kind -> rows in quarantine; batches: ids in the batch rows among them, as found.

    replaced: (kind, key, column, before, after) of cells that were stated before.
    """

    rev: int
    entered_us: int
    actor: str
    reason: str
    kept_aside: Mapping[str, int] = field(default_factory=dict)
    batches: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str, str, str, str], ...] = ()


def schema(kind: Kind) -> dict[str, type[pl.DataType]]:
    """Column name -> dtype, with the three of the origin."""
    return {**{c.name: _DTYPES.get(c.type, pl.String) for c in kind.columns}, **ORIGIN}


def empty_frame(kind: Kind) -> pl.DataFrame:
    """No rows, right columns."""
    return pl.DataFrame(schema=schema(kind))


def frame_of_rows(kind: Kind, rows: Iterable[Mapping[str, str | int]]) -> pl.DataFrame:
    """Rows of canonical text (missing cells are empty) -> typed frame. For small inputs such as tests."""
    names = [c.name for c in kind.columns]
    text = pl.DataFrame(
        [
            {n: str(row.get(n, "")) for n in names} | {k: row.get(k, 0 if k != "source" else "") for k in ORIGIN}
            for row in rows
        ],
        schema={**dict.fromkeys(names, pl.String), **ORIGIN},
    )
    return typed(kind, text)


def typed(kind: Kind, text: pl.DataFrame) -> pl.DataFrame:
    """A frame of canonical text (one String column per column of the kind, and the origin's) -> typed frame."""
    return text.select(*(_typed(c) for c in kind.columns), *ORIGIN)


def _typed(column: Column) -> pl.Expr:  # noqa: PLR0911 - one per type
    cell = pl.col(column.name).fill_null("")
    given = pl.when(cell != "").then(cell)
    match column.type:
        case "time":
            at = given.str.strip_suffix("Z").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
            return at.dt.epoch("us").alias(column.name)
        case "day":
            return given.str.to_date("%Y-%m-%d").alias(column.name)
        case "integer":
            return given.cast(pl.Int64).alias(column.name)
        case "decimal":
            return _scaled(given, 6).alias(column.name)
        case "money":
            return _scaled(given, 2).alias(column.name)
        case "flag":
            return (cell == "1").alias(column.name)
        case _:
            return cell.alias(column.name)


def _scaled(cell: pl.Expr, places: int) -> pl.Expr:
    """Decimal text with at most `places` digits behind the point -> integer, exactly (no float on the way)."""
    whole = cell.str.split(".").list.first()
    rest = cell.str.split(".").list.get(1, null_on_oob=True).fill_null("").str.pad_end(places, "0")
    return (whole + rest).cast(pl.Int64)
