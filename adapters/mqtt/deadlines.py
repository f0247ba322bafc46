"""Until when each device is expected to have spoken: one heap for all devices of a broker, not a timer per device.

In: a deadline per device, moved on with each message. Out: who is over it. Moving one on costs a dictionary entry; a device costs a heap
operation once an interval, however many messages it sends.
"""

from __future__ import annotations

import heapq


class Deadlines:
    """Devices and their deadlines in microseconds since 1970 UTC."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._entry: dict[str, int] = {}  # the one heap entry of each device that counts
        self._heap: list[tuple[int, str]] = []

    def expect(self, device: str, at_us: int) -> None:
        """This device has until then."""
        self._due[device] = at_us
        entry = self._entry.get(device)
        if entry is None or at_us < entry:
            self._push(device, at_us)

    def hasten(self, device: str, at_us: int) -> None:
        """This device has until then, or until its deadline when that is earlier."""
        self.expect(device, min(at_us, self._due.get(device, at_us)))

    def drop(self, device: str) -> None:
        """Nothing is expected of this device any more."""
        self._due.pop(device, None)
        self._entry.pop(device, None)

    def over(self, now_us: int) -> list[str]:
        """Who is over its deadline; each is told once, until it has a new one."""
        found = []
        while self._heap and self._heap[0][0] <= now_us:
            at_us, device = heapq.heappop(self._heap)
            if self._entry.get(device) != at_us:
                continue  # a later thought replaced this entry
            del self._entry[device]
            due = self._due[device]
            if due > now_us:
                self._push(device, due)
            else:
                del self._due[device]
                found.append(device)
        return found

    @property
    def first_us(self) -> int | None:
        """When `over` should be asked next."""
        return self._heap[0][0] if self._heap else None

    def _push(self, device: str, at_us: int) -> None:
        self._entry[device] = at_us
        heapq.heappush(self._heap, (at_us, device))
