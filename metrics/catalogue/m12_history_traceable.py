"""M12 历史数据可追溯 = device-hours that verify / device-hours drawn from the three months.

50 device-hours with data, drawn by SHA-256 of the ledger's root (nobody can choose them before the ledger is fixed). Each is
recomputed from raw rows. Numerator: coverage and both commitments equal the sealed line. Denominator and members: those drawn.
Exclusions: none. Undetermined: fewer than 50 to draw from, or no raw rows at hand. Exact draw: docs/metrics.md.
Source: GS25 第十二条(二) 历史数据可追溯; catalogue §4.1 M12.
"""

from __future__ import annotations

import hashlib
from bisect import insort

import numpy as np
import polars as pl

from collector.ledger.entry import LedgerError
from collector.store.errors import StoreError
from metrics.inputs import Inputs, Recompute
from metrics.members import ratio_of_members
from metrics.result import Member, MetricResult
from metrics.window import hour_text, hours_of

CHALLENGES = 50
UNREADABLE = (StoreError, LedgerError, OSError, ValueError)
COVERED, PRESENCE, PROCESS = 6, -2, -1  # fields of a D line, docs/format/hour-lines.md


def history_traceable(inputs: Inputs) -> list[MetricResult]:
    """M12 历史数据可追溯; members are device-hours."""
    window = inputs.three_months
    first, end = hours_of(window)
    eligible = inputs.lines.device.select("device", "hour", "covered").filter(
        (pl.col("hour") >= first) & (pl.col("hour") < end) & (pl.col("covered") != 0)
    )
    seed = hashlib.sha256(inputs.ledger_root).digest()
    drawn = _draw(eligible, seed)
    hours = sorted(set(drawn["hour"].to_list()))
    lines = _recomputed(inputs.recompute, hours)
    members = []
    for device, hour, covered, presence, process in _with_commits(inputs, drawn, hours).iter_rows():
        members.append(_member(device, hour, (f"{covered:015x}", presence, process), lines.get(hour)))
    notes = (
        [] if len(members) == CHALLENGES else [f"可抽取的台时不足 {CHALLENGES} 个 (fewer than {CHALLENGES} to draw)"]
    )
    if inputs.recompute is None:
        notes.append("没有重算原始数据 (raw rows were not recomputed here)")
    return [
        ratio_of_members(
            "M12",
            "plant",
            window,
            inputs,
            tuple(members),
            parameters=(("challenges", CHALLENGES), ("seed", seed.hex()), ("eligible", eligible.height)),
            notes=tuple(notes),
            status="insufficient_data" if notes else "ok",
        )
    ]


def _with_commits(inputs: Inputs, drawn: pl.DataFrame, hours: list[int]) -> pl.DataFrame:
    """The drawn rows in their order, each with both commitments of its sealed line."""
    lines = inputs.lines.device.filter(pl.col("hour").is_in(hours)) if inputs.commits is None else inputs.commits(hours)
    commits = lines.select("device", "hour", "presence_commit", "process_commit")
    return drawn.join(commits, on=["device", "hour"], how="left", maintain_order="left")


def _draw(eligible: pl.DataFrame, seed: bytes) -> pl.DataFrame:
    """Up to 50 rows without replacement, in the order they are drawn; positions count in (device, hour) order."""
    names = eligible["device"].unique().sort().to_list()
    ranks = eligible["device"].cast(pl.Enum(names)).to_physical().to_numpy()
    ends = np.cumsum(np.bincount(ranks, minlength=len(names)))  # of each device's rows in that order
    hours = eligible["hour"].to_numpy()
    chosen, taken = [], list[int]()
    for i in range(min(CHALLENGES, len(eligible))):
        digest = hashlib.sha256(seed + str(i).encode()).digest()
        place = int.from_bytes(digest[:8], "big") % (len(eligible) - i)  # among those not taken
        for before in taken:
            place += place >= before
        insort(taken, place)
        device = int(np.searchsorted(ends, place, side="right"))
        rows = np.flatnonzero(ranks == device)
        chosen.append(int(rows[np.argsort(hours[rows], kind="stable")][place - int(ends[device])]))  # from the end
    return eligible[chosen]


def _recomputed(recompute: Recompute | None, hours: list[int]) -> dict[int, dict[str, list[str]]]:
    """D lines by hour and device, from raw rows; hours that cannot be read are left out."""
    if recompute is None:
        return {}
    try:
        found = recompute(hours)
    except UNREADABLE:
        if len(hours) < 2:
            return {}
        middle = len(hours) // 2  # one lost file must not hide the others
        return _recomputed(recompute, hours[:middle]) | _recomputed(recompute, hours[middle:])
    return {hour: _device_lines(lines) for hour, lines in found.items()}


def _device_lines(lines: list[str]) -> dict[str, list[str]]:
    rows = [line.split(",") for line in lines]
    return {fields[1]: fields for fields in rows if fields[0] == "D"}


def _member(device: str, hour: int, sealed: tuple[str, str, str], lines: dict[str, list[str]] | None) -> Member:
    name = f"{device}@{hour_text(hour)}"
    if lines is None:
        return Member(name, name, False, False, True, "unreadable")
    fields = lines.get(device)
    same = fields is not None and (fields[COVERED], fields[PRESENCE], fields[PROCESS]) == sealed
    return Member(name, name, same, same, same, "ok" if same else "mismatch")
