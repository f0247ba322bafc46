"""最新封存: what the first page says of the ledger: newest seal, size, root, checkpoint; and the spans of missed hours.

In: `ledger/entries.ndjson` and `ledger/checkpoint` (docs/format/ledger.md). The log only grows, so each call reads from where
the last one ended. Out: `LedgerView`. The checkpoint's signature is checked against the genesis key; the whole tree is not
(that is `plantproof ledger verify`). A checkpoint that does not verify is shown as a problem, never as a root.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.ledger.checkpoint import Checkpoint, open_checkpoint, origin_of
from collector.ledger.entry import Entry, LedgerError
from collector.ledger.log import CHECKPOINT, ENTRIES, genesis_key

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """Hours [first, end) since 1970 for which one leaf stands instead of lines (collector down for more than 72 h)."""

    first_hour: int
    end_hour: int
    devices: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seal:
    """The newest hour seal. `index` is its place in the ledger, from 0. `root` is hex; `lines` counts its D lines."""

    hour: int
    index: int
    at_ms: int
    root: str
    lines: int
    cause: str


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What is known of the ledger now. `problem` says why there is no checkpoint to show."""

    size: int
    genesis: Entry | None
    seal: Seal | None
    checkpoint: Checkpoint | None
    problem: str
    spans: tuple[Span, ...]
    register_rev: int = 0  # newest register leaf; a file without a leaf counts for nothing
    entered: int = -1  # place of the newest leaf of records or documents

    @property
    def newest(self) -> int:
        """Place of the newest entry that numbers are made of: a seal, records, a document; -1 for none."""
        return max(self.entered, self.seal.index if self.seal else -1)


class LedgerTail:
    """Follows one ledger. Not thread-safe: one caller at a time."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._forget()

    def read(self) -> LedgerView:
        """Reads what was appended since the last call. Never raises for a ledger that is broken: `problem` says it."""
        problem = ""
        try:
            self._follow()
        except FileNotFoundError:
            return LedgerView(0, None, None, None, "尚无账本 (no ledger yet)", ())
        except (LedgerError, OSError, KeyError, TypeError, ValueError) as err:
            problem = f"账本读取失败: {err}; 请运行 plantproof ledger verify"
        checkpoint = None
        if not problem:
            try:
                checkpoint = self._checkpoint()
            except (LedgerError, OSError, KeyError, TypeError, ValueError) as err:
                problem = f"检查点不可信: {err}; 请运行 plantproof ledger verify"
        genesis = Entry.parse(self._genesis_line) if self._genesis_line else None
        return LedgerView(
            self._size, genesis, self._seal, checkpoint, problem, tuple(self._spans), self._register_rev, self._entered
        )

    def _forget(self) -> None:
        self._offset = 0
        self._size = 0
        self._genesis_line = b""
        self._seal: Seal | None = None
        self._spans: list[Span] = []
        self._register_rev = 0
        self._entered = -1

    def _follow(self) -> None:
        path = self._ledger / ENTRIES
        if path.stat().st_size < self._offset:  # a restored folder: begin again
            self._forget()
        with path.open("rb") as file:
            file.seek(self._offset)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        newest: tuple[int, bytes] | None = None
        spans: list[Span] = []
        register_rev, entered = self._register_rev, self._entered
        for index, line in enumerate(whole.splitlines(), self._size):
            if index == 0:
                self._genesis_line = line
            elif b'"t":"register"' in line:
                register_rev = Entry.parse(line).body["rev"]
            elif b'"t":"records"' in line or b'"t":"document"' in line:
                entered = index
            elif b'"t":"seal"' in line:
                if b'"span":' in line:
                    spans.append(_span(line))
                else:
                    newest = (index, line)
        if newest is not None:
            self._seal = _seal(*newest)
        self._register_rev, self._entered = register_rev, entered
        self._spans += spans
        self._size += whole.count(b"\n")
        self._offset += len(whole)

    def _checkpoint(self) -> Checkpoint | None:
        path = self._ledger / CHECKPOINT
        if not self._genesis_line or not path.exists():
            return None
        return open_checkpoint(path.read_bytes(), genesis_key(self._genesis_line), origin_of(self._genesis_line))


def hour_number(text: str) -> int:
    """`2026-11-22T03Z` -> hours since 1970. Errors: ValueError."""
    at = datetime.strptime(text, "%Y-%m-%dT%HZ").replace(tzinfo=UTC)
    return int((at - EPOCH) // timedelta(hours=1))


def _seal(index: int, line: bytes) -> Seal:
    entry = Entry.parse(line)
    body = entry.body
    return Seal(hour_number(body["hour"]), index, entry.at_ms, body["root"], body["n"], body.get("cause", ""))


def _span(line: bytes) -> Span:
    body = Entry.parse(line).body
    first, end = (hour if isinstance(hour, int) else hour_number(hour) for hour in body["span"])
    return Span(first, end, frozenset(body["devices"]))
