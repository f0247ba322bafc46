"""The one canonical zip: whatever is not it is refused, and no byte of a pack can be changed unnoticed."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import pytest

from evidence_api.verify import bag, signature
from evidence_api.verify.container import open_container
from evidence_api.verify.findings import PackRefused
from tests.evidence_api.packs.conftest import Made
from tests.evidence_api.packs.plant import zipped

FILES = {"a.txt": b"one", "b/c.txt": b"two" * 400, "b/d.txt": b""}


def _names(raw: bytes) -> list[str]:
    pack = open_container(io.BytesIO(raw))
    assert pack.damaged == ()
    return pack.names


def test_canonical_zip_is_read_and_is_a_zip_for_everybody_else() -> None:
    raw = zipped(FILES)
    assert _names(raw) == sorted(FILES)
    with zipfile.ZipFile(io.BytesIO(raw)) as other:
        assert other.testzip() is None
        assert {n: other.read(n) for n in other.namelist()} == FILES
        assert all(i.external_attr == 0o100644 << 16 and i.date_time == (1980, 1, 1, 0, 0, 0) for i in other.infolist())


def _by_zipfile(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as pack:
        for name, content in sorted(FILES.items()):
            pack.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def _with_comment(raw: bytes) -> bytes:
    return raw[:-2] + struct.pack("<H", 3) + b"hey"


def _shifted_directory(raw: bytes) -> bytes:
    """Two bytes between the last file and the directory, offsets kept true."""
    start = struct.unpack_from("<I", raw, len(raw) - 6)[0]
    end = bytearray(raw[-22:])
    struct.pack_into("<I", end, 16, start + 2)
    return raw[:start] + b"zz" + raw[start:-22] + bytes(end)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda raw: b"", "A-01"),
        (lambda raw: b"not a zip at all, only words that go on for a while", "A-01"),
        (lambda raw: raw[:-1], "A-01"),
        (lambda raw: raw[: len(raw) // 2], "A-01"),
        (lambda raw: raw + b"\n", "A-01"),
        (lambda raw: b"MZ" + raw, "A-01"),
        (_with_comment, "A-01"),
        (_shifted_directory, "A-01"),
        (lambda raw: raw + raw[-22:], "A-01"),
        (lambda raw: _by_zipfile(zipfile.ZIP_DEFLATED), "A-01"),
        (lambda raw: _by_zipfile(zipfile.ZIP_STORED), "A-01"),
        (lambda raw: zipped(FILES, ["b/c.txt", "a.txt", "b/d.txt"]), "A-02"),
        (lambda raw: zipped(FILES, ["a.txt", "a.txt", "b/c.txt"]), "A-02"),
        (lambda raw: zipped({"../a": b"x"}), "A-02"),
        (lambda raw: zipped({"/a": b"x"}), "A-02"),
        (lambda raw: zipped({"a/": b""}), "A-02"),
        (lambda raw: zipped({"a//b": b""}), "A-02"),
        (lambda raw: zipped({".hidden": b""}), "A-02"),
        (lambda raw: zipped({"a\\b": b""}), "A-02"),
        (lambda raw: zipped({"n" * 300: b""}), "A-02"),
    ],
)
def test_other_bytes_are_refused_by_name_of_the_step(wrong: Callable[[bytes], bytes], code: str) -> None:
    with pytest.raises(PackRefused) as refused:
        open_container(io.BytesIO(wrong(zipped(FILES))))
    assert refused.value.step.code == code


def test_a_changed_content_is_named_and_the_walk_goes_on() -> None:
    raw = bytearray(zipped(FILES))
    raw[raw.index(b"two")] ^= 1
    assert open_container(io.BytesIO(bytes(raw))).damaged == ("b/c.txt",)


def _noticed(raw: bytes, made: Made) -> bool:
    """Steps A-01 … A-05 and B-11 alone find it, which makes the exit code 6 whatever comes after."""
    try:
        pack = open_container(io.BytesIO(raw))
        if pack.damaged:
            return True
        bag.check_tag_manifest(pack)
        bag.check_manifest(pack)
        bag.check_files(pack)
        signature.check_envelope(pack.read(bag.SIGNATURE), _log(made), made.plant.public_key)
    except PackRefused:
        return True
    return False


def _log(made: Made) -> str:
    return str(bag.read_pack_json(open_container(io.BytesIO(made.raw))).body["ledger"]["log"])


def _positions(raw: bytes) -> list[int]:
    """Every byte of headers, directory, manifests and signature; of the payload's contents every seventh (a CRC-32 misses no bit)."""
    payload = [e for n, e in open_container(io.BytesIO(raw)).entries.items() if n.startswith("data/")]
    inside = {at for e in payload for at in range(e.start, e.start + e.size) if at % 7}
    return [at for at in range(len(raw)) if at not in inside]


@pytest.mark.parametrize("part", range(8))
def test_every_flipped_byte_is_noticed(live: Made, part: int) -> None:
    assert not _noticed(live.raw, live)
    missed = []
    for at in _positions(live.raw)[part::8]:
        raw = bytearray(live.raw)
        raw[at] ^= 1 << (at // 8 % 8)
        if not _noticed(bytes(raw), live):
            missed.append(at)
    assert missed == []


@pytest.mark.parametrize("part", range(4))
def test_a_flipped_byte_ends_the_whole_walk_with_exit_6(live: Made, part: int) -> None:
    step = len(live.raw) // 60
    for at in range(part * step // 4, len(live.raw), step):
        raw = bytearray(live.raw)
        raw[at] ^= 0xFF
        assert live.plant.verify(bytes(raw)).exit_code == 6, at
