"""The broker's window: it sends so many unacknowledged messages and then waits for us. It does not say so; it can be seen.

In: when messages came and when acknowledgements went out. Out: whether the broker is the one that waits, so that a frame is urgent.
mosquitto speaking 3.1.1 stops at about 20 (`max_inflight_messages`), EMQX at 32: with a flush each second that would be 20 messages a
second, and its queue behind them overflows. The sign: silence, several are acknowledged, and at once half as many come, or more.
Believed for half a minute, then looked at anew. A plant whose machines all speak in the same instant can look alike: that costs a few
frames a second more.
"""

from __future__ import annotations

_SEVERAL = 8
_SILENCE_US = 150_000
_AT_ONCE_US = 100_000  # a slot of the grid, and the way there and back
_BELIEVED_US = 30_000_000


class Window:
    """What is seen of one connection."""

    def __init__(self) -> None:
        self._came_us = 0
        self._released: tuple[int, int] | None = None  # how many were acknowledged after a silence, and when
        self._again = 0
        self._until_us = 0

    def full(self, now_us: int) -> bool:
        """True while the broker is believed to wait for each of our acknowledgements."""
        return now_us < self._until_us

    def arrived(self, count: int, now_us: int) -> None:
        """So many new messages came."""
        self._came_us = now_us
        if self._released is None:
            return
        released, at_us = self._released
        self._again += count
        if now_us - at_us > _AT_ONCE_US:
            self._released = None
        elif 2 * self._again >= released:
            self._released, self._until_us = None, now_us + _BELIEVED_US

    def acknowledged(self, count: int, now_us: int) -> None:
        """So many were acknowledged."""
        silent = now_us - self._came_us >= _SILENCE_US
        self._released = (count, now_us) if silent and count >= _SEVERAL else None
        self._again = 0
