"""Rows to hour lines: coverage, machine state, causes, counts (docs/format/hour-lines.md). Pure; polars reduces, Python writes.

In: readings of every template, the plans of consecutive hours, when the collector was down. Out: one frame of device-hours, one of
parameter-hours, one of late arrivals, without their commitments. An hour's line depends on its own rows and its carried-in ones only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from adapters.batch import Outcome
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
_KEYS = ["device", "hour"]
_ORDER = ["t_us", "frame", "ord"]


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
    # rows of equal time: by journal frame, in one frame by template, then as they came (`readings` come in that order)
    contacts = _in_service(_together([r.contacts for r in readings], _NO_CONTACTS).with_row_index("ord"), service)
    contacts = contacts.sort(*_KEYS, *_ORDER)  # once, for everything below that asks what came next
    parameters = _in_service(_together([r.parameters for r in readings], _NO_PARAMETERS), service)
    minutes = _minutes(service, plans, down)
    covered = _covered(minutes, contacts.filter(pl.col("contact") & ~pl.col("bad_row")), _KEYS)
    frame = (
        service.join(_mask(covered, _KEYS), on=_KEYS, how="left")
        .join(_counts(contacts), on=_KEYS, how="left")
        .join(_causes(minutes, contacts, covered), on=_KEYS, how="left")
        .join(_held(contacts, "state", service), on=_KEYS, how="left")
        .join(_held(contacts, "auto", service), on=_KEYS, how="left")
        .join(_output(contacts), on=_KEYS, how="left")
        .join(_changed(readings), on=_KEYS, how="left")
    )
    return Reduced(_device_columns(frame), _parameters(parameters, service, minutes), _late(contacts))


_NO_CONTACTS = {
    "device": pl.String,
    "hour": pl.Int32,
    "frame": pl.Int64,
    "carried": pl.Boolean,
    "t_us": pl.Int64,
    "outcome": pl.UInt8,
    "contact": pl.Boolean,
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
    "device": pl.String,
    "hour": pl.Int32,
    "carried": pl.Boolean,
    "point": pl.String,
    "t_us": pl.Int64,
    "good": pl.Boolean,
}
_NO_CHANGES = {"device": pl.String, "hour": pl.Int32, "points_changed": pl.Int64}


def _together(frames: list[pl.DataFrame], schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=schema)
    return pl.concat([empty, *(f.select(list(schema)).cast(schema) for f in frames)])  # type: ignore[arg-type]


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
    }
    return pl.DataFrame(rows, schema=schema).with_columns(
        (pl.col("hour").cast(pl.Int64) * HOUR_US).alias("start_us"),
        ((pl.col("end_minute") - pl.col("first_minute")) * 60).alias("in_service_s"),
    )


def _bit(minute: pl.Expr) -> pl.Expr:
    """Minute 0 is the highest of 60 bits."""
    return minute.replace_strict(range(60), [1 << (59 - m) for m in range(60)], return_dtype=pl.UInt64)


def _in_service(frame: pl.DataFrame, service: pl.DataFrame) -> pl.DataFrame:
    """Rows of devices that the register does not have in that hour prove nothing and are not counted."""
    return frame.join(service.select(_KEYS), on=_KEYS, how="semi")


def _minutes(service: pl.DataFrame, plans: Sequence[HourPlan], down: Sequence[Down]) -> pl.DataFrame:
    """One row per minute in service: its end, its bit, and the causes known without any row."""
    grid = (
        service.with_columns(pl.int_ranges("first_minute", "end_minute").alias("minute"))
        .explode("minute")
        .filter(pl.col("minute").is_not_null())
        .with_columns(
            (pl.col("start_us") + (pl.col("minute") + 1) * MINUTE_US).alias("end_us"),
            _bit(pl.col("minute")).alias("bit"),
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


def _covered(minutes: pl.DataFrame, contacts: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """The minutes at whose end the newest contact is young enough."""
    ends = ((pl.col("t_us") + MINUTE_US - 1) // MINUTE_US).alias(
        "ends"
    )  # of a minute's contacts only the newest counts
    newest = contacts.group_by(*keys, ends).agg(pl.col("t_us").max())
    seen = minutes.join_asof(
        newest.select(*keys, "t_us").sort("t_us"),
        left_on="end_us",
        right_on="t_us",
        by=keys,
        strategy="backward",
        check_sortedness=False,
    )
    return seen.filter(pl.col("end_us") - pl.col("t_us") <= pl.col("cover_us")).select(*keys, "minute", "bit")


def _mask(covered: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return covered.group_by(keys).agg(pl.col("bit").sum().alias("covered"))


def _counts(contacts: pl.DataFrame) -> pl.DataFrame:
    loss = pl.col("outcome").is_in([int(o) for o in Outcome if o.is_loss])
    return (
        contacts.filter(~pl.col("carried"))
        .group_by(_KEYS)
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
    bare = minutes.join(covered, on=[*_KEYS, "minute"], how="anti").sort("end_us")
    concerned = rows.join(bare.select(_KEYS).unique(), on=_KEYS, how="semi")
    newest = concerned.select(*_KEYS, *_ORDER, "says").sort(_ORDER).drop("frame", "ord")
    named = bare.join_asof(
        newest, left_on="end_us", right_on="t_us", by=_KEYS, strategy="backward", check_sortedness=False
    ).with_columns(pl.coalesce("known", "says", pl.lit(_SILENT)).alias("cause"))
    return (
        named.group_by(*_KEYS, "cause")
        .agg(pl.len().alias("n"))
        .sort("n", "cause", descending=[True, False])
        .group_by(_KEYS)
        .agg(pl.col("cause").first())
    )


def _held(contacts: pl.DataFrame, name: str, service: pl.DataFrame) -> pl.DataFrame:
    """Seconds in which `name` was 1 and 0: a value holds until the next row that speaks of it, at most `hold_us`."""
    limits = service.select(*_KEYS, "start_us", "first_minute", "end_minute", "hold_us")
    says = contacts.filter(pl.col(f"{name}_says")).join(limits, on=_KEYS, maintain_order="left")
    start = pl.max_horizontal("t_us", pl.col("start_us") + pl.col("first_minute") * MINUTE_US)
    end = pl.min_horizontal(
        pl.col("t_us").shift(-1).over(_KEYS),
        pl.col("t_us") + pl.col("hold_us"),
        pl.col("start_us") + pl.col("end_minute") * MINUTE_US,
    )
    length = (end - start).clip(lower_bound=0)
    return (
        says.with_columns(length.alias("us"))
        .group_by(_KEYS)
        .agg(
            (pl.col("us").filter(pl.col(name) == 1).sum() // 1_000_000).alias(f"{name}_on_s"),
            (pl.col("us").filter(pl.col(name) == 0).sum() // 1_000_000).alias(f"{name}_off_s"),
        )
    )


def _output(contacts: pl.DataFrame) -> pl.DataFrame:
    """Sum of increases; a fall is a reset and adds the value after it. Late rows were an earlier hour's output."""
    counted = contacts.filter(pl.col("output").is_not_null() & ~pl.col("late"))
    before = pl.col("output").shift(1).over(_KEYS)
    step = pl.when(before.is_null()).then(0).when(pl.col("output") >= before).then(pl.col("output") - before)
    return (
        counted.with_columns(step.otherwise(pl.col("output")).alias("step"))
        .group_by(_KEYS)
        .agg(pl.col("step").sum().alias("output_delta"))
    )


def _changed(readings: Sequence[Readings]) -> pl.DataFrame:
    counts = _together([r.changed for r in readings], _NO_CHANGES)
    return counts.group_by(_KEYS).agg(pl.col("points_changed").sum())


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


def _parameters(values: pl.DataFrame, service: pl.DataFrame, minutes: pl.DataFrame) -> pl.DataFrame:
    keys = [*_KEYS, "point"]
    wanted = service.select(*_KEYS, pl.col("parameters").alias("point")).explode("point").drop_nulls("point")
    values = values.join(wanted, on=keys, how="semi")
    counts = (
        values.filter(~pl.col("carried"))
        .group_by(keys)
        .agg(
            pl.col("good").sum().cast(pl.Int64).alias("ok"),
            (~pl.col("good")).sum().cast(pl.Int64).alias("bad"),
        )
    )
    grid = minutes.join(wanted, on=_KEYS).sort("end_us")
    covered = _mask(_covered(grid, values.filter(pl.col("good")), keys), keys)
    return (
        wanted.join(counts, on=keys, how="left")
        .join(covered, on=keys, how="left")
        .with_columns(pl.col("ok", "bad").fill_null(0), pl.col("covered").fill_null(0))
        .sort(keys)
    )


def _late(contacts: pl.DataFrame) -> pl.DataFrame:
    """Rows that came after their hour: by the hour they belong to."""
    late = contacts.filter(pl.col("late")).with_columns(
        (pl.col("t_us") // HOUR_US).alias("source_hour"),
        _bit(pl.col("t_us") % HOUR_US // MINUTE_US).alias("bit"),
    )
    return (
        late.group_by(*_KEYS, "source_hour")
        .agg(
            pl.col("bit").filter(~pl.col("bad_row")).unique().sum().alias("minutes"),  # a bad row credits none
            pl.len().cast(pl.Int64).alias("count"),
        )
        .sort(*_KEYS, "source_hour")
    )
