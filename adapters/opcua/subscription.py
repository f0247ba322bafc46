"""Subscriptions of one session: few, with every notification handed on before it is acknowledged.

In: the points to watch. Out: `Notification`s, through `deliver`, in each subscription's order.
`deliver` takes over at once and is awaited until the rows are durable; only then is the next request sent, with the acknowledgement. Two
requests are under way for each subscription, so that one can be answered while another is stored. Nothing is queued here, so nothing
can be dropped here: the server's own queues wait, and say so when they overflow.
Missing sequence numbers are asked for again (Republish), and told as a loss when the server no longer has them.
A server that allows fewer subscriptions or items than wanted leaves points over: `watch` returns them, and they are read instead.
A subscription the server forgot (Bad_NoSubscription, a status change, no keep-alive in time) ends the session: connect anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from asyncua import ua

from adapters.contract import ReadError
from adapters.opcua import services
from adapters.opcua.faults import status_name
from adapters.opcua.items import Items, Made, Watch
from adapters.opcua.reads import translated
from adapters.opcua.session import Session
from adapters.opcua.values.columns import Values
from adapters.opcua.values.responses import Message

log = structlog.get_logger(__name__)

PUBLISHING_MS = 1000
_KEEP_ALIVE_S = 10
_LIFETIME_S = 300
_REPUBLISH_MOST = 100
_RETRY_S = 1.0
_UNDER_WAY = 2  # publish requests of one subscription: one being answered, one being stored
_NO_MORE = {"BadTooManySubscriptions", "BadOutOfMemory", "BadResourceUnavailable", "BadTooManyOperations"}


@dataclass(frozen=True, slots=True, eq=False)
class Notification:
    """Values in the server's order; `lost` lists the handles of a message that is gone for good; events as (handle, fields)."""

    values: tuple[Values, ...] = ()
    lost: tuple[int, ...] = ()
    events: tuple[tuple[int, tuple[object, ...]], ...] = ()


Deliver = Callable[[Notification], Awaitable[None]]  # begins when it is called


@dataclass(slots=True, eq=False)
class _Subscription:
    number: int
    publishing_ms: int
    keep_alive_s: float
    items: Items
    handles: dict[int, int] = field(default_factory=dict)  # handle -> monitored item
    sequence: int | None = None
    heard_s: float = 0.0
    full: bool = False
    order: asyncio.Lock = field(default_factory=asyncio.Lock)


class Subscriptions:
    """All subscriptions of one session. `close` it before the session."""

    def __init__(self, session: Session, deliver: Deliver, timeout_s: float) -> None:
        self._session = session
        self._deliver = deliver
        self._timeout_s = timeout_s
        self._all: dict[int, _Subscription] = {}
        self._acknowledge: list[tuple[int, int]] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._delivering = 0
        self._freed_s = 0.0  # when a lane was last free again after all had been storing
        self._lanes_most = 1000
        self._no_more = False

    @property
    def silent_too_long(self) -> bool:
        """True when not even a keep-alive came for twice its period: the server forgot us."""
        if self._delivering and self._delivering >= sum(not lane.done() for lane in self._lanes):
            return False  # nobody listens while all store
        now = asyncio.get_running_loop().time()
        heard = [(max(s.heard_s, self._freed_s), s) for s in self._all.values()]
        return any(now - at_s > 2 * s.keep_alive_s + self._timeout_s for at_s, s in heard)

    async def watch(self, watches: Sequence[Watch]) -> list[int]:
        """Begin to watch; returns the handles the server would not watch. Errors: `ReadError`."""
        left = list(watches)
        refused: list[int] = []
        try:
            while left:
                subscription = self._room_for(left) or await self._create(left)
                if subscription is None:
                    break
                mine = [w for w in left if subscription.publishing_ms <= self._publishing_ms([w]) or self._no_more]
                mine = mine[: self._free(subscription)]
                made = await subscription.items.create(mine)
                full = self._take(subscription, made)
                refused += [m.watch.index for m in made if m.item is None and not m.full]
                taken = {m.watch.index for m in made if not m.full}
                left = [w for w in left if w.index not in taken]
                subscription.full |= full
        except ReadError:
            raise
        except Exception as err:
            raise self._session.failure(translated(err, self._session.where)) from err
        if left:
            log.warning(
                "服务器不再接受订阅, 其余测点改为定时读取 no more subscriptions or items, the other points are read instead",
                server=self._session.where,
                points=len(left),
            )
        return refused + [w.index for w in left]

    def watches(self, handle: int) -> bool:
        """True when the server has an item for it."""
        return any(handle in s.handles for s in self._all.values())

    async def unwatch(self, handles: Sequence[int]) -> None:
        """End watching. Errors: `ReadError`; what still comes of them has no owner any more."""
        for subscription in self._all.values():
            items = [i for h in handles if (i := subscription.handles.pop(h, None)) is not None]
            if not items:
                continue
            subscription.full = False
            try:
                await subscription.items.delete(items)
            except Exception as err:
                raise self._session.failure(translated(err, self._session.where)) from err

    async def close(self) -> None:
        """End the publish requests. The server drops the subscriptions with the session."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    def _publishing_ms(self, watches: Sequence[Watch]) -> int:
        return max(PUBLISHING_MS, min(w.sampling_ms for w in watches))

    def _free(self, subscription: _Subscription) -> int:
        limit = self._session.item_limit
        return max(0, limit - len(subscription.handles)) if limit else 1 << 30

    def _room_for(self, watches: Sequence[Watch]) -> _Subscription | None:
        """A subscription that publishes often enough and is not full."""
        wanted = max(self._publishing_ms([w]) for w in watches)
        able = [s for s in self._all.values() if not s.full and self._free(s)]
        return next((s for s in able if s.publishing_ms <= wanted or self._no_more), None)

    async def _create(self, watches: Sequence[Watch]) -> _Subscription | None:
        """Another subscription; None when the server has no more (with one at least) or refuses them altogether."""
        if self._no_more or any(s.full and not s.handles for s in self._all.values()):
            return None
        publishing_ms = self._publishing_ms(watches)
        try:
            result = await services.create_subscription(self._session.client, _parameters(publishing_ms))
        except Exception as err:
            if not self._all or status_name(err) not in _NO_MORE:
                raise
            self._no_more = True
            return self._room_for(watches)
        revised_ms = float(result.RevisedPublishingInterval) or publishing_ms
        number = int(result.SubscriptionId)
        subscription = _Subscription(
            number,
            publishing_ms,
            max(1.0, revised_ms * int(result.RevisedMaxKeepAliveCount) / 1000),
            Items(self._session, number, int(revised_ms)),
            heard_s=asyncio.get_running_loop().time(),
        )
        self._all[number] = subscription
        for _ in range(_UNDER_WAY):
            if len(self._lanes) < self._lanes_most:
                self._lanes.add(asyncio.create_task(self._lane()))
        return subscription

    def _take(self, subscription: _Subscription, made: Sequence[Made]) -> bool:
        """Note the items; True when the server had no room for some."""
        subscription.handles |= {m.watch.index: m.item for m in made if m.item is not None}
        return any(m.full for m in made)

    async def _lane(self) -> None:
        """Publish requests one after the other, until the session ends."""
        try:
            await self._publish()
        except Exception:
            log.exception("订阅处理出错, 重新连接 subscription failed", server=self._session.where)
            self._session.mark_lost()

    async def _publish(self) -> None:
        while self._session.alive:
            acknowledged, self._acknowledge = self._acknowledge, []
            try:
                published = await services.publish(self._session.client, acknowledged)
            except Exception as err:
                if await self._over(translated(err, self._session.where)):
                    return
                self._acknowledge += acknowledged
                continue
            subscription = self._all.get(published.subscription)
            if subscription is None:
                continue
            subscription.heard_s = asyncio.get_running_loop().time()
            self._delivering += 1
            try:
                await self._hand_on(subscription, published.message)
            finally:
                now = asyncio.get_running_loop().time()
                if self._delivering >= sum(not lane.done() for lane in self._lanes):
                    self._freed_s = now
                self._delivering -= 1

    async def _over(self, err: Exception) -> bool:
        """A publish request failed; True when this lane ends."""
        name = status_name(err)
        if name == "BadTimeout":
            return False
        if name == "BadTooManyPublishRequests":
            if len([t for t in self._lanes if not t.done()]) > 1:
                self._lanes_most = len(self._lanes) - 1
                return True
            await asyncio.sleep(_RETRY_S)
            return False
        failure = self._session.failure(err)
        if self._session.alive:  # Bad_NoSubscription and whatever else leaves us without notifications
            log.warning("订阅失效, 重新连接 the subscription is gone", server=self._session.where, why=str(failure))
            self._session.mark_lost()
        return True

    async def _hand_on(self, subscription: _Subscription, message: Message) -> None:
        """Missing messages first, then this one; its acknowledgement goes with the next request after it is durable."""
        stored: list[Awaitable[None]] = []
        async with subscription.order:
            missing = self._missing(subscription, message)
            for number in missing[:_REPUBLISH_MOST]:
                stored.append(self._deliver(await self._recovered(subscription, number)))
            if len(missing) > _REPUBLISH_MOST:
                stored.append(self._deliver(Notification(lost=tuple(subscription.handles))))
            if not message.is_keep_alive:
                stored.append(self._deliver(Notification(message.values, events=message.events)))
        for each in stored:
            await each
        if message.is_keep_alive:
            return
        self._acknowledge.append((subscription.number, message.sequence))
        if message.status is not None:  # also a good one: the subscription was transferred to somebody else
            log.warning(
                "服务器结束了订阅, 重新连接 the server ended a subscription",
                server=self._session.where,
                status=f"0x{message.status:08X}",
            )
            self._session.mark_lost()

    def _missing(self, subscription: _Subscription, message: Message) -> range:
        """Numbers never seen before this message's; a keep-alive carries the number that comes next (IEC 62541-4 §5.14.1)."""
        last, number = subscription.sequence, message.sequence
        if not message.is_keep_alive:
            subscription.sequence = number
        elif last is not None and number > last + 1:
            subscription.sequence = number - 1
        return range(last + 1, number) if last is not None and number > last + 1 else range(0)

    async def _recovered(self, subscription: _Subscription, number: int) -> Notification:
        """A message once more, or that it is gone for good."""
        try:
            message = await services.republish(self._session.client, subscription.number, number)
        except Exception as err:
            log.warning("通知丢失 a notification is lost", server=self._session.where, number=number, why=str(err))
            return Notification(lost=tuple(subscription.handles))
        return Notification(message.values, events=message.events)


def _parameters(publishing_ms: int) -> ua.CreateSubscriptionParameters:
    keep_alive = max(1, _KEEP_ALIVE_S * 1000 // publishing_ms)
    return ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=ua.Duration(publishing_ms),
        RequestedLifetimeCount=ua.Counter(max(3 * keep_alive, _LIFETIME_S * 1000 // publishing_ms)),
        RequestedMaxKeepAliveCount=ua.Counter(keep_alive),
        MaxNotificationsPerPublish=ua.Counter(0),
        PublishingEnabled=True,
    )
