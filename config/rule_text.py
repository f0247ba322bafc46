"""条文: the official text of an instrument beside its data, cut into articles, so that a verdict can quote the whole sentence.

In: `config/rules/<folder>/<id>.txt`, as published (official documents carry no copyright, 著作权法 第五条). Out: one article, paragraph
（三） or item 3 of it as one string. Copes with what the copies hold: lines broken in mid-sentence (SD22), everything on one line (GS25),
a word processor's bookmark before 第十条 (TJ), full- and half-width brackets, 第1章 beside 第一章.
Refuses: `KeyError` for an instrument without a text at hand or an article that it does not have.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

RULES = Path(__file__).parent / "rules"
_REFERENCE = re.compile(
    r"^第(?P<article>[一二三四五六七八九十]+)条(?:\((?P<paragraph>[一二三四五六七八九十]+)\))?(?P<item>\d+)?$"
)
_DIGITS = "零一二三四五六七八九"


def official_text(rules_id: str) -> str | None:
    """The whole text of a shipped instrument (`CN-GS/GS25`), or None where no copy is at hand."""
    path = RULES / f"{rules_id}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def article_text(rules_id: str, article: str) -> str:
    """Words of 第十二条(三)3 of a shipped instrument. Errors: `KeyError`."""
    found = cut(_shipped(rules_id), article)
    if found is None:
        raise KeyError(f"{rules_id} {article}")
    return found


def cut(text: str, article: str) -> str | None:
    """An article of a text, or one paragraph, or one item of a paragraph; None when there is none. 第十条, 第九条(一), 第十二条(三)3."""
    reference = _REFERENCE.match(article.replace("（", "(").replace("）", ")"))
    if reference is None:
        return None
    part = _numbered(text, r"(?:^|(?<=[\s\]]))第{}条(?=\s)", [chinese(n) for n in range(1, 100)], reference["article"])
    if part is None:
        return None
    part = re.split(r"\s第[一二三四五六七八九十\d]+章\s|\s附件[:：]", part)[0]
    if reference["paragraph"]:
        places = r"(?:^|(?<=[\s；。;:：]))[（(]{}[)）]"
        part = _numbered(part, places, [chinese(n) for n in range(1, 20)], reference["paragraph"])
    if part is not None and reference["item"]:
        places = r"(?:^|(?<=[\s；。])){}\.(?!\d)"
        part = _numbered(part, places, [str(n) for n in range(1, 20)], reference["item"])
    return None if part is None else _readable(part)


def bare(words: str) -> str:
    """Words without any white space and with one kind of bracket, for comparison."""
    return re.sub(r"\s+", "", words).replace("（", "(").replace("）", ")")


def chinese(number: int) -> str:
    """1..99 in Chinese numerals: 十二, 三十."""
    tens, ones = divmod(number, 10)
    head = ("" if tens == 1 else _DIGITS[tens]) + "十" if tens else ""
    return head + (_DIGITS[ones] if ones else "")


@lru_cache(maxsize=8)
def _shipped(rules_id: str) -> str:
    text = official_text(rules_id)
    if text is None:
        raise KeyError(rules_id)
    return text


def _numbered(text: str, place: str, numbers: list[str], wanted: str) -> str | None:
    """What stands from the place of `wanted` to the next number's, counting up: a number out of its turn is a reference, not a heading."""
    start: int | None = None
    position = 0
    for number in numbers:
        found = re.compile(place.format(number)).search(text, position)
        if start is not None:
            return text[start : found.start() if found else len(text)]
        if found is None:
            return None
        position = found.end()
        if number == wanted:
            start = found.start()
    return None


def _readable(part: str) -> str:
    """One paragraph per line; a line that a copy broke in mid-sentence is joined again."""
    lines = [line.strip() for line in re.sub(r"\[bookmark:[^\]]*\]?", "", part).splitlines()]
    joined = ""
    for line in filter(None, lines):
        new = re.match(r"[（(][一二三四五六七八九十]+[)）]|\d+\.", line)
        joined += ("\n" if joined and new else "") + line
    return joined.strip()
