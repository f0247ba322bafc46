"""What every metric is computed from: frozen, complete, and nothing else (no clock, no disk).

In: hour lines as frames, register revisions, exclusions, records, what the ledger says of the collector's own downtime.
Out: `Inputs`, with the register as of the window (`register`), the minute masks (`minutes`) and the digests of it all.
Definitions: docs/metrics.md §0. The protocols name what is used of the collector's types, so tests can bring their own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timezone
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from config.documents import Document
from config.register import Register
from config.ruleset import Scene
from metrics.result import MetricError, Pair, Window
from metrics.window import DAY_US, days_of, hours_of, last_days, last_months, midnight_us

if TYPE_CHECKING:
    import polars as pl

    from collector.store.record_frames import ImportFacts
    from metrics.batches.batch_trace import BatchRows
    from metrics.machines.fields import Fields
    from metrics.machines.minutes import Masks, Minutes
    from metrics.machines.networked import Contact
    from metrics.machines.parameter_seconds import Seconds

Recompute = Callable[[Sequence[int]], dict[int, list[str]]]
Commits = Callable[[Sequence[int]], "pl.DataFrame"]
MONTHS = 3  # GS25 第十二条(二): 稳定运行≥3个月; the window of M11, M12, M13
NETWORK_DAYS = 30  # catalogue §4.1 M01
LEAD_DAYS = 7  # operations that began before the window (M13)
TIMELY_US = 72 * 3600 * 1_000_000  # an exclusion counts when entered within 72 h of its start (catalogue §4.0)


class HourFrames(Protocol):
    """`collector.store.lines.HourLines`."""

    @property
    def device(self) -> pl.DataFrame: ...
    @property
    def parameter(self) -> pl.DataFrame: ...
    @property
    def late(self) -> pl.DataFrame: ...


class Records(Protocol):
    """`collector.store.record_frames.RecordFrames`."""

    @property
    def rev(self) -> int: ...
    def frame(self, kind: str) -> pl.DataFrame: ...


class Revision(Protocol):
    """`collector.revisions.RegisterRevision`."""

    @property
    def rev(self) -> int: ...
    @property
    def effective_us(self) -> int: ...
    @property
    def register(self) -> Register: ...
    @property
    def sha256(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Excuse(Protocol):
    """`collector.revisions.Exclusion`."""

    @property
    def id(self) -> str: ...
    @property
    def devices(self) -> tuple[str, ...]: ...
    @property
    def from_us(self) -> int: ...
    @property
    def to_us(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def entered_us(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Excusing:
    """A closure or exclusion as it was judged. `devices` are those it applies to; only a timely one counts."""

    id: str
    devices: frozenset[str]
    from_us: int
    to_us: int
    entered_us: int
    reason: str

    @property
    def counts(self) -> bool:
        """Entered before, or at most 72 h after, its start."""
        return self.entered_us <= self.from_us + TIMELY_US


@dataclass(frozen=True, eq=False)
class Inputs:
    """end_us: T, a plant midnight. revisions: ascending. down: [from_us, to_us) in which the collector did not run.

    recompute: all lines of some hours again from raw rows (`collector.recompute`); None where there are none.
    commits: D lines of some hours with their commitments, where `lines` are without them (M12 asks for a few).
    import_facts: imports that kept rows aside or replaced cells: for findings, no number rests on them.
    scenes: the adopted scene guide by number (M20); empty where the rules adopt none.
    """

    end_us: int
    tz: timezone
    lines: HourFrames
    revisions: tuple[Revision, ...]
    exclusions: tuple[Excuse, ...] = ()
    records: Records | None = None
    import_facts: tuple[ImportFacts, ...] = ()
    documents: tuple[Document, ...] = ()
    scenes: Mapping[int, Scene] = field(default_factory=dict)
    down: tuple[tuple[int, int], ...] = ()
    origin_class: str = "live"
    ledger_size: int = 0
    ledger_root: bytes = b""
    recompute: Recompute | None = None
    commits: Commits | None = None

    @property
    def three_months(self) -> Window:
        """[T - 3 calendar months, T)."""
        return last_months(self.end_us, MONTHS, self.tz)

    @property
    def thirty_days(self) -> Window:
        """[T - 30 days, T)."""
        return last_days(self.end_us, NETWORK_DAYS, self.tz)

    @property
    def reading(self) -> Window:
        """The hours whose lines `lines` has to hold: three months and the lead before them."""
        return Window(self.three_months.start_us - LEAD_DAYS * DAY_US, self.end_us)

    @cached_property
    def revision(self) -> Revision | None:
        """The revision of T: the newest in force before it."""
        return self.revision_before(self.end_us)

    def revision_before(self, at_us: int) -> Revision | None:
        """Newest revision with effective < at_us; revisions of T or later do not exist for us."""
        in_force = [r for r in self.revisions if r.effective_us < min(at_us, self.end_us)]
        return max(in_force, key=lambda r: (r.effective_us, r.rev), default=None)

    @property
    def register(self) -> Register:
        """The register as of T. Errors: MetricError without one (ask `revision` first)."""
        return self.in_force.register

    @property
    def in_force(self) -> Revision:
        """`revision`. Errors: MetricError without one."""
        if self.revision is None:
            raise MetricError("register: expected a revision in force before the window's end, found none")
        return self.revision

    def service_us(self, revision: Revision) -> dict[str, tuple[int, int]]:
        """Each device's service by that revision: [from, to) in microseconds."""
        return self._services[revision.rev]

    @cached_property
    def excusing(self) -> tuple[Excusing, ...]:
        """Closures of the register of T and all exclusions, by id."""
        closures = [self._closure(i) for i in range(len(self.register.calendar.closures))]
        others = [
            Excusing(e.id, frozenset(e.devices), e.from_us, e.to_us, e.entered_us, e.reason) for e in self.exclusions
        ]
        return tuple(sorted(closures + others, key=lambda e: (e.id, e.from_us)))

    @cached_property
    def minutes(self) -> Minutes:
        """Obligated, covered, late and unseen minutes of every device of the register of T, over `reading`."""
        from metrics.machines.minutes import build_minutes  # noqa: PLC0415  (minutes needs Inputs)

        return build_minutes(self)

    @cached_property
    def fields(self) -> Fields:
        """Columns of the D lines of every device of the register of T, over `reading`."""
        from metrics.machines.fields import place_lines  # noqa: PLC0415  (polars is loaded by those who count)

        first, end = hours_of(self.reading)
        return place_lines(self.lines.device, tuple(d.id for d in self.register.devices), first, end - first)

    @cached_property
    def contacts(self) -> dict[str, Contact]:
        """What each device of the register of T showed in the thirty days."""
        from metrics.machines.networked import contacts_of  # noqa: PLC0415  (networked needs Inputs)

        return contacts_of(self)

    @cached_property
    def key_masks(self) -> Masks:
        """[pair, hour] covered minutes of every 关键参数测点 of the register of T, over `reading`."""
        from metrics.batches.operation_coverage import key_masks  # noqa: PLC0415  (operation_coverage needs Inputs)

        return key_masks(self)

    @cached_property
    def batch_rows(self) -> BatchRows:
        """What the records say of the batches closed in the three months, trial batches left out. Asked for when there are records."""
        from metrics.batches.batch_file import closed_batches  # noqa: PLC0415  (needs Inputs)
        from metrics.batches.batch_trace import batch_rows  # noqa: PLC0415

        if self.records is None:
            raise MetricError("batch_rows: expected records, found none")
        closed = closed_batches(self.records, self.three_months)
        return batch_rows(self.records, self.register, closed.filter(~closed["excused"]).drop("excused"))

    @cached_property
    def parameter_seconds(self) -> dict[tuple[str, str], Seconds]:
        """(device, point) of the register's key parameters -> seconds over the three months."""
        from metrics.machines.parameter_seconds import parameter_seconds  # noqa: PLC0415  (parameter_seconds needs Inputs)

        return parameter_seconds(self)

    def digests(self) -> tuple[tuple[str, str], ...]:
        """What the numbers rest on."""
        return (
            ("register_rev", str(self.revision.rev) if self.revision else ""),
            ("register_sha256", self.revision.sha256 if self.revision else ""),
            ("records_rev", str(self.records.rev) if self.records else ""),
            ("ledger_size", str(self.ledger_size)),
            ("ledger_root", self.ledger_root.hex()),
        )

    def simulated(self, window: Window) -> bool:
        """Some line of the window, or the folder itself, is not `live`."""
        first, end = hours_of(window)
        return self.origin_class != "live" or any(first <= hour < end for hour in self._hours_not_live)

    def excuses_of(self, devices: frozenset[str], window: Window) -> tuple[tuple[str, str], ...]:
        """(id, note) of each excusing interval that touches these devices in the window, counted or not."""
        return tuple(
            (e.id, f"{'计入' if e.counts else '迟报，不计'} {e.reason}")
            for e in self.excusing
            if e.devices & devices and e.from_us < window.end_us and e.to_us > window.start_us
        )

    def denominators(self, window: Window, count: Callable[[Register, int], int]) -> tuple[Pair, ...]:
        """Smallest, largest and first member count over the days of the window; sum / days is the mean over time (docs/metrics.md §0).

        `count` may ask for a revision and for who is in service, nothing else: it is called once per change of these.
        """
        counts = []
        known: dict[tuple[int, int], int] = {}  # nothing moves but with a revision, or a device's service
        for day in days_of(window, self.tz):
            end_us = midnight_us(day, self.tz) + DAY_US
            revision = self.revision_before(end_us)
            if revision is not None:
                key = (revision.rev, bisect_left(self._service_turns[revision.rev], end_us))
                if key not in known:
                    known[key] = count(revision.register, end_us)
                counts.append(known[key])
        if not counts:
            return ()
        return (
            ("denominator_min", min(counts)),
            ("denominator_max", max(counts)),
            ("denominator_start", counts[0]),
            ("denominator_sum", sum(counts)),
            ("denominator_days", len(counts)),
        )

    @cached_property
    def _hours_not_live(self) -> frozenset[int]:
        """Hours of which some D line has an origin other than live."""
        from metrics.machines.minutes import hours_not_live  # noqa: PLC0415  (polars is loaded by those who count)

        return hours_not_live(self.lines.device)

    @cached_property
    def _service_turns(self) -> dict[int, list[int]]:
        """Per revision, when a device's service begins or ends, ascending."""
        return {rev: sorted({at for both in known.values() for at in both}) for rev, known in self._services.items()}

    @cached_property
    def _services(self) -> dict[int, dict[str, tuple[int, int]]]:
        """Per revision, the service of its devices."""
        return {r.rev: {d.id: r.register.in_service_us(d) for d in r.register.devices} for r in self.revisions}

    def _closure(self, index: int) -> Excusing:
        register = self.register
        closure = register.calendar.closures[index]
        key = (closure.id, closure.start, closure.end, closure.lines)
        entered = min(
            r.effective_us
            for r in self.revisions
            if r.effective_us < self.end_us
            and any((c.id, c.start, c.end, c.lines) == key for c in r.register.calendar.closures)
        )
        lines = set(closure.lines)
        devices = frozenset(d.id for d in register.devices if not lines or d.line in lines)
        start, end = (int(t.timestamp()) * 1_000_000 for t in (closure.start, closure.end))
        return Excusing(closure.id, devices, start, end, entered, closure.reason)


def in_service_at_end(register: Register, device_id: str, end_us: int) -> bool:
    """In service in the last microsecond before `end_us`, by that register."""
    device = register.device.get(device_id)
    if device is None:
        return False
    start, end = register.in_service_us(device)
    return start < end_us <= end
