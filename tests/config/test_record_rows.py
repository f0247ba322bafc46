"""Cells as plants write them: every accepted form has one canonical text, and what has two readings is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.record_cells import CellError, canonical_time, guarded, take, us_of
from config.record_kinds import KINDS, Column
from config.record_rows import kind_named, read_table, rows_of

TZ = timezone(timedelta(hours=8))
TIME, DAY, FLAG = Column("t", "时间", "time"), Column("d", "日期", "day"), Column("f", "是否", "flag")
INTEGER, DECIMAL, MONEY = (
    Column("i", "数", "integer"),
    Column("n", "数", "decimal"),
    Column("m", "元", "money", signed=True),
)
ID, TEXT = Column("id", "编号", "id"), Column("x", "文字")


@pytest.mark.parametrize(
    "written",
    [
        "2026-10-01T08:30:00+08:00",
        "2026-10-01T00:30Z",
        "2026-10-01 08:30",
        "2026/10/1 8:30",
        "2026/10/01 08:30:00",
        "2026.10.1 8:30:00",
        "2026年10月1日8时30分",
        "2026年10月1日 上午8点30分00秒",
        "2026年10月1日 8:30",
        "２０２６－１０－０１　０８：３０",
        "20261001083000",
        "2026/10/1 8:30 AM",
        "2026-9-30T19:30-05:00",
    ],
)
def test_a_moment_is_read_in_the_forms_of_chinese_plants(written: str) -> None:
    assert take(TIME, written, TZ).text == "2026-10-01T00:30:00Z"


@pytest.mark.parametrize(
    ("column", "written", "taken"),
    [
        (TIME, "2026/10/1 下午2:30", "2026-10-01T06:30:00Z"),
        (TIME, "2026/10/1 中午12:30", "2026-10-01T04:30:00Z"),
        (TIME, "2026/10/1 凌晨12:30", "2026-09-30T16:30:00Z"),
        (TIME, "2026-10-01 08:30:00.250", "2026-10-01T00:30:00.25Z"),
        (DAY, "2026/10/1", "2026-10-01"),
        (DAY, "2026年10月1日", "2026-10-01"),
        (DAY, "20261001", "2026-10-01"),
        (DAY, "2026-10-01 00:00:00", "2026-10-01"),
        (FLAG, "√", "1"),
        (FLAG, "Ｙ", "1"),
        (FLAG, "否", "0"),
        (INTEGER, "１２", "12"),
        (INTEGER, "12.0", "12"),
        (INTEGER, "007", "7"),
        (DECIMAL, "1,200.50", "1200.5"),
        (MONEY, "￥1,200.5元", "1200.50"),
        (MONEY, "-0.01", "-0.01"),
        (MONEY, "-0", "0.00"),
        (ID, "Ｂ０１－A", "B01-A"),
        (TEXT, "第一行\n第二行", "第一行 第二行"),
        (KINDS["inspections"].column["result"], "ng", "fail"),
        (KINDS["shipments"].column["kind"], "出库", "ship"),
    ],
)
def test_a_cell_is_taken_in_its_canonical_form(column: Column, written: str, taken: str) -> None:
    assert take(column, written, TZ).text == taken


@pytest.mark.parametrize(
    ("column", "written"),
    [
        (TIME, "2026-10-01"),
        (TIME, "2026-02-30 08:00"),
        (TIME, "2026-10-01 24:30"),
        (TIME, "2026/10/1 晚上12:30"),
        (TIME, "2026/10/1 上午12:30"),
        (TIME, "2026/10/1 上午13:30"),
        (TIME, "10/01/2026 08:30"),
        (TIME, "46296.354"),
        (TIME, "0001-01-01T00:00:00+14:00"),
        (DAY, "2026-10-01 08:30"),
        (DAY, "2026-13-01"),
        (DAY, "10/1"),
        (FLAG, "也许"),
        (INTEGER, "1.5"),
        (INTEGER, "-1"),
        (INTEGER, "1e3"),
        (INTEGER, "NaN"),
        (DECIMAL, "0.1234567"),
        (DECIMAL, "1234567890123"),
        (DECIMAL, "1,20"),
        (DECIMAL, "∞"),
        (MONEY, "0.001"),
        (ID, "B\u200b1"),
        (ID, "B" * 65),
        (TEXT, "x" * 501),
        (KINDS["inspections"].column["result"], "还行"),
    ],
)
def test_what_has_no_reading_or_two_is_refused(column: Column, written: str) -> None:
    with pytest.raises(CellError):
        take(column, written, TZ)


@given(st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1)), st.integers(-12, 14))  # noqa: DTZ001 - given its zone below
def test_a_moment_survives_being_written_and_read(naive: datetime, hours: int) -> None:
    at = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    text = canonical_time(at)
    assert take(TIME, at.isoformat(), UTC).text == text
    assert take(TIME, text, TZ).text == text
    assert not take(TIME, text, TZ).corrected
    assert us_of(text) == round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


@given(st.decimals(0, 10**11, allow_nan=False, places=6), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_numbers_and_days_survive_being_written_and_read(number: Decimal, day: date) -> None:
    text = take(DECIMAL, f"{number:f}", TZ).text
    assert Decimal(text) == number
    assert take(DECIMAL, text, TZ).text == text
    assert take(DAY, f"{day.year}年{day.month}月{day.day}日", TZ).text == day.isoformat()


@given(st.sampled_from([TIME, DAY, FLAG, INTEGER, DECIMAL, MONEY, ID, TEXT]), st.text(max_size=30))
def test_no_cell_breaks_the_reading_and_what_was_taken_is_taken_again(column: Column, written: str) -> None:
    try:
        text = take(column, written, TZ).text
    except CellError:
        return
    again = take(column, guarded(text), TZ)
    assert again.text == text


def test_a_table_is_named_after_the_longest_kind_that_fits() -> None:
    names = {
        n: k.name if (k := kind_named(n)) else None for n in ("批次-9月.csv", "批次关系", "Operations_1.csv", "随便")
    }
    assert names == {"批次-9月.csv": "batches", "批次关系": "links", "Operations_1.csv": "operations", "随便": None}


def test_a_header_is_found_under_title_rows_and_tells_the_kind_by_itself() -> None:
    rows = [(1, ("九月台账", "", "")), (3, ("报警号", "工序", "发生时间")), (4, ("A1", "P1", "2026/9/1 8:00"))]
    table = read_table(rows, "x.csv", None)
    assert (table.kind.name, table.columns, table.skipped) == ("alarms", ("alarm_id", "process_id", "raised_at"), (1,))
    (row,) = rows_of(table, TZ)
    assert (row.number, row.cells[:2], row.faults) == (4, ("A1", "P1"), ())


def test_every_problem_of_a_header_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        read_table([(1, ("产品", "产品名称", "颜色", "完工时问"))], "批次.csv", KINDS["batches"])
    assert [p.where for p in refusal.value.problems] == ["产品名称", "颜色", "完工时问", "batch_id"]
    assert "完工时间" in refusal.value.problems[2].fix
