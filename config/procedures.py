"""程序规定: what an instrument says about order, dates, limits, money and loss of a title; numbers as dated values with their words.

In: the `procedures` of a rules file. Out: `Procedure`, frozen. Refuses a kind without the numbers it needs (`validity` without years …).
What follows from them (eligibility, deadlines, awards) is computed in `metrics/standing/`, never here.
Ids are those of the catalogue (regulations/catalogue.md §1.5), kinds those of its `procedures`.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from config.dated import Grade, Period, RuleModel, Text, refuse_overlaps, written_day

Kind = Literal[
    "award",
    "ban",
    "cycle",
    "effect",
    "evaluation",
    "expiry",
    "flow",
    "ladder",
    "limit",
    "platform",
    "quota",
    "rename",
    "renewal",
    "report_change",
    "revocation",
    "transition",
    "validity",
    "versioning",
    "whistleblow",
]
Trigger = Literal[
    "accident",
    "changed_conditions",
    "dishonesty",
    "evaluation_failed",
    "false_material",
    "inconsistent_with_site",
    "no_reply",
    "not_operating",
    "other_penalty",
    "tax",
    "terminated",
]
Severity = Literal["一般", "较大", "重大", "特别重大"]
SEVERITIES: tuple[Severity, ...] = (
    "一般",
    "较大",
    "重大",
    "特别重大",
)  # 生产安全事故报告和调查处理条例 第三条, ascending

# kind -> what its values must state: one of these
_NEEDS: dict[str, tuple[str, ...]] = {
    "validity": ("years",),
    "renewal": ("months",),
    "limit": ("count",),
    "expiry": ("last_day",),
    "award": ("caps_wan", "total_cap_wan"),
    "ban": ("years",),
}


class ProcedureValue(Period):
    """Numbers of a procedure and when they hold. Money in 万元. `at_least`: the words say 至少."""

    as_written: Text
    years: int | None = Field(default=None, ge=1, le=20)
    months: int | None = Field(default=None, ge=1, le=60)
    count: int | None = Field(default=None, ge=1, le=100)
    month: int | None = Field(default=None, ge=1, le=12)  # of each year (每年3月)
    last_day: date | None = None
    at_least: bool = False
    caps_wan: dict[str, int] = Field(default_factory=dict)  # level -> most that is paid for it
    total_cap_wan: int | None = None  # over all levels named in caps_wan, ever
    level_total_cap_wan: dict[str, int] = Field(default_factory=dict)  # level -> most over all awards of that level

    @field_validator("last_day", mode="before")
    @classmethod
    def _day_written(cls, value: Any) -> Any:
        return written_day(value)


class Procedure(RuleModel):
    """One procedural rule. `levels` empty: all. What a field does not state, the instrument does not state."""

    id: Text
    kind: Kind
    article: Text
    quote: Text
    title: Text
    grade: Grade = "S"
    levels: tuple[Text, ...] = ()
    values: tuple[ProcedureValue, ...] = ()
    # ladder: level -> levels one of which must be held before; first: what a first application may choose
    requires: dict[str, tuple[Text, ...]] = Field(default_factory=dict)
    first: tuple[Text, ...] = ()
    in_principle: bool = False  # 原则上
    # revocation, whistleblow, ban
    triggers: tuple[Trigger, ...] = ()
    severity: Severity | None = None  # the least accident that counts
    discretionary: bool = False  # 视情况
    award_after: Literal["none", "deducted"] | None = None  # what a later title still earns
    again_from_lower: bool = False  # 再次申报须从下一级逐级: after the loss of a title
    granted_before: date | None = None  # transition: titles granted before that day
    # award
    deducts_lower: bool = False  # awards paid for lower levels are subtracted
    outside_total: bool = False  # 额外
    includes_legacy: tuple[Text, ...] = ()  # earlier kinds of title whose awards count
    on_fail: Literal["downgrade_or_revoke", "rectify_then_revoke"] | None = None
    period: Literal["year"] | None = None
    internal_days: int | None = Field(
        default=None, ge=1, le=365
    )  # our own alarm where the text names no number (grade D)
    routes: dict[str, str] = Field(default_factory=dict)
    note: str = ""

    @field_validator("granted_before", mode="before")
    @classmethod
    def _day_written(cls, value: Any) -> Any:
        return written_day(value)

    @field_validator("values")
    @classmethod
    def _apart(cls, values: tuple[ProcedureValue, ...]) -> tuple[ProcedureValue, ...]:
        refuse_overlaps(values)
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needs = _NEEDS.get(self.kind, ())
        for value in self.values:
            if value.as_written not in self.quote:
                raise ValueError(
                    f"as_written 应是 quote 里的原文 (expected words of the quote), found {value.as_written!r}"
                )
            if needs and all(getattr(value, need) in (None, {}) for need in needs):
                raise ValueError(f"{self.kind} 应写 {' 或 '.join(needs)} (expected {' or '.join(needs)})")
        if needs and not self.values:
            raise ValueError(f"{self.kind} 应有 values (expected values)")
        return self
