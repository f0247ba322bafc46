"""The only module that asks what time it is.

`SystemClock` for a plant; `DrivenClock` for recorded or simulated days: it moves when told, never backwards, and wakes those who
sleep by it. Everything else gets a clock passed in. `clock_block` is what a seal records of the machine's own clock.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import itertools
import os
import time
from pathlib import Path

_TIME_ERROR = 5  # adjtimex(2) return value: not synchronised


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        """Wall seconds."""
        await asyncio.sleep(seconds)

    def block(self) -> dict[str, int | str]:
        """Wall, boot id, time since boot, kernel synchronisation state."""
        sync, max_error_us = _kernel_sync()
        return {
            "wall_ms": self.now_us() // 1000,
            "boot": _boot_id(),
            "mono_ms": time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            "sync": sync,
            "max_error_us": max_error_us,
        }


class DrivenClock:
    """A clock that is moved by hand: replay at the recorded time, history at once."""

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_us(self) -> int:
        """Microseconds since 1970 UTC, as last told."""
        return self._now_us

    def advance_to(self, us: int) -> None:
        """Move forwards (an earlier time is ignored) and wake whoever slept until then."""
        self._now_us = max(self._now_us, us)
        while self._sleepers and self._sleepers[0][0] <= self._now_us:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Until the clock has been moved that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_us + int(seconds * 1_000_000), next(self._order), future))
        await future

    def block(self) -> dict[str, int | str]:
        """The driven time; no boot and no kernel state, since none stands behind it."""
        return {"wall_ms": self._now_us // 1000, "boot": "driven", "mono_ms": 0, "sync": 0, "max_error_us": 0}


Clock = SystemClock | DrivenClock


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"unknown-{os.uname().nodename}"


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read here; the kernel fills 208 bytes on 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def _kernel_sync() -> tuple[int, int]:
    """(1 when the kernel says it is synchronised else 0, its maximum error in µs); (0, -1) where it cannot be asked."""
    try:
        timex = _Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return 0, -1
    return (0, -1) if state < 0 else (int(state != _TIME_ERROR), int(timex.maxerror))
