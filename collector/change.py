"""What every change of paper truth has in common (register, records, documents): one at a time, a reason, its moment, proven bytes.

In: a data folder. Two changes at once would take the same number, and the first one's leaf would name the other's file.
Refuses: a change without a reason (`ConfigError`), bytes that do not fit their leaf (`LedgerError`).
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from collector.clock import Clock
from collector.folder import DataFolder
from collector.ledger import log
from collector.ledger.entry import LedgerError
from config.errors import ConfigError, Problem

MAX_REASON = 2000
P = ParamSpec("P")
R = TypeVar("R")


def one_at_a_time(change: Callable[Concatenate[DataFolder, P], R]) -> Callable[Concatenate[DataFolder, P], R]:
    """The change waits for its turn; a process that dies gives its turn back."""

    @wraps(change)
    def alone(folder: DataFolder, /, *args: P.args, **kwargs: P.kwargs) -> R:
        folder.state.mkdir(exist_ok=True)
        with (folder.state / "revisions.lock").open("ab") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            return change(folder, *args, **kwargs)

    return alone


def entered_ms(folder: DataFolder, clock: Clock) -> int:
    """Now, but never before an hour that is sealed already: with the clock set back nothing becomes timely afterwards."""
    seal = log.last_of(folder.ledger, "seal")
    if seal is None:
        return clock.now_us() // 1000
    span = seal.body.get("span")
    last = datetime.strptime(span[1] if span else seal.body["hour"], "%Y-%m-%dT%HZ").replace(tzinfo=UTC)
    end_ms = int(last.timestamp()) * 1000 + (0 if span else 3_600_000)
    return max(clock.now_us() // 1000, end_ms)


def need_reason(reason: str) -> None:
    """Errors: `ConfigError` for an empty reason, or one that is a book."""
    text = reason.strip()
    if text and len(text) <= MAX_REASON:
        return
    found = "found none" if not text else f"found {len(text)} characters, {MAX_REASON} at most"
    message = f"expected the reason of the change, {found}"
    raise ConfigError([Problem("--reason", "", message, "审核员会看到这句话 (the reviewer reads it)")])


def proven(path: Path, sha256: str) -> bytes:
    """The bytes of a file that a leaf names. Errors: `LedgerError`."""
    try:
        raw = path.read_bytes()
    except OSError as err:
        raise LedgerError(f"{path}: expected the revision its leaf names, found {err.strerror}") from err
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise LedgerError(f"{path}: the file was changed after its leaf was written")
    return raw
