"""办法: one instrument as dated data: its levels, criteria with article and words, thresholds as integer fractions.

In: a YAML file of `config/rules/<ISO 3166-2>/`. Out: `RuleSet`, frozen; `values_on(day)` gives the threshold in force or none:
an unknown date gives no rule, never a guess (OpenFisca's habit). Refuses, with file and key path: unknown and duplicate keys,
impossible dates, unknown metrics, values that overlap or lack an article, numbers that do not stand in the quoted words.
Format and meaning of each key: the head of `rules/CN-GS/GS25.yaml`.

Errors: `ConfigError` (exit code 4).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from config.errors import ConfigError, Problem

RULES = Path(__file__).parent / "rules"
ISO_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Op = Literal[">=", "=="]
Gate = Literal["hard", "soft", "definition"]
Judge = Literal["metric", "document", "person"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Period(_Model):
    """Days from `first` to `last`, both included; `last` None while nobody repealed it."""

    first: date = Field(alias="from")
    last: date | None = Field(alias="until")

    @field_validator("first", "last", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, str) and ISO_DAY.match(value)):
            raise ValueError(f"应为日期，如 2025-08-06 (expected a date), found {value!r}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"应为 from 不晚于 until (expected from <= until), found {self.first} > {self.last}")
        return self

    def holds_on(self, day: date) -> bool:
        """True when the day lies inside."""
        return self.first <= day and (self.last is None or day <= self.last)


class DatedValue(Period):
    """A threshold and when it holds. `threshold_by` instrument: the number stands in the words; definition: it is ours."""

    threshold: str = Field(pattern=r"^\d{1,6}/[1-9]\d{0,5}$")
    threshold_by: Literal["instrument", "definition"]
    as_written: Text

    @property
    def fraction(self) -> tuple[int, int]:
        """(numerator, denominator), as written, not reduced."""
        numerator, denominator = self.threshold.split("/")
        return int(numerator), int(denominator)


class Criterion(_Model):
    """条件: one criterion of the catalogue (`id`), where it stands and how it is judged."""

    id: Text
    title: Text
    levels: tuple[Text, ...] = Field(min_length=1)
    article: Text
    quote: Text
    gate: Gate
    judged_by: Judge
    metric: str | None = None
    scope: Literal["plant", "line"] | None = None
    op: Op | None = None
    values: tuple[DatedValue, ...] = ()
    note: str = ""

    @field_validator("values")
    @classmethod
    def _apart(cls, values: tuple[DatedValue, ...]) -> tuple[DatedValue, ...]:
        for earlier, later in pairwise(values):
            if earlier.last is None or later.first <= earlier.last:
                raise ValueError(
                    f"时间段应先后分开 (expected periods in order and apart), "
                    f"found {earlier.first}..{earlier.last or ''} and {later.first}..{later.last or ''}"
                )
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        parts = (self.metric, self.scope, self.op, self.values or None)
        if self.judged_by == "metric" and None in parts:
            raise ValueError("judged_by metric 时应有 metric、scope、op、values (expected all four)")
        if self.judged_by != "metric" and any(p is not None for p in parts):
            raise ValueError("只有 judged_by metric 才能有 metric、scope、op、values (expected none of them)")
        for value in self.values:
            if value.threshold_by == "instrument" and value.as_written not in self.quote:
                raise ValueError(
                    f"as_written 应是 quote 里的原文 (expected words of the quote), found {value.as_written!r}"
                )
        return self

    def value_on(self, day: date) -> DatedValue | None:
        """The threshold in force on a day, or none."""
        return next((v for v in self.values if v.holds_on(day)), None)


class Level(_Model):
    """梯次: what one applies for."""

    id: Text
    title: Text


class Shown(_Model):
    """A metric that is shown beside the criteria though the instrument sets no threshold for it, and why."""

    metric: str
    why: Text


class RuleSet(_Model):
    """One instrument at one edition. `sha256` is that of the file's bytes: what a `rules` leaf commits to."""

    format: Literal["plantproof-rules/1"]
    id: Text
    edition: int = Field(ge=1)
    title: Text
    doc_no: Text
    issuer: Text
    status: Literal["in_force", "draft", "expired"]
    in_force: Period
    levels: tuple[Level, ...] = Field(min_length=1)
    shown: tuple[Shown, ...] = ()
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    sha256: str = ""

    def criteria_on(self, day: date, level: str | None = None) -> tuple[Criterion, ...]:
        """Criteria that hold on a day, in the file's order; none when the instrument is not in force then."""
        if not self.in_force.holds_on(day):
            return ()
        return tuple(
            c
            for c in self.criteria
            if (level is None or level in c.levels) and (c.judged_by != "metric" or c.value_on(day) is not None)
        )


def shipped_rules() -> dict[str, Path]:
    """Instruments that come with the program: id -> file."""
    return {path.stem: path for path in sorted(RULES.glob("*/*.yaml"))}


def load_ruleset(name: str, metrics: Collection[str]) -> RuleSet:
    """An instrument by its id (`GS25`) or by a file's path. `metrics`: the ids there are. Errors: `ConfigError`."""
    path = shipped_rules().get(name, Path(name))
    if not path.is_file():
        known = "、".join(shipped_rules())
        raise ConfigError([Problem(name, "", f"没有这个办法 (no such instrument); 现有 {known}")])
    return parse_ruleset(path.read_bytes(), str(path), metrics)


def parse_ruleset(raw: bytes, file: str, metrics: Collection[str]) -> RuleSet:
    """Bytes of a rules file -> `RuleSet`, every problem at once."""
    body = _yaml(raw, file)
    try:
        rules = RuleSet.model_validate(body)
    except ValidationError as err:
        raise ConfigError([_problem(dict(e), body, file) for e in err.errors()]) from err
    problems = _references(rules, file, metrics)
    if problems:
        raise ConfigError(problems)
    return rules.model_copy(update={"sha256": hashlib.sha256(raw).hexdigest()})


def _references(rules: RuleSet, file: str, metrics: Collection[str]) -> list[Problem]:
    known = "、".join(sorted(metrics))
    levels = {level.id for level in rules.levels}
    seen: set[str] = set()
    problems = [
        Problem(file, f"shown[{i}].metric", f"没有指标 {s.metric!r} (unknown metric); 现有 {known}")
        for i, s in enumerate(rules.shown)
        if s.metric not in metrics
    ]
    for criterion in rules.criteria:
        where = f"criteria[{criterion.id}]"
        if criterion.id in seen:
            problems.append(Problem(file, where, "编号重复 (id given twice)"))
        seen.add(criterion.id)
        if criterion.metric is not None and criterion.metric not in metrics:
            problems.append(
                Problem(file, f"{where}.metric", f"没有指标 {criterion.metric!r} (unknown metric); 现有 {known}")
            )
        problems += [
            Problem(file, f"{where}.levels", f"没有梯次 {level!r} (unknown level); 现有 {'、'.join(sorted(levels))}")
            for level in criterion.levels
            if level not in levels
        ]
        for i, value in enumerate(criterion.values):
            if value.first < rules.in_force.first:
                problems.append(
                    Problem(
                        file,
                        f"{where}.values[{i}].from",
                        f"不能早于办法施行日 {rules.in_force.first} (before the instrument), found {value.first}",
                    )
                )
    return problems


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys and leaves dates as text, so that a wrong one is reported with its key path."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"键 {key!r} 出现两次 (key given twice)", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _yaml(raw: bytes, file: str) -> Any:
    try:
        return yaml.load(raw.decode("utf-8"), _Loader)  # noqa: S506  (a SafeLoader)
    except UnicodeDecodeError as err:
        problem = Problem(
            file, f"byte {err.start}", "应为 UTF-8 文本 (expected UTF-8 text)", "另存为 UTF-8 (save as UTF-8)"
        )
    except yaml.MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}" if err.problem_mark else ""
        problem = Problem(file, line, f"不是可用的 YAML：{err.problem} (not usable YAML)")
    except yaml.YAMLError as err:
        problem = Problem(file, "", f"不是可用的 YAML：{err} (not usable YAML)")
    raise ConfigError([problem])


def _problem(error: dict[str, Any], body: Any, file: str) -> Problem:
    where = _key_path(error["loc"], body)
    found = error.get("input")
    shown = f", found {found!r}" if isinstance(found, str | int) else ""
    if error["type"] == "missing":
        return Problem(file, where, "缺这一项 (expected a value, found none)")
    if error["type"] == "extra_forbidden":
        return Problem(file, where, "不认识的键 (unknown key)", "删去或改正 (remove or correct it)")
    if error["type"].startswith("date"):
        return Problem(file, where, f"应为存在的日期，如 2025-08-06 (expected a date that exists){shown}")
    if error["type"] == "value_error":
        return Problem(file, where, str(error["ctx"]["error"]))
    return Problem(file, where, f"{error['msg']}{shown}")


def _key_path(loc: tuple[int | str, ...], body: Any) -> str:
    """`criteria[GS25-12-3-3g].values[0].from`: criteria by their id, which a reader can search for."""
    path = ""
    for i, part in enumerate(loc):
        if not isinstance(part, int):
            path += f".{part}" if path else part
            continue
        name: Any = part
        if i == 1 and loc[0] == "criteria" and isinstance(body["criteria"][part], dict):
            name = body["criteria"][part].get("id", part)
        path += f"[{name}]"
    return path
