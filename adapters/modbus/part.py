"""A request of a unit's plan, ready to be asked and decoded; and a request that is set aside because the device refuses it."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.modbus.decode import Decode
from adapters.modbus.frames import Question
from adapters.modbus.plan import Block

LONGEST = 1.2  # times `rest_s`: the longest rest, by chance


@dataclass(slots=True)
class Part:
    """One request of the plan."""

    block: Block
    question: Question
    decode: Decode
    indices: tuple[int, ...]  # of the points, in the order in which `decode` gives them
    strikes: int = 0


@dataclass(slots=True)
class Rest:
    """A part that is set aside: the quality of its points, and when it is asked for again."""

    part: Part
    quality: int
    cap_s: float
    rest_s: float
    retry_us: int

    def is_over(self, now_us: int) -> bool:
        """True when it may be asked for again; also after the clock was set back, or it would rest until it is that time again."""
        return not 0 < self.retry_us - now_us <= self.rest_s * LONGEST * 1_000_000
