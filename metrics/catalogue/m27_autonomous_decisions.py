"""自主决策与动态优化 (M27) = scenes that closed a loop by themselves / scenes in production that claim to.

Members, denominator: scene instances in production at T that claim it: marked `ai`, or named by a change row before T.
Numerator, over the changes of three months that name the scene: lower = one made by the system (actor algorithm) with its reason
and, for set-points and recipes, its device, and not overridden by a person; value = one by the system, not overridden; upper = value,
or no row at all in the window. Parameters: changes by the system over all changes of the plant, with what people overrode.
Scenes in production that do not claim it are listed in `not_claimed`. Exclusions: none. Undetermined: no register, no such scene.
Source: GS25 第十二条(二) 实现关键核心环节自主决策或动态优化; catalogue §4.1 M27.
"""

from __future__ import annotations

import polars as pl

from collector.store.record_frames import empty_frame
from config.plan import SceneInstance
from config.record_kinds import KINDS
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.scenes import scenes_in_production
from metrics.result import Member, MetricResult, Pair

NO_CLAIM = "没有已投产的场景标明 AI 或有过自动调整记录 (no scene in production claims it)"
_COUNTS = ("changes", "automatic", "kept", "reasoned", "closed")


def autonomous_decisions(inputs: Inputs) -> list[MetricResult]:
    """M27 自主决策与动态优化 over the plant; members are scene instances."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M27", "plant", window, inputs)]
    scenes = scenes_in_production(inputs)
    changes = _changes(inputs)
    named = set(changes["scene_id"].to_list())
    within = changes.filter(pl.col("at") >= window.start_us)
    of_scene = {row["scene_id"]: row for row in within.group_by("scene_id").agg(*_counted()).iter_rows(named=True)}
    members = tuple(_member(s, of_scene.get(s.id, dict.fromkeys(_COUNTS, 0))) for s in scenes if s.ai or s.id in named)
    plant = within.select(*_counted()).row(0, named=True)
    return [
        ratio_of_members(
            "M27",
            "plant",
            window,
            inputs,
            members,
            declared=sum(s.ai for s in scenes),
            parameters=(
                ("changes", int(plant["changes"])),
                ("automatic_lower", int(plant["reasoned"])),
                ("automatic_value", int(plant["kept"])),
                ("automatic_upper", int(plant["automatic"])),
                ("not_claimed", ",".join(s.id for s in scenes if not s.ai and s.id not in named)),
                ("overridden", int(plant["automatic"] - plant["kept"])),
            ),
            notes=() if members else (NO_CLAIM,),
        )
    ]


def _changes(inputs: Inputs) -> pl.DataFrame:
    """All change rows before T; none without records."""
    if inputs.records is None:
        return empty_frame(KINDS["changes"])
    return inputs.records.frame("changes").filter(pl.col("at") < inputs.end_us)


def _counted() -> list[pl.Expr]:
    """Rows; by the system; not overridden; with a reason; and with a device where one is meant (a closed loop)."""
    automatic = pl.col("actor") == "algorithm"
    kept = automatic & ~pl.col("overridden")
    reasoned = kept & (pl.col("reason") != "")
    closed = reasoned & ((pl.col("subject") == "schedule") | (pl.col("device_id") != ""))
    return [
        pl.len().alias("changes"),
        automatic.sum().alias("automatic"),
        kept.sum().alias("kept"),
        reasoned.sum().alias("reasoned"),
        closed.sum().alias("closed"),
    ]


def _member(scene: SceneInstance, n: dict[str, int]) -> Member:
    lower, value = n["closed"] > 0, n["kept"] > 0
    reasons = (
        ("no_adjustment", n["changes"] == 0),
        ("changed_by_people", n["automatic"] == 0),
        ("overridden", n["kept"] == 0),
        ("no_reason", n["reasoned"] == 0),
        ("no_adjusted_device", n["closed"] == 0),
    )
    why = next((code for code, holds in reasons if holds), "ok")
    facts: tuple[Pair, ...] = tuple((name, int(n[name])) for name in _COUNTS)
    return Member(scene.id, scene.name, lower, value, value or n["changes"] == 0, why, facts)
