"""A word in the margin and Chinese text beside it, wrapped where Chinese may break: after any character, never before closing punctuation.

In: a margin, lines of rich `Text`. Out: a renderable. rich itself breaks at spaces only, and a Chinese sentence has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

CLOSING = "，。；：、）》”？！…,.;:)%"
OPENING = "（《“("
LEAST = 20  # columns of text, however deep the margin


@dataclass(frozen=True, slots=True)
class Hanging:
    """`margin` in the first of `width` columns, `body` in the others."""

    margin: Text
    width: int
    body: Sequence[Text]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Margin beside the first line, spaces beside the rest."""
        room = max(LEAST, options.max_width - self.width)
        margin = self.margin.copy()
        margin.append(" " * max(1, self.width - cell_len(margin.plain)))
        for line in (piece for text in self.body for piece in text.divide(breaks(text.plain, room))):
            line.rstrip()
            out = Text.assemble(margin, line)
            out.no_wrap, out.overflow = True, "ignore"
            yield out
            margin = Text(" " * self.width)


def breaks(text: str, room: int) -> list[int]:
    """Where to begin a new line so that none is wider than `room` columns, as offsets into the text."""
    found: list[int] = []
    start, used, last = 0, 0, 0
    for i, char in enumerate(text):
        if i > start and _may_break(text, i):
            last = i
        used += cell_len(char)
        if used > room and last > start:
            found.append(last)
            start, used = last, cell_len(text[last : i + 1])
    return found


def _may_break(text: str, i: int) -> bool:
    """Before text[i]: after a space, or between characters of which one is wide."""
    before, after = text[i - 1], text[i]
    if after in CLOSING or before in OPENING or after == " ":
        return False
    return before == " " or cell_len(before) > 1 or cell_len(after) > 1
