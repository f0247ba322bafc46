"""Machines that say what they are: OPC 40001-1 Machinery, OPC 40501-1 MachineTool, OPC 40502 CNC, mapped to the register's roles.

In: a `Space` with its type ancestors and the `Detail`s of its variables. Out: one `Machine` for each machine, with the nodes of its roles.
Recognised by type definition and by browse path, both with namespace URI; never by what a name sounds like.
state, the first that the machine has:
    MachineryItemState (40001-1 §12.2): NotAvailable off; OutOfService, NotExecuting stop; Executing run
    Production/ActiveProgram/State (40501-1 §8.4.10): Running run; Initializing, Ended, Interrupted, Aborted stop
    ChannelState (40501-1 §12.1), ActStatus (40502 §7.2.4) of the first channel: Active run; Interrupted, Reset stop
auto: OperationMode 1 Automatic (40501-1 §12.5); ActOperationMode 2 Automatic (40502 §7.2.6). MDA, setup and service are not automatic.
program: ActiveProgram/Name; ActMainProgramName, ActProgramName. output: PartsProducedInLifetime. alarm: Notification/Messages.
A state that has no Number is known by its text: the display names of the state objects themselves, as this server says them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adapters.opcua.browsing.details import Detail
from adapters.opcua.browsing.space import Space
from config.points import Role

DI = "http://opcfoundation.org/UA/DI/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
MACHINE_TOOL = "http://opcfoundation.org/UA/MachineTool/"
CNC = "http://opcfoundation.org/UA/CNC"
UA = "http://opcfoundation.org/UA/"

# type definitions and well-known nodes, by number within their namespace
MACHINES_FOLDER = 1001  # Machinery
MACHINE_IDENTIFICATION_TYPE = 1012  # Machinery
ITEM_STATE_TYPE = 1002  # Machinery: MachineryItemState_StateMachineType
OPERATION_COUNTER_TYPE = 1009  # Machinery: MachineryOperationCounterType
COMPONENTS_TYPE = 1006  # Machinery: MachineComponentsType
MACHINE_TOOL_TYPE = 13  # MachineTool
CHANNEL_MONITORING_TYPE = 16  # MachineTool
CNC_INTERFACE_TYPE, CNC_CHANNEL_TYPE = 1007, 1002  # CNC

MODELS = {
    MACHINE_TOOL: "OPC 40501-1 机床 (MachineTool)",
    CNC: "OPC 40502 数控系统 (CNC)",
    MACHINERY: "OPC 40001-1 通用机械 (Machinery)",
}


@dataclass(frozen=True, slots=True)
class States:
    """A state machine or enumeration: (number, name, id of the state object or 0, what it means for us)."""

    source: str
    uri: str
    rows: tuple[tuple[int, str, int, str], ...]

    @property
    def by_number(self) -> dict[str, str]:
        """state_map for the number."""
        return {str(number): meaning for number, _, _, meaning in self.rows}

    @property
    def words(self) -> str:
        """`0 NotAvailable, 1 OutOfService …` for a comment."""
        return ", ".join(f"{number} {name}" for number, name, _, _ in self.rows)


ITEM_STATES = States(
    "OPC 40001-1 §12.2 MachineryItemState",
    MACHINERY,
    (
        (0, "NotAvailable", 5005, "off"),
        (1, "OutOfService", 5004, "stop"),
        (2, "NotExecuting", 5007, "stop"),
        (3, "Executing", 5006, "run"),
    ),
)
PROGRAM_STATES = States(
    "OPC 40501-1 §8.4.10 ActiveProgram/State",
    MACHINE_TOOL,
    (
        (0, "Initializing", 5039, "stop"),
        (1, "Running", 5041, "run"),
        (2, "Ended", 5038, "stop"),
        (3, "Interrupted", 5040, "stop"),
        (4, "Aborted", 5037, "stop"),
    ),
)
_CHANNEL_ROWS = ((0, "Active", 0, "run"), (1, "Interrupted", 0, "stop"), (2, "Reset", 0, "stop"))
CHANNEL_STATES = States("OPC 40501-1 §12.1 ChannelState", MACHINE_TOOL, _CHANNEL_ROWS)
CNC_STATES = States("OPC 40502 §7.2.4 CncChannelStatus", CNC, _CHANNEL_ROWS)

# value of the mode that is automatic, and the mode's values for the comment
TOOL_MODES = (1, "0 Manual, 1 Automatic, 2 Setup, 3 AutoWithManualIntervention, 4 Service, 5 Other")
CNC_MODES = (2, "0 Manual, 1 MDA, 2 Automatic")


@dataclass(frozen=True, slots=True)
class RolePoint:
    """A node with a role. `offset` moves the automatic mode to 1, the number that an `auto` text takes for automatic."""

    node: int
    name: str
    role: Role
    why: str
    offset: int = 0
    events: bool = False


@dataclass(slots=True)
class Machine:
    """One recognised machine."""

    node: int
    model: str
    roles: list[RolePoint] = field(default_factory=list)
    state_map: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)  # manufacturer, model, serial …
    notes: list[str] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)  # properties that are points all the same (counters)


StateTexts = Mapping[tuple[str, int], str]  # (namespace URI, id) of a state object -> its display name on this server


def state_objects() -> list[tuple[str, int]]:
    """The state objects whose display names a caller should read."""
    return [(s.uri, i) for s in (ITEM_STATES, PROGRAM_STATES) for _, _, i, _ in s.rows]


def machines(space: Space, known: Mapping[int, Detail], texts: StateTexts) -> list[Machine]:
    """The machines of the space. One inside another (a CNC in a machine tool) belongs to it, unless the Machines folder lists it."""
    found: dict[int, str] = {}
    folder = space.find(MACHINERY, MACHINES_FOLDER)
    listed = set(space.nodes[folder].children) if folder is not None else set()
    for i, node in enumerate(space.nodes):
        if not node.is_object:
            continue
        if space.is_a(i, MACHINE_TOOL, MACHINE_TOOL_TYPE):
            found[i] = MACHINE_TOOL
        elif space.is_a(i, CNC, CNC_INTERFACE_TYPE):
            found[i] = CNC
        elif i in listed or _is_identified(space, i):
            found[i] = MACHINERY
    inner: set[int] = set()
    for i in found:
        inner |= {c for c in space.below(i) if c in found and c not in listed}
    return [_machine(space, known, texts, i, uri) for i, uri in found.items() if i not in inner]


def _is_identified(space: Space, node: int) -> bool:
    """True with an Identification of a machine (not of a component), in the Machines folder or not."""
    place = space.child(node, DI, "Identification")
    return place is not None and space.is_a(place, MACHINERY, MACHINE_IDENTIFICATION_TYPE)


def _machine(space: Space, known: Mapping[int, Detail], texts: StateTexts, node: int, uri: str) -> Machine:
    machine = Machine(node, MODELS[uri])
    parts = frozenset(i for i in space.below(node) if space.is_a(i, MACHINERY, COMPONENTS_TYPE))
    inside = list(space.below(node, skip=parts))  # a component's own state is not the machine's

    def typed(namespace: str, identifier: int) -> list[int]:
        return [i for i in inside if space.nodes[i].is_object and space.is_a(i, namespace, identifier)]

    channels = typed(MACHINE_TOOL, CHANNEL_MONITORING_TYPE)
    cnc_channels = _by_id(space, known, typed(CNC, CNC_CHANNEL_TYPE))
    production = space.child(node, MACHINE_TOOL, "Production")
    program = space.follow(production, (MACHINE_TOOL, "ActiveProgram"))
    _identify(space, known, machine)
    _state(space, texts, machine, typed(MACHINERY, ITEM_STATE_TYPE), program, channels, cnc_channels)
    _modes(space, machine, cnc_channels)
    _programs(space, machine, program, cnc_channels)
    _counters(space, machine, production, typed(MACHINERY, OPERATION_COUNTER_TYPE))
    _alarms(space, machine)
    if len(cnc_channels) > 1 or (len(channels) > 1 and not cnc_channels):
        first = space.nodes[(cnc_channels or channels)[0]].display
        machine.notes.append(f"多通道: 状态、方式、程序取第一通道 {first}, 请核对 (roles come from the first channel)")
    return machine


def _identify(space: Space, known: Mapping[int, Detail], machine: Machine) -> None:
    """Manufacturer, model and serial number: Identification is an add-in of the machine (40001-1 §8)."""
    place = space.child(machine.node, DI, "Identification")
    if place is None:
        return
    for i in space.nodes[place].children:
        node, detail = space.nodes[i], known.get(i)
        if detail is not None and detail.text and space.uri(node.name.namespace) in (DI, MACHINERY):
            machine.facts[node.name.text] = detail.text


def _state(
    space: Space,
    texts: StateTexts,
    machine: Machine,
    items: list[int],
    program: int | None,
    channels: list[int],
    cnc_channels: list[int],
) -> None:
    """The first state that the machine has, in the order of the module's docstring."""
    machines_own = [i for i in items if space.nodes[i].name.text == "MachineryItemState"] or items
    of_program = space.follow(program, (MACHINE_TOOL, "State"))
    for state_machine, states in [*((i, ITEM_STATES) for i in machines_own), (of_program, PROGRAM_STATES)]:
        current = space.follow(state_machine, (UA, "CurrentState"))
        if current is None:
            continue
        number = space.child(current, UA, "Number")
        if number is not None:
            _take_state(machine, number, states, states.by_number, f"{states.source}/Number: {states.words}")
        else:
            named = _named(machine, states, texts)
            _take_state(machine, current, states, named, f"{states.source}/CurrentState")
        return
    for place, uri, name, states in (
        *((c, MACHINE_TOOL, "ChannelState", CHANNEL_STATES) for c in channels[:1]),
        *((c, CNC, "ActStatus", CNC_STATES) for c in cnc_channels[:1]),
    ):
        value = space.child(place, uri, name)
        if value is not None:
            _take_state(machine, value, states, states.by_number, f"{states.source}: {states.words}")
            return


def _named(machine: Machine, states: States, texts: StateTexts) -> dict[str, str]:
    """What each name of a state means; a text that this server says of two states with different meanings means nothing."""
    meanings: dict[str, set[str]] = {n: {m} for _, n, _, m in states.rows}
    for _, _, identifier, meaning in states.rows:
        if text := texts.get((states.uri, identifier), ""):
            meanings.setdefault(text, set()).add(meaning)
    unsure = [t for t, m in meanings.items() if len(m) > 1]
    if unsure:
        words = "、".join(f"“{t}”" for t in unsure)
        machine.notes.append(
            f"服务器用同一文字 {words} 表示不同状态, 请在 state_map 里补上 (one text for several states)"
        )
    return {t: next(iter(m)) for t, m in meanings.items() if len(m) == 1}


def _take_state(machine: Machine, node: int, states: States, state_map: dict[str, str], why: str) -> None:
    machine.roles.append(RolePoint(node, "state", "state", why))
    machine.state_map = state_map
    if states in (PROGRAM_STATES, CHANNEL_STATES, CNC_STATES):
        machine.notes.append("没有 MachineryItemState, 以程序或通道状态代替 (no MachineryItemState on this machine)")


def _modes(space: Space, machine: Machine, cnc_channels: list[int]) -> None:
    mode = space.follow(
        machine.node, (MACHINE_TOOL, "Monitoring"), (MACHINE_TOOL, "MachineTool"), (MACHINE_TOOL, "OperationMode")
    )
    automatic, words = TOOL_MODES
    source = "OPC 40501-1 §12.5 OperationMode"
    if mode is None and cnc_channels:
        mode = space.child(cnc_channels[0], CNC, "ActOperationMode")
        automatic, words = CNC_MODES
        source = "OPC 40502 §7.2.6 ActOperationMode"
    if mode is not None:
        machine.roles.append(RolePoint(mode, "auto", "auto", f"{source}: {words}", 1 - automatic))


def _programs(space: Space, machine: Machine, program: int | None, cnc_channels: list[int]) -> None:
    name = space.follow(program, (MACHINE_TOOL, "Name"))
    if name is not None:
        machine.roles.append(RolePoint(name, "program", "program", "OPC 40501-1 §8.4 ActiveProgram/Name"))
    for channel in cnc_channels[:1]:
        for found, ours in (("ActMainProgramName", "main_program"), ("ActProgramName", "program")):
            node = space.child(channel, CNC, found)
            if node is not None and not (ours == "program" and name is not None):
                machine.roles.append(RolePoint(node, ours, "program", f"OPC 40502 §5 {found}"))


def _counters(space: Space, machine: Machine, production: int | None, counters: list[int]) -> None:
    """The part counter (output), and the operation counters as plain points, though they are properties."""
    parts = [p for c in counters if (p := space.child(c, MACHINE_TOOL, "PartsProducedInLifetime")) is not None]
    old = space.follow(production, (MACHINE_TOOL, "Statistics"), (MACHINE_TOOL, "PartsProducedInLifetime"))
    parts += [old] if old is not None else []
    if parts:
        machine.roles.append(RolePoint(parts[0], "part_count", "output", "OPC 40501-1 PartsProducedInLifetime"))
    else:
        machine.notes.append("该模型没有产量计数节点, 如另有计数请把 role 改为 output (no part counter in this model)")
    for counter in counters:
        for name in ("PowerOnDuration", "OperationDuration", "OperationCycleCounter"):
            node = space.child(counter, DI, name)
            if node is not None:
                machine.extra.append(node)


def _alarms(space: Space, machine: Machine) -> None:
    """The nearest notifier of the machine's events: Notification/Messages (40501-1 §8.6), else the machine itself."""
    notification = space.child(machine.node, MACHINE_TOOL, "Notification")
    messages = space.follow(notification, (MACHINE_TOOL, "Messages"))
    for node in (messages, notification, machine.node):
        if node is not None and space.nodes[node].notifier:
            machine.roles.append(RolePoint(node, "alarm", "alarm", "报警与条件 (conditions)", events=True))
            return


def _by_id(space: Space, known: Mapping[int, Detail], channels: list[int]) -> list[int]:
    """CNC channels in the order of their Id (40502 §5.4)."""

    def number(channel: int) -> tuple[int, int]:
        node = space.child(channel, CNC, "Id")
        value = known[node].value if node is not None and node in known else None
        return (value if isinstance(value, int) else 1 << 31, channel)

    order: Callable[[int], tuple[int, int]] = number
    return sorted(channels, key=order)
