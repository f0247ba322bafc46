"""When each device is due: once at the start, then at whole multiples of its interval since 1970 UTC.

In: a clock and devices with intervals. Out: the devices due now, after sleeping until there are some.
Whole multiples put every device of an interval on one shared tick: one wake-up serves the fleet (research/protocols.md §1.2).
Devices out of service are passed over. All time is the clock's: a driven clock replays recorded days.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.contract import Clock
from adapters.template import Source

_IDLE_S = 3600.0


class Schedule:
    """The due times of the devices of one connection."""

    def __init__(self, clock: Clock, sources: Sequence[Source], *, at_once: bool = True) -> None:
        self._clock = clock
        now = clock.now_us()
        self._due = {s.device: now if at_once else next_multiple(now, s.interval_s) for s in sources}
        self._sources = tuple(sources)

    async def next(self) -> list[Source]:
        """Sleep until a device is due; return those that are, in the register's order."""
        while True:
            now = self._clock.now_us()
            due = [s for s in self._sources if self._due[s.device] <= now]
            for source in due:  # a tenth of an interval away at least: the first poll is at once, not on the tick
                self._due[source.device] = next_multiple(now + source.interval_s * 100_000, source.interval_s)
            serving = [s for s in due if s.in_service(now)]
            if serving:
                return serving
            if not due:
                first = min(self._due.values(), default=now + int(_IDLE_S * 1_000_000))
                await self._clock.sleep((first - now) / 1_000_000)


def next_multiple(now_us: int, interval_s: int) -> int:
    """The first whole multiple of the interval at or after `now_us`."""
    interval_us = interval_s * 1_000_000
    return -(-now_us // interval_us) * interval_us
