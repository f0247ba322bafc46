"""工序期间的参数采集: how many minutes of an operation each key parameter of its machine was covered (M13).

In: `Inputs` and operations (batch records with a device, a start and a later end). Out: one row per operation and key parameter
of its device: minutes that touch [start, end), and covered ones for lower, value, upper. Minutes are counted by prefix sums over
the hours' masks, so a long operation costs as much as a short one. Definition: docs/metrics.md, M13 (6).
Outside the hours at hand nobody watched: such minutes count in the upper only.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from config.register import Register
from metrics.inputs import Inputs
from metrics.machines.fields import Counts, place_pairs
from metrics.machines.minutes import FULL, MINUTE_US, Masks

Rows = NDArray[np.intp]


def key_points(register: Register) -> pl.DataFrame:
    """(device_id, point) of every 关键参数测点 of the register, in its order."""
    names = {s.id: [p.name for p in s.points if p.key_parameter] for s in register.point_sets}
    pairs = [(d.id, name) for d in register.devices if d.points for name in names[d.points]]
    return pl.DataFrame(pairs, {"device_id": pl.String, "point": pl.String}, orient="row")


def covered_minutes(inputs: Inputs, operations: pl.DataFrame) -> pl.DataFrame:
    """`operations` (device_id, start, end > start, others kept) x key points -> the same with point, total, lower, value, upper."""
    pairs = key_points(inputs.register).with_row_index("pair")
    asked = operations.join(pairs, on="device_id", how="inner", maintain_order="left_right")
    first = (asked["start"] // MINUTE_US).to_numpy()
    end = (-(-asked["end"] // MINUTE_US)).to_numpy()
    total = end - first
    minutes = inputs.minutes
    low, high = minutes.first_hour * 60, (minutes.first_hour + minutes.owed.shape[1]) * 60
    inside_first, inside_end = np.clip(first, low, high) - low, np.clip(end, low, high) - low
    outside = total - (inside_end - inside_first)
    rows = asked["pair"].to_numpy().astype(np.intp)
    late, unseen = _of_devices(inputs, pairs)
    masks = inputs.key_masks
    counts = [_between(bound, rows, inside_first, inside_end) for bound in (masks, masks | late, masks | late | unseen)]
    return asked.drop("pair").with_columns(
        pl.Series("total", total),
        pl.Series("lower", counts[0]),
        pl.Series("value", counts[1]),
        pl.Series("upper", counts[2] + outside),
    )


def key_masks(inputs: Inputs) -> Masks:
    """[pair, hour] covered minutes of the P lines, pairs as `key_points` has them."""
    masks = np.zeros((len(key_points(inputs.register)), inputs.minutes.owed.shape[1]), np.uint64)
    write_key_masks(masks, inputs, inputs.lines.parameter)
    return masks


def write_key_masks(masks: Masks, inputs: Inputs, parameter: pl.DataFrame) -> None:
    """Put the minutes of some P lines into their places."""
    first, hours = inputs.minutes.first_hour, inputs.minutes.owed.shape[1]
    places, pair = place_pairs(parameter, key_points(inputs.register).rows(), first, first + hours)
    lines = parameter.select("hour", "covered")[places]
    masks[pair, (lines["hour"] - first).to_numpy()] = lines["covered"].cast(pl.UInt64).to_numpy()


def _of_devices(inputs: Inputs, pairs: pl.DataFrame) -> tuple[Masks, Masks]:
    """[pair, hour] late and unseen minutes of the pairs' devices; every device of a pair is of the register."""
    position = {name: i for i, name in enumerate(inputs.minutes.devices)}
    rows = np.array([position[d] for d in pairs["device_id"].to_list()], np.intp)
    return inputs.minutes.late[rows], inputs.minutes.unseen[rows]


def _between(masks: Masks, rows: Rows, first: Counts, end: Counts) -> Counts:
    """Set minutes of [first, end) of each row, minutes counted from the first hour."""
    if masks.size == 0:
        return np.zeros(len(rows), np.int64)
    before = np.zeros((masks.shape[0], masks.shape[1] + 1), np.int32)
    np.cumsum(np.bitwise_count(masks), axis=1, out=before[:, 1:], dtype=np.int32)

    def until(minute: Counts) -> Counts:
        hour, rest = np.divmod(minute, 60)
        mask = masks[rows, np.minimum(hour, masks.shape[1] - 1)]
        part = np.bitwise_count((mask & np.uint64(FULL)) >> (60 - rest).astype(np.uint64))
        return np.asarray(before[rows, hour] + part.astype(np.int64), np.int64)

    return until(end) - until(first)
