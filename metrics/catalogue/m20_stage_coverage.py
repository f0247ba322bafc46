"""环节覆盖 (M20) = stages with a scene in production that something shows / the stages of the scene guide.

Members, denominator: the 环节 of 要素条件 (工厂建设 研发设计 生产管理 生产作业 运营管理) as the adopted guide assigns its scenes to them.
Numerator: lower = a scene of the stage is in production at T, and a device of its line is networked (M01, lower) or a valid document of
kind scene names it; value = a scene in production at T; upper = a scene in production or being built; declared = one marked
in production, whenever. Scenes whose number the guide does not have count nowhere and are listed.
Exclusions: as M01. Undetermined: no register, no guide adopted.
Source: GS25 第十二条(三)1, (四)1; 要素条件（2025年版）; 场景参考指引（2025年版）; catalogue §4.1 M20, §2.3.
"""

from __future__ import annotations

from config.plan import SceneInstance
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.scenes import documented, in_production, lines_heard_from, scenes_in_production
from metrics.result import Member, MetricResult, Pair

NO_GUIDE = "所用办法没有引用场景参考指引 (the rules adopt no scene guide)"


def stage_coverage(inputs: Inputs) -> list[MetricResult]:
    """M20 环节覆盖 over the plant; members are stages."""
    window = inputs.thirty_days
    if inputs.revision is None:
        return [without_register("M20", "plant", window, inputs)]
    guide = inputs.scenes
    stages = list(dict.fromkeys(guide[no].stage5 for no in sorted(guide)))
    scenes = inputs.register.scenes
    heard = lines_heard_from(inputs, (s.line for s in scenes_in_production(inputs)))
    shown = {s.id for s in scenes_in_production(inputs) if s.line in heard or documented(inputs, s)}
    of_stage = {stage: [s for s in scenes if s.no in guide and guide[s.no].stage5 == stage] for stage in stages}
    return [
        ratio_of_members(
            "M20",
            "plant",
            window,
            inputs,
            tuple(_member(inputs, stage, mine, shown) for stage, mine in of_stage.items()),
            declared=sum(any(s.status == "in_production" for s in mine) for mine in of_stage.values()),
            parameters=(
                ("scenes_of_guide", len(guide)),
                ("scenes_outside_guide", ",".join(s.id for s in scenes if s.no not in guide)),
            ),
            notes=() if guide else (NO_GUIDE,),
        )
    ]


def _member(inputs: Inputs, stage: str, scenes: list[SceneInstance], shown: set[str]) -> Member:
    running = [s.id for s in scenes if in_production(inputs, s)]
    evident = [i for i in running if i in shown]
    marked = any(s.status == "in_production" for s in scenes)
    building = any(s.status == "building" for s in scenes)
    reasons = (
        ("ok", bool(evident)),
        ("no_evidence", bool(running)),
        ("not_yet", marked),
        ("building", building),
        ("planned", bool(scenes)),
    )
    why = next((code for code, holds in reasons if holds), "no_scene")
    facts: tuple[Pair, ...] = (
        ("scenes", ",".join(s.id for s in scenes)),
        ("in_production", ",".join(running)),
        ("shown", ",".join(evident)),
    )
    return Member(stage, stage, bool(evident), bool(running), bool(running) or marked or building, why, facts)
