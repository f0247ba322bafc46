"""场景实例: which scenes of the register are in production at T, and what shows it: the core of M19, M20, M27.

In: `Inputs` (register of T, lines, documents). Out: scenes, and which machines were heard from on their lines.
`since` is a day: a scene is in production from its midnight on, so one that begins on T's day is not yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from config.plan import SceneInstance
from metrics.inputs import Inputs, in_service_at_end
from metrics.machines.networked import COVERAGE_PERCENT, contacts
from metrics.window import local_day, midnight_us

NO_SCENE = "台账没有已投产的场景实例 (no scene in production in the register)"


def in_production(inputs: Inputs, scene: SceneInstance) -> bool:
    """Status in_production, since a day before T."""
    return (
        scene.status == "in_production"
        and scene.since is not None
        and midnight_us(scene.since, inputs.tz) < inputs.end_us
    )


def scenes_in_production(inputs: Inputs) -> list[SceneInstance]:
    """Those of the register of T, in its order."""
    return [s for s in inputs.register.scenes if in_production(inputs, s)]


def lines_heard_from(inputs: Inputs, lines: Iterable[str | None]) -> frozenset[str]:
    """Lines with a device in service at T that is networked as in M01 (lower)."""
    register = inputs.register
    wanted = {line for line in lines if line is not None}
    devices = [d for d in register.devices if d.line in wanted and in_service_at_end(register, d.id, inputs.end_us)]
    return frozenset(c.device.line for c in contacts(inputs, devices) if c.flags(COVERAGE_PERCENT)[0])


def documented(inputs: Inputs, scene: SceneInstance) -> bool:
    """A document of kind scene, valid on T's day, that serves the scene's id or has it in its name."""
    day = local_day(inputs.end_us, inputs.tz)
    named = re.compile(rf"(?<![A-Za-z0-9_.-]){re.escape(scene.id)}(?![A-Za-z0-9_.-])")
    return any(
        d.kind == "scene" and d.valid_on(day) and (scene.id in d.criteria or named.search(d.name) is not None)
        for d in inputs.documents
    )
