"""每日连续性: the day strips as something to draw: per device a row of equal-kind runs, grouped by line, and their legend.

In: the register and `Day` lists. Out: `LineGroup`s of `Strip`s for the template, each with its sentence for people who do not see it.
Neighbouring days that say the same are one rectangle: 500 machines x 95 days stay a small page. Nothing is coloured alone:
each kind has its own pattern, and every rectangle its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from config.register import Device, Line, Register
from evidence_api.web.days import Day, Kind
from evidence_api.web.plant import OUTCOME_ZH, CollectorState
from evidence_api.web.wording import axis_percent, percent_down, short_time
from metrics.printing.words import CAUSE_ZH

CELL = 10  # width of a day in the strip's own units

KIND_ZH: dict[Kind, str] = {
    "normal": "正常",
    "part": "部分",
    "lost": "断线",
    "planned": "计划停机",
    "unconnected": "未接入",
    "down": "停采",
    "none": "未在册",
}
KIND_RULE: dict[Kind, str] = {
    "normal": "缺口不到 1 %",
    "part": "缺口 1–50 %",
    "lost": "缺口一半以上，设备无应答",
    "planned": "日历已批准的停机",
    "unconnected": "台账没有通信地址",
    "down": "采集程序未运行",
    "none": "不在台账或未到投用日",
}
PROTOCOL_ZH = {"opcua": "OPC UA", "modbus": "Modbus TCP", "mqtt": "MQTT"}


@dataclass(frozen=True, slots=True)
class Run:
    """Days [first, last] of one kind and cause, as one rectangle at `x` of `width`."""

    kind: Kind
    cause: str
    first: date
    last: date
    x: int
    width: int
    words: str


@dataclass(frozen=True, slots=True)
class Strip:
    """One device: names, runs, coverage over the strip and the newest contact. `short`: the name without its workshop's."""

    device: str
    name: str
    short: str
    protocol: str
    runs: tuple[Run, ...]
    sentence: str
    coverage: str
    contact: str  # good | bad | unknown
    contact_words: str
    contact_at: str


@dataclass(frozen=True, slots=True)
class LineGroup:
    """产线: its devices in register order."""

    name: str
    workshop: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """One row of the table that says the strips in words."""

    name: str
    kind: Kind
    first: date
    last: date
    day_count: int
    cause: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A month's first day on the axis, in percent of the width, with two decimals."""

    at: str
    label: str


def line_groups(
    register: Register,
    days: Mapping[str, Sequence[Day]],
    state: CollectorState,
    offset_h: int,
    now_ms: int,
) -> list[LineGroup]:
    """Lines in register order; devices of no known line cannot exist (the register refuses them)."""
    current = state.alive(now_ms * 1000)
    groups = []
    for line in register.lines:
        devices = [d for d in register.devices if d.line == line.id]
        if devices:
            strips = tuple(
                _strip(d, line, days.get(d.id, ()), _contact(d, state, current, offset_h, now_ms)) for d in devices
            )
            groups.append(LineGroup(line.name, line.workshop, strips))
    return groups


def runs_of(days: Sequence[Day]) -> list[Run]:
    """Neighbouring days of one kind and cause together."""
    runs = []
    at = 0
    for (kind, cause), same in groupby(days, key=lambda d: (d.kind, d.cause if d.kind != "normal" else "")):
        part = list(same)
        runs.append(
            Run(kind, cause, part[0].day, part[-1].day, at * CELL, len(part) * CELL, _run_words(kind, cause, part))
        )
        at += len(part)
    return runs


def gaps_of(groups: Sequence[LineGroup]) -> list[Gap]:
    """Every run that is not 正常 or 未在册, longest first."""
    found = [
        Gap(strip.name, run.kind, run.first, run.last, run.width // CELL, CAUSE_ZH.get(run.cause, run.cause))
        for group in groups
        for strip in group.strips
        for run in strip.runs
        if run.kind not in ("normal", "none")
    ]
    return sorted(found, key=lambda g: (-g.day_count, g.first, g.name))


def month_ticks(first: date, count: int) -> list[Tick]:
    """Where months begin on an axis of `count` days; the first day is named too when there is room for it."""
    days = [date.fromordinal(first.toordinal() + i) for i in range(count)]
    starts = [i for i, day in enumerate(days) if day.day == 1]
    if not starts or starts[0] > 10:
        starts.insert(0, 0)
    return [
        Tick(axis_percent(i, count), f"{days[i].month} 月" if days[i].day == 1 else f"{days[i]:%m-%d}") for i in starts
    ]


def _strip(device: Device, line: Line, days: Sequence[Day], contact: tuple[str, str, str]) -> Strip:
    coverage = _coverage(days)
    counts = {kind: sum(d.kind == kind for d in days) for kind in KIND_ZH}
    said = "，".join(f"{KIND_ZH[kind]} {n} 天" for kind, n in counts.items() if n)
    protocol = PROTOCOL_ZH[device.connection.protocol] if device.connection else "无通信"
    sentence = f"{device.name}，{len(days)} 天中{said}，覆盖率 {coverage}"
    short = device.name.removeprefix(line.workshop).strip() or device.name
    return Strip(device.id, device.name, short, protocol, tuple(runs_of(days)), sentence, coverage, *contact)


def _contact(device: Device, state: CollectorState, current: bool, offset_h: int, now_ms: int) -> tuple[str, str, str]:
    """(good, bad or unknown; words; when). What was true before the collector stopped is never shown as if it were now."""
    seen = state.contacts.get(device.id)
    if device.connection is None:
        return "unknown", "未接入", ""
    if seen is None:
        return "unknown", "尚无记录", ""
    words = OUTCOME_ZH.get(seen.outcome, seen.outcome)
    at = short_time(seen.at_us // 1000, now_ms, offset_h)
    if not current:
        return "unknown", f"停采前{words}", at
    return "good" if seen.good else "bad", words, at


def _coverage(days: Sequence[Day]) -> str:
    """Covered seconds over seconds in service outside planned stops, cut to 0.1 %."""
    in_service_s = sum(d.in_service_s for d in days)
    covered_s = in_service_s - sum(d.gap_s for d in days)
    return percent_down(covered_s, in_service_s - sum(d.planned_s for d in days))


def _run_words(kind: Kind, cause: str, days: Sequence[Day]) -> str:
    first, last = days[0].day, days[-1].day
    when = f"{first:%m-%d}" if len(days) == 1 else f"{first:%m-%d} 至 {last:%m-%d}（{len(days)} 天）"
    if kind == "none":
        return f"{when} {KIND_ZH[kind]}"
    why = f"：{CAUSE_ZH.get(cause, cause)}" if cause and CAUSE_ZH.get(cause) != KIND_ZH[kind] else ""
    return f"{when} {KIND_ZH[kind]}{why}，覆盖 {_coverage(days)}"
