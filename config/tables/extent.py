"""How far out the cells of a workbook lie, read before anything is laid out as a rectangle.

In: the zip of an xlsx. Out: the largest row and column any cell names. calamine reserves height x width cells of a sheet at once: one
stray cell in XFD1048576 asks for 400 GB, and no exception comes back from that. So whoever opens a stranger's workbook asks here first.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

# the last group: a cell with a format and nothing in it, as Excel leaves them to the end of the sheet: calamine passes it over
_CELL = re.compile(
    rb"""\br\s*=\s*["']([A-Za-z]{1,3})(\d{1,7})["']((?:\s+\w{1,9}="[^"<>]{0,99}"){0,3}\s*(?:/>|></(?:\w{1,9}:)?c>))?"""
)
# a cell that does not say where it is: readers count along the row, so it may be anywhere
_UNPLACED = re.compile(
    rb"""<(?:\w{1,9}:)?c(?:\s+(?!r\s*=)[\w:]{1,30}\s*=\s*(?:"[^"<]{0,99}"|'[^'<]{0,99}')){0,9}\s*>"""
)
_LAST_ROW, _LAST_COLUMN = 1_048_576, 16_384
_BLOCK = 1 << 20
_OVERLAP = 512  # longer than a cell's opening tag
WORKBOOK = "xl/workbook.xml"
_NO_SHEETS = ("xl/sharedStrings.xml", "xl/styles.xml", "docProps/")


def farthest(archive: zipfile.ZipFile) -> tuple[int, int]:
    """(row, column), counted from 1, over all sheets; (0, 0) without cells. A cell that does not say where it is may be the last there is.

    Errors: `zipfile.BadZipFile`, `OSError`, `zlib.error`.
    """
    rows, columns = 0, set[bytes]()
    for name in archive.namelist():
        if not name.lower().endswith(".xml") or name.startswith(_NO_SHEETS):
            continue
        for block in _blocks(archive, name):
            if b"row>" in block and _UNPLACED.search(block):
                return _LAST_ROW, _LAST_COLUMN
            found = [(letters, int(row)) for letters, row, empty in _CELL.findall(block) if not empty]
            rows = max(rows, max((row for _, row in found), default=0))
            columns.update({letters for letters, _ in found})
    return rows, max((_number(letters) for letters in columns), default=0)


def _blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """The member in parts, cut behind a row, or behind a tag where a row is longer than a part."""
    rest = b""
    with archive.open(name) as member:
        while block := member.read(_BLOCK):
            whole = rest + block
            cut = max(whole.rfind(b"row>" if b"row>" in block else b">"), 0)
            if cut == 0 and len(whole) > _BLOCK + _OVERLAP:
                cut = len(whole) - _OVERLAP  # no tag ends in a whole part: a long text
            yield whole[:cut]
            rest = whole[cut:]
    yield rest


def _number(letters: bytes) -> int:
    """A is 1, XFD is 16384."""
    found = 0
    for letter in letters.upper():
        found = found * 26 + letter - ord("A") + 1
    return found
