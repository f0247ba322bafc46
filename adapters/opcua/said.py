"""Texts that others wrote (a server, a certificate), made fit for a screen, a log, a message (`plain`); JSON likewise (`json_text`).

In: any text. Out: one line of what can be printed, of bounded length. A name may hold line breaks, terminal escape sequences, marks that
turn the reading direction, bytes that are no UTF-8 (asyncua hands them on as lone surrogates), or be megabytes long; nothing of that
reaches a person.
"""

from __future__ import annotations

import json
from typing import Any

MOST = 200  # characters


def plain(text: object, most: int = MOST) -> str:
    """One line without control characters, at most `most` characters and a mark that there was more."""
    raw = str(text)
    line = " ".join("".join(c if c.isprintable() else " " for c in raw[: 4 * most]).split())
    return line if len(line) <= most and len(raw) <= 4 * most else line[:most] + "…"


def json_text(body: Any, indent: int | None = None) -> str:
    """JSON in which whatever cannot be printed is escaped: the same value to a program, harmless on a terminal."""
    text = json.dumps(body, ensure_ascii=False, sort_keys=indent is None, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
