"""One OPC UA session: connect, who the server is, how much it takes at once, batched reads. Reads only, no write, no method call.

In: an endpoint. Out: readings; or `ReadError`, each library and status error translated to its outcome (`opcua_error`).
Operation limits (MaxNodesPerRead, MaxMonitoredItemsPerCall; IEC 62541-5 §6.3.11) are read first and honoured; a server that still says
Bad_TooManyOperations gets half. Namespace indices change between starts: `nsu=` node ids are resolved anew on each connect.
A connection that is lost right after it opened is looked at once more, to tell another protocol on that port from a lost line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Self

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.network import network_error, protocol_error, timeout_error
from adapters.opcua.reading import Reading, reading_of

_BAD_NODE_ID_UNKNOWN = 0x8034_0000
_WATCHDOG_S = 30.0  # the library's default of 1 s costs more CPU than the values (research/protocols.md §2)
_SESSION_TIMEOUT_MS = 120_000  # weak servers keep dead sessions until then
_READS_AT_ONCE = 1000
_CLOSE_S = 1.5
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
}
_TOO_MUCH = {"BadTooManyOperations", "BadResponseTooLarge", "BadRequestTooLarge", "BadEncodingLimitsExceeded"}
_OUTCOMES = {
    Outcome.DENIED: (
        "BadUserAccessDenied BadIdentityTokenInvalid BadIdentityTokenRejected BadUserSignatureInvalid "
        "BadSecurityChecksFailed BadSecurityPolicyRejected BadSecurityModeRejected BadSecurityModeInsufficient"
    ),
    Outcome.TIMEOUT: "BadTimeout BadRequestTimeout",
    Outcome.DISCONNECTED: (
        "BadConnectionClosed BadServerNotConnected BadSecureChannelClosed BadSecureChannelIdInvalid BadSessionIdInvalid "
        "BadSessionClosed BadSessionNotActivated BadShutdown BadServerHalted BadCommunicationError"
    ),
    Outcome.PROTOCOL: "BadTcpMessageTypeInvalid BadTcpEndpointUrlInvalid BadProtocolVersionUnsupported BadDecodingError",
}
_BY_NAME = {name: outcome for outcome, names in _OUTCOMES.items() for name in names.split()}


class Session:
    """An open session. `lost` is set once, when the connection or the session is gone."""

    def __init__(self, client: Client, where: str, on_lost: Callable[[], None]) -> None:
        self.where = where
        self.client = client
        self.lost = asyncio.Event()
        self.facts: tuple[tuple[str, str], ...] = ()
        self.monitor_limit = _READS_AT_ONCE
        self._read_limit = _READS_AT_ONCE
        self._namespaces: list[str] = []
        self._timeouts = 0
        self._on_lost = on_lost

    @classmethod
    async def open(cls, endpoint: str, timeout_s: float, on_lost: Callable[[], None]) -> Self:
        """Connect, create and activate a session, read limits and identity. Errors: `ReadError`."""
        where = endpoint.removeprefix("opc.tcp://").rstrip("/")
        client = Client(_with_port(endpoint), timeout=timeout_s, watchdog_intervall=_WATCHDOG_S)
        client.name = client.description = "PlantProof"
        client.application_uri, client.product_uri = "urn:plantproof:collector", "urn:plantproof:collector"
        client.session_timeout = _SESSION_TIMEOUT_MS
        session = cls(client, where, on_lost)

        async def lost(_: Exception) -> None:
            session.mark_lost()

        client.connection_lost_callback = lost
        try:
            async with asyncio.timeout(3 * timeout_s):
                await client.connect()
                await session._learn()
        except BaseException as err:
            await session.close()
            if not isinstance(err, Exception):
                raise
            failure = opcua_error(err, where)
            if failure.outcome is Outcome.DISCONNECTED:
                failure = await _look_again(client, where, timeout_s) or failure
            raise failure from err
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
            if uri not in self._namespaces:
                return None
            text = f"ns={self._namespaces.index(uri)};{rest}"
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

    async def close(self) -> None:
        """Close session, channel and socket, within 2 s whatever the server does."""
        self.lost.set()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.client.disconnect()
        except Exception:  # the peer is gone or talks nonsense: the socket is what is left to close
            with contextlib.suppress(Exception):
                self.client.disconnect_socket()

    async def _learn(self) -> None:
        limits, facts = list(_LIMITS.values()), list(_FACTS.values())
        ids = [ObjectIds.Server_NamespaceArray, *limits, *facts]
        readings = await self._read([ua.NodeId(ua.Int32(i)) for i in ids])
        spaces, most_read, most_monitored = (r.raw for r in readings[:3])
        self._namespaces = [str(uri) for uri in spaces] if isinstance(spaces, list) else []
        self._read_limit = _limit(most_read)
        self.monitor_limit = _limit(most_monitored)
        found = []
        for name, reading in zip(_FACTS, readings[3:], strict=True):
            raw = reading.raw[0] if isinstance(reading.raw, list) and reading.raw else reading.raw
            if isinstance(raw, str) and raw:
                found.append((name, raw))
        self.facts = tuple(sorted(found))

    async def _read(self, nodes: list[ua.NodeId]) -> list[Reading]:
        readings: list[Reading] = []
        while len(readings) < len(nodes):
            part = nodes[len(readings) : len(readings) + self._read_limit]
            try:
                answers = await self.client.uaclient.session.read(_read_parameters(part))
            except Exception as err:
                if _status_name(err) in _TOO_MUCH and len(part) > 1:
                    self._read_limit = len(part) // 2
                    continue
                raise self._failure(err) from err
            self._timeouts = 0
            readings += [reading_of(a) for a in answers]
            if len(answers) != len(part):
                raise ReadError(
                    Outcome.PROTOCOL, f"{self.where}: 应答个数不符 (expected {len(part)}, found {len(answers)})"
                )
        return readings

    def _failure(self, err: Exception) -> ReadError:
        failure = opcua_error(err, self.where)
        self._timeouts += failure.outcome is Outcome.TIMEOUT
        if failure.outcome in (Outcome.DISCONNECTED, Outcome.PROTOCOL) or self._timeouts >= 2:
            self.mark_lost()
        return failure


def opcua_error(err: Exception, where: str) -> ReadError:
    """Whatever asyncua raises -> the outcome to record."""
    if isinstance(err, ReadError):
        return err
    if isinstance(err, TimeoutError):
        return timeout_error(where)
    if isinstance(err, OSError):
        return network_error(err, where)
    name = _status_name(err)
    if name:
        outcome = _BY_NAME.get(name, Outcome.DENIED if name.startswith("BadCertificate") else Outcome.DEVICE_FAILURE)
        return ReadError(outcome, f"{where}: 服务器应答 {name} (the server says {name})")
    if "No matching endpoints" in str(err):
        return ReadError(
            Outcome.DENIED, f"{where}: 服务器不允许无加密连接 (expected an endpoint without security, found none)"
        )
    return ReadError(Outcome.PROTOCOL, f"{where}: 应答无法理解 (not understood: {type(err).__name__}: {err})")


def _status_name(err: Exception) -> str:
    return str(ua.StatusCode(ua.UInt32(err.code)).name) if isinstance(err, UaStatusCodeError) else ""


def _read_parameters(nodes: list[ua.NodeId]) -> ua.ReadParameters:
    asked = [ua.ReadValueId(NodeId=n, AttributeId=ua.IntegerId(AttributeIds.Value)) for n in nodes]
    return ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn.Source, NodesToRead=asked)


def _limit(raw: object) -> int:
    return min(raw, _READS_AT_ONCE) if isinstance(raw, int) and raw > 0 else _READS_AT_ONCE


def _with_port(endpoint: str) -> str:
    host, _, path = endpoint.removeprefix("opc.tcp://").partition("/")
    has_port = ":" in host.rpartition("]")[2]
    return endpoint if has_port else f"opc.tcp://{host}:4840/{path}".rstrip("/")


async def _look_again(client: Client, where: str, timeout_s: float) -> ReadError | None:
    """Say Hello by hand and look at the first bytes: an OPC UA server answers ACKF or ERRF (IEC 62541-6 §7.1)."""
    url = client.server_url.geturl().encode()
    hello = b"".join(n.to_bytes(4, "little") for n in (0, 65535, 65535, 0, 0, len(url))) + url
    message = b"HELF" + (8 + len(hello)).to_bytes(4, "little") + hello
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(client.server_url.hostname, client.server_url.port)
            writer.write(message)
            await writer.drain()
            first = await reader.read(64)
    except OSError:
        return None
    finally:
        if writer is not None:
            writer.close()
    if not first or first[:4] in (b"ACKF", b"ERRF"):
        return None
    return protocol_error(where, "OPC UA", first)
