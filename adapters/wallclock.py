"""The machine's own clock, for tools that ask a device once and store nothing: there is nothing to replay."""

from __future__ import annotations

import asyncio
import time


class WallClock:
    """A `Clock` of real time."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        """Return after that much time."""
        await asyncio.sleep(max(0.0, seconds))
