"""What the server says of its variables: type, access, unit, range, history, description, value now.

In: a `Space` and the browser that walked it. Out: `Detail` by node index, for every variable but the properties of variables.
Register types: booleans bool, signed integers and enumerations i64, unsigned u64, Float f32, Double f64; texts, times, structures and
arrays str (a structure or an array is one canonical JSON text; `path` takes a part of it). ByteString, images, references: nothing a
point could hold. An abstract type (Number, BaseDataType) is what its value is now. A range is kept when both ends are finite and in order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIdNames

from adapters.batch import SEVERITY_BAD, ValueType
from adapters.opcua.browsing.browse import Attribute, Browser, Progress
from adapters.opcua.browsing.space import Node, NodeKey, Space, key_of, node_id_of
from adapters.opcua.browsing.units import ucum

_STATIC = tuple(AttributeIds(i) for i in (5, 14, 15, 17, 20))  # Description DataType ValueRank AccessLevel Historizing
_CURRENT_READ, _HISTORY_READ = 1, 4  # AccessLevelType (IEC 62541-3 §8.57)
_VALUES_AT_ONCE = 200
_TEXT_MOST = 200  # characters of a sample or a description that are kept
_STATIC_AT_ONCE = 1000
_INTEGERS = (2, 4, 6, 8)  # SByte Int16 Int32 Int64 (IEC 62541-6 §5.1.2)
_UNSIGNED = (3, 5, 7, 9)
_TEXTS = (12, 13, 14, 20, 21)  # String DateTime Guid QualifiedName LocalizedText
_STRUCTURE, _DATA_VALUE, _ANY, _NUMBER, _INTEGER, _UINTEGER, _ENUMERATION = 22, 23, 24, 26, 27, 28, 29
_REGISTER_TYPES: dict[int, ValueType] = {
    1: ValueType.BOOL,
    **dict.fromkeys(_INTEGERS, ValueType.I64),
    **dict.fromkeys(_UNSIGNED, ValueType.U64),
    10: ValueType.F32,
    11: ValueType.F64,
    **dict.fromkeys(_TEXTS, ValueType.STR),
    _STRUCTURE: ValueType.STR,
    _NUMBER: ValueType.F64,
    _INTEGER: ValueType.I64,
    _UINTEGER: ValueType.U64,
    _ENUMERATION: ValueType.I64,
}


@dataclass(frozen=True, slots=True)
class Detail:
    """One variable. `type` None: nothing a point could hold. `wire` is the server's data type by name, for people."""

    type: ValueType | None
    wire: str
    readable: bool
    is_array: bool = False
    is_structure: bool = False
    value: object = None
    status: int = 0
    description: str = ""
    historizing: bool = False
    unit: str = ""  # UCUM
    unit_symbol: str = ""  # as the server writes it
    low: float | None = None
    high: float | None = None
    labels: tuple[tuple[int, str], ...] = ()  # of an enumeration

    @property
    def text(self) -> str:
        """The value as text; empty when there is none."""
        value = self.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, datetime):
            return value.isoformat()
        return "" if value is None or self.status & SEVERITY_BAD else str(value)


@dataclass(frozen=True, slots=True)
class _Static:
    """The attributes that do not change; keys of types are shared, for there are few types and many variables."""

    type: NodeKey
    is_array: bool
    access: int
    historizing: bool
    description: str


@dataclass(frozen=True, slots=True)
class _Meta:
    unit: str = ""
    symbol: str = ""
    low: float | None = None
    high: float | None = None


async def details(browser: Browser, space: Space, progress: Progress | None = None) -> dict[int, Detail]:
    """Read every variable of the space once. Errors: `ReadError`."""
    variables = [i for i, n in enumerate(space.nodes) if not n.is_object and not _is_meta(space, n)]
    static = await _statics(browser, space, variables, progress)
    await _mark_notifiers(browser, space)
    types = {a.type for a in static.values()}
    await browser.supertypes(space, types)
    labels = await _labels(browser, space, types)
    values = await _values(browser, space, static, progress)
    metas = await _metas(browser, space, variables)
    return {i: _detail(space, a, values.get(i), metas.get(i, _Meta()), labels) for i, a in static.items()}


async def _statics(
    browser: Browser, space: Space, variables: list[int], progress: Progress | None
) -> dict[int, _Static]:
    found: dict[int, _Static] = {}
    types: dict[NodeKey, NodeKey] = {}
    for start in range(0, len(variables), _STATIC_AT_ONCE):
        part = variables[start : start + _STATIC_AT_ONCE]
        answers = await browser.attributes([(space.node_id(i), a) for i in part for a in _STATIC])
        for k, i in enumerate(part):
            words, kind, rank, access, history = answers[k * len(_STATIC) : (k + 1) * len(_STATIC)]
            key = types.setdefault(_key(kind.value), _key(kind.value))
            bits = access.value if isinstance(access.value, int) else 0
            text = str(words.value.Text or "")[:_TEXT_MOST] if isinstance(words.value, ua.LocalizedText) else ""
            found[i] = _Static(key, _is_array(rank), bits, bool(history.value) or bool(bits & _HISTORY_READ), text)
        if progress is not None:
            progress("读取属性", start + len(part), len(variables))
    return found


def _is_meta(space: Space, node: Node) -> bool:
    """A property of a variable (EURange, EnumStrings …) but for the number of a state, which can be a point."""
    of_variable = node.parent >= 0 and node.is_property and not space.nodes[node.parent].is_object
    return of_variable and node.name.text != "Number"


async def _values(
    browser: Browser, space: Space, static: dict[int, _Static], progress: Progress | None
) -> dict[int, Attribute]:
    """Values of readable scalars, in small reads: one value may be large. Arrays are not fetched for a sample."""
    asked = [i for i, a in static.items() if a.access & _CURRENT_READ and not a.is_array]
    found: dict[int, Attribute] = {}
    for start in range(0, len(asked), _VALUES_AT_ONCE):
        part = asked[start : start + _VALUES_AT_ONCE]
        answers = await browser.attributes([(space.node_id(i), AttributeIds.Value) for i in part])
        found.update(zip(part, (_small(a) for a in answers), strict=True))
        if progress is not None:
            progress("读取当前值", start + len(part), len(asked))
    return found


def _small(answer: Attribute) -> Attribute:
    """Only what a sample shows is kept: a large text or byte string would stay in memory for nothing."""
    value = answer.value
    if isinstance(value, list):
        return Attribute([None], answer.status)
    if isinstance(value, ua.LocalizedText):
        value = str(value.Text or "")
    if isinstance(value, str):
        return Attribute(value[:_TEXT_MOST], answer.status)
    if isinstance(value, bool | int | float | datetime) or value is None:
        return answer
    return Attribute(value.to_string() if isinstance(value, ua.NodeId) else _Opaque(), answer.status)


class _Opaque:
    """A value that is no sample: a structure, a byte string."""

    def __str__(self) -> str:
        return "…"


async def _metas(browser: Browser, space: Space, variables: list[int]) -> dict[int, _Meta]:
    """EngineeringUnits and EURange of the variables that have them (IEC 62541-8 §5.3.2)."""
    wanted: list[tuple[int, int]] = []
    for i in variables:
        for c in space.nodes[i].children:
            if space.nodes[c].name.text in ("EngineeringUnits", "EURange"):
                wanted.append((i, c))
    answers = await browser.attributes([(space.node_id(c), AttributeIds.Value) for _, c in wanted])
    found: dict[int, _Meta] = {}
    for (i, _), answer in zip(wanted, answers, strict=True):
        old, value = found.get(i, _Meta()), answer.value
        if isinstance(value, ua.EUInformation):
            symbol = str(value.DisplayName.Text or "")
            unit = ucum(str(value.NamespaceUri or ""), int(value.UnitId), symbol)
            found[i] = _Meta(unit, symbol, old.low, old.high)
        elif isinstance(value, ua.Range) and _is_range(value):
            found[i] = _Meta(old.unit, old.symbol, float(value.Low), float(value.High))
    return found


def _is_range(value: ua.Range) -> bool:
    return math.isfinite(value.Low) and math.isfinite(value.High) and value.Low < value.High and value.High < 1e300


async def _labels(browser: Browser, space: Space, types: set[NodeKey]) -> dict[NodeKey, tuple[tuple[int, str], ...]]:
    """Names of the values of each enumeration (DataTypeDefinition, IEC 62541-3 §8.48), where the server tells them."""
    enums = [t for t in types if (0, _ENUMERATION) in space.ancestors.get(t, ())]
    asked = [(node_id_of(t), AttributeIds.DataTypeDefinition) for t in enums]
    answers = await browser.attributes(asked)
    return {
        t: tuple((int(f.Value), str(f.Name or f.DisplayName.Text or "")) for f in a.value.Fields or ())
        for t, a in zip(enums, answers, strict=True)
        if isinstance(a.value, ua.EnumDefinition)
    }


async def _mark_notifiers(browser: Browser, space: Space) -> None:
    objects = [i for i, n in enumerate(space.nodes) if n.is_object]
    answers = await browser.attributes([(space.node_id(i), AttributeIds.EventNotifier) for i in objects])
    for i, answer in zip(objects, answers, strict=True):
        space.nodes[i].notifier = isinstance(answer.value, int) and bool(answer.value & 1)


def _detail(
    space: Space,
    static: _Static,
    value: Attribute | None,
    meta: _Meta,
    labels: dict[NodeKey, tuple[tuple[int, str], ...]],
) -> Detail:
    base = _base(space, static.type)
    answer = value or Attribute(None, 0)
    is_array = static.is_array or isinstance(answer.value, list)
    kind = _REGISTER_TYPES.get(base)
    if base in (_ANY, _DATA_VALUE, _NUMBER, _INTEGER, _UINTEGER):
        kind = _by_value(answer.value) or kind
    if is_array and kind is not None:
        kind = ValueType.STR
    return Detail(
        type=kind,
        wire=_type_name(static.type, base),
        readable=bool(static.access & _CURRENT_READ),
        is_array=is_array,
        is_structure=base == _STRUCTURE,
        value=None if is_array or base == _STRUCTURE else answer.value,
        status=answer.status,
        description=static.description,
        historizing=static.historizing,
        unit=meta.unit or ("ms" if _is_duration(space, static.type) else ""),
        unit_symbol=meta.symbol,
        low=meta.low,
        high=meta.high,
        labels=labels.get(static.type, ()),
    )


def _base(space: Space, key: NodeKey) -> int:
    """The built-in type, or the abstract one, that a data type stands on; 0 when it is not known."""
    for namespace, identifier in (key, *space.ancestors.get(key, ())):
        if namespace == 0 and isinstance(identifier, int):
            base = _WITHOUT_HIERARCHY.get(identifier, identifier)
            if base < 30:
                return base
    return 0


_DURATION: NodeKey = (0, 290)
_WITHOUT_HIERARCHY = {290: 11, 294: 13, 295: 12}  # Duration, UtcTime, LocaleId on servers that show no types


def _is_duration(space: Space, key: NodeKey) -> bool:
    """Duration is a Double of milliseconds (IEC 62541-3 §8.13)."""
    return _DURATION in (key, *space.ancestors.get(key, ()))


def _type_name(key: NodeKey, base: int) -> str:
    if key[0] == 0 and isinstance(key[1], int):
        return str(ObjectIdNames.get(key[1], key[1]))
    return {_ENUMERATION: "Enumeration", _STRUCTURE: "Structure"}.get(base) or str(ObjectIdNames.get(base, "?"))


def _by_value(value: object) -> ValueType | None:
    if isinstance(value, bool):
        return ValueType.BOOL
    if isinstance(value, int):
        return ValueType.I64
    if isinstance(value, float):
        return ValueType.F64
    return ValueType.STR if isinstance(value, str | datetime) else None


def _key(value: object) -> NodeKey:
    return key_of(value) if isinstance(value, ua.NodeId) else (0, 0)


def _is_array(rank: Attribute) -> bool:
    return isinstance(rank.value, int) and rank.value >= 0  # ValueRank (IEC 62541-3 §5.6.2): 0 and above are arrays
