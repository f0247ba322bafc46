"""生产制造指令网络化传输率 (M10) = executed jobs whose instruction reached the machine over the network / executed jobs.

Members, denominator: operations that began in the three months on NC production devices (register of T), one result per
representative line and one over the plant. A dispatch serves an operation of the same batch, process and device.
Numerator: lower = a dispatch by network at or before the start, acknowledged by the machine at most 15 min after the start, of the
program that ran; value = the acknowledgement or the program that ran may be missing, or the acknowledgement late; upper = value, or
an operation without dispatch on a day for which the plant has no dispatch row at all (nobody can say).
The catalogue's other proof, a program number that changes within 15 min of the dispatch, is not in the hour lines and not used.
Exclusions: none. Undetermined: no register, no operation. Source: GS25 第十二条(三)3 生产制造指令实现网络化传输; catalogue §4.1 M10.
"""

from __future__ import annotations

from collections import Counter

import polars as pl

from metrics.inputs import Inputs
from metrics.members import by_line_and_plant, ratio_of_members
from metrics.result import Member, MetricResult, Pair
from metrics.window import DAY_US

ACK_MAX_MIN = 15
_ACK_US = ACK_MAX_MIN * 60_000_000
NO_JOBS = "窗口内没有数控设备的工序执行记录 (no operation on NC equipment in the records)"
# the best dispatch of an operation decides; the first IN_VALUE of these count in the value
WHYS = "ok late_ack no_ack program_unknown program_differs dispatch_after_start not_network no_dispatch no_dispatch_records".split()
IN_VALUE = 4
_KEY = ["batch_id", "process_id", "device_id"]


def network_dispatch_rate(inputs: Inputs) -> list[MetricResult]:
    """M10 生产制造指令网络化传输率; members are jobs."""
    window = inputs.three_months
    members = _members(inputs) if inputs.revision is not None else {}

    def count(scope: str, lines: frozenset[str]) -> MetricResult:
        found = tuple(m for line in inputs.register.lines if line.id in lines for m in members.get(line.id, []))
        return ratio_of_members(
            "M10",
            scope,
            window,
            inputs,
            found,
            parameters=(("ack_max_min", ACK_MAX_MIN), *_counts(found)),
            notes=() if found else (NO_JOBS,),
        )

    return by_line_and_plant("M10", window, inputs, count)


def _members(inputs: Inputs) -> dict[str, list[Member]]:
    """Jobs by line, in the order of the records."""
    if inputs.records is None:
        return {}
    window = inputs.three_months
    devices = [(d.id, d.line) for d in inputs.register.devices if d.production and d.nc]
    there = pl.DataFrame(devices, {"device_id": pl.String, "line": pl.String}, orient="row")
    jobs = (
        inputs.records.frame("operations")
        .select(*_KEY, "start", "program")
        .filter((pl.col("start") >= window.start_us) & (pl.col("start") < window.end_us))
        .join(there, on="device_id", how="inner", maintain_order="left")
        .with_row_index("job")
    )
    dispatches = inputs.records.frame("dispatches")
    graded = jobs.join(_best(jobs, dispatches), on="job", how="left", maintain_order="left").select(
        "line",
        _id(),
        name=_name(inputs),
        why=pl.coalesce("grade", _without(inputs, dispatches)),
    )
    members: dict[str, list[Member]] = {}
    flags = [(why == 0, why < IN_VALUE, why < IN_VALUE or why == len(WHYS) - 1, WHYS[why]) for why in range(len(WHYS))]
    for (line,), rows in graded.partition_by("line", maintain_order=True, as_dict=True).items():
        named = zip(*(rows[c].to_list() for c in ("id", "name", "why")), strict=True)
        members[line] = [Member(job, name, *flags[why]) for job, name, why in named]
    return members


def _best(jobs: pl.DataFrame, dispatches: pl.DataFrame) -> pl.DataFrame:
    """(job, grade): the best of the dispatches of each job, as an index into WHYS."""
    pairs = jobs.select("job", *_KEY, "start", "program").join(
        dispatches.select(*_KEY, "at", "method", "acked_at", sent="program"), on=_KEY, how="inner"
    )
    grade = (
        pl.when(pl.col("method") != "network")
        .then(6)
        .when(pl.col("at") > pl.col("start"))
        .then(5)
        .when((pl.col("sent") != "") & (pl.col("program") == ""))
        .then(3)
        .when((pl.col("sent") != "") & (pl.col("sent") != pl.col("program")))
        .then(4)
        .when(pl.col("acked_at").is_null())
        .then(2)
        .when(pl.col("acked_at") > pl.col("start") + _ACK_US)
        .then(1)
        .otherwise(0)
    )
    return pairs.group_by("job").agg(grade.min().alias("grade"))


def _without(inputs: Inputs, dispatches: pl.DataFrame) -> pl.Expr:
    """No dispatch of its own: a gap, or unknown where the whole local day has no dispatch row of any kind."""
    offset = int(inputs.tz.utcoffset(None).total_seconds()) * 1_000_000
    days = dispatches.select(((pl.col("at") + offset) // DAY_US).unique().sort())["at"]
    known = ((pl.col("start") + offset) // DAY_US).is_in(days.implode())
    return pl.when(known).then(len(WHYS) - 2).otherwise(len(WHYS) - 1)


def _id() -> pl.Expr:
    """`B01/P1/M1@2026-09-10T00:00:00Z`: the key of an operation."""
    text = _time(pl.col("start"), "%Y-%m-%dT%H:%M:%S")
    parts = ("batch_id", pl.lit("/"), "process_id", pl.lit("/"), "device_id", pl.lit("@"), *text, pl.lit("Z"))
    return pl.concat_str(*parts).alias("id")


def _name(inputs: Inputs) -> pl.Expr:
    """`批次 B01 · 工序 P1 · 设备 M1 · 2026-09-10 08:00:00`, in the plant's time."""
    offset_us = int(inputs.tz.utcoffset(None).total_seconds()) * 1_000_000
    text = _time(pl.col("start") + offset_us, "%Y-%m-%d %H:%M:%S")
    parts = (
        pl.lit("批次 "),
        "batch_id",
        pl.lit(" · 工序 "),
        "process_id",
        pl.lit(" · 设备 "),
        "device_id",
        pl.lit(" · "),
    )
    return pl.concat_str(*parts, *text)


def _time(at_us: pl.Expr, form: str) -> tuple[pl.Expr, pl.Expr]:
    """Seconds, and six digits behind the point unless all are 0."""
    rest = at_us % 1_000_000
    digits = pl.lit(".") + rest.cast(pl.String).str.zfill(6)
    return pl.from_epoch(at_us, time_unit="us").dt.strftime(form), pl.when(rest == 0).then(pl.lit("")).otherwise(digits)


def _counts(members: tuple[Member, ...]) -> tuple[Pair, ...]:
    """How many jobs stand at each reason."""
    found = Counter(m.why for m in members)
    return tuple((f"jobs_{why}", found[why]) for why in WHYS)
