"""HistoryRead of one session: which nodes have a history, and raw values page by page (IEC 62541-11 §6.5.3). Reads only.

In: nodes and a time range. Out: `Page`s, one per node and request: values as columns, oldest first, and the continuation point of the
rest. Asked once per session: MaxNodesPerHistoryReadData (IEC 62541-5 §6.3.11), and of each node the AccessLevel bit HistoryRead
(IEC 62541-3 §8.57). A request asks for at most 5000 values over all its nodes, so that neither the server nor we are held up by one
answer; a server that says it is too much, or an answer in which something cannot be read, gets half the nodes.
What is not read to its end is released. Errors: `ReadError`. A node's own refusal is its page's `status`, never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from adapters.batch import Outcome
from adapters.opcua.faults import TOO_MUCH, opcua_error, status_name
from adapters.opcua.reads import Reads, translated
from adapters.opcua.session import Session
from adapters.opcua.values.binary import Malformed, Reader, node_id
from adapters.opcua.values.columns import Values, values_of
from adapters.opcua.values.responses import response_header

NODES_MOST = 50  # per request, also where the server would take more
VALUES_MOST = 5000  # per request, over all its nodes
_HISTORY_READ = 0x04  # AccessLevelType bit 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMIT_NODE = ua.NodeId(ua.Int32(ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData))
_RESPONSE = f"i={ObjectIds.HistoryReadResponse_Encoding_DefaultBinary}"
_DATA = f"i={ObjectIds.HistoryData_Encoding_DefaultBinary}"
_NONE = np.zeros(0, np.int64)
EMPTY = Values(_NONE, np.zeros(0, np.uint32), _NONE, _NONE, ())


@dataclass(frozen=True, slots=True)
class Range:
    """[start_us, end_us], as it is asked for; whether the end is in it differs from server to server."""

    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One node's part of an answer. `rest`: continuation point, None when there is no more. `full`: as many values as asked for."""

    status: str  # name of a Bad status, else empty
    values: Values
    rest: bytes | None
    full: bool


class HistoryReader:
    """The history services of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.where = session.where
        self._reads = Reads(session)
        self._limit = 0  # nodes per request; 0: not asked yet
        self._can: dict[ua.NodeId, bool] = {}

    async def learn(self, nodes: Sequence[ua.NodeId]) -> None:
        """Ask what is not known yet of these nodes. Errors: `ReadError`."""
        unknown = [n for n in dict.fromkeys(nodes) if n not in self._can]
        if unknown and not self._limit:
            (most,) = (await self._reads.read_attribute([_LIMIT_NODE], int(AttributeIds.Value))).raws()
            self._limit = min(most, NODES_MOST) if isinstance(most, int) and most > 0 else NODES_MOST
        levels = (await self._reads.read_attribute(unknown, int(AttributeIds.AccessLevel))).raws() if unknown else []
        self._can |= {n: isinstance(a, int) and bool(a & _HISTORY_READ) for n, a in zip(unknown, levels, strict=True)}

    def can(self, node: ua.NodeId) -> bool:
        """True when the node has a history that may be read; False also while it was not asked."""
        return self._can.get(node, False)

    def cannot(self, node: ua.NodeId) -> None:
        """The node refused: it is not asked again in this session."""
        self._can[node] = False

    @property
    def limit(self) -> int:
        """Nodes per request."""
        return max(1, self._limit)

    async def read(self, nodes: Sequence[tuple[ua.NodeId, bytes | None]], span: Range) -> list[Page]:
        """One request; the nodes with their continuation points (None for the first page). At most `limit` nodes.

        Empty when the server says it is too much, or something in the answer cannot be read: `limit` is halved, ask again.
        Errors: `ReadError`.
        """
        most = VALUES_MOST // len(nodes)
        try:
            return history_response(await self._send(nodes, span, most, release=False), len(nodes), most)
        except Exception as err:
            found = translated(err, self.where)
            failure = opcua_error(found, self.where)
            if len(nodes) > 1 and (status_name(found) in TOO_MUCH or failure.outcome is Outcome.PROTOCOL):
                self._limit = len(nodes) // 2
                return []
            raise failure from err

    async def release(self, nodes: Sequence[tuple[ua.NodeId, bytes | None]], span: Range) -> None:
        """Give back continuation points that will not be used (IEC 62541-4 §5.11.3). Errors: `ReadError`."""
        try:
            await self._send(nodes, span, 1, release=True)
        except Exception as err:
            raise opcua_error(translated(err, self.where), self.where) from err

    async def _send(
        self, nodes: Sequence[tuple[ua.NodeId, bytes | None]], span: Range, most: int, *, release: bool
    ) -> bytes:
        request = ua.HistoryReadRequest()
        request.Parameters.HistoryReadDetails = ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=_EPOCH + timedelta(microseconds=span.start_us),
            EndTime=_EPOCH + timedelta(microseconds=span.end_us),
            NumValuesPerNode=ua.Counter(most),
            ReturnBounds=False,
        )
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.ReleaseContinuationPoints = release
        request.Parameters.NodesToRead = [ua.HistoryReadValueId(NodeId=n, ContinuationPoint=c) for n, c in nodes]
        protocol = self.session.client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("not connected")
        return bytes(await protocol.send_request(request))


def history_response(body: bytes, count: int, most: int) -> list[Page]:
    """The pages of a HistoryReadResponse, in order. Errors: `Fault`, `Malformed`."""
    reader = Reader(body)
    response_header(reader, _RESPONSE)
    found = reader.count(9)
    if found != count:
        raise Malformed(f"应答个数不符 (expected {count} results, found {found})")
    return [_page(reader, most) for _ in range(count)]


def _page(reader: Reader, most: int) -> Page:
    """HistoryReadResult (IEC 62541-4 §5.11.3)."""
    status = reader.u32()
    rest = reader.chunk()
    kind, encoding = node_id(reader), reader.u8()
    values = EMPTY
    if encoding:
        end = reader.at + 4 + reader.i32()
        if not reader.at <= end <= len(reader.data):
            raise Malformed("expected history data within its message")
        if kind == _DATA and encoding == 1:
            values = values_of(reader, handles=False)
        reader.at = end
    name = str(ua.StatusCode(ua.UInt32(status)).name) if status >> 31 else ""
    return Page(name, values, rest or None, len(values) >= most)
