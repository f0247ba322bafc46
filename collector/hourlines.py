"""Rows to hour lines: coverage, machine state, causes, counts (docs/format/hour-lines.md). Pure; polars reduces, Python writes.

In: readings of every template, the plans of consecutive hours, when the collector was down. Out: one frame of device-hours, one of
parameter-hours, one of late arrivals, without their commitments. An hour's line depends on its own rows and its carried-in ones only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

from adapters.batch import Outcome
from collector.holding import ORDER, held
from collector.minutes import KEYS, bit, covered_minutes, mask
from collector.parameters import parameter_hours
from collector.plan import HOUR_US, MINUTE_US, HourPlan
from collector.readings import Readings

CAUSES = (
    "planned_stop",
    "not_connected",
    "collector_down",
    "timeout",
    "refused",
    "unreachable",
    "disconnected",
    "protocol",
    "device_failure",
    "denied",
    "silent",
    "bad_quality",
)
_CAUSE_OF_OUTCOME = {int(o): CAUSES.index(o.name.lower()) for o in Outcome if not o.is_contact and not o.is_loss}
_SILENT, _BAD = CAUSES.index("silent"), CAUSES.index("bad_quality")


@dataclass(frozen=True, slots=True)
class Down:
    """The collector was not running in [from_us, to_us) of an hour."""

    hour: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Columns of the three kinds of lines, sorted by device and hour; masks are 60-bit integers, minute 0 highest."""

    device: pl.DataFrame
    parameter: pl.DataFrame
    late: pl.DataFrame


def reduce_hours(readings: Sequence[Readings], plans: Sequence[HourPlan], down: Sequence[Down]) -> Reduced:
    """Every device of every plan, with rows or without."""
    service = _service(plans)
    # `readings` come by template, so `ord` puts rows of one time and frame in their order
    contacts = _in_service(_together([r.contacts for r in readings], _NO_CONTACTS).with_row_index("ord"), service)
    contacts = contacts.sort(*KEYS, *ORDER)  # once, for everything below that asks what came next
    parameters = _in_service(_spoken(readings), service)
    minutes = _minutes(service, plans, down)
    states = held(contacts, "state", service)
    covered = covered_minutes(minutes, contacts.filter(pl.col("contact") & ~pl.col("bad_row")), KEYS)
    frame = (
        service.join(mask(covered, KEYS), on=KEYS, how="left")
        .join(_counts(contacts), on=KEYS, how="left")
        .join(_causes(minutes, contacts, covered), on=KEYS, how="left")
        .join(_seconds(states, "state"), on=KEYS, how="left")
        .join(_seconds(held(contacts, "auto", service), "auto"), on=KEYS, how="left")
        .join(_output(contacts), on=KEYS, how="left")
        .join(_changed(readings), on=KEYS, how="left")
    )
    return Reduced(_device_columns(frame), parameter_hours(parameters, states, service, minutes), _late(contacts))


_NO_CONTACTS = {
    "device": pl.String,
    "hour": pl.Int32,
    "frame": pl.Int64,
    "carried": pl.Boolean,
    "t_us": pl.Int64,
    "outcome": pl.UInt8,
    "contact": pl.Boolean,
    "event": pl.Boolean,
    "bad_row": pl.Boolean,
    "bad_values": pl.Int64,
    "late": pl.Boolean,
    "state": pl.Int8,
    "state_says": pl.Boolean,
    "auto": pl.Int8,
    "auto_says": pl.Boolean,
    "output": pl.Int64,
}
_NO_PARAMETERS = {
    "row": pl.UInt32,
    "device": pl.String,
    "hour": pl.Int32,
    "frame": pl.Int64,
    "carried": pl.Boolean,
    "point": pl.String,
    "t_us": pl.Int64,
    "value": pl.Boolean,
    "good": pl.Boolean,
    "inside": pl.Boolean,
}
_NO_CHANGES = {"device": pl.String, "hour": pl.Int32, "points_changed": pl.Int64}


def _together(frames: list[pl.DataFrame], schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=schema)
    return pl.concat([empty, *(f.select(list(schema)).cast(schema) for f in frames)])  # type: ignore[arg-type]


def _spoken(readings: Sequence[Readings]) -> pl.DataFrame:
    """What rows say of key parameters; `ord` is that of the contact the row is."""
    placed = list(accumulate((len(r.contacts) for r in readings), initial=0))
    frames = [r.parameters.with_columns(pl.col("row") + n) for r, n in zip(readings, placed, strict=False)]
    return _together(frames, _NO_PARAMETERS).rename({"row": "ord"})


def _service(plans: Sequence[HourPlan]) -> pl.DataFrame:
    """One row per device-hour: what the register says of it."""
    rows = [
        {
            "device": d.device.id,
            "hour": plan.hour,
            "register_rev": plan.register_rev,
            "line": d.device.line,
            "connected": d.point_set is not None,
            "first_minute": d.first_minute,
            "end_minute": d.end_minute,
            "cover_us": max(2 * d.device.interval_s, 60) * 1_000_000,
            "hold_us": 2 * d.device.interval_s * 1_000_000,
            "has_state": d.point_set is not None
            and (d.point_set.running_when is not None or d.point_set.point_of_role("state") is not None),
            "has_auto": d.point_set is not None and d.point_set.point_of_role("auto") is not None,
            "has_output": d.point_set is not None and d.point_set.point_of_role("output") is not None,
            "parameters": [p.name for p in d.point_set.points if p.key_parameter] if d.point_set else [],
            "limited": [p.has_specification for p in d.point_set.points if p.key_parameter] if d.point_set else [],
        }
        for plan in plans
        for d in plan.devices
    ]
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "device": pl.String,
        "hour": pl.Int32,
        "register_rev": pl.Int64,
        "line": pl.String,
        "connected": pl.Boolean,
        "first_minute": pl.Int64,
        "end_minute": pl.Int64,
        "cover_us": pl.Int64,
        "hold_us": pl.Int64,
        "has_state": pl.Boolean,
        "has_auto": pl.Boolean,
        "has_output": pl.Boolean,
        "parameters": pl.List(pl.String),
        "limited": pl.List(pl.Boolean),
    }
    return (
        pl.DataFrame(rows, schema=schema)
        .with_columns(
            (pl.col("hour").cast(pl.Int64) * HOUR_US).alias("start_us"),
            ((pl.col("end_minute") - pl.col("first_minute")) * 60).alias("in_service_s"),
        )
        .with_columns(
            (pl.col("start_us") + pl.col("first_minute") * MINUTE_US).alias("begin_us"),
            (pl.col("start_us") + pl.col("end_minute") * MINUTE_US).alias("end_us"),
        )
    )


def _in_service(frame: pl.DataFrame, service: pl.DataFrame) -> pl.DataFrame:
    """Rows of devices that the register does not have in that hour prove nothing and are not counted."""
    return frame.join(service.select(KEYS), on=KEYS, how="semi")


def _minutes(service: pl.DataFrame, plans: Sequence[HourPlan], down: Sequence[Down]) -> pl.DataFrame:
    """One row per minute in service: its end, its bit, and the causes known without any row."""
    grid = (
        service.with_columns(pl.int_ranges("first_minute", "end_minute").alias("minute"))
        .explode("minute")
        .filter(pl.col("minute").is_not_null())
        .with_columns(
            (pl.col("start_us") + (pl.col("minute") + 1) * MINUTE_US).alias("end_us"),
            bit(pl.col("minute")).alias("bit"),
        )
    )
    known = (
        pl.when(_closed(plans))
        .then(CAUSES.index("planned_stop"))
        .when(~pl.col("connected"))
        .then(CAUSES.index("not_connected"))
        .when(_is_down(down))
        .then(CAUSES.index("collector_down"))
        .otherwise(None)
    )
    return grid.with_columns(known.alias("known")).sort("end_us")


def _closed(plans: Sequence[HourPlan]) -> pl.Expr:
    """The minute starts within a closure of its plan's register."""
    closures = {(p.register_rev, c) for p in plans for c in p.closures}
    start = pl.col("end_us") - MINUTE_US
    tests = [
        (pl.col("register_rev") == rev)
        & (start >= int(c.start.timestamp()) * 1_000_000)
        & (start < int(c.end.timestamp()) * 1_000_000)
        & (pl.col("line").is_in(list(c.lines)) if c.lines else pl.lit(value=True))
        for rev, c in closures
    ]
    return pl.any_horizontal(tests) if tests else pl.lit(value=False)


def _is_down(down: Sequence[Down]) -> pl.Expr:
    tests = [(pl.col("end_us") > d.from_us) & (pl.col("end_us") <= d.to_us) for d in down]
    return pl.any_horizontal(tests) if tests else pl.lit(value=False)


def _counts(contacts: pl.DataFrame) -> pl.DataFrame:
    loss = pl.col("outcome").is_in([int(o) for o in Outcome if o.is_loss])
    return (
        contacts.filter(~pl.col("carried"))
        .group_by(KEYS)
        .agg(
            pl.col("contact").sum().cast(pl.Int64).alias("polls_ok"),
            (~pl.col("contact") & ~loss).sum().cast(pl.Int64).alias("polls_failed"),
            pl.col("bad_values").sum().alias("values_bad"),
            loss.sum().cast(pl.Int64).alias("losses"),
            pl.col("late").sum().cast(pl.Int64).alias("late"),
        )
    )


def _causes(minutes: pl.DataFrame, contacts: pl.DataFrame, covered: pl.DataFrame) -> pl.DataFrame:
    """Per device-hour, how many uncovered minutes each cause explains; the largest wins, ties by the order of CAUSES."""
    loss = pl.col("outcome").is_in([int(o) for o in Outcome if o.is_loss])
    rows = contacts.filter(~loss).with_columns(
        pl.when(pl.col("contact") & pl.col("bad_row"))
        .then(_BAD)
        .otherwise(
            pl.col("outcome").cast(pl.Int32).replace_strict(_CAUSE_OF_OUTCOME, default=_SILENT, return_dtype=pl.Int32)
        )
        .alias("says")
    )
    bare = minutes.join(covered, on=[*KEYS, "minute"], how="anti").sort("end_us")
    concerned = rows.join(bare.select(KEYS).unique(), on=KEYS, how="semi")
    newest = concerned.select(*KEYS, *ORDER, "says").sort(ORDER).drop("frame", "ord")
    named = bare.join_asof(
        newest, left_on="end_us", right_on="t_us", by=KEYS, strategy="backward", check_sortedness=False
    ).with_columns(pl.coalesce("known", "says", pl.lit(_SILENT)).alias("cause"))
    return (
        named.group_by(*KEYS, "cause")
        .agg(pl.len().alias("n"))
        .sort("n", "cause", descending=[True, False])
        .group_by(KEYS)
        .agg(pl.col("cause").first())
    )


def _seconds(held: pl.DataFrame, name: str) -> pl.DataFrame:
    """Seconds in which `name` was 1 and 0."""
    return held.group_by(KEYS).agg(
        (pl.col("us").filter(pl.col(name) == 1).sum() // 1_000_000).alias(f"{name}_on_s"),
        (pl.col("us").filter(pl.col(name) == 0).sum() // 1_000_000).alias(f"{name}_off_s"),
    )


def _output(contacts: pl.DataFrame) -> pl.DataFrame:
    """Sum of increases; a fall is a reset and adds the value after it. Late rows were an earlier hour's output."""
    counted = contacts.filter(pl.col("output").is_not_null() & ~pl.col("late"))
    before = pl.col("output").shift(1).over(KEYS)
    step = pl.when(before.is_null()).then(0).when(pl.col("output") >= before).then(pl.col("output") - before)
    return (
        counted.with_columns(step.otherwise(pl.col("output")).alias("step"))
        .group_by(KEYS)
        .agg(pl.col("step").sum().alias("output_delta"))
    )


def _changed(readings: Sequence[Readings]) -> pl.DataFrame:
    counts = _together([r.changed for r in readings], _NO_CHANGES)
    return counts.group_by(KEYS).agg(pl.col("points_changed").sum())


def _device_columns(frame: pl.DataFrame) -> pl.DataFrame:
    zero = ["covered", "polls_ok", "polls_failed", "values_bad", "losses", "late", "points_changed"]
    filled = frame.with_columns(
        *[pl.col(c).fill_null(0) for c in zero],
        *[pl.col(c).fill_null(0) for c in ("state_on_s", "state_off_s", "auto_on_s", "output_delta")],
    )
    covered_s = pl.col("covered").bitwise_count_ones().cast(pl.Int64) * 60
    state, auto, output = pl.col("has_state"), pl.col("has_auto"), pl.col("has_output")
    known = pl.col("state_on_s") + pl.col("state_off_s")
    return filled.with_columns(
        (pl.col("in_service_s") - covered_s).alias("gap_s"),
        pl.when(state).then("state_on_s").otherwise(None).alias("run_s"),
        pl.when(state).then("state_off_s").otherwise(None).alias("stop_s"),
        pl.when(state).then(pl.col("in_service_s") - known).otherwise(None).alias("unknown_s"),
        pl.when(output).then("output_delta").otherwise(None).alias("output_delta"),
        pl.when(auto).then("auto_on_s").otherwise(None).alias("auto_s"),
    ).sort("device", "hour")


def _late(contacts: pl.DataFrame) -> pl.DataFrame:
    """Rows that came after their hour: by the hour they belong to."""
    late = contacts.filter(pl.col("late")).with_columns(
        (pl.col("t_us") // HOUR_US).alias("source_hour"),
        bit(pl.col("t_us") % HOUR_US // MINUTE_US).alias("bit"),
    )
    return (
        late.group_by(*KEYS, "source_hour")
        .agg(
            pl.col("bit").filter(~pl.col("bad_row")).unique().sum().alias("minutes"),  # a bad row credits none
            pl.len().cast(pl.Int64).alias("count"),
        )
        .sort(*KEYS, "source_hour")
    )
