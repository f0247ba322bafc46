"""Devices among objects: which of them have equal points, and what is different in their node ids.

In: a `Space`, the `Detail`s of its variables, the nodes that are left. Out: `Subject`s (an object taken for one device, with its points),
groups of equal ones, and the device ids that make their node ids one text with `{device}`; None when the ids have no such rule.
Equal means: the same browse paths, types, units, ranges and roles. A rule holds for every point of every device or it is none: putting
the device ids back gives exactly the server's node ids. Only string identifiers have a rule: a part of a number means nothing.
A device ends where another begins, and references that lead back up (cycles) are not followed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from asyncua.ua.object_ids import ObjectIds

from adapters.opcua.browsing.companion import Machine, RolePoint
from adapters.opcua.browsing.details import Detail
from adapters.opcua.browsing.space import Space

DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # config.model.Id
_TOKEN = re.compile(r"[A-Za-z0-9_]")
RelativePath = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could be a point of a device: its browse path below it, and its role when a companion model gives one."""

    node: int
    path: RelativePath
    role: RolePoint | None = None


@dataclass(slots=True)
class Subject:
    """What is taken for one device. `node` is its object; `points` in the order of the tree."""

    node: int
    points: list[Candidate]
    machine: Machine | None = None


def side_by_side(space: Space, known: Mapping[int, Detail], rest: set[int]) -> list[Subject]:
    """Objects of one parent, most of them with equal points, and their odd brothers; of every such parent. Empty when there are none.

    Two ways to be sure enough that they are devices and not parts of one: nothing but folders above them, themselves no folders; or
    together at least half of what is left. A parent with values of its own is a machine, not a place for machines.
    """
    found: list[Subject] = []
    todo, seen = [(0, True)], {0}
    for at, in_folders in todo:
        objects = [i for i in space.nodes[at].children if space.nodes[i].is_object]
        brothers = frozenset(objects)
        subjects = [s for i in objects if (s := subject_of(space, i, rest, brothers)).points]
        shared = [s for g in equal(known, subjects) if len(g) > 1 for s in g]
        half = sum(len(s.points) for s in subjects) * 2 >= len(rest)
        firm = in_folders and shared and not any(_is_folder(space, s.node) for s in shared)
        own = any(i in rest for i in space.nodes[at].children)
        if not own and len(shared) * 2 > len(subjects) and (half or firm):
            found += subjects
            rest = rest - {c.node for s in subjects for c in s.points}
            continue
        for subject in subjects:
            folder = in_folders and _is_folder(space, subject.node)
            if subject.node not in seen and (folder or len(subject.points) * 2 >= len(rest)):
                seen.add(subject.node)
                todo.append((subject.node, folder))
    return found


def _is_folder(space: Space, node: int) -> bool:
    folder = (0, ObjectIds.FolderType)
    kind = space.nodes[node].type
    return kind == folder or folder in space.ancestors.get(kind, ())


def subject_of(space: Space, node: int, rest: set[int], others: frozenset[int] = frozenset()) -> Subject:
    """The object with those of its variables that are left, without what belongs to `others`."""
    return Subject(node, [c for c in tree(space, node, others) if c.node in rest])


def equal(known: Mapping[int, Detail], subjects: list[Subject]) -> list[list[Subject]]:
    """Subjects with the same points, types, units, ranges and roles, together; in the order of the first of each."""
    groups: dict[object, list[Subject]] = defaultdict(list)
    for subject in subjects:
        groups[_signature(known, subject)].append(subject)
    return list(groups.values())


def _signature(known: Mapping[int, Detail], subject: Subject) -> object:
    points = []
    for c in subject.points:
        d = known.get(c.node)
        kind = (d.type, d.is_array, d.unit, d.low, d.high) if d is not None else None
        points.append((c.path, kind, (c.role.name, c.role.offset) if c.role is not None else None))
    machine = subject.machine
    model = (machine.model, tuple(machine.state_map.items())) if machine is not None else None
    return (frozenset(Counter(points).items()), model)  # a server may give one browse name to several children


def tree(space: Space, top: int, others: frozenset[int] = frozenset()) -> Iterator[Candidate]:
    """Every variable below, with its path, depth first; each node once. Neither `others` nor what is above is entered."""
    seen = {top, *others, *space.above(top)}
    todo: list[tuple[int, RelativePath]] = [(top, ())]
    if top == 0 and not space.nodes[0].is_object:
        name = space.nodes[0].name
        yield Candidate(0, ((name.namespace, name.text),))
    while todo:
        at, path = todo.pop()
        if path and not space.nodes[at].is_object:
            yield Candidate(at, path)
        for i in reversed(space.nodes[at].children):
            if i not in seen:
                seen.add(i)
                name = space.nodes[i].name
                todo.append((i, (*path, (name.namespace, name.text))))


def shared_ids(space: Space, group: list[Subject], taken: set[str]) -> list[str] | None:
    """A device id for each subject that makes their node ids equal when it is put out of them; None when there is none, or it is taken."""
    ids = [_by_path(space, s) for s in group]
    paths = list(ids[0])
    for keys in _possible_keys(space, group, ids, paths):
        if len(set(keys)) != len(keys) or taken & set(keys) or not all(map(DEVICE_ID.fullmatch, keys)):
            continue
        if all(len({with_device(i[p], k) for i, k in zip(ids, keys, strict=True)}) == 1 for p in paths):
            return keys
    return None


def _by_path(space: Space, subject: Subject) -> dict[object, str]:
    found: dict[object, str] = {}
    times: Counter[object] = Counter()
    for c in subject.points:
        place = (c.path, c.role.name if c.role is not None else "")
        times[place] += 1
        found[place, times[place]] = space.text(c.node)  # each of several children with one browse name
    return found


def _possible_keys(
    space: Space, group: list[Subject], ids: list[dict[object, str]], paths: list[object]
) -> Iterator[list[str]]:
    """Browse names, identifiers and their last parts, and what differs between the node ids of one point."""
    nodes = [space.nodes[s.node] for s in group]
    yield [n.name.text for n in nodes]
    own = [str(n.key[1]) for n in nodes]
    yield own
    yield [re.split(r"[./\\|:]", identifier)[-1] for identifier in own]
    for path in paths[:1]:
        yield from _differences([_identifier(i[path]) for i in ids])


def _differences(texts: list[str]) -> Iterator[list[str]]:
    """The middle in which the texts differ, first widened to whole words."""
    start = 0
    while all(len(t) > start for t in texts) and len({t[start] for t in texts}) == 1:
        start += 1
    end = 0
    while all(len(t) - end > start for t in texts) and len({t[-1 - end] for t in texts}) == 1:
        end += 1
    wide = start
    while wide > 0 and _TOKEN.match(texts[0][wide - 1]):
        wide -= 1
    far = end
    while far > 0 and _TOKEN.match(texts[0][len(texts[0]) - far]):
        far -= 1
    yield [t[wide : len(t) - far] for t in texts]
    yield [t[start : len(t) - end] for t in texts]


def _identifier(text: str) -> str:
    return re.split(r"(?:^|;)[isgb]=", text, maxsplit=1)[-1]


def with_device(text: str, key: str) -> str:
    """The node id with the device's id put out of its identifier. Numbers are left alone: part of a number means nothing."""
    identifier = _identifier(text)
    head = text[: len(text) - len(identifier)]
    if not head.endswith("s=") or "{device}" in text:
        return text
    return head + identifier.replace(key, "{device}")
