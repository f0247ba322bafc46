"""Recorded machines behind one OPC UA server: each recorded row becomes one DataValue with its recorded SourceTimestamp.

In: recordings, a port. Out: `OpcUaReplay`; `advance(until_us)` writes what had been delivered by then, in order, and returns when
the subscriptions of every client have acknowledged it. Before its first row a variable is Bad_WaitingForInitialData.
ProductUri `urn:plantproof:replay`. asyncua drops the oldest value of a full queue without saying so: `advance` therefore
stops every few rows until all queues have been sent, long before one could be full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from simulators.opcua_machine import NAMESPACE, listen, new_server, node_id
from simulators.recordings import Recording

REPLAY_URI = "urn:plantproof:replay"
QUEUE = 10_000  # what the register asks for (`queue`), and asyncua's own limit
_BURST = 2_000  # rows between two empty queues: far below a queue, and a message that a client decodes in a blink
_WAITING = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadWaitingForInitialData)))
_SEND_TIMEOUT_S = 120.0
_LOOK_AGAIN_S = 0.001


class OpcUaReplay:
    """Recorded machines behind one endpoint."""

    def __init__(self, recordings: Mapping[str, Recording], *, port: int = 0) -> None:
        self._recordings = recordings
        self._port = port
        self._server = Server()
        self._nodes: dict[tuple[str, str], ua.NodeId] = {}

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    async def start(self) -> None:
        """A folder per machine, a variable per tag; listen."""
        self._server = await new_server("PlantProof replay", REPLAY_URI)
        index = await self._server.register_namespace(NAMESPACE)
        for machine, recording in self._recordings.items():
            folder = await self._server.nodes.objects.add_folder(
                node_id(machine, index), ua.QualifiedName(machine, ua.UInt16(index))
            )
            for tag in recording.tags():
                name = ua.QualifiedName(tag, ua.UInt16(index))
                node = await folder.add_variable(node_id(f"{machine}.{tag}", index), name, "", ua.VariantType.String)
                await self._server.write_attribute_value(node.nodeid, _WAITING)
                self._nodes[machine, tag] = node.nodeid
        self._port = await listen(self._server, self._port)

    async def stop(self) -> None:
        """Close every session."""
        await self._server.stop()

    async def advance(self, until_us: int) -> int:
        """Publish every row delivered by that moment; how many. Errors: `TimeoutError` when a client acknowledges nothing for 120 s."""
        count = 0
        for machine, recording in self._recordings.items():
            for row in recording.take(until_us):
                node = self._nodes[machine, row.tag]
                await self._server.write_attribute_value(node, _recorded(row.value, row.at))
                count += 1
                if count % _BURST == 0:
                    await self._sent()
        await self._sent(acknowledged=True)
        return count

    async def _sent(self, *, acknowledged: bool = False) -> None:
        """Until no subscription holds anything back (`acknowledged`: nor waits for an acknowledgement); none waits for its interval.

        Each is told to publish once: without a publish request at hand, asyncua does it when the next one comes. To ask it again and
        again would count as publishing cycles without a client, and the subscription would expire.
        """
        await asyncio.sleep(0)
        service: Any = self._server.iserver.subscription_service
        for subscription in list(service.subscriptions.values()):
            if subscription._triggered_datachanges:
                await subscription.publish_results()
        async with asyncio.timeout(_SEND_TIMEOUT_S):
            while any(_holds(s, acknowledged=acknowledged) for s in service.subscriptions.values()):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(_LOOK_AGAIN_S)


def _holds(subscription: Any, *, acknowledged: bool) -> bool:
    waiting = subscription._triggered_datachanges or (acknowledged and subscription._not_acknowledged_results)
    return bool(waiting)


class _Recorded(ua.DataValue):
    """A value that nobody changes: asyncua copies each value deeply for each subscription, four fifths of the time of a replay."""

    def __deepcopy__(self, _memo: object) -> Self:
        return self


def _recorded(text: str, at: datetime) -> ua.DataValue:
    stamp: Any = at  # asyncua's DateTime is a datetime that only its decoder makes
    return _Recorded(ua.Variant(text, ua.VariantType.String), SourceTimestamp=stamp)
