"""隔离区: rows that were kept aside, for people who have to put them right.

In: a data folder. Out: the rows of quarantine.csv of each import; or a CSV of them as they were found, which can be corrected and
imported again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timezone
from typing import Any

from collector.folder import DataFolder
from collector.intake.imports import csv_bytes
from collector.record_revisions import QUARANTINE, imports, table_rows
from config.record_cells import guarded
from config.record_kinds import KINDS
from config.record_rows import REMARKS
from config.wording import CHINA, plant_time


def quarantined(folder: DataFolder, rev: int | None = None) -> list[dict[str, Any]]:
    """Every line of every quarantine.csv with its revision (`rev`), oldest first. Errors: `LedgerError`."""
    return [
        {"rev": r.rev, **row}
        for r in imports(folder)
        if QUARANTINE in r.files and rev in (None, r.rev)
        for row in table_rows(r.read(QUARANTINE))
    ]


def to_fix(rows: Sequence[dict[str, Any]], tz: timezone = CHINA) -> bytes:
    """Rows of one kind under their Chinese headers, behind them why (in the plant's time) and where from; with a BOM for Excel.

    A cell that a spreadsheet would compute gets a quote before it, which the next import takes off again.
    """
    kind = KINDS[rows[0]["kind"]]
    lines = []
    for row in rows:
        cells = json.loads(row["cells"])
        own = [guarded(cells.get(c.name, "")) for c in kind.columns]
        lines.append((*own, guarded(plant_time(row["words"], tz)), guarded(row["name"]), row["source_row"]))
    return "\ufeff".encode() + csv_bytes((*(c.zh for c in kind.columns), *REMARKS), lines)
