"""疑点: a question a reviewer will ask, with the rows that raised it. A finding never changes a number and accuses nobody.

In: nothing. Out: `Finding`, frozen, integers and words. Codes are stable; words are the plant's. Source: catalogue §4, gaming checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ROWS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One question. rows: what raised it, each as text columns under `columns`; `count`: how many there are, `rows` may be cut."""

    code: str
    question: str
    why: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    count: int

    def to_json(self) -> dict[str, Any]:
        """Integers and strings only."""
        return {
            "code": self.code,
            "question": self.question,
            "why": self.why,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "count": self.count,
        }


def finding(
    code: str, question: str, why: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> list[Finding]:
    """The finding with its rows, or none when nothing raised it."""
    if not rows:
        return []
    return [Finding(code, question, why, columns, tuple(rows[:ROWS_SHOWN]), len(rows))]
