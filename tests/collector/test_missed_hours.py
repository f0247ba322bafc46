"""Hours without a collector, half hours, clocks that jump: one seal an hour, none skipped, none twice, nothing sealed is reopened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Identity
from collector.capture import Capture, CaptureError, Cutting
from collector.clock import SystemClock
from collector.folder import DataFolder, create_folder
from collector.hours import hour_text, parse_hour
from collector.journal import files, read_file
from collector.ledger import log
from collector.ledger.entry import Entry
from collector.maintain import maintain
from collector.recompute import recompute_hour
from collector.store.lines import read_lines
from config.settings import DEMO_PLANT
from tests.builders import FIRST_HOUR, HOUR_US, MINUTE_US, SECOND_US, SIMPLE, Driver, batch_of, ok_row, simple_register
from tests.collector.test_hour_lines import seals_of

T0 = FIRST_HOUR * HOUR_US


async def poll(driver: Driver, at_us: int, *devices: str) -> None:
    """One good poll at a time."""
    driver.clock.advance_to(at_us)
    await driver.emit([[ok_row(d, SIMPLE, driver.clock.now_us(), state=1, speed=2.0)] for d in devices or ("A",)])


async def minutes(driver: Driver, start_us: int, end_us: int) -> None:
    """A good poll each minute of [start, end)."""
    for at in range(start_us, end_us, MINUTE_US):
        await poll(driver, at)


async def plant(tmp_path: Path, start_us: int = T0, cutting: Cutting | None = None) -> Driver:
    """One device, collector running."""
    driver = Driver(tmp_path, start_us, cutting=cutting or Cutting(0, 600_000_000))
    driver.register(simple_register("A"))
    await driver.start()
    return driver


def covered_hours(folder: DataFolder) -> list[str]:
    """Every hour that a seal covers, in ledger order."""
    found: list[str] = []
    for entry in log.read_of(folder.ledger, "seal"):
        first, end = entry.body.get("span", [entry.body["hour"], hour_text(parse_hour(entry.body["hour"]) + 1)])
        found += [hour_text(h) for h in range(parse_hour(first), parse_hour(end))]
    return found


def fields(folder: DataFolder, hour: int, device: str = "A") -> list[str]:
    """The D line of a device, split."""
    return next(x.decode().split(",") for x in read_lines(folder, hour) if x.startswith(f"D,{device},".encode()))


async def restarted(driver: Driver, at_us: int) -> None:
    """Stop now, start at a time."""
    await driver.stop()
    driver.clock.advance_to(at_us)
    await driver.start()


@pytest.mark.parametrize("gap", [1, 5, 72])
async def test_missed_hours_are_sealed_one_by_one_with_cause_collector_down(tmp_path: Path, gap: int) -> None:
    driver = await plant(tmp_path)
    await minutes(driver, T0, T0 + 30 * MINUTE_US)
    await restarted(driver, T0 + (gap + 1) * HOUR_US + 20 * MINUTE_US)
    await minutes(driver, driver.clock.now_us() + 1, T0 + (gap + 2) * HOUR_US + MINUTE_US)
    await driver.stop()
    maintain(driver.folder)
    assert covered_hours(driver.folder) == [hour_text(FIRST_HOUR + i) for i in range(gap + 2)]
    seals = seals_of(driver.folder)
    assert seals[FIRST_HOUR]["down"] == [[29 * 60, 3600]]
    assert seals[FIRST_HOUR]["cause"] == ""
    for hour in range(FIRST_HOUR + 1, FIRST_HOUR + gap + 1):
        body = seals[hour]
        assert (body["cause"], body["down"], body["frames"]) == ("collector_down", [[0, 3600]], [0, 0])
        line = fields(driver.folder, hour)
        assert line[12:14] == ["3600", "collector_down"]
        assert recompute_hour(driver.folder, hour) == [x.decode() for x in read_lines(driver.folder, hour)]
    assert seals[FIRST_HOUR + gap + 1]["down"] == [[0, 1200]]
    assert fields(driver.folder, FIRST_HOUR + gap + 1)[12:14] == [str(1200), "collector_down"]


async def test_more_than_three_days_become_one_leaf_that_lists_the_devices(tmp_path: Path) -> None:
    driver = await plant(tmp_path)
    await minutes(driver, T0, T0 + 10 * MINUTE_US)
    await restarted(driver, T0 + 81 * HOUR_US + 5)
    await poll(driver, T0 + 82 * HOUR_US + 5)
    await driver.stop()
    maintain(driver.folder)
    (span,) = [e for e in log.read_of(driver.folder.ledger, "seal") if "span" in e.body]
    assert span.body["span"] == [hour_text(FIRST_HOUR + 1), hour_text(FIRST_HOUR + 81)]
    assert (span.body["devices"], span.body["cause"], span.body["register"]) == (["A"], "collector_down", 1)
    assert covered_hours(driver.folder) == [hour_text(FIRST_HOUR + i) for i in range(82)]
    assert sorted(seals_of(driver.folder)) == [FIRST_HOUR, FIRST_HOUR + 81]


async def test_hours_between_two_long_gaps_keep_their_own_seals_and_lines(tmp_path: Path) -> None:
    driver = await plant(tmp_path)
    await minutes(driver, T0, T0 + 3 * MINUTE_US)
    await restarted(driver, T0 + 41 * HOUR_US)
    await minutes(driver, T0 + 41 * HOUR_US, T0 + 42 * HOUR_US)
    await restarted(driver, T0 + 83 * HOUR_US)  # 40 and 40 hours: neither is more than three days
    await minutes(driver, T0 + 83 * HOUR_US, T0 + 84 * HOUR_US)
    await restarted(driver, T0 + 160 * HOUR_US)  # 76: a span
    await poll(driver, T0 + 160 * HOUR_US + 1)
    await restarted(driver, T0 + 162 * HOUR_US)
    await driver.stop()
    maintain(driver.folder)  # all of it at once
    assert covered_hours(driver.folder) == [hour_text(FIRST_HOUR + i) for i in range(162)]
    spans = [e.body["span"] for e in log.read_of(driver.folder.ledger, "seal") if "span" in e.body]
    assert spans == [[hour_text(FIRST_HOUR + 84), hour_text(FIRST_HOUR + 160)]]
    assert fields(driver.folder, FIRST_HOUR + 41)[7] == "60"
    assert fields(driver.folder, FIRST_HOUR + 83)[7] == "60"


async def test_what_is_carried_into_a_missed_hour_does_not_depend_on_when_it_is_sealed(tmp_path: Path) -> None:
    lines = []
    for name, maintained in (("at once", False), ("hour by hour", True)):
        (tmp_path / name).mkdir()
        driver = await plant(tmp_path / name)
        await minutes(driver, T0 + 30 * MINUTE_US, T0 + 60 * MINUTE_US)
        for hour in (1, 2, 3):  # hours in which nobody says a word, but the collector is there
            for at in range(T0 + hour * HOUR_US, T0 + (hour + 1) * HOUR_US, MINUTE_US // 2):
                driver.clock.advance_to(at)
                await driver.tick()
            if maintained:
                maintain(driver.folder)
        await minutes(driver, T0 + 4 * HOUR_US, T0 + 5 * HOUR_US + MINUTE_US)
        await driver.stop()
        maintain(driver.folder)
        lines.append({h: read_lines(driver.folder, h) for h in range(FIRST_HOUR, FIRST_HOUR + 5)})
        assert fields(driver.folder, FIRST_HOUR + 1)[6] == "800000000000000"  # the last poll, 10:59:00, covers 11:00
        assert fields(driver.folder, FIRST_HOUR + 2)[6] == "0" * 15
    assert lines[0] == lines[1]


async def test_stop_and_start_in_the_same_hour_leave_one_seal_that_says_when(tmp_path: Path) -> None:
    driver = await plant(tmp_path)
    await minutes(driver, T0, T0 + 10 * MINUTE_US)
    await restarted(driver, T0 + 30 * MINUTE_US)
    await minutes(driver, T0 + 30 * MINUTE_US, T0 + 40 * MINUTE_US)
    driver.crash()  # no stop frame
    driver.clock.advance_to(T0 + 50 * MINUTE_US)
    await driver.start()
    await minutes(driver, T0 + 50 * MINUTE_US, T0 + 61 * MINUTE_US)
    await driver.stop()
    maintain(driver.folder)
    assert seals_of(driver.folder)[FIRST_HOUR]["down"] == [[9 * 60, 1800], [39 * 60, 3000]]
    assert covered_hours(driver.folder) == [hour_text(FIRST_HOUR)]
    assert fields(driver.folder, FIRST_HOUR)[13] == "collector_down"


async def test_the_first_hour_of_a_folder_says_that_nobody_was_there_before_the_start(tmp_path: Path) -> None:
    driver = await plant(tmp_path, T0 + 20 * MINUTE_US + 1000)
    await minutes(driver, T0 + 21 * MINUTE_US, T0 + 61 * MINUTE_US)
    await driver.stop()
    maintain(driver.folder)
    assert seals_of(driver.folder)[FIRST_HOUR]["down"] == [[0, 1201]]
    line = fields(driver.folder, FIRST_HOUR)
    # in service from the register's application, in the 21st minute: the first minute that starts after it is the 22nd
    assert (line[5], line[12], line[13]) == (str(39 * 60), "0", "")


async def test_hours_without_a_register_are_sealed_empty(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    await driver.start()
    driver.clock.advance_to(T0 + 3 * HOUR_US)
    await driver.tick()
    await driver.stop()
    maintain(driver.folder)
    assert [seals_of(driver.folder)[FIRST_HOUR + i]["n"] for i in range(3)] == [0, 0, 0]


async def test_sealing_twice_and_appending_the_same_seals_again_changes_nothing(tmp_path: Path) -> None:
    driver = await plant(tmp_path)
    await minutes(driver, T0, T0 + 150 * MINUTE_US)
    await driver.stop()
    maintain(driver.folder)
    before = (driver.folder.ledger / "entries.ndjson").read_bytes()
    lines = {p: p.read_bytes() for p in driver.folder.hours.rglob("*.csv")}
    for _ in range(2):
        report = maintain(driver.folder)
        assert report.sealed == 0
    driver.folder.append(*log.read_of(driver.folder.ledger, "seal"))
    other = Entry("seal", 1, "somebody", {"hour": hour_text(FIRST_HOUR), "root": "00"})
    driver.folder.append(other, other)
    assert (driver.folder.ledger / "entries.ndjson").read_bytes() == before
    assert {p: p.read_bytes() for p in driver.folder.hours.rglob("*.csv")} == lines


async def test_a_clock_that_is_set_back_reopens_nothing_and_its_rows_are_late(tmp_path: Path) -> None:
    driver = await plant(tmp_path)
    await minutes(driver, T0, T0 + 65 * MINUTE_US)
    maintain(driver.folder)
    sealed = read_lines(driver.folder, FIRST_HOUR)
    driver.clock.set_back(T0 + 40 * MINUTE_US)
    for _ in range(50):
        await poll(driver, driver.clock.now_us() + MINUTE_US)
    await poll(driver, T0 + 121 * MINUTE_US)
    await driver.stop()
    maintain(driver.folder)
    assert read_lines(driver.folder, FIRST_HOUR) == sealed
    assert covered_hours(driver.folder) == [hour_text(FIRST_HOUR), hour_text(FIRST_HOUR + 1)]
    second = fields(driver.folder, FIRST_HOUR + 1)
    assert second[11] == "19"  # 10:41 .. 10:59 came again, in an hour that was over
    late = [x.decode().split(",") for x in read_lines(driver.folder, FIRST_HOUR + 1) if x[:1] == b"L"]
    assert [x[3:6] for x in late] == [[hour_text(FIRST_HOUR), f"{(1 << 19) - 1:015x}", "19"]]
    hours = [f.hour for p in files(driver.folder.journal) for f in read_file(p)]
    assert hours == sorted(hours)


class Unsynchronised(SystemClock):
    """A machine's clock that a test sets."""

    def __init__(self, now_us: int, sync: int = 0) -> None:
        self.at_us, self.sync = now_us, sync

    def now_us(self) -> int:
        return self.at_us

    def block(self) -> dict[str, int | str]:
        return {"wall_ms": self.at_us // 1000, "boot": "b", "mono_ms": 0, "sync": self.sync, "max_error_us": 0}


@pytest.mark.parametrize(
    ("sync", "jump_us", "stops"), [(0, HOUR_US + SECOND_US, True), (0, HOUR_US // 2, False), (1, 5 * HOUR_US, False)]
)
async def test_a_jump_of_more_than_an_hour_that_nothing_synchronises_stops_loudly(
    tmp_path: Path, sync: int, jump_us: int, stops: bool
) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    clock: Any = Unsynchronised(T0 + 50 * MINUTE_US, sync)
    capture = Capture(driver.folder, clock, Cutting(20, 600_000_000))
    await capture.start("test")
    before = [p.read_bytes() for p in files(driver.folder.journal)]
    clock.at_us += jump_us
    batch = batch_of([ok_row("A", SIMPLE, clock.at_us, state=1)])
    if stops:
        with pytest.raises(CaptureError, match="clock jumped forward unsynchronised"):
            await capture.emit(batch)
        with pytest.raises(CaptureError, match="校时后重新启动"):
            await capture.tick()
        assert [p.read_bytes() for p in files(driver.folder.journal)] == before
        capture._journal.close()
    else:
        await capture.emit(batch)
        await capture.stop("end")


async def test_who_a_peer_says_it_is_becomes_a_leaf_before_the_seal_of_its_hour(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0, "live")
    driver.register(simple_register("A", "B"))
    await driver.start()
    assert driver.capture is not None
    await driver.capture.identify(Identity("A", (("maker", "X"),), "live"))
    await poll(driver, T0 + MINUTE_US, "A", "B")
    await driver.capture.identify(Identity("A", (("maker", "X"),), "live"))  # the same again is no news
    await poll(driver, T0 + HOUR_US, "A", "B")
    await driver.capture.identify(Identity("A", (("maker", "X"),), "simulated"))
    await poll(driver, T0 + 2 * HOUR_US, "A", "B")
    await driver.stop()
    await driver.start()
    await driver.stop()
    maintain(driver.folder)
    entries = [
        (e.t, e.body.get("device", e.body["hour"] if e.t == "seal" else ""), e.body.get("rev"))
        for e in log.read_of(driver.folder.ledger, "identity", "seal")
    ]
    assert entries == [
        ("identity", "A", 1),
        ("seal", hour_text(FIRST_HOUR), None),
        ("identity", "A", 2),
        ("seal", hour_text(FIRST_HOUR + 1), None),
    ]
    seen = [
        (fields(driver.folder, FIRST_HOUR + i, d)[4], fields(driver.folder, FIRST_HOUR + i, d)[20])
        for i in (0, 1)
        for d in "AB"
    ]
    assert seen == [("live", "1"), ("live", "0"), ("simulated", "2"), ("live", "0")]


async def test_days_missed_by_an_unsynchronised_clock_are_not_sealed_on_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Booted a year ahead: a span sealed on that clock could never be undone."""
    folder = create_folder(tmp_path / "data", DEMO_PLANT, "live", SystemClock())
    first = Capture(folder, SystemClock())
    await first.start("test")
    await first.stop("test")
    ahead = SystemClock().now_us() + 365 * 24 * HOUR_US
    monkeypatch.setattr(SystemClock, "now_us", lambda _self: ahead)
    block = {"wall_ms": 0, "boot": "b", "mono_ms": 0, "sync": 0, "max_error_us": 0}
    monkeypatch.setattr(SystemClock, "block", lambda _self: block)
    with pytest.raises(CaptureError, match="accept-clock"):
        await Capture(folder, SystemClock()).start("test")
    vouched = Capture(folder, SystemClock())
    await vouched.start("test", accept_clock=True)
    await vouched.stop("test")
    start = log.last_of(folder.ledger, "start")
    assert start is not None
    assert start.body["clock_accepted"]
