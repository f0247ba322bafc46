"""What the verifier says: numbered steps with an outcome each, and the exit code that follows from all of them.

In: steps as they are walked. Out: `Findings`, frozen, with `exit_code` and `to_json`.
Outcomes: ok 通过, hint 提示 (true, and the reader should know), unknown 无法判定 (something is missing on the reader's side),
failed 不通过 (changed, malformed, contradictory), skipped 未检 (a failed step took away what this one needs).

    PackRefused               one check does not hold; the step that says so is in `.step`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OK, HINT, UNKNOWN, FAILED, SKIPPED = "ok", "hint", "unknown", "failed", "skipped"
EXIT_GOOD, EXIT_CHANGED, EXIT_CANNOT_TELL, EXIT_NOT_LIVE = 0, 6, 7, 8


@dataclass(frozen=True, slots=True)
class Step:
    """One check: code (`A-01`), outcome, what it was about, what was found."""

    code: str
    outcome: str
    title: str
    found: str


class PackRefused(Exception):
    """A check does not hold; `step` says which and why."""

    def __init__(self, code: str, title: str, found: str) -> None:
        super().__init__(f"{code} {title}: {found}")
        self.step = Step(code, FAILED, title, found)


@dataclass(frozen=True, slots=True)
class Number:
    """One recomputed metric: bounds as (numerator, denominator)."""

    metric: str
    scope: str
    status: str
    lower: tuple[int, int]
    value: tuple[int, int]
    upper: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Integers and strings."""
        bounds = {"lower": list(self.lower), "value": list(self.value), "upper": list(self.upper)}
        return {"metric": self.metric, "scope": self.scope, "status": self.status, **bounds}


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything one verification found. `origin` and `grade` are empty where the pack could not be read so far.

    recomputed: made again here; not_recomputed: what the plant computed and nobody here has.
    origin: the worst of genesis and opened lines (simulated, replay, live). verdicts: (criterion, verdict, why).
    """

    steps: tuple[Step, ...]
    origin: str = ""
    grade: str = ""
    recomputed: tuple[Number, ...] = ()
    not_recomputed: tuple[Number, ...] = ()
    verdicts: tuple[tuple[str, str, str], ...] = ()
    unopened: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    facts: tuple[tuple[str, int | str], ...] = ()

    @property
    def exit_code(self) -> int:
        """6 changed, malformed, contradictory; 7 cannot tell; 8 genuine, not live; 0 (docs/adr/0004)."""
        outcomes = {s.outcome for s in self.steps}
        if not outcomes or outcomes & {FAILED, SKIPPED}:
            return EXIT_CHANGED
        if UNKNOWN in outcomes:
            return EXIT_CANNOT_TELL
        return EXIT_GOOD if self.origin == "live" else EXIT_NOT_LIVE

    def step(self, code: str) -> Step | None:
        """The step of that code, if it was reached."""
        return next((s for s in self.steps if s.code == code), None)

    def to_json(self) -> dict[str, Any]:
        """Integers and strings: what `plantproof verify --json` prints."""
        return {
            "format": "plantproof-verification/1",
            "exit_code": self.exit_code,
            "grade": self.grade,
            "origin": self.origin,
            "facts": dict(self.facts),
            "steps": [{"code": s.code, "outcome": s.outcome, "title": s.title, "found": s.found} for s in self.steps],
            "recomputed": [n.to_json() for n in self.recomputed],
            "not_recomputed": [n.to_json() for n in self.not_recomputed],
            "verdicts": [{"criterion": c, "verdict": v, "why": w} for c, v, w in self.verdicts],
            "unopened": list(self.unopened),
            "not_proven": list(self.not_proven),
        }
