"""相似: which machines have the same hours, and which points the same values, when the copy is a little off in time or figure.

In: D lines of running hours; raw readings. Out: groups of names with how much they share. Pure; no thresholds but the ones named here.
Hours: two machines read from one controller poll it at different moments, so an hour's output differs by a part or two at its edges.
Values: a copy that is shifted by some seconds holds the same runs of values. Counters count alike on honest machines and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

Counts = NDArray[np.int32]
FIGURES = ("run_s", "stop_s", "output_delta", "auto_s", "points_changed", "values_bad")
LEAST_HOURS = 100
NEAR_PARTS, NEAR_RUN_S = 1, 60
LEAST_SPREAD = 10  # parts between the 10th and 90th percentile of the hours: figures that hardly vary prove nothing
LEAST_VALUES = 30
RUN = 12  # values in a row
RUN_VARIED = 6
ABSENT = -(1 << 20)  # no hour makes or runs so much
PROBE = 7


def like_hours(ran: pl.DataFrame) -> Iterator[tuple[list[str], int]]:
    """Groups of machines with equal (or all but equal) figures, and the hours of the first of each."""
    counted = (
        ran.group_by("device")
        .agg(pl.len().alias("hours"), pl.col("output_delta").n_unique().alias("varied"))
        .filter((pl.col("hours") >= LEAST_HOURS) & (pl.col("varied") > 3))
        .sort("device")
    )
    hours = dict(counted.select("device", "hours").rows())
    kept = ran.filter(pl.col("device").is_in(list(hours))).sort("device", "hour")
    pairs = [*_equal(kept), *_near(kept, list(hours))]
    yield from ((group, hours[group[0]]) for group in _groups(pairs))


def copied_streams(readings: pl.DataFrame) -> Iterator[tuple[list[str], int]]:
    """Groups of points on several machines that share at least half of their runs of values; and the readings of the first."""
    name = pl.format("{}.{}", "device", "point").alias("stream")
    values = (
        readings.sort("device", "point", "source_us")
        .with_columns(name, pl.col("value").cast(pl.Float64, strict=False).alias("number"))
        .with_columns((pl.col("number").diff() < 0).over("stream").fill_null(value=False).alias("fell"))
    )
    streams = values.group_by("stream").agg(
        pl.col("device").first(),
        pl.len().alias("n"),
        pl.col("value").n_unique().alias("varied"),
        pl.col("fell").any(),
        pl.col("number").null_count().alias("words"),
    )
    # a number that never falls is a counter; words (program numbers, states) repeat on honest machines
    kept = streams.filter(
        (pl.col("n") >= LEAST_VALUES) & (pl.col("varied") >= 10) & pl.col("fell") & (pl.col("words") == 0)
    )
    runs = _runs(values.join(kept.select("stream"), on="stream", how="semi"))
    common = (
        runs.group_by("run")
        .agg(pl.col("device").n_unique().alias("machines"), pl.col("stream").min().alias("leader"))
        .filter(pl.col("machines") > 1)
    )
    shared = runs.join(common, on="run", how="inner").group_by("stream", "leader").agg(pl.len().alias("mine"))
    copies = (
        shared.sort("stream", "mine", "leader", descending=[False, True, False])
        .group_by("stream", maintain_order=True)
        .agg(pl.col("leader").first(), pl.col("mine").sum())
        .join(runs.group_by("stream").agg(pl.len().alias("all")), on="stream")
        .filter(2 * pl.col("mine") >= pl.col("all"))
        .sort("stream")
    )
    count = dict(streams.select("stream", "n").rows())
    pairs = [(leader, stream) for stream, leader in copies.select("stream", "leader").rows() if leader != stream]
    yield from ((group, count[group[0]]) for group in _groups(pairs))


def _runs(values: pl.DataFrame) -> pl.DataFrame:
    """stream, device, run: a hash of each distinct run of twelve values of which at least six differ."""
    placed = values.with_columns(pl.int_range(pl.len()).over("stream").alias("at"))
    steps = [pl.col("value").shift(-i).over("stream") for i in range(RUN)]
    changes = [(pl.col("value").shift(-i) != pl.col("value").shift(-i - 1)).over("stream") for i in range(RUN - 1)]
    return (
        placed.with_columns(
            pl.concat_str(steps, separator="\n").hash(seed=0).alias("run"), pl.sum_horizontal(changes).alias("moved")
        )
        .filter((pl.col("at") <= pl.len().over("stream") - RUN) & (pl.col("moved") >= RUN_VARIED))
        .select("stream", "device", "run")
        .unique()
    )


def _equal(ran: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Machines whose figures are equal in every running hour."""
    prints = ran.select("device", pl.struct("hour", *FIGURES).hash(seed=0).alias("figures"))
    first: dict[bytes, str] = {}
    for device, figures in prints.group_by("device", maintain_order=True).agg("figures").rows():
        leader = first.setdefault(np.array(figures, np.uint64).tobytes(), device)
        if leader != device:
            yield leader, device


def _near(ran: pl.DataFrame, devices: list[str]) -> Iterator[tuple[str, str]]:
    """Machines that differ by at most one part and one running minute in 95 % of the hours in which both ran."""
    if len(devices) < 2 or ran.is_empty():
        return
    made, running = _table(ran, devices, "output_delta"), _table(ran, devices, "run_s")
    present = made != ABSENT
    spread = np.array(
        [
            np.subtract(*np.percentile(row[here], [90, 10], method="lower"))
            for row, here in zip(made, present, strict=True)
        ]
    )
    wide = np.flatnonzero(spread >= LEAST_SPREAD)
    for at, i in enumerate(wide):
        others = wide[at + 1 :]
        for step in (PROBE, 1):  # a few hours tell most pairs apart
            mine, theirs = slice(None, None, step), (others, slice(None, None, step))
            both = present[theirs] & present[i, mine]
            near = both & (np.abs(made[theirs] - made[i, mine]) <= NEAR_PARTS)
            near &= np.abs(running[theirs] - running[i, mine]) <= NEAR_RUN_S
            shared, alike = both.sum(axis=1), near.sum(axis=1)
            others = others[2 * alike >= shared] if step == PROBE else others
        for j in others[(shared >= LEAST_HOURS) & (20 * alike >= 19 * shared)]:
            yield devices[i], devices[j]


def _table(ran: pl.DataFrame, devices: list[str], column: str) -> Counts:
    """[device, hour] of one figure, ABSENT where there is no line."""
    first, last = ran["hour"].min(), ran["hour"].max()
    out = np.full((len(devices), int(last) - int(first) + 1), ABSENT, np.int32)  # type: ignore[arg-type]  # hours are integers
    rows = ran["device"].cast(pl.Enum(devices)).to_physical().to_numpy()
    out[rows, (ran["hour"] - first).to_numpy()] = ran[column].cast(pl.Int32).fill_null(ABSENT).to_numpy()
    return out


def _groups(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Names that are connected by pairs, each group and the groups in order."""
    leader: dict[str, str] = {}

    def top(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for one, other in pairs:
        low, high = sorted((top(one), top(other)))
        leader[high] = low
    groups: dict[str, list[str]] = {}
    for name in sorted(leader):
        groups.setdefault(top(name), []).append(name)
    return sorted(groups.values())
