"""The journal: what was acknowledged is there, whatever a crash, a disk or a second process did; damage is refused, not mended."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest

from adapters.batch import NO_TIME, Batch, Outcome
from adapters.contract import Identity
from collector.capture import Capture, Cutting
from collector.frame import HEADER, ROWS, FrameError, read_frames, read_head, rows_body, scan_frames
from collector.journal import Journal, JournalError, files, read_file
from tests.builders import FIRST_HOUR, HOUR_US, SIMPLE, Driver, batch_of, failed_row, ok_row, simple_register, wide

T0 = FIRST_HOUR * HOUR_US


def a_batch(device: str = "A", at_us: int = T0) -> Batch:
    """One good poll."""
    return batch_of([ok_row(device, SIMPLE, at_us, state=1, speed=2.5)])


OPEN: list[Journal] = []


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def opened(path: Path) -> Journal:
    """The journal of a folder; closed after the test."""
    OPEN.append(Journal(path / "journal", path / "quarantine"))
    return OPEN[-1]


def written(path: Path, frames: int) -> Path:
    """A journal of so many row frames in one file; the file."""
    journal = opened(path)
    for i in range(frames):
        journal.append_rows([a_batch(at_us=T0 + i)], T0 + i)
    journal.close()
    return files(path / "journal")[-1]


def ends_of(raw: bytes) -> list[int]:
    """End offset of each frame."""
    return [end for end, _, _ in scan_frames(raw)]


def snapshot(path: Path) -> dict[str, bytes]:
    """Every file of a folder but locks."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "lock"}


def test_a_tail_torn_at_any_byte_is_cut_off_quarantined_and_reported(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", 3).read_bytes()
    ends = [0, *ends_of(whole)]
    for length in range(1, len(whole)):
        place = tmp_path / str(length)
        (place / "journal").mkdir(parents=True)
        file = place / "journal" / f"{1:016d}.jrn"
        file.write_bytes(whole[:length])
        journal = opened(place)
        kept = max(i for i, end in enumerate(ends) if end <= length)
        torn = whole[ends[kept] : length]
        assert journal.seq == journal.recovery.last_seq == kept
        assert journal.recovery.cut_bytes == len(torn)
        assert [p.read_bytes() for p in (place / "quarantine").glob("*")] == ([torn] if torn else [])
        assert (file.read_bytes() if kept else b"") == whole[: ends[kept]]
        journal.append_rows([a_batch()], T0)
        journal.close()
        found = [f.seq for p in files(place / "journal") for f in read_file(p)]
        assert found == list(range(1, kept + 2))


@pytest.mark.parametrize("where", ["first byte", "header", "checksum", "body", "last byte"])
def test_a_last_frame_with_a_flipped_bit_is_cut_and_what_was_before_stays(tmp_path: Path, where: str) -> None:
    file = written(tmp_path, 3)
    raw = bytearray(file.read_bytes())
    start = ends_of(bytes(raw))[1]
    at = {
        "first byte": start,
        "header": start + 9,
        "checksum": start + HEADER.size - 1,
        "body": start + HEADER.size + 3,
        "last byte": len(raw) - 1,
    }
    raw[at[where]] ^= 0x10
    file.write_bytes(raw)
    journal = opened(tmp_path)
    assert journal.seq == 2
    assert journal.recovery.cut_bytes == len(raw) - start
    assert journal.recovery.cut_file == file.name
    assert journal.recovery.reason


@pytest.mark.parametrize("garbage", [b"\0" * 4096, b"PPJ1", b"PPJ1" * 500, os.urandom(300), b"\xff"])
def test_garbage_behind_the_last_frame_is_cut(tmp_path: Path, garbage: bytes) -> None:
    file = written(tmp_path, 2)
    whole = file.read_bytes()
    file.write_bytes(whole + garbage)
    journal = opened(tmp_path)
    assert (journal.seq, journal.recovery.cut_bytes) == (2, len(garbage))
    assert file.read_bytes() == whole


@pytest.mark.parametrize("frame", [0, 1])
def test_damage_before_whole_frames_is_refused_and_nothing_is_changed(tmp_path: Path, frame: int) -> None:
    file = written(tmp_path, 3)
    raw = bytearray(file.read_bytes())
    raw[[0, *ends_of(bytes(raw))][frame] + HEADER.size + 5] ^= 1
    file.write_bytes(raw)
    before = snapshot(tmp_path)
    with pytest.raises(JournalError, match="this is damage, not a torn tail; nothing was changed"):
        opened(tmp_path)
    assert snapshot(tmp_path) == before


def test_a_file_that_was_closed_may_not_end_in_a_torn_frame(tmp_path: Path) -> None:
    file = written(tmp_path, 3)
    file.write_bytes(file.read_bytes()[:-5])
    for newest in (b"", b"PPJ1\1"):
        (tmp_path / "journal" / f"{4:016d}.jrn").write_bytes(newest)
        before = snapshot(tmp_path)
        with pytest.raises(JournalError, match="it is not the newest file: this is damage"):
            opened(tmp_path)
        assert snapshot(tmp_path) == before


def test_an_empty_newest_file_and_one_whose_first_frame_is_torn_go_and_the_chain_goes_on(tmp_path: Path) -> None:
    file = written(tmp_path, 2)
    last = [digest for _, _, digest in scan_frames(file.read_bytes())][-1]
    for newest in (b"", file.read_bytes()[:50]):
        path = tmp_path / "journal" / f"{3:016d}.jrn"
        path.write_bytes(newest)
        journal = opened(tmp_path)
        assert (journal.seq, journal.recovery.cut_bytes) == (2, len(newest))
        assert journal.recovery.head == last
        assert files(tmp_path / "journal") == [file]
        journal.close()


def test_a_second_writer_is_refused_while_the_first_one_lives(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(JournalError, match="another collector writes here"):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


def test_each_frame_names_the_one_before_it_over_all_files_and_starts(tmp_path: Path) -> None:
    for start in range(3):
        journal = opened(tmp_path)
        journal.append_control({"kind": "start", "last_us": 0}, T0)
        for i in range(4):
            journal.append_rows([a_batch(at_us=T0 + i)], T0 + i + start)
            if i % 2:
                journal.rotate()
        journal.close()
    paths = files(tmp_path / "journal")
    assert len(paths) >= 6
    prev, seq = bytes(32), 0
    for path in paths:
        raw, offset = path.read_bytes(), 0
        assert path.name == f"{seq + 1:016d}.jrn"
        while offset < len(raw):
            head = read_head(raw, offset)
            end = offset + HEADER.size + head.body_len
            assert (head.prev, head.seq) == (prev, seq + 1)
            prev, seq, offset = hashlib.sha256(raw[offset:end]).digest(), head.seq, end


def test_every_file_names_its_own_templates_also_after_a_frame_that_could_not_be_packed(tmp_path: Path) -> None:
    text = wide(("word", "str"))
    journal = opened(tmp_path)
    with pytest.raises(UnicodeEncodeError):
        journal.append_rows([batch_of([ok_row("A", text, T0, word="\ud800")])], T0)
    journal.append_rows([batch_of([ok_row("A", text, T0, word="一")])], T0)
    journal.rotate()
    journal.append_rows([batch_of([ok_row("A", text, T0, word="二")])], T0)
    journal.close()
    words = [f.blocks[0].columns[0].values for p in files(tmp_path / "journal") for f in read_frames(p.read_bytes())]
    assert words == [["一"], ["二"]]


def test_a_frame_keeps_every_type_missing_values_qualities_and_the_order_of_rows(tmp_path: Path) -> None:
    kinds = wide(("b", "bool"), ("i", "i64"), ("u", "u64"), ("f", "f32"), ("d", "f64"), ("s", "str"))
    rows = [
        ok_row("A", kinds, T0, b=True, i=-(2**63), u=2**64 - 1, f=1.5, d=-0.0, s="零"),
        ok_row("A", kinds, T0 - 5, d=float("inf")),
        failed_row("A", kinds, T0 + 1, Outcome.REFUSED),
    ]
    journal = opened(tmp_path)
    journal.append_rows([batch_of(rows), batch_of([ok_row("B", kinds, T0 + 2, s="b")])], T0)
    journal.close()
    (frame,) = read_frames(files(tmp_path / "journal")[0].read_bytes())
    (block,) = frame.blocks
    assert frame.kind == ROWS
    assert (block.devices, block.counts.tolist()) == (("A", "B"), [3, 1])
    assert block.source_us.tolist() == [T0, T0 - 5, T0 + 1, T0 + 2]
    assert block.outcome.tolist() == [0, 0, 3, 0]
    assert [c.valid.tolist() if c.valid is not None else None for c in block.columns] == [
        [True, False, False, False],
        [True, False, False, False],
        [True, False, False, False],
        [True, False, False, False],
        [True, True, False, False],
        [True, False, False, True],
    ]
    assert block.columns[2].values[0] == np.uint64(2**64 - 1)
    assert np.signbit(block.columns[4].values[0])
    assert block.columns[5].values == ["零", "", "", "b"]


def test_server_time_is_kept_row_by_row_and_costs_nothing_without(tmp_path: Path) -> None:
    rows = [replace(ok_row("A", SIMPLE, T0 + i, state=1), server_us=s) for i, s in enumerate((None, T0 - 3))]
    with_server, _ = rows_body([batch_of(rows), a_batch("B")], set())
    without, _ = rows_body([a_batch("B")], set())
    journal = opened(tmp_path)
    journal.append_rows([batch_of(rows), a_batch("B")], T0)
    journal.append_rows([a_batch("B")], T0)
    journal.close()
    first, second = (f.blocks[0] for f in read_frames(files(tmp_path / "journal")[0].read_bytes()))
    assert first.server_us is not None
    assert first.server_us.tolist() == [NO_TIME, T0 - 3, NO_TIME]
    assert second.server_us is None
    assert len(msgpack.unpackb(without)[1][0]) == 9
    assert len(msgpack.unpackb(with_server)[1][0]) == 10


def test_a_body_that_no_reader_would_take_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.frame.MAX_BODY", 100)
    journal = opened(tmp_path)
    with pytest.raises(FrameError, match="emit less at once"):
        journal.append_rows([a_batch(d) for d in "ABCDEFGH"], T0)
    monkeypatch.undo()
    assert journal.append_rows([a_batch()], T0) == 1


class FullDisk:
    """`os.write` and `os.fdatasync` that fail from the n-th call on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, after: int, code: int) -> None:
        self.left = after
        real = getattr(os, name)

        def failing(*args: object) -> object:
            self.left -= 1
            if self.left < 0:
                if name == "write" and code == errno.ENOSPC and self.left == -1:
                    return real(args[0], bytes(args[1])[:40])  # type: ignore[call-overload]
                raise OSError(code, os.strerror(code))
            return real(*args)

        monkeypatch.setattr(f"collector.journal.os.{name}", failing)


@pytest.mark.parametrize(("name", "code"), [("write", errno.ENOSPC), ("write", errno.EIO), ("fdatasync", errno.EIO)])
@pytest.mark.parametrize("flush_ms", [0, 20])
async def test_a_disk_that_fails_acknowledges_nothing_more_and_everybody_who_waits_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int, flush_ms: int
) -> None:
    driver = Driver(tmp_path, T0, cutting=Cutting(flush_ms, 600_000_000))
    driver.register(simple_register("A"))
    await driver.start()
    await driver.emit([[ok_row("A", SIMPLE, T0, state=1)]])
    capture = driver.capture
    assert capture is not None
    acknowledged = capture._journal.seq
    with monkeypatch.context() as patch:
        FullDisk(patch, name, 0, code)
        first = [asyncio.create_task(capture.emit(a_batch(f"D{i}"))) for i in range(5)]
        await asyncio.sleep(0.001)
        second = [asyncio.create_task(capture.emit(a_batch(f"E{i}"))) for i in range(5)]
        told = await asyncio.wait_for(asyncio.gather(*first, *second, return_exceptions=True), 30)
        assert [type(x) for x in told] == [JournalError] * 10
        assert any("nothing of it is acknowledged" in str(x) for x in told)
    with pytest.raises(JournalError, match="takes nothing more"):  # the disk is well again: still not
        await capture.emit(a_batch())
    with pytest.raises(JournalError, match="takes nothing more"):
        await capture.identify(Identity("A", (("maker", "x"),), "live"))
    assert capture._journal.seq == acknowledged
    driver.crash()
    again = Capture(driver.folder, driver.clock, driver.cutting)
    await again.start("after the disk")
    await again.stop("end")
    found = [f for p in files(driver.folder.journal) for f in read_file(p)]
    assert [f.seq for f in found] == list(range(1, len(found) + 1))
    devices = [d for f in found for b in f.blocks for d in b.devices]
    # fdatasync failed: the bytes may be on disk all the same, but nobody was told so
    assert set(devices) in (
        {"A"},
        {"A", *(f"D{i}" for i in range(5))},
        {"A", *(f"D{i}" for i in range(5)), *(f"E{i}" for i in range(5))},
    )


async def test_a_file_that_cannot_be_begun_stops_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("collector.journal.fsync_folder", _no_space)
        with pytest.raises(JournalError, match="cannot begin a journal file"):
            journal.append_rows([a_batch()], T0)
    with pytest.raises(JournalError, match="takes nothing more"):
        journal.append_rows([a_batch()], T0)
    journal.close()
    assert opened(tmp_path).append_rows([a_batch()], T0) == 1


def _no_space(_path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_an_emitter_that_gives_up_does_not_take_its_rows_with_it(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0, cutting=Cutting(20, 600_000_000))
    await driver.start()
    assert driver.capture is not None
    leaving = asyncio.create_task(driver.capture.emit(a_batch("A")))
    staying = asyncio.create_task(driver.capture.emit(a_batch("B")))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    await driver.stop()
    found = [d for p in files(driver.folder.journal) for f in read_file(p) for b in f.blocks for d in b.devices]
    assert found == ["A", "B"]


async def test_rows_that_wait_when_the_collector_stops_are_written_before_the_stop(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0, cutting=Cutting(20, 600_000_000))
    await driver.start()
    assert driver.capture is not None
    waiting = [asyncio.create_task(driver.capture.emit(a_batch(d))) for d in "AB"]
    await asyncio.sleep(0)
    await driver.stop()
    await asyncio.gather(*waiting)
    frames = [f for p in files(driver.folder.journal) for f in read_file(p)]
    assert [(f.control or {}).get("kind", "rows") for f in frames] == ["start", "rows", "stop"]
