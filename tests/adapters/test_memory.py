"""Memory over days, in seconds: a clock that runs a hundred times as fast, hundreds of polls, reconnections and rubbish in between."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc

import pytest

from adapters.batch import Batch, Outcome
from adapters.contract import Site
from adapters.registry import build
from tests.adapters.plant import PATIENCE_S, WIRES, MqttWire, Recorder, free_port, register_of
from tests.adapters.proxy import FaultProxy, proxied

FASTER = 100
POLLS = 90
GROWTH_BYTES = 150_000  # a leak of one kilobyte a poll


class FastClock:
    """A hundred seconds of this clock pass in one."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def now_us(self) -> int:
        return 1_795_305_600_000_000 + int((time.monotonic() - self._start) * 1_000_000 * FASTER)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / FASTER)


class Counter:
    """Counts rows and keeps none."""

    def __init__(self) -> None:
        self.good = 0

    async def emit(self, *batches: Batch, urgent: bool = False) -> None:
        self.good += sum(int((b.outcome <= Outcome.CONFIRMED).sum()) for b in batches)

    async def more(self, rows: int) -> None:
        wanted, deadline = self.good + rows, time.monotonic() + 4 * PATIENCE_S
        while self.good < wanted:
            assert time.monotonic() < deadline, f"expected {wanted} rows, found {self.good}"
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", sorted(WIRES))
async def test_theme_18_memory_does_not_grow_with_polls_and_reconnections(name: str) -> None:
    wire = WIRES[name]()
    if isinstance(wire, MqttWire):
        wire.pause_s = 0.01
    port = free_port()
    await wire.start(port)
    try:
        async with proxied(port) as proxy:
            register = register_of(wire.points(), [wire.device("m1", proxy.port)], wire.kind)
            (adapter,) = build(register, Site(FastClock()))
            counter = Counter()
            task = asyncio.create_task(adapter.run(counter.emit, Recorder().identify))
            try:
                await _stretch(counter, proxy)
                await _stretch(counter, proxy)
                tracemalloc.start()
                try:
                    await _stretch(counter, proxy)
                    before = _held()
                    for _ in range(3):
                        await _stretch(counter, proxy)
                    after = _held()
                finally:
                    tracemalloc.stop()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    finally:
        await wire.stop()
    assert after - before < GROWTH_BYTES


async def _stretch(counter: Counter, proxy: FaultProxy) -> None:
    """Some polls, a cut connection, and back."""
    await counter.more(POLLS // 3)
    await proxy.cut()
    proxy.said_up.clear()
    proxy.said_down.clear()
    await counter.more(POLLS // 3)


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
