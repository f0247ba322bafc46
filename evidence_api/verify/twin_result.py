"""What the twin counts, in the shape of one element of results.json as far as it is recomputed.

In: members with their three flags. Out: `Twin`, whose `differences` names each field in which a pack's result differs.
Bounds are integers; nothing here rounds. Definitions: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]
_CONSTANTS = {
    "coverage_min_percent": 90,
    "min_obligated_days": 7,
    "max_silent_min": 1440,
    "run_ratio_min_percent": 95,
    "known_min_percent": 90,
    "auto_min_percent": 90,
}
_NOT_COMPARED = {"configured_not_networked"}  # a list for people


@dataclass(frozen=True, slots=True)
class TwinMember:
    """One thing of the denominator, with the reason code for its lower flag. `facts` None: not recomputed."""

    id: str
    lower: bool
    value: bool
    upper: bool
    why: str
    facts: Mapping[str, int | str] | None = None


@dataclass(frozen=True, slots=True)
class Twin:
    """One metric, one scope. `parameters`: those that follow from the evidence; others of the pack are not compared."""

    metric: str
    scope: str
    window: tuple[int, int]
    lower: Pair
    value: Pair
    upper: Pair
    declared: Pair | None
    members: tuple[TwinMember, ...]
    parameters: Mapping[str, int | str]
    status: str
    simulated: bool

    def differences(self, result: Mapping[str, Any]) -> list[str]:
        """Where the pack's result says something else. Errors: `KeyError`, `TypeError` for what is not a result."""
        found = []
        window = {"start_us": self.window[0], "end_us": self.window[1]}
        declared = list(self.declared) if self.declared else None
        for name, expected in (
            ("window", window),
            ("lower", list(self.lower)),
            ("value", list(self.value)),
            ("upper", list(self.upper)),
            ("declared", declared),
            ("status", self.status),
            ("simulated", self.simulated),
        ):
            if result[name] != expected:
                found.append(f"{name}: 包内 {_short(result[name])}, 复算 {_short(expected)}")
        found += self._members(result["members"])
        given = dict(result["parameters"])
        for name, expected_value in self.parameters.items():
            if given.get(name) != expected_value:
                found.append(f"{name}: 包内 {given.get(name)}, 复算 {expected_value}")
        for name in sorted(set(given) - set(self.parameters) - _NOT_COMPARED):
            if name not in _CONSTANTS or given[name] != _CONSTANTS[name]:
                found.append(f"{name}: 包内 {given[name]}, 应为 {_CONSTANTS.get(name, '没有这一项')}")
        return found

    def _members(self, given: list[Mapping[str, Any]]) -> list[str]:
        theirs = {m["id"]: m for m in given}
        ours = {m.id: m for m in self.members}
        if len(theirs) != len(given) or set(theirs) != set(ours):
            return [f"members: 重复、多出或缺少 {sorted(set(theirs) ^ set(ours))[:3]}"]
        found = []
        for key, member in ours.items():
            shown = theirs[key]
            flags = (shown["lower"], shown["value"], shown["upper"], shown["why"])
            if flags != (member.lower, member.value, member.upper, member.why):
                expected = (member.lower, member.value, member.upper, member.why)
                found.append(f"member {key}: 包内 {flags}, 复算 {expected}")
            if member.facts is not None and dict(shown["facts"]) != member.facts:
                found.append(f"member {key}: 各项数值不符, 复算 {_short(member.facts)}")
        return found


def empty(metric: str, scope: str, window: tuple[int, int], simulated: bool) -> Twin:
    """Nothing to count: 0/0, which never passes."""
    none = (0, 0)
    return Twin(metric, scope, window, none, none, none, None, (), {}, "insufficient_data", simulated)


def bounds(members: Iterable[TwinMember]) -> tuple[Pair, Pair, Pair]:
    """(lower, value, upper) over one denominator."""
    rows = list(members)
    counts = (sum(m.lower for m in rows), sum(m.value for m in rows), sum(m.upper for m in rows))
    lower, value, upper = ((n, len(rows)) for n in counts)
    return lower, value, upper


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
