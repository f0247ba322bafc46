"""One poll of a unit: ask for each part of its plan, learn from what is refused, make the row.

In: a `Unit` and the link to ask on. Out: one wide row; `ReadError` when nothing was answered (and then nothing is learned).
A refused block is halved, down to the one atom that the device refuses; that alone is set aside, with the exception's quality in each row,
and asked for again after 1, 2, 4 … 60 minutes (at most 5 where the device says that it failed, rather than that there is nothing), one a
poll. A block that stays silent while others answer is set aside in the same way. Points of one `block` key are one atom: all or none.
Busy (exception 6) and acknowledge (5) are asked again after short pauses, during which others have the line.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

import structlog

from adapters.batch import BAD_DECODING, BAD_DEVICE_FAILURE, BAD_NO_DATA, Batch, Outcome
from adapters.contract import ReadError
from adapters.modbus.link import ModbusLink
from adapters.modbus.part import LONGEST, Part, Rest
from adapters.modbus.plan import split
from adapters.modbus.unit import Unit
from adapters.modbus.wire import DeviceRefusal
from adapters.rows import BAD_TIMEOUT, Rows

log = structlog.get_logger(__name__)

BAD_NOT_SUPPORTED = 0x803D_0000
BAD_NOT_FOUND = 0x803E_0000
BAD_INVALID_ARGUMENT = 0x80AB_0000
_ILLEGAL_FUNCTION, _ADDRESS, _VALUE, _ACKNOWLEDGE, _BUSY = 1, 2, 3, 5, 6
_QUALITY = {_ILLEGAL_FUNCTION: BAD_NOT_SUPPORTED, _ADDRESS: BAD_NOT_FOUND, _VALUE: BAD_INVALID_ARGUMENT}
_BUSY_PAUSES_S = (0.05, 0.1, 0.2)
_SPLITS = 16  # further requests in one poll; the rest is learned in the next
_STRIKES = 3  # polls in which a block was silent while others answered
_REST_S, _REST_CAP_S, _FAILURE_CAP_S = 60.0, 3600.0, 300.0


async def poll(unit: Unit, link: ModbusLink) -> Batch:
    """One poll. Errors: `ReadError` when no part was answered."""
    unit.forget_if_long_away()
    unit.slowest_s = 0.0
    answers: list[bytes] = []
    failure: ReadError | None = None
    if link.at_once:
        answers, failure = await link.read_all(unit.questions, unit.timeout_s)
        unit.slowest_s = max(unit.slowest_s, link.took_s)
        if failure is None and unit.whole is not None and not unit.resting:
            batch = unit.whole.batch(answers, unit.clock.now_us())
            if batch is not None:
                return batch
    one = Poll(unit)
    await one.run(link, answers, failure)
    return one.row()


class Poll:
    """One poll of a unit: what is still to be asked, what was heard."""

    def __init__(self, unit: Unit) -> None:
        self._unit, self._now_us = unit, unit.clock.now_us()
        points = len(unit.source.points)
        self._values: list[object] = [None] * points
        self._bad = [BAD_NO_DATA] * points  # 0 where a value came
        self._answered = 0
        self._refusal: ReadError | None = None
        self._kept: list[Part] = []  # the plan of the next poll, in its order
        self._last: list[Part] = []  # and what comes after that
        self._set_aside: list[Rest] = []
        self._splits = _SPLITS
        self._retried = next((r for r in unit.resting if r.is_over(self._now_us)), None)
        self._tried = False
        self._over = False
        self._busy: ReadError | None = None  # the device said so at the part that comes next
        for rest in unit.resting:
            self._mark((rest.part,), rest.quality)

    async def run(self, link: ModbusLink, answers: list[bytes], failure: ReadError | None) -> None:
        """Ask for every part beyond those already answered and the one that failed. Errors: `ReadError` when none was answered."""
        unit = self._unit
        todo = [*reversed(unit.plan)]
        if self._retried is not None:
            todo.insert(0, self._retried.part)
        self._take_over(answers, failure, todo)
        while todo and not self._over:
            part = todo.pop()
            self._tried |= self._retrying(part)
            try:
                raw = await self._ask(link, part)
            except ReadError as err:
                self._unanswered(part, err, todo)
            else:
                self._take(part, raw)
        if not self._answered and self._refusal is not None:
            if self._refusal.outcome is Outcome.TIMEOUT and len(unit.plan) > 1:
                unit.take_plan([*unit.plan[1:], unit.plan[0]])  # perhaps only this block is never answered
            raise self._refusal
        parts = self._kept + self._last
        if len(parts) != len(unit.plan) or any(a is not b for a, b in zip(parts, unit.plan, strict=True)):
            unit.take_plan(parts)
        unit.resting = [r for r in unit.resting if r is not self._retried or not self._tried] + self._set_aside

    def row(self) -> Batch:
        """The poll's row; its time is the clock's when the last block had come."""
        now = self._unit.clock.now_us()
        source = self._unit.source
        typed = [
            (None, bad) if bad else (None, BAD_DECODING) if value is None else to_type(value)
            for to_type, value, bad in zip(source.casts, self._values, self._bad, strict=True)
        ]
        rows = Rows(source.device, source.template)
        rows.wide(now, now, [v for v, _ in typed], [q for _, q in typed])
        batch = rows.batch()
        if batch is None:
            raise AssertionError("a poll makes one row")
        return batch

    def _take_over(self, answers: list[bytes], failure: ReadError | None, todo: list[Part]) -> None:
        for raw in answers:
            self._take(todo.pop(), raw)
        if failure is not None and _is_busy(failure):
            self._busy = failure
        elif failure is not None:
            self._unanswered(todo.pop(), failure, todo)

    def _unanswered(self, part: Part, err: ReadError, todo: list[Part]) -> None:
        if isinstance(err, DeviceRefusal):
            self._over = not self._refused(part, err, todo)
        else:
            self._silent(part, err, todo)
            self._over = True

    async def _ask(self, link: ModbusLink, part: Part) -> bytes:
        """The part's bytes; a busy device is asked again after a pause, while others have the line."""
        busy, self._busy = self._busy, None
        for pause_s in _BUSY_PAUSES_S if busy is not None else (0.0, *_BUSY_PAUSES_S):
            if pause_s:
                await asyncio.sleep(pause_s)
            try:
                return await self._ask_once(link, part)
            except DeviceRefusal as err:
                if not _is_busy(err):
                    raise
                busy = err
        raise busy or AssertionError("a part is asked for at least once")

    async def _ask_once(self, link: ModbusLink, part: Part) -> bytes:
        unit = self._unit
        raw = await link.read(unit.number, part.block, part.question, unit.timeout_s)
        unit.slowest_s = max(unit.slowest_s, link.took_s)
        return raw

    def _take(self, part: Part, raw: bytes) -> None:
        self._answered += 1
        part.strikes = 0
        self._kept.append(part)
        for index, value in zip(part.indices, part.decode(raw), strict=True):
            self._values[index] = value
            self._bad[index] = 0

    def _refused(self, part: Part, err: DeviceRefusal, todo: list[Part]) -> bool:
        """Halve the part, set it aside, or keep it for the next poll; False when nothing more is to be asked now."""
        self._refusal = self._refusal or err
        quality = _QUALITY.get(err.code, BAD_DEVICE_FAILURE)
        if err.outcome is not Outcome.DEVICE_FAILURE or _is_busy(err):
            quality = BAD_TIMEOUT if err.outcome is Outcome.TIMEOUT else quality
            self._put_off(part, quality, todo)  # the gateway does not reach the unit, or it is busy: no more of it now
            return False
        about_range = err.code in (_ADDRESS, _VALUE)
        whole = len(part.block.atoms) == 1 or err.code == _ILLEGAL_FUNCTION
        if not whole and (about_range or self._answered) and self._splits:
            self._splits -= 1
            todo += [self._unit.part(b) for b in reversed(split(part.block, self._unit.limits))]
            return True
        self._mark((part,), quality)
        if whole and (about_range or err.code == _ILLEGAL_FUNCTION or self._answered):
            self._rest(part, quality, _REST_CAP_S if quality in _QUALITY.values() else _FAILURE_CAP_S)
        else:
            self._last.append(part)  # when others have answered before it, it is this part and not the device
        return True

    def _silent(self, part: Part, err: ReadError, todo: list[Part]) -> None:
        """No answer, or no connection: the parts not yet asked for go first next time."""
        self._refusal = self._refusal if self._answered else err
        self._put_off(part, BAD_TIMEOUT, todo)
        if self._answered and err.outcome is Outcome.TIMEOUT:
            part.strikes += 1
            if part.strikes >= _STRIKES or self._retrying(part):
                self._last.remove(part)
                self._rest(part, BAD_TIMEOUT, _REST_CAP_S)

    def _put_off(self, part: Part, quality: int, todo: list[Part]) -> None:
        waiting = [p for p in reversed(todo) if not self._retrying(p)]
        self._mark((part, *waiting), quality)
        self._kept = [*waiting, *self._kept]
        self._last.append(part)

    def _retrying(self, part: Part) -> bool:
        return self._retried is not None and self._retried.part is part

    def _rest(self, part: Part, quality: int, cap_s: float) -> None:
        """Ask for it again later, each time after twice as long."""
        before = self._retried if self._retrying(part) else None
        rest_s = min(cap_s, before.rest_s * 2 if before is not None else _REST_S)
        retry_us = self._now_us + int(rest_s * random.uniform(0.8, LONGEST) * 1_000_000)  # noqa: S311 - no secret
        self._set_aside.append(Rest(part, quality, cap_s, rest_s, retry_us))
        if before is None:
            points = [self._unit.source.points[i].name for i in part.indices]
            log.warning(
                "测点暂停采集 points set aside", device=self._unit.source.device, points=points, quality=hex(quality)
            )

    def _mark(self, parts: Iterable[Part], quality: int) -> None:
        for part in parts:
            for index in part.indices:
                self._bad[index] = quality


def _is_busy(err: ReadError) -> bool:
    return isinstance(err, DeviceRefusal) and err.code in (_ACKNOWLEDGE, _BUSY)
