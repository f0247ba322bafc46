"""读取结果: what came out of a register file: the register or every problem, and each thing that was taken in another form than it stands.

In: nothing. Out: `Parsed`, `Correction`, and corrections of one kind drawn together for people (`gathered`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from config.errors import Problem
from config.register import Register


@dataclass(frozen=True, slots=True)
class Correction:
    """A cell taken in another form. `where` is `sheet!cell`; `taken` is empty when it was not read at all; `note` says why."""

    file: str
    where: str
    found: str
    taken: str
    note: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.where}" if self.where else self.file
        taken = f"{self.found!r} → {self.taken!r}" if self.taken else f"{self.found}"
        return f"{place}: {taken} · {self.note}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """`register` is None exactly when there are problems."""

    register: Register | None
    problems: tuple[Problem, ...]
    corrections: tuple[Correction, ...] = ()


def gathered(corrections: Iterable[Correction]) -> list[tuple[Correction, int]]:
    """The first of each kind (sheet, column, what is taken for what) and how many there are."""

    def kind(c: Correction) -> tuple[str, str, str]:
        return c.where.rstrip("0123456789"), c.note, c.taken if "→" in c.note else ""

    found = []
    for _, group in groupby(sorted(corrections, key=kind), key=kind):
        members = list(group)
        found.append((members[0], len(members)))
    return found
