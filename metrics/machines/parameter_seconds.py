"""关键工艺参数 while the process runs: seconds known and seconds inside limits, against all the time the machine may have run.

In: `Inputs`. Out: `Seconds` per (device, point) of the register's key parameters, over the hours of three months in which the device owed
a minute. Such an hour without a line, or whose line tells no state, may have been running throughout: 3600 s possible. For M07 and M26.
Fields: docs/format/hour-lines.md (`run_s`, `unknown_s` of D lines, `run_ok_s`, `run_in_s` of P lines).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metrics.inputs import Inputs
from metrics.machines.fields import ABSENT, Counts, place_pairs
from metrics.machines.minutes import Minutes, by_day, count, field
from metrics.window import hours_of

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Seconds:
    """possible: it may have run; ran: it ran, in hours that tell of the point; known: of these, with a good value known;
    judged: of these, where limits stood; inside: of these, inside them. days: obligated days. told: some line tells the state.
    """

    possible_s: int
    ran_s: int
    known_s: int
    judged_s: int
    inside_s: int
    days: int
    told: bool


def parameter_seconds(inputs: Inputs) -> dict[tuple[str, str], Seconds]:
    """Of each pair the register of T names, its device known to that register."""
    register = inputs.register
    named = {(p.device, p.point) for p in register.parameters if p.device and p.point}
    pairs = sorted((device, point) for device, point in named if device in register.device)
    part = inputs.minutes.part(inputs.three_months, sorted({device for device, _ in pairs}))
    row = {device: i for i, device in enumerate(part.devices)}
    run, unknown, owed = field(inputs, part, "run_s"), field(inputs, part, "unknown_s"), part.owed != 0
    told = run > ABSENT
    possible = np.where(owed, np.where(told, run + np.maximum(unknown, 0), HOUR_S), 0).sum(axis=1)
    days = (by_day(count(part.owed)) > 0).sum(axis=1)
    sums = _point_sums(inputs, pairs, part, run)
    return {
        pair: Seconds(
            int(possible[row[pair[0]]]), *sums[pair], int(days[row[pair[0]]]), told=bool(told[row[pair[0]]].any())
        )
        for pair in pairs
    }


def _point_sums(
    inputs: Inputs, pairs: list[tuple[str, str]], part: Minutes, run: Counts
) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """(ran, known, judged, inside) of each pair from its P lines, in the hours its device owed."""
    first, end = hours_of(inputs.three_months)
    row = {device: i for i, device in enumerate(part.devices)}
    places, pair = place_pairs(inputs.lines.parameter, pairs, first, end)
    lines = inputs.lines.parameter.select("hour", "run_ok_s", "run_in_s")[places]
    of_device = np.array([row[device] for device, _ in pairs], np.int64)[pair]
    place = (of_device, (lines["hour"] - first).to_numpy())
    known, inside = (lines[name].fill_null(ABSENT).to_numpy() for name in ("run_ok_s", "run_in_s"))
    owed, stated, judged = (part.owed != 0)[place], known > ABSENT, inside > ABSENT
    figures = (
        np.where(owed & stated, np.maximum(run[place], 0), 0),
        np.where(owed & stated, known, 0),
        np.where(owed & stated & judged, known, 0),
        np.where(owed & judged, inside, 0),
    )
    totals = np.zeros((len(figures), len(pairs)), np.int64)
    for total, values in zip(totals, figures, strict=True):
        np.add.at(total, pair, values)
    return {pair: (int(r), int(k), int(j), int(n)) for pair, (r, k, j, n) in zip(pairs, totals.T, strict=True)}
