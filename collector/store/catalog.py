"""The catalog: which segment files there are. SQLite, rebuilt from file footers whenever it is missing.

In: segments written, parents replaced. Out: the files that hold an hour. It keeps no data of its own.
Only maintenance (`repair`) puts files in order: unknown ones are moved to quarantine, never deleted; parents of a day file are removed once
the day file is in the catalog. A reader that finds no catalog makes one in memory and touches nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from adapters.batch import Template
from collector.folder import DataFolder
from collector.store.errors import StoreError
from collector.store.segment import Segment, read_footer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS template (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS segment (
  path TEXT PRIMARY KEY, template TEXT NOT NULL REFERENCES template(id), level TEXT NOT NULL,
  first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, hour_min INTEGER NOT NULL, hour_end INTEGER NOT NULL,
  ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL, rows INTEGER NOT NULL, parents TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS segment_hours ON segment (hour_min, hour_end);
"""
_FILLED = 1  # PRAGMA user_version, set in the transaction that filled the catalog from footers
_FIELDS = "path, template, level, first_seq, last_seq, hour_min, hour_end, ts_min, ts_max, rows, parents"


class Catalog:
    """Open catalog of a data folder; one transaction per change."""

    def __init__(self, folder: DataFolder, *, repair: bool = False) -> None:
        self._root = folder.segments
        self._journal = folder.journal
        if not repair and not _is_filled(folder.catalog):
            self._db = sqlite3.connect(":memory:")
            self._db.executescript(_SCHEMA)
            self._fill(self._footers([]))
            return
        self._db = sqlite3.connect(folder.catalog, timeout=30)
        if repair:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            if self._db.execute("PRAGMA user_version").fetchone()[0] != _FILLED:
                self.rebuild()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def replace(self, added: Iterable[tuple[Segment, Template]], removed: Iterable[str] = ()) -> None:
        """Add segments and forget others, at once."""
        with self._db:
            self._add(added)
            self._db.executemany("DELETE FROM segment WHERE path = ?", [(p,) for p in removed])

    def segments(self, first_hour: int = 0, end_hour: int = 2**31, template: str | None = None) -> list[Segment]:
        """Segments with rows in [first_hour, end_hour), in journal order."""
        found = self._db.execute(
            f"SELECT {_FIELDS} FROM segment WHERE hour_min < ? AND hour_end > ? ORDER BY first_seq, path",
            (end_hour, first_hour),
        )
        rows = [_segment(r) for r in found.fetchall()]
        return [s for s in rows if template is None or s.template == template]

    def templates(self) -> dict[str, Template]:
        """Every template that has a segment."""
        return {i: Template.from_json(body) for i, body in self._db.execute("SELECT id, body FROM template")}

    def last_seq(self) -> int:
        """The newest journal frame that has become a segment; 0 for none."""
        return int(self._db.execute("SELECT COALESCE(MAX(last_seq), 0) FROM segment").fetchone()[0])

    def rebuild(self) -> list[str]:
        """Fill the catalog from file footers; returns the files that were put into quarantine."""
        bad: list[Path] = []
        sound = self._footers(bad)
        for parent in self._fill(sound):
            (self._root / parent).unlink(missing_ok=True)
        return [self._quarantine(path) for path in bad]

    def _footers(self, bad: list[Path]) -> list[tuple[Segment, Template]]:
        """What every file says of itself; those that are not ours go into `bad`."""
        sound = []
        for path in sorted(self._root.rglob("*.parquet")):
            if "quarantine" in path.parts:
                continue
            try:
                sound.append(read_footer(self._root, path))
            except StoreError:
                bad.append(path)
        return sound

    def _fill(self, sound: list[tuple[Segment, Template]]) -> set[str]:
        """Replace the catalog's contents by `sound`; the files that a day file has superseded."""
        superseded = {parent for segment, _ in sound for parent in segment.parents}
        unfinished = self._unfinished([s for s, _ in sound])
        with self._db:
            self._db.execute("DELETE FROM segment")
            self._add((s, t) for s, t in sound if s.path not in superseded | unfinished)
            self._db.execute(f"PRAGMA user_version = {_FILLED}")
        return superseded

    def _add(self, added: Iterable[tuple[Segment, Template]]) -> None:
        for segment, template in added:
            self._db.execute("INSERT OR IGNORE INTO template VALUES (?, ?)", (template.id, template.to_json()))
            row = [getattr(segment, k) for k in Segment.__slots__]
            row[-1] = "\n".join(segment.parents)
            self._db.execute(f"INSERT OR REPLACE INTO segment ({_FIELDS}) VALUES ({','.join('?' * len(row))})", row)

    def _unfinished(self, found: list[Segment]) -> set[str]:
        """Files of the newest journal file that is still there: perhaps not one per template yet; they are written again."""
        newest = max((s.first_seq for s in found if not s.parents), default=0)
        merged = any(s.last_seq >= newest for s in found if s.parents)
        if merged or not self._in_journal(newest):
            return set()
        return {s.path for s in found if s.first_seq == newest}

    def _in_journal(self, first_seq: int) -> bool:
        return (self._journal / f"{first_seq:016d}.jrn").exists()

    def sweep(self) -> list[str]:
        """Put in order what a crash left: unfinished files go, superseded parents go, strangers go to quarantine."""
        known = {s.path for s in self.segments()}
        superseded = {p for s in self.segments() for p in s.parents}
        moved = []
        for aside in self._root.glob("[0-9]*/*/*/.*.tmp"):  # a day file that was never finished
            aside.unlink()
        for path in sorted((self._root / "open").glob("*")):
            name = str(path.relative_to(self._root))
            if name in known:
                continue
            if path.name.startswith(".") or name in superseded:
                path.unlink()
            else:
                moved.append(self._stranger(path))
        return [m for m in moved if m]

    def _stranger(self, path: Path) -> str:
        """A file whose transaction never came is written again from its journal file; anything else is kept aside."""
        try:
            segment, _ = read_footer(self._root, path)
        except StoreError:
            return self._quarantine(path)
        if segment.first_seq > self.last_seq() and self._in_journal(segment.first_seq):
            path.unlink()
            return ""
        return self._quarantine(path)

    def _quarantine(self, path: Path) -> str:
        target = self._root / "quarantine" / path.relative_to(self._root)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return str(target)


def _segment(row: tuple[Any, ...]) -> Segment:
    body = dict(zip(Segment.__slots__, row, strict=True))
    body["parents"] = tuple(body["parents"].split("\n")) if body["parents"] else ()
    return Segment(**body)


def _is_filled(path: Path) -> bool:
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return bool(db.execute("PRAGMA user_version").fetchone()[0] == _FILLED)


def open_catalog(folder: DataFolder, *, repair: bool = False) -> closing[Catalog]:
    """`with open_catalog(folder) as catalog:`; `repair` is maintenance's alone."""
    return closing(Catalog(folder, repair=repair))
