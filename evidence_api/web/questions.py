"""审核员会问什么: each question the data raised, how many rows raised it, the first of them.

In: the findings that the child wrote (`plantproof-findings/1`). Out: `Asked` for `overview.html`. A finding changes no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROWS = 5


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its first rows. more: rows that are not shown."""

    question: str
    why: str
    count: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The section. not_checked: what the child left out, in words; not the same as nothing found."""

    questions: tuple[Question, ...]
    not_checked: str


def question_values(body: Mapping[str, Any] | None) -> Asked | None:
    """The section's values; None before the first run."""
    if body is None:
        return None
    return Asked(tuple(_question(f) for f in body["findings"]), "、".join(body["not_checked"]))


def _question(f: Mapping[str, Any]) -> Question:
    rows = tuple(tuple(row) for row in f["rows"][:ROWS])
    return Question(f["question"], f["why"], f["count"], tuple(f["columns"]), rows, f["count"] - len(rows))
