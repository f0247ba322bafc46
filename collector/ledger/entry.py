"""Ledger entries: canonical JSON, one line each (docs/format/ledger.md).

In: type, time, actor, body of integers, strings, booleans, null, lists, maps. Out: exact bytes, and back.
Refuses floats, duplicate keys, non-canonical bytes, unknown types, entries of 64 KiB and more (C2SP tlog-tiles).

    LedgerError               an entry, tree or checkpoint that is not what the format says
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

TYPES = frozenset(
    "genesis register rules records software start stop seal identity clock document result "
    "pack_intent pack challenge anchor key correction".split()
)
MAX_ENTRY_BYTES = 65_535
MAX_INTEGER = 2**53 - 1


class LedgerError(Exception):
    """The ledger is not what the format says: nothing was appended, nothing was changed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf. `at_ms`: milliseconds since 1970 UTC by the writer's clock. `actor`: who or what appended it."""

    t: str
    at_ms: int
    actor: str
    body: dict[str, Any]

    def line(self) -> bytes:
        """Canonical JSON without a newline. Errors: `LedgerError`."""
        if self.t not in TYPES:
            raise LedgerError(f"entry type: expected one of {sorted(TYPES)}, found {self.t!r}")
        raw = canonical_json({"actor": self.actor, "at_ms": self.at_ms, "body": self.body, "t": self.t, "v": 1})
        if len(raw) > MAX_ENTRY_BYTES:
            raise LedgerError(f"{self.t} entry: expected at most {MAX_ENTRY_BYTES} bytes, found {len(raw)}")
        return raw

    @staticmethod
    def parse(line: bytes) -> Entry:
        """Inverse of `line`; refuses bytes that are not the canonical form of what they say."""
        value = strict_json(line)
        if not isinstance(value, dict) or set(value) != {"actor", "at_ms", "body", "t", "v"} or value["v"] != 1:
            raise LedgerError("entry: expected keys actor, at_ms, body, t, v with v = 1")
        sound = isinstance(value["actor"], str) and type(value["at_ms"]) is int and isinstance(value["body"], dict)
        if not sound or not isinstance(value["t"], str):
            raise LedgerError("entry: expected text actor and t, integer at_ms, map body")
        entry = Entry(value["t"], value["at_ms"], value["actor"], value["body"])
        if entry.line() != line:
            raise LedgerError(f"{entry.t} entry: expected canonical JSON, found another spelling of it")
        return entry


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, ASCII. Errors: `LedgerError` for floats, large integers and other types."""
    _check(value)
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def strict_json(raw: bytes) -> Any:
    """JSON without duplicate keys and floats. Errors: `LedgerError`."""
    try:
        return json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float
        )
    except (ValueError, RecursionError) as err:
        raise LedgerError(f"expected JSON, found: {err}") from err


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise LedgerError("expected each key once, found a duplicate")
    return found


def _no_float(text: str) -> Any:
    raise LedgerError(f"expected integers and strings only, found the number {text}")


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise LedgerError(f"expected text keys, found {key!r}")
            _check(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, bool) or value is None or isinstance(value, str):
        return
    elif not isinstance(value, int) or abs(value) > MAX_INTEGER:
        raise LedgerError(f"expected integers below 2^53, strings, lists and maps, found {value!r}")
