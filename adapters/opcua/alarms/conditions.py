"""What the conditions (报警) of a notifier are after a connect, by reading: ConditionRefresh is a method call, and we make none.

In: a notifier. Out: the last event of each condition instance below it, put together from the instance's own variables (EventId, Time,
ActiveState/Id …: IEC 62541-9 §5.5), as `events.py` would have told it. Found by browsing HasEventSource and HasNotifier, then
HasCondition; the variables by TranslateBrowsePathsToNodeIds. A server without condition instances in its address space (they are
optional) has nothing to read: there a condition is known from its next event on.
Told is what is news: a condition whose EventId is another than the last one known, or, when none is known, one that still stands
(Retain, and not inactive). An event that was read here and then comes as a notification too is stored once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from adapters.opcua.alarms.events import FIELDS, KEYS, Event, event_of
from adapters.opcua.reads import Reads, prepare
from adapters.opcua.session import Session

CONDITIONS_MOST = 500
_SOURCES_MOST = 500
_AT_ONCE = 100
_KNOWN_MOST = 20_000
_PAGES_MOST = 50
_HAS_EVENT_SOURCE, _HAS_CONDITION = ObjectIds.HasEventSource, ObjectIds.HasCondition

Key = tuple[str, int, str]  # device, point, condition


class Conditions:
    """What was told of the conditions behind one server."""

    def __init__(self) -> None:
        self._known: dict[Key, str] = {}  # the newest event id
        self._read: dict[Key, str] = {}  # of those, read and not notified

    def is_news(self, device: str, point: int, event: Event) -> bool:
        """A notification came: False when its event was read and stored already."""
        if event.condition is None or event.event_id is None:
            return True
        key = (device, point, event.condition)
        self._remember(key, event.event_id)
        return self._read.get(key) != event.event_id

    def news(self, device: str, point: int, events: Sequence[Event]) -> list[Event]:
        """Of events that were read, those to store."""
        found = []
        for event in events:
            if event.condition is None or event.event_id is None or event.time_us is None:
                continue
            key = (device, point, event.condition)
            known = self._known.get(key)
            if known != event.event_id and (known is not None or event.stands):
                self._remember(key, event.event_id)
                self._read[key] = event.event_id
                found.append(event)
        return found

    def _remember(self, key: Key, event_id: str) -> None:
        if len(self._known) >= _KNOWN_MOST:
            self._known.clear()
            self._read.clear()
        self._known[key] = event_id


async def read_conditions(session: Session, notifier: ua.NodeId, now_us: int) -> list[Event]:
    """The last event of each condition below a notifier. Errors: `ReadError`."""
    reads = Reads(session)
    conditions = await _find(reads, session, notifier)
    events = []
    for start in range(0, len(conditions), _AT_ONCE // 4):
        part = conditions[start : start + _AT_ONCE // 4]
        events += await _read(reads, session, part, now_us)
    return events


async def _find(reads: Reads, session: Session, notifier: ua.NodeId) -> list[ua.NodeId]:
    sources = {notifier: None}
    front = [notifier]
    while front and len(sources) < _SOURCES_MOST:
        below = await _targets(reads, session, front, _HAS_EVENT_SOURCE)
        front = [n for n in dict.fromkeys(below) if n not in sources]
        sources |= dict.fromkeys(front)
    found = await _targets(reads, session, list(sources)[:_SOURCES_MOST], _HAS_CONDITION)
    return list(dict.fromkeys(found))[:CONDITIONS_MOST]


async def _targets(reads: Reads, session: Session, nodes: Sequence[ua.NodeId], reference: int) -> list[ua.NodeId]:
    """Nodes that these nodes refer to, forwards, by the reference type or a subtype."""
    found: list[ua.NodeId] = []
    for start in range(0, len(nodes), _AT_ONCE):
        parameters = ua.BrowseParameters(RequestedMaxReferencesPerNode=ua.Counter(0))
        parameters.NodesToBrowse = [_browse(n, reference) for n in nodes[start : start + _AT_ONCE]]
        results = await reads.browse(parameters)
        for page in range(_PAGES_MOST):
            found += [r.NodeId for result in results for r in result.References or [] if _is_local(r.NodeId)]
            rest = [r.ContinuationPoint for r in results if r.ContinuationPoint]
            enough = len(found) >= _SOURCES_MOST or page == _PAGES_MOST - 1
            if not rest:
                break
            results = await _browse_next(reads, session, rest, release=enough)
            if enough:
                break
    return [ua.NodeId(n.Identifier, n.NamespaceIndex, n.NodeIdType) for n in found]


async def _browse_next(reads: Reads, session: Session, rest: list[bytes], *, release: bool) -> list[ua.BrowseResult]:
    parameters = ua.BrowseNextParameters(ReleaseContinuationPoints=release, ContinuationPoints=rest)
    return await reads.ask(lambda: session.client.uaclient.session.browse_next(parameters))


async def _read(reads: Reads, session: Session, conditions: Sequence[ua.NodeId], now_us: int) -> list[Event]:
    """The fields of these conditions, translated to nodes and read."""
    keys = [k for k in KEYS if FIELDS[k][1]]
    paths = [_path(c, FIELDS[k][1]) for c in conditions for k in keys]
    nodes: list[ua.NodeId | None] = []
    for start in range(0, len(paths), _AT_ONCE):
        part = paths[start : start + _AT_ONCE]
        results = await reads.ask(partial(session.client.uaclient.session.translate_browsepaths_to_nodeids, part))
        nodes += [_target(r) for r in results]
    if len(nodes) != len(paths):
        return []
    raws = (await reads.read(prepare(nodes))).raws()
    events = []
    for k, condition in enumerate(conditions):
        fields = dict(zip(keys, raws[k * len(keys) : (k + 1) * len(keys)], strict=True))
        fields["condition_id"] = condition.to_string()
        events.append(event_of([fields.get(key) for key in KEYS], session.namespaces, now_us))
    return events


def _browse(node: ua.NodeId, reference: int) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.Int32(reference)),
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(0),
        ResultMask=ua.UInt32(0),
    )


def _path(node: ua.NodeId, names: Sequence[str]) -> ua.BrowsePath:
    path = ua.BrowsePath(StartingNode=node)
    path.RelativePath.Elements = [
        ua.RelativePathElement(
            ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
            IsInverse=False,  # type: ignore[arg-type]
            IncludeSubtypes=True,  # type: ignore[arg-type]
            TargetName=ua.QualifiedName(name, ua.UInt16(0)),
        )
        for name in names
    ]
    return path


def _target(result: ua.BrowsePathResult) -> ua.NodeId | None:
    if not result.StatusCode.is_good() or not result.Targets:
        return None
    target = result.Targets[0].TargetId
    return ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType) if _is_local(target) else None


def _is_local(node: ua.NodeId) -> bool:
    return not getattr(node, "ServerIndex", 0) and not getattr(node, "NamespaceUri", None)
