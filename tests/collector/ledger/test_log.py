"""The log on disk: tampering is found, a crash is finished by the next append, several processes keep it sound."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from collector.clock import DrivenClock
from collector.folder import FolderError, create_folder, open_folder
from collector.ledger import log, merkle
from collector.ledger.checkpoint import Checkpoint, open_checkpoint, origin_of, sign_checkpoint
from collector.ledger.entry import Entry, LedgerError, canonical_json
from collector.ledger.tree import Tree
from tests.builders import PLANT, SEEDS

SEED = SEEDS[0]


def made(tmp_path: Path, entries: int) -> Path:
    """A ledger of a genesis entry and so many others."""
    folder = create_folder(tmp_path / "data", PLANT, "simulated", DrivenClock(10**15), seeds=SEEDS)
    if entries:
        folder.append(*(Entry("document", i, "tester", {"n": i}) for i in range(entries)))
    return folder.ledger


def one_more(ledger: Path, n: int = 0) -> int:
    """Append one entry; the new size."""
    return log.append(ledger, [Entry("document", n, "tester", {"more": n})], SEED)


def lines_of(ledger: Path) -> list[bytes]:
    """Entry lines as they stand on disk."""
    return (ledger / "entries.ndjson").read_bytes().splitlines()


def rewrite(ledger: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """An owner edits the entries."""
    (ledger / "entries.ndjson").write_bytes(b"".join(line + b"\n" for line in change(lines_of(ledger))))


def _changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3].replace(b'"n":2', b'"n":7'), *lines[4:]]


@pytest.mark.parametrize(
    ("change", "verify"),
    [
        (_changed, "do not have the root that the checkpoint signs"),
        (lambda x: [x[0], x[2], x[1], *x[3:]], "do not have the root"),
        (lambda x: [*x[:2], *x[3:]], "the checkpoint covers 6 entries, found 5"),
        (lambda x: x[:-1], "the checkpoint covers 6 entries, found 5"),
        (lambda x: [*x[:2], x[1], *x[2:]], "do not have the root"),
        (lambda x: [*x[:2], x[2] + b" ", *x[3:]], "expected canonical JSON"),
    ],
    ids=["changed", "reordered", "removed", "cut", "inserted", "spelled otherwise"],
)
def test_changed_entries_fail_verification_and_no_append_makes_them_good(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], verify: str
) -> None:
    ledger = made(tmp_path, 5)
    rewrite(ledger, change)
    with pytest.raises(LedgerError, match=verify):
        log.verify_log(ledger)
    shutil.copytree(ledger, tmp_path / "without tree")
    with suppress(LedgerError):  # an append reads the hashes of old entries, not the entries
        one_more(ledger)
    with pytest.raises(LedgerError):
        log.verify_log(ledger)
    ledger = tmp_path / "without tree"  # who removes the tree as well is refused: the checkpoint does not fit
    shutil.rmtree(ledger / "tree")
    before = {p: p.read_bytes() for p in (ledger / "entries.ndjson", ledger / "checkpoint")}
    with pytest.raises(LedgerError, match=r"they were changed|entries were removed"):
        one_more(ledger)
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize("at", [0, 12, 30, 60, -5, -30])
def test_a_changed_checkpoint_is_refused(tmp_path: Path, at: int) -> None:
    ledger = made(tmp_path, 5)
    raw = bytearray((ledger / "checkpoint").read_bytes())
    raw[at] ^= 1
    (ledger / "checkpoint").write_bytes(raw)
    with pytest.raises(LedgerError):
        log.verify_log(ledger)
    with pytest.raises(LedgerError):
        one_more(ledger)


def test_a_checkpoint_signed_by_another_key_is_refused(tmp_path: Path) -> None:
    ledger = made(tmp_path, 2)
    good = log.read_checkpoint(ledger)
    assert good is not None
    (ledger / "checkpoint").write_bytes(sign_checkpoint(good, b"\x09" * 32))
    with pytest.raises(LedgerError, match="expected a signature of key"):
        log.verify_log(ledger)
    with pytest.raises(LedgerError, match="expected a signature of key"):
        one_more(ledger)


def test_appending_with_another_key_is_refused_and_the_next_append_with_the_right_one_goes_on(tmp_path: Path) -> None:
    ledger = made(tmp_path, 2)
    with pytest.raises(LedgerError, match="expected a signature of key"):
        log.append(ledger, [Entry("document", 1, "x", {})], b"\x09" * 32)
    log.verify_log(ledger)
    one_more(ledger)
    log.verify_log(ledger)


@pytest.mark.parametrize("damage", ["zeroed", "torn", "missing", "longer", "other", "level missing", "level changed"])
def test_the_tree_files_are_derived_and_made_again(tmp_path: Path, damage: str) -> None:
    ledger = made(tmp_path, 600)
    leaves, level = ledger / "tree/0", ledger / "tree/8"
    good = (leaves.read_bytes(), level.read_bytes())
    match damage:
        case "zeroed":
            leaves.write_bytes(good[0][:16640] + bytes(64) + good[0][16704:])
        case "torn":
            leaves.write_bytes(good[0][:-7])
        case "missing":
            shutil.rmtree(ledger / "tree")
        case "longer":
            leaves.write_bytes(good[0] + bytes(32))
        case "other":
            leaves.write_bytes(os.urandom(len(good[0])))
        case "level missing":
            level.unlink()
        case "level changed":
            level.write_bytes(bytes(32) + good[1][32:])
    log.verify_log(ledger)  # it does not read them
    one_more(ledger)
    assert log.verify_log(ledger).size == 602
    assert (leaves.read_bytes()[: len(good[0])], level.read_bytes()) == good
    again = Tree.open(ledger / "tree", lines_of(ledger))
    assert again.root() == merkle.root([merkle.leaf_hash(x) for x in lines_of(ledger)])


def test_entries_written_before_a_crash_are_adopted_by_the_next_append(tmp_path: Path) -> None:
    ledger = made(tmp_path, 3)
    with (ledger / "entries.ndjson").open("ab") as file:  # fsync returned, checkpoint and tree did not follow
        for i in range(300):
            file.write(Entry("document", i, "tester", {"late": i}).line() + b"\n")
    assert log.verify_log(ledger).size == 4
    assert one_more(ledger) == 305
    assert log.verify_log(ledger).size == 305


def test_adoption_over_a_tile_border_without_anything_to_append_signs_the_right_root(tmp_path: Path) -> None:
    ledger = made(tmp_path, 509)
    with (ledger / "entries.ndjson").open("ab") as file:
        new = [Entry("document", i, "tester", {"late": i}).line() for i in range(8)]
        file.write(b"".join(x + b"\n" for x in new))
    with (ledger / "tree/0").open("ab") as file:  # the crash came after the leaf hashes and before their level
        file.write(b"".join(merkle.leaf_hash(x) for x in new))
    assert log.append(ledger, [], SEED) == 518
    assert log.verify_log(ledger).root == merkle.root([merkle.leaf_hash(x) for x in lines_of(ledger)])


def test_a_torn_last_line_is_left_out_by_readers_and_cut_by_the_next_append(tmp_path: Path) -> None:
    ledger = made(tmp_path, 3)
    whole = (ledger / "entries.ndjson").read_bytes()
    line = Entry("document", 9, "tester", {"text": "x" * 30}).line()
    for length in range(1, len(line) + 1):
        (ledger / "entries.ndjson").write_bytes(whole + line[:length])
        assert len(log.read_entries(ledger)) == 4
        assert log.verify_log(ledger).size == 4
    assert (ledger / "entries.ndjson").read_bytes() == whole + line  # readers cut nothing
    assert one_more(ledger) == 5
    assert (ledger / "entries.ndjson").read_bytes().startswith(whole + b'{"actor":"tester","at_ms":0')
    log.verify_log(ledger)


def test_several_processes_append_at_once_and_the_ledger_stays_sound(tmp_path: Path) -> None:
    ledger = made(tmp_path, 0)
    child = Path(__file__).with_name("append_child.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    started = [
        subprocess.Popen([sys.executable, str(child), str(ledger), name, "25"], env=environment) for name in "abc"
    ]
    for process in started:
        assert process.wait(60) == 0
    assert log.verify_log(ledger).size == 1 + 3 * 50
    entries = log.read_entries(ledger)[1:]
    for name in "abc":
        assert [(e.body["i"], e.body["half"]) for e in entries if e.actor == name] == [
            (i, h) for i in range(25) for h in (0, 1)
        ]
    assert all(
        entries[i].actor == entries[i + 1].actor for i in range(0, 150, 2)
    )  # one append is not mixed with another's


def test_a_ledger_without_a_genesis_entry_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="expected a genesis entry first"):
        log.append(tmp_path / "ledger", [], SEED)
    with pytest.raises(LedgerError, match="expected a genesis entry"):
        log.verify_log(tmp_path / "ledger")


def test_a_folder_whose_genesis_file_or_first_entry_was_changed_is_refused(tmp_path: Path) -> None:
    ledger = made(tmp_path, 2)
    path = tmp_path / "data/genesis.json"
    line = path.read_bytes()
    path.write_bytes(line.replace(b'"simulated"', b'"live"'))
    with pytest.raises(FolderError, match="one of them was changed") as refused:
        open_folder(tmp_path / "data")
    assert refused.value.exit_code == 6
    rewrite(ledger, lambda x: [x[0].replace(b'"simulated"', b'"live"'), *x[1:]])
    assert open_folder(tmp_path / "data").origin_class == "live"  # both changed alike: the checkpoint knows
    with pytest.raises(LedgerError, match="expected origin plantproof/"):
        log.verify_log(ledger)


# --- entries ------------------------------------------------------------------------------------------------------------------------


def test_an_entry_is_canonical_json_with_ascii_and_sorted_keys() -> None:
    entry = Entry("document", 1785546003120, "王", {"b": [1, True, None, "é"], "a": {"z": -(2**53) + 1}})
    assert entry.line() == (
        b'{"actor":"\\u738b","at_ms":1785546003120,"body":{"a":{"z":-9007199254740991},"b":[1,true,null,"\\u00e9"]},"t":"document","v":1}'
    )
    assert Entry.parse(entry.line()) == entry


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"actor":"a","at_ms":1,"body":{},"t":"document","v":1} ', "canonical JSON"),
        (b'{"actor":"a","at_ms":1,"body":{"x":1.0},"t":"document","v":1}', "integers and strings only"),
        (b'{"actor":"a","at_ms":1,"body":{"x":NaN},"t":"document","v":1}', "integers and strings only"),
        (b'{"actor":"a","at_ms":1,"body":{"x":1,"x":2},"t":"document","v":1}', "duplicate"),
        (b'{"actor":"a","at_ms":1,"body":{"x":9007199254740992},"t":"document","v":1}', "below 2\\^53"),
        (b'{"actor":"a","at_ms":true,"body":{},"t":"document","v":1}', "integer at_ms"),
        (b'{"actor":"a","at_ms":1,"body":{},"t":"document","v":2}', "v = 1"),
        (b'{"actor":"a","at_ms":1,"body":{},"t":"document","v":true}', "canonical JSON"),
        (b'{"actor":"a","at_ms":1,"body":{},"t":"document","v":1,"w":1}', "expected keys"),
        (b'{"actor":"a","at_ms":1,"body":{},"t":"poem","v":1}', "entry type"),
        (b'{"at_ms":1,"actor":"a","body":{},"t":"document","v":1}', "canonical JSON"),
        ('{"actor":"王","at_ms":1,"body":{},"t":"document","v":1}'.encode(), "canonical JSON"),
        (b"\xff", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"", "expected JSON"),
    ],
)
def test_a_line_that_is_not_the_canonical_form_of_an_entry_is_refused(line: bytes, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        Entry.parse(line)


def test_entries_of_64_kib_and_values_that_json_would_bend_are_refused() -> None:
    with pytest.raises(LedgerError, match="at most 65535 bytes"):
        Entry("document", 1, "a", {"x": "y" * 65_535}).line()
    for value in (1.5, 2**53, {1: 2}, b"x", float("nan")):
        with pytest.raises(LedgerError):
            canonical_json({"x": value})


# --- C2SP checkpoint ----------------------------------------------------------------------------------------------------------------


def test_a_note_signed_here_verifies_by_openssl_and_one_signed_by_openssl_opens_here(tmp_path: Path) -> None:
    import base64
    import hashlib

    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")

    def run(*arguments: str) -> bytes:
        return subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=tmp_path).stdout

    run("genpkey", "-algorithm", "ed25519", "-outform", "DER", "-out", "key.der")
    run("pkey", "-in", "key.der", "-inform", "DER", "-pubout", "-outform", "DER", "-out", "pub.der")
    seed, public = (tmp_path / "key.der").read_bytes()[-32:], (tmp_path / "pub.der").read_bytes()[-32:]
    checkpoint = Checkpoint("plantproof/0123456789abcdef", 7, bytes(range(32)))
    text = b"plantproof/0123456789abcdef\n7\n" + base64.b64encode(bytes(range(32))) + b"\n"
    (tmp_path / "text").write_bytes(text)
    run("pkeyutl", "-sign", "-rawin", "-inkey", "key.der", "-keyform", "DER", "-in", "text", "-out", "signature")
    key_id = hashlib.sha256(b"plantproof/0123456789abcdef\n\x01" + public).digest()[:4]
    blob = base64.b64encode(key_id + (tmp_path / "signature").read_bytes()).decode()
    note = text + f"\n— plantproof/0123456789abcdef {blob}\n".encode()
    assert sign_checkpoint(checkpoint, seed) == note
    assert open_checkpoint(note, public, "plantproof/0123456789abcdef") == checkpoint


VECTOR_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032 §7.1, test 1
VECTOR_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
# made once by the C2SP rules with openssl 3 and Go's sumdb/note layout, see the test above for the steps
ORIGIN = "plantproof/0123456789abcdef"


def a_note(size: int = 7) -> bytes:
    """A good note over `size` entries."""
    return sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), VECTOR_SEED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.replace(b"\n7\n", b"\n07\n"), "without extension lines|signature does not fit"),
        (lambda n: n.replace(b"\n7\n", b"\n8\n"), "signature does not fit"),
        (lambda n: n.replace(b"\n\n", b"\nextension\n\n"), "expected origin, size, root"),
        (lambda n: n.replace(b"\n7\n", b"\n-7\n"), "without extension|signature does not fit"),
        (lambda n: n.split(b"\n\n")[0] + b"\n", "expected origin, size, root"),
        (lambda n: n.split(b"\n\n")[0] + b"\n\n", "expected a C2SP checkpoint"),
        (lambda n: n.replace("— ".encode(), b"- "), "expected a signature line"),
        (lambda n: n.replace(b"0123456789abcdef", b"0123456789abcdee"), "expected origin"),
        (lambda n: n[:-20] + b"\n", "expected origin, size, root|does not fit|expected a signature"),
        (lambda n: b"\xff" + n, "expected origin, size, root"),
        (lambda n: b"", "expected origin, size, root"),
    ],
)
def test_a_note_that_is_not_the_signed_one_is_refused(change: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        open_checkpoint(change(a_note()), VECTOR_PUBLIC, ORIGIN)


def test_signatures_of_others_beside_ours_are_ignored() -> None:
    other = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), b"\x05" * 32).split(b"\n\n")[1]
    assert open_checkpoint(a_note() + other, VECTOR_PUBLIC, ORIGIN).size == 7
    witness = a_note() + "— witness.example/w AAAAAAECAwQFBgcICQ==\n".encode()
    assert open_checkpoint(witness, VECTOR_PUBLIC, ORIGIN).size == 7


def test_the_log_is_named_after_its_genesis_line(tmp_path: Path) -> None:
    import hashlib

    ledger = made(tmp_path, 0)
    line = lines_of(ledger)[0]
    assert origin_of(line) == "plantproof/" + hashlib.sha256(line).hexdigest()[:16]
    assert json.loads(line)["body"]["origin_class"] == "simulated"
