"""引用的文件: scenes of a guide and conditions that another instrument states.

In: the editions that the instrument adopts on the day, already judged (`Evidence.adopted`); scenes of the register. Out: `Verdict`.
scene: a scene in production whose number stands in the guide is 仅申报; registered ones that are not are 差距; none registered 数据不足.
reference: what the adopted instrument comes to at the same level; an edition that nobody knows, or that binds nobody and would be met,
needs judgement.
"""

from __future__ import annotations

from config.ruleset import Adoption, Criterion, RuleSet
from metrics.result import VERDICT_ZH, Verdict, VerdictWord
from metrics.verdicts.evidence import Evidence, Referred, on_paper

# the first that is present names a whole
WORST_FIRST: tuple[VerdictWord, ...] = (
    "short",
    "insufficient_data",
    "needs_judgement",
    "declared_only",
    "met",
    "not_applicable",
)


def judge_scene(criterion: Criterion, rules: RuleSet, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion that asks for a scene of the adopted guide."""
    guide = evidence.adopted.get(criterion.adopts or "")
    if guide is None:
        return on_paper(criterion, "needs_judgement", _unknown(rules, criterion), required=required)
    listed = {scene.no: scene.name for scene in guide.rules.scenes}
    running = [
        s for s in evidence.scenes if s.status == "in_production" and s.since is not None and s.since <= evidence.day
    ]
    fitting = [s for s in running if s.no in listed]
    if fitting:
        names = "、".join(f"{s.name}（第 {s.no} 号 {listed[s.no]}）" for s in fitting)
        why = f"{guide.name}所列场景：{names}；凭台账申报"
        return on_paper(criterion, "declared_only", why, required=required)
    needs = tuple(
        (s.id, s.name, "尚未投产" if s.no in listed else f"指引没有第 {s.no} 号场景") for s in evidence.scenes
    )
    word: VerdictWord = "short" if evidence.scenes else "insufficient_data"
    why = "台账里的场景都没有投产或不在指引内" if evidence.scenes else "台账没有登记场景"
    return on_paper(
        criterion,
        word,
        why,
        required=required,
        distance=1,
        unit="scene",
        needs=needs or (("", guide.name, "台账没有登记场景"),),
    )


def judge_reference(criterion: Criterion, rules: RuleSet, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion that refers to another instrument; one word per level, the worst of them for all."""
    referred = evidence.adopted.get(criterion.adopts or "")
    if referred is None:
        return on_paper(criterion, "needs_judgement", _unknown(rules, criterion), required=required)
    by_level = tuple((level, referred.levels[level]) for level in criterion.levels if level in referred.levels)
    if not by_level:
        why = f"{referred.name}没有同一梯次"
        return on_paper(criterion, "needs_judgement", why, required=required)
    words = {word for _, word in by_level}
    if len(by_level) < len(criterion.levels):
        words.add("needs_judgement")
    word = next(w for w in WORST_FIRST if w in words)
    return Verdict(
        criterion=criterion.id,
        verdict=word,
        simulated=referred.simulated,
        distance=None,
        distance_unit="",
        why=_levels_words(referred, by_level),
        numbers=word,
        required=required,
        by_level=by_level,
    )


def _levels_words(referred: Referred, by_level: tuple[tuple[str, VerdictWord], ...]) -> str:
    titles = {level.id: level.title for level in referred.rules.levels}
    said = "，".join(f"{titles.get(level, level)} {VERDICT_ZH[word]}" for level, word in by_level)
    return f"按{referred.name}逐条判定：{said}"


def _unknown(rules: RuleSet, criterion: Criterion) -> str:
    adoption: Adoption | None = next((a for a in rules.adopts if a.family == criterion.adopts), None)
    if adoption is None:
        return "办法没有写明引用哪个文件"
    return f"引用文件的版本未知（{adoption.article}：{adoption.as_written}），须由评审人员对照"
