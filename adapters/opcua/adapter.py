"""OPC UA (IEC 62541): the devices behind one server, over one session; polled into wide rows or subscribed into event rows.

In: the sources of one endpoint. Out, `mode = "poll"`: batched reads, one wide row per poll; its source time is the newest
SourceTimestamp among the points. Out, `mode = "subscribe"`: one event row per value with its own SourceTimestamp; each `interval_s` a
confirming read of the points with a role and the key parameters. A read that finds nothing new is stored as `confirmed`, with the
old source time (contact now, no new value); a value that the subscription did not deliver is stored as `ok`.
A server that refuses subscriptions is read in batches into event rows, and the log says so. Overflow bits become `overflow` rows.
Trap: a source time that is absent or before 1980 (1601, an unset clock) is replaced by the collector's clock, quality Uncertain.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import cast

import structlog
from asyncua import ua

from adapters.batch import Batch, Outcome
from adapters.contract import Clock, Emit, Identify, Identity, OnState, ReadError, Site
from adapters.health import Backoff, Health
from adapters.opcua.reading import Reading
from adapters.opcua.recall import Recall
from adapters.opcua.session import Session
from adapters.opcua.subscription import Notification, Subscriptions, Watch
from adapters.rows import Rows, failed_batch
from adapters.schedule import Schedule
from adapters.tasks import together
from adapters.template import Source
from config.connections import OpcUa

log = structlog.get_logger(__name__)

_ANNOUNCED = {"urn:plantproof:simulator": "simulated", "urn:plantproof:replay": "replay"}


class OpcUaAdapter:
    """One server, its devices and their schedule."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        clock, on_state = site.clock, site.on_state
        connections = [cast(OpcUa, s.connection) for s in sources]
        self._endpoint = connections[0].endpoint
        self._timeout_s = max(c.timeout_ms for c in connections) / 1000
        self._clock = clock
        self._nodes = {s.device: _Node(s, clock, on_state) for s in sources}
        self._watched = [(s.device, i) for s in sources for i in range(len(s.points))]
        self._session: Session | None = None
        self._subscriptions: Subscriptions | None = None
        self._opening = asyncio.Lock()
        self._backoff = Backoff(clock)
        self._why: ReadError | None = None
        self._lost = asyncio.Event()
        self._identify: Identify | None = None
        self._said: tuple[tuple[str, str], ...] | None = None
        self._feed: asyncio.Queue[tuple[Notification, asyncio.Future[None]]] = asyncio.Queue(1)

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices behind this server."""
        return tuple(self._nodes)

    async def run(self, emit: Emit, identify: Identify) -> None:
        """Collect until cancelled."""
        self._identify = identify
        schedule = Schedule(self._clock, [n.source for n in self._nodes.values()], slot_key=lambda _: self._endpoint)
        try:
            async with together() as tasks:
                tasks.create_task(self._store_notifications(emit))
                tasks.create_task(self._come_back(emit))
                while True:
                    due = [self._nodes[s.device] for s in await schedule.next()]
                    late = [n.overrun() for n in due if n.is_late]
                    idle = [n for n in due if n.phase == "idle"]
                    for node in idle:
                        node.phase = "reading"  # before the task runs, so that nobody else starts one
                    if idle:
                        tasks.create_task(self._round(idle, emit))
                    if late:
                        tasks.create_task(_emit_all(emit, late))
        finally:
            await self._drop()

    async def read_once(self) -> list[Batch]:
        """One read of every point of every device, nothing stored and nothing subscribed."""
        nodes = list(self._nodes.values())
        try:
            return await self._read(nodes, subscribe=False)
        finally:
            await self._drop()

    async def _round(self, due: list[_Node], emit: Emit) -> None:
        for node in due:
            node.phase, node.started_us = "reading", self._clock.now_us()
        try:
            batches = await self._read(due, subscribe=True)
            for node in due:
                node.phase = "storing"
            await _emit_all(emit, batches)
        finally:
            for node in due:
                node.phase = "idle"

    async def _read(self, due: list[_Node], *, subscribe: bool) -> list[Batch]:
        """One batched read for all devices that are due; a failed read is a row of each."""
        try:
            session = await self._connected(subscribe=subscribe)
            asked = [(n, i) for n in due for i in (n.reads if subscribe else range(len(n.source.points)))]
            readings = await session.read([n.node_ids[i] for n, i in asked])
        except ReadError as err:
            return [n.failed(err) for n in due]
        now = self._clock.now_us()
        by_device: dict[str, dict[int, Reading]] = {n.source.device: {} for n in due}
        for (node, i), reading in zip(asked, readings, strict=True):
            by_device[node.source.device][i] = reading
        return [n.answered(by_device[n.source.device], now) for n in due]

    async def _connected(self, *, subscribe: bool) -> Session:
        """The session, opened when there is none and the backoff allows it. Errors: `ReadError`."""
        async with self._opening:
            if self._subscriptions is not None and self._subscriptions.silent_too_long:
                log.warning("订阅长时间无心跳, 重新连接 no keep-alive from the server", server=self._endpoint)
                await self._drop()
            if self._session is not None and self._session.alive:
                return self._session
            if self._why is not None and self._backoff.remaining_s > 0:
                raise ReadError(self._why.outcome, str(self._why))
            await self._drop()
            try:
                session = await Session.open(self._endpoint, self._timeout_s, self._lost.set)
                self._session = session
                await self._start(session, subscribe=subscribe)
            except ReadError as err:
                await self._drop()
                self._why = err
                self._backoff.failed()
                self._lost.set()
                raise
            self._why = None
            self._backoff.succeeded()
            return session

    async def _start(self, session: Session, *, subscribe: bool) -> None:
        for node in self._nodes.values():
            node.node_ids = [
                session.resolve((p.node or "").replace("{device}", node.source.device)) for p in node.source.points
            ]
        if not subscribe:
            return
        await self._tell_identity(session)
        await self._subscribe(session)

    async def _tell_identity(self, session: Session) -> None:
        if self._identify is None or not session.facts or session.facts == self._said:
            return
        self._said = session.facts
        product = dict(session.facts).get("product_uri", "")
        origin = next((o for start, o in _ANNOUNCED.items() if product.startswith(start)), "live")
        for device in self._nodes:
            await self._identify(Identity(device, session.facts, origin))

    async def _subscribe(self, session: Session) -> None:
        """Watch the points of subscribing devices; what the server will not watch is read each interval instead."""
        watches = []
        for index, (device, i) in enumerate(self._watched):
            node = self._nodes[device]
            node_id = node.node_ids[i]
            if node.connection.mode == "subscribe" and node_id is not None:
                watches.append(Watch(index, node_id, node.connection.sampling_ms, node.connection.queue))
        if not watches:
            return
        self._subscriptions = Subscriptions(session, self._deliver)
        try:
            refused = await self._subscriptions.create(watches)
        except ReadError as err:
            if err.outcome is not Outcome.DEVICE_FAILURE:
                raise
            log.warning(
                "服务器拒绝订阅, 改为定时成批读取 subscriptions refused, reading in batches instead",
                server=self._endpoint,
                why=str(err),
            )
            self._subscriptions = None
            refused = [w.index for w in watches]
        for node in self._nodes.values():
            node.refused = {i for device, i in (self._watched[r] for r in refused) if device == node.source.device}

    async def _deliver(self, notification: Notification) -> None:
        """Called between two publish requests: wait until the rows are durable."""
        done = asyncio.get_running_loop().create_future()
        await self._feed.put((notification, done))
        await done

    async def _store_notifications(self, emit: Emit) -> None:
        while True:
            notification, done = await self._feed.get()
            await _emit_all(emit, self._rows_of(notification))
            if not done.done():
                done.set_result(None)

    def _rows_of(self, notification: Notification) -> list[Batch]:
        now = self._clock.now_us()
        rows: dict[str, Rows] = {}
        for index in notification.lost:
            device, i = self._watched[index]
            self._nodes[device].recall.lost(self._rows(rows, device), i, now)
        for index, reading in notification.readings:
            device, i = self._watched[index]
            self._nodes[device].heard(reading)
            self._nodes[device].recall.notified(self._rows(rows, device), i, reading, now)
        return [b for r in rows.values() if (b := r.batch()) is not None]

    def _rows(self, rows: dict[str, Rows], device: str) -> Rows:
        if device not in rows:
            rows[device] = Rows(device, self._nodes[device].source.template)
        return rows[device]

    async def _come_back(self, emit: Emit) -> None:
        """After a loss: one row for each device that still counted as connected, then connect again as the backoff allows."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            lost = ReadError(Outcome.DISCONNECTED, f"{self._endpoint}: 连接中断 (connection lost)")
            now = self._clock.now_us()
            up = [n for n in self._nodes.values() if n.health.failure is None and n.source.in_service(now)]
            await _emit_all(emit, [n.failed(lost) for n in up])
            while self._session is None or not self._session.alive:
                await self._clock.sleep(max(self._backoff.remaining_s, 0.05))
                with contextlib.suppress(ReadError):
                    await self._connected(subscribe=True)
            self._lost.clear()
            back = [n for n in self._nodes.values() if n.phase == "idle" and n.source.in_service(self._clock.now_us())]
            if back:
                await self._round(back, emit)

    async def _drop(self) -> None:
        session, self._session, self._subscriptions = self._session, None, None
        if session is not None:
            await session.close()


class _Node:
    """One device of the server: what is read of it, what was last known, its health."""

    def __init__(self, source: Source, clock: Clock, on_state: OnState | None) -> None:
        self.source = source
        self.connection = cast(OpcUa, source.connection)
        self.health = Health(source.device, clock, log, on_state)
        self.recall = Recall(source)
        self.node_ids: list[ua.NodeId | None] = [None] * len(source.points)
        self.refused: set[int] = set()
        self.phase = "idle"  # idle, reading, storing
        self.started_us = 0
        self._clock = clock

    @property
    def is_late(self) -> bool:
        """True while a read that began half an interval ago or more has not ended."""
        running_us = self._clock.now_us() - self.started_us
        return self.phase == "reading" and running_us >= self.source.interval_s * 500_000

    @property
    def reads(self) -> tuple[int, ...]:
        """Indices read each interval."""
        if self.connection.mode == "poll":
            return tuple(range(len(self.source.points)))
        return tuple(sorted({*self.source.confirmed_points, *self.refused}))

    def heard(self, reading: Reading) -> None:
        """A notification: contact, when the value is good for something."""
        if not reading.status >> 31:
            self.health.contact()

    def failed(self, err: ReadError) -> Batch:
        """Note the failure and make its row."""
        self.health.failed(err.outcome, str(err))
        return failed_batch(self.source.device, self.source.template, self._clock.now_us(), err.outcome)

    def overrun(self) -> Batch:
        """The row of an interval in which the read before it had not ended."""
        failure = self.health.failure
        outcome = failure.outcome if failure is not None else Outcome.TIMEOUT
        return failed_batch(self.source.device, self.source.template, self._clock.now_us(), outcome)

    def answered(self, readings: dict[int, Reading], now_us: int) -> Batch:
        """Rows of a read that the server answered."""
        if all(r.status >> 31 for r in readings.values()):
            status = next(iter(readings.values())).status
            self.health.failed(
                Outcome.DEVICE_FAILURE,
                f"{self.source.device}: 所有测点质量为坏 (every point is Bad, first 0x{status:08X})",
            )
        else:
            self.health.contact()
        rows = Rows(self.source.device, self.source.template)
        self.recall.read(rows, readings, now_us)
        batch = rows.batch()
        if batch is None:
            raise AssertionError("a read makes at least one row")
        return batch


async def _emit_all(emit: Emit, batches: Sequence[Batch]) -> None:
    """Emit together, so that one flush makes all of them durable."""
    if len(batches) == 1:
        await emit(batches[0])
    elif batches:
        await asyncio.gather(*(emit(b) for b in batches))
