"""The journal on disk: frames appended, fdatasynced, then acknowledged; recovery of what a crash left.

In: batches and control maps with the clock's time. Out: durable frames; on opening, a `Recovery` that says what was cut.
Refuses (`JournalError`): a second writer, damage that is not a torn tail, a disk that does not take the bytes. A failed
write or fsync is never retried on the same file: the journal stops loudly, nothing acknowledged is lost.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.batch import Batch
from collector.durable import fsync_folder, write_durably
from collector.frame import (
    CONTROL,
    MAGIC,
    NO_FRAME,
    ROWS,
    Frame,
    FrameError,
    FrameHead,
    control_body,
    pack_frame,
    read_frames,
    rows_body,
    scan_frames,
)

HOUR_US = 3_600_000_000
SUFFIX = ".jrn"


class JournalError(Exception):
    """The journal cannot be written or read; the collector stops (exit code 5)."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening found: the last whole frame, and what was cut off behind it."""

    last_seq: int  # 0 when there was none
    last_hour: int
    last_us: int
    head: bytes
    cut_bytes: int
    cut_file: str
    reason: str


class Journal:
    """The writer. One per data folder, guarded by a lock."""

    def __init__(self, folder: Path, quarantine: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = (folder / "lock").open("ab")
        try:
            fcntl.flock(self._lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise JournalError(
                f"{folder}: 另一个采集进程正在写 (another collector writes here); stop it first"
            ) from None
        try:
            self.recovery = _recover(folder, quarantine)
        except BaseException:
            self._lock.close()
            raise
        self._seq, self._hour, self._head = self.recovery.last_seq, self.recovery.last_hour, self.recovery.head
        self._fd = -1
        self._known: set[str] = set()
        self._failed = False

    @property
    def seq(self) -> int:
        """Sequence number of the newest frame, 0 before the first."""
        return self._seq

    @property
    def hour(self) -> int:
        """Hour of the newest frame, 0 before the first."""
        return self._hour

    def hour_at(self, now_us: int) -> int:
        """The hour a frame written now belongs to: never before the newest frame's."""
        return max(self._hour, now_us // HOUR_US)

    def append_rows(self, batches: Iterable[Batch], now_us: int) -> int:
        """One durable frame of batches; its sequence number."""
        self._open_file()
        body, named = rows_body(batches, self._known)  # errors: `BatchError`, and nothing is written
        seq = self._append(ROWS, body, now_us)
        self._known |= named  # only now: a frame that could not be packed has named nothing
        return seq

    def append_control(self, control: dict[str, Any], now_us: int) -> int:
        """One durable control frame; its sequence number."""
        self._open_file()
        return self._append(CONTROL, control_body(control), now_us)

    def rotate(self) -> None:
        """Close the file; the next frame begins a new one."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Close file and lock."""
        self.rotate()
        self._lock.close()

    def _open_file(self) -> None:
        if self._failed:
            raise JournalError(f"{self._folder}: a write failed before; the journal takes nothing more")
        if self._fd < 0:
            path = self._folder / f"{self._seq + 1:016d}{SUFFIX}"
            try:
                self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
                fsync_folder(self._folder)
            except OSError as err:
                self._failed = True
                raise JournalError(
                    f"{path}: cannot begin a journal file: {err.strerror}; nothing is acknowledged"
                ) from err
            self._known = set()

    def _append(self, kind: int, body: bytes, now_us: int) -> int:
        hour = self.hour_at(now_us)
        frame = pack_frame(kind, self._seq + 1, hour, now_us, self._head, body)
        try:
            view = memoryview(frame)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fdatasync(self._fd)
        except OSError as err:
            self._failed = True
            raise JournalError(
                f"{self._folder}: cannot write frame {self._seq + 1}: {err.strerror}; nothing of it is acknowledged"
            ) from err
        self._seq, self._hour, self._head = self._seq + 1, hour, hashlib.sha256(frame).digest()
        return self._seq


def files(folder: Path) -> list[Path]:
    """Journal files, oldest first. All but the newest are closed."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_file(path: Path, *, tail: bool = False, rows: bool = True) -> Iterator[Frame]:
    """Frames of one file. With `tail` (the newest file, perhaps being written) ends quietly at the first unfinished frame.

    Without `rows`, row frames come without their blocks: enough to know what there is, at a tenth of the cost.
    """
    try:
        yield from read_frames(path.read_bytes(), rows=rows)
    except FrameError as err:
        if not tail:
            raise JournalError(f"{path}: {err}") from err


@dataclass(frozen=True, slots=True)
class _Whole:
    """The sound beginning of a file: its length, its last frame, and why it ends there (empty: it is all there is)."""

    end: int
    head: FrameHead | None
    digest: bytes
    reason: str


def _recover(folder: Path, quarantine: Path) -> Recovery:
    """Look first, change afterwards: a refused journal is left as it was found."""
    found = files(folder)
    empty = [p for p in found[-1:] if p.stat().st_size == 0]  # a file made, nothing written yet
    found = found[: len(found) - len(empty)]
    if not found:
        _remove(empty)
        return Recovery(0, 0, 0, NO_FRAME, 0, "", "")
    newest = found[-1]
    raw = newest.read_bytes()
    last = tail = _whole(raw)
    if tail.reason and _has_later_frame(raw, tail.end):
        raise _damage(newest, tail, "whole frames follow")
    if tail.reason and empty:
        raise _damage(newest, tail, "it is not the newest file")
    if tail.head is None and len(found) > 1:  # nothing of this file was ever acknowledged; the one before it was closed
        last = _whole(found[-2].read_bytes())
        if last.reason:
            raise _damage(found[-2], last, "it is not the newest file")
    _remove(empty)
    cut = len(raw) - tail.end
    if cut:
        write_durably(quarantine / f"{newest.stem}-{tail.end}.torn", raw[tail.end :])
        _truncate(newest, tail.end)
    if tail.head is None:
        newest.unlink()
    cut_file = newest.name if cut else ""
    if last.head is None:
        return Recovery(0, 0, 0, NO_FRAME, cut, cut_file, tail.reason)
    return Recovery(last.head.seq, last.head.hour, last.head.clock_us, last.digest, cut, cut_file, tail.reason)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()


def _whole(raw: bytes) -> _Whole:
    end, head, digest = 0, None, NO_FRAME
    try:
        for end, head, digest in scan_frames(raw):  # noqa: B007
            pass
    except FrameError as err:
        return _Whole(end, head, digest, str(err))
    return _Whole(end, head, digest, "")


def _damage(path: Path, found: _Whole, why: str) -> JournalError:
    return JournalError(
        f"{path}: byte {found.end}: {found.reason}, and {why}: this is damage, not a torn tail; nothing was changed"
        "\n    → 保留该文件并联系维护者 (keep the file, ask the maintainer)"
    )


def _has_later_frame(raw: bytes, start: int) -> bool:
    """True when a sound frame begins at or after the bad spot: bytes were damaged, or a frame taken out, in the middle."""
    offset = raw.find(MAGIC, start)
    while offset >= 0:
        try:
            next(iter(scan_frames(raw[offset:])))
            return True
        except (FrameError, StopIteration):
            offset = raw.find(MAGIC, offset + 1)
    return False


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())
