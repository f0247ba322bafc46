"""RFC 6962 trees: against the recursive definition, and the tile files against both."""

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest

from collector.ledger import merkle
from collector.ledger.tree import Tree


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


LEAVES = [f"line {i}".encode() for i in range(600)]
HASHES = [merkle.leaf_hash(x) for x in LEAVES]


@pytest.mark.parametrize("size", [*range(20), 63, 64, 65, 255, 256, 257, 511, 512, 513, 600])
def test_root_is_the_recursive_definition(size: int) -> None:
    assert merkle.root(HASHES[:size]) == mth(LEAVES[:size])


def test_every_leaf_of_every_small_tree_is_proven_and_no_other() -> None:
    for size in range(1, 40):
        root = merkle.root(HASHES[:size])
        for i in range(size):
            proof = merkle.inclusion_proof(HASHES[:size], i)
            assert merkle.root_from_inclusion(i, size, HASHES[i], proof) == root
            assert merkle.root_from_inclusion(i, size, HASHES[i + 1], proof) != root


def test_every_prefix_of_every_small_tree_is_proven() -> None:
    for size in range(1, 40):
        root = merkle.root(HASHES[:size])
        for old in range(1, size + 1):
            proof = merkle.consistency_proof(HASHES[:size], old)
            old_root = merkle.root(HASHES[:old])
            assert merkle.verify_consistency(old, size, old_root, root, proof)
            if old < size:
                assert not merkle.verify_consistency(old, size, HASHES[0][::-1], root, proof)


def test_tile_files_give_the_same_root_however_they_were_filled(tmp_path: Path) -> None:
    tree = Tree.open(tmp_path / "tree", [])
    cut = [0, 1, 3, 255, 256, 257, 512, 600]
    for a, b in pairwise(cut):
        tree.extend(HASHES[a:b])
        assert tree.root() == merkle.root(HASHES[:b])
    for size in (1, 200, 256, 300, 511, 600):
        assert tree.root(size) == merkle.root(HASHES[:size])


def test_tile_files_of_another_history_are_rebuilt(tmp_path: Path) -> None:
    Tree.open(tmp_path / "tree", [b"other", b"lines"])
    assert Tree.open(tmp_path / "tree", LEAVES[:300]).root() == merkle.root(HASHES[:300])


def test_large_trees_cross_two_levels(tmp_path: Path) -> None:
    leaves = [hashlib.sha256(i.to_bytes(4, "little")).digest() for i in range(66_000)]
    tree = Tree.open(tmp_path / "tree", [])
    tree.extend(leaves)
    assert tree.root() == merkle.root(leaves)
    assert tree.root(65_536) == merkle.root(leaves[:65_536])
