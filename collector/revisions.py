"""Revisions of what is true on paper: register, records, exclusions. Each is a file, then a ledger leaf.

In: a file or folder a person wrote, with a reason. Out: a numbered revision; or all of them as of a ledger size.
Refuses: input with any problem (`ConfigError`, nothing half-written), revisions whose bytes do not fit their leaf (`LedgerError`).
If the process dies between file and leaf, the file has no leaf and counts for nothing; the next revision takes its number.
One change at a time per folder: two at once would take the same number, and the first one's leaf would name the other's file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from collector.clock import Clock
from collector.durable import fsync_folder, write_durably
from collector.folder import DataFolder
from collector.ledger import log
from collector.ledger.entry import Entry, LedgerError, canonical_json
from config.errors import ConfigError, Problem
from config.load import load_register
from config.records import RecordSet, parse_records
from config.register import Register

EXCLUSION_FILE = "exclusion.json"
P = ParamSpec("P")
R = TypeVar("R")


def _one_at_a_time(change: Callable[Concatenate[DataFolder, P], R]) -> Callable[Concatenate[DataFolder, P], R]:
    @wraps(change)
    def alone(folder: DataFolder, /, *args: P.args, **kwargs: P.kwargs) -> R:
        folder.state.mkdir(exist_ok=True)
        with (folder.state / "revisions.lock").open("ab") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            return change(folder, *args, **kwargs)

    return alone


@dataclass(frozen=True, slots=True)
class RegisterRevision:
    """One application of a register file."""

    rev: int
    effective_us: int
    reason: str
    actor: str
    register: Register
    sha256: str


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


def registers(folder: DataFolder, size: int | None = None) -> list[RegisterRevision]:
    """Register revisions among the first `size` ledger entries, oldest first."""
    found = []
    for entry in log.read_of(folder.ledger, "register", size=size):
        body = entry.body
        raw = _proven(folder.register / f"{body['rev']:06d}.json", body["sha256"])
        register = Register.model_validate_json(raw)
        found.append(
            RegisterRevision(
                body["rev"], body["effective_ms"] * 1000, body["reason"], entry.actor, register, body["sha256"]
            )
        )
    return found


@_one_at_a_time
def apply_register(folder: DataFolder, file: Path, reason: str, clock: Clock, actor: str) -> RegisterRevision:
    """Check the file, keep it, append its leaf. Errors: `ConfigError`. An unchanged register is not a new revision."""
    register = load_register(file)
    _need_reason(reason)
    before = registers(folder)
    if before and before[-1].sha256 == register.sha256:
        return before[-1]
    rev = before[-1].rev + 1 if before else 1
    write_durably(folder.register / f"{rev:06d}.toml", file.read_bytes())
    write_durably(folder.register / f"{rev:06d}.json", register.canonical_json())
    at_ms = _entered_ms(folder, clock)
    if before and at_ms * 1000 <= before[-1].effective_us:  # a clock set back: revisions still follow each other
        at_ms = before[-1].effective_us // 1000 + 1
    body = {
        "rev": rev,
        "sha256": register.sha256,
        "reason": reason.strip(),
        "effective_ms": at_ms,
        "devices": len(register.devices),
        "diff": _diff(before[-1].register if before else None, register),
    }
    folder.append(Entry("register", at_ms, actor, body))
    return RegisterRevision(rev, at_ms * 1000, reason.strip(), actor, register, register.sha256)


def exclusions(folder: DataFolder, size: int | None = None) -> list[Exclusion]:
    """Exclusions among the first `size` ledger entries, oldest first."""
    found = []
    for entry in _record_entries(folder, size, "exclusion"):
        path = folder.records / f"{entry.body['rev']:06d}" / EXCLUSION_FILE
        body = json.loads(_proven(path, entry.body["files"][EXCLUSION_FILE]))
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


@_one_at_a_time
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
    _need_reason(reason)
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
    at_ms = _entered_ms(folder, clock)
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


def record_set(folder: DataFolder, size: int | None = None) -> RecordSet | None:
    """The newest import among the first `size` ledger entries, read against the register it was checked with; None before the first."""
    newest = record_revision(folder, size)
    if newest is None:
        return None
    rev, files = newest
    place = folder.records / f"{rev:06d}"
    for name, digest in files.items():
        _proven(place / name, digest)
    there = [
        i for i, e in enumerate(log.read_entries(folder.ledger, size)) if e.t == "records" and e.body["rev"] == rev
    ]
    return parse_records(place, registers(folder, there[0])[-1].register)


def record_revision(folder: DataFolder, size: int | None = None) -> tuple[int, dict[str, str]] | None:
    """(revision, {file: sha256}) of the newest import, or None."""
    found = _record_entries(folder, size, "import")
    return (found[-1].body["rev"], found[-1].body["files"]) if found else None


@_one_at_a_time
def import_records(folder: DataFolder, source: Path, reason: str, clock: Clock, actor: str) -> int:
    """Check the five CSV files of `source`, keep them, append their leaf; the revision. Errors: `ConfigError`."""
    _need_reason(reason)
    revisions = registers(folder)
    if not revisions:
        raise ConfigError(
            [Problem(str(source), "", "expected a register first, found none", "plantproof register apply …")]
        )
    records = parse_records(source, revisions[-1].register)
    rev = _next_record_rev(folder)
    aside = folder.records / f".{rev:06d}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    files = {}
    for path in sorted(source.glob("*.csv")):
        raw = path.read_bytes()
        write_durably(aside / path.name, raw)
        files[path.name] = hashlib.sha256(raw).hexdigest()
    shutil.rmtree(folder.records / f"{rev:06d}", ignore_errors=True)  # a revision without a leaf counts for nothing
    aside.rename(folder.records / f"{rev:06d}")
    fsync_folder(folder.records)
    leaf = {"rev": rev, "kind": "import", "reason": reason.strip(), "files": files, "counts": records.counts}
    folder.append(Entry("records", clock.now_us() // 1000, actor, leaf))
    return rev


def _entered_ms(folder: DataFolder, clock: Clock) -> int:
    """Now, but never before an hour that is sealed already: with the clock set back nothing becomes timely afterwards."""
    seal = log.last_of(folder.ledger, "seal")
    if seal is None:
        return clock.now_us() // 1000
    span = seal.body.get("span")
    last = datetime.strptime(span[1] if span else seal.body["hour"], "%Y-%m-%dT%HZ").replace(tzinfo=UTC)
    end_ms = int(last.timestamp()) * 1000 + (0 if span else 3_600_000)
    return max(clock.now_us() // 1000, end_ms)


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise ConfigError(
            [
                Problem(
                    "--reason",
                    "",
                    "expected the reason of the change, found none",
                    "审核员会看到这句话 (the reviewer reads it)",
                )
            ]
        )


def _record_entries(folder: DataFolder, size: int | None, kind: str) -> list[Entry]:
    return [e for e in log.read_of(folder.ledger, "records", size=size) if e.body["kind"] == kind]


def _next_record_rev(folder: DataFolder) -> int:
    taken = [e.body["rev"] for e in log.read_of(folder.ledger, "records")]
    return max(taken, default=0) + 1


def _proven(path: Path, sha256: str) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as err:
        raise LedgerError(f"{path}: expected the revision its leaf names, found {err.strerror}") from err
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise LedgerError(f"{path}: the file was changed after its leaf was written")
    return raw


def _diff(old: Register | None, new: Register) -> dict[str, Any]:
    before = old.device if old else {}
    return {
        "added": sorted(set(new.device) - set(before)),
        "removed": sorted(set(before) - set(new.device)),
        "changed": sorted(i for i in set(before) & set(new.device) if before[i] != new.device[i]),
    }
