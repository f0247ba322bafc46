"""OPC UA (IEC 62541): the devices behind one server, over one session; polled into wide rows or subscribed into event rows.

In: the sources of one endpoint. Out, `mode = "poll"`: batched reads, one wide row per poll; its source time is the newest
SourceTimestamp among the points. Out, `mode = "subscribe"`: one event row per value with its own SourceTimestamp; each `interval_s` a
confirming read of the points with a role and the key parameters. A read that finds nothing new is stored as `confirmed`, with the
old source time (contact now, no new value); a value that the subscription did not deliver is stored as `ok`.
What a server will not watch is read in batches into event rows, and the log says so. Overflow bits become `overflow` rows.
`apply` changes the devices of the running session: the others keep their items, their handles and their schedule.
Trap: a source time that is absent, before 1980 (1601, an unset clock) or a day ahead is replaced by the collector's clock, Uncertain.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Sequence
from typing import cast

import structlog
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from adapters.batch import Batch, Outcome
from adapters.contract import Emit, Identify, Identity, ReadError, Site
from adapters.opcua.alarms.conditions import Conditions, read_conditions
from adapters.opcua.alarms.events import add_event, event_of
from adapters.opcua.connected import Connected
from adapters.opcua.device import Device
from adapters.opcua.faults import OpenError
from adapters.opcua.history.backfill import History
from adapters.opcua.redundancy import Servers
from adapters.opcua.subscription import Notification
from adapters.rows import Rows
from adapters.schedule import Schedule
from adapters.tasks import together
from adapters.template import Source
from config.connections import OpcUa

log = structlog.get_logger(__name__)

STEADY_US = 10_000_000  # a session that ended sooner counts as a failed attempt: no storm against a server that accepts and fails
LISTEN_S = 5.0
_STATE = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_State))
_ANNOUNCED = {"urn:plantproof:simulator": "simulated", "urn:plantproof:replay": "replay"}

DeviceRows = list[tuple[Device, Batch]]


class OpcUaAdapter:
    """One server, its devices and their schedule."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        connections = [cast(OpcUa, s.connection) for s in sources]
        self._site = site
        self._clock = site.clock
        self._endpoint = connections[0].endpoint
        self._timeout_s = max(c.timeout_ms for c in connections) / 1000
        self._servers = Servers(connections[0], self._timeout_s, site)
        self._devices = {s.device: Device(s, site.clock, site.on_state) for s in sources}
        self._conditions = Conditions()
        self._history = History(sources, site.clock, site.state)
        self._schedule: Schedule | None = None
        self._connected: Connected | None = None
        self._since_us = 0  # of the session in use
        self._opening = asyncio.Lock()
        self._why: ReadError | None = None
        self._lost = asyncio.Event()
        self._identify: Identify | None = None
        self._said: dict[str, tuple[tuple[str, str], ...]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._emit: Emit | None = None
        self._storing: set[asyncio.Task[None]] = set()

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices behind this server."""
        return tuple(self._devices)

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Collect until cancelled."""
        self._emit, self._identify = emit, identify
        sources = [d.source for d in self._devices.values()]
        self._schedule = Schedule(self._clock, sources, slot_key=lambda _: self._endpoint)
        try:
            async with together() as tasks:
                self._tasks = tasks
                for work in (self._come_back(tasks), self._listen(), self._servers.watch(), self._history.run(emit)):
                    tasks.create_task(work)
                while True:
                    due = [self._devices.get(s.device) for s in await self._schedule.next()]
                    self._begin_round([d for d in due if d is not None], tasks)  # None: the register changed just now
        finally:
            self._schedule = self._tasks = None
            await self._drop(drained=False)
            await self._servers.close()
            self._history.save()

    async def apply(self, sources: Sequence[Source]) -> None:
        """Take over a newer list of devices; those that are equal are not touched."""
        async with self._opening:
            wanted = {s.device: s for s in sources}
            gone = [d for name, d in self._devices.items() if wanted.get(name) != d.source]
            kept = {d.name: d for d in self._devices.values() if d not in gone}
            made = {name: kept.get(name) or self._device(s) for name, s in wanted.items()}
            fresh = [d for name, d in made.items() if name not in kept]
            self._devices = made
            self._history.apply(sources)
            now = self._connected
            if now is not None and now.session.alive and self._schedule is not None:
                try:
                    await now.drop(gone)
                    await self._tell_identity(now, fresh)
                    await now.begin(fresh, subscribe=True)
                    self._tell_history(now)
                    await self._look_at_conditions(now, fresh)
                except ReadError as err:
                    log.warning("新台账的测点未能接上, 重新连接 points not taken over, connecting anew", why=str(err))
                    now.session.mark_lost()
            if self._schedule is not None:
                self._schedule.apply([d.source for d in made.values()])

    async def read_once(self) -> list[Batch]:
        """One read of every point of every device, nothing stored and nothing subscribed."""
        try:
            return [batch for _, batch in await self._read(list(self._devices.values()), subscribe=False)]
        finally:
            await self._drop(drained=False)
            await self._servers.close()

    def _device(self, source: Source) -> Device:
        return Device(source, self._clock, self._site.on_state)

    def _begin_round(self, due: Sequence[Device], tasks: asyncio.TaskGroup) -> None:
        """Read the devices that are due; one that is still being read has a row for its lateness."""
        late = [(d, d.overrun()) for d in due if d.reading and d.is_late]
        free = [
            d for d in due if not d.reading and d.start()
        ]  # marked before the task runs, so that nobody else starts one
        if free:
            tasks.create_task(self._round(free))
        if late:
            tasks.create_task(self._store(late, notified=False))

    async def _round(self, due: list[Device]) -> None:
        try:
            rows = await self._read(due, subscribe=True)
        finally:
            for device in due:
                device.reading = False
        for device in due:
            device.storing += 1
        try:
            await self._store(rows, notified=False)
        finally:
            for device in due:
                device.storing -= 1

    async def _read(self, due: list[Device], *, subscribe: bool) -> DeviceRows:
        """One batched read for all devices that are due; a failed read is a row of each."""
        try:
            now = await self._connect(subscribe=subscribe)
            asked = [d for d in due if self._is_current(d)]  # the register may have changed meanwhile
            quiet = [d for d in asked if not (d.reads if subscribe else d.values)]  # events only
            busy = [d for d in asked if d not in quiet]
            shares = await now.read(busy, every_point=not subscribe) if busy else []
            if quiet and not busy:
                await now.session.read([_STATE])  # whether it answers is all there is to ask, and values say so too
        except ReadError as err:
            return [(d, d.failed(err)) for d in due]
        rows = [(s.device, s.device.answered(s.values, s.points)) for s in shares]
        rows += [(d, d.confirmed()) for d in quiet] + [(d, d.unheard()) for d in asked if subscribe]
        return [(d, batch) for d, batch in rows if batch is not None]

    async def _store(self, rows: DeviceRows, *, notified: bool) -> None:
        """Hand over together, so that one flush makes all of it durable. What is no longer in the register has no owner."""
        owned = [(device, batch) for device, batch in rows if self._is_current(device)]
        if owned and self._emit is not None:
            batches = self._history.repeated([batch for _, batch in owned])
            await self._emit(*batches)
            kept = [b for (device, _), b in zip(owned, batches, strict=True) if self._is_current(device)]
            self._history.stored(kept, notified=notified)  # a point's place means another point in a newer register

    def _is_current(self, device: Device) -> bool:
        return self._devices.get(device.name) is device

    async def _connect(self, *, subscribe: bool) -> Connected:
        """The session, opened when there is none and the backoff allows it. Errors: `ReadError`."""
        async with self._opening:
            now = self._connected
            if now is not None and now.session.alive:
                return now
            if self._why is not None and self._servers.remaining_s > 0:
                raise ReadError(self._why.outcome, str(self._why))
            await self._drop(drained=subscribe)
            try:
                session = await self._servers.open(self._lost.set)
                now = self._connected = Connected(session, self._deliver, self._timeout_s)
                self._since_us = self._clock.now_us()
                if subscribe:
                    await self._tell_identity(now, self._devices.values())
                await now.begin(list(self._devices.values()), subscribe=subscribe)
            except ReadError as err:
                if not isinstance(err, OpenError):  # opened, and could not be set to work
                    self._servers.failed(err)
                    self._since_us = 0
                await self._drop(drained=subscribe)
                self._why = err
                self._lost.set()
                raise
            self._why = None
            if subscribe and self._tasks is not None:
                self._tell_history(now)
                self._tasks.create_task(self._look_at_conditions(now, list(self._devices.values())))
            return now

    async def _tell_identity(self, now: Connected, devices: Iterable[Device]) -> None:
        facts = now.session.facts
        if self._identify is None or not facts:
            return
        product = dict(facts).get("product_uri", "")
        origin = next((o for start, o in _ANNOUNCED.items() if product.startswith(start)), "live")
        for device in devices:
            if self._said.get(device.name) != facts:
                self._said[device.name] = facts
                await self._identify(Identity(device.name, facts, origin))

    async def _look_at_conditions(self, now: Connected, devices: Iterable[Device]) -> None:
        """What the alarms are after a connect, where the server lets them be read."""
        for device in devices:
            for point, node in device.notifiers if device.subscribes else ():
                try:
                    events = await read_conditions(now.session, node, self._clock.now_us())
                except ReadError as err:
                    log.info("未能读取报警状态 alarm states not read", server=self._endpoint, why=str(err))
                    return
                rows, now_us = Rows(device.name, device.source.template), self._clock.now_us()
                for event in self._conditions.news(device.name, point, events):
                    add_event(rows, point, event, now_us, conditions_only=True)
                if (batch := rows.batch()) is not None:
                    await self._store([(device, batch)], notified=False)

    def _tell_history(self, now: Connected) -> None:
        self._history.began(now.session, {d.name: d for d in self._devices.values() if d.subscribes})

    def _deliver(self, notification: Notification) -> Awaitable[None]:
        """Hand over a notification's rows now; awaited, they are durable. They are stored even when the session ends meanwhile."""
        if self._tasks is None or self._connected is None:
            return asyncio.sleep(0)
        task = self._tasks.create_task(self._store(self._rows_of(self._connected, notification), notified=True))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return asyncio.shield(task)

    def _rows_of(self, now: Connected, notification: Notification) -> DeviceRows:
        rows: DeviceRows = []
        for device, points in now.owners(notification.lost).items():
            batch = device.lost(points)
            if batch is not None:
                rows.append((device, batch))
        for share in now.shares(notification):
            batch = share.device.notified(share.values, share.points)
            if batch is not None:
                rows.append((share.device, batch))
        made: dict[Device, Rows] = {}
        now_us = self._clock.now_us()
        for handle, fields in notification.events:
            owner = now.owner(handle)
            if owner is not None:
                device, point = owner
                into = made.setdefault(device, Rows(device.name, device.source.template))
                event = event_of(fields, now.session.namespaces, now_us)
                if self._conditions.is_news(device.name, point, event):
                    conditions_only = device.source.points[point].events == "conditions"
                    add_event(into, point, event, now_us, conditions_only=conditions_only)
        return rows + [(device, batch) for device, r in made.items() if (batch := r.batch()) is not None]

    async def _come_back(self, tasks: asyncio.TaskGroup) -> None:
        """After a loss: one row for each device that still counted as connected, then connect again as the backoff allows."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            lost = ReadError(Outcome.DISCONNECTED, f"{self._endpoint}: 连接中断 (connection lost)")
            now_us = self._clock.now_us()
            up = [d for d in self._devices.values() if d.health.failure is None and d.source.in_service(now_us)]
            storing = tasks.create_task(self._store([(d, d.failed(lost)) for d in up], notified=False))
            while self._connected is None or not self._connected.session.alive:
                with contextlib.suppress(ReadError):
                    await self._connect(subscribe=True)
                    break
                await self._clock.sleep(max(self._servers.remaining_s, 0.05))
            await storing
            if self._connected is None or not self._connected.session.alive:  # lost again while the row was stored
                self._lost.set()
                continue
            self._lost.clear()
            now_us = self._clock.now_us()
            back = [d for d in self._devices.values() if not d.reading and d.source.in_service(now_us) and d.start()]
            if back:
                await self._round(back)

    async def _listen(self) -> None:
        """Notice a server that sends not even keep-alives."""
        while True:
            await asyncio.sleep(LISTEN_S)
            now = self._connected
            if now is not None and now.session.alive and now.silent_too_long:
                log.warning("订阅长时间无心跳, 重新连接 no keep-alive from the server", server=self._endpoint)
                now.session.mark_lost()

    async def _drop(self, *, drained: bool) -> None:
        """Close the session; `drained`: wait until what it delivered is stored, so that a gap begins after the last of it."""
        now, self._connected = self._connected, None
        if now is None:
            return
        if self._since_us and self._clock.now_us() - self._since_us < STEADY_US and not now.session.alive:
            self._servers.failed(ReadError(Outcome.DISCONNECTED, f"{self._endpoint}: 连接中断 (connection lost)"))
        elif self._since_us:
            self._servers.succeeded()
        await now.close()
        if drained and self._storing:
            await asyncio.wait(self._storing)
        self._history.interrupted()
