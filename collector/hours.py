"""Hours as numbers and as text, and the frames that make one up: facts for its seal, read from the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.frame import CONTROL, Frame

HOUR_US = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hour_text(hour: int) -> str:
    """495423 -> `2026-07-08T15Z`."""
    return (_EPOCH + timedelta(hours=hour)).strftime("%Y-%m-%dT%HZ")


def parse_hour(text: str) -> int:
    """Inverse of `hour_text`. Errors: ValueError."""
    at = datetime.strptime(text, "%Y-%m-%dT%HZ").replace(tzinfo=UTC)
    return int((at - _EPOCH) / timedelta(hours=1))


@dataclass(slots=True)
class HourFacts:
    """What the journal says of one hour besides its rows."""

    hour: int
    first_seq: int = 0
    last_seq: int = 0
    head: str = ""
    down: list[list[int]] = field(default_factory=list)  # seconds of the hour, half-open
    clock: dict[str, Any] = field(default_factory=dict)
    closed_us: int = 0
    closed_seq: int = 0  # the frame that closed it; 0 while open
    cause: str = ""
    identities: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # (clock_us, control map)


def facts_of(frames: Iterable[Frame]) -> dict[int, HourFacts]:
    """Facts of every hour that has frames or was closed by one."""
    found: dict[int, HourFacts] = {}
    for frame in frames:
        facts = found.setdefault(frame.hour, HourFacts(frame.hour))
        facts.first_seq = facts.first_seq or frame.seq
        facts.last_seq, facts.head = frame.seq, frame.digest.hex()
        control = frame.control if frame.kind == CONTROL else None
        if control is None:
            continue
        if control["kind"] == "identity":
            facts.identities.append((frame.clock_us, control))
        if control["kind"] == "start":
            _mark_down(facts, control["last_us"], frame.clock_us)
        if control.get("close"):
            _close(found, frame, control)
    return found


def _close(found: dict[int, HourFacts], frame: Frame, control: dict[str, Any]) -> None:
    first, end = control["close"]
    for hour in range(first, end):
        facts = found.setdefault(hour, HourFacts(hour))
        facts.clock, facts.closed_us, facts.closed_seq = control["clock"], frame.clock_us, frame.seq
        if control["kind"] == "start":
            _mark_down(facts, control["last_us"], (hour + 1) * HOUR_US)
        if facts.first_seq == 0:
            facts.down, facts.cause = [[0, 3600]], "collector_down"


def _mark_down(facts: HourFacts, from_us: int, to_us: int) -> None:
    start = facts.hour * HOUR_US
    a, b = max(from_us - start, 0) // 1_000_000, -(-min(to_us - start, HOUR_US) // 1_000_000)
    if b > a:
        facts.down.append([a, b])
