"""What a metric and a verdict are: integers, names and reasons; nothing that needs a clock, a disk or polars.

In: what `metrics/<noun>.py` counted. Out: frozen values and their JSON (integers and strings only, so it can be hashed).
`lower <= value <= upper` holds by construction (`MetricResult` refuses anything else): lower is what can be proven
(gaps and unknowns count against), value is what was seen, upper is what is possible in the plant's favour.
Fractions are compared as integers (`num * den' >= num' * den`), never as rounded percent; `Bound.percent` truncates.
Verdict words: met 达标, short 差距, insufficient_data 数据不足, needs_judgement 需人工判断, declared_only 仅申报, not_applicable 不适用.

Errors:
    MetricError               a metric contradicts itself: a bug, never a plant's fault
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "insufficient_data", "not_applicable"]
VerdictWord = Literal["met", "short", "insufficient_data", "needs_judgement", "declared_only", "not_applicable"]
Unit = Literal["ratio", "CNY", "kgce"]
Pair = tuple[str, int | str]

VERDICT_ZH: dict[VerdictWord, str] = {
    "met": "达标",
    "short": "差距",
    "insufficient_data": "数据不足",
    "needs_judgement": "需人工判断",
    "declared_only": "仅申报",
    "not_applicable": "不适用",
}


class MetricError(ValueError):
    """A metric contradicts itself."""


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open [start_us, end_us), microseconds since 1970 UTC."""

    start_us: int
    end_us: int

    def __post_init__(self) -> None:
        if self.end_us <= self.start_us:
            raise MetricError(f"window: expected start before end, found [{self.start_us}, {self.end_us})")


@dataclass(frozen=True, slots=True)
class Bound:
    """A fraction of counted things, or an amount (投资 in fen over 100). Denominator 0 means: nothing to count, which never passes."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if self.numerator < 0 or self.denominator < 0:
            raise MetricError(f"bound: expected no negative number, found {self.numerator}/{self.denominator}")

    def at_least(self, numerator: int, denominator: int) -> bool:
        """Not empty and not below numerator/denominator; 以上 includes the number itself."""
        return self.denominator > 0 and self.numerator * denominator >= numerator * self.denominator

    def not_above(self, other: Bound) -> bool:
        """True when this fraction is at most the other; an empty one compares with an empty one only."""
        if self.denominator == 0 or other.denominator == 0:
            return self.denominator == other.denominator
        return self.numerator * other.denominator <= other.numerator * self.denominator

    @property
    def percent(self) -> str:
        """Truncated to one decimal, never rounded up: 2/3 is `66.6 %`. Empty: `—`."""
        if self.denominator == 0:
            return "—"
        tenths = self.numerator * 1000 // self.denominator
        return f"{tenths // 10}.{tenths % 10} %"


@dataclass(frozen=True, slots=True)
class Member:
    """One thing of the denominator: a device, a day, a batch, a challenge. `why` is a code of docs/metrics.md."""

    id: str
    name: str
    lower: bool
    value: bool
    upper: bool
    why: str
    facts: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        if (self.lower and not self.value) or (self.value and not self.upper):
            raise MetricError(f"member {self.id}: expected lower implies value implies upper")


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric over one window and scope. unit: ratio (numerator <= denominator), or what the fraction is an amount of.

    declared: what the register says on paper (申报), None where paper says nothing. exclusions: (id, note) of each one looked
    at, counted or not. parameters: every constant and secondary figure used, printed in every pack. inputs: digests.
    simulated: some input was not collected live.
    """

    metric: str
    version: int
    scope: str
    window: Window
    lower: Bound
    value: Bound
    upper: Bound
    declared: Bound | None
    members: tuple[Member, ...]
    exclusions: tuple[tuple[str, str], ...]
    parameters: tuple[Pair, ...]
    inputs: tuple[tuple[str, str], ...]
    simulated: bool
    status: Status
    notes: tuple[str, ...]
    unit: Unit = "ratio"

    def __post_init__(self) -> None:
        for bound in (self.lower, self.value, self.upper):
            if self.unit == "ratio" and bound.numerator > bound.denominator:
                raise MetricError(f"{self.metric} {self.scope}: expected numerator <= denominator, found {bound}")
        if not (self.lower.not_above(self.value) and self.value.not_above(self.upper)):
            raise MetricError(
                f"{self.metric} {self.scope}: expected lower <= value <= upper, found {self.lower} {self.value} {self.upper}"
            )

    def to_json(self) -> dict[str, Any]:
        """Integers, strings and booleans only: canonical JSON of it is what a `result` leaf commits to."""
        return {
            "metric": self.metric,
            "version": self.version,
            "scope": self.scope,
            "window": {"start_us": self.window.start_us, "end_us": self.window.end_us},
            "lower": [self.lower.numerator, self.lower.denominator],
            "value": [self.value.numerator, self.value.denominator],
            "upper": [self.upper.numerator, self.upper.denominator],
            "declared": [self.declared.numerator, self.declared.denominator] if self.declared else None,
            "members": [_member_json(m) for m in self.members],
            "exclusions": [list(e) for e in self.exclusions],
            "parameters": [list(p) for p in self.parameters],
            "inputs": [list(i) for i in self.inputs],
            "simulated": self.simulated,
            "status": self.status,
            "notes": list(self.notes),
            "unit": self.unit,
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """One result as a criterion counts it: of its named members only, where it names some."""

    scope: str
    unit: Unit
    declared: Bound | None
    value: Bound
    lower: Bound
    upper: Bound

    def to_json(self) -> dict[str, Any]:
        """Integers and strings only."""
        bounds = {"declared": self.declared, "value": self.value, "lower": self.lower, "upper": self.upper}
        pairs = {k: [b.numerator, b.denominator] if b is not None else None for k, b in bounds.items()}
        return {"scope": self.scope, "unit": self.unit, **pairs}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One criterion judged. `numbers` is what the integers alone say; `verdict` adds that nothing simulated ever passes.

    distance: how many more of `distance_unit` the bar needs; 0 when met, None when unknown. required: the bar in words.
    needs: (id, name, why) of the things to act on, the nearest first, at least `distance` of them where they can be named.
    warnings: what a reviewer will ask though it changes nothing (readings that disagree, a shrinking denominator).
    by_level: (level, verdict) where the levels of one criterion differ, as an adopted instrument's do; else empty.
    judged: the bounds that were compared, one per scope; empty where no number decides.
    """

    criterion: str
    verdict: VerdictWord
    simulated: bool
    distance: int | None
    distance_unit: str
    why: str
    numbers: VerdictWord
    required: str = ""
    needs: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    by_level: tuple[tuple[str, VerdictWord], ...] = ()
    judged: tuple[Judged, ...] = ()

    def at(self, level: str) -> VerdictWord:
        """The word at one level."""
        return dict(self.by_level).get(level, self.verdict)

    def to_json(self) -> dict[str, Any]:
        """Integers, strings and booleans only."""
        return {
            "criterion": self.criterion,
            "verdict": self.verdict,
            "simulated": self.simulated,
            "distance": self.distance,
            "distance_unit": self.distance_unit,
            "why": self.why,
            "numbers": self.numbers,
            "required": self.required,
            "needs": [list(n) for n in self.needs],
            "warnings": list(self.warnings),
            "by_level": [list(b) for b in self.by_level],
            "judged": [j.to_json() for j in self.judged],
        }


def _member_json(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "name": member.name,
        "lower": member.lower,
        "value": member.value,
        "upper": member.upper,
        "why": member.why,
        "facts": [list(f) for f in member.facts],
    }
