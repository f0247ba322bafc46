"""Reads of one session: prepared once, sent each interval, cut to what the server takes at once.

In: node ids (None: a namespace that this server does not have). Out: `Values` in their order; or `ReadError`.
MaxNodesPerRead is honoured, and halved when the server says that a request or its answer is too large (`TOO_MUCH`); each part keeps its
own nodes, so no value can come under another one's node. `register` asks for handles that are quicker to read (RegisterNodes,
IEC 62541-4 §5.9.5) and falls back to the nodes themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import structlog
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaStatusCodeError
from numpy.typing import NDArray

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.opcua import services
from adapters.opcua.faults import TOO_MUCH, status_name
from adapters.opcua.session import Session
from adapters.opcua.values.binary import Malformed
from adapters.opcua.values.columns import Values, empty, joined
from adapters.opcua.values.responses import Fault

log = structlog.get_logger(__name__)

BAD_NODE_ID_UNKNOWN = 0x8034_0000
_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class Prepared:
    """A read of these nodes; `rows` are the places of those that can be asked for."""

    nodes: list[ua.NodeId]
    rows: NDArray[np.intp]
    count: int
    attribute: int = int(AttributeIds.Value)
    parts: list[tuple[bytes, int]] = field(default_factory=list)
    limit: int = 0  # the parts were cut to


def prepare(nodes: Sequence[ua.NodeId | None], attribute: int = int(AttributeIds.Value)) -> Prepared:
    """A read that can be sent again and again."""
    rows = np.array([i for i, n in enumerate(nodes) if n is not None], np.intp)
    return Prepared([n for n in nodes if n is not None], rows, len(nodes), attribute)


class Reads:
    """What one session is asked for."""

    def __init__(self, session: Session) -> None:
        self.where = session.where
        self._session = session

    async def read(self, prepared: Prepared) -> Values:
        """All of them, in their order; Bad_NodeIdUnknown where there is nothing to ask. Errors: `ReadError`."""
        while True:
            limit = self._session.read_limit
            if prepared.limit != limit:
                cut = [prepared.nodes[i : i + limit] for i in range(0, len(prepared.nodes), limit)]
                stamps = services.BOTH if prepared.attribute == int(AttributeIds.Value) else services.NO_STAMPS
                prepared.parts = [(services.prepared_read(c, prepared.attribute, stamps), len(c)) for c in cut]
                prepared.limit = limit
            try:
                found = joined([await self._part(raw, count) for raw, count in prepared.parts])
            except _Smaller:
                continue
            if len(prepared.rows) == prepared.count:
                return found
            if not prepared.parts:
                return empty(prepared.count, BAD_NODE_ID_UNKNOWN)
            return found.spread(prepared.rows, prepared.count, BAD_NODE_ID_UNKNOWN)

    async def read_attribute(self, nodes: Sequence[ua.NodeId], attribute: int) -> Values:
        """One attribute of each node. Errors: `ReadError`."""
        return await self.read(prepare(nodes, attribute))

    async def browse(self, parameters: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """References of nodes. Errors: `ReadError`."""
        return await self.ask(lambda: self._session.client.uaclient.session.browse(parameters))

    async def register(self, nodes: Sequence[ua.NodeId]) -> list[ua.NodeId]:
        """The nodes as the server would rather be asked for them; the nodes themselves where it will not."""
        found: list[ua.NodeId] = []
        limit = self._session.register_limit
        try:
            for start in range(0, len(nodes), limit):
                part = list(nodes[start : start + limit])
                answer = await self._session.client.uaclient.session.register_nodes(part)
                if len(answer) != len(part):
                    raise Malformed(f"expected {len(part)} nodes, found {len(answer)}")
                found += answer
        except Exception as err:
            failure = self._session.failure(err)
            if not self._session.alive:
                raise failure from err
            log.warning(
                "服务器不支持登记节点, 按原节点读取 nodes not registered, read by their own ids",
                server=self.where,
                why=str(failure),
            )
            return list(nodes)
        return found

    async def ask(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Any request of this session, its errors translated. Errors: `ReadError`."""
        try:
            return await request()
        except Exception as err:
            raise self._session.failure(translated(err, self.where)) from err

    async def _part(self, raw: bytes, count: int) -> Values:
        try:
            values = await services.read(self._session.client, raw, count)
        except Exception as err:
            failed = translated(err, self.where)
            if status_name(failed) in TOO_MUCH and count > 1:
                self._session.read_limit = max(1, min(self._session.read_limit, count) // 2)
                raise _Smaller from err
            raise self._session.failure(failed) from err
        self._session.answered()
        return values


class _Smaller(Exception):
    """The parts were too large for the server."""


def translated(err: Exception, where: str) -> Exception:
    """Our decoder's errors in asyncua's words."""
    if isinstance(err, Fault):
        return UaStatusCodeError(err.status)  # type: ignore[no-untyped-call]
    if isinstance(err, Malformed):
        return ReadError(Outcome.PROTOCOL, f"{where}: 应答无法解码 (the answer cannot be decoded: {err})")
    return err
