"""证据包: the packs built in this data folder, to list and to hand out.

In: `packs/*.zip`. Out: name, size, time; a path for a name that was asked for.
A name is one file name of a fixed alphabet; links, folders and everything else in the folder do not exist for this module.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.zip")


@dataclass(frozen=True, slots=True)
class PackFile:
    """One pack. `demo`: its name says that it is not evidence."""

    name: str
    size_bytes: int
    built_ms: int
    demo: bool


def list_packs(folder: Path) -> list[PackFile]:
    """Packs, newest first; an absent folder has none."""
    found = []
    for path in folder.glob("*.zip"):
        pack = _pack(path)
        if pack is not None:
            found.append(pack)
    return sorted(found, key=lambda p: (-p.built_ms, p.name))


def find_pack(folder: Path, name: str) -> Path | None:
    """The file of that exact name, or None for any other text."""
    if not _NAME.fullmatch(name):
        return None
    path = folder / name
    return path if _pack(path) is not None else None


def _pack(path: Path) -> PackFile | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or not _NAME.fullmatch(path.name):
        return None
    return PackFile(path.name, status.st_size, status.st_mtime_ns // 1_000_000, path.name.endswith("-DEMO.zip"))
