"""`ledger verify`: the plant's own check of its ledger and of everything that it names.

 1 entries canonical, root re-derived, checkpoint signed by the genesis key    2 revisions on disk are those of their leaves
 3 the lines of every sealed hour have the sealed root                         4 hours follow each other without a hole
In: a data folder. Out: steps with their outcome. It reads only. It cannot show what an owner rewrote before an external anchor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.folder import DataFolder, FolderError, open_folder
from collector.hours import hour_text, parse_hour
from collector.ledger import log, merkle
from collector.ledger.entry import LedgerError
from collector.record_revisions import prove_all
from collector.revisions import exclusions, record_revision, registers
from collector.store.lines import read_lines


@dataclass(frozen=True, slots=True)
class Audit:
    """Each step: (sound, what was found)."""

    steps: tuple[tuple[bool, str], ...]

    @property
    def sound(self) -> bool:
        """True when every step holds."""
        return all(ok for ok, _ in self.steps)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"sound": self.sound, "steps": [{"ok": ok, "text": text} for ok, text in self.steps]}


def audit(path: Path) -> Audit:
    """Every step is run, whatever the one before it found. Errors: `FolderError` for a path that is no data folder."""
    try:
        folder = open_folder(path)
    except FolderError as err:
        if err.exit_code != 6:
            raise
        return Audit(((False, str(err)),))
    return Audit(tuple(_step(step, folder) for step in (_entries, _revisions, _roots, _contiguous)))


def _step(step: Callable[[DataFolder], str], folder: DataFolder) -> tuple[bool, str]:
    try:
        return True, step(folder)
    except LedgerError as err:
        return False, str(err)


def _entries(folder: DataFolder) -> str:
    checkpoint = log.verify_log(folder.ledger)
    return f"账本 {checkpoint.origin}：{checkpoint.size} 条，树根 {checkpoint.root.hex()[:16]}，签名有效"


def _revisions(folder: DataFolder) -> str:
    found = registers(folder)
    stops, records = exclusions(folder), record_revision(folder)
    prove_all(folder)
    text = f"第 {records[0]} 版记录" if records else "尚无记录"
    return f"台账 {len(found)} 版、停机登记 {len(stops)} 条、{text}：与账本一致"


def _roots(folder: DataFolder) -> str:
    checked = 0
    for entry in log.read_of(folder.ledger, "seal"):
        if "span" in entry.body:
            continue
        lines = read_lines(folder, parse_hour(entry.body["hour"]))
        if merkle.root([merkle.leaf_hash(line) for line in lines]).hex() != entry.body["root"]:
            raise LedgerError(
                f"{entry.body['hour']}: 小时行与封存的根不符 (lines do not have the sealed root)\n    → plantproof store restore-lines"
            )
        checked += 1
    return f"{checked} 个封存小时的行与根一致"


def _contiguous(folder: DataFolder) -> str:
    expected = None
    for entry in log.read_of(folder.ledger, "seal"):
        span = entry.body.get("span")
        hour = parse_hour(entry.body["hour"])
        if expected is not None and hour != expected:
            raise LedgerError(f"expected a seal of {hour_text(expected)}, found {entry.body['hour']}")
        expected = parse_hour(span[1]) if span else hour + 1
    return "封存小时首尾相接，没有缺失"
