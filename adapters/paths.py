"""Where in a message or structure a value stands: `$.a.b[0]`, `$['主轴 温度']`, `$.items[?name=speed].value`.

In: a path of the register (`config.points.PATH`) and a decoded body (dict, list, text, number). Out: what stands there, or `ABSENT`:
JSON null is something, nothing at all is not. `[?name=speed]` of a list is its first object whose `name` is that text (a number is
compared as written in JSON, a truth value as true or false); of an object it is that object when it matches.
Refuses nothing at run time: a path that leads nowhere is `ABSENT`. Shared by MQTT payloads and OPC UA structures.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Getter = Callable[[object], object]

_STEP = re.compile(r"""\.([^\s.\[\]'"?=]+)|\[(\d+)\]|\['([^']+)'\]|\[\?([^\s.\[\]'"?=]+)=([^\]]+)\]""")


class _Absent:
    """Nothing at that path."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


def compile_path(path: str) -> Getter:
    """A function from the body to what stands at the path, or `ABSENT`. The path has the register's grammar."""
    steps = [_step(*match) for match in _STEP.findall(path)]
    if not steps:
        return lambda body: body
    if len(steps) == 1:
        return steps[0]

    def get(body: object) -> object:
        for step in steps:
            body = step(body)
            if body is ABSENT:
                return ABSENT
        return body

    return get


def _step(dotted: str, index: str, quoted: str, name: str, wanted: str) -> Getter:
    if index:
        return _element(int(index))
    if name:
        return _matching(name, wanted)
    return _member(dotted or quoted)


def _member(key: str) -> Getter:
    def member(body: object) -> object:
        return body.get(key, ABSENT) if isinstance(body, dict) else ABSENT

    return member


def _element(index: int) -> Getter:
    def element(body: object) -> object:
        return body[index] if isinstance(body, list | tuple) and index < len(body) else ABSENT

    return element


def _matching(name: str, wanted: str) -> Getter:
    def matching(body: object) -> object:
        if isinstance(body, dict):
            return body if name in body and _written(body[name]) == wanted else ABSENT
        if isinstance(body, list | tuple):
            return next((e for e in body if isinstance(e, dict) and name in e and _written(e[name]) == wanted), ABSENT)
        return ABSENT

    return matching


def _written(value: object) -> str:
    """As JSON writes it, without quotation marks."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
