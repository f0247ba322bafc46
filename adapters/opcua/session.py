"""One OPC UA session: connect, who the server is, how much it takes at once, batched reads. Reads only, no write, no method call.

In: an endpoint, and the security of its connection (`security/policy.py`). Out: readings; or `ReadError`, each library and status error
translated to its outcome (`faults.py`); a session that could not be opened is an `OpenError`.
Operation limits (MaxNodesPerRead and others; IEC 62541-5 §6.3.11) are read first and honoured; a server that still says
Bad_TooManyOperations gets half. Namespace indices change between starts: `nsu=` node ids are resolved anew on each connect.
The session timeout that the server grants is honoured: a session that nobody uses is kept alive in time (IEC 62541-4 §5.6.2).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Self

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from adapters.batch import NO_TIME, Outcome
from adapters.contract import ReadError
from adapters.opcua import services
from adapters.opcua.faults import TOO_MUCH, OpenError, opcua_error, status_name
from adapters.opcua.security.certificates import host_name
from adapters.opcua.security.policy import Security
from adapters.opcua.transport import BoundedClient
from adapters.opcua.values.columns import Values
from adapters.opcua.values.reading import Reading

_BAD_NODE_ID_UNKNOWN = 0x8034_0000
_KEEP_ALIVE_S = 30.0  # ours, decoded within limits; the library's costs more than the values (research/protocols.md §2)
_NO_WATCHDOG_S = 86_400.0
_SESSION_TIMEOUT_S = 60
_CHANNEL_LIFETIME_MS = 3_600_000
_READS_AT_ONCE = 1000
_CLOSE_S = 1.5
_FACT_MOST = 1000  # characters of a name the server gives itself; what it says is stored with each identity
_FACTS = {
    "application_uri": ObjectIds.Server_ServerArray,
    "product_uri": ObjectIds.Server_ServerStatus_BuildInfo_ProductUri,
    "manufacturer_name": ObjectIds.Server_ServerStatus_BuildInfo_ManufacturerName,
    "product_name": ObjectIds.Server_ServerStatus_BuildInfo_ProductName,
    "software_version": ObjectIds.Server_ServerStatus_BuildInfo_SoftwareVersion,
    "build_number": ObjectIds.Server_ServerStatus_BuildInfo_BuildNumber,
}
_LIMITS = {
    "read": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "monitor": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "register": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes,
    "items": ObjectIds.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
}
_REDUNDANCY = ObjectIds.Server_ServerRedundancy_RedundancySupport
_SERVICE_LEVEL = ObjectIds.Server_ServiceLevel


class Session:
    """An open session. `lost` is set once, when the connection or the session is gone."""

    def __init__(self, client: BoundedClient, where: str, on_lost: Callable[[], None]) -> None:
        self.where = where
        self.client = client
        self.lost = asyncio.Event()
        self.facts: tuple[tuple[str, str], ...] = ()
        self.monitor_limit = _READS_AT_ONCE
        self.register_limit = _READS_AT_ONCE
        self.item_limit = 0  # monitored items of one subscription; 0: the server names no limit
        self.read_limit = _READS_AT_ONCE
        self.namespaces: list[str] = []
        self._timeouts = 0
        self._on_lost = on_lost
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        endpoint: str,
        timeout_s: float,
        on_lost: Callable[[], None],
        security: Security | None = None,
        session_timeout_s: int = _SESSION_TIMEOUT_S,
    ) -> Self:
        """Connect, create and activate a session, read limits and identity. Errors: `OpenError`."""
        where = endpoint.removeprefix("opc.tcp://").rstrip("/")
        client = _client(endpoint, where, timeout_s, session_timeout_s, security)
        session = cls(client, where, on_lost)

        async def lost(_: Exception) -> None:
            session.mark_lost()

        client.connection_lost_callback = lost
        try:
            async with asyncio.timeout(4 * timeout_s):
                if security is not None:
                    await security.prepare(client, where)
                await client.connect()
                await session._learn()
        except BaseException as err:
            await session.close()
            if not isinstance(err, Exception):
                raise
            raise await _open_error(err, client, where, security) from err
        session._keeper = asyncio.create_task(session._keep_alive())
        session.facts = tuple(sorted((*session.facts, *(security.facts if security is not None else ()))))
        return session

    @property
    def alive(self) -> bool:
        """True until the connection or the session is known to be gone."""
        return not self.lost.is_set()

    def mark_lost(self) -> None:
        """The session cannot be used any more; whoever owns it is told once."""
        if not self.lost.is_set():
            self.lost.set()
            self._on_lost()

    def resolve(self, text: str) -> ua.NodeId | None:
        """A node id text (`ns=2;s=X`, `nsu=urn:x;s=X`, `i=85`) in this session's namespaces; None when there is no such namespace."""
        if text.startswith("nsu="):
            uri, _, rest = text[4:].partition(";")
            if uri not in self.namespaces:
                return None
            text = f"ns={self.namespaces.index(uri)};{rest}"
        try:
            return ua.NodeId.from_string(text)
        except (UaError, ValueError):
            return None

    async def read(self, nodes: Sequence[ua.NodeId | None]) -> list[Reading]:
        """Readings in the order of the nodes; None gives Bad_NodeIdUnknown without asking. Errors: `ReadError`."""
        asked = [n for n in nodes if n is not None]
        answers = iter(await self._read(asked))
        unknown = Reading(None, _BAD_NODE_ID_UNKNOWN, None)
        return [unknown if n is None else next(answers) for n in nodes]

    async def read_redundancy(self) -> tuple[int, str]:
        """ServiceLevel, 255 where there is none, and RedundancySupport such as "hot" (IEC 62541-5 §6.3.7). Errors: `ReadError`."""
        level, support = (r.raw for r in await self._read([_node(_SERVICE_LEVEL), _node(_REDUNDANCY)]))
        names = {int(s): s.name.rstrip("_").lower() for s in ua.RedundancySupport}
        name = names.get(support, "none") if isinstance(support, int) else "none"
        return (level if isinstance(level, int) else 255), name

    async def close(self) -> None:
        """Close session, channel and socket, within 2 s whatever the server does."""
        self.lost.set()
        closed = False
        try:
            if self._keeper is not None:
                self._keeper.cancel()
                await asyncio.gather(self._keeper, return_exceptions=True)
            with contextlib.suppress(Exception):  # the peer is gone or talks nonsense
                async with asyncio.timeout(_CLOSE_S):
                    await self.client.disconnect()
                    closed = True
        finally:  # cancelled too: the socket is what is left to close
            if not closed:
                with contextlib.suppress(Exception):
                    self.client.disconnect_socket()

    async def _learn(self) -> None:
        limits, facts = list(_LIMITS.values()), list(_FACTS.values())
        readings = await self._read([_node(i) for i in (ObjectIds.Server_NamespaceArray, *limits, *facts)])
        spaces, most_read, most_monitored, most_registered, most_items = (r.raw for r in readings[:5])
        self.namespaces = [str(uri) for uri in spaces] if isinstance(spaces, list) else []
        self.read_limit = _limit(most_read)
        self.monitor_limit = _limit(most_monitored)
        self.register_limit = _limit(most_registered)
        self.item_limit = most_items if isinstance(most_items, int) else 0
        found = []
        for name, reading in zip(_FACTS, readings[5:], strict=True):
            raw = reading.raw[0] if isinstance(reading.raw, list) and reading.raw else reading.raw
            if isinstance(raw, str) and raw:
                found.append((name, raw if len(raw) <= _FACT_MOST else raw[:_FACT_MOST] + "…"))
        self.facts = tuple(sorted(found))

    async def _keep_alive(self) -> None:
        """Ask for the server's state three times within the session timeout that it granted, at least each half minute."""
        every_s = max(0.1, min(_KEEP_ALIVE_S, self.client.session_timeout / 3000))
        while self.alive:
            await asyncio.sleep(every_s)
            with contextlib.suppress(ReadError):  # `failure` has marked the loss
                await self._read([_node(ObjectIds.Server_ServerStatus_State)])

    async def _read(self, nodes: list[ua.NodeId]) -> list[Reading]:
        readings: list[Reading] = []
        while len(readings) < len(nodes):
            part = nodes[len(readings) : len(readings) + self.read_limit]
            try:
                found = _readings(await services.read(self.client, services.prepared_read(part), len(part)))
            except Exception as err:
                if status_name(err) in TOO_MUCH and len(part) > 1:
                    self.read_limit = len(part) // 2
                    continue
                raise self.failure(err) from err
            self.answered()
            readings += found
        return readings

    def answered(self) -> None:
        """The server answered a request."""
        self._timeouts = 0

    def failure(self, err: Exception) -> ReadError:
        """What a failed request means; a session that cannot be used any more is marked lost."""
        failure = opcua_error(err, self.where)
        if self.client.fault is not None and not status_name(err):
            failure = self.client.fault
        self._timeouts += failure.outcome is Outcome.TIMEOUT
        if failure.outcome in (Outcome.DISCONNECTED, Outcome.PROTOCOL) or self._timeouts >= 2:
            self.mark_lost()
        return failure


def _client(endpoint: str, where: str, timeout_s: float, session_s: int, security: Security | None) -> BoundedClient:
    client = BoundedClient(_with_port(endpoint), where, timeout_s, _NO_WATCHDOG_S, security)
    client.name = client.description = "PlantProof"
    client.application_uri = f"urn:{host_name()}:plantproof:collector"
    client.product_uri = "urn:plantproof:collector"
    client.session_timeout, client.secure_channel_timeout = session_s * 1000, _CHANNEL_LIFETIME_MS
    return client


async def _open_error(err: Exception, client: BoundedClient, where: str, security: Security | None) -> OpenError:
    """What to say and record of a session that could not be opened."""
    if isinstance(err, OpenError):
        return err
    if security is not None and (words := await security.explain(err, client, where)):
        return words
    if client.fault is not None and not status_name(err):
        return OpenError(client.fault.outcome, str(client.fault))
    failure = opcua_error(err, where)
    return OpenError(failure.outcome, str(failure), absent=not client.acknowledged)


def _readings(values: Values) -> list[Reading]:
    rows = zip(values.raws(), values.status.tolist(), values.source_us.tolist(), values.server_us.tolist(), strict=True)
    return [
        Reading(raw, status, None if at == NO_TIME else at, False, None if known == NO_TIME else known)
        for raw, status, at, known in rows
    ]


def _node(identifier: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(identifier))


def _limit(raw: object) -> int:
    return min(raw, _READS_AT_ONCE) if isinstance(raw, int) and raw > 0 else _READS_AT_ONCE


def _with_port(endpoint: str) -> str:
    host, _, path = endpoint.removeprefix("opc.tcp://").partition("/")
    has_port = ":" in host.rpartition("]")[2]
    return endpoint if has_port else f"opc.tcp://{host}:4840/{path}".rstrip("/")
