"""读到哪里: the state of reading a register's sheets: what stands in the body so far, and from which cell each value came.

In: sheets as they are opened. Out: `Reading`: body, problems, corrections, places by key path. `OpenSheet` knows how its cells are
named: `设备!F12`, in a CSV `F12`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import Any

from config.errors import Problem
from config.tables.columns import Sheet, letters
from config.tables.corrections import Correction
from config.tables.headers import Header
from config.tables.workbook import RawSheet
from config.wording import Loc

_PLANT_ZONE = timezone(timedelta(hours=8))  # until the sheet 日历 says another


@dataclass(slots=True)
class OpenSheet:
    """A sheet being read."""

    spec: Sheet
    raw: RawSheet
    header: Header
    file: str

    def where(self, row: int, column: int) -> str:
        """A cell as messages name it; row and column zero-based."""
        name = f"{self.raw.name}!" if not self.raw.file else ""
        return f"{name}{letters(column)}{row + 1}"


@dataclass(slots=True)
class Reading:
    """What has been read so far. places: key path -> (sheet, row, column)."""

    file: str
    tz: timezone = _PLANT_ZONE
    body: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    places: dict[Loc, tuple[OpenSheet, int, int]] = field(default_factory=dict)
    unread: set[Loc] = field(default_factory=set)  # cells that are problems already
    columns: dict[str, OpenSheet] = field(default_factory=dict)

    def place(self, sheet: OpenSheet, loc: Loc, row: int, column: int) -> None:
        """Remember the cell of a key path."""
        self.places[loc] = (sheet, row, column)

    def refuse(self, sheet: OpenSheet, row: int, column: int, message: str, fix: str) -> None:
        """A cell that cannot be read, its header before the message."""
        head = sheet.header.columns[column].zh
        self.problems.append(Problem(sheet.file, sheet.where(row, column), f"{head}：{message}", fix))
