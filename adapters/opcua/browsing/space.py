"""What a walk through a server's address space found (IEC 62541-3): nodes, their names, who contains whom, type ancestors.

In: references as `adapters/opcua/browse.py` reads them. Out: plain values that the point list, the companion models and the machine
templates ask for children, subtrees and types. A node is asked for by namespace URI, never by index: indices change between starts.
A node that several folders show is kept once; its path is the shortest one. Node ids as text: `nsu=<uri>;s=…` (IEC 62541-6 §5.3.1.10).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

NodeKey = tuple[int, Any]  # namespace index, identifier: an id of any kind, cheap to compare
NO_TYPE: NodeKey = (0, 0)


class Name(NamedTuple):
    """A browse name (QualifiedName)."""

    namespace: int
    text: str


@dataclass(slots=True)
class Node:
    """An object or a variable. `children` are indices into `Space.nodes`; `parent` is the first node that showed it."""

    key: NodeKey
    name: Name
    display: str
    is_object: bool
    type: NodeKey
    parent: int
    depth: int
    children: list[int] = field(default_factory=list)
    notifier: bool = False  # an object whose events can be subscribed to

    @property
    def is_property(self) -> bool:
        """True for a property (PropertyType): it describes its parent and is not a measured value."""
        return self.type == (0, ObjectIds.PropertyType)


@dataclass(slots=True)
class Space:
    """Nodes in the order of discovery (breadth first); `nodes[0]` is the root of the walk."""

    namespaces: tuple[str, ...]
    nodes: list[Node] = field(default_factory=list)
    index: dict[NodeKey, int] = field(default_factory=dict)
    ancestors: dict[NodeKey, tuple[NodeKey, ...]] = field(default_factory=dict)  # type -> its supertypes, nearest first
    problems: dict[str, int] = field(default_factory=dict)  # why nodes could not be browsed -> how many
    truncated: bool = False  # the walk stopped at its limit

    def uri(self, namespace: int) -> str:
        """The URI of a namespace index; empty when the server did not name it."""
        return self.namespaces[namespace] if 0 <= namespace < len(self.namespaces) else ""

    def key_of(self, uri: str, identifier: object) -> NodeKey | None:
        """The key of a well-known node of a namespace; None when the server does not have that namespace."""
        return (self.namespaces.index(uri), identifier) if uri in self.namespaces else None

    def find(self, uri: str, identifier: object) -> int | None:
        """The index of a well-known node, when the walk met it."""
        key = self.key_of(uri, identifier)
        return self.index.get(key) if key is not None else None

    def is_a(self, node: int, uri: str, identifier: int) -> bool:
        """True when the node's type definition is that type or one of its subtypes."""
        wanted = self.key_of(uri, identifier)
        found = self.nodes[node].type
        return wanted is not None and (found == wanted or wanted in self.ancestors.get(found, ()))

    def child(self, node: int, uri: str, name: str) -> int | None:
        """The child of that browse name."""
        for i in self.nodes[node].children:
            its = self.nodes[i].name
            if its.text == name and self.uri(its.namespace) == uri:
                return i
        return None

    def follow(self, node: int | None, *path: tuple[str, str]) -> int | None:
        """The node at the end of a path of (namespace URI, browse name); None when a step is missing."""
        for uri, name in path:
            if node is None:
                return None
            node = self.child(node, uri, name)
        return node

    def above(self, node: int) -> Iterator[int]:
        """The nodes on the way from the root, nearest first."""
        at = self.nodes[node].parent
        while at >= 0:
            yield at
            at = self.nodes[at].parent

    def below(self, node: int, skip: frozenset[int] = frozenset()) -> Iterator[int]:
        """Every node below, breadth first, each once; what is in `skip` or above is not entered."""
        seen = {node, *self.above(node)}
        todo = [node]
        for at in todo:
            for i in self.nodes[at].children:
                if i not in seen and i not in skip:
                    seen.add(i)
                    todo.append(i)
                    yield i

    def path(self, node: int, top: int = 0) -> list[str]:
        """Browse names from below `top` down to the node; from the root when `top` is not above it."""
        names: list[str] = []
        at = node
        while at not in (top, -1, 0):
            names.append(self.nodes[at].name.text)
            at = self.nodes[at].parent
        return names[::-1]

    def node_id(self, node: int) -> ua.NodeId:
        """The node's id as the library wants it."""
        return node_id_of(self.nodes[node].key)

    def text(self, node: int) -> str:
        """The node id as the register writes it: by namespace URI, by index where the URI cannot be written (it holds a `;`)."""
        return node_text(self.nodes[node].key, self.namespaces)


def key_of(node_id: ua.NodeId) -> NodeKey:
    """The key of a library's node id."""
    return int(node_id.NamespaceIndex), node_id.Identifier


def node_id_of(key: NodeKey) -> ua.NodeId:
    """The library's node id of a key."""
    return ua.NodeId(key[1], ua.Int16(key[0]))


def node_text(key: NodeKey, namespaces: tuple[str, ...]) -> str:
    """`nsu=<uri>;s=…`, or `i=…` in namespace 0."""
    namespace, identifier = key
    bare = str(ua.NodeId(identifier).to_string())
    if namespace == 0:
        return bare
    uri = namespaces[namespace] if namespace < len(namespaces) else ""
    return f"nsu={uri};{bare}" if uri and ";" not in uri else f"ns={namespace};{bare}"
