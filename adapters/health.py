"""What is known of each device's contact: once-down and once-back log lines, the state for pages, and when to try again.

In: the outcome of every contact. Out: one log line when a device goes down or its reason changes, one when it is back; `OnState`
for the pages. `Backoff` says when to try again: each second where nobody was at home (a refused port costs nobody anything, and values
are to be fresh within 2 s of a server's return), else 1, 2, 4 … 60 s with jitter, so that a weak PLC that answers and fails is not
stormed. Every interval still records its row, whether or not a connection was tried in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from adapters.batch import Outcome
from adapters.contract import Clock, DeviceState, OnState

BACKOFF_FIRST_S = 1.0
BACKOFF_CAP_S = 60.0
_JITTER = (0.5, 0.9)  # below 1, so that a device polled each minute is tried at each poll


class Backoff:
    """When to try again after failures: each second while nobody is at home, else 1, 2, 4 … 60 s; times a random part."""

    def __init__(self, clock: Clock, jitter: Callable[[float, float], float] = random.uniform) -> None:
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._retry_us = 0
        self._wait_us = 0

    def failed(self, *, absent: bool = False) -> None:
        """Set the next attempt. `absent`: nothing was reached (refused, no route, no answer to a connect), so nothing was loaded."""
        wait_s = BACKOFF_FIRST_S if absent else min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2 ** min(self._failures, 16))
        self._failures += not absent
        self._wait_us = int(wait_s * self._jitter(*_JITTER) * 1_000_000)
        self._retry_us = self._clock.now_us() + self._wait_us

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0
        self._retry_us = 0

    @property
    def remaining_s(self) -> float:
        """Seconds of the clock until the next attempt may be made; 0 when it may be made now."""
        remaining_us = self._retry_us - self._clock.now_us()
        return remaining_us / 1_000_000 if 0 < remaining_us <= self._wait_us else 0.0  # more: the clock was set back


@dataclass(frozen=True, slots=True)
class Failure:
    """The outcome that a device has now, and the words for it."""

    outcome: Outcome
    words: str


class Health:
    """The contact with one device."""

    def __init__(self, device: str, clock: Clock, log: FilteringBoundLogger, on_state: OnState | None) -> None:
        self._device = device
        self._clock = clock
        self._log = log
        self._on_state = on_state
        self._outcome: Outcome | None = None
        self._since_us = 0
        self.failure: Failure | None = None

    def contact(self) -> None:
        """The device answered."""
        if self._outcome is Outcome.OK:
            return
        if self.failure is not None:
            down_s = (self._clock.now_us() - self._since_us) // 1_000_000
            self._log.info("设备恢复 device is back", device=self._device, down_s=down_s)
        self.failure = None
        self._change(Outcome.OK, "")

    def failed(self, outcome: Outcome, words: str) -> None:
        """The device did not answer, or said that it cannot."""
        changed = self._outcome is not outcome
        self.failure = Failure(outcome, words)
        if changed:
            self._log.warning("设备失联 device is down", device=self._device, outcome=outcome.name.lower(), why=words)
            self._change(outcome, words)

    def _change(self, outcome: Outcome, words: str) -> None:
        if self._outcome in (None, Outcome.OK) or outcome is Outcome.OK:
            self._since_us = self._clock.now_us()
        self._outcome = outcome
        if self._on_state is not None:
            self._on_state(DeviceState(self._device, outcome, words, self._since_us))
