"""The watched folder (交接目录): files somebody drops there are imported once they lie still, then moved beside, never deleted.

In: a folder. A file is taken when its size and time did not change for 2 s. Out: it lies in 已导入/, or in 有问题/ when it was refused
or rows went to quarantine, with a .txt that says what became of it. If the process dies between import and move, the file is recognised
by its bytes at the next look, moved then, and nothing is imported twice.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from collector.durable import fsync_folder, write_durably
from collector.intake.tables import Delivery, delivery_of_file
from config.errors import ConfigError

DONE, TROUBLE = "已导入", "有问题"
SUFFIXES = (".csv", ".xlsx", ".json")
STILL_S = 2.0
_SHOWN = 200  # rows of a quarantine that the .txt names

Import = Callable[[Delivery], dict[str, Any]]


class Watched:
    """What was seen at the last look: path -> (size, modification time, when it was first seen so)."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._seen: dict[Path, tuple[int, int, float]] = {}

    def still(self, now_s: float) -> list[Path]:
        """Files that lie still, oldest first. now_s: of a clock that only goes forward."""
        found = []
        there: dict[Path, tuple[int, int, float]] = {}
        for path in sorted(self._place.iterdir()) if self._place.is_dir() else []:
            if path.suffix.lower() not in SUFFIXES or path.name.startswith((".", "~$")):
                continue
            try:
                status = path.lstat()
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            size, changed_ns, since = self._seen.get(path, (-1, -1, now_s))
            if (size, changed_ns) != (status.st_size, status.st_mtime_ns):
                since = now_s
            there[path] = (status.st_size, status.st_mtime_ns, since)
            if now_s - since >= STILL_S:
                found.append((status.st_mtime_ns, path))
        self._seen = there
        return [path for _, path in sorted(found)]

    def take(self, path: Path, import_: Import) -> Path:
        """Import one file and move it; where it lies now. One that was written anew meanwhile stays, and is taken at a later look."""
        try:
            before = _version(path)
            answer = import_(delivery_of_file(path))
        except FileNotFoundError:  # whoever dropped it took it back
            return path
        except ConfigError as err:
            if not path.exists() or _version(path) != before:
                return path
            return self._move(path, TROUBLE, "整份未导入，什么都没有改动 (refused as a whole):\n" + str(err) + "\n")
        if not path.exists() or _version(path) != before:
            return path
        return self._move(path, TROUBLE if answer["quarantined"] else DONE, words_of(answer))

    def _move(self, path: Path, folder: str, words: str) -> Path:
        place = self._place / folder
        place.mkdir(exist_ok=True)
        target = place / path.name
        number = 1
        while target.exists():
            number += 1
            target = place / f"{path.stem}-{number}{path.suffix}"
        write_durably(target.with_name(target.name + ".txt"), words.encode(errors="replace"))
        path.rename(target)
        fsync_folder(place)
        self._seen.pop(path, None)
        return target


def _version(path: Path) -> tuple[int, int, int]:
    """Another one after every write."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def words_of(answer: dict[str, Any]) -> str:
    """An answer for the person who dropped the file."""
    lines = [
        f"第 {answer['revision']} 版：共 {answer['rows']} 行，导入 {answer['accepted']}，补全 {answer['completed']}，"
        f"重复 {answer['duplicates']}，隔离 {answer['quarantined']} (rows accepted, completed, duplicate, quarantined)"
    ]
    lines += [f"第 {r['row']} 行：{r['words']}" for r in answer["quarantine"][:_SHOWN]]
    if answer["quarantined"] > _SHOWN:
        lines.append(f"…… 其余见 plantproof records quarantine --revision {answer['revision']}")
    if answer["quarantined"]:
        lines.append(
            "改正这些行后另存为新文件再放入即可；已导入的行会被认出，不会重复计入 (fix these rows and drop the file again)"
        )
    return "\n".join(lines) + "\n"
