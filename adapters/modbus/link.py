"""The connection to a Modbus device or gateway: opened when needed, asked by one caller at a time, given up when nobody answers on it.

In: a connection of the register and the clock. Out: data bytes, or `ReadError`. `down` is set while there is no connection that was wanted:
the adapter then knocks (adapter.py). Nobody at home (refused, unreachable, mute, closed before any answer) is tried again each second;
another protocol on that port after 1, 2, 4 … 60 s. Between an answer and the next question `pause_ms` pass, after connecting
`connect_pause_ms`: some gateways need them. A gateway that rebooted leaves a half-open connection behind (libmodbus #735): after one
silence of the only unit, or two in a row of several, the connection is made anew. Serial lines are `line.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from adapters.batch import Outcome
from adapters.contract import Clock, ReadError
from adapters.health import Backoff
from adapters.modbus.frames import Question
from adapters.modbus.plan import Block
from adapters.modbus.wire import DeviceRefusal, Wire
from config.connections import Modbus

_CONNECT_S = (
    1.0,
    2.0,
)  # a connection that takes longer is tried anew: the system repeats its own attempts ever more rarely
_ABSENT = (Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.DISCONNECTED)


class ModbusLink:
    """The connection. `units` says how many devices share it; `down` is cleared by an answer, or by whoever knocks."""

    def __init__(self, connection: Modbus, clock: Clock) -> None:
        self.where = f"{connection.host}:{connection.port}" if connection.transport != "rtu" else connection.serial
        self.backoff = Backoff(clock)
        self.down = asyncio.Event()
        self.units = 1
        self.took_s = 0.0  # for the last answer
        self.reached = False  # the last question was sent: its failure is not the connection's
        self._connection = connection
        self._wire: Wire | None = None
        self._lock = asyncio.Lock()
        self._why: ReadError | None = None
        self._transaction = 0  # the last one, on whatever connection
        self._silences = 0
        self._connect_s = min(max(connection.timeout_ms / 1000, _CONNECT_S[0]), _CONNECT_S[1])
        self._pause_s = connection.pause_ms / 1000
        self.at_once = connection.transport == "tcp" and not connection.pause_ms
        self._waits = bool(connection.pause_ms or connection.connect_pause_ms)
        self._ready_s = 0.0  # of the event loop's time

    @property
    def connected(self) -> bool:
        """True while the connection is open."""
        return self._wire is not None and self._wire.is_active()

    async def read(self, unit: int, block: Block, question: Question, timeout_s: float) -> bytes:  # noqa: ARG002 - a line needs them
        """The data bytes of a block, `question` being the block's own. Errors: `ReadError`."""
        return await self.ask(question, timeout_s)

    async def read_all(self, questions: Sequence[Question], timeout_s: float) -> tuple[list[bytes], ReadError | None]:
        """Answers of one unit, one after the other without a pause between, and why they end before the last. Where `at_once`."""
        async with self._lock:
            try:
                return await self._ask_all(questions, timeout_s)
            except ReadError as err:
                return [], err

    @property
    def proven(self) -> bool:
        """True when this very connection has answered something."""
        return self._wire is not None and self._wire.is_active() and self._wire.answered

    @property
    def busy(self) -> bool:
        """True while somebody asks."""
        return self._lock.locked()

    def try_now(self) -> None:
        """The next use may connect at once, whatever happened before."""
        self._why = None
        self.backoff.succeeded()

    async def ask(self, question: Question, timeout_s: float, *, silence_counts: bool = True) -> bytes:
        """The answer's data bytes. `silence_counts` False: a peer may ignore this question. Errors: `ReadError`."""
        async with self._lock:
            return await self._ask(question, timeout_s, silence_counts=silence_counts)

    async def open(self) -> None:
        """Connect unless connected; not before the backoff is over. Errors: `ReadError`."""
        async with self._lock:
            await self._opened()

    async def close(self) -> None:
        """Close the connection."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.end()
            await asyncio.sleep(0)  # the event loop closes the socket in its next turn

    async def _ask(self, question: Question, timeout_s: float, *, silence_counts: bool = True) -> bytes:
        answers, failure = await self._ask_all((question,), timeout_s, silence_counts=silence_counts)
        if failure is not None:
            raise failure
        return answers[0]

    async def _ask_all(
        self, questions: Sequence[Question], timeout_s: float, *, silence_counts: bool = True
    ) -> tuple[list[bytes], ReadError | None]:
        wire = self._wire
        if wire is None or not wire.is_active():
            wire = await self._opened()
        await self._wait_until_ready(wire)
        self.reached = True
        try:
            answers, failure = await wire.ask(questions, timeout_s)
        finally:
            self._transaction = wire.transaction
            self._ready_s = wire.loop.time() + self._pause_s
        self.took_s = wire.slowest_s
        if answers or failure is None or isinstance(failure, DeviceRefusal):
            self._good()
        if failure is not None and failure.outcome is Outcome.TIMEOUT and not isinstance(failure, DeviceRefusal):
            if silence_counts and not answers:
                self._mute(failure)
        elif failure is not None and failure.outcome is Outcome.PROTOCOL and wire.is_active():
            self.down.clear()  # somebody is there, and says what it should not: the unit's own backoff
        return answers, failure

    async def _wait_until_ready(self, wire: Wire) -> None:
        if self._waits and (wait_s := self._ready_s - wire.loop.time()) > 0:
            await asyncio.sleep(wait_s)

    def _good(self) -> None:
        self._silences = 0
        if self._why is not None:
            self._why = None
            self.backoff.succeeded()
            self.down.clear()

    def _mute(self, err: ReadError) -> None:
        self._silences += 1
        if self._silences >= min(self.units, 2):
            self._give_up(err)

    def _give_up(self, err: ReadError) -> None:
        """Close a connection on which nobody answers."""
        self._silences = 0
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.end()
            self._lost(err)

    def _lost(self, err: ReadError) -> None:
        """The connection is over; what that says about the next attempt."""
        answered = self._wire is not None and self._wire.answered
        self._wire = None
        self._why = err
        if err.outcome not in _ABSENT:
            self.backoff.failed()
        elif not answered:
            self.backoff.failed(absent=True)
        self.down.set()

    async def _opened(self) -> Wire:
        if self._wire is not None and self._wire.is_active():
            return self._wire
        self.reached = False
        if self._why is not None and self.backoff.remaining_s > 0:
            raise ReadError(self._why.outcome, str(self._why))
        wire = Wire(self._connection, self.where, self._lost, self._transaction)
        try:
            await wire.open(self._connect_s)
            if not wire.is_active():
                raise ReadError(Outcome.DISCONNECTED, f"{self.where}: 一连上就被断开 (closed as soon as opened)")
        except ReadError as err:
            self._why = err
            self.backoff.failed(absent=err.outcome in _ABSENT)
            self.down.set()
            raise
        self._wire = wire
        self._ready_s = wire.loop.time() + self._connection.connect_pause_ms / 1000
        return wire
