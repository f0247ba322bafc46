"""Subscriptions of one session: monitored items whose queues are large enough, and every notification handed on before the next.

In: the points to watch, with their sampling intervals. Out: `Notification`s, through `deliver`, in the server's order.
Trigger StatusValueTimestamp: a value written again with a new stamp is a new fact (IEC 62541-4 §7.22.2). Queue: what can be sampled
between two publishes, plus a reserve for our own fdatasync and a busy network; DiscardOldest, so the overflow bit marks the loss.
`deliver` returns when its rows are durable; only then is the next publish request sent and the last one acknowledged. Nothing is
queued here, so nothing can be dropped here: the server's own queue waits, and says so when it overflows.
Missing sequence numbers are asked for again (Republish), and told as a loss when the server no longer has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from adapters.contract import ReadError
from adapters.opcua.reading import Reading, reading_of
from adapters.opcua.session import Session, opcua_error

log = structlog.get_logger(__name__)

PUBLISHING_MS = 1000
QUEUE_RESERVE_MS = 30_000
_QUEUE_LEAST = 16
_KEEP_ALIVE_S = 10
_LIFETIME_S = 300
_REPUBLISH_MOST = 100


@dataclass(frozen=True, slots=True)
class Watch:
    """A point to watch: an index of ours, its node, its sampling interval, its queue (0: computed)."""

    index: int
    node: ua.NodeId
    sampling_ms: int
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Notification:
    """Readings in the server's order; `lost` lists the points of a message that is gone for good."""

    readings: tuple[tuple[int, Reading], ...]
    lost: tuple[int, ...] = ()


Deliver = Callable[[Notification], Awaitable[None]]


def queue_size(sampling_ms: int, publishing_ms: int) -> int:
    """Values that can gather between two publishes, and through a reserve of 30 s."""
    return max(_QUEUE_LEAST, -(-(publishing_ms + QUEUE_RESERVE_MS) // sampling_ms) + 1)


class Subscriptions:
    """All subscriptions of one session, one per sampling interval."""

    def __init__(self, session: Session, deliver: Deliver) -> None:
        self._session = session
        self._deliver = deliver
        self._watched: dict[int, tuple[int, ...]] = {}  # subscription id -> indices
        self._sequence: dict[int, int] = {}
        self._heard = asyncio.get_running_loop().time()
        self._delivering = False

    @property
    def silent_too_long(self) -> bool:
        """True when not even a keep-alive came for three of its periods: the server forgot us."""
        idle_s = asyncio.get_running_loop().time() - self._heard
        return bool(self._watched) and not self._delivering and idle_s > 3 * _KEEP_ALIVE_S

    async def create(self, watches: Iterable[Watch]) -> list[int]:
        """Create subscriptions and items; returns the indices the server would not watch. Errors: `ReadError`."""
        groups: dict[int, list[Watch]] = {}
        for watch in watches:
            groups.setdefault(watch.sampling_ms, []).append(watch)
        refused: list[int] = []
        try:
            for sampling_ms, group in groups.items():
                refused += await self._create_one(sampling_ms, group)
        except ReadError:
            raise
        except Exception as err:
            raise opcua_error(err, self._session.where) from err
        return refused

    async def _create_one(self, sampling_ms: int, group: list[Watch]) -> list[int]:
        publishing_ms = max(PUBLISHING_MS, sampling_ms)
        uaclient = self._session.client.uaclient.session
        result = await uaclient.create_subscription(_subscription_parameters(publishing_ms), self._on_publish)
        sub = int(result.SubscriptionId)
        self._watched[sub] = tuple(w.index for w in group)
        refused: list[int] = []
        size = queue_size(sampling_ms, int(result.RevisedPublishingInterval) or publishing_ms)
        for start in range(0, len(group), self._session.monitor_limit):
            part = group[start : start + self._session.monitor_limit]
            refused += await self._create_items(sub, part, size)
        return refused

    async def _create_items(self, sub: int, part: list[Watch], size: int) -> list[int]:
        uaclient = self._session.client.uaclient.session
        results = await uaclient.create_monitored_items(_item_parameters(sub, part, size, with_filter=True))
        again = [w for w, r in zip(part, results, strict=True) if "Filter" in r.StatusCode.name]
        if again:
            log.warning(
                "服务器不支持时间戳触发 no StatusValueTimestamp trigger", server=self._session.where, points=len(again)
            )
            more = await uaclient.create_monitored_items(_item_parameters(sub, again, size, with_filter=False))
            by_index = {w.index: r for w, r in zip(again, more, strict=True)}
            results = [by_index.get(w.index, r) for w, r in zip(part, results, strict=True)]
        granted = [
            (w.queue or size, int(r.RevisedQueueSize))
            for w, r in zip(part, results, strict=True)
            if r.StatusCode.is_good()
        ]
        small = [g for asked, g in granted if g < asked]
        if small:
            log.warning(
                "服务器缩小了队列, 突发时可能丢值 the server made the queues smaller",
                server=self._session.where,
                asked=size,
                granted=min(small),
            )
        return [w.index for w, r in zip(part, results, strict=True) if not r.StatusCode.is_good()]

    async def _on_publish(self, result: ua.PublishResult) -> None:
        """One publish response. asyncua sends the next request, with our acknowledgement, when this returns."""
        self._delivering = True
        try:
            sub = int(result.SubscriptionId)
            message = result.NotificationMessage
            for data in message.NotificationData or []:
                if isinstance(data, ua.StatusChangeNotification):
                    self._session.mark_lost()  # the subscription or the session is no more: connect anew
            if not message.NotificationData:
                return
            missing = self._missing(sub, int(message.SequenceNumber))
            for number in missing[:_REPUBLISH_MOST]:
                await self._recover(sub, number)
            if len(missing) > _REPUBLISH_MOST:
                await self._deliver(Notification((), self._watched.get(sub, ())))
            await self._deliver(Notification(_readings(message)))
        finally:
            self._delivering = False
            self._heard = asyncio.get_running_loop().time()

    async def _recover(self, sub: int, number: int) -> None:
        try:
            message = await self._session.client.uaclient.session.republish(sub, number)
        except Exception as err:
            log.warning("通知丢失 a notification is lost", server=self._session.where, number=number, why=str(err))
            await self._deliver(Notification((), self._watched.get(sub, ())))
        else:
            await self._deliver(Notification(_readings(message)))

    def _missing(self, sub: int, number: int) -> list[int]:
        last = self._sequence.get(sub)
        self._sequence[sub] = number
        return list(range(last + 1, number)) if last is not None and number > last + 1 else []


def _readings(message: ua.NotificationMessage) -> tuple[tuple[int, Reading], ...]:
    return tuple(
        (int(item.ClientHandle), reading_of(item.Value))
        for data in message.NotificationData or []
        if isinstance(data, ua.DataChangeNotification)
        for item in data.MonitoredItems
    )


def _subscription_parameters(publishing_ms: int) -> ua.CreateSubscriptionParameters:
    keep_alive = max(1, _KEEP_ALIVE_S * 1000 // publishing_ms)
    return ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=ua.Duration(publishing_ms),
        RequestedLifetimeCount=ua.Counter(max(3 * keep_alive, _LIFETIME_S * 1000 // publishing_ms)),
        RequestedMaxKeepAliveCount=ua.Counter(keep_alive),
        MaxNotificationsPerPublish=ua.Counter(0),
        PublishingEnabled=True,
    )


def _item_parameters(sub: int, part: list[Watch], size: int, *, with_filter: bool) -> ua.CreateMonitoredItemsParameters:
    trigger = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
    items = []
    for watch in part:
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor = ua.ReadValueId(NodeId=watch.node, AttributeId=ua.IntegerId(AttributeIds.Value))
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters = ua.MonitoringParameters(
            ClientHandle=ua.IntegerId(watch.index),
            SamplingInterval=ua.Duration(watch.sampling_ms),
            QueueSize=ua.Counter(watch.queue or size),
            DiscardOldest=True,
        )
        if with_filter:
            item.RequestedParameters.Filter = trigger
        items.append(item)
    return ua.CreateMonitoredItemsParameters(
        SubscriptionId=ua.IntegerId(sub), TimestampsToReturn=ua.TimestampsToReturn.Source, ItemsToCreate=items
    )
