"""What the NIST recordings say, read by polars alone; and where the store says something else.

In: a machine's file. Out: distinct (point, source_us, v_str), to compare with `collector.store.scan`, one machine at a time (memory).
Imports nothing of `simulators`: the stamps are parsed a second time, in another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from collector.folder import DataFolder
from collector.store.scan import conflicts, scan

FACT = ["point", "source_us", "v_str"]


@dataclass(frozen=True)
class Difference:
    """Of one machine: distinct values recorded, lacking in the store, made up; values in conflict, and those listed or left out wrongly."""

    machine: str
    recorded: int
    lost: int
    invented: int
    conflicts: int
    unlike: int


def machines_in(folder: Path) -> list[str]:
    return sorted(p.name.removesuffix(".csv.gz") for p in folder.glob("*.csv.gz"))


def recorded(path: Path) -> pl.DataFrame:
    """Distinct values of one machine's file."""
    rows = pl.read_csv(path, infer_schema=False, empty_string_is_null=False)
    stamp = pl.col("time").str.strip_suffix("Z").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
    return rows.select(point="tag", source_us=stamp.cast(pl.Int64), v_str="value").unique()


def compare(folder: DataFolder, recordings: Path, machine: str) -> Difference:
    """One machine's recording against what `scan` gives, row by row, and its conflicts against what `conflicts` lists."""
    expected = recorded(recordings / f"{machine}.csv.gz")
    found = scan(folder, devices=[machine]).select("device", *FACT).collect()
    assert set(found["device"]) == {machine}
    facts = found.select(FACT)
    differing = expected.filter(pl.len().over("point", "source_us") > 1)
    listed = conflicts(folder, devices=[machine]).select(FACT)
    return Difference(
        machine,
        recorded=len(expected),
        lost=len(missing(expected, facts)),
        invented=len(missing(facts, expected)) + len(facts) - len(facts.unique()),
        conflicts=len(differing),
        unlike=len(missing(differing, listed)) + len(missing(listed, differing)),
    )


def missing(wanted: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    """Rows of one frame that the other lacks (null equals null)."""
    return wanted.join(there, on=FACT, how="anti", nulls_equal=True)
