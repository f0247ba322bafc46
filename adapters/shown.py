"""A stranger's words for a log or a terminal: what a broker, a publisher or an edge node wrote may hold escape sequences.

In: any text. Out: the same with every character that does not print as U+FFFD, cut to a length; line breaks only where they are asked for.
"""

from __future__ import annotations


def shown(text: str, most: int = 120, *, lines: bool = False) -> str:
    """At most so many characters of it, all printable; `lines`: line breaks stay."""
    return "".join(c if c.isprintable() or (lines and c == "\n") else "\ufffd" for c in text[:most])
