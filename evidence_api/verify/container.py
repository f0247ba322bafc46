"""The zip around a pack, in the one canonical form of docs/format/pack.md; nothing of `zipfile`, which forgives.

In: a seekable file. Out: `Container` (names, sizes, bytes by name). Steps, each a `PackRefused` with its code:
A-01 the bytes are exactly what names, sizes and checksums say they must be: header and directory are written again and compared
A-02 names are ASCII, relative, sorted, and none stands twice
The writer builds its packs from `local_header`, `directory_record` and `end_record`, so that there is one definition of the form.
Refuses everything else: zip64, deflate, comments, extra fields, bytes before, between or after, look-alike names.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from evidence_api.verify.findings import PackRefused

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_DIRECTORY = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LOCAL_MARK, _DIRECTORY_MARK, _END_MARK = 0x04034B50, 0x02014B50, 0x06054B50
_NEEDED, _MADE_BY, _DATE_1980, _MODE = 20, 0x0314, 0x0021, 0o100644 << 16
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
MAX_BYTES, MAX_ENTRIES, MAX_NAME = 0xFFFF_FFFE, 0xFFFE, 255
CHUNK = 1 << 20
MAX_WHOLE, MAX_LINE = 256 << 20, 1 << 20  # what is read in one piece is bounded: a reader's machine is small
AGAIN = "像是解压后重新压缩过的，请取企业交付的原文件 (zipped again? ask for the original file)"
FORM, NAMES = "容器是规范形式的存储式 zip", "文件名是 ASCII、相对、有序、不重复"


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One file: where its bytes start in the container, how many, their CRC-32."""

    name: str
    start: int
    size: int
    crc: int


class Container:
    """Files by name, read from the container that was checked."""

    def __init__(self, file: BinaryIO, entries: list[ZipEntry], damaged: list[str]) -> None:
        self._file = file
        self.entries = {e.name: e for e in entries}
        self.damaged = tuple(
            damaged
        )  # names whose bytes do not have their CRC-32: the walk goes on, to say all it finds

    @property
    def names(self) -> list[str]:
        """Sorted bytewise, as they stand."""
        return list(self.entries)

    def read(self, name: str) -> bytes:
        """The whole file, of at most 256 MiB."""
        if self.entries[name].size > MAX_WHOLE:
            raise PackRefused("A-01", FORM, f"{name}: {self.entries[name].size:,} 字节，应不超过 {MAX_WHOLE:,}")
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file in pieces of at most 1 MiB."""
        entry = self.entries[name]
        position, left = entry.start, entry.size
        while left:
            self._file.seek(position)
            piece = self._file.read(min(CHUNK, left))
            if not piece:
                raise PackRefused("A-01", FORM, f"{name}: 少 {left} 字节")
            position, left = position + len(piece), left - len(piece)
            yield piece

    def lines(self, name: str) -> Iterator[bytes]:
        """The file's lines without their newline; a last line that is not ended is given as it is."""
        rest = b""
        for piece in self.chunks(name):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > MAX_LINE:
                raise PackRefused("A-01", FORM, f"{name}: 一行超过 {MAX_LINE:,} 字节")
        if rest:
            yield rest

    def sha256(self, name: str) -> str:
        """Hex digest of the file."""
        digest = hashlib.sha256()
        for piece in self.chunks(name):
            digest.update(piece)
        return digest.hexdigest()


def open_container(file: BinaryIO) -> Container:
    """Check A-01 and A-02. Errors: `PackRefused`."""
    total = file.seek(0, 2)
    directory_start, directory, count = _end(file, total)
    entries = list(_directory(directory, count, directory_start))
    names = [e.name for e in entries]
    if names != sorted(set(names)):
        raise PackRefused("A-02", NAMES, "文件名重复或次序不对")
    for entry in entries:
        if not is_name(entry.name):
            raise PackRefused("A-02", NAMES, f"不允许的文件名 {entry.name!r}")
    return Container(file, entries, _rewrite(file, entries, directory))


def is_name(name: str) -> bool:
    """A name the format allows: ASCII parts that do not begin with a dot, joined by slashes."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None


def local_header(name: str, size: int, crc: int) -> bytes:
    """The 30 bytes and the name that stand before a file."""
    raw = name.encode("ascii")
    return _LOCAL.pack(_LOCAL_MARK, _NEEDED, 0, 0, 0, _DATE_1980, crc, size, size, len(raw), 0) + raw


def directory_record(name: str, size: int, crc: int, offset: int) -> bytes:
    """The file's record in the central directory; `offset` is where its local header starts."""
    raw = name.encode("ascii")
    fixed = (_DIRECTORY_MARK, _MADE_BY, _NEEDED, 0, 0, 0, _DATE_1980, crc, size, size, len(raw), 0, 0, 0, 0)
    return _DIRECTORY.pack(*fixed, _MODE, offset) + raw


def end_record(count: int, directory_size: int, directory_start: int) -> bytes:
    """The last 22 bytes."""
    return _END.pack(_END_MARK, 0, 0, count, count, directory_size, directory_start, 0)


def _end(file: BinaryIO, total: int) -> tuple[int, bytes, int]:
    """Where the directory starts, its bytes, and how many records it claims."""
    if total < _END.size:
        raise PackRefused("A-01", FORM, f"不是 zip，只有 {total} 字节 (not a zip)")
    file.seek(total - _END.size)
    raw = file.read(_END.size)
    mark, _, _, _, count, size, start, _ = _END.unpack(raw)
    if mark != _END_MARK:
        raise PackRefused("A-01", FORM, "不是 zip，或末尾被截断、被添加 (no end record where it must stand)")
    if (
        total > MAX_BYTES
        or count > MAX_ENTRIES
        or size > count * 1024  # a directory of that many records is never longer
        or start + size + _END.size != total
        or raw != end_record(count, size, start)
    ):
        raise PackRefused("A-01", FORM, "结束记录与文件长度不符")
    file.seek(start)
    return start, file.read(size), count


def _directory(raw: bytes, count: int, limit: int) -> Iterator[ZipEntry]:
    at = 0
    for _ in range(count):
        if at + _DIRECTORY.size > len(raw):
            raise PackRefused("A-01", FORM, "目录被截断")
        fields = _DIRECTORY.unpack_from(raw, at)
        crc, size, length, offset = fields[7], fields[9], fields[10], fields[16]
        name = raw[at + _DIRECTORY.size : at + _DIRECTORY.size + length].decode("latin-1")
        start = offset + _LOCAL.size + length
        if not name.isascii() or not name or start + size > limit:
            raise PackRefused("A-01", FORM, f"目录第 {at} 字节处的记录不合理")
        yield ZipEntry(name, start, size, crc)
        at += _DIRECTORY.size + length


def _rewrite(file: BinaryIO, entries: list[ZipEntry], directory: bytes) -> list[str]:
    """From names, sizes and checksums the whole container follows; compare it with what is there. Out: damaged names."""
    at, expected, damaged = 0, [], []
    for entry in entries:
        header = local_header(entry.name, entry.size, entry.crc)
        file.seek(at)
        if entry.start != at + len(header) or file.read(len(header)) != header:
            raise PackRefused("A-01", FORM, f"{entry.name}: 文件头不是规范形式；{AGAIN}")
        if _crc(file, entry) != entry.crc:
            damaged.append(entry.name)
        expected.append(directory_record(entry.name, entry.size, entry.crc, at))
        at = entry.start + entry.size
    file.seek(0, 2)
    if b"".join(expected) != directory or at + len(directory) + _END.size != file.tell():
        raise PackRefused("A-01", FORM, f"目录与文件不符，或文件之间有多余字节；{AGAIN}")
    return damaged


def _crc(file: BinaryIO, entry: ZipEntry) -> int:
    crc, left = 0, entry.size
    file.seek(entry.start)
    while left:
        piece = file.read(min(CHUNK, left))
        if not piece:
            return -1
        crc, left = zlib.crc32(piece, crc), left - len(piece)
    return crc
