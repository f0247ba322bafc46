"""The story of the demo workshop, in days before 'today': what went wrong, what was planned, what the office wrote down.

In: a seed and a local date. Out: `Story` with its incidents (what happens to machines) and events (what people enter).
Each trouble has one machine and one cause, so that lines, page and truth log can be held against each other.
Days are local plant days (+08:00), day 0 is today; minutes count from local midnight. docs/demo.md tells it in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cached_property

from adapters.batch import Outcome
from simulators.fleet import CONNECTED, FLEET, SWAP_DAY, Machine

US = 1_000_000
MINUTE_US = 60 * US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
PLANT_TZ = timezone(timedelta(hours=8))
FIRST_DAY = -95
TRIAL_DAYS = (-80, -60, -30, -12)  # mornings on which a trial batch is put into the MES, before it begins
MONTH_ENDS = (-64, -34)  # evenings of the MES's export, besides the last one
FORGOTTEN_DAYS, FOUND_DAY = (-46, -45), -30  # days whose shipping notes were handed in late, and when
PAPER_DAY = -94  # the office hands in what it has from the years before
NOTICE = 7 * 60 + 45  # minute of a trial day
SHIFTS = (("白班", 8 * 60, 16 * 60), ("中班", 16 * 60, 24 * 60))


@dataclass(frozen=True, slots=True)
class Incident:
    """Trouble on some machines over [start, end), in (day, minute). `outcome` None: they answer as ever.

    effect: "" the machine works on unseen · "off" powered down · "alarm" stands with an alarm · "sensor" a key
    parameter reads nonsense · "reset" off, and its part counter begins at zero afterwards.
    """

    kind: str
    machines: tuple[str, ...]
    start: tuple[int, int]
    end: tuple[int, int]
    outcome: Outcome | None
    effect: str
    cause: str

    def minutes_on(self, day: int) -> tuple[int, int]:
        """[from, to) minutes of that local day, empty when from >= to."""
        first = self.start[0] * 1440 + self.start[1] - day * 1440
        last = self.end[0] * 1440 + self.end[1] - day * 1440
        return max(first, 0), min(last, 1440)


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody in the office enters, and when. kind: register (with revision), exclusion, documents, records."""

    at_us: int
    kind: str
    reason: str
    actor: str
    revision: int = 0
    devices: tuple[str, ...] = ()
    from_us: int = 0
    to_us: int = 0


@dataclass(frozen=True)
class Story:
    """One workshop, one seed, one today. Same seed and day: same numbers, to the last bit."""

    today: date
    seed: int = 20261122

    def day_start_us(self, day: int) -> int:
        """First microsecond of a local day of the story."""
        midnight = datetime(self.today.year, self.today.month, self.today.day, tzinfo=PLANT_TZ) + timedelta(days=day)
        return int(midnight.timestamp()) * US

    def at_us(self, day: int, minute: int) -> int:
        """A local minute of a day of the story, in microseconds UTC."""
        return self.day_start_us(day) + minute * MINUTE_US

    def date_of(self, day: int) -> date:
        """Calendar date of a day of the story."""
        return self.today + timedelta(days=day)

    def day_of(self, at_us: int) -> int:
        """Day of the story in which a moment falls."""
        return (at_us - self.day_start_us(0)) // DAY_US

    @property
    def start_us(self) -> int:
        """Begin of the history: local midnight 95 days ago."""
        return self.day_start_us(FIRST_DAY)

    @property
    def first_hour(self) -> int:
        """UTC hour (since 1970) in which the history begins."""
        return self.start_us // HOUR_US

    def machines(self, day: int) -> tuple[Machine, ...]:
        """Connected machines in service on a day: always 24."""
        return tuple(m for m in CONNECTED if m.in_service(day))

    @cached_property
    def incidents(self) -> tuple[Incident, ...]:
        """Everything that happened to machines, in order of time."""
        return _incidents()

    def incidents_of(self, machine: str) -> tuple[Incident, ...]:
        """The incidents of one machine."""
        return tuple(i for i in self.incidents if machine in i.machines)

    def events(self) -> tuple[Event, ...]:
        """What people entered, in order of time."""
        return tuple(sorted((*self._register_events(), *self._record_events()), key=lambda e: e.at_us))

    def _register_events(self) -> tuple[Event, ...]:
        repair = next(i for i in self.incidents if i.kind == "maintenance")
        return (
            Event(self.start_us, "register", "首次建立台账 (first register)", "设备科 李工", revision=1),
            Event(
                self.at_us(SWAP_DAY - 1, 17 * 60 + 20),
                "register",
                "新购 MA2500 注塑机投用，HTF86 液压机与 C620 普通车床报废 (one new machine, two scrapped)",
                "设备科 李工",
                revision=2,
            ),
            Event(
                self.at_us(repair.start[0], 9 * 60 + 10),
                "exclusion",
                "主轴返修，维修单 WX-0417 (spindle repair)",
                "设备科 王主任",
                devices=repair.machines,
                from_us=self.at_us(*repair.start),
                to_us=self.at_us(*repair.end),
            ),
        )

    def _record_events(self) -> tuple[Event, ...]:
        """Documents first, then deliveries: each holds what became known since the one before (simulators/deliveries.py)."""
        clerk, planner = "数字化办 陈工", "技术部 赵工"
        found = [
            Event(self.at_us(PAPER_DAY, 9 * 60), "documents", "申报材料归档 (papers)", clerk),
            Event(self.at_us(PAPER_DAY, 10 * 60), "records", "历史档案补录 (what there was before)", clerk),
            Event(
                self.at_us(FOUND_DAY, 12 * 60),
                "records",
                "补交漏交的入库单 (shipping notes that were forgotten)",
                clerk,
            ),
            Event(self.at_us(-1, 23 * 60 + 20), "documents", "申报材料补充 (later papers)", clerk),
            Event(self.at_us(-1, 23 * 60 + 30), "records", "MES 导出与申报数据 (export of the MES)", clerk),
        ]
        found += [
            Event(self.at_us(d, NOTICE), "records", "试制批次事先登记 (trial, flagged beforehand)", planner)
            for d in TRIAL_DAYS
        ]
        found += [
            Event(self.at_us(d, 23 * 60 + 30), "records", "MES 月度导出 (monthly export)", clerk) for d in MONTH_ENDS
        ]
        return tuple(found)

    @property
    def closure_us(self) -> tuple[int, int]:
        """[start, end) of the planned stop that the calendar knew beforehand."""
        stop = next(i for i in self.incidents if i.kind == "planned_stop")
        return self.at_us(*stop.start), self.at_us(*stop.end)


def local_iso(at_us: int) -> str:
    """ISO 8601 in plant time with its offset, to the second."""
    return datetime.fromtimestamp(at_us // US, UTC).astimezone(PLANT_TZ).isoformat()


def _incidents() -> tuple[Incident, ...]:
    everyone = {p: tuple(m.id for m in FLEET if m.protocol == p) for p in ("opcua", "modbus", "mqtt")}
    line_2 = tuple(m.id for m in CONNECTED if m.line == "L2")
    stop = ((-53, 0), (-50, 0))
    found = [
        Incident("planned_stop", everyone["opcua"], *stop, Outcome.TIMEOUT, "off", "planned_stop"),
        Incident("planned_stop", everyone["modbus"], *stop, Outcome.TIMEOUT, "off", "planned_stop"),
        Incident("planned_stop", everyone["mqtt"], *stop, Outcome.SILENT, "off", "planned_stop"),
        _incident("fault", "L1-FUR-01", (-61, 615), (-61, 845), Outcome.DEVICE_FAILURE, "alarm"),
        _incident("fault", "L1-FUR-01", (-19, 1290), (-18, 130), Outcome.DEVICE_FAILURE, "alarm"),
        _incident("alarm", "L1-FUR-01", (-61, 845), (-61, 890), None, "alarm"),
        _incident("alarm", "L1-FUR-01", (-18, 130), (-18, 175), None, "alarm"),
        _incident("denied", "L1-MRK-01", (-74, 540), (-74, 700), Outcome.DENIED, ""),
        _incident("rejected", "L3-LKT-01", (-33, 545), (-33, 565), Outcome.REJECTED, "", "silent"),
        _incident("swap", "L1-CNC-02", (-27, 510), (-26, 600), Outcome.REFUSED, "reset"),
        Incident("network", line_2, (-23, 850), (-23, 1180), Outcome.UNREACHABLE, "", "unreachable"),
        _incident("sensor", "L2-INJ-02", (-17, 780), (-17, 1080), None, "sensor"),
        _incident("silent", "L1-5AX-01", (-16, 560), (-5, 560), Outcome.SILENT, ""),
        _incident("maintenance", "L1-VMC-02", (-12, 480), (-8, 720), Outcome.TIMEOUT, "off"),
    ]
    return tuple(sorted(found, key=lambda i: (i.start, i.machines)))


def _incident(
    kind: str,
    machine: str,
    start: tuple[int, int],
    end: tuple[int, int],
    outcome: Outcome | None,
    effect: str,
    cause: str | None = None,
) -> Incident:
    said = cause if cause is not None else outcome.name.lower() if outcome is not None else ""
    return Incident(kind, (machine,), start, end, outcome, effect, said)
