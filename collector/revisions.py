"""Revisions of what is true on paper: register, records, exclusions. Each is a file, then a ledger leaf.

In: a file or folder a person wrote, with a reason. Out: a numbered revision; or all of them as of a ledger size.
Refuses: input with any problem (`ConfigError`, nothing half-written), revisions whose bytes do not fit their leaf (`LedgerError`).
If the process dies between file and leaf, the file has no leaf and counts for nothing; the next revision takes its number.
One change at a time per folder: two at once would take the same number, and the first one's leaf would name the other's file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collector.change import entered_ms, need_reason, one_at_a_time, proven
from collector.clock import Clock
from collector.durable import write_durably
from collector.folder import DataFolder
from collector.ledger import log
from collector.ledger.entry import Entry, canonical_json
from collector.register_revisions import RegisterRevision, apply_register, registers
from config.documents import Document, document_of
from config.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collector.store.record_frames import ImportFacts, RecordFrames

__all__ = ["RegisterRevision", "apply_register", "registers"]
EXCLUSION_FILE = "exclusion.json"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A documented stop of some devices (计划停机、检修): who approved it, and when it was entered."""

    id: str
    devices: tuple[str, ...]
    from_us: int
    to_us: int
    reason: str
    approver: str
    entered_us: int


def exclusions(folder: DataFolder, size: int | None = None) -> list[Exclusion]:
    """Exclusions among the first `size` ledger entries, oldest first."""
    found = []
    for entry in _record_entries(folder, size, "exclusion"):
        path = folder.records / f"{entry.body['rev']:06d}" / EXCLUSION_FILE
        body = json.loads(proven(path, entry.body["files"][EXCLUSION_FILE]))
        found.append(
            Exclusion(
                body["id"],
                tuple(body["devices"]),
                body["from_ms"] * 1000,
                body["to_ms"] * 1000,
                body["reason"],
                body["approver"],
                body["entered_ms"] * 1000,
            )
        )
    return found


@one_at_a_time
def add_exclusion(
    folder: DataFolder,
    devices: tuple[str, ...],
    from_us: int,
    to_us: int,
    *,
    reason: str,
    approver: str,
    clock: Clock,
    actor: str,
) -> Exclusion:
    """Record an exclusion. Errors: `ConfigError` for devices the register does not have, or an end before the start."""
    need_reason(reason)
    revisions = registers(folder)
    known = revisions[-1].register.device if revisions else {}
    problems = [
        Problem("--device", d, f"expected a device of the register, found {d!r}") for d in devices if d not in known
    ]
    if to_us <= from_us:
        problems.append(Problem("--to", "", "expected a time after --from"))
    if not devices:
        problems.append(Problem("--device", "", "expected one device at least, found none"))
    if problems:
        raise ConfigError(problems)
    rev = _next_record_rev(folder)
    at_ms = entered_ms(folder, clock)
    body: dict[str, Any] = {
        "id": f"X{rev:06d}",
        "devices": sorted(devices),
        "from_ms": from_us // 1000,
        "to_ms": to_us // 1000,
        "reason": reason.strip(),
        "approver": approver,
        "entered_ms": at_ms,
    }
    raw = canonical_json(body)
    write_durably(folder.records / f"{rev:06d}" / EXCLUSION_FILE, raw)
    files = {EXCLUSION_FILE: hashlib.sha256(raw).hexdigest()}
    leaf = {
        "rev": rev,
        "kind": "exclusion",
        "reason": reason.strip(),
        "files": files,
        "counts": {"devices": len(devices)},
    }
    folder.append(Entry("records", at_ms, actor, leaf))
    return Exclusion(
        body["id"],
        tuple(sorted(devices)),
        body["from_ms"] * 1000,
        body["to_ms"] * 1000,
        reason.strip(),
        approver,
        at_ms * 1000,
    )


def record_frames(folder: DataFolder, size: int | None = None) -> RecordFrames:
    """All accepted production records as of a ledger size. Errors: `LedgerError`."""
    from collector.store.record_read import read_frames  # noqa: PLC0415 - polars, which not every command needs

    return read_frames(folder, size)


def import_facts(folder: DataFolder, size: int | None = None) -> tuple[ImportFacts, ...]:
    """Imports that kept rows aside or replaced cells, as of a ledger size. Errors: `LedgerError`."""
    from collector.store.record_read import read_import_facts  # noqa: PLC0415 - polars, which not every command needs

    return read_import_facts(folder, size)


def documents(folder: DataFolder, size: int | None = None) -> tuple[Document, ...]:
    """The newest statement per document among the first `size` ledger entries, by id."""
    newest = {
        e.body["id"]: document_of(e.body, e.at_ms * 1000) for e in log.read_of(folder.ledger, "document", size=size)
    }
    return tuple(newest[i] for i in sorted(newest))


def record_revision(folder: DataFolder, size: int | None = None) -> tuple[int, dict[str, str]] | None:
    """(revision, {file: sha256}) of the newest import, or None."""
    found = _record_entries(folder, size, "import")
    return (found[-1].body["rev"], found[-1].body["files"]) if found else None


def _record_entries(folder: DataFolder, size: int | None, kind: str) -> list[Entry]:
    return [e for e in log.read_of(folder.ledger, "records", size=size) if e.body["kind"] == kind]


def _next_record_rev(folder: DataFolder) -> int:
    taken = [e.body["rev"] for e in log.read_of(folder.ledger, "records")]
    return max(taken, default=0) + 1
