"""What every dated entry of a rules file shares: periods of whole days, grades of evidence, the base model.

In: parts of a YAML file. Out: `Period`, `RuleModel`, frozen. Refuses dates that do not exist or stand the wrong way round.
Grades (catalogue): S read in the instrument itself, A copy of an official page, B consistent secondary sources, C one of them,
K general knowledge, D our own design decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

ISO_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Grade = Literal["S", "A", "A-", "B", "C", "K", "D"]


def written_day(value: Any) -> Any:
    """Text that is spelt like a date, a date, or None; anything else is a ValueError."""
    if value is None or isinstance(value, date) or (isinstance(value, str) and ISO_DAY.match(value)):
        return value
    raise ValueError(f"应为日期，如 2025-08-06 (expected a date), found {value!r}")


class RuleModel(BaseModel):
    """A frozen table of a rules file; a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Period(RuleModel):
    """Days from `first` to `last`, both included; `last` None while nobody repealed it; `first` None in a draft, which binds nobody."""

    first: date | None = Field(alias="from")
    last: date | None = Field(alias="until")

    @field_validator("first", "last", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return written_day(value)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(f"应为 from 不晚于 until (expected from <= until), found {self.first} > {self.last}")
        return self

    def holds_on(self, day: date) -> bool:
        """True when the day lies inside; a period without a beginning holds on none."""
        return self.first is not None and self.first <= day and (self.last is None or day <= self.last)


def refuse_overlaps(periods: Iterable[Period]) -> None:
    """ValueError unless the periods stand in order and apart."""
    for earlier, later in pairwise(periods):
        if earlier.last is None or later.first is None or later.first <= earlier.last:
            raise ValueError(
                f"时间段应先后分开 (expected periods in order and apart), "
                f"found {earlier.first}..{earlier.last or ''} and {later.first}..{later.last or ''}"
            )
