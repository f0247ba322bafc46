"""From what was found on a server to point sets and device skeletons a person reviews: who is a device, which of its nodes are points.

In: a `Space`, the `Detail`s of its variables, the recognised `Machine`s. Out: `Sheet`s, each a point set with the devices that share it.
Devices are, in this order: recognised machines; objects side by side with equal points (`templates.side_by_side`), with their brothers;
else the whole rest is one device.
Equal devices share one set with `{device}` in the node ids, when each id is the same text around the object's own identifier and that
identifier can be a device id. Otherwise each gets a set of its own, and the sheet says so. Nothing is guessed from names.
Not proposed, but counted: what cannot be read, what no point can hold, properties (they describe, they do not measure).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.batch import ValueType
from adapters.opcua.browsing.companion import Machine, RolePoint
from adapters.opcua.browsing.details import Detail
from adapters.opcua.browsing.naming import distinct, point_names, slug
from adapters.opcua.browsing.space import Space
from adapters.opcua.browsing.templates import Candidate, Subject, equal, shared_ids, side_by_side, tree, with_device
from config.addressing import NODE_ID


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A device to be entered in the register; what a server cannot know is left to the person."""

    id: str
    name: str
    maker: str = ""
    model: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class ProposedPoint:
    """One line of a point set: name, node id text (with `{device}` where shared) and where it came from."""

    name: str
    node: str
    candidate: Candidate


@dataclass(slots=True)
class Sheet:
    """A point set and its devices. `subject` is the first of them, whose values serve as samples."""

    id: str
    subject: Subject
    points: list[ProposedPoint]
    devices: list[Skeleton]
    notes: list[str] = field(default_factory=list)

    @property
    def state_map(self) -> dict[str, str]:
        """Of the recognised machine; empty without one."""
        return self.subject.machine.state_map if self.subject.machine is not None else {}


@dataclass(slots=True)
class Proposal:
    """All sheets of a server, and why other variables are not in them: cause -> how many."""

    sheets: list[Sheet]
    left_out: dict[str, int]


def propose(
    space: Space,
    known: Mapping[int, Detail],
    machines: list[Machine],
    label: str,
    *,
    properties: bool = False,
    one_device: bool = False,
) -> Proposal:
    """Sheets for everything that can be a point. `label` names the device when the whole server is one."""
    usable, left_out = _usable(space, known, properties)
    nodes = frozenset(m.node for m in machines)
    subjects = [s for m in machines if (s := _machine_subject(space, known, m, usable, nodes)).points]
    rest = usable - {c.node for s in subjects for c in s.points}
    for subject in subjects:
        rest -= set(space.below(subject.node, skip=nodes))
    while not one_device and (found := side_by_side(space, known, rest)):
        subjects += found
        rest -= {c.node for s in found for c in s.points}
    sheets = _sheets(space, known, subjects)
    if rest:
        whole = Subject(0, [c for c in tree(space, 0) if c.node in rest])
        sheets.append(_rest_sheet(space, whole, label, alone=not sheets))
    for sheet, name in zip(sheets, distinct([s.id for s in sheets]), strict=True):
        sheet.id = name
    return Proposal(sheets, left_out)


def _usable(space: Space, known: Mapping[int, Detail], properties: bool) -> tuple[set[int], dict[str, int]]:
    usable: set[int] = set()
    left_out: Counter[str] = Counter()
    for i, detail in known.items():
        node = space.nodes[i]
        if node.is_property and not (properties and space.nodes[node.parent].is_object):
            left_out["属性 (properties)"] += node.parent >= 0 and space.nodes[node.parent].is_object
        elif not detail.readable:
            left_out["不可读 (not readable)"] += 1
        elif detail.is_structure and any(c in known and not space.nodes[c].is_property for c in node.children):
            left_out["结构, 其字段已逐个列出 (structures whose fields are listed)"] += 1
        elif not _can_be_written(space, i):
            left_out["节点编号无法写入台账 (node id cannot be written)"] += 1
        elif detail.type is None:
            left_out[f"类型 {detail.wire} 不能作测点 (no point type)"] += 1
        else:
            usable.add(i)
    return usable, {k: n for k, n in left_out.items() if n}


def _can_be_written(space: Space, node: int) -> bool:
    """A node id that the register gives back as it is: `{device}` would be taken for the device's id, and TOML holds no broken UTF-8."""
    text = space.text(node)
    broken = any("\ud800" <= c <= "\udfff" for c in text)
    return NODE_ID.fullmatch(text) is not None and "{device}" not in text and not broken


def _machine_subject(
    space: Space, known: Mapping[int, Detail], machine: Machine, usable: set[int], others: frozenset[int]
) -> Subject:
    """The machine's roles first, then everything else of it that can be a point. A mode with a role is kept as a number too."""
    roles = {r.node for r in machine.roles}
    sound = {i for i, d in known.items() if d.readable and _can_be_written(space, i)}
    found = {c.node: c for c in tree(space, machine.node, others)}
    points = [
        Candidate(r.node, found[r.node].path if r.node in found else ((0, r.name),), r)
        for r in machine.roles
        if r.node in sound or (r.events and _can_be_written(space, r.node))
    ]
    modes = {r.node for r in machine.roles if r.role == "auto"}
    wanted = (usable - roles) | (sound & (modes | set(machine.extra)))
    points += [c for c in found.values() if c.node in wanted]
    return Subject(machine.node, points, machine)


def _sheets(space: Space, known: Mapping[int, Detail], subjects: list[Subject]) -> list[Sheet]:
    sheets: list[Sheet] = []
    taken: set[str] = set()
    groups = equal(known, subjects)
    for group in sorted(groups, key=lambda g: len(g) < 2):  # ids that stand in node ids come before ids of our making
        keys = shared_ids(space, group, taken) if len(group) > 1 else None
        if keys is not None:
            sheets.append(_sheet(space, group, keys, shared=True, notes=[]))
            taken.update(keys)
            continue
        note = f"{len(group)} 个对象测点相同, 但节点编号没有规律, 各用一份测点 (equal points, irregular node ids)"
        for subject in group:
            (own,) = distinct([_device_id(space, subject.node)], taken)
            taken.add(own)
            sheets.append(_sheet(space, [subject], [own], shared=False, notes=[note] if len(group) > 1 else []))
    return sheets


def _sheet(space: Space, group: list[Subject], ids: list[str], *, shared: bool, notes: list[str]) -> Sheet:
    first = group[0]
    texts = [space.text(c.node) for c in first.points]
    if shared:
        texts = [with_device(t, ids[0]) for t in texts]
    names = _names(space, first.points)
    proposed = [ProposedPoint(n, t, c) for n, t, c in zip(names, texts, first.points, strict=True)]
    devices = [_skeleton(space, s, i) for s, i in zip(group, ids, strict=True)]
    more = first.machine.notes if first.machine is not None else []
    return Sheet(_set_id(space, group), first, proposed, devices, [*notes, *more])


def _rest_sheet(space: Space, whole: Subject, label: str, *, alone: bool) -> Sheet:
    names = _names(space, whole.points)
    points = [ProposedPoint(n, space.text(c.node), c) for n, c in zip(names, whole.points, strict=True)]
    name = slug(label) or "opcua"
    if alone:
        return Sheet(f"{name[:57]}-points", whole, points, [Skeleton(name, label or name)])
    note = "不属于以上设备的测点, 按需并入 (points of none of the devices above)"
    return Sheet("rest-points", whole, points, [], [note])


def _names(space: Space, points: list[Candidate]) -> list[str]:
    fixed = [c.role.name for c in points if c.role is not None]
    free = [c for c in points if c.role is None]
    paths = [[text for _, text in c.path] for c in free]
    others = iter(point_names(paths, [space.nodes[c.node].key[1] for c in free], fixed))
    return [c.role.name if c.role is not None else next(others) for c in points]


def _skeleton(space: Space, subject: Subject, device: str) -> Skeleton:
    facts = subject.machine.facts if subject.machine is not None else {}
    return Skeleton(
        device,
        space.nodes[subject.node].display or device,
        facts.get("Manufacturer", ""),
        facts.get("Model", ""),
        facts.get("SerialNumber", ""),
    )


def _device_id(space: Space, node: int) -> str:
    key = space.nodes[node].key[1]
    by_id = f"device-{key}" if isinstance(key, int) else slug(str(key))
    return slug(space.nodes[node].name.text) or by_id or f"device-{node}"


def _set_id(space: Space, group: list[Subject]) -> str:
    """After the machines' model when it is one; else after the folder of several equal objects; else after the object."""
    facts = [s.machine.facts.get("Model", "") if s.machine is not None else "" for s in group]
    folder = space.nodes[group[0].node].parent
    by_folder = slug(space.nodes[folder].name.text) if len(group) > 1 and folder >= 0 else ""
    by_model = slug(facts[0]) if len(set(facts)) == 1 else ""
    return f"{(by_model or by_folder or _device_id(space, group[0].node))[:57]}-points"


def type_of(detail: Detail | None, role: RolePoint | None) -> ValueType:
    """The register type of a point: an automatic mode is a text (`1` is automatic), events are texts."""
    if role is not None and (role.events or role.role == "auto"):
        return ValueType.STR
    return detail.type if detail is not None and detail.type is not None else ValueType.STR
