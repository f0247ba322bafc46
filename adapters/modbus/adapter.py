"""Modbus TCP (Modbus Application Protocol V1.1b3): the units behind one host and port, polled into wide rows.

In: the sources of one connection. Out: one wide row per poll and device; a failed poll is a row with its outcome.
Values have no stamp of their own in Modbus: the source time is the collector's clock when the last block arrived.
A block that the device refuses makes only its own points bad (a refused range is halved until the bad point stands alone); a unit
that does not answer moves to a connection aside, so that its timeouts never delay the other units behind the gateway; the time limit of
units that share a connection is at most a quarter of the shortest interval among them.
Identity: Read Device Identification (43/14) once per unit, never required. Only the read functions 1-4 and 43 are ever sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import structlog

from adapters.batch import BAD_DEVICE_FAILURE, BAD_NO_DATA, Batch, Outcome
from adapters.contract import Clock, Emit, Identify, Identity, OnState, ReadError, Site
from adapters.health import Backoff, Health
from adapters.modbus.decode import Decode, compile_decode
from adapters.modbus.link import DeviceRefusal, ModbusLink
from adapters.modbus.plan import Block, plan, split
from adapters.rows import BAD_TIMEOUT, Rows, failed_batch
from adapters.schedule import Schedule
from adapters.tasks import together
from adapters.template import Source
from config.connections import Modbus

log = structlog.get_logger(__name__)

_OBJECTS = {
    0: "vendor_name",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product_name",
    5: "model_name",
    6: "user_application_name",
}
_SHARE_OF_INTERVAL = 0.25
_ANNOUNCED = {"PlantProof simulator": "simulated", "PlantProof replay": "replay"}


class ModbusAdapter:
    """One host and port, its units and their schedule."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        clock, on_state = site.clock, site.on_state
        first = cast(Modbus, sources[0].connection)
        self._clock = clock
        self._sources = tuple(sources)
        self._link = ModbusLink(first.host, first.port, clock)
        self._aside = ModbusLink(first.host, first.port, clock)
        self._units = {s.device: _Unit(s, clock, on_state) for s in sources}
        if len(sources) > 1:  # whoever waits behind a unit that just died still has its row within the interval
            patience_s = _SHARE_OF_INTERVAL * min(s.interval_s for s in sources)
            for unit in self._units.values():
                unit.timeout_s = min(unit.timeout_s, patience_s)

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices behind this connection."""
        return tuple(s.device for s in self._sources)

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Poll until cancelled."""
        schedule = Schedule(self._clock, self._sources)
        try:
            async with together() as polls:
                while True:
                    for source in await schedule.next():
                        unit = self._units[source.device]
                        now = self._clock.now_us()
                        if unit.phase == "idle":
                            unit.phase, unit.started_us = "reading", now
                            polls.create_task(self._poll(unit, emit, identify))
                        elif unit.phase == "reading":
                            if now - unit.started_us >= source.interval_s * 500_000:
                                polls.create_task(_emit(emit, unit.overrun(now)))
                        else:
                            log.warning("存储慢于采集间隔 the store is slower than the interval", device=source.device)
        finally:
            await self._close()

    async def read_once(self) -> list[Batch]:
        """One poll of every unit, nothing stored."""
        try:
            return [(await self._read(unit))[0] for unit in self._units.values()]
        finally:
            await self._close()

    async def _close(self) -> None:
        await self._link.close()
        await self._aside.close()

    async def _poll(self, unit: _Unit, emit: Emit, identify: Identify) -> None:
        try:
            batch, answered = await self._read(unit)
            if answered and not unit.asked:
                identity = await self._identity(unit)
                if identity is not None:
                    await identify(identity)
            unit.phase = "storing"
            await emit(batch)
        finally:
            unit.phase = "idle"

    async def _read(self, unit: _Unit) -> tuple[Batch, bool]:
        """A poll's row, and whether the unit answered."""
        device, template = unit.source.device, unit.source.template
        failure = unit.health.failure
        if failure is not None and unit.backoff.remaining_s > 0:
            return failed_batch(device, template, self._clock.now_us(), failure.outcome), False
        link = self._choose(unit)
        try:
            batch = await unit.read(link)
        except ReadError as err:
            unit.failed(err, back_off=link.backoff.remaining_s == 0)
            if err.outcome is Outcome.TIMEOUT and link.connected and len(self._units) > 1:
                unit.aside = True
            return failed_batch(device, template, self._clock.now_us(), err.outcome), False
        unit.succeeded()
        unit.aside = False
        await self._close_aside_if_idle()
        return batch, True

    async def _close_aside_if_idle(self) -> None:
        if not any(u.aside for u in self._units.values()):
            await self._aside.close()

    def _choose(self, unit: _Unit) -> ModbusLink:
        """The main connection, or the one aside for a unit that did not answer; some gateways take one client only."""
        if not unit.aside:
            return self._link
        return self._link if self._aside.backoff.remaining_s > 0 else self._aside

    async def _identity(self, unit: _Unit) -> Identity | None:
        """Asked after each failure, but not again of a device that ignores the function: that costs a timeout each time."""
        unit.asked = True
        objects: dict[int, str] = {}
        for link in (self._aside, self._link) if len(self._units) > 1 else (self._link,):
            try:
                objects = await link.identity(unit.unit, unit.timeout_s)
            except DeviceRefusal:
                pass
            except ReadError as err:
                unit.ignores_identity = err.outcome is Outcome.TIMEOUT
                if err.outcome in (Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.DISCONNECTED):
                    continue  # some gateways take one client only
            break
        await self._close_aside_if_idle()
        facts = tuple(sorted((_OBJECTS.get(i, f"object_{i}"), text) for i, text in objects.items() if text))
        words = " ".join(objects.get(i, "") for i in (4, 6))
        origin = next((o for mark, o in _ANNOUNCED.items() if mark in words), "live")
        return Identity(unit.source.device, facts, origin) if facts else None


class _Unit:
    """One unit (站号) behind the connection: its plan, its health, its next attempt."""

    def __init__(self, source: Source, clock: Clock, on_state: OnState | None) -> None:
        connection = cast(Modbus, source.connection)
        self.source = source
        self.unit = connection.unit
        self.timeout_s = connection.timeout_ms / 1000
        self.health = Health(source.device, clock, log, on_state)
        self.backoff = Backoff(clock)
        self.phase = "idle"  # idle, reading, storing
        self.started_us = 0
        self.aside = False
        self.asked = False
        self.ignores_identity = False
        self._clock = clock
        blocks = plan(source.points, connection.max_gap, connection.max_registers)
        self._first_plan = tuple((b, compile_decode(b, source.points)) for b in blocks)
        self._plan: tuple[tuple[Block, Decode], ...] = self._first_plan

    def failed(self, err: ReadError, *, back_off: bool) -> None:
        """Note the failure; plan and identity are learned anew, since the device may come back as another."""
        self.health.failed(err.outcome, str(err))
        if back_off:
            self.backoff.failed()
        self.asked = self.ignores_identity
        self._plan = self._first_plan

    def succeeded(self) -> None:
        """Note the contact."""
        self.health.contact()
        self.backoff.succeeded()

    def overrun(self, now_us: int) -> Batch:
        """The row of an interval in which the poll before it had not ended."""
        failure = self.health.failure
        outcome = failure.outcome if failure is not None else Outcome.TIMEOUT
        return failed_batch(self.source.device, self.source.template, now_us, outcome)

    async def read(self, link: ModbusLink) -> Batch:
        """One poll over all blocks. Errors: `ReadError` when no block was answered."""
        values: list[object] = [None] * len(self.source.points)
        missing = [BAD_NO_DATA] * len(self.source.points)
        answered: list[tuple[Block, Decode]] = []
        refusals: list[ReadError] = []
        todo = list(reversed(self._plan))
        while todo:
            block, decode = todo.pop()
            try:
                raw = await link.read(self.unit, block, self.timeout_s)
            except DeviceRefusal as err:
                if err.is_about_the_range and len(block.spans) > 1:
                    todo += [(b, compile_decode(b, self.source.points)) for b in reversed(split(block))]
                    continue
                refusals.append(err)
                _mark(missing, [block], BAD_DEVICE_FAILURE)
                if err.outcome is not Outcome.DEVICE_FAILURE:
                    break  # the gateway does not reach the unit: the other blocks would only cost time
            except ReadError as err:
                refusals.append(err)
                _mark(missing, [block, *(b for b, _ in todo)], BAD_TIMEOUT)
                break
            else:
                for span, value in zip(block.spans, decode(raw), strict=True):
                    values[span.index] = value
                    missing[span.index] = 0
            answered.append((block, decode))
        if not any(m == 0 for m in missing):
            raise refusals[0]
        if not todo:
            self._plan = tuple(answered)
        return self._row(values, missing)

    def _row(self, values: list[object], missing: list[int]) -> Batch:
        now = self._clock.now_us()
        typed = [
            (None, bad) if bad else to_type(value)
            for to_type, value, bad in zip(self.source.casts, values, missing, strict=True)
        ]
        rows = Rows(self.source.device, self.source.template)
        rows.wide(now, now, [v for v, _ in typed], [q for _, q in typed])
        batch = rows.batch()
        if batch is None:
            raise AssertionError("a poll makes one row")
        return batch


async def _emit(emit: Emit, batch: Batch) -> None:
    await emit(batch)


def _mark(missing: list[int], blocks: list[Block], quality: int) -> None:
    for block in blocks:
        for span in block.spans:
            missing[span.index] = quality
