"""Monitored items: what is asked of the server for a point, and what it makes of it.

In: points to watch (`Watch`). Out: requests, and how each was answered: the item's id, or that the server would not.
Trigger StatusValueTimestamp: a value written again with a new stamp is a new fact (IEC 62541-4 §7.22.2); with a deadband the standard
makes that StatusValue. A filter the server does not know is left out step by step: first the deadband, then the trigger; said once.
Queue: what can be sampled between two publishes, plus a reserve for our own fdatasync and a busy network; the oldest is discarded, so
that the overflow bit marks the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from adapters.opcua.faults import TOO_MUCH, status_name
from adapters.opcua.session import Session

log = structlog.get_logger(__name__)

QUEUE_RESERVE_MS = 30_000
_QUEUE_LEAST = 16
_FULL = {"BadTooManyMonitoredItems", "BadTooManyOperations", "BadOutOfMemory", "BadResourceUnavailable"}


@dataclass(frozen=True, slots=True)
class Watch:
    """A point to watch: a handle of ours, its node, its sampling interval, its queue (0: computed).

    deadband: ("absolute" | "percent", value). events: the filter of an event notifier, whose events come instead of values.
    """

    index: int
    node: ua.NodeId
    sampling_ms: int
    queue: int = 0
    deadband: tuple[str, float] | None = None
    events: ua.EventFilter | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A watch and the server's item; None where it would not. `full`: because it has no room for more."""

    watch: Watch
    item: int | None
    full: bool = False


def queue_size(sampling_ms: int, publishing_ms: int) -> int:
    """Values that can gather between two publishes, and through a reserve of 30 s."""
    return max(_QUEUE_LEAST, -(-(publishing_ms + QUEUE_RESERVE_MS) // sampling_ms) + 1)


class Items:
    """The monitored items of one subscription."""

    def __init__(self, session: Session, subscription: int, publishing_ms: int) -> None:
        self._session = session
        self._subscription = subscription
        self._publishing_ms = publishing_ms

    async def create(self, watches: Sequence[Watch]) -> list[Made]:
        """Ask for all of them, as many at once as the server takes. Errors: asyncua's."""
        made: list[Made] = []
        while len(made) < len(watches):
            part = watches[len(made) : len(made) + self._session.monitor_limit]
            try:
                made += await self._create(part)
            except Exception as err:
                if status_name(err) not in TOO_MUCH or len(part) == 1:
                    raise
                self._session.monitor_limit = len(part) // 2
        return made

    async def delete(self, items: Sequence[int]) -> None:
        """End items. Errors: asyncua's."""
        limit = self._session.monitor_limit
        for start in range(0, len(items), limit):
            ids = [ua.IntegerId(i) for i in items[start : start + limit]]
            parameters = ua.DeleteMonitoredItemsParameters(self._subscription_id, ids)
            await self._session.client.uaclient.session.delete_monitored_items(parameters)

    @property
    def _subscription_id(self) -> ua.IntegerId:
        return ua.IntegerId(self._subscription)

    async def _create(self, part: Sequence[Watch]) -> list[Made]:
        """With every filter; then without deadband for those that are refused for it; then without any."""
        answers: dict[int, ua.MonitoredItemCreateResult] = {}
        left = list(part)
        for step in ("deadband", "trigger", ""):
            results = await self._request(left, step)
            answers |= {w.index: r for w, r in zip(left, results, strict=True)}
            refused = [w for w in left if not w.events and "Filter" in answers[w.index].StatusCode.name]
            if not refused or not step:
                break
            _say_without(refused, step, self._session.where)
            left = refused
        self._say_smaller([(w, answers[w.index]) for w in part])
        return [_made(w, answers[w.index]) for w in part]

    async def _request(self, watches: Sequence[Watch], step: str) -> list[ua.MonitoredItemCreateResult]:
        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=self._subscription_id,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[self._item(w, step) for w in watches],
        )
        return await self._session.client.uaclient.session.create_monitored_items(parameters)

    def _item(self, watch: Watch, step: str) -> ua.MonitoredItemCreateRequest:
        attribute = AttributeIds.Value if watch.events is None else AttributeIds.EventNotifier
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor = ua.ReadValueId(NodeId=watch.node, AttributeId=ua.IntegerId(attribute))
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters = ua.MonitoringParameters(
            ClientHandle=ua.IntegerId(watch.index),
            SamplingInterval=ua.Duration(watch.sampling_ms if watch.events is None else 0),
            QueueSize=ua.Counter(self._queue(watch)),
            DiscardOldest=True,
        )
        if watch.events is not None:
            item.RequestedParameters.Filter = watch.events
        elif step:
            item.RequestedParameters.Filter = _filter(watch.deadband if step == "deadband" else None)
        return item

    def _queue(self, watch: Watch) -> int:
        return watch.queue or queue_size(watch.sampling_ms, self._publishing_ms)

    def _say_smaller(self, answers: Sequence[tuple[Watch, ua.MonitoredItemCreateResult]]) -> None:
        granted = [(self._queue(w), int(r.RevisedQueueSize)) for w, r in answers if r.StatusCode.is_good()]
        small = [(asked, got) for asked, got in granted if got < asked]
        if small:
            log.warning(
                "服务器缩小了队列, 突发时可能丢值 the server made the queues smaller",
                server=self._session.where,
                points=len(small),
                asked=max(asked for asked, _ in small),
                granted=min(got for _, got in small),
            )


def _filter(deadband: tuple[str, float] | None) -> ua.DataChangeFilter:
    if deadband is None:
        return ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
    kind = ua.DeadbandType.Absolute if deadband[0] == "absolute" else ua.DeadbandType.Percent
    return ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=ua.UInt32(kind), DeadbandValue=ua.Double(deadband[1])
    )


def _made(watch: Watch, result: ua.MonitoredItemCreateResult) -> Made:
    if result.StatusCode.is_good():
        return Made(watch, int(result.MonitoredItemId))
    return Made(watch, None, full=result.StatusCode.name in _FULL)


def _say_without(refused: Sequence[Watch], step: str, where: str) -> None:
    with_deadband = [w for w in refused if w.deadband]
    if step == "deadband" and with_deadband:
        log.warning(
            "服务器不支持死区, 这些测点按全部变化采集 no deadband on this server, every change is collected",
            server=where,
            points=len(with_deadband),
        )
    if step == "trigger":
        log.warning("服务器不支持时间戳触发 no StatusValueTimestamp trigger", server=where, points=len(refused))
