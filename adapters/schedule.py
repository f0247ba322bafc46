"""When each device is due: once at the start, then at its own slot after each whole multiple of its interval since 1970 UTC.

In: a clock and devices with intervals. Out: the devices due now, after sleeping until there are some.
A slot is one of twenty, 50 ms apart, chosen by the device's id: one wake-up serves all devices of a slot, and a plant of 500 machines
does not ask them all in the same instant (research/protocols.md §1.2). Devices out of service are passed over.
All time is the clock's: a driven clock replays recorded days. A clock that was set back moves the due times with it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence

from adapters.contract import Clock
from adapters.template import Source

SLOTS = 20
SLOT_US = 50_000
_IDLE_S = 3600.0


class Schedule:
    """The due times of the devices of one connection. `slot_key`: devices of one key share a slot, such as those read in one request."""

    def __init__(
        self, clock: Clock, sources: Sequence[Source], slot_key: Callable[[Source], object] = lambda s: s.device
    ) -> None:
        self._clock = clock
        self._slot_key = slot_key
        self._sources: dict[str, Source] = {}
        self._due: dict[str, int] = {}
        self._seen_us = 0
        self._sleep: asyncio.Task[None] | None = None
        self.apply(sources)

    def apply(self, sources: Sequence[Source]) -> None:
        """Take over a newer list: who is new or changed is due at once, who is gone no longer, the others keep their time."""
        now = self._clock.now_us()
        kept = {s.device: self._due[s.device] for s in sources if self._sources.get(s.device) == s}
        self._sources = {s.device: s for s in sources}
        self._due = {s.device: kept.get(s.device, now) for s in sources}
        if self._sleep is not None:
            self._sleep.cancel()

    async def next(self) -> list[Source]:
        """Sleep until a device is due; return those that are, in the register's order."""
        while True:
            now = self._clock.now_us()
            self._follow(now)
            due = [s for s in self._sources.values() if self._due[s.device] <= now]
            for source in due:  # a tenth of an interval away at least: the first poll is at once, not in the slot
                self._due[source.device] = self._next_due(source, now + source.interval_s * 100_000)
            serving = [s for s in due if s.in_service(now)]
            if serving:
                return serving
            if not due:
                first = min(self._due.values(), default=now + int(_IDLE_S * 1_000_000))
                await self._sleep_until(first)

    def _follow(self, now_us: int) -> None:
        """A clock that was set back (no battery, then NTP) would leave everybody waiting until it is that time again."""
        if now_us < self._seen_us:
            self._due = {d: min(self._due[d], self._next_due(s, now_us)) for d, s in self._sources.items()}
        self._seen_us = now_us

    async def _sleep_until(self, at_us: int) -> None:
        async def sleep() -> None:  # begins a turn of the loop later: a driven clock may have moved by then
            await self._clock.sleep((at_us - self._clock.now_us()) / 1_000_000)

        def wake(_: object) -> None:
            if not woken.done():
                woken.set_result(None)

        self._sleep = asyncio.create_task(sleep())
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleep.add_done_callback(wake)
        try:
            await woken  # `apply` cancels the sleep, not the sleeper (as asyncio.wait, at a third of its cost)
        finally:
            self._sleep.cancel()
            self._sleep = None

    def _next_due(self, source: Source, now_us: int) -> int:
        """The first time of the source's slot at or after `now_us`."""
        interval_us = source.interval_s * 1_000_000
        slot_us = zlib.crc32(str(self._slot_key(source)).encode()) % SLOTS * SLOT_US
        return slot_us - (slot_us - now_us) // interval_us * interval_us


def next_multiple(now_us: int, interval_s: int) -> int:
    """The first whole multiple of the interval at or after `now_us`."""
    interval_us = interval_s * 1_000_000
    return -(-now_us // interval_us) * interval_us
