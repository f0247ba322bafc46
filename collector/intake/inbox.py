"""records/inbox: deliveries that are durable but not yet imported, and the answers to them. Standard library only: the web process
writes here.

In: the bytes of a delivery and a name for it. Layout: `<id>.json` what waits ({"form","kind","name","via","body"}), `<id>.done.json`
its answer, `refused/<id>.json` a delivery of which nothing could be taken. id: the hex SHA-256 of the idempotency key (REST), or of
topic and payload (MQTT). If the process dies before `put` returns, the sender has no answer and sends again; after it, the delivery is
imported after a restart, once: the import knows the bytes, and an answer that was not written is written then.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from collector.durable import fsync_folder, write_durably

INBOX, REFUSED, DONE = "inbox", "refused", ".done.json"
Way = Literal["rest", "mqtt"]
_SUFFIX: dict[Way, str] = {"rest": ".json", "mqtt": ".mqtt.json"}
ID_LENGTH = 64
MAX_BODY = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery in the inbox. sha256: of its body, so that one key cannot mean two things."""

    id: str
    form: Literal["csv", "json"]
    kind: str
    name: str
    via: Way
    body: bytes

    @property
    def sha256(self) -> str:
        """Hex digest of form, kind and body."""
        return hashlib.sha256(f"{self.form} {self.kind}\n".encode() + self.body).hexdigest()


def id_of(text: str) -> str:
    """The inbox name of an idempotency key."""
    return hashlib.sha256(text.encode()).hexdigest()


def inbox_of(records: Path) -> Path:
    """The folder, made if need be."""
    place = records / INBOX
    place.mkdir(parents=True, exist_ok=True)
    return place


def put(inbox: Path, waiting: Waiting) -> None:
    """Make it durable. A REST delivery of that id stays as it is; an MQTT message that comes again is looked at again."""
    path = _place(inbox, waiting.id, waiting.via)
    if path.exists() or (waiting.via == "rest" and (inbox / f"{waiting.id}{DONE}").exists()):
        return
    body = {
        "form": waiting.form,
        "kind": waiting.kind,
        "name": waiting.name,
        "via": waiting.via,
        "body": base64.b64encode(waiting.body).decode(),
    }
    write_durably(path, json.dumps(body, sort_keys=True).encode())


def queued(inbox: Path, via: Way) -> list[tuple[int, Path]]:
    """(modification time in ns, file) of what waits, oldest first; nothing is read."""
    suffix = _SUFFIX[via]
    found = []
    for path in inbox.iterdir() if inbox.is_dir() else []:
        if path.name.endswith(suffix) and len(path.name) == ID_LENGTH + len(suffix):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path))
    return sorted(found)


def waiting(inbox: Path, via: Way, most: int = 100) -> list[Waiting]:
    """What waits, oldest first."""
    found = (read(path) for _, path in queued(inbox, via)[:most])
    return [one for one in found if one is not None]


def read(path: Path) -> Waiting | None:
    """One delivery; None when it is no longer there, or is not ours."""
    try:
        b = json.loads(path.read_bytes())
        return Waiting(path.name[:ID_LENGTH], b["form"], b["kind"], b["name"], b["via"], base64.b64decode(b["body"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def answer(inbox: Path, one: Waiting, body: dict[str, Any], *, refused: bool) -> None:
    """Write the answer, then take the delivery out of the queue (a refused one is kept under refused/, with its reasons beside it)."""
    done = {"sha256": one.sha256, "refused": refused, "via": one.via, **body}
    raw = json.dumps(done, ensure_ascii=False, sort_keys=True).encode(
        errors="replace"
    )  # a key may hold half a character
    if one.via == "rest":  # nobody asks for the answer to an MQTT message
        write_durably(inbox / f"{one.id}{DONE}", raw)
    if refused:
        write_durably(inbox / REFUSED / f"{one.id}.why.json", raw)
    path = _place(inbox, one.id, one.via)
    if refused:
        path.rename(inbox / REFUSED / path.name)
    else:
        path.unlink(missing_ok=True)
    fsync_folder(inbox)


def answered(inbox: Path, id_: str) -> dict[str, Any] | None:
    """The answer, or None while there is none."""
    try:
        found = json.loads((inbox / f"{id_}{DONE}").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def body_sha256(inbox: Path, id_: str) -> str | None:
    """The digest of the delivery that has this id, waiting or answered."""
    one = read(_place(inbox, id_, "rest"))
    if one is not None:
        return one.sha256
    done = answered(inbox, id_)
    return str(done["sha256"]) if done else None


def prune(inbox: Path, older_than_s: float) -> None:
    """Forget answers that nobody asked for in a long time; deliveries that wait are never touched."""
    for path in inbox.glob(f"*{DONE}"):
        if path.stat().st_mtime < older_than_s:
            path.unlink(missing_ok=True)


def _place(inbox: Path, id_: str, via: Way) -> Path:
    return inbox / f"{id_}{_SUFFIX[via]}"
