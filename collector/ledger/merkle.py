"""RFC 6962 §2.1 Merkle trees with SHA-256: roots, inclusion and consistency proofs. Pure functions over hashes.

In: leaf hashes in order (32 bytes each). Out: roots and proofs (lists of 32-byte hashes, leaf side first).
Refuses (`ValueError`): indices and sizes outside the tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """MTH of the leaves; of none, SHA-256 of nothing."""
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:  # pairing from the left and carrying an odd last node up is RFC 6962's split
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """PATH(index, leaves) of RFC 6962 §2.1.1."""
    if not 0 <= index < len(hashes):
        raise ValueError(f"expected an index below {len(hashes)}, found {index}")
    if len(hashes) == 1:
        return []
    k = _split(len(hashes))
    if index < k:
        return [*inclusion_proof(hashes[:k], index), root(hashes[k:])]
    return [*inclusion_proof(hashes[k:], index - k), root(hashes[:k])]


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that leaf and proof imply (RFC 9162 §2.1.3.2). Errors: `ValueError` when the proof's length is wrong."""
    if not 0 <= index < size:
        raise ValueError(f"expected an index below {size}, found {index}")
    node, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ValueError("expected a shorter proof")
        if node & 1 or node == last:
            value = node_hash(sibling, value)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ValueError("expected a longer proof")
    return value


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """PROOF(old_size, leaves) of RFC 6962 §2.1.2."""
    if not 0 < old_size <= len(hashes):
        raise ValueError(f"expected an old size in 1..{len(hashes)}, found {old_size}")
    return _subproof(hashes, old_size, complete=True)


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """True when the proof shows that the old tree is a prefix of the new one (RFC 9162 §2.1.4.2)."""
    if not 0 < old_size <= new_size:
        raise ValueError(f"expected 0 < old size <= new size, found {old_size}, {new_size}")
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        return False
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _subproof(hashes: Sequence[bytes], m: int, *, complete: bool) -> list[bytes]:
    n = len(hashes)
    if m == n:
        return [] if complete else [root(hashes)]
    k = _split(n)
    if m <= k:
        return [*_subproof(hashes[:k], m, complete=complete), root(hashes[k:])]
    return [*_subproof(hashes[k:], m - k, complete=False), root(hashes[:k])]


def _split(n: int) -> int:
    """The largest power of two below n."""
    return 1 << (n - 1).bit_length() - 1
