"""Day strips: how hours become a day, and what a broken or missing file does."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from evidence_api.web.days import Day, DayBook
from evidence_api.web.ledger_tail import Span, hour_number
from evidence_api.web.strips import month_ticks, runs_of
from tests.evidence_api.web.plant_folder import d_line, hour_text

MIDNIGHT = hour_number("2026-11-09T16Z")  # 2026-11-10 00:00 in the plant
DAY = date(2026, 11, 10)


def write(hours: Path, lines: list[str]) -> None:
    files: dict[Path, str] = {}
    for line in lines:
        day = line.split(",")[2][:10]
        path = hours / day[:4] / day[5:7] / f"{day[8:]}.csv"
        files[path] = files.get(path, "") + line + "\n"
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def one_day(tmp_path: Path, gaps: dict[int, tuple[int, str]]) -> Day:
    """The day of one device with those gaps by hour of the day."""
    write(tmp_path, [d_line("A", MIDNIGHT + h, *gaps.get(h, (0, ""))) for h in range(24)])
    return DayBook(tmp_path).read(["A"], DAY, 1, 8)["A"][0]


@pytest.mark.parametrize(
    ("gaps", "kind", "cause"),
    [
        ({}, "normal", ""),
        ({3: (840, "timeout")}, "normal", "timeout"),  # 14 of 1440 minutes: below 1 %
        ({3: (900, "timeout")}, "part", "timeout"),
        (dict.fromkeys(range(12), (3600, "refused")), "lost", "refused"),
        (dict.fromkeys(range(12), (3600, "collector_down")), "down", "collector_down"),
        (dict.fromkeys(range(24), (3600, "not_connected")), "unconnected", "not_connected"),
        (dict.fromkeys(range(8), (3600, "planned_stop")), "planned", "planned_stop"),
        ({1: (3600, "timeout"), 2: (1800, "silent"), 3: (1860, "silent")}, "part", "silent"),
    ],
)
def test_a_day_is_named_by_the_size_and_the_main_cause_of_its_gap(
    tmp_path: Path, gaps: dict[int, tuple[int, str]], kind: str, cause: str
) -> None:
    day = one_day(tmp_path, gaps)
    assert (day.kind, day.cause) == (kind, cause)
    assert day.in_service_s == 86_400
    assert day.gap_s == sum(gap_s for gap_s, _ in gaps.values())


def test_days_are_plant_days_not_utc_days(tmp_path: Path) -> None:
    write(tmp_path, [d_line("A", MIDNIGHT - 1, 3600, "silent"), d_line("A", MIDNIGHT)])
    days = DayBook(tmp_path).read(["A"], DAY, 2, 8)["A"]
    assert [(d.day.day, d.kind) for d in days] == [(9, "lost"), (10, "normal")]


def test_a_day_without_lines_is_nothing_and_never_fine(tmp_path: Path) -> None:
    assert DayBook(tmp_path).read(["A"], DAY, 1, 8)["A"][0].kind == "none"


def test_hours_missed_as_a_span_are_collector_down_for_its_devices_only(tmp_path: Path) -> None:
    span = Span(MIDNIGHT, MIDNIGHT + 24, frozenset({"A"}))
    days = DayBook(tmp_path).read(["A", "B"], DAY, 1, 8, [span])
    assert (days["A"][0].kind, days["A"][0].gap_s) == ("down", 86_400)
    assert days["B"][0].kind == "none"


def test_lines_that_are_not_the_format_are_counted_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, [d_line("A", MIDNIGHT), d_line("A", MIDNIGHT + 1).replace(",3600,", ",all,", 1)])
    path = next(tmp_path.rglob("*.csv"))
    path.write_text(path.read_text() + "P,A,x\nD,A,\n")
    book = DayBook(tmp_path)
    book.read(["A"], DAY, 1, 8)
    assert book.unreadable_lines == 2


def test_a_file_that_grew_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, [d_line("A", MIDNIGHT)])
    book = DayBook(tmp_path)
    assert book.read(["A"], DAY, 1, 8)["A"][0].in_service_s == 3600
    write(tmp_path, [d_line("A", MIDNIGHT), d_line("A", MIDNIGHT + 1)])
    assert book.read(["A"], DAY, 1, 8)["A"][0].in_service_s == 7200


def test_neighbouring_days_of_one_kind_are_one_rectangle() -> None:
    kinds = ["normal", "normal", "lost", "normal"]
    days = [Day(date(2026, 11, i + 1), k, 86_400, 0, 0, "") for i, k in enumerate(kinds)]
    assert [(r.x, r.width, r.kind) for r in runs_of(days)] == [(0, 20, "normal"), (20, 10, "lost"), (30, 10, "normal")]


def test_months_are_named_where_they_begin() -> None:
    assert [(t.at, t.label) for t in month_ticks(date(2026, 8, 20), 95)] == [
        ("0.00", "08-20"),
        ("12.63", "9 月"),
        ("44.21", "10 月"),
        ("76.84", "11 月"),
    ]


def test_hour_text_and_number_are_inverse() -> None:
    assert hour_number(hour_text(498_699)) == 498_699
