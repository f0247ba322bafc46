"""One device behind an OPC UA server: what is read of it, what was last known, its health; and the handles its points are known by.

In: a `Source`, readings. Out: rows. A device whose points are all Bad has failed; a server that does not answer fails each of its devices.
`Slots` gives every point a handle for the monitored items of one session. A handle is never given twice, so that what still comes for
a device that was taken out of the register has no owner, and can come under no other tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import structlog
from asyncua import ua
from numpy.typing import NDArray

from adapters.batch import GOOD, Batch, Outcome
from adapters.contract import Clock, OnState, ReadError
from adapters.health import Health
from adapters.opcua.recall import Recall
from adapters.opcua.values.columns import Values
from adapters.opcua.values.shape import Shaping, shaped
from adapters.rows import Rows, failed_batch
from adapters.template import Source
from config.connections import OpcUa

log = structlog.get_logger(__name__)

BAD_NOT_SUPPORTED = 0x803D_0000
STORING_MOST = 4  # reads whose rows are still on their way to the disk; one more is passed over, and counted


class Device:
    """One device of the server."""

    def __init__(self, source: Source, clock: Clock, on_state: OnState | None) -> None:
        self.shaping = Shaping()
        shapes = [
            shaped(i, p, c, self.shaping) for i, (p, c) in enumerate(zip(source.points, source.casts, strict=True))
        ]
        self.source = replace(source, casts=tuple(shapes))
        self.connection = cast(OpcUa, source.connection)
        self.health = Health(source.device, clock, log, on_state)
        self.recall = Recall(self.source)
        self.node_ids: list[ua.NodeId | None] = [None] * len(source.points)
        self.read_ids: list[ua.NodeId | None] = self.node_ids  # registered ones, where the server has them
        self.refused: set[int] = set()  # points that the server will not watch
        self.reading = False
        self.storing = 0
        self.skipped = 0
        self.started_us = 0
        self._values = tuple(i for i, p in enumerate(source.points) if p.events is None)
        self._clock = clock

    @property
    def name(self) -> str:
        """The device's id."""
        return self.source.device

    @property
    def values(self) -> tuple[int, ...]:
        """Points that have a value: all but event notifiers."""
        return self._values

    @property
    def subscribes(self) -> bool:
        """True when the register wants its points watched."""
        return self.connection.mode == "subscribe"

    @property
    def reads(self) -> tuple[int, ...]:
        """Points read each interval."""
        if not self.subscribes:
            return self._values
        confirmed = set(self.source.confirmed_points) & set(self._values) or set(self._values[:1])
        return tuple(sorted(confirmed | (self.refused & set(self._values))))

    @property
    def notifiers(self) -> tuple[tuple[int, ua.NodeId], ...]:
        """Event points that the server tells events of, with their nodes."""
        events = ((i, self.node_ids[i]) for i, p in enumerate(self.source.points) if p.events is not None)
        return tuple((i, node) for i, node in events if node is not None and i not in self.refused)

    @property
    def deaf(self) -> tuple[int, ...]:
        """Event points whose events the server will not tell, or whose notifier it does not have."""
        events = (i for i, p in enumerate(self.source.points) if p.events is not None)
        return tuple(i for i in events if i in self.refused)

    @property
    def is_late(self) -> bool:
        """True while a read that began half an interval ago or more has not ended."""
        return self._clock.now_us() - self.started_us >= self.source.interval_s * 500_000

    def start(self) -> bool:
        """Begin a read; False when the rows of the ones before are still not on disk, which is counted and said."""
        if self.storing < STORING_MOST:
            self.reading, self.started_us = True, self._clock.now_us()
            return True
        self.skipped += 1
        if self.skipped in (1, 10, 100) or self.skipped % 1000 == 0:
            log.warning(
                "写盘太慢, 跳过了本次读取 the store is slow, a read was passed over",
                device=self.name,
                skipped=self.skipped,
                storing=self.storing,
            )
        return False

    def failed(self, err: ReadError) -> Batch:
        """Note the failure and make its row."""
        self.health.failed(err.outcome, str(err))
        return failed_batch(self.name, self.source.template, self._clock.now_us(), err.outcome)

    def overrun(self) -> Batch:
        """The row of an interval in which the read before it had not ended."""
        failure = self.health.failure
        outcome = failure.outcome if failure is not None else Outcome.TIMEOUT
        return failed_batch(self.name, self.source.template, self._clock.now_us(), outcome)

    def answered(self, values: Values, points: NDArray[np.int64]) -> Batch | None:
        """Rows of a read that the server answered."""
        status = values.status
        if bool((status >> 31 == 1).all()):
            self.health.failed(
                Outcome.DEVICE_FAILURE,
                f"{self.name}: 所有测点质量为坏 (every point is Bad, first 0x{int(status[0]):08X})",
            )
        else:
            self.health.contact()
        watched = None
        if self.subscribes:
            watched = np.array([p not in self.refused for p in points.tolist()], np.bool_)
        return self.recall.read(values, points, self._clock.now_us(), watched)

    def confirmed(self) -> Batch | None:
        """The row of an interval for a device that has nothing to read: the server answered."""
        self.health.contact()
        rows = Rows(self.name, self.source.template)
        now_us = self._clock.now_us()
        rows.event(0, None, GOOD, now_us, now_us, Outcome.CONFIRMED)
        return rows.batch()

    def unheard(self) -> Batch | None:
        """Bad rows of event points that the server will not tell: no event is not the same as no news."""
        rows = Rows(self.name, self.source.template)
        now_us = self._clock.now_us()
        for point in self.deaf:
            rows.event(point, None, BAD_NOT_SUPPORTED, now_us, now_us)
        return rows.batch()

    def notified(self, values: Values, points: NDArray[np.int64]) -> Batch | None:
        """Rows of a notification: contact, when a value is good for something."""
        if not bool((values.status >> 31 == 1).all()):
            self.health.contact()
        return self.recall.notified(values, points, self._clock.now_us())

    def lost(self, points: Sequence[int]) -> Batch | None:
        """Rows of values that are gone for good."""
        return self.recall.lost(points, self._clock.now_us())


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What of a delivery is one device's: the values and their points."""

    device: Device
    values: Values
    points: NDArray[np.int64]


class Slots:
    """The handles of one session's points."""

    def __init__(self) -> None:
        self._devices: list[Device | None] = []
        self._first: dict[Device, int] = {}
        self._owner = np.zeros(0, np.intp)
        self._point = np.zeros(0, np.int64)

    def add(self, device: Device) -> int:
        """Handles for all points of a device, from the one returned on."""
        first = self._first[device] = len(self._owner)
        count = len(device.source.points)
        self._owner = np.concatenate([self._owner, np.full(count, len(self._devices))])
        self._point = np.concatenate([self._point, np.arange(count)])
        self._devices.append(device)
        return first

    def drop(self, device: Device) -> range:
        """The handles of a device that is gone; nobody owns them any more."""
        first = self._first.pop(device, None)
        if first is None:
            return range(0)
        self._devices[int(self._owner[first])] = None
        return range(first, first + len(device.source.points))

    def owner(self, handle: int) -> tuple[Device, int] | None:
        """Whose handle it is, and of which point."""
        if not 0 <= handle < len(self._owner):
            return None
        device = self._devices[int(self._owner[handle])]
        return None if device is None else (device, int(self._point[handle]))

    def shares(self, values: Values) -> Iterator[Share]:
        """A delivery by device, each in the server's order. What nobody owns is left out."""
        if bool((values.handle >= len(self._owner)).any()):
            values = values.chosen(np.flatnonzero(values.handle < len(self._owner)))
        if not len(values):
            return
        owner, point = self._owner[values.handle], self._point[values.handle]
        if bool((owner == owner[0]).all()):
            device = self._devices[int(owner[0])]
            if device is not None:
                yield Share(device, values, point)
            return
        order = np.argsort(owner, kind="stable")
        ends = np.flatnonzero(np.diff(owner[order])) + 1
        for rows in np.split(order, ends):
            device = self._devices[int(owner[rows[0]])]
            if device is not None:
                yield Share(device, values.chosen(rows), point[rows])
