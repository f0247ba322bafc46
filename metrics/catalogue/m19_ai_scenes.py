"""AI 场景比例 (M19) = scenes in production with a model at work / scenes in production.

Members, denominator: scene instances of the register of T in production since a day before T. (In practice other denominators are
used too, such as all scenes of the guide: the list is printed.) Window: 30 days.
Numerator: lower = marked `ai`, and the model made inferences on each of the 30 days; value = marked, and on one of them; upper =
declared = marked. Exclusions: none. Undetermined: no register, no scene in production.
Source: 要素条件（2025年版）AI 场景 ≥ 20 % (卓越级), ≥ 60 % (领航级); catalogue §4.1 M19.
"""

from __future__ import annotations

import polars as pl

from config.plan import SceneInstance
from metrics.inputs import NETWORK_DAYS, Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.scenes import NO_SCENE, scenes_in_production
from metrics.result import Member, MetricResult
from metrics.window import local_day


def ai_scenes(inputs: Inputs) -> list[MetricResult]:
    """M19 AI 场景比例 over the plant; members are scene instances."""
    window = inputs.thirty_days
    if inputs.revision is None:
        return [without_register("M19", "plant", window, inputs)]
    scenes = scenes_in_production(inputs)
    days = _days(inputs)
    members = tuple(_member(s, days.get(s.id, 0)) for s in scenes)
    return [
        ratio_of_members(
            "M19",
            "plant",
            window,
            inputs,
            members,
            declared=sum(s.ai for s in scenes),
            parameters=(
                ("min_inference_days", NETWORK_DAYS),
                ("scenes_of_register", len(inputs.register.scenes)),
                ("ai_of_register", sum(s.ai for s in inputs.register.scenes)),
            ),
            notes=() if members else (NO_SCENE,),
        )
    ]


def _member(scene: SceneInstance, days: int) -> Member:
    lower, value = scene.ai and days >= NETWORK_DAYS, scene.ai and days >= 1
    why = "not_ai" if not scene.ai else "no_inference" if days == 0 else "ok" if lower else "inference_gaps"
    return Member(scene.id, scene.name, lower, value, scene.ai, why, (("no", scene.no), ("inference_days", days)))


def _days(inputs: Inputs) -> dict[str, int]:
    """Days of the window with an inference, by scene."""
    if inputs.records is None:
        return {}
    window, day = inputs.thirty_days, pl.col("day")
    first, end = (local_day(at, inputs.tz) for at in (window.start_us, window.end_us))
    found = (
        inputs.records.frame("inferences")
        .filter((day >= first) & (day < end) & (pl.col("count") > 0))
        .group_by("scene_id")
        .agg(day.n_unique())
    )
    return dict(zip(found["scene_id"].to_list(), found["day"].to_list(), strict=True))
