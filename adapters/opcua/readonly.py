"""Reading only: the one gate through which every request of a session leaves, and the services it lets pass.

In: asyncua's `send_request`. Out: the same, refusing (`WriteRefused`, a bug of ours, never a machine's fault) any service that could change
something at the server: Write, HistoryUpdate, Call, AddNodes, DeleteNodes, references, RegisterServer (IEC 62541-4 §5).
What passes besides reads changes nothing but our own session, its subscriptions and its registered nodes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asyncua.ua.object_ids import ObjectIds

_SERVICES = (
    "FindServers", "GetEndpoints", "CreateSession", "ActivateSession", "CloseSession",
    "Read", "HistoryRead", "Browse", "BrowseNext", "TranslateBrowsePathsToNodeIds", "RegisterNodes", "UnregisterNodes",
    "CreateSubscription", "ModifySubscription", "SetPublishingMode", "Publish", "Republish", "TransferSubscriptions", "DeleteSubscriptions",
    "CreateMonitoredItems", "ModifyMonitoredItems", "SetMonitoringMode", "DeleteMonitoredItems",
)  # fmt: skip
READS = frozenset(int(getattr(ObjectIds, f"{name}Request_Encoding_DefaultBinary")) for name in _SERVICES)

Send = Callable[..., Awaitable[Any]]


class WriteRefused(Exception):
    """A request that does more than read; it has not left the process."""


def reading_only(send: Send) -> Send:
    """`send`, for requests of `READS` only."""

    async def checked(request: Any, *args: Any, **named: Any) -> Any:
        if request.TypeId.Identifier not in READS:
            raise WriteRefused(f"{type(request).__name__}: 只读采集, 不发送 (reading only: this request is not sent)")
        return await send(request, *args, **named)

    return checked
