"""每日连续性: hour lines to one answer per device and plant day, for the strips of the first page.

In: `rollup/hours/<yyyy>/<mm>/<dd>.csv` (docs/format/hour-lines.md), read with `str.split` only, and the spans of missed hours
that the ledger lists. Out: `Day` per device and local day: kind, seconds in service, gap, cause with most gap.
Each file is read once per change (mtime, size) and kept as sums. A line that is not what the format says is counted, never
guessed at. Nothing here is evidence: the numbers of a verdict come from `plantproof check`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from evidence_api.web.ledger_tail import EPOCH, Span, hour_number

Kind = Literal["normal", "part", "lost", "planned", "unconnected", "down", "none"]

HOURS_PER_DAY = 24

_KIND_OF_CAUSE: dict[str, Kind] = {"planned_stop": "planned", "not_connected": "unconnected", "collector_down": "down"}


@dataclass(frozen=True, slots=True)
class Day:
    """One device on one plant day. `kind` none: no line, or not in service. `cause` is empty when there is no gap.

    planned_s: seconds of hours whose gap is mostly a planned stop (part of `gap_s`).
    """

    day: date
    kind: Kind
    in_service_s: int
    gap_s: int
    planned_s: int
    cause: str


@dataclass(slots=True)
class _Sums:
    in_service_s: int = 0
    gap_s: int = 0
    gap_by_cause: dict[str, int] | None = None

    def add(self, in_service_s: int, gap_s: int, cause: str) -> None:
        self.in_service_s += in_service_s
        self.gap_s += gap_s
        if gap_s:
            if self.gap_by_cause is None:
                self.gap_by_cause = {}
            self.gap_by_cause[cause] = self.gap_by_cause.get(cause, 0) + gap_s


_Key = tuple[str, int]  # device, local day number since 1970
_FileSums = dict[_Key, _Sums]
_File = tuple[tuple[int, int, int], _FileSums, int]  # (mtime, size, offset), sums, unreadable lines


class DayBook:
    """The hour lines of one data folder, summed per device and plant day. Not thread-safe: one caller at a time."""

    def __init__(self, hours: Path) -> None:
        self._hours = hours
        self._files: dict[Path, _File] = {}
        self._answer: tuple[tuple[Any, ...], dict[str, list[Day]]] | None = None

    def read(
        self, devices: Iterable[str], last: date, count: int, offset_h: int, spans: Iterable[Span] = ()
    ) -> dict[str, list[Day]]:
        """`count` days ending with `last` for each device. spans: hours that were missed and have no lines."""
        last_day = (last - EPOCH.date()).days
        days = range(last_day - count + 1, last_day + 1)
        self._load(days, offset_h)
        asked = (tuple(devices), days, offset_h, tuple(spans), tuple(stamp for stamp, _, _ in self._files.values()))
        if self._answer is None or self._answer[0] != asked:  # between two seals nothing changes
            self._answer = (asked, self._judged(asked[0], days, _missed_hours(asked[3], offset_h)))
        return self._answer[1]

    @property
    def unreadable_lines(self) -> int:
        """Lines skipped in the files read last, because they are not what the format says."""
        return sum(bad for _, _, bad in self._files.values())

    def _judged(self, devices: Iterable[str], days: range, missed: dict[_Key, int]) -> dict[str, list[Day]]:
        total: _FileSums = {}
        for _, sums_of_file, _ in self._files.values():
            for key, sums in sums_of_file.items():
                into = total.setdefault(key, _Sums())
                into.in_service_s += sums.in_service_s
                for cause, gap_s in (sums.gap_by_cause or {}).items():
                    into.add(0, gap_s, cause)
        dates = {number: EPOCH.date() + timedelta(days=number) for number in days}
        nothing = _Sums()
        return {
            device: [_judge(dates[n], total.get((device, n), nothing), missed.get((device, n), 0) * 3600) for n in days]
            for device in devices
        }

    def _load(self, days: range, offset_h: int) -> None:
        """Local days touch the UTC files of the same day and of one neighbour."""
        wanted = [self._path(number) for number in range(days.start - 1, days.stop + 1)]
        self._files = {path: kept for path in wanted if (kept := self._file(path, offset_h)) is not None}

    def _path(self, day_number: int) -> Path:
        day = EPOCH.date() + timedelta(days=day_number)
        return self._hours / f"{day:%Y}" / f"{day:%m}" / f"{day:%d}.csv"

    def _file(self, path: Path, offset_h: int) -> _File | None:
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_size, offset_h)
        kept = self._files.get(path)
        if kept is not None and kept[0] == stamp:
            return kept
        return (stamp, *_sum_lines(path.read_text("ascii", errors="replace"), offset_h))


def _sum_lines(text: str, offset_h: int) -> tuple[_FileSums, int]:
    sums: _FileSums = {}
    day_of_hour: dict[str, int] = {}
    bad = 0
    for line in text.split("\n"):
        if not line.startswith("D,"):
            continue
        cells = line.split(",", 15)
        try:
            _, device, hour, _, _, in_service_s, _, _, _, _, _, _, gap_s, cause, *_ = cells
            if hour not in day_of_hour:
                day_of_hour[hour] = (hour_number(hour) + offset_h) // HOURS_PER_DAY
            key = (device, day_of_hour[hour])
            sums.setdefault(key, _Sums()).add(int(in_service_s), int(gap_s), cause)
        except ValueError:
            bad += 1
    return sums, bad


def _missed_hours(spans: Iterable[Span], offset_h: int) -> dict[_Key, int]:
    hours: dict[_Key, int] = {}
    for span in spans:
        for hour in range(span.first_hour, span.end_hour):
            number = (hour + offset_h) // HOURS_PER_DAY
            for device in span.devices:
                hours[(device, number)] = hours.get((device, number), 0) + 1
    return hours


def _judge(day: date, sums: _Sums, down_s: int) -> Day:
    """正常 gap < 1 % · 部分 gap < half · otherwise the cause with most gap names the day. A planned stop is never 部分."""
    in_service_s, gap_s = sums.in_service_s + down_s, sums.gap_s + down_s
    causes = dict(sums.gap_by_cause or {})
    if down_s:
        causes["collector_down"] = causes.get("collector_down", 0) + down_s
    if in_service_s == 0:
        return Day(day, "none", 0, 0, 0, "")
    cause = max(causes, key=lambda c: (causes[c], c)) if causes else ""
    if gap_s * 100 < in_service_s:
        kind: Kind = "normal"
    elif cause == "planned_stop":
        kind = "planned"
    elif gap_s * 2 < in_service_s:
        kind = "part"
    else:
        kind = _KIND_OF_CAUSE.get(cause, "lost")
    return Day(day, kind, in_service_s, gap_s, causes.get("planned_stop", 0), cause)
