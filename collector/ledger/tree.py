"""Hash files of the log's tree: C2SP tlog-tiles laid end to end, derived from the entries and rebuilt from them at will.

`tree/0` holds leaf hashes, `tree/8` the root of each full 256-leaf subtree, `tree/16` of each 65,536-leaf one.
In: the entry lines (to check length) or new leaf hashes. Out: root of any prefix whose hashes are there.
"""

from __future__ import annotations

from pathlib import Path

from collector.ledger import merkle

_WIDTH = 256
_HASH = 32


class Tree:
    """The tree of a log, kept in step with its entries under the log's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def open(folder: Path, lines: list[bytes]) -> Tree:
        """Tree files in step with `lines`: missing hashes are computed; torn files, or of another history, made again."""
        folder.mkdir(parents=True, exist_ok=True)
        tree = Tree(folder)
        size = tree.size
        newest = [merkle.leaf_hash(lines[size - 1])] if 0 < size <= len(lines) else []
        if not tree._is_whole() or (size and tree._hashes(0, size - 1, size) != newest):
            tree.rebuild(lines)
        tree.extend([merkle.leaf_hash(line) for line in lines[tree.size :]])
        return tree

    def rebuild(self, lines: list[bytes]) -> None:
        """Every tree file again from the entries."""
        for path in self._folder.iterdir():
            path.unlink()
        self.extend([merkle.leaf_hash(line) for line in lines])

    def _is_whole(self) -> bool:
        """Whole hashes only, and at each level those of all full subtrees below it: a crash may have come between two files."""
        paths = list(self._folder.iterdir())
        if any(p.stat().st_size % _HASH for p in paths):
            return False
        return all(self._count(i + 1) == self._count(i) // _WIDTH for i in range(len(paths) + 1))

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        path = self._path(0)
        return path.stat().st_size // _HASH if path.exists() else 0

    def extend(self, leaves: list[bytes]) -> None:
        """Add leaf hashes and each subtree root that they complete."""
        level, new = 0, leaves
        while new:
            with self._path(level * 8).open("ab") as file:
                file.write(b"".join(new))
            have, full = self._count(level + 1), self._count(level) // _WIDTH
            new = [merkle.root(self._hashes(level, i * _WIDTH, (i + 1) * _WIDTH)) for i in range(have, full)]
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """RFC 6962 root of the first `size` leaves (all by default)."""
        rest = self.size if size is None else size
        done, level, tail = rest, 0, list[bytes]()
        while done or not level:
            full = done // _WIDTH
            part = self._hashes(level, full * _WIDTH, done) + tail if done else tail
            tail = [merkle.root(part)] if part else []  # an incomplete right edge is one node of the level above
            done, level = full, level + 1
        return tail[0] if tail else merkle.EMPTY_ROOT

    def _count(self, level: int) -> int:
        path = self._path(level * 8)
        return path.stat().st_size // _HASH if path.exists() else 0

    def _path(self, bits: int) -> Path:
        return self._folder / str(bits)

    def _hashes(self, level: int, start: int, end: int) -> list[bytes]:
        with self._path(level * 8).open("rb") as file:
            file.seek(start * _HASH)
            raw = file.read((end - start) * _HASH)
        return [raw[i : i + _HASH] for i in range(0, len(raw), _HASH)]
