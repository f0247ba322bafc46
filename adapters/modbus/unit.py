"""One unit (站号) of a connection: its requests, what it has refused so far, its health, its patience.

In: a `Source`. Out: the state that polls (`poll.py`) work on and the adapter decides by.
What was learned (`plan`, `resting`) is kept through disconnections, since a cable pulled or a restart changes no register map and learning
costs refusals; after an hour without contact, or when the unit names itself differently, it may be another device: learning begins anew.
Patience: a unit that shares its connection is waited for a quarter of the shortest interval, so that one that just died delays nobody; when
it stays silent, half of it, ever more rarely; and on a connection that it has for itself each time twice as long, up to its `timeout_ms`: a
slow one is found, and stays there.
"""

from __future__ import annotations

from typing import cast

import structlog

from adapters.batch import Batch, Outcome
from adapters.contract import Clock, OnState, ReadError
from adapters.health import Backoff, Health
from adapters.modbus.decode import compile_decode
from adapters.modbus.frames import Question
from adapters.modbus.part import Part, Rest
from adapters.modbus.plan import Block, limits_of, plan
from adapters.modbus.whole import Whole, whole_of
from adapters.rows import failed_batch
from adapters.template import Source
from config.connections import Modbus

log = structlog.get_logger(__name__)

_KEEP_US = 3600 * 1_000_000
_SLACK = 3.0  # of the longest answer seen


class Unit:
    """A unit, its plan, its health, its next attempt."""

    def __init__(self, source: Source, clock: Clock, on_state: OnState | None) -> None:
        connection = cast(Modbus, source.connection)
        self.source = source
        self.number = connection.unit
        self.clock = clock
        self.limits = limits_of(connection)
        self.health = Health(source.device, clock, log, on_state)
        self.backoff = Backoff(clock)
        self.timeout_s = self._most_s = self._share_s = connection.timeout_ms / 1000
        self.slowest_s = 0.0  # answer of the last poll
        self.reading = False
        self.knocked = self.missed = False  # read without being due; a poll fell due meanwhile
        self.started_us = 0
        self.storing = 0  # rows handed over and not yet on disk
        self.aside = False  # asked on the second connection
        self.contact_us = 0
        self.facts: tuple[tuple[str, str], ...] = ()
        self.asked = False  # who it is
        self.ignores_identity = False
        self.plan: list[Part] = []
        self.questions: list[Question] = []  # of the plan
        self.whole: Whole | None = None  # makes the row of a poll in which nothing is amiss
        self.resting: list[Rest] = []
        self.learn_anew()

    def share(self, most_s: float) -> None:
        """The connection is shared: wait for an answer this long at most, unless the unit was found to need longer."""
        share_s = min(self._most_s, most_s)
        if share_s != self._share_s:  # else what was found of its patience stays
            self._share_s = self.timeout_s = share_s

    def limit(self, *, alone: bool) -> None:
        """How long at most the next answer is waited for: nobody else waits, or others do."""
        self.timeout_s = min(self.timeout_s, self._most_s if alone else 2 * self._share_s)

    @property
    def is_slow(self) -> bool:
        """It answers, and later than others should have to wait."""
        return self.slowest_s > self._share_s

    def learn_anew(self) -> None:
        """Forget what the unit refused."""
        self.resting = []
        self.take_plan([self.part(b) for b in plan(self.source.points, self.limits)])

    def take_plan(self, parts: list[Part]) -> None:
        """From now on ask for these."""
        self.plan = parts
        self.questions = [part.question for part in parts]
        self.whole = whole_of(parts, self.source)

    def forget_if_long_away(self) -> None:
        """After an hour without contact it may be another device."""
        if self.contact_us and self.clock.now_us() - self.contact_us > _KEEP_US:
            self.learn_anew()

    def part(self, block: Block) -> Part:
        """A request for a block."""
        indices = tuple(s.index for s in block.spans)
        return Part(block, block.question(self.number), compile_decode(block, self.source.points), indices)

    def failed(self, err: ReadError, *, back_off: bool) -> None:
        """Note the failure; who it is is asked again, since it may come back as another."""
        self.health.failed(err.outcome, str(err))
        if back_off:
            self.backoff.failed()
        if err.outcome is Outcome.TIMEOUT:
            self.timeout_s = min(self._most_s, 2 * self.timeout_s)
        self.asked = self.ignores_identity

    def succeeded(self) -> None:
        """Note the contact, and how long an answer takes."""
        self.contact_us = self.clock.now_us()
        self.health.contact()
        self.backoff.succeeded()
        if self.timeout_s > self._share_s:
            self.timeout_s = min(self._most_s, max(self._share_s, _SLACK * self.slowest_s))

    def failure(self) -> Batch:
        """The row of an interval in which nothing new was learned."""
        known = self.health.failure
        outcome = known.outcome if known is not None else Outcome.TIMEOUT
        return failed_batch(self.source.device, self.source.template, self.clock.now_us(), outcome)
