"""列与表: what a sheet of the register is made of: columns with their header, other headers that mean the same, and what a cell holds.

In: nothing. Out: `Column`, `Sheet`, and the spelling under which headers and words are compared (`plain`).
The register's sheets are `register_sheets.py`; reading a cell is `cells.py`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

CellKind = Literal[
    "id", "text", "flag", "day", "moment", "clock", "integer", "decimal", "word", "ids", "texts", "map", "rule", "pairs"
]
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column. key: key path within the row; zh: its header; also: other headers; words: (canonical, shown, others …) of kind word.

    stands_in: headers that mean this column when no other column claims them and this one has no header of its own.
    link: the table its value names. note: one line for 填写说明. units: what may follow a number (60秒).
    """

    key: str
    zh: str
    kind: CellKind = "text"
    also: tuple[str, ...] = ()
    required: bool = False
    link: str = ""
    words: tuple[tuple[str, ...], ...] = ()
    stands_in: tuple[str, ...] = ()
    note: str = ""
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """A sheet. table: key path of the register (`device`, `calendar.closures`); zh: its name; also: other names that mean it."""

    table: str
    zh: str
    columns: tuple[Column, ...]
    also: tuple[str, ...] = ()
    note: str = ""

    @cached_property
    def column(self) -> dict[str, Column]:
        """Columns by key."""
        return {c.key: c for c in self.columns}

    @cached_property
    def header(self) -> dict[str, Column]:
        """Columns by every header that means them, in plain spelling."""
        found: dict[str, Column] = {}
        for column in self.columns:
            for name in (column.zh, column.key, *column.also):
                found.setdefault(plain(name), column)
        return found

    @cached_property
    def stand_in(self) -> dict[str, Column]:
        """Headers that mean a column only when it has no header of its own."""
        return {plain(name): column for column in self.columns for name in column.stands_in}


def half(text: str) -> str:
    """Full-width digits, letters and spaces as the usual ones; invisible characters removed."""
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """The spelling under which headers and words are compared: half-width, small, without spaces, marks and what stands in brackets."""
    found = half(text).lower()
    outside = ""
    depth = 0
    for char in found:
        depth += char in "([【"
        if depth == 0 and not char.isspace() and char not in "*:_-.#★":
            outside += char
        depth -= char in ")]】" and depth > 0
    return outside or "".join(found.split())


def letters(column: int) -> str:
    """A zero-based column as a spreadsheet writes it: 0 is A, 26 is AA."""
    found = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found
