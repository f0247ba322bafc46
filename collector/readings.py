"""Rows of one template and point set, read the way the register says: one narrow frame for the lines to count.

In: rows with their carried-in ones (`collector/carried.py`), the point set (roles, ranges, no_value, state map). Out:
`contacts`: device, hour, frame, carried, t_us, outcome, contact, event, bad_row, bad_values, late, state, state_says, auto, auto_says,
output; `changed`: device, hour, points_changed (heartbeats apart, points with two or more distinct good values);
`parameters`: row (of contacts), device, hour, frame, carried, point, t_us, value, good, inside: a row that speaks of a key parameter,
with a value of it (`value`) or because it ends what is known of it, as a failed poll does. inside: within the specification limits.
A value is good when its row is a contact, it is there, its quality is not Bad, it lies in range and is not a `no_value` text.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from adapters.batch import SEVERITY_BAD, Outcome, Template, ValueType
from collector.carried import IS_CONTACT, IS_LOSS
from collector.limits import inside
from config.points import Point, PointSet, Role

CLOCK_AHEAD_US = 2_000_000  # catalogue §4.0: a source more than 2 s ahead of receipt is credited at receipt
HOUR_US = 3_600_000_000
_OK, _CONFIRMED = int(Outcome.OK), int(Outcome.CONFIRMED)


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What the lines count, for one template and point set."""

    contacts: pl.DataFrame
    changed: pl.DataFrame
    parameters: pl.DataFrame


def read_rows(rows: pl.DataFrame, template: Template, points: PointSet | None) -> Readings:
    """Contacts and values of rows; without a point set nothing is known of the values but their quality."""
    timed = rows.with_row_index("row").with_columns(
        IS_CONTACT.alias("contact"),
        pl.lit(template.kind == "event").alias("event"),
        ((pl.col("q") & SEVERITY_BAD) != 0).alias("bad_row"),
        contact_time().alias("t_us"),
        ((pl.col("outcome") == _OK) & (pl.col("source_us") // HOUR_US < pl.col("hour")) & ~pl.col("carried")).alias(
            "late"
        ),
    )
    read = _event if template.kind == "event" else _wide
    return read(timed, template, points)


def contact_time() -> pl.Expr:
    """When the row says the device was in contact (docs/format/hour-lines.md, Covered)."""
    received = pl.col("source_us") + pl.col("lag_us")
    by_receipt = (pl.col("outcome") == _CONFIRMED) | (pl.col("lag_us") < -CLOCK_AHEAD_US)
    return pl.when(by_receipt).then(received).otherwise(pl.col("source_us"))


_CONTACT_COLUMNS = [
    "device",
    "hour",
    "frame",
    "carried",
    "t_us",
    "outcome",
    "contact",
    "event",
    "bad_row",
    "bad_values",
    "late",
    "state",
    "state_says",
    "auto",
    "auto_says",
    "output",
]
_ROLES: tuple[Role, ...] = ("state", "auto", "output")
_PARAMETER_COLUMNS = ["row", "device", "hour", "frame", "carried", "point", "t_us", "value", "good", "inside"]


def _wide(rows: pl.DataFrame, template: Template, points: PointSet | None) -> Readings:
    specs = {p.name: p for p in points.points} if points else {}
    good = {n: _is_good(n, k, specs.get(n), rows.columns) for n, k in template.columns}
    bad_values = pl.sum_horizontal([(~g).cast(pl.Int64) for g in good.values()]) if good else pl.lit(0, pl.Int64)
    says = ~IS_LOSS
    contacts = rows.with_columns(
        pl.when(pl.col("outcome") == _OK).then(bad_values).otherwise(0).alias("bad_values"),
        _state(template, points, good).alias("state"),
        says.alias("state_says"),
        _role_value(template, points, "auto", good).alias("auto"),
        says.alias("auto_says"),
        _role_value(template, points, "output", good).alias("output"),
    )
    beats = [p.name for p in specs.values() if p.role == "heartbeat"]
    moved = [pl.col(f"p.{n}").filter(g).n_unique() > 1 for n, g in good.items() if n not in beats]
    changed = rows.group_by("device", "hour").agg(pl.sum_horizontal(moved).cast(pl.Int64).alias("points_changed"))
    return Readings(contacts.select(_CONTACT_COLUMNS), changed, _wide_parameters(rows, template, specs, good))


def _wide_parameters(
    rows: pl.DataFrame, template: Template, specs: dict[str, Point], good: dict[str, pl.Expr]
) -> pl.DataFrame:
    """Every row but a loss speaks of every key parameter, as it does of the state."""
    kinds = dict(template.columns)
    none = pl.lit(value=False)
    spoken = rows.filter(~IS_LOSS)
    values = [
        spoken.with_columns(
            pl.lit(name).alias("point"),
            (pl.col("contact") if name in good else none).alias("value"),
            good.get(name, none).alias("good"),
            (_inside(pl.col(f"p.{name}"), kinds[name], spec) if name in good else none).alias("inside"),
        ).select(_PARAMETER_COLUMNS)
        for name, spec in specs.items()
        if spec.key_parameter
    ]
    return pl.concat(values) if values else _no_parameters(rows)


def _no_parameters(rows: pl.DataFrame) -> pl.DataFrame:
    false = [pl.lit(value=False).alias(c) for c in ("value", "good", "inside")]
    return rows.clear().with_columns(pl.lit("").alias("point"), *false).select(_PARAMETER_COLUMNS)


def _inside(value: pl.Expr, kind: ValueType, spec: Point) -> pl.Expr:
    return inside(value, kind, spec.spec_low, spec.spec_high).fill_null(value=False)


def _event(rows: pl.DataFrame, template: Template, points: PointSet | None) -> Readings:
    specs = {p.name: p for p in points.points} if points else {}
    names = [p.name for p in template.points]
    kinds = {n: k for n, k in template.columns if n != "point"}
    named = rows.with_columns(
        pl.col("p.point").replace_strict(range(len(names)), names, default=None, return_dtype=pl.String).alias("point")
    )
    by_kind = [_is_good(n, k, None, rows.columns) for n, k in kinds.items()]
    allowed = [_allowed_event(names.index(n), s, template) for n, s in specs.items() if n in names]
    good = pl.any_horizontal(by_kind) & pl.all_horizontal([pl.lit(value=True), *[a for a in allowed if a is not None]])
    marked = named.with_columns(good.alias("good"))
    roles = {r: p.name for r in _ROLES if points and (p := points.point_of_role(r))}
    fails = ~IS_CONTACT & ~IS_LOSS
    running = points.running_when.point if points and points.running_when else roles.get("state", "")
    contacts = marked.with_columns(
        pl.when((pl.col("outcome") == _OK) & ~pl.col("good")).then(1).otherwise(0).cast(pl.Int64).alias("bad_values"),
        _event_role(template, points, running, _state_of).alias("state"),
        (fails | (pl.col("point") == running)).fill_null(value=False).alias("state_says"),
        _event_role(template, points, roles.get("auto", ""), _truth_of).alias("auto"),
        (fails | (pl.col("point") == roles.get("auto", ""))).fill_null(value=False).alias("auto_says"),
        _event_role(template, points, roles.get("output", ""), _number_of).alias("output"),
    )
    beats = [p.name for p in specs.values() if p.role == "heartbeat"]
    distinct = marked.filter(pl.col("good") & ~pl.col("point").is_in(beats)).group_by("device", "hour", "point")
    changed = (
        distinct.agg((pl.struct(f"p.{n}" for n in kinds).n_unique() > 1).alias("moved"))
        .group_by("device", "hour")
        .agg(pl.col("moved").sum().cast(pl.Int64).alias("points_changed"))
    )
    return Readings(contacts.select(_CONTACT_COLUMNS), changed, _event_parameters(marked, template, specs))


def _event_parameters(marked: pl.DataFrame, template: Template, specs: dict[str, Point]) -> pl.DataFrame:
    """An event speaks of its own point; a failed poll of all of them."""
    keys = [p.name for p in specs.values() if p.key_parameter]
    kinds = {p.name: p.type for p in template.points}
    limited = [
        pl.when(pl.col("point") == n).then(_inside(pl.col(f"p.v_{kinds[n]}"), kinds[n], specs[n]))
        for n in keys
        if n in kinds
    ]
    values = marked.filter(IS_CONTACT & pl.col("point").is_in(keys)).with_columns(
        pl.lit(value=True).alias("value"), pl.coalesce(*limited, pl.lit(value=False)).alias("inside")
    )
    every = pl.DataFrame({"point": keys}, {"point": pl.String})
    fails = marked.filter(~IS_CONTACT & ~IS_LOSS).drop("point").join(every, how="cross")
    none = [pl.lit(value=False).alias(c) for c in ("value", "good", "inside")]
    return pl.concat([f.select(_PARAMETER_COLUMNS) for f in (values, fails.with_columns(none))])


def _is_good(name: str, kind: ValueType, spec: Point | None, columns: list[str]) -> pl.Expr:
    value = pl.col(f"p.{name}")
    quality = pl.coalesce(f"q.{name}", "q") if f"q.{name}" in columns else pl.col("q")
    good = pl.col("contact") & value.is_not_null() & ((quality & SEVERITY_BAD) == 0)
    if kind in (ValueType.F32, ValueType.F64):
        good &= value.is_not_nan().fill_null(value=False)  # polars holds NaN for the largest number: that would run
    limits = _allowed(value, kind, spec) if spec else None
    return good if limits is None else good & limits.fill_null(value=False)


def _allowed(value: pl.Expr, kind: ValueType, spec: Point) -> pl.Expr | None:
    """Range and no_value of a point, or None where it has neither."""
    tests = []
    if kind in (ValueType.F32, ValueType.F64, ValueType.I64, ValueType.U64):
        if spec.low is not None:
            tests.append(value.cast(pl.Float64) >= float(spec.low))
        if spec.high is not None:
            tests.append(value.cast(pl.Float64) <= float(spec.high))
    if kind is ValueType.STR and spec.no_value:
        first = value.str.split("|").list.first().str.to_uppercase()
        tests.append(~first.is_in([t.upper() for t in spec.no_value]))
    return pl.all_horizontal(tests) if tests else None


def _allowed_event(index: int, spec: Point, template: Template) -> pl.Expr | None:
    kind = template.points[index].type
    limits = _allowed(pl.col(f"p.v_{kind}"), kind, spec)
    return None if limits is None else (pl.col("p.point") != index) | limits.fill_null(value=False)


def _state(template: Template, points: PointSet | None, good: dict[str, pl.Expr]) -> pl.Expr:
    """1 running, 0 stopped or off, null unknown."""
    point = points.point_of_role("state") if points else None
    name = points.running_when.point if points and points.running_when else point.name if point else ""
    if points is None or name not in good:
        return pl.lit(None, pl.Int8)
    kind = dict(template.columns)[name]
    return pl.when(good[name]).then(_state_of(pl.col(f"p.{name}"), kind, points)).otherwise(None)


def _state_of(value: pl.Expr, _kind: ValueType, points: PointSet) -> pl.Expr:
    rule = points.running_when
    if rule is not None:
        number, limit = value.cast(pl.Float64), float(rule.value)
        test = {
            ">": number > limit,
            ">=": number >= limit,
            "==": number == limit,
            "!=": number != limit,
            "<": number < limit,
            "<=": number <= limit,
        }[rule.op]
        return test.cast(pl.Int8)
    codes = {text: int(state == "run") for text, state in points.state_map.items()}
    return value.cast(pl.String).replace_strict(codes, default=None, return_dtype=pl.Int8)


def _truth_of(value: pl.Expr, kind: ValueType, _points: PointSet) -> pl.Expr:
    if kind is ValueType.STR:  # a mode word: AUTO, AUTOMATIC
        return value.str.to_uppercase().is_in(["AUTO", "AUTOMATIC", "TRUE", "1"]).cast(pl.Int8)
    return (value.cast(pl.Float64) != 0).cast(pl.Int8)


def _number_of(value: pl.Expr, kind: ValueType, _points: PointSet) -> pl.Expr:
    number = value.cast(pl.Float64, strict=False) if kind is ValueType.STR else value
    return number.cast(pl.Int64, strict=False)


def _role_value(template: Template, points: PointSet | None, role: Role, good: dict[str, pl.Expr]) -> pl.Expr:
    point = points.point_of_role(role) if points else None
    kind = pl.Int8 if role == "auto" else pl.Int64
    if points is None or point is None or point.name not in good:
        return pl.lit(None, kind)
    reading = _truth_of if role == "auto" else _number_of
    value = reading(pl.col(f"p.{point.name}"), dict(template.columns)[point.name], points)
    return pl.when(good[point.name]).then(value).otherwise(None)


def _event_role(template: Template, points: PointSet | None, name: str, reading: object) -> pl.Expr:
    kind = next((p.type for p in template.points if p.name == name), None)
    if points is None or kind is None or not callable(reading):
        return pl.lit(None, pl.Int64)
    mine = (pl.col("point") == name) & pl.col("good")
    return pl.when(mine).then(reading(pl.col(f"p.v_{kind}"), kind, points)).otherwise(None)
