"""What a verdict is when it is made again: integers and words of a fixed list, and what it was made from.

In: what `measured.py` and `papers.py` found. Out: `Word`; `Ground` is everything a verdict may rest on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from evidence_api.verify.evidence import Document
from evidence_api.verify.instruments import Rules

WORST_FIRST = ("short", "insufficient_data", "needs_judgement", "declared_only", "met", "not_applicable")
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Word:
    """One criterion judged. numbers: what the integers alone say. by_level: where an adopted instrument's levels differ."""

    verdict: str
    distance: int | None = None
    unit: str = ""
    numbers: str = ""
    simulated: bool = False
    by_level: tuple[tuple[str, str], ...] = ()
    judged: tuple[dict[str, Any], ...] = ()

    def at(self, level: str) -> str:
        """The word at one level."""
        return dict(self.by_level).get(level, self.verdict)

    def to_json(self) -> dict[str, Any]:
        """As results.json has it, without the texts."""
        return {
            "verdict": self.verdict,
            "numbers": self.numbers or self.verdict,
            "simulated": self.simulated,
            "distance": self.distance,
            "distance_unit": self.unit,
            "by_level": [list(x) for x in self.by_level],
            "judged": list(self.judged),
        }


@dataclass(frozen=True, slots=True)
class Referred:
    """An adopted instrument as it was judged."""

    rules: Rules
    levels: Mapping[str, str]
    simulated: bool


@dataclass(frozen=True, slots=True)
class Ground:
    """records: kind -> merged rows. scenes: of the register of T. adopted: family -> the edition meant, None where nobody knows it."""

    day: date
    results: list[dict[str, Any]]
    records: Mapping[str, list[Row]] = field(default_factory=dict)
    documents: tuple[Document, ...] = ()
    scenes: tuple[dict[str, Any], ...] = ()
    adopted: Mapping[str, Referred | None] = field(default_factory=dict)
