"""What a peer sends never stops the sealing, and a fault of one adapter never stops another's device."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Identity
from collector import run
from collector.audit import audit
from collector.journal import JournalError
from collector.ledger import log
from collector.maintain import maintain
from collector.run import Collector
from config.settings import StoreTable
from tests.builders import FIRST_HOUR, HOUR_US, Driver, drive_hours, simple_register

T0 = FIRST_HOUR * HOUR_US


async def test_a_peer_that_tells_too_much_of_itself_is_cut_short_and_sealed(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    await driver.start()
    assert driver.capture is not None
    facts = tuple((f"f{i:05d}", "值" * 200) for i in range(3000))
    await driver.capture.identify(Identity("A", facts, "simulated"))
    await driver.capture.identify(Identity("A", facts, "simulated"))
    await drive_hours(driver, "A", 2)
    await driver.stop()
    driver.clock.advance_to(T0 + 2 * HOUR_US + 1)
    await driver.start()
    await driver.stop()
    maintain(driver.folder)
    (leaf,) = log.read_of(driver.folder.ledger, "identity")
    kept = leaf.body["facts"]
    assert int(kept["facts_left_out"]) == 3000 - (len(kept) - 1)
    assert len(leaf.line()) < 65_535
    assert audit(driver.folder.path).sound


class _Faulty:
    """Fails as told, then collects for ever."""

    devices = ("A",)

    def __init__(self, *faults: Exception) -> None:
        self.faults, self.collecting = list(faults), asyncio.Event()

    async def run(self, *_: Any) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.collecting.set()
        await asyncio.sleep(3600)


async def test_an_adapter_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "RETRY_S", 0.0)
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    adapter = _Faulty(OverflowError("cannot convert float infinity to integer"), KeyError("x"))
    task = asyncio.create_task(Collector(driver.folder, StoreTable())._kept(adapter))  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        await adapter.collecting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_store_that_cannot_write_ends_the_run(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    with pytest.raises(JournalError, match="disk full"):
        await Collector(driver.folder, StoreTable())._kept(_Faulty(JournalError("disk full")))  # type: ignore[arg-type]
