"""The data folder: where everything of one plant lies (docs/format/data-folder.md), and how it begins.

In: a path, or the plant's names and an origin class for a new one. Out: `DataFolder`.
A folder's origin class (live, simulated, replay) stands in its genesis entry and cannot be changed.
Refuses (`FolderError`): a path that is not a data folder, a folder whose genesis does not fit its ledger, a second genesis.
"""

from __future__ import annotations

import base64
import os
import platform
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.clock import Clock
from collector.durable import fsync_folder, write_durably
from collector.ledger import log
from collector.ledger.entry import Entry
from config.settings import PlantTable

GENESIS = "genesis.json"
SUBFOLDERS = "journal segments/open rollup/hours ledger register records documents packs keys state".split()
ORIGINS = ("live", "simulated", "replay")
VERSION = "0.1.0"


class FolderError(Exception):
    """The path cannot be used as a data folder (exit code 5 unless said otherwise)."""

    def __init__(self, message: str, exit_code: int = 5) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths of one plant's data, and its genesis."""

    path: Path
    genesis_line: bytes

    @property
    def genesis(self) -> dict[str, Any]:
        """Body of the genesis entry."""
        return Entry.parse(self.genesis_line).body

    @property
    def origin_class(self) -> str:
        """live, simulated or replay."""
        return str(self.genesis["origin_class"])

    @property
    def log_seed(self) -> bytes:
        """Ed25519 seed that signs checkpoints (32 bytes)."""
        return _secret(self.keys / "log.key")

    @property
    def salt_seed(self) -> bytes:
        """Seed of the commitments' salts (32 bytes)."""
        return _secret(self.keys / "salt.key")

    @property
    def journal(self) -> Path:
        """Acknowledged frames."""
        return self.path / "journal"

    @property
    def segments(self) -> Path:
        """Parquet files."""
        return self.path / "segments"

    @property
    def catalog(self) -> Path:
        """SQLite catalog of the segments."""
        return self.path / "catalog.db"

    @property
    def hours(self) -> Path:
        """Hour lines."""
        return self.path / "rollup/hours"

    @property
    def ledger(self) -> Path:
        """The log."""
        return self.path / "ledger"

    @property
    def register(self) -> Path:
        """Register revisions."""
        return self.path / "register"

    @property
    def records(self) -> Path:
        """Record revisions."""
        return self.path / "records"

    @property
    def documents(self) -> Path:
        """Declared documents."""
        return self.path / "documents"

    @property
    def packs(self) -> Path:
        """Packs built here."""
        return self.path / "packs"

    @property
    def keys(self) -> Path:
        """Secrets, 0700."""
        return self.path / "keys"

    @property
    def state(self) -> Path:
        """What pages show; never evidence."""
        return self.path / "state"

    def append(self, *entries: Entry) -> int:
        """Append to this folder's ledger; the new size."""
        return log.append(self.ledger, entries, self.log_seed)


def create_folder(
    path: Path, plant: PlantTable, origin_class: str, clock: Clock, *, seeds: tuple[bytes, bytes] | None = None
) -> DataFolder:
    """A new data folder with its keys and genesis entry. `seeds` (log, salt) fixes the keys for a repeatable demo."""
    if origin_class not in ORIGINS:
        raise FolderError(f"origin class: expected one of {ORIGINS}, found {origin_class!r}", 2)
    if (path / GENESIS).exists():
        raise FolderError(
            f"{path}: expected an empty place, found a data folder; its genesis cannot be written again", 4
        )
    try:
        for name in SUBFOLDERS:
            (path / name).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise FolderError(f"{path}: cannot make the data folder: {err.strerror}") from err
    os.chmod(path / "keys", 0o700)
    log_seed, salt_seed = seeds or (secrets.token_bytes(32), secrets.token_bytes(32))
    write_durably(path / "keys" / "log.key", log_seed.hex().encode(), mode=0o600)
    write_durably(path / "keys" / "salt.key", salt_seed.hex().encode(), mode=0o600)
    line = _genesis_entry(plant, origin_class, clock, log_seed).line()
    log.append(path / "ledger", [Entry.parse(line)], log_seed)
    write_durably(path / GENESIS, line)  # last: a folder without it was never finished
    fsync_folder(path)
    return open_folder(path)


def open_folder(path: Path) -> DataFolder:
    """The data folder at `path`. Errors: `FolderError`."""
    try:
        line = (path / GENESIS).read_bytes()
    except OSError:
        raise FolderError(
            f"{path}: 找不到数据目录 (expected a data folder with {GENESIS}, found none)\n    → plantproof init 或 --data 指明位置"
        ) from None
    lines = log.read_lines(path / "ledger")
    if not lines or lines[0] != line:
        raise FolderError(f"{path}: genesis.json does not equal the ledger's first entry: one of them was changed", 6)
    return DataFolder(path, line)


def _genesis_entry(plant: PlantTable, origin_class: str, clock: Clock, log_seed: bytes) -> Entry:
    now_us = clock.now_us()
    public = Ed25519PrivateKey.from_private_bytes(log_seed).public_key().public_bytes_raw()
    body = {
        "plant": plant.name,
        "credit_code": plant.credit_code,
        "site": plant.site,
        "origin_class": origin_class,
        "public_key": public.hex(),
        "created": datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "nonce": base64.b16encode(os.urandom(16)).decode().lower(),
        "software": f"plantproof {VERSION} python {platform.python_version()}",
    }
    return Entry("genesis", now_us // 1000, "plantproof", body)


def _secret(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as err:
        raise FolderError(f"{path}: expected a readable key of 32 bytes in hex, found: {err}") from err
