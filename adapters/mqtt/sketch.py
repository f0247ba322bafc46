"""What a payload looks like, and which points it could be: the proposal of `plantproof mqtt listen`, for a person to review.

In: payload bytes. Out: its form (json, csv, plain, binary), a path, a type and an example for each value found, the path of its records
and of its time when they can be told. Every proposed path has the register's grammar and leads to its example (`adapters/paths.py`).
Nothing is decided here: a proposal is no register. Bounded: 8 levels, 200 values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from adapters.mqtt.payload import Undecodable, parse
from adapters.mqtt.stamp import Unit, parse_time

MOST_POINTS = 200
_MOST_LEVELS = 8
_MOST_ELEMENTS = 16
_BARE = re.compile(r"""[^\s.\[\]'"?=]+\Z""")
_TIME_NAMES = re.compile(r"(^|_)(ts|time|timestamp|datetime|date)$|时间|时刻", re.IGNORECASE)
_NAME_KEYS = ("name", "id", "key", "tag", "code", "n")
_UNITS: tuple[Unit, ...] = ("s", "ms", "us", "ns")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value found: where, of which register type, and what it was."""

    path: str
    type: str
    example: object


@dataclass(frozen=True, slots=True)
class Sketch:
    """A payload as it could be described in the register."""

    form: str
    points: tuple[Proposal, ...] = ()
    records_path: str = ""
    time_path: str = ""
    time_unit: str = ""
    why: str = ""  # of a form that cannot be collected


def sketch(payload: bytes) -> Sketch:
    """Look at one payload."""
    try:
        body = parse(payload)
    except Undecodable as err:
        return _of_text(payload, str(err))
    if not isinstance(body, dict | list):
        return Sketch("plain" if not isinstance(body, str) else "json", (Proposal("$", _type(body), body),))
    records_path = ""
    record: object = body
    if isinstance(body, list) and body and all(isinstance(e, dict) for e in body) and not _named(body):
        records_path, record = "$", body[0]
    found = tuple(p for p, _ in zip(_values(record, "$", 0), range(MOST_POINTS), strict=False))
    time_path, unit = _time(found)
    return Sketch("json", tuple(p for p in found if p.path != time_path), records_path, time_path, unit)


def _of_text(payload: bytes, why: str) -> Sketch:
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return Sketch("binary", why=why)
    if not text or not (text.isprintable() or "\n" in text):
        return Sketch("binary", why=why)
    lines = text.splitlines()
    separator = next((s for s in ",;\t" if s in lines[0]), "")
    if not separator:
        return Sketch("plain", (Proposal("$", _type(_number(text)), text[:200]),))
    fields = [f.strip() for f in lines[0].split(separator)][:MOST_POINTS]
    points = tuple(Proposal(f"$[{i}]", _type(_number(f)), f[:200]) for i, f in enumerate(fields))
    return Sketch("csv", points)


def _values(value: object, path: str, level: int) -> Iterator[Proposal]:
    if level > _MOST_LEVELS:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            step = f".{key}" if _BARE.match(key) else f"['{key}']" if key and "'" not in key else ""
            if step:
                yield from _values(inner, path + step, level + 1)
    elif isinstance(value, list):
        named = _named(value)
        for i, inner in enumerate(value[:_MOST_ELEMENTS]):
            step = f"[?{named}={inner[named]}]" if named else f"[{i}]"
            rest = {k: v for k, v in inner.items() if k != named} if named else inner
            yield from _values(rest, path + step, level + 1)
    elif value is not None:
        yield Proposal(path, _type(value), value)


def _named(elements: list[object]) -> str:
    """The key by which the elements of a list are told apart, such as {"name": "speed", "value": 1}; empty without one."""
    for key in _NAME_KEYS:
        names = [e.get(key) if isinstance(e, dict) else None for e in elements]
        texts = [n for n in names if isinstance(n, str) and n and "]" not in n]
        if len(texts) == len(elements) > 0 and len(set(texts)) == len(texts):
            return key
    return ""


def _time(found: tuple[Proposal, ...]) -> tuple[str, str]:
    """The first value that is called a time and is one: its path, and its unit when it is a number."""
    for proposal in found:
        if not _TIME_NAMES.search(proposal.path.rsplit(".", 1)[-1].strip("[]'$")):
            continue
        for unit in _UNITS:
            if parse_time(proposal.example, UTC, unit) is not None:
                return proposal.path, unit if not isinstance(proposal.example, str) else ""
    return "", ""


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "i64" if value < 2**63 else "u64"
    return "f64" if isinstance(value, float) else "str"


def _number(text: str) -> object:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
