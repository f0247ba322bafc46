"""到达: did rows of a kind of record arrive in a window, of one line or of the plant.

In: `Inputs`, a kind of config/record_kinds.py, a line. Out: how many rows. A row belongs to the window by its own first time or day; a
kind without one (lots) by when it was accepted. A row belongs to a line by its line, device or process, else by its batch's operations;
a kind that names none of these belongs to every line. Whether a row was scanned or typed a file does not say: docs/metrics.md, M08.
"""

from __future__ import annotations

import polars as pl

from config.record_kinds import KINDS, Kind
from metrics.inputs import Inputs
from metrics.result import Window
from metrics.window import local_day


def rows_of(inputs: Inputs, kind: str, line: str | None, window: Window) -> int:
    """Rows of a kind in the window; 0 for a kind there is not, or without records."""
    if inputs.records is None or kind not in KINDS:
        return 0
    rows = inputs.records.frame(kind).filter(_within(inputs, KINDS[kind], window))
    return rows.height if line is None else rows.filter(_of_line(inputs, KINDS[kind], line)).height


def _within(inputs: Inputs, kind: Kind, window: Window) -> pl.Expr:
    timed = next((c for c in kind.columns if c.type in ("time", "day")), None)
    if timed is None:
        return (pl.col("entered_us") >= window.start_us) & (pl.col("entered_us") < window.end_us)
    if timed.type == "time":
        return (pl.col(timed.name) >= window.start_us) & (pl.col(timed.name) < window.end_us)
    first, end = (local_day(at, inputs.tz) for at in (window.start_us, window.end_us))
    return (pl.col(timed.name) >= first) & (pl.col(timed.name) < end)


def _of_line(inputs: Inputs, kind: Kind, line: str) -> pl.Expr:
    register = inputs.register
    places = {
        "line": [line],
        "device": [d.id for d in register.devices if d.line == line],
        "process": [p.id for p in register.processes if p.line == line],
    }
    for link, names in places.items():
        column = next((c.name for c in kind.columns if c.link == link and c.required), None)
        if column is not None:
            return pl.col(column).is_in(names)
    if "batch_id" not in kind.column or inputs.records is None:
        return pl.lit(value=True)
    operations = inputs.records.frame("operations").filter(pl.col("process_id").is_in(places["process"]))
    return pl.col("batch_id").is_in(operations["batch_id"].unique().to_list())
