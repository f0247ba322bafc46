"""台账各版: each application of a register: checked, kept as handed in and as canonical JSON, then a leaf with reason and actor.

In: a register file of any form (config/load.py). Out: a numbered revision, what it changed, and all of them as of a ledger size.
Refuses: a file with any problem, a denominator moved without a reason of four characters (`ConfigError`, nothing half-applied).
If the process dies between files and leaf, the files have no leaf and count for nothing; the next revision takes their number.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.change import entered_ms, need_reason, one_at_a_time, proven
from collector.clock import Clock
from collector.durable import write_durably
from collector.folder import DataFolder
from collector.ledger import log
from collector.ledger.entry import Entry, canonical_json
from config.errors import ConfigError, Problem
from config.load import load_register
from config.register import Register
from config.register_diff import Move, RegisterDiff, compare

REASON_CHARACTERS = 4  # of a change that moves a denominator
MAX_LIST_BYTES = 16_384  # of a list in a leaf; a leaf holds less than 64 KiB
KEPT_ITEMS = 100  # of a list that is longer


@dataclass(frozen=True, slots=True)
class RegisterRevision:
    """One application of a register file."""

    rev: int
    effective_us: int
    reason: str
    actor: str
    register: Register
    sha256: str


def registers(folder: DataFolder, size: int | None = None) -> list[RegisterRevision]:
    """Register revisions among the first `size` ledger entries, oldest first."""
    found = []
    for entry in log.read_of(folder.ledger, "register", size=size):
        body = entry.body
        raw = proven(folder.register / f"{body['rev']:06d}.json", body["sha256"])
        register = Register.model_validate_json(raw)
        found.append(
            RegisterRevision(
                body["rev"], body["effective_ms"] * 1000, body["reason"], entry.actor, register, body["sha256"]
            )
        )
    return found


def preview(folder: DataFolder, register: Register, clock: Clock) -> RegisterDiff | None:
    """What applying it now would change; None when nothing."""
    before = registers(folder)
    if before and before[-1].sha256 == register.sha256:
        return None
    return compare(before[-1].register if before else None, register, _day(register, clock.now_us()))


@one_at_a_time
def apply_register(folder: DataFolder, file: Path, reason: str, clock: Clock, actor: str) -> RegisterRevision:
    """Check the file, keep it, append its leaf. Errors: `ConfigError`. An unchanged register is not a new revision."""
    before = registers(folder)
    old = before[-1].register if before else None
    source, ending = _source(file)
    register = load_register(file, old if ending == ".csv" else None)
    need_reason(reason)
    if before and before[-1].sha256 == register.sha256:
        return before[-1]
    rev = before[-1].rev + 1 if before else 1
    at_ms = entered_ms(folder, clock)
    if before and at_ms * 1000 <= before[-1].effective_us:  # a clock set back: revisions still follow each other
        at_ms = before[-1].effective_us // 1000 + 1
    diff = compare(old, register, _day(register, at_ms * 1000))
    need_reason_of_moves(diff.moves, reason)
    _replace_unproven(folder, rev)
    write_durably(folder.register / f"{rev:06d}{ending}", source)
    write_durably(folder.register / f"{rev:06d}.json", register.canonical_json())
    body = {
        "rev": rev,
        "sha256": register.sha256,
        "reason": reason.strip(),
        "effective_ms": at_ms,
        "devices": len(register.devices),
        "source": {"name": file.name[:120], "sha256": hashlib.sha256(source).hexdigest()},
        **_lists(diff),
    }
    folder.append(Entry("register", at_ms, actor, body))
    return RegisterRevision(rev, at_ms * 1000, reason.strip(), actor, register, register.sha256)


def need_reason_of_moves(moves: tuple[Move, ...], reason: str) -> None:
    """Errors: `ConfigError` when a denominator moves and the reason has fewer than four characters."""
    if moves and len("".join(reason.split())) < REASON_CHARACTERS:
        moved = "、".join(sorted({m.metric for m in moves}))
        raise ConfigError(
            [
                Problem(
                    "--reason",
                    "",
                    f"这次变更使 {moved} 的分母变化，应写明原因（至少 {REASON_CHARACTERS} 个字），实为 {reason.strip()!r} "
                    "(a denominator moves: expected its reason in four characters at least)",
                    "写清楚为什么增减，审核员会看到 (say why; the reviewer reads it)",
                )
            ]
        )


def _day(register: Register, at_us: int) -> Any:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(register.calendar.tz).date()


def _source(file: Path) -> tuple[bytes, str]:
    """The bytes as handed in and their ending; a folder of CSVs as a STORED zip, its files in order."""
    if not file.is_dir():
        try:
            return file.read_bytes(), file.suffix.lower() or ".toml"
        except FileNotFoundError:
            raise ConfigError([Problem(str(file), "", "应有此文件，实际没有 (expected a file, found none)")]) from None
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        for path in sorted(file.glob("*.csv")):
            book.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return out.getvalue(), ".zip"


def _replace_unproven(folder: DataFolder, rev: int) -> None:
    """Files of that number have no leaf: a process died before it."""
    for path in folder.register.glob(f"{rev:06d}.*"):
        path.unlink()


def _lists(diff: RegisterDiff) -> dict[str, Any]:
    """diff and denominators of the leaf; what is too long is cut to counts, the first ones and a digest of the whole."""
    devices = diff.tables.get("device")
    lists: dict[str, list[Any]] = {
        "added": list(devices.added) if devices else [],
        "changed": sorted(devices.changed) if devices else [],
        "removed": list(devices.removed) if devices else [],
        "denominators": [[m.metric, m.scope, m.before, m.after] for m in diff.moves],
    }
    cut: dict[str, Any] = {}
    for name, items in lists.items():
        raw = canonical_json(items)
        if len(raw) > MAX_LIST_BYTES // (1 if name == "denominators" else 2):
            cut[name] = {"count": len(items), "sha256": hashlib.sha256(raw).hexdigest()}
            lists[name] = items[:KEPT_ITEMS]
    moves = lists.pop("denominators")
    return {"diff": lists, "denominators": moves, **({"cut": cut} if cut else {})}
