"""死信: what came and could not be understood, kept for a person to look at: `state/dead-letter/<name>.jsonl`.

In: topic, bytes, why. Out: one JSON line each: time, devices, topic, reason, size, the first bytes in base64 (and as text where they are
text). Bounded: 4 KiB of a payload, 4 MiB of a file and the one before it, 200 letters a minute; what is left out is counted in the next
line. Disposable, never evidence: the loss itself is a `rejected` row of the store, for every letter, written or not.
A disk that takes no letters stops nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

FOLDER = "dead-letter"
KEPT_BYTES = 4096
FILE_BYTES = 4 << 20
LETTERS_A_MINUTE = 200
_MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Letter:
    """One payload that became no value. `size` is its real length, `payload` what there is of it; devices may be unknown."""

    topic: str
    payload: bytes
    size: int
    why: str
    devices: tuple[str, ...] = ()


class DeadLetters:
    """The letters of one connection. Without a folder they are dropped (`plantproof test` stores nothing)."""

    def __init__(self, state: Path | None, name: str) -> None:
        safe = "".join(c if c.isalnum() or c in "-." else "_" for c in name)[:80]
        self._file = state / FOLDER / f"{safe}.jsonl" if state is not None else None
        self._minute = 0
        self._written = 0
        self._skipped = 0
        self._failed = False

    def add(self, letters: Sequence[Letter], now_us: int) -> None:
        """Write them down, as far as the bounds allow."""
        if self._file is None or not letters:
            return
        minute = now_us // _MINUTE_US
        if minute != self._minute:
            self._minute, self._written = minute, 0
        room = max(0, LETTERS_A_MINUTE - self._written)
        kept = letters[:room]
        lines = "".join(self._line(letter, now_us) for letter in kept)
        self._skipped += len(letters) - len(kept)
        self._written += len(kept)
        if lines:
            self._write(self._file, lines)

    def _line(self, letter: Letter, now_us: int) -> str:
        head = letter.payload[:KEPT_BYTES]
        at = datetime.fromtimestamp(now_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
        body: dict[str, Any] = {
            "at": at,
            "devices": letter.devices,
            "topic": letter.topic[:1024],
            "why": letter.why[:1024],
            "size": letter.size,
            "payload": base64.b64encode(head).decode(),
        }
        if self._skipped:
            body["skipped_before"], self._skipped = self._skipped, 0
        return json.dumps(body, ensure_ascii=False) + "\n"

    def _write(self, file: Path, lines: str) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists() and file.stat().st_size + len(lines) > FILE_BYTES:
                file.replace(file.with_suffix(".1.jsonl"))
            with file.open("a", encoding="utf-8") as out:
                out.write(lines)
            self._failed = False
        except OSError as err:
            if not self._failed:
                log.warning("死信写不进 state/ dead letters cannot be written", file=str(file), why=str(err))
            self._failed = True


def read_letters(state: Path) -> Iterator[dict[str, Any]]:
    """All letters of a data folder's `state/`, oldest first within each connection; a line cut short is passed over."""
    for file in sorted(
        (state / FOLDER).glob("*.jsonl"), key=lambda f: (f.name.removesuffix(".jsonl").removesuffix(".1"), -len(f.name))
    ):
        for line in file.read_text(encoding="utf-8", errors="replace").split(
            "\n"
        ):  # not at what else Unicode calls a line's end
            try:
                body = json.loads(line)
            except ValueError:
                continue
            if isinstance(body, dict):
                yield body | {"connection": file.name.removesuffix(".jsonl").removesuffix(".1")}
