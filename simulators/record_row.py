"""One row of a record as somebody would write it, and the moment from which the office can hand it in.

In: nothing. Out: `RecordRow`: the kind's name and cells by column (config/record_kinds.py), as text. A delivery holds the rows that became
known since the one before; rows of one key in one delivery are written as one, the later cells over the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A row. key: what makes it the same row when it is handed in again. wrong: the import must put it into quarantine."""

    kind: str
    key: tuple[str, ...]
    known_us: int
    cells: Mapping[str, str]
    wrong: bool = False


def row(kind: str, keys: int, known_us: int, /, **cells: object) -> RecordRow:
    """A row whose first `keys` cells are its key; flags become 1 and 0."""
    texts = {k: str(int(v)) if isinstance(v, bool) else str(v) for k, v in cells.items()}
    return RecordRow(kind, tuple(texts.values())[:keys], known_us, texts)
