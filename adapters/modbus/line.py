"""A serial line (RTU, at a port or through a transparent converter): silence between frames, and no late answer taken for another.

RTU has no transaction id: an answer that comes after its time limit looks like the answer to the next question. So after a silence the line
is left alone for a while and drained; what a unit still owes is remembered; and a unit that owes an answer is first asked a question whose
answer has another length. A unit answers in order: once that answer is here, the late one cannot come any more (pymodbus #538, #2777).
Bytes without a sound frame (noise, CRC) are asked for once more, and so is a silence of a unit that was not silent before: some slaves
(libmodbus) miss the request that follows one to a dead neighbour. Times: Modbus over Serial Line V1.02 §2.5.1.
"""

from __future__ import annotations

import asyncio

from adapters.batch import Outcome
from adapters.contract import Clock, ReadError
from adapters.modbus.frames import Question
from adapters.modbus.link import ModbusLink
from adapters.modbus.plan import Block
from adapters.modbus.wire import DeviceRefusal, Garbled, Wire, silence_s
from config.connections import Modbus

_DRAIN_S = 0.5  # at most; otherwise half the time limit
_DRAINS = 4  # and then whoever still talks is noise
_Shape = tuple[int, int | None]


class Line(ModbusLink):
    """A serial line and the units on it."""

    def __init__(self, connection: Modbus, clock: Clock) -> None:
        super().__init__(connection, clock)
        self._silence_s = silence_s(connection)
        self._is_port = connection.transport == "rtu"
        self._owed: dict[int, set[_Shape]] = {}
        self._silent: set[int] = set()  # units that were asked twice and did not answer

    async def read(self, unit: int, block: Block, question: Question, timeout_s: float) -> bytes:
        """The data bytes of a block; first, if need be, a question that brings the unit back in step. Errors: `ReadError`."""
        async with self._lock:
            await self._bring_in_step(unit, block, question, timeout_s)
            known_silent = unit in self._silent
            try:
                return await self._ask(question, timeout_s, silence_counts=known_silent)
            except DeviceRefusal:
                raise
            except ReadError as err:
                first_silence = err.outcome is Outcome.TIMEOUT and self.reached and not known_silent
                if not first_silence and not isinstance(err, Garbled):
                    raise
                if first_silence:
                    self._silent.add(unit)
            await self._bring_in_step(unit, block, question, timeout_s)
            return await self._ask(question, timeout_s)

    async def _bring_in_step(self, unit: int, block: Block, question: Question, timeout_s: float) -> None:
        """When the unit owes an answer as long as the one to come: have it answer something of another length first."""
        owed = self._owed.get(unit, set())
        if _shape(question) not in owed:
            return
        for count in range(1, block.spare + 1):
            other = block.question(unit, count)
            if _shape(other) not in owed:
                try:
                    await self._ask(other, timeout_s)
                except DeviceRefusal:  # this one's, or a late one: then this one's answer is still to come
                    self._owed[unit] = {_shape(other)}
                return
        await asyncio.sleep(timeout_s)  # no question can tell them apart: only time does
        self._owed.pop(unit)

    async def _ask(self, question: Question, timeout_s: float, *, silence_counts: bool = True) -> bytes:
        try:
            return await self._ask_and_note(question, timeout_s, silence_counts=silence_counts)
        except DeviceRefusal:
            if not self._owed.pop(question.unit, None):
                raise
        await self._drain(
            timeout_s
        )  # perhaps the late refusal of an earlier question: then this one's answer is on its way
        return await self._ask_and_note(question, timeout_s, silence_counts=silence_counts)

    async def _ask_and_note(self, question: Question, timeout_s: float, *, silence_counts: bool) -> bytes:
        """Ask, and remember what the unit still owes when it did not answer."""
        try:
            data = await super()._ask(question, timeout_s, silence_counts=silence_counts)
        except DeviceRefusal:
            raise
        except ReadError:
            if self.reached:
                self._owed.setdefault(question.unit, set()).add(_shape(question))
                await self._drain(timeout_s)
            raise
        except asyncio.CancelledError:
            self._owed.setdefault(question.unit, set()).add(_shape(question))
            raise
        self._owed.pop(question.unit, None)
        self._silent.discard(question.unit)
        return data

    def _give_up(self, err: ReadError) -> None:
        """A port stays open when nobody answers; a converter may have rebooted."""
        if not self._is_port:
            super()._give_up(err)
            return
        self._silences = 0
        self._why = err
        self.backoff.failed(absent=True)
        self.down.set()

    async def _drain(self, timeout_s: float) -> None:
        """Leave the line alone until a late answer would have come, and whoever talks has ended."""
        for _ in range(_DRAINS):
            await asyncio.sleep(min(_DRAIN_S, timeout_s / 2))
            wire = self._wire
            if wire is None or wire.loop.time() - wire.silent_since >= self._silence_s:
                return

    async def _wait_until_ready(self, wire: Wire) -> None:
        ready_s = max(self._ready_s, wire.silent_since + self._silence_s)
        if (wait_s := ready_s - wire.loop.time()) > 0:
            await asyncio.sleep(wait_s)


def _shape(question: Question) -> _Shape:
    return question.function, question.size
