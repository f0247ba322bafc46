"""Hour lines a second time: slow plain Python, written from docs/format/hour-lines.md and rows.md, nothing of ours but the row values.

In: every acknowledged row in journal order, the registers as `tomllib` reads them, when no collector ran. Out: the lines of one hour as
text, commitments included (tests/collector/plain_rows.py). No polars, no numpy, nothing from collector/ or config/.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from tests.builders import Row
from tests.collector.plain_rows import commitment, digest

HOUR, MINUTE, SECOND = 3_600_000_000, 60_000_000, 1_000_000
BAD = 0x8000_0000
CAUSES = (
    "planned_stop not_connected collector_down timeout refused unreachable disconnected protocol device_failure denied silent bad_quality"
).split()
FAILURE = {
    2: "timeout",
    3: "refused",
    4: "unreachable",
    5: "disconnected",
    6: "protocol",
    7: "device_failure",
    8: "silent",
    11: "denied",
}
LOSSES = (9, 10)
OPS = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


@dataclass(frozen=True)
class Revision:
    """A register as read from TOML, in force from `effective_us`."""

    rev: int
    effective_us: int
    register: dict[str, Any]


@dataclass(frozen=True)
class World:
    """Everything an hour's lines depend on."""

    rows: Sequence[Row]
    revisions: Sequence[Revision]
    down: Sequence[tuple[int, int]]
    origin_class: str
    identities: Sequence[tuple[int, str, int, str]]  # (hour, device, identity revision, announced origin)
    seed: bytes


def hour_name(hour: int) -> str:
    """Hours since 1970 as text."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)).strftime("%Y-%m-%dT%HZ")


def lines_of_hour(world: World, hour: int) -> list[str]:
    """Every line of one hour, sorted bytewise."""
    in_force = [r for r in world.revisions if r.effective_us < (hour + 1) * HOUR]
    if not in_force:
        return []
    found: list[str] = []
    for device in sorted({d["id"] for r in in_force for d in r.register.get("device", [])}):
        service = [m for m in range(60) if _device_at(world, device, hour * HOUR + m * MINUTE)]
        if service:
            found += _DeviceHour(world, hour, device, list(range(service[0], service[-1] + 1)), in_force[-1]).lines()
    return sorted(found, key=lambda line: line.encode())


def _device_at(world: World, device: str, at_us: int) -> dict[str, Any] | None:
    """The device as the revision in force at `at_us` has it, if it is in service then."""
    revision = next((r for r in reversed(world.revisions) if r.effective_us <= at_us), None)
    found = next((d for d in revision.register.get("device", []) if d["id"] == device), None) if revision else None
    if revision is None or found is None:
        return None
    hours = int(revision.register.get("calendar", {}).get("utc_offset", "+08:00")[:3])

    def midnight(day: date) -> int:
        at = datetime(day.year, day.month, day.day, tzinfo=timezone(timedelta(hours=hours)))
        return int(at.timestamp()) * SECOND

    retired = found.get("retired_at")
    inside = midnight(found["in_service_from"]) <= at_us and (retired is None or at_us < midnight(retired))
    return found if inside else None


class _DeviceHour:
    def __init__(self, world: World, hour: int, device: str, service: list[int], newest: Revision) -> None:
        self.world, self.hour, self.id, self.service, self.newest = world, hour, device, service, newest
        last = hour * HOUR + service[-1] * MINUTE
        self.device = _device_at(world, device, last) or {}
        revision = next(r for r in reversed(world.revisions) if r.effective_us <= last)
        sets = {p["id"]: p for p in revision.register.get("points", [])}
        self.points = sets[self.device["points"]] if "points" in self.device else None
        self.specs = {p["name"]: p for p in self.points["point"]} if self.points else {}
        self.interval = self.device.get("interval_s", 60)
        mine = [r for r in world.rows if r.device == device]
        self.own = [r for r in mine if r.hour == hour]
        self.carried = _carried([r for r in mine if r.hour == hour - 1])
        self.readable = self.points is not None

    def lines(self) -> list[str]:
        text = hour_name(self.hour)
        rows = self.own if self.readable else []
        ok = [r for r in rows if r.outcome == 0]
        late = [r for r in ok if r.source_us // HOUR < self.hour]
        covered = self._covered([r for r in self._all() if _is_contact(r) and not r.quality & BAD])
        gap = 60 * (len(self.service) - len(covered))
        run, stop, unknown = self._state()
        rev, origin = self._identity()
        fields: list[Any] = [
            "D",
            self.id,
            text,
            self.newest.rev,
            origin,
            60 * len(self.service),
            _mask(covered),
            sum(_is_contact(r) for r in rows),
            sum(not _is_contact(r) and r.outcome not in LOSSES for r in rows),
            sum(not good for r in ok for _, good in self._values(r)),
            sum(r.outcome in LOSSES for r in rows),
            len(late),
            gap,
            self._cause(covered) if gap else "",
            run,
            stop,
            unknown,
            self._output(),
            self._auto(),
            self._changed(),
            rev,
            commitment(self.world.seed, self.id, text, "presence", self.own, self.carried),
            commitment(self.world.seed, self.id, text, "process", self.own, self.carried),
        ]
        found = [",".join(map(str, fields))]
        for name, spec in self.specs.items():
            if spec.get("key_parameter"):
                found.append(self._parameter(text, name))
        for source_hour in sorted({_time(r) // HOUR for r in late}):
            found.append(self._late(text, source_hour, [r for r in late if _time(r) // HOUR == source_hour]))
        return found

    def _all(self) -> list[Row]:
        return [*self.carried, *self.own] if self.readable else []

    def _covered(self, contacts: list[Row]) -> list[int]:
        limit = max(2 * self.interval, 60) * SECOND
        found = []
        for m in self.service:
            end = self.hour * HOUR + (m + 1) * MINUTE
            newest = max((_time(r) for r in contacts if _time(r) <= end), default=None)
            if newest is not None and end - newest <= limit:
                found.append(m)
        return found

    def _cause(self, covered: list[int]) -> str:
        votes = [self._cause_of(m) for m in self.service if m not in covered]
        return max(CAUSES, key=lambda c: (votes.count(c), -CAUSES.index(c)))

    def _cause_of(self, minute: int) -> str:
        start, end = self.hour * HOUR + minute * MINUTE, self.hour * HOUR + (minute + 1) * MINUTE
        for closure in self.newest.register.get("calendar", {}).get("closures", []):
            lines = closure.get("lines", [])
            if _us(closure["start"]) <= start < _us(closure["end"]) and (not lines or self.device["line"] in lines):
                return "planned_stop"
        if not self.readable:
            return "not_connected"
        if any(a < end <= b for a, b in down_of_hour(self.world.down, self.hour)):
            return "collector_down"
        before = [(_order(r, i), r) for i, r in enumerate(self._all()) if _time(r) <= end and r.outcome not in LOSSES]
        if not before:
            return "silent"
        newest = max(before, key=lambda x: x[0])[1]
        if not _is_contact(newest):
            return FAILURE[newest.outcome]
        return "bad_quality" if newest.quality & BAD else "silent"

    def _values(self, row: Row) -> list[tuple[str, bool]]:
        """(point, good) of each value a row stands for."""
        if row.template.kind == "wide":
            return [(p.name, self._is_good(row, p.name, p.name, p.type)) for p in row.template.points]
        index = row.values.get("point")
        if index is None:
            return [("", False)]
        point = row.template.points[int(index)]
        return [(point.name, self._is_good(row, point.name, f"v_{point.type}", point.type))]

    def _is_good(self, row: Row, point: str, column: str, kind: str) -> bool:
        value, quality = row.values.get(column), row.qualities.get(column, row.quality)
        if not _is_contact(row) or value is None or quality & BAD or (isinstance(value, float) and math.isnan(value)):
            return False
        spec = self.specs.get(point, {})
        if isinstance(value, str):
            return value.split("|")[0].upper() not in [t.upper() for t in spec.get("no_value", [])]
        if kind != "bool" and "low" in spec and not float(value) >= float(spec["low"]):
            return False
        return kind == "bool" or "high" not in spec or float(value) <= float(spec["high"])

    def _value(self, row: Row, point: str) -> Any:
        column = point
        if row.template.kind == "event":
            kind = next((p.type for p in row.template.points if p.name == point), "")
            column = f"v_{kind}"
        return row.values.get(column)

    def _is_late(self, row: Row) -> bool:
        return row.hour == self.hour and row.outcome == 0 and row.source_us // HOUR < self.hour

    def _says(self, point: str, *, late: bool = True) -> list[tuple[int, Any]]:
        """(time, good value or None) of each row that speaks of a point, in order: its values, and failed polls."""
        found = []
        for i, row in enumerate(self._all()):
            if row.outcome in LOSSES or (self._is_late(row) and not late):
                continue
            values = dict(self._values(row))
            if not _is_contact(row) or row.template.kind == "wide":
                good = values.get(point, False)
            elif point in values:
                good = values[point]
            else:
                continue  # an event of another point
            found.append((_order(row, i), self._value(row, point) if good else None))
        return [(order[0], value) for order, value in sorted(found, key=lambda x: x[0])]

    def _intervals(self, point: str, meaning: Any) -> list[tuple[int, int, Any]]:
        """(from, to, what the point meant) wherever that is known."""
        says = self._says(point)
        start = self.hour * HOUR + self.service[0] * MINUTE
        end = self.hour * HOUR + (self.service[-1] + 1) * MINUTE
        found = []
        for i, (t, value) in enumerate(says):
            means = None if value is None else meaning(value)
            until = min(says[i + 1][0] if i + 1 < len(says) else end, t + 2 * self.interval * SECOND, end)
            if means is not None and until > max(t, start):
                found.append((max(t, start), until, means))
        return found

    def _held(self, point: str, meaning: Any) -> tuple[int, int]:
        """Seconds in which the point meant 1 and 0."""
        sums = {0: 0, 1: 0}
        for a, b, means in self._intervals(point, meaning):
            sums[means] += b - a
        return sums[1] // SECOND, sums[0] // SECOND

    def _role(self, role: str) -> str:
        return next((n for n, p in self.specs.items() if p.get("role") == role), "")

    def _state_point(self) -> str:
        rule = self.points.get("running_when") if self.points else None
        return str(rule["point"]) if rule else self._role("state")

    def _running(self, value: Any) -> int | None:
        rule = (self.points or {}).get("running_when")
        if rule:
            return int(OPS[rule["op"]](float(value), float(rule["value"])))
        state = (self.points or {}).get("state_map", {}).get(str(value))
        return None if state is None else int(state == "run")

    def _state(self) -> tuple[Any, Any, Any]:
        if not self._state_point():
            return "", "", ""
        run, stop = self._held(self._state_point(), self._running)
        return run, stop, 60 * len(self.service) - run - stop

    def _auto(self) -> Any:
        point = self._role("auto")
        if not point:
            return ""

        def meaning(value: Any) -> int:
            return int(value.upper() in ("AUTO", "AUTOMATIC", "TRUE", "1") if isinstance(value, str) else value != 0)

        return self._held(point, meaning)[0]

    def _output(self) -> Any:
        point = self._role("output")
        if not point:
            return ""
        total, before = 0, None
        for _, value in self._says(point, late=False):
            if value is None:
                continue
            if before is not None:
                total += value - before if value >= before else value
            before = value
        return total

    def _changed(self) -> int:
        beats = [n for n, p in self.specs.items() if p.get("role") == "heartbeat"]
        found = 0
        for template in {r.template for r in self._all()}:
            for p in template.points:
                rows = [r for r in self._all() if r.template == template]
                good = {self._value(r, p.name) for r in rows if dict(self._values(r)).get(p.name)}
                found += len(good) > 1 and p.name not in beats
        return found

    def _parameter(self, text: str, name: str) -> str:
        seen = [
            (r, dict(self._values(r))[name]) for r in self._all() if _is_contact(r) and name in dict(self._values(r))
        ]
        own = [good for r, good in seen if r.hour == self.hour]
        covered = self._covered([r for r, good in seen if good and not r.quality & BAD])
        counts = f"{_mask(covered)},{sum(own)},{len(own) - sum(own)}"
        return f"P,{self.id},{text},{name},{counts},{','.join(map(str, self._running_known(name)))}"

    def _running_known(self, name: str) -> tuple[Any, Any]:
        """Seconds running with a good value known, and of them inside the limits: every pair of intervals."""
        if not self._state_point():
            return "", ""
        low, high = self.specs[name].get("spec_low"), self.specs[name].get("spec_high")

        def inside(value: Any) -> bool:
            if isinstance(value, str | bool):
                return False
            if isinstance(value, float) and math.isinf(value):
                return high is None if value > 0 else low is None
            exact = Fraction(value)
            return (low is None or exact >= Fraction(str(low))) and (high is None or exact <= Fraction(str(high)))

        runs = [(a, b) for a, b, running in self._intervals(self._state_point(), self._running) if running]
        both = [(max(0, min(b, d) - max(a, c)), good) for a, b in runs for c, d, good in self._intervals(name, inside)]
        known = sum(us for us, _ in both) // SECOND
        return known, "" if low is None and high is None else sum(us for us, good in both if good) // SECOND

    def _late(self, text: str, source_hour: int, rows: list[Row]) -> str:
        minutes = {_time(r) % HOUR // MINUTE for r in rows if not r.quality & BAD}
        label = f"{text}/{hour_name(source_hour)}"
        commit = commitment(self.world.seed, self.id, label, "late", rows, [])
        return f"L,{self.id},{text},{hour_name(source_hour)},{_mask(sorted(minutes))},{len(rows)},{commit}"

    def _identity(self) -> tuple[int, str]:
        mine = [(rev, origin) for h, d, rev, origin in self.world.identities if d == self.id and h <= self.hour]
        rev, announced = mine[-1] if mine else (0, "live")
        return rev, announced if self.world.origin_class == "live" else self.world.origin_class


def down_of_hour(down: Sequence[tuple[int, int]], hour: int) -> list[tuple[int, int]]:
    """The parts of an hour without a collector, outwards to whole seconds, as the seal states them."""
    start, end = hour * HOUR, (hour + 1) * HOUR
    parts = [((max(a, start) // SECOND) * SECOND, -(-min(b, end) // SECOND) * SECOND) for a, b in down]
    return [(a, b) for a, b in parts if b > a]


def _is_contact(row: Row) -> bool:
    return row.outcome in (0, 1)


def _time(row: Row) -> int:
    return row.source_us + row.lag_us if row.outcome == 1 or row.lag_us < -2 * SECOND else row.source_us


def _order(row: Row, index: int) -> tuple[int, int, bytes, int]:
    """By time; rows of one time by journal frame, in one frame by template, then as they came."""
    return _time(row), row.frame, digest(row.template), index


def _us(at: datetime) -> int:
    return int(at.timestamp()) * SECOND


def _mask(minutes: list[int]) -> str:
    return f"{sum(1 << (59 - m) for m in minutes):015x}"


def _carried(before: list[Row]) -> list[Row]:
    """From the hour before: the last contact of each point (wide: of the template) and the last row of all, in journal order."""
    wanted: dict[Any, int] = {}
    for i, row in enumerate(before):
        if _is_contact(row):
            wanted[(row.template, row.values.get("point") if row.template.kind == "event" else "")] = i
        wanted[(row.template, "last of all")] = i
    return [before[i] for i in sorted(set(wanted.values()))]
