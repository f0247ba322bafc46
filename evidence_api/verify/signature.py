"""Who signed the pack, and what. Steps, each a `PackRefused` with its code:

B-11 attest/pack.dsse.json is one DSSE envelope in canonical JSON whose one signature, by the key in the genesis entry, is over the
     pre-authentication encoding of its payload
B-12 the payload is an in-toto Statement v1 whose one subject is the tag manifest, and names the same ledger and pack as pack.json
B-13 the checkpoint is signed by the genesis key under the name that follows from the genesis entry; size and root are pack.json's
B-14 the genesis key is the one the reader expected (unknown without --key; a key that is another one is unknown too)

In: bytes and the public key. The builder signs with `envelope`, so that there is one definition of the form.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from collector.ledger.checkpoint import ORIGIN_PREFIX, Checkpoint, key_id, open_checkpoint
from collector.ledger.entry import LedgerError, canonical_json, strict_json
from evidence_api.verify.bag import TAG_MANIFEST, PackJson
from evidence_api.verify.findings import PackRefused

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "urn:plantproof:pack:1"
TITLES = {
    "B-11": "证据包签名 (DSSE, Ed25519)",
    "B-12": "签名对象是本包的标签清单",
    "B-13": "账本检查点签名",
    "B-14": "签名公钥是否您所认识",
}


def pre_authentication(payload: bytes) -> bytes:
    """DSSE v1 PAE: what is signed."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def statement(tag_manifest: bytes, log: str, pack_id: str, root: str, size: int) -> bytes:
    """The in-toto Statement over the tag manifest, canonical JSON."""
    subject = {"digest": {"sha256": hashlib.sha256(tag_manifest).hexdigest()}, "name": TAG_MANIFEST}
    predicate = {"log": log, "pack_id": pack_id, "root": root, "size": size}
    return canonical_json(
        {"_type": STATEMENT, "predicate": predicate, "predicateType": PREDICATE, "subject": [subject]}
    )


def envelope(payload: bytes, log: str, seed: bytes) -> bytes:
    """The signed DSSE envelope, canonical JSON and a newline. Ed25519 is deterministic: equal payload, equal bytes."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    signature = {
        "keyid": key_id(log, key.public_key().public_bytes_raw()).hex(),
        "sig": base64.b64encode(key.sign(pre_authentication(payload))).decode(),
    }
    body = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
    return canonical_json(body) + b"\n"


def check_envelope(raw: bytes, log: str, public_key: bytes) -> bytes:
    """B-11. Out: the payload."""
    body = _strict(raw, "B-11")
    shape = isinstance(body, dict) and set(body) == {"payload", "payloadType", "signatures"}
    signatures = body["signatures"] if shape else None
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise _refused("B-11", "应为一个 DSSE 信封，含一个签名")
    if set(signatures[0]) != {"keyid", "sig"} or body["payloadType"] != PAYLOAD_TYPE:
        raise _refused("B-11", f"信封字段不符, payloadType 应为 {PAYLOAD_TYPE}")
    if signatures[0]["keyid"] != key_id(log, public_key).hex():
        raise _refused("B-11", "签名人不是账本公钥 (the signer is not the ledger's key)")
    payload, signature = _base64(body["payload"]), _base64(signatures[0]["sig"])
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, pre_authentication(payload))
    except (InvalidSignature, ValueError):
        raise _refused("B-11", "签名与内容不符 (the signature does not fit)") from None
    return payload


def check_statement(payload: bytes, tag_manifest: bytes, pack: PackJson) -> str:
    """B-12."""
    ledger = pack.body["ledger"]
    expected = statement(tag_manifest, ledger["log"], pack.text("pack_id"), ledger["root"], ledger["size"])
    if payload != expected:
        raise _refused("B-12", "签名所指的清单、包号或账本与本包不同")
    return f"包号 {pack.text('pack_id')}"


def check_checkpoint(note: bytes, public_key: bytes, log: str, pack: PackJson) -> Checkpoint:
    """B-13."""
    try:
        found = open_checkpoint(note, public_key, log)
    except (LedgerError, ValueError) as err:
        raise _refused("B-13", str(err)) from err
    ledger = pack.body["ledger"]
    if (found.origin, found.size, found.root.hex()) != (ledger["log"], ledger["size"], ledger["root"]):
        raise _refused("B-13", "检查点与 pack.json 所写的账本、条数或根不同")
    return found


def read_key(text: str) -> bytes:
    """A public key as people hand it over: 64 hex digits, base64, a C2SP verifier key, or a file that holds one of them.

    Errors: `ValueError` with what was expected.
    """
    path = Path(text)
    if len(text) < 4096 and path.is_file():
        text = path.read_text(encoding="ascii", errors="replace")
    text = text.strip()
    if text.startswith(ORIGIN_PREFIX):  # C2SP vkey: name+hash+base64(0x01 || key)
        text = text.split("+", 2)[-1]
    raw = b""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
    raw = raw[1:] if len(raw) == 33 and raw[0] == 1 else raw
    if len(raw) != 32:
        raise ValueError(
            "--key: 应为 Ed25519 公钥 (64 位十六进制、base64 或 C2SP vkey), 或含它的文件; expected a key or a file"
        )
    return raw


def _strict(raw: bytes, code: str) -> Any:
    try:
        body = strict_json(raw)
        if canonical_json(body) + b"\n" != raw:
            raise LedgerError("expected canonical JSON and one newline, found another spelling")
    except LedgerError as err:
        raise _refused(code, str(err)) from err
    return body


def _base64(text: Any) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _refused("B-11", "信封里的 base64 不可读") from None
    if base64.b64encode(raw).decode() != text:
        raise _refused("B-11", "信封里的 base64 不是规范写法")
    return raw


def _refused(code: str, found: str) -> PackRefused:
    return PackRefused(code, TITLES[code], found)
