"""The one shape in which wrong input is reported: every problem at once, each with its place.

ConfigError               something a person wrote cannot be used (exit code 4)
    .problems             what, where (file, key path or cell), expected, found, what to do
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place. `where` is a key path (`device[3].port`), a cell (`batches.csv:12 lot_id`) or empty."""

    file: str
    where: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.where}" if self.where else self.file
        text = f"{place}: {self.message}"
        return f"{text}\n    → {self.fix}" if self.fix else text


class ConfigError(Exception):
    """Input that cannot be used. Nothing of it has been applied."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems
