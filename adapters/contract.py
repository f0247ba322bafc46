"""The adapter contract: what the collector asks of a protocol, and nothing else.

`async run(emit)` polls or listens until cancelled. `await emit(*batches)` returns after the frame's fdatasync: that is what
"acknowledged" means everywhere (an MQTT message is acknowledged to the broker only then).
One device's failure is a batch with its outcome; `run` never raises because of a machine, only because of a bug.
An adapter gets the clock from outside and asks it, never `time`: a driven clock replays recorded days.

Errors:
    ReadError                 a read that failed; carries the Outcome to record and the words for the log
Boundaries translate: nothing above adapters/ ever sees a pymodbus, asyncua or paho name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from adapters.batch import Batch, Outcome

if TYPE_CHECKING:
    from adapters.template import Source


class Emit(Protocol):
    """What the collector gives an adapter to hand over rows with."""

    def __call__(self, *batches: Batch, urgent: bool = False) -> Awaitable[None]:
        """Awaited, it returns once all of them are on disk, in one frame: one call for what came together, not a task per batch.

        Live, a frame is written each second (`flush_ms`). `urgent`: the peer sends nothing more until this is acknowledged, so the frame is
        written within a few hundredths of a second, with whatever else is waiting. MQTT at QoS 1 and 2: mosquitto has 20 messages in
        flight and does not say so; urgent once about half of that is unacknowledged, or 20 messages a second are all there will be.
        """
        ...


class Clock(Protocol):
    """The time, as the collector gives it (`collector/clock.py`)."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once that much of *this clock's* time has passed."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the peer says it is: OPC UA BuildInfo and ApplicationUri, Modbus FC43/14 objects, an MQTT status message.

    `origin` is what the peer announces of itself: "simulated" or "replay" when it says so, else "live".
    """

    device: str
    facts: tuple[tuple[str, str], ...]  # sorted (name, value)
    origin: str


Identify = Callable[[Identity], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device's contact is now, for pages and logs; never evidence. Told when it changes."""

    device: str
    outcome: Outcome
    words: str  # why, empty when it answers
    since_us: int


OnState = Callable[[DeviceState], None]


@dataclass(frozen=True, slots=True)
class Site:
    """What an adapter finds around it: the clock, who wants to know of states, and its places in the data folder.

    keys: certificates and private keys (`keys/` of the data folder). state: dead letters and what was learned of a device
    (`state/`): disposable, never evidence. Both None without a data folder (`plantproof test --register FILE`).
    """

    clock: Clock
    on_state: OnState | None = None
    keys: Path | None = None
    state: Path | None = None


class Adapter(Protocol):
    """One connection and the devices behind it."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices this adapter answers for."""
        ...

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Collect until cancelled. On cancellation close the connection and return."""
        ...

    async def apply(self, sources: Sequence[Source]) -> None:
        """Take over the devices of a newer register, of the same connection, while running.

        Devices whose `Source` is equal are not touched: no reconnection, no gap, no value twice. Others are added, dropped, begun anew.
        """
        ...

    async def read_once(self) -> list[Batch]:
        """One round, nothing stored (`plantproof test`)."""
        ...


class ReadError(Exception):
    """A read that failed, with the outcome to record."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
