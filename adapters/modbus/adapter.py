"""Modbus (TCP, RTU, RTU over TCP; Application Protocol V1.1b3): the units of one connection, polled into wide rows.

In: the sources of one connection. Out: one wide row per poll and device; a failed poll is a row with its outcome.
Values have no stamp of their own in Modbus: the source time is the collector's clock when the last block arrived.
One unit never slows another: who is silent is asked ever more rarely, and behind a TCP gateway on a second connection aside, once that
has proved that it is served (some gateways take one client only, and leave the second in the queue or drop the first).
When nobody answers on the connection any more it is knocked at each second, whatever the intervals, by the unit that answered last; when it
answers, all are polled at once. Identity is asked once per contact, never required. Only reads are ever sent (`frames.py`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import cast

import structlog

from adapters.batch import Batch, Outcome
from adapters.contract import Emit, Identify, Identity, ReadError, Site
from adapters.modbus.identity import facts_of, origin_of
from adapters.modbus.line import Line
from adapters.modbus.link import ModbusLink
from adapters.modbus.poll import poll
from adapters.modbus.unit import Unit
from adapters.modbus.wire import DeviceRefusal
from adapters.schedule import Schedule
from adapters.tasks import together
from adapters.template import Source
from config.connections import Modbus

log = structlog.get_logger(__name__)

_SHARE_OF_INTERVAL = 0.25
_KNOCK_S = 0.5  # between two knocks, at least
_CANARIES = 2  # silent units asked in one knock
_ALONE_US = 600 * 1_000_000  # before a second connection is tried again where it did not work
_LINGER_US = 5_000_000  # of a second connection that nobody needs
_MOST_STORING = 120  # rows of one device that wait for the disk; beyond that it is not asked
_OVERRUN_US = 900_000  # of each second of the interval: the poll of the slot before is still under way


class ModbusAdapter:
    """One connection, its units and their schedule."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        connection = cast(Modbus, sources[0].connection)
        self._clock, self._on_state = site.clock, site.on_state
        self._is_tcp = connection.transport == "tcp"
        self._link: ModbusLink = (ModbusLink if self._is_tcp else Line)(connection, site.clock)
        self._second = ModbusLink(connection, site.clock)  # on a serial line never opened
        self._alone_until_us = 0
        self._second_used_us = 0
        self._proving = asyncio.Lock()
        self._units: dict[str, Unit] = {}
        self._take_over(sources)
        self._schedule = Schedule(site.clock, sources)

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices behind this connection."""
        return tuple(self._units)

    async def apply(self, sources: Sequence[Source]) -> None:
        """Take over a newer list. A poll of a device that is gone or another now ends without a row."""
        self._take_over(sources)
        self._schedule.apply(sources)

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Poll until cancelled."""
        try:
            async with together() as tasks:
                tasks.create_task(self._knock(tasks, emit, identify))
                while True:
                    for source in await self._schedule.next():
                        self._due(self._units[source.device], tasks, emit, identify)
        finally:
            await self._close()

    async def read_once(self) -> list[Batch]:
        """One poll of every unit, nothing stored."""
        try:
            return [(await self._read(unit))[0] for unit in self._units.values()]
        finally:
            await self._close()

    def _take_over(self, sources: Sequence[Source]) -> None:
        known = self._units
        self._units = {}
        for source in sources:
            unit = known.get(source.device)
            same = unit is not None and unit.source == source
            self._units[source.device] = (
                unit if unit is not None and same else Unit(source, self._clock, self._on_state)
            )
        self._link.units = len(sources)
        shared = len(sources) > 1
        most_s = _SHARE_OF_INTERVAL * min(s.interval_s for s in sources) if shared else math.inf
        for unit in self._units.values():
            unit.share(most_s)

    async def _close(self) -> None:
        await self._link.close()
        await self._second.close()

    def _due(self, unit: Unit, tasks: asyncio.TaskGroup, emit: Emit, identify: Identify) -> None:
        now = self._clock.now_us()
        if unit.storing >= _MOST_STORING:
            log.warning("存储慢于采集间隔 the store is slower than the interval", device=unit.source.device)
        elif not unit.reading:
            tasks.create_task(self._poll(unit, emit, identify))
        elif now - unit.started_us >= unit.source.interval_s * _OVERRUN_US:
            tasks.create_task(self._store(unit, unit.failure(), emit))
        elif unit.knocked:
            unit.missed = True

    async def _poll(self, unit: Unit, emit: Emit, identify: Identify) -> None:
        """A poll that is due: a row in any case."""
        batch, _ = await self._read_and_identify(unit, identify)
        await self._store(unit, batch, emit)

    async def _read_and_identify(self, unit: Unit, identify: Identify, *, due: bool = True) -> tuple[Batch, bool]:
        unit.reading, unit.started_us = True, self._clock.now_us()
        unit.knocked, unit.missed = not due, False
        try:
            batch, answered = await self._read(unit, due=due)
            if answered and not unit.asked:
                await self._identity(unit, identify)
        finally:
            unit.reading = False
        return batch, answered

    async def _store(self, unit: Unit, batch: Batch, emit: Emit) -> None:
        if self._units.get(unit.source.device) is not unit:
            return  # a newer register knows it otherwise
        unit.storing += 1
        try:
            await emit(batch)
        finally:
            unit.storing -= 1

    async def _read(self, unit: Unit, *, due: bool = True) -> tuple[Batch, bool]:
        """A poll's row, and whether the unit answered. `due` False: a knock, which does not wait for the unit's backoff."""
        if due and unit.health.failure is not None and unit.backoff.remaining_s > 0:
            return unit.failure(), False
        link = await self._choose(unit)
        unit.limit(alone=link is self._second or len(self._units) == 1)
        try:
            batch = await poll(unit, link)
        except ReadError as err:
            silent = link.reached and err.outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE) and len(self._units) > 1
            unit.failed(err, back_off=silent or link.connected)  # else the connection's own backoff
            unit.aside = unit.aside or (silent and self._is_tcp)
            return unit.failure(), False
        unit.succeeded()
        unit.aside = unit.aside and link is self._second and unit.is_slow
        await self._close_second_if_idle()
        return batch, True

    async def _choose(self, unit: Unit) -> ModbusLink:
        """The connection, or the second one for a unit that is silent while others answer."""
        if not unit.aside:
            return self._link
        answering = next((u for u in self._units.values() if u.health.failure is None and u.contact_us), None)
        if answering is None or not await self._second_works(answering):
            return self._link
        return self._second

    async def _second_works(self, answering: Unit) -> bool:
        """Whether the gateway serves a second client: it must answer there for a unit that answers."""
        async with self._proving:
            self._second_used_us = self._clock.now_us()
            if self._second.proven:
                return True
            if not self._is_tcp or not self._link.connected or self._clock.now_us() < self._alone_until_us:
                return False
            self._second.try_now()
            for link in (self._second, self._link):  # and then the first: it may have been dropped for the second
                part = answering.plan[0]
                try:
                    await link.read(answering.number, part.block, part.question, answering.timeout_s)
                except DeviceRefusal:
                    continue
                except ReadError:
                    self._alone_until_us = self._clock.now_us() + _ALONE_US
                    await self._second.close()
                    return False
            return True

    async def _close_second_if_idle(self) -> None:
        if not self._second.connected or self._second.busy or any(u.aside for u in self._units.values()):
            return
        if self._clock.now_us() - self._second_used_us > _LINGER_US:
            await self._second.close()

    async def _identity(self, unit: Unit, identify: Identify) -> None:
        """Asked after each failure, but not again of a device that ignores the question: that costs a time limit each time."""
        unit.asked = True
        shared = len(self._units) > 1
        link = self._second if shared and await self._second_works(unit) else self._link
        try:
            facts = await facts_of(link, unit.number, unit.timeout_s)
        except ReadError as err:
            unit.ignores_identity = err.outcome is Outcome.TIMEOUT
            return
        finally:
            await self._close_second_if_idle()
        if unit.facts and facts != unit.facts:
            unit.learn_anew()
        unit.facts = facts
        if facts:
            await identify(Identity(unit.source.device, facts, origin_of(facts)))

    async def _knock(self, tasks: asyncio.TaskGroup, emit: Emit, identify: Identify) -> None:
        """While nobody answers: see each second whether somebody is back, and then poll everybody at once."""
        link = self._link
        while True:
            await link.down.wait()
            absent = False
            while link.down.is_set():
                await self._clock.sleep(max(link.backoff.remaining_s, _KNOCK_S if absent else 0.0))
                if not self._serving():
                    link.down.clear()  # out of service: nobody is missed
                    break
                failing = [u for u in self._units.values() if u.health.failure is not None]
                try:
                    await link.open()
                except ReadError:
                    absent = True
                    continue
                if not link.down.is_set() or (not absent and len(failing) < len(self._units)):
                    link.down.clear()  # a poll was faster, or an idle connection was dropped, as some servers do
                elif await self._somebody_is_back(tasks, emit, identify):
                    self._poll_everybody(tasks, emit, identify)
                absent = True

    def _serving(self) -> list[Unit]:
        now = self._clock.now_us()
        return [u for u in self._units.values() if u.source.in_service(now)]

    async def _somebody_is_back(self, tasks: asyncio.TaskGroup, emit: Emit, identify: Identify) -> bool:
        free = [u for u in self._serving() if not u.reading]
        for unit in sorted(free, key=lambda u: -u.contact_us)[:_CANARIES]:
            batch, answered = await self._read_and_identify(unit, identify, due=False)
            if answered or unit.missed:
                tasks.create_task(self._store(unit, batch, emit))
            if answered:
                return True
        return False

    def _poll_everybody(self, tasks: asyncio.TaskGroup, emit: Emit, identify: Identify) -> None:
        now = self._clock.now_us()
        for unit in self._serving():
            if not unit.reading and now - unit.contact_us > _KNOCK_S * 1_000_000:
                tasks.create_task(self._poll_if_there(unit, emit, identify))

    async def _poll_if_there(self, unit: Unit, emit: Emit, identify: Identify) -> None:
        """A poll that is not due: a row when the unit answers, else only when one fell due meanwhile; its interval has one already."""
        batch, answered = await self._read_and_identify(unit, identify, due=False)
        if answered or unit.missed:
            await self._store(unit, batch, emit)
