"""What one open session carries: the nodes of each device, its monitored items, its reads, the server's data types.

In: a session and the devices behind its server. Out: values by device (`Share`), from reads and from notifications; or `ReadError`.
Node ids are resolved in this session's namespaces; data types are learned for the points that may need them; registered nodes live as
long as the session. Devices come and go (`begin`, `drop`) without touching the others: their items, their handles, their reads.
What the server will not watch is read each interval (`Device.refused`), and the log says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from numpy.typing import NDArray

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.opcua.alarms.events import QUEUE as EVENT_QUEUE
from adapters.opcua.alarms.events import event_filter
from adapters.opcua.device import Device, Share, Slots
from adapters.opcua.items import Watch
from adapters.opcua.reads import Prepared, Reads, prepare
from adapters.opcua.session import Session
from adapters.opcua.subscription import Deliver, Notification, Subscriptions
from adapters.opcua.values.binary import Malformed
from adapters.opcua.values.datatypes import learn, learn_wanted
from adapters.opcua.values.structures import Structure, Types, Undescribed

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """One read for several devices: whose rows begin where."""

    prepared: Prepared
    parts: tuple[tuple[Device, NDArray[np.intp], NDArray[np.int64]], ...]  # device, rows of the answer, their points


class Connected:
    """A session at work. `close` it in the end."""

    def __init__(self, session: Session, deliver: Deliver, timeout_s: float) -> None:
        self.session = session
        self.types = Types()
        self._reads = Reads(session)
        self._subscriptions = Subscriptions(session, deliver, timeout_s)
        self._slots = Slots()
        self._plans: dict[tuple[object, ...], _Plan] = {}

    @property
    def silent_too_long(self) -> bool:
        """True when the server should have sent a keep-alive and did not."""
        return self._subscriptions.silent_too_long

    async def begin(self, devices: Sequence[Device], *, subscribe: bool) -> None:
        """Take devices on. Errors: `ReadError`."""
        for device in devices:
            points = device.source.points
            device.node_ids = [self.session.resolve((p.node or "").replace("{device}", device.name)) for p in points]
            device.read_ids, device.refused = device.node_ids, set()
            device.shaping.types = self.types
        await self._learn(devices)
        for device in devices:
            if device.connection.registered:
                await self._register(device)
        if subscribe:
            await self._watch([d for d in devices if d.subscribes])
        self._plans.clear()

    async def drop(self, devices: Sequence[Device]) -> None:
        """Let devices go: what still comes of them has no owner. Errors: `ReadError`."""
        handles = [h for d in devices if d.subscribes for h in self._slots.drop(d)]
        self._plans.clear()
        await self._subscriptions.unwatch(handles)

    async def read(self, due: Sequence[Device], *, every_point: bool = False) -> list[Share]:
        """One batched read for all of them. Errors: `ReadError`."""
        if self.types.wanted:
            await learn_wanted(self._reads, self.types)
        plan = self._plan(due, every_point=every_point)
        values = await self._reads.read(plan.prepared)
        if len(plan.parts) == 1:
            return [Share(plan.parts[0][0], values, plan.parts[0][2])]
        return [Share(device, values.chosen(rows), points) for device, rows, points in plan.parts]

    def shares(self, notification: Notification) -> Iterator[Share]:
        """The values of a notification by device."""
        for values in notification.values:
            yield from self._slots.shares(values)

    def owner(self, handle: int) -> tuple[Device, int] | None:
        """Whose point a handle is."""
        return self._slots.owner(handle)

    def owners(self, handles: Sequence[int]) -> Mapping[Device, list[int]]:
        """Whose points these handles are."""
        found: dict[Device, list[int]] = {}
        for handle in handles:
            owner = self._slots.owner(handle)
            if owner is not None:
                found.setdefault(owner[0], []).append(owner[1])
        return found

    async def close(self) -> None:
        """End subscriptions and session."""
        await self._subscriptions.close()
        await self.session.close()

    def _plan(self, due: Sequence[Device], *, every_point: bool) -> _Plan:
        key = (every_point, *due)
        plan = self._plans.get(key)
        if plan is None:
            nodes: list[ua.NodeId | None] = []
            parts = []
            for device in due:
                points = device.values if every_point else device.reads
                rows = np.arange(len(nodes), len(nodes) + len(points))
                parts.append((device, rows, np.array(points, np.int64)))
                nodes += [device.read_ids[i] for i in points]
            plan = self._plans[key] = _Plan(prepare(nodes), tuple(parts))
        return plan

    async def _learn(self, devices: Sequence[Device]) -> None:
        """The data types of text points and of points with a path; the others are numbers, whatever the server calls them."""
        asked = [
            (d, i, node)
            for d in devices
            for i in d.values
            if (d.source.points[i].type == "str" or d.source.points[i].element) and (node := d.node_ids[i]) is not None
        ]
        if not asked:
            return
        found = await learn(self._reads, self.types, [node for _, _, node in asked])
        structures = []
        for (device, point, node), type_id in zip(asked, found, strict=True):
            described = self.types.of(type_id) if type_id else None
            if isinstance(described, Mapping):
                device.shaping.names[point] = described
            elif isinstance(described, Structure) or type_id in ("i=22", "i=24"):
                structures.append(node)
        await self._learn_subtypes(structures)

    async def _learn_subtypes(self, nodes: Sequence[ua.NodeId]) -> None:
        """A structure may be a subtype of its variable's type: look at one value of each before the first is stored."""
        for _ in range(3):
            if not nodes:
                return
            with contextlib.suppress(ReadError):  # what cannot be read now is bad, with its cause, when it is read
                for raw in (await self._reads.read(prepare(nodes))).raws():
                    with contextlib.suppress(Undescribed, Malformed, RecursionError):
                        self.types.plain(raw)
            if not self.types.wanted:
                return
            await learn_wanted(self._reads, self.types)

    async def _register(self, device: Device) -> None:
        rows = [i for i in device.reads if device.node_ids[i] is not None]
        registered = await self._reads.register([n for i in rows if (n := device.node_ids[i]) is not None])
        device.read_ids = list(device.node_ids)
        for row, node in zip(rows, registered, strict=True):
            device.read_ids[row] = node

    async def _watch(self, devices: Sequence[Device]) -> None:
        """Watch the points; what the server will not watch is read each interval instead."""
        await self._find_deaf(devices)
        watches = [w for d in devices for w in self._watches(d)]
        if not watches:
            return
        try:
            refused = await self._subscriptions.watch(watches)
        except ReadError as err:
            if err.outcome is not Outcome.DEVICE_FAILURE or not self.session.alive:
                raise
            log.warning(
                "服务器拒绝订阅, 改为定时成批读取 subscriptions refused, reading in batches instead",
                server=self.session.where,
                why=str(err),
            )
            refused = [w.index for w in watches if not self._subscriptions.watches(w.index)]
        for device, points in self.owners(refused).items():
            device.refused |= set(points)

    async def _find_deaf(self, devices: Sequence[Device]) -> None:
        """Event points whose node tells no events: EventNotifier without SubscribeToEvents (IEC 62541-3 §8.59). Some servers take
        the subscription all the same, and then there is silence."""
        asked = [(d, i, d.node_ids[i]) for d in devices for i, p in enumerate(d.source.points) if p.events is not None]
        values = await self._reads.read(prepare([node for _, _, node in asked], int(AttributeIds.EventNotifier)))
        for (device, point, node), raw in zip(asked, values.raws(), strict=True):
            if node is None or not isinstance(raw, int) or not raw & 1:
                device.refused.add(point)
                log.warning(
                    "该节点不提供事件和报警, 检查 node 是否为事件通知者 (no events from this node)",
                    server=self.session.where,
                    device=device.name,
                    node=device.source.points[point].node,
                )

    def _watches(self, device: Device) -> Iterator[Watch]:
        first = self._slots.add(device)
        for i, point in enumerate(device.source.points):
            if point.events is None:
                continue
            node = device.node_ids[i]
            if node is not None and i not in device.refused:
                wanted = event_filter(conditions_only=point.events == "conditions")
                yield Watch(first + i, node, device.connection.sampling_ms, EVENT_QUEUE, events=wanted)
        for i in device.values:
            node = device.node_ids[i]
            if node is None:
                device.refused.add(i)  # read as Bad_NodeIdUnknown each interval
                continue
            point = device.source.points[i]
            deadband = None
            if point.deadband_absolute is not None:
                deadband = ("absolute", float(point.deadband_absolute))
            elif point.deadband_percent is not None:
                deadband = ("percent", float(point.deadband_percent))
            yield Watch(first + i, node, device.connection.sampling_ms, device.connection.queue, deadband)
