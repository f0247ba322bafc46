"""One line of the results, and nothing else, so that every part can make it.

In: a value, its unit, the limit or the peer's figure of the same run, one sentence of method. Out: `Figure`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the results. `ratio` is value over limit."""

    name: str
    value: float
    unit: str
    limit: float | None
    ratio: float | None
    method: str
