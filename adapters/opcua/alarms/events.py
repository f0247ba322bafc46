"""Events and conditions (报警) of a notifier: what is asked of the server, and each event as one JSON text (IEC 62541-9, 62541-4 §7.22.3).

In: the fields of an event, as `columns.py` decodes them. Out: source time (the event's Time), receive time, canonical JSON: sorted keys,
no spaces, fields without a value left out. The keys are those of `FIELDS`; node ids stand with their namespace's URI, since indices
change between starts of a server. `condition_id` joins the events of one condition: active, acknowledged, inactive are its transitions,
`event_id` tells them apart, `branch_id` is there for an older occurrence that still waits to be acknowledged.
`conditions` asks for events of ConditionType and its subtypes only, `all` for everything the notifier tells.
An event that says that the server dropped some (EventQueueOverflowEventType, RefreshRequiredEventType) is a loss, not an event.
Reads only: no ConditionRefresh, it is a method call; `conditions.py` reads what the conditions are after a connect.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from adapters.batch import BAD_NO_DATA, GOOD, UNCERTAIN, Outcome
from adapters.opcua.values.binary import Encoded
from adapters.opcua.values.columns import EARLIEST_US
from adapters.rows import Rows

_BASE, _CONDITION = ObjectIds.BaseEventType, ObjectIds.ConditionType
_ACKNOWLEDGEABLE, _ALARM = ObjectIds.AcknowledgeableConditionType, ObjectIds.AlarmConditionType
# JSON key -> the type that has the field, its browse path (empty: the condition's own node id)
FIELDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "event_id": (_BASE, ("EventId",)),
    "event_type": (_BASE, ("EventType",)),
    "source_node": (_BASE, ("SourceNode",)),
    "source_name": (_BASE, ("SourceName",)),
    "time": (_BASE, ("Time",)),
    "receive_time": (_BASE, ("ReceiveTime",)),
    "message": (_BASE, ("Message",)),
    "severity": (_BASE, ("Severity",)),
    "condition_id": (_CONDITION, ()),
    "condition_name": (_CONDITION, ("ConditionName",)),
    "branch_id": (_CONDITION, ("BranchId",)),
    "retain": (_CONDITION, ("Retain",)),
    "enabled": (_CONDITION, ("EnabledState", "Id")),
    "quality": (_CONDITION, ("Quality",)),
    "comment": (_CONDITION, ("Comment",)),
    "acked": (_ACKNOWLEDGEABLE, ("AckedState", "Id")),
    "confirmed": (_ACKNOWLEDGEABLE, ("ConfirmedState", "Id")),
    "active": (_ALARM, ("ActiveState", "Id")),
}
KEYS = tuple(FIELDS)
QUEUE = 1000  # events that the server keeps between two publishes
TEXT_MOST = 4000  # characters of one field; what is longer is cut and named under "cut"
_LOSSES = (f"i={ObjectIds.EventQueueOverflowEventType}", f"i={ObjectIds.RefreshRequiredEventType}")
_NODES = {"event_type", "source_node", "condition_id", "branch_id"}
_NULL_NODE = "i=0"
_AHEAD_MOST_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """One event. time_us, receive_us: None where the server gave none, or none that can be."""

    text: str
    time_us: int | None
    receive_us: int | None
    is_loss: bool
    event_id: str | None
    condition: str | None
    stands: bool  # Retain, and not inactive


def event_filter(*, conditions_only: bool) -> ua.EventFilter:
    """Every field of `FIELDS`; `conditions_only`: a where clause OfType ConditionType."""
    wanted = ua.EventFilter()
    wanted.SelectClauses = [_operand(type_id, path) for type_id, path in FIELDS.values()]
    if conditions_only:
        literal = ua.LiteralOperand(Value=ua.Variant(_node(_CONDITION)))
        element = ua.ContentFilterElement(FilterOperator=ua.FilterOperator.OfType, FilterOperands=[literal])
        wanted.WhereClause.Elements = [element]
    return wanted


def event_of(fields: Sequence[object], namespaces: Sequence[str], now_us: int) -> Event:
    """The event of a notification's fields, in the order of `FIELDS`; whatever they hold."""
    found: Fields = {k: _plain(k, v, namespaces) for k, v in zip(KEYS, fields, strict=False)}
    kept = {k: v for k, v in found.items() if v is not None}
    cut = []
    for key, value in kept.items():
        text = value if isinstance(value, str) else _canonical(value)
        if len(text) > TEXT_MOST:
            kept[key] = text[:TEXT_MOST]
            cut.append(key)
    return Event(
        _canonical(kept | ({"cut": sorted(cut)} if cut else {})),
        _micros(found.get("time"), now_us),
        _micros(found.get("receive_time"), now_us),
        is_loss=found.get("event_type") in _LOSSES,
        event_id=event_id if isinstance(event_id := found.get("event_id"), str) else None,
        condition=condition if isinstance(condition := found.get("condition_id"), str) else None,
        stands=found.get("retain") is True and found.get("active") is not False,
    )


def add_event(rows: Rows, point: int, event: Event, now_us: int, *, conditions_only: bool) -> None:
    """The row of an event. One without a credible Time has the collector's clock and quality Uncertain; a loss is an `overflow` row."""
    if event.is_loss:
        rows.event(point, None, BAD_NO_DATA, now_us, now_us, Outcome.OVERFLOW)
    elif event.condition is not None or not conditions_only:
        quality = GOOD if event.time_us is not None else UNCERTAIN
        source_us = now_us if event.time_us is None else event.time_us
        rows.event(point, event.text, quality, source_us, now_us, server_us=event.receive_us)


def _operand(type_id: int, path: tuple[str, ...]) -> ua.SimpleAttributeOperand:
    attribute = AttributeIds.Value if path else AttributeIds.NodeId
    names = [ua.QualifiedName(name, ua.UInt16(0)) for name in path]
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=_node(type_id), BrowsePath=names, AttributeId=ua.IntegerId(attribute)
    )


def _node(number: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(number))


def _plain(key: str, raw: object, namespaces: Sequence[str]) -> object:
    """A field as JSON can hold it; None where it says nothing."""
    if key in _NODES and isinstance(raw, str):
        return _with_uri(raw, namespaces)
    if key == "event_id" and isinstance(raw, bytes):
        return raw.hex()
    return _storable(raw)


def _storable(raw: object) -> object:
    if isinstance(raw, list):
        return [_storable(e) for e in raw]
    if isinstance(raw, dict):
        return {str(k): _storable(v) for k, v in raw.items()}
    if isinstance(raw, Encoded):
        return {"type": raw.type_id, "body": base64.b64encode(raw.body).decode()}
    if isinstance(raw, bytes):
        return base64.b64encode(raw).decode()
    is_odd = isinstance(raw, float) and not math.isfinite(raw)
    return repr(raw) if is_odd or not isinstance(raw, bool | int | float | str | None) else raw


def _canonical(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def _with_uri(node: str, namespaces: Sequence[str]) -> str | None:
    """`ns=1;s=x` -> `nsu=<uri>;s=x`; None for the null node id."""
    if node == _NULL_NODE:
        return None
    if not node.startswith("ns="):
        return node
    index, _, rest = node[3:].partition(";")
    known = index.isdecimal() and int(index) < len(namespaces)
    return f"nsu={namespaces[int(index)]};{rest}" if known else node


def _micros(stamp: object, now_us: int) -> int | None:
    """ISO 8601 -> microseconds since 1970; None before 1980 and more than a day ahead."""
    if not isinstance(stamp, str):
        return None
    try:
        span = datetime.fromisoformat(stamp) - _EPOCH
    except (ValueError, TypeError, OverflowError):
        return None
    us = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    return us if EARLIEST_US <= us <= now_us + _AHEAD_MOST_US else None
