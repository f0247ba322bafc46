"""The append-only log on disk: entries, derived tree files, signed checkpoint (docs/format/ledger.md).

In: entries. Out: their size and a checkpoint. One function appends; it alone takes the lock and cuts torn tails:
 1 lock   2 read tail and tree from disk, cut a torn last line   3 adopt whole lines beyond the checkpoint
 4 drop entries already there (seal of that hour)   5 write, fsync   6 extend the tree   7 sign, write aside, fsync, rename, fsync
If the process dies before 5's fsync nothing was appended; after it, step 3 of the next append finishes the work.
Refuses (`LedgerError`): a checkpoint that the entries do not reproduce, a key that is not the genesis key.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collector.ledger import merkle
from collector.ledger.checkpoint import Checkpoint, open_checkpoint, origin_of, sign_checkpoint
from collector.ledger.entry import Entry, LedgerError
from collector.ledger.tree import Tree

ENTRIES, CHECKPOINT, LOCK = "entries.ndjson", "checkpoint", "lock"


def read_lines(ledger: Path) -> list[bytes]:
    """Whole entry lines, without newlines; a torn last line is left out (only `append` cuts it)."""
    try:
        raw = (ledger / ENTRIES).read_bytes()
    except FileNotFoundError:
        return []
    return raw[: raw.rfind(b"\n") + 1].splitlines()


def read_entries(ledger: Path, size: int | None = None) -> list[Entry]:
    """The first `size` entries (all by default), parsed strictly."""
    return [Entry.parse(line) for line in read_lines(ledger)[:size]]


def read_of(ledger: Path, *types: str, size: int | None = None, since: int = 0) -> list[Entry]:
    """Entries of some types among the first `size`, behind the first `since`.

    Canonical JSON ends with the type, so the others need no parsing.
    """
    ends = tuple(f',"t":"{t}","v":1}}'.encode() for t in types)
    return [Entry.parse(line) for line in read_lines(ledger)[since:size] if line.endswith(ends)]


def last_of(ledger: Path, t: str) -> Entry | None:
    """The newest entry of a type, or None."""
    end = f',"t":"{t}","v":1}}'.encode()
    line = next((x for x in reversed(read_lines(ledger)) if x.endswith(end)), None)
    return Entry.parse(line) if line else None


def read_checkpoint(ledger: Path) -> Checkpoint | None:
    """The newest checkpoint, its signature checked against the genesis key; None when the log is new."""
    lines = read_lines(ledger)
    if not lines or not (ledger / CHECKPOINT).exists():
        return None
    return open_checkpoint((ledger / CHECKPOINT).read_bytes(), genesis_key(lines[0]), origin_of(lines[0]))


def genesis_key(genesis_line: bytes) -> bytes:
    """The log's Ed25519 public key (32 bytes) as its genesis entry states it."""
    return bytes.fromhex(Entry.parse(genesis_line).body["public_key"])


def verify_log(ledger: Path) -> Checkpoint:
    """Every line canonical, root re-derived, checkpoint signed by the genesis key. Errors: `LedgerError`."""
    lines = read_lines(ledger)
    if not lines:
        raise LedgerError(f"{ledger}: expected a genesis entry, found none")
    for i, line in enumerate(lines):
        try:
            Entry.parse(line)
        except LedgerError as err:
            raise LedgerError(f"{ledger}: entry {i}: {err}") from err
    checkpoint = read_checkpoint(ledger)
    if checkpoint is None:
        raise LedgerError(f"{ledger}: expected a checkpoint, found none")
    if checkpoint.size > len(lines):
        raise LedgerError(f"{ledger}: the checkpoint covers {checkpoint.size} entries, found {len(lines)}")
    if merkle.root([merkle.leaf_hash(line) for line in lines[: checkpoint.size]]) != checkpoint.root:
        raise LedgerError(f"{ledger}: the entries do not have the root that the checkpoint signs")
    return checkpoint


def append(ledger: Path, entries: Iterable[Entry], seed: bytes) -> int:
    """Append entries in order; returns the new size. Idempotent on seals (type, hour). Errors: `LedgerError`."""
    ledger.mkdir(parents=True, exist_ok=True)
    with _locked(ledger):  # 1
        tree, genesis = _recover(ledger)  # 2, 3
        lines = [e.line() for e in _not_yet_there(ledger, list(entries))]  # 4
        if genesis is None and lines:
            genesis = lines[0]
        if genesis is None:
            raise LedgerError(f"{ledger}: expected a genesis entry first, found nothing to append")
        if lines:
            with (ledger / ENTRIES).open("ab") as file:  # 5
                file.write(b"".join(line + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            tree.extend([merkle.leaf_hash(line) for line in lines])  # 6
        _publish(ledger, tree, genesis, seed)  # 7
        return tree.size


def _publish(ledger: Path, tree: Tree, genesis: bytes, seed: bytes) -> None:
    origin = origin_of(genesis)
    checkpoint = Checkpoint(origin, tree.size, tree.root())
    note = sign_checkpoint(checkpoint, seed)
    open_checkpoint(note, genesis_key(genesis), origin)  # refuses a key that is not the genesis key's
    if (ledger / CHECKPOINT).exists() and (ledger / CHECKPOINT).read_bytes() == note:
        return
    aside = ledger / (CHECKPOINT + ".tmp")
    with aside.open("wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(ledger / CHECKPOINT)
    fd = os.open(ledger, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _recover(ledger: Path) -> tuple[Tree, bytes | None]:
    """Cut a torn tail, bring the tree files in step with the entries, check them against the checkpoint."""
    path = ledger / ENTRIES
    if path.exists():
        whole = path.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end < len(whole):
            with path.open("r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())
    lines = read_lines(ledger)
    tree = Tree.open(ledger / "tree", lines)
    checkpoint = read_checkpoint(ledger)
    if checkpoint is not None and checkpoint.size > tree.size:
        raise LedgerError(
            f"{ledger}: the checkpoint signs {checkpoint.size} entries, found {tree.size}: entries were removed"
        )
    if checkpoint is not None and tree.root(checkpoint.size) != checkpoint.root:
        tree.rebuild(lines)  # the tree is derived; the entries decide
    if checkpoint is not None and tree.root(checkpoint.size) != checkpoint.root:
        raise LedgerError(f"{ledger}: the entries do not have the root that the checkpoint signs: they were changed")
    return tree, lines[0] if lines else None


def _not_yet_there(ledger: Path, entries: list[Entry]) -> Iterator[Entry]:
    new_seals = {e.body["hour"] for e in entries if e.t == "seal"}
    if not new_seals:
        yield from entries
        return
    newest = last_of(ledger, "seal")
    there: set[Any] = set()
    if newest is not None and min(new_seals) <= newest.body["hour"]:  # hours as text sort as time
        there = {e.body["hour"] for e in read_of(ledger, "seal")} & new_seals
    for entry in entries:
        hour = entry.body["hour"] if entry.t == "seal" else None
        if hour is None or hour not in there:
            there.add(hour)
            yield entry


@contextmanager
def _locked(ledger: Path) -> Iterator[None]:
    with (ledger / LOCK).open("ab") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)
