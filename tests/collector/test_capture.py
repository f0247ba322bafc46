"""The emit side: what shares a frame, who need not wait for it, and that one adapter's bad rows are nobody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from adapters.batch import Batch, BatchError, Outcome
from adapters.rows import Rows
from collector import journal
from collector.capture import Cutting
from tests.builders import FIRST_HOUR, HOUR_US, SIMPLE, Driver, simple_register

T0 = FIRST_HOUR * HOUR_US
SLOWLY = Cutting(flush_ms=600_000, file_us=600_000_000)  # a frame every ten minutes, for who waits for it
PATIENCE_S = 20


def poll(device: str, at_us: int = T0, speed: object = 2.5) -> Batch:
    """One poll as an adapter makes it."""
    rows = Rows(device, SIMPLE)
    rows.wide(at_us, at_us, [1, speed], [0, 0])  # type: ignore[list-item]  # what a faulty adapter would give
    batch = rows.batch()
    assert batch is not None
    return batch


def frames(driver: Driver) -> list[list[str]]:
    """The devices of each row frame, in order."""
    found = [f for p in journal.files(driver.folder.journal) for f in journal.read_file(p, tail=True)]
    return [[d for b in f.blocks for d in b.devices] for f in found if f.blocks]


async def started(tmp_path: Path, cutting: Cutting) -> Driver:
    driver = Driver(tmp_path, T0, cutting=cutting)
    driver.register(simple_register("A", "B", "C"))
    await driver.start()
    return driver


async def ended(driver: Driver) -> None:
    """The process is gone: nobody waits ten minutes for the last frame here."""
    assert driver.capture is not None
    if driver.capture._flushing:
        driver.capture._flushing.cancel()
        await asyncio.gather(driver.capture._flushing, return_exceptions=True)
    driver.crash()


async def test_batches_emitted_in_one_call_share_a_frame(tmp_path: Path) -> None:
    driver = await started(tmp_path, Cutting(0, 600_000_000))
    assert driver.capture is not None
    await driver.capture.emit(poll("A"), poll("B"), poll("C"))
    await driver.capture.emit()
    assert frames(driver) == [["A", "B", "C"]]
    assert (driver.capture.frames, driver.capture.rows) == (1, 3)
    await driver.stop()


async def test_who_is_urgent_is_acknowledged_early_and_takes_along_who_waits(tmp_path: Path) -> None:
    driver = await started(tmp_path, SLOWLY)
    assert driver.capture is not None
    waiting = asyncio.create_task(driver.capture.emit(poll("A")))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await driver.capture.emit(poll("B"), urgent=True)
        await waiting
    assert frames(driver) == [["A", "B"]]
    await ended(driver)


async def test_urgency_is_over_when_it_was_served(tmp_path: Path) -> None:
    driver = await started(tmp_path, SLOWLY)
    assert driver.capture is not None
    async with asyncio.timeout(PATIENCE_S):
        await driver.capture.emit(poll("A"), urgent=True)
    patient = asyncio.create_task(driver.capture.emit(poll("B")))
    await asyncio.sleep(0.2)
    assert not patient.done()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(driver.capture.emit(poll("C", T0 + i), urgent=True) for i in range(3)))
        await patient
    assert frames(driver) == [["A"], ["B", "C", "C", "C"]]
    await ended(driver)


async def test_rows_that_are_not_of_their_template_are_refused_and_the_others_of_the_frame_are_stored(
    tmp_path: Path,
) -> None:
    driver = await started(tmp_path, Cutting(0, 600_000_000))
    assert driver.capture is not None
    emits = [
        driver.capture.emit(poll("A")),
        driver.capture.emit(poll("B", speed=object())),
        driver.capture.emit(poll("C")),
    ]
    results = await asyncio.gather(*emits, return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], BatchError)
    assert "B: template" in str(results[1])
    assert results[2] is None
    assert frames(driver) == [["A", "C"]]
    with pytest.raises(BatchError):
        await driver.capture.emit(poll("B", speed="fast"))
    assert frames(driver) == [["A", "C"]]
    await driver.capture.emit(poll("B"))
    assert frames(driver) == [["A", "C"], ["B"]]
    await driver.stop()


def test_the_newest_row_is_known_without_making_columns() -> None:
    rows = Rows("A", SIMPLE)
    rows.wide(T0, T0 + 7, [1, 2.0], [0, 0])
    rows.empty(T0 + 20, Outcome.TIMEOUT)
    batch = rows.batch()
    assert batch is not None
    assert batch.newest == (Outcome.TIMEOUT, T0 + 20)
    assert batch.newest == (Outcome(int(batch.outcome[-1])), int(batch.source_us[-1] + batch.lag_us[-1]))
    assert rows.batch() is None
