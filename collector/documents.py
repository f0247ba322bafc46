"""材料 into the data folder: the bytes once by their SHA-256, then a `document` leaf with what a person states about them.

In: a file and statements. Out: `Document`. Steps: 1 every statement checked 2 documents/<sha256> written, fsync 3 the leaf.
If the process dies before 3, the bytes lie there without a statement and count for nothing; the same command again finishes it.
The same bytes (or the same --id) with other statements are a new leaf that supersedes the older one; both stay in the ledger.
Refuses (`ConfigError`, every problem): empty files, more than 200 MiB, unknown kinds, impossible dates, levels, years.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from collector.change import entered_ms, one_at_a_time
from collector.clock import Clock
from collector.durable import write_durably
from collector.folder import DataFolder
from collector.ledger.entry import Entry
from collector.revisions import documents
from config.documents import DOCUMENT_KINDS, Document, document_of
from config.errors import ConfigError, Problem

MAX_BYTES = 200 * 1024 * 1024
LEVELS = range(1, 6)  # 智能制造能力成熟度等级 GB/T 39116: 一级 to 五级
FIRST_YEAR = 2000
MAX_TEXT, MAX_LIST = 200, 50
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person says of a file. Days as written: yyyy-mm-dd or empty."""

    kind: str
    name: str
    issuer: str = ""
    issued: str = ""
    valid_until: str = ""
    level: int | None = None
    years: tuple[int, ...] = ()
    criteria: tuple[str, ...] = ()
    doc_id: str = ""


@one_at_a_time
def add_document(folder: DataFolder, file: Path, said: Statement, *, clock: Clock, actor: str) -> Document:
    """Keep the file and append its leaf; an unchanged statement of the same bytes is no new leaf. Errors: `ConfigError`."""
    at_ms = entered_ms(folder, clock)
    today = (_EPOCH + timedelta(milliseconds=at_ms, hours=14)).date()  # nowhere on earth is it later
    problems = _problems(said, today)
    raw = _bytes(file, problems)
    if problems:
        raise ConfigError(problems)
    sha256 = hashlib.sha256(raw).hexdigest()
    held = documents(folder)
    body = {
        "id": said.doc_id or _id_of(held, sha256),
        "sha256": sha256,
        "kind": said.kind,
        "name": said.name.strip(),
        "issuer": said.issuer.strip(),
        "issued": said.issued,
        "valid_until": said.valid_until,
        "level": said.level,
        "years": sorted(set(said.years)),
        "criteria": sorted(set(said.criteria)),
        "size_bytes": len(raw),
        "file": file.name.encode(errors="replace").decode()[
            :MAX_TEXT
        ],  # a name in GBK, as an old file server writes it
    }
    new = document_of(body, at_ms * 1000)
    same = next((d for d in held if d.doc_id == new.doc_id), None)
    place = folder.documents / sha256
    if not place.exists() or hashlib.sha256(place.read_bytes()).hexdigest() != sha256:
        write_durably(place, raw)
    if same is not None and document_of(body, same.entered_us) == same:
        return same
    folder.append(Entry("document", at_ms, actor, body))
    return new


def damaged(folder: DataFolder) -> list[tuple[Document, str]]:
    """Documents whose bytes are missing or no longer hash to their name, and what is wrong; read block by block."""
    found = []
    for document in documents(folder):
        path = folder.documents / document.sha256
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as err:
            found.append((document, f"文件不在或读不出来：{err.strerror} (missing or unreadable)"))
            continue
        if digest != document.sha256:
            found.append((document, "文件被改过，与账本所记不符 (changed since it was entered)"))
    return found


def _id_of(held: tuple[Document, ...], sha256: str) -> str:
    """The id these bytes have already, else the next number."""
    same = [d.doc_id for d in held if d.sha256 == sha256]
    if same:
        return same[-1]
    taken = {d.doc_id for d in held}
    return next(i for n in range(1, len(taken) + 2) if (i := f"D{n:04d}") not in taken)


def _bytes(file: Path, problems: list[Problem]) -> bytes:
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            if 0 < size <= MAX_BYTES:
                return opened.read(MAX_BYTES + 1)
    except OSError as err:
        found = (
            "没有这个文件 (no such file)"
            if isinstance(err, FileNotFoundError)
            else f"读不出来：{err.strerror} (unreadable)"
        )
        problems.append(Problem(str(file), "", found))
        return b""
    message = (
        "空文件 (the file is empty)"
        if size == 0
        else f"应不超过 200 MiB，实有 {size / (1 << 20):.0f} MiB (file too large)"
    )
    problems.append(Problem(str(file), "", message, "" if size == 0 else "压缩或拆分后再登记 (compress or split it)"))
    return b""


def _problems(said: Statement, today: date) -> list[Problem]:
    found = []
    if said.kind not in DOCUMENT_KINDS:
        known = "、".join(f"{k}（{zh}）" for k, zh in DOCUMENT_KINDS.items())
        found.append(Problem("--kind", "", f"没有这种材料：{said.kind!r} (no such kind)", f"可用：{known}"))
    if said.doc_id and not _ID.fullmatch(said.doc_id):
        message = f"应为 1–32 个字母、数字、点、横线，实为 {said.doc_id!r} (expected letters, digits, dots, dashes)"
        found.append(Problem("--id", "", message))
    for option, text, needed in (("--name", said.name, True), ("--issuer", said.issuer, False)):
        if needed and not text.strip():
            found.append(Problem(option, "", "不能为空 (expected a value, found none)"))
        if len(text) > MAX_TEXT or not text.isprintable():
            found.append(
                Problem(
                    option,
                    "",
                    f"应为不超过 {MAX_TEXT} 字的一行文字 (expected one line of at most {MAX_TEXT} characters)",
                )
            )
    if said.level is not None and said.level not in LEVELS:
        found.append(Problem("--level", "", f"应为 1–5，实为 {said.level} (expected 1-5)"))
    found += [
        Problem("--year", "", f"应为 {FIRST_YEAR}–{today.year}，实为 {y} (expected a year that has begun)")
        for y in said.years
        if not FIRST_YEAR <= y <= today.year
    ]
    if len(said.criteria) > MAX_LIST or any(not c.strip() or len(c) > MAX_TEXT for c in said.criteria):
        found.append(
            Problem("--criterion", "", f"应为不超过 {MAX_LIST} 个条款编号 (expected at most {MAX_LIST} criterion ids)")
        )
    return found + _day_problems(said, today)


def _day_problems(said: Statement, today: date) -> list[Problem]:
    found = []
    days: dict[str, date] = {}
    for option, text in (("--issued", said.issued), ("--valid-until", said.valid_until)):
        try:
            if text:
                days[option] = date.fromisoformat(text)
                if text != days[option].isoformat() or days[option].year < FIRST_YEAR:
                    raise ValueError("another spelling, or long ago")
        except ValueError:
            days.pop(option, None)
            found.append(Problem(option, "", f"应为 2000 年以后的日期如 2025-06-30，实为 {text!r} (expected a day)"))
    issued, until = days.get("--issued"), days.get("--valid-until")
    if issued and issued > today:
        found.append(Problem("--issued", "", f"签发日期 {issued} 在将来 (issued in the future)"))
    if issued and until and until < issued:
        found.append(
            Problem("--valid-until", "", f"有效期至 {until} 早于签发日期 {issued} (ends before it was issued)")
        )
    return found
