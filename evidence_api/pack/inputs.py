"""Everything a pack is made of, fixed before the first byte is written: a function of a data folder at one ledger size.

In: what `build.py` read from the folder, or a test made up. Out: `PackInputs`, frozen; the writer asks nothing else.

Errors:
    PackError                 the pack cannot be built; `.exit_code` says which kind of trouble
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from collector.ledger import merkle
from collector.ledger.checkpoint import origin_of
from collector.ledger.entry import Entry
from evidence_api.verify.history import pack_id

DISCLOSURE = "L1"


class PackError(Exception):
    """No pack was written; nothing that was there was changed."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, before the ledger knows of it."""

    level: str
    instrument: str
    at_ms: int
    window_ms: tuple[int, int]
    log: str
    size: int  # of the ledger when it was asked
    root: str

    @property
    def pack_id(self) -> str:
        """First 20 hex digits: docs/format/pack.md."""
        return pack_id(
            {
                "at_ms": self.at_ms,
                "disclosure": DISCLOSURE,
                "instrument": self.instrument,
                "intent": {"root": self.root, "size": self.size},
                "ledger": {"log": self.log},
                "level": self.level,
                "window": list(self.window_ms),
            }
        )

    def intent(self, at_ms: int, actor: str) -> Entry:
        """The leaf that says so before anything is built."""
        profile = f"{self.instrument}/{self.level}/{DISCLOSURE}"
        body = {"pack_id": self.pack_id, "profile": profile, "window": list(self.window_ms), "size": self.size}
        return Entry("pack_intent", at_ms, actor, body)


def ledger_root(lines: tuple[bytes, ...] | list[bytes]) -> str:
    """Hex root of ledger lines."""
    return merkle.root([merkle.leaf_hash(line) for line in lines]).hex()


@dataclass(frozen=True, slots=True, eq=False)
class PackInputs:
    """lines: N ledger lines, the last one the intent. registers: canonical JSON of revision 1, 2, …
    records: name under `data/records/` -> bytes. rules: id of an instrument -> (exact YAML, canonical JSON), of the one applied under
    and of all it adopts. report: what `plantproof check --json` says at N.
    hours: [first, end) to be opened. lines_of: the exact lines of a sealed hour, in order.
    """

    request: Request
    lines: tuple[bytes, ...]
    seed: bytes
    registers: tuple[bytes, ...]
    records: Mapping[str, bytes]
    rules: Mapping[str, tuple[bytes, bytes]]
    report: Mapping[str, Any]
    hours: tuple[int, int]
    lines_of: Callable[[int], list[bytes]]
    program: str

    @property
    def log(self) -> str:
        """The log's name."""
        return origin_of(self.lines[0])
