"""C2SP tlog-checkpoint in a C2SP signed note (Ed25519): origin, size, root; nothing else.

In: origin, size, root and a 32-byte Ed25519 seed; or a note and the public key that is trusted. Out: note bytes; a `Checkpoint`.
Refuses (`LedgerError`): notes without a valid signature of that key, extension lines, other origins, other spellings.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from collector.ledger.entry import LedgerError

ORIGIN_PREFIX = "plantproof/"
_ED25519 = b"\x01"  # C2SP signed-note signature type


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: `root` is the RFC 6962 root (32 bytes) of the first `size` entries of the log `origin`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """The note's text: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def origin_of(genesis_line: bytes) -> str:
    """The log's name: `plantproof/` and the first 16 hex digits of SHA-256 of its genesis line."""
    return ORIGIN_PREFIX + hashlib.sha256(genesis_line).hexdigest()[:16]


def key_id(name: str, public_key: bytes) -> bytes:
    """C2SP signed-note key id: SHA-256(name || LF || 0x01 || key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def vkey(name: str, public_key: bytes) -> str:
    """C2SP verifier key text, `name+hash+base64(0x01 || key)`."""
    return f"{name}+{key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def sign_checkpoint(checkpoint: Checkpoint, seed: bytes) -> bytes:
    """The signed note. Ed25519 is deterministic: equal checkpoint, equal bytes."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    signature = key_id(checkpoint.origin, public) + key.sign(checkpoint.text())
    return checkpoint.text() + b"\n" + f"— {checkpoint.origin} {base64.b64encode(signature).decode()}\n".encode()


def parse_checkpoint(note: bytes) -> tuple[Checkpoint, list[tuple[str, bytes]]]:
    """Text and signature lines (name, key id || signature) of a note, unverified. Errors: `LedgerError`."""
    text, gap, signatures = note.partition(b"\n\n")
    try:
        lines = text.decode().split("\n")
        origin, size, root_text = lines
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root_text, validate=True))
        found = [_signature_line(line) for line in signatures.decode().splitlines()]
    except (ValueError, binascii.Error) as err:
        raise LedgerError(f"checkpoint: expected origin, size, root and signatures, found: {err}") from err
    if not gap or checkpoint.text() != text + b"\n" or len(checkpoint.root) != 32 or not found:
        raise LedgerError("checkpoint: expected a C2SP checkpoint without extension lines")
    return checkpoint, found


def open_checkpoint(note: bytes, public_key: bytes, origin: str) -> Checkpoint:
    """The checkpoint, when `public_key` signed it under the name `origin`. Errors: `LedgerError`."""
    checkpoint, signatures = parse_checkpoint(note)
    if checkpoint.origin != origin:
        raise LedgerError(f"checkpoint: expected origin {origin}, found {checkpoint.origin}")
    wanted = key_id(origin, public_key)
    ours = [blob[4:] for name, blob in signatures if name == origin and blob[:4] == wanted]
    if not ours:
        raise LedgerError(f"checkpoint: expected a signature of key {wanted.hex()}, found none")
    for signature in ours:  # unknown signatures are ignored, a failing known one rejects the note (C2SP)
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, checkpoint.text())
        except InvalidSignature:
            raise LedgerError("checkpoint: the signature does not fit its text") from None
    return checkpoint


def _signature_line(line: str) -> tuple[str, bytes]:
    dash, name, blob = line.split(" ")
    if dash != "—" or not name:
        raise ValueError(f"expected a signature line, found {line!r}")
    raw = base64.b64decode(blob, validate=True)
    if len(raw) < 5 or base64.b64encode(raw).decode() != blob:
        raise ValueError("expected key id and signature in base64")
    return name, raw
