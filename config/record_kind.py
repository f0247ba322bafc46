"""一种记录: what a kind of row and its columns are; the kinds themselves stand in `kinds_production.py` and `kinds_enterprise.py`.

In: nothing. Out: `Kind`, `Column`, frozen, and three builders of columns.
Column types: text · id · time (instant) · day · integer · decimal · money (yuan, 2 places) · flag · one of some words · a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["text", "id", "time", "day", "integer", "decimal", "money", "flag", "word"]
Link = Literal["", "batch", "order", "process", "device", "line", "scene", "system", "interface", "document"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. zh: its header for people; also: other headers that mean it. words: (canonical, Chinese …) of type word.

    link: what the value must name (batches and orders may come in the same delivery). required: must not be empty.
    """

    name: str
    zh: str
    type: Type = "text"
    required: bool = False
    link: Link = ""
    words: tuple[tuple[str, ...], ...] = ()
    also: tuple[str, ...] = ()
    signed: bool = False  # a number that may be negative


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row. key: columns that identify one. ordered: (earlier, later) pairs of times or days that must not stand the wrong way."""

    name: str
    zh: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    ordered: tuple[tuple[str, str], ...] = ()
    note: str = ""

    @property
    def column(self) -> dict[str, Column]:
        """Columns by name."""
        return {c.name: c for c in self.columns}


def optional(name: str, zh: str, type_: Type = "text", *, link: Link = "", also: tuple[str, ...] = ()) -> Column:
    """A column that may stay empty."""
    return Column(name, zh, type_, required=False, link=link, also=also)


def required(name: str, zh: str, type_: Type = "text", *, link: Link = "", also: tuple[str, ...] = ()) -> Column:
    """A column that must be filled in."""
    return Column(name, zh, type_, required=True, link=link, also=also)


def word(name: str, zh: str, *words: tuple[str, ...], required: bool = True) -> Column:
    """A column of some words: (canonical, Chinese …) each."""
    return Column(name, zh, "word", required=required, words=words)
