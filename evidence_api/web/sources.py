"""Where pages and API take their facts: one data folder, read only, all of it on the calling thread.

In: `DataFolder`, the keeper of the report, a clock. Out: a `Snapshot` of one moment, and the day strips of that moment.
Readers keep what they parsed until a file changes; a lock lets one request read at a time. Nothing here signs, appends or asks the
collector anything: the two processes meet in the folder.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from datetime import date

from collector.clock import Clock
from collector.folder import VERSION, DataFolder
from collector.ledger.log import ENTRIES
from config.rulebook import shipped_digest
from evidence_api.web.days import Day, DayBook
from evidence_api.web.ledger_tail import LedgerTail, LedgerView
from evidence_api.web.packs import PackFile, list_packs
from evidence_api.web.plant import CollectorState, RegisterReader, RegisterView, collector_state
from evidence_api.web.report import ReportKeeper, ReportView
from evidence_api.web.wording import local_time

REST_US = 8_000_000
RECORDS_PAUSE_US = 300_000_000  # records may come every minute, a run costs seconds of CPU
STRIP_DAYS = 95  # the longest three calendar months are 92 days (GS25 第十二条(二): 稳定运行≥3个月)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the folder says at one moment. `origin`: live, simulated or replay, of the folder or of any result in it."""

    now_ms: int
    origin: str
    ledger: LedgerView
    register: RegisterView
    report: ReportView
    collector: CollectorState
    packs: list[PackFile]
    disk_free_bytes: int

    @property
    def offset_h(self) -> int:
        """The plant's hours ahead of UTC; China's where no register says otherwise."""
        text = self.register.register.calendar.utc_offset if self.register.register else "+08:00"
        return int(text[:3])


class Sources:
    """Reads one data folder for every request of this process."""

    def __init__(self, folder: DataFolder, keeper: ReportKeeper, clock: Clock) -> None:
        self.folder = folder
        self._keeper = keeper
        self._clock = clock
        self._since_ms = clock.now_us() // 1000
        self._lock = threading.Lock()
        self._ledger = LedgerTail(folder.ledger)
        self._register = RegisterReader(folder.register)
        self._days = DayBook(folder.hours)

    def report_due(self) -> bool:
        """A seal is newer than the report, its plant day is over, other rules or another version made it, or records came and it is
        some minutes old; and the ledger has rested: while history is being filled, numbers wait for its end.
        """
        now_us = self._clock.now_us()
        with self._lock:
            ledger, report = self._ledger.read(), self._keeper.view()
            if ledger.newest < 0:
                return False
            sealed = ledger.seal is not None and report.older_than(ledger.seal.index)
            pause_us = RECORDS_PAUSE_US if report.size >= 0 else 0  # nothing yet: at once
            entered = report.older_than(ledger.entered) and now_us - report.written_ms * 1000 >= pause_us
            other = report.of_other_rules(VERSION, shipped_digest(), self._since_ms)
            if not (sealed or entered or other or report.day_over(now_us)):
                return False
            written_us = (self.folder.ledger / ENTRIES).stat().st_mtime_ns // 1000
        return now_us - written_us >= REST_US

    def raw_report(self, instrument: str) -> bytes:
        """The bytes of one instrument's report as the child wrote them. Errors: OSError, ValueError."""
        return self._keeper.raw(instrument)

    def raw_deadlines(self, instrument: str, ending: str = "json") -> bytes:
        """The bytes of one instrument's deadlines (`json`) or calendar (`ics`). Errors: OSError, ValueError."""
        return self._keeper.raw_deadlines(instrument, ending)

    def raw_findings(self) -> bytes:
        """The bytes of the findings. Errors: OSError."""
        return self._keeper.raw_findings()

    def snapshot(self, rules: str = "") -> Snapshot:
        """Everything but the strips. rules: the instrument whose report is wanted; the site's own by default."""
        with self._lock:
            report = self._keeper.view(rules)
            ledger = self._ledger.read()
            return Snapshot(
                now_ms=self._clock.now_us() // 1000,
                origin=_origin(self.folder.origin_class, report),
                ledger=ledger,
                register=self._register.read(ledger.register_rev),
                report=report,
                collector=collector_state(self.folder.state),
                packs=list_packs(self.folder.packs),
                disk_free_bytes=shutil.disk_usage(self.folder.path).free,
            )

    def days(self, at: Snapshot) -> dict[str, list[Day]]:
        """The last 95 plant days up to the newest seal, for each device of the newest register; empty without seals."""
        last = last_day(at)
        if at.register.register is None or last is None:
            return {}
        devices = [d.id for d in at.register.register.devices]
        with self._lock:
            return self._days.read(devices, last, STRIP_DAYS, at.offset_h, at.ledger.spans)

    @property
    def unreadable_lines(self) -> int:
        """Hour lines that could not be understood in the days read last."""
        return self._days.unreadable_lines


def last_day(at: Snapshot) -> date | None:
    """The plant day of the newest sealed hour."""
    if at.ledger.seal is None:
        return None
    return local_time(at.ledger.seal.hour * 3_600_000, at.offset_h).date()


def _origin(folder_class: str, report: ReportView) -> str:
    """A live folder with one simulated result is shown as simulated: the mark errs on the loud side."""
    if folder_class == "live" and report.body and any(r.get("simulated") for r in report.body["results"]):
        return "simulated"
    return folder_class
