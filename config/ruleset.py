"""办法: one instrument as dated data: levels, criteria with article and words, thresholds as integer fractions, procedures.

In: a YAML file of `config/rules/<ISO 3166-2>/`. Out: `RuleSet`, frozen. OpenFisca's manner: each number is a dated list with its
article and words; an unknown date gives no rule, never a guess. A draft or expired instrument can still be read (试算): then
`standing` says so, `name_on` carries it wherever the title is shown, and nothing is ever met by it.
Reading files and checking references: `config/rulebook.py`. Meaning of each key: docs/rules.md.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from config.dated import Grade, Period, RuleModel, Text, refuse_overlaps
from config.procedures import Procedure, Severity

Op = Literal[">=", "==", ">", "<=", "<"]
Gate = Literal["hard", "soft", "preference", "exclusion", "definition"]
# metric: measured numbers decide · document: a paper the applicant holds (仅申报) · event: nothing of a kind happened in a time
# title: a title held · benchmark: own effect figures against an industry's · scene: a scene of the adopted guide
# reference: an instrument adopted by this one, same level · annex: an annex nobody has found · person: needs judgement
Judge = Literal["metric", "document", "event", "title", "benchmark", "scene", "reference", "annex", "person"]
Unit = Literal["ratio", "CNY", "level"]  # CNY: whole yuan; level: 1..5
Standing = Literal["binding", "draft", "not_yet", "expired"]
STANDING_ZH: dict[Standing, str] = {
    "binding": "",
    "draft": "征求意见稿，未施行",
    "not_yet": "尚未施行",
    "expired": "已失效",
}


class DatedValue(Period):
    """A threshold and when it holds. `threshold_by` instrument: the number stands in the words; definition: it is ours.

    unit ratio: a fraction of counted things; CNY: yuan, denominator 1; level: of a maturity model, denominator 1.
    """

    threshold: str = Field(pattern=r"^\d{1,12}/[1-9]\d{0,5}$")
    unit: Unit = "ratio"
    threshold_by: Literal["instrument", "definition"]
    as_written: Text
    months: int | None = Field(default=None, ge=1, le=60)  # window or look-back, where the words give one

    @model_validator(mode="after")
    def _possible(self) -> Self:
        numerator, denominator = self.fraction
        most = {"ratio": denominator, "CNY": numerator, "level": 5}[self.unit]
        least = 1 if self.unit == "level" else 0
        if not least <= numerator <= most or (self.unit != "ratio" and denominator != 1):
            expected = {"ratio": "不超过 1 的分数", "CNY": "整元，分母 1", "level": "1/1 到 5/1"}[self.unit]
            raise ValueError(f"threshold 应为{expected} (not a possible {self.unit}), found {self.threshold}")
        return self

    @property
    def fraction(self) -> tuple[int, int]:
        """(numerator, denominator), as written, not reduced."""
        numerator, denominator = self.threshold.split("/")
        return int(numerator), int(denominator)


class DocumentNeed(RuleModel):
    """材料: a kind of document that must be held and valid (docs/documents.md lists the kinds). `at_least`: see `Criterion.values`.

    years: as many different years must be covered (近三年). only_for: sizes of enterprise for which this one may stand in.
    """

    kind: Text
    years: int = Field(default=1, ge=1, le=10)
    only_for: tuple[Literal["micro", "small", "medium"], ...] = ()


class EventBar(RuleModel):
    """Nothing of these kinds within `months` before the day (None: the words give no time, so ever); accidents from `severity` on,
    or any that was punished.
    """

    kinds: tuple[Literal["accident", "dishonesty", "tax", "violation", "other_penalty", "false_material"], ...] = Field(
        min_length=1
    )
    months: int | None = Field(ge=1, le=120)
    severity: Severity | None = None
    if_punished: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if ("accident" in self.kinds) != (self.severity is not None or self.if_punished):
            raise ValueError(
                "事故应写 severity 或 if_punished，别的事项不写 (accidents, and only they, need severity or if_punished)"
            )
        return self


class Criterion(RuleModel):
    """条件: one criterion of the catalogue (`id`), where it stands and how it is judged."""

    id: Text
    title: Text
    levels: tuple[Text, ...] = Field(min_length=1)
    article: Text
    quote: Text
    grade: Grade = "S"
    gate: Gate
    judged_by: Judge
    # metric (also named by benchmark)
    metric: str | None = None
    scope: Literal["plant", "line"] | None = None
    op: Op | None = None
    values: tuple[DatedValue, ...] = ()
    members: tuple[Text, ...] = ()  # only these members of the metric count: named domains, stages, classes, effects
    shows: tuple[Text, ...] = ()  # metrics listed beside a judgement, never scoring it
    # the others
    documents: tuple[DocumentNeed, ...] = ()  # one of them suffices
    event: EventBar | None = None
    holds: tuple[Text, ...] = ()  # levels, one of which must be held
    benchmark: Literal["province_mean", "province_lead", "national_lead", "global_lead", "industry_lead"] | None = None
    adopts: Text | None = None  # family of the adopted instrument
    note: str = ""

    @field_validator("values")
    @classmethod
    def _apart(cls, values: tuple[DatedValue, ...]) -> tuple[DatedValue, ...]:
        refuse_overlaps(values)
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        needs = {
            "metric": ("metric", "scope", "op", "values"),
            "document": ("documents",),
            "event": ("event",),
            "title": ("holds",),
            "benchmark": ("metric", "benchmark"),
            "scene": ("adopts",),
            "reference": ("adopts",),
        }
        owned = {"metric", "scope", "event", "holds", "benchmark", "adopts", "documents"}  # op, values serve two kinds
        for name in needs.get(self.judged_by, ()):
            if not getattr(self, name):
                raise ValueError(f"judged_by {self.judged_by} 时应有 {name} (expected {name})")
        for name in sorted(owned - set(needs.get(self.judged_by, ()))):
            if getattr(self, name):
                raise ValueError(f"judged_by {self.judged_by} 时不能有 {name} (expected no {name})")
        if self.judged_by not in ("metric", "document") and (self.values or self.op):
            raise ValueError("只有 metric 和 document 才能有 op、values (expected none)")
        if bool(self.op) != bool(self.values):
            raise ValueError("op 与 values 应同时写 (expected op and values together)")
        for value in self.values:
            if (value.unit == "level") != (self.judged_by == "document"):
                raise ValueError(f"judged_by {self.judged_by} 时 unit 不能是 {value.unit} (unit does not fit)")
            if value.as_written not in self.quote:
                raise ValueError(
                    f"as_written 应是 quote 里的原文 (expected words of the quote), found {value.as_written!r}"
                )
        return self

    def value_on(self, day: date) -> DatedValue | None:
        """The threshold in force on a day, or none."""
        return next((v for v in self.values if v.holds_on(day)), None)


class Level(RuleModel):
    """梯次: what one applies for."""

    id: Text
    title: Text


class Shown(RuleModel):
    """A metric that is shown beside the criteria though the instrument sets no threshold for it, and why."""

    metric: str
    why: Text


class Adoption(RuleModel):
    """引用文件: a family of instruments that this one adopts. named: a dated list; latest: the newest edition in force on the day."""

    family: Text
    how: Literal["named", "latest", "annual_notice"]
    article: Text
    as_written: Text
    editions: tuple[AdoptedEdition, ...] = ()

    @field_validator("editions")
    @classmethod
    def _apart(cls, editions: tuple[AdoptedEdition, ...]) -> tuple[AdoptedEdition, ...]:
        refuse_overlaps(editions)
        return editions

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.how != "latest" and not self.editions:
            raise ValueError(f"how {self.how} 时应写 editions (expected editions)")
        return self


class AdoptedEdition(Period):
    """Which file is meant while the period holds."""

    instrument: Text


class Scene(RuleModel):
    """典型场景: one of the scenes of a guide. stage8: the guide's 环节; stage5: the 环节 of 要素条件."""

    no: int = Field(ge=1, le=200)
    name: Text
    stage8: Text
    stage5: Text
    plant_floor: Literal["none", "partial", "strong"]


class IndexLevel(RuleModel):
    """One line of a level rule of a score index: enough base points, enough scenes at a level, enough of them constrained."""

    level: int = Field(ge=1, le=5)
    base_min: int = Field(ge=0, le=100)
    scenes_min: int = Field(ge=0)
    scene_level: int = Field(ge=1, le=5)
    constrained_min: int = Field(ge=0)


class IndexRule(Period):
    """水平等级规则: dated, as a table. `constrained`: the scenes marked ★."""

    as_written: Text
    constrained: tuple[Text, ...]
    guiding: tuple[Text, ...]
    levels: tuple[IndexLevel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        for level in self.levels:
            scenes = len(self.constrained) + len(self.guiding)
            if level.scenes_min > scenes or level.constrained_min > len(self.constrained):
                raise ValueError(
                    f"第 {level.level} 级要的场景比列出的多 (level {level.level} asks for more scenes than listed)"
                )
        return self


class RuleSet(RuleModel):
    """One instrument at one edition. `sha256` is that of the file's bytes: what a `rules` leaf commits to.

    id: `<folder>/<file>`, e.g. CN-GS/GS25. family: what other instruments adopt it by. effective_by: where the first day comes from
    (stated in the text; issue: day of issue taken as publication; seen: the text names none, the day on which we had the copy).
    """

    format: Literal["plantproof-rules/2"]
    id: Text
    family: Text | None = None
    edition: int = Field(ge=1)
    title: Text
    doc_no: str | None = None
    issuer: Text
    grade: Grade = "S"
    status: Literal["in_force", "draft", "expired"]
    in_force: Period
    effective_by: Literal["stated", "issue", "seen", "unknown"] = "stated"
    levels: tuple[Level, ...] = ()
    shown: tuple[Shown, ...] = ()
    adopts: tuple[Adoption, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    scenes: tuple[Scene, ...] = ()
    index_rules: tuple[IndexRule, ...] = ()
    note: str = ""
    sha256: str = ""

    @field_validator("index_rules")
    @classmethod
    def _apart(cls, rules: tuple[IndexRule, ...]) -> tuple[IndexRule, ...]:
        refuse_overlaps(rules)
        return rules

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.in_force.first is None and self.status != "draft":
            raise ValueError("只有征求意见稿可以没有施行日 (only a draft may lack in_force.from)")
        if self.in_force.first is not None and self.status == "draft":
            raise ValueError("征求意见稿没有施行日 (a draft has no in_force.from)")
        if self.status == "expired" and self.in_force.last is None:
            raise ValueError("失效的办法应写 in_force.until (an expired instrument needs in_force.until)")
        if not (self.criteria or self.scenes or self.index_rules):
            raise ValueError("应有 criteria、scenes 或 index_rules 之一 (expected one of them)")
        return self

    def standing(self, day: date) -> Standing:
        """Whether it binds anybody on a day."""
        if self.status == "draft" or self.in_force.first is None:
            return "draft"
        if day < self.in_force.first:
            return "not_yet"
        return "binding" if self.in_force.holds_on(day) else "expired"

    def name_on(self, day: date) -> str:
        """The title as it must be shown: a draft or expired one says so. `…（已于 2025-12-31 失效）`."""
        standing = self.standing(day)
        if standing == "binding":
            return self.title
        when = {"expired": f"已于 {self.in_force.last} 失效", "not_yet": f"{self.in_force.first} 起施行，尚未施行"}
        words = when.get(standing, STANDING_ZH[standing])
        title = self.title.removesuffix("（征求意见稿）")
        return f"{title}（{words}）"

    def reading_day(self, day: date) -> date | None:
        """The day whose numbers are read: the day itself; the last one of an expired instrument; None: before it, or a draft."""
        standing = self.standing(day)
        return {"binding": day, "expired": self.in_force.last}.get(standing)

    def value_of(self, criterion: Criterion, day: date) -> DatedValue | None:
        """The threshold read on a day: in force then, or what a draft or expired instrument would demand (试算)."""
        if self.standing(day) == "draft":
            return criterion.values[-1] if criterion.values else None
        read = self.reading_day(day)
        return criterion.value_on(read) if read else None

    def criteria_on(self, day: date, level: str | None = None) -> tuple[Criterion, ...]:
        """Criteria read on a day, in the file's order; none before the instrument's first day."""
        if self.standing(day) == "not_yet":
            return ()
        return tuple(
            c
            for c in self.criteria
            if (level is None or level in c.levels) and (not c.values or self.value_of(c, day) is not None)
        )


Adoption.model_rebuild()
