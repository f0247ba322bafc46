"""Files on disk to a signed bag in a canonical zip (docs/format/pack.md: Container, Signature).

In: a folder with `data/` and READ-ME-FIRST.txt, the log's seed. Out: the zip, written aside, fsynced, renamed; its tag manifest.
Files are streamed: memory does not grow with the pack. If the process dies, only the aside file and the folder are left.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from collector.durable import fsync_folder
from evidence_api.pack.inputs import PackError
from evidence_api.verify.bag import BAGIT, MANIFEST, SIGNATURE, TAG_FILES, TAG_MANIFEST, bag_info
from evidence_api.verify.container import (
    CHUNK,
    MAX_BYTES,
    MAX_ENTRIES,
    directory_record,
    end_record,
    is_name,
    local_header,
)
from evidence_api.verify.signature import envelope, statement


def seal_bag(stage: Path, log: str, pack_id: str, root: str, size: int, seed: bytes) -> bytes:
    """Write bag files, manifests and signature into `stage`; the tag manifest's bytes."""
    payload = [n for n in names_in(stage) if n.startswith("data/")]
    (stage / "bagit.txt").write_bytes(BAGIT)
    (stage / "bag-info.txt").write_bytes(bag_info(sum((stage / n).stat().st_size for n in payload), len(payload)))
    (stage / MANIFEST).write_bytes(_manifest(stage, payload))
    tags = _manifest(stage, list(TAG_FILES))
    (stage / TAG_MANIFEST).write_bytes(tags)
    (stage / SIGNATURE).parent.mkdir(exist_ok=True)
    (stage / SIGNATURE).write_bytes(envelope(statement(tags, log, pack_id, root, size), log, seed))
    return tags


def write_zip(stage: Path, target: Path) -> int:
    """Every file of `stage`, sorted by name, as a canonical zip at `target`; its size in bytes. Errors: `PackError`."""
    names = names_in(stage)
    bad = [n for n in names if not is_name(n)]
    if bad or len(names) > MAX_ENTRIES:
        raise PackError(f"{target.name}: expected at most {MAX_ENTRIES} ASCII names, found {bad[:3] or len(names)}")
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as out:
            directory = [_add(out, stage, name) for name in names]
            start = out.tell()
            out.write(b"".join(directory))
            out.write(end_record(len(names), out.tell() - start, start))
            total = out.tell()
            if total > MAX_BYTES:
                raise PackError(f"{target.name}: 包超过 4 GiB (expected at most {MAX_BYTES} bytes, found {total})")
            out.flush()
            os.fsync(out.fileno())
        aside.rename(target)
    finally:
        aside.unlink(missing_ok=True)
    fsync_folder(target.parent)
    return total


def names_in(stage: Path) -> list[str]:
    """Files below `stage`, as names in the pack, sorted bytewise."""
    return sorted(p.relative_to(stage).as_posix() for p in stage.rglob("*") if p.is_file())


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _manifest(stage: Path, names: list[str]) -> bytes:
    return b"".join(f"{sha256_of(stage / n)}  {n}\n".encode("ascii") for n in names)


def _add(out: BinaryIO, stage: Path, name: str) -> bytes:
    """Header, bytes; then the header again with size and checksum. Out: the directory's record."""
    start, crc, size = out.tell(), 0, 0
    out.write(local_header(name, 0, 0))
    for piece in _pieces(stage / name):
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        out.write(piece)
    end = out.tell()
    if end > MAX_BYTES:
        raise PackError(f"包超过 4 GiB (expected at most {MAX_BYTES} bytes, found {end}): {name}")
    out.seek(start)
    out.write(local_header(name, size, crc))
    out.seek(end)
    return directory_record(name, size, crc, start)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece
