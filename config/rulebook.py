"""规则库: reads rules files, finds an instrument by its id, resolves which edition another one adopts on a day.

In: YAML files under `config/rules/<ISO 3166-2>/<id>.yaml` (shipped) or a path of the factory's own. Out: `RuleSet`s.
Refuses, with file and key path and every problem at once: what `config/rule_file.py` cannot read, unknown keys, impossible dates, unknown
metrics, levels, kinds of document, ids given twice, days outside the instrument's, adopted families that nobody defines.

Errors: `ConfigError` (exit code 4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from config.dated import Period
from config.documents import DOCUMENT_KINDS
from config.errors import ConfigError, Problem
from config.rule_file import explained, read_yaml
from config.ruleset import RuleSet

RULES = Path(__file__).parent / "rules"


def shipped_rules() -> dict[str, Path]:
    """Instruments that come with the program: id (`CN-GS/GS25`) -> file."""
    return _files(RULES)


def shipped_digest() -> str:
    """SHA-256 over the ids and bytes of all instruments that come with the program, as they lie on disk now."""
    digest = hashlib.sha256()
    for name, path in shipped_rules().items():
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def find_rules(name: str) -> Path | None:
    """The file of an instrument: its id (`CN-GS/GS25`), the last part of it (`GS25`), or a path of the factory's own."""
    shipped = shipped_rules()
    short = {path.stem: path for path in shipped.values()}
    path = shipped.get(name) or short.get(name) or Path(name)
    try:
        return path if path.is_file() else None
    except OSError:  # a name no file can have
        return None


def load_ruleset(name: str, metrics: Collection[str]) -> RuleSet:
    """An instrument by what `find_rules` takes. `metrics`: the ids there are (`config.metric_names.TITLES`). Errors: `ConfigError`."""
    path = find_rules(name)
    if path is None:
        known = "、".join(shipped_rules())
        raise ConfigError([Problem(name, "", f"没有这个办法 (no such instrument); 现有 {known}")])
    return parse_ruleset(path.read_bytes(), str(path), metrics)


def load_shelf(metrics: Collection[str], name: str = "") -> dict[str, RuleSet]:
    """Every shipped instrument by id; beside them those that lie next to `name`, where that is a path of the factory's own.

    Next to `rules/CN-XX/TEST25.yaml` are all files `rules/*/*.yaml`. Errors: `ConfigError`, also for an id that is given twice.
    """
    own = find_rules(name) if name else None
    files = list(shipped_rules().values())
    if own is not None and own not in files:
        files += [path for path in _files(own.resolve().parent.parent).values() if path not in files]
    shelf: dict[str, RuleSet] = {}
    problems: list[Problem] = []
    for path in files:
        rules = parse_ruleset(path.read_bytes(), str(path), metrics)
        if rules.id != f"{path.parent.name}/{path.stem}":
            fault = f"编号应与文件夹和文件名相同 (expected {path.parent.name}/{path.stem}), found {rules.id}"
            problems.append(Problem(str(path), "id", fault))
        if rules.id in shelf:
            problems.append(Problem(str(path), "id", f"编号 {rules.id} 已有另一份文件使用 (id given twice)"))
        shelf[rules.id] = rules
    problems += [problem for rules in shelf.values() for problem in unresolved(rules, shelf)]
    if problems:
        raise ConfigError(problems)
    return shelf


def unresolved(rules: RuleSet, shelf: Mapping[str, RuleSet]) -> list[Problem]:
    """What an instrument adopts and no file defines."""
    families = {r.family for r in shelf.values()}
    problems: list[Problem] = []
    for adoption in rules.adopts:
        where = f"adopts[{adoption.family}]"
        if adoption.family not in families:
            problems.append(Problem(rules.id, where, "没有文件定义这一类引用文件 (no file defines this family)"))
        for i, edition in enumerate(adoption.editions):
            found = shelf.get(edition.instrument)
            if found is None or found.family != adoption.family:
                fault = f"没有属于 {adoption.family} 的 {edition.instrument!r} (no such instrument of the family)"
                problems.append(Problem(rules.id, f"{where}.editions[{i}].instrument", fault))
    return problems


def adopted(rules: RuleSet, family: str, day: date, shelf: Mapping[str, RuleSet]) -> RuleSet | None:
    """The edition of `family` that `rules` means on a day; None where none is known. An expired one is read on its last day.

    named, annual_notice: what the dated list says and nothing else. latest: the newest binding edition; a dated entry overrules it.
    """
    adoption = next((a for a in rules.adopts if a.family == family), None)
    if adoption is None:
        return None
    read = rules.reading_day(day) or day
    named = next((e.instrument for e in adoption.editions if e.holds_on(read)), None)
    if named is not None:
        return shelf.get(named)
    if adoption.how != "latest":
        return None
    editions = [r for r in shelf.values() if r.family == family and r.standing(read) == "binding"]
    return max(editions, key=lambda r: (r.in_force.first or date.min, r.edition), default=None)


def parse_ruleset(raw: bytes, file: str, metrics: Collection[str]) -> RuleSet:
    """Bytes of a rules file -> `RuleSet`, every problem at once."""
    body = read_yaml(raw, file)
    try:
        rules = RuleSet.model_validate(body)
    except ValidationError as err:
        raise ConfigError([explained(dict(e), body, file) for e in err.errors()]) from err
    problems = _references(rules, file, metrics)
    if problems:
        raise ConfigError(problems)
    return rules.model_copy(update={"sha256": hashlib.sha256(raw).hexdigest()})


def _files(root: Path) -> dict[str, Path]:
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(root.glob("*/*.yaml"))}


def _references(rules: RuleSet, file: str, metrics: Collection[str]) -> list[Problem]:
    """Names that stand for something: ids once, metrics, levels, families; and dated entries inside the instrument's time."""
    problems: list[Problem] = []

    def check(where: str, names: Iterable[str], known: Collection[str], what: tuple[str, str]) -> None:
        listed = "、".join(sorted(known)) or "无"
        problems.extend(
            Problem(file, where, f"没有{what[0]} {name!r} (unknown {what[1]}); 现有 {listed}")
            for name in names
            if name not in known
        )

    levels, families = [level.id for level in rules.levels], [a.family for a in rules.adopts]
    metric, level, family = ("指标", "metric"), ("梯次", "level"), ("引用文件", "adopted family")
    for i, shown in enumerate(rules.shown):
        check(f"shown[{i}].metric", [shown.metric], metrics, metric)
    for c in rules.criteria:
        where = f"criteria[{c.id}]"
        check(f"{where}.metric", [c.metric] if c.metric else [], metrics, metric)
        check(f"{where}.shows", c.shows, metrics, metric)
        check(f"{where}.documents", [need.kind for need in c.documents], DOCUMENT_KINDS, ("材料种类", "document kind"))
        check(f"{where}.levels", c.levels, levels, level)
        check(f"{where}.holds", c.holds, levels, level)
        check(f"{where}.adopts", [c.adopts] if c.adopts else [], families, family)
        problems += _dates(rules, file, where, c.values)
    for p in rules.procedures:
        where = f"procedures[{p.id}]"
        ladder = [*p.requires, *(x for needed in p.requires.values() for x in needed), *p.first, *p.routes]
        paid = [x for value in p.values for x in (*value.caps_wan, *value.level_total_cap_wan)]
        check(f"{where}.levels", dict.fromkeys((*p.levels, *ladder, *paid)), levels, level)
        problems += _dates(rules, file, where, p.values)
    for adoption in rules.adopts:
        problems += _dates(rules, file, f"adopts[{adoption.family}]", adoption.editions, "editions")
    problems += _dates(rules, file, "", rules.index_rules, "index_rules")
    ids = [f"criteria[{c.id}]" for c in rules.criteria] + [f"procedures[{p.id}]" for p in rules.procedures]
    ids += (
        [f"scenes[{s.no}]" for s in rules.scenes]
        + [f"levels[{x}]" for x in levels]
        + [f"adopts[{x}]" for x in families]
    )
    twice = sorted({x for x in ids if ids.count(x) > 1})
    return problems + [Problem(file, where, "编号重复 (id given twice)") for where in twice]


def _dates(rules: RuleSet, file: str, where: str, values: Iterable[Period], key: str = "values") -> list[Problem]:
    """A draft's values have no dates; another's begin on or after its first day and end by its last."""
    start, end = rules.in_force.first, rules.in_force.last
    problems: list[Problem] = []
    for i, value in enumerate(values):
        place = f"{where}.{key}[{i}]".lstrip(".")
        if start is None:
            if value.first is not None or value.last is not None:
                fault = f"征求意见稿没有施行日，应为 null (a draft's values have no dates), found {value.first}..{value.last}"
                problems.append(Problem(file, f"{place}.from", fault))
        elif value.first is None:
            problems.append(Problem(file, f"{place}.from", "应为日期 (expected a date), found null"))
        elif value.first < start:
            fault = f"不能早于办法施行日 {start} (before the instrument), found {value.first}"
            problems.append(Problem(file, f"{place}.from", fault))
        elif end is not None and (value.first > end or (value.last is not None and value.last > end)):
            fault = f"不能晚于办法失效日 {end} (after the instrument), found {value.first}..{value.last}"
            problems.append(Problem(file, f"{place}.until", fault))
    return problems
