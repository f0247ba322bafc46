"""Records into the folder: what is taken, completed, repeated, kept aside; nothing is dropped, nothing half-applies."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from collector.audit import audit
from collector.intake.dossier import dossier, template_xlsx
from collector.intake.imports import import_records
from collector.intake.known import Known
from collector.intake.quarantine import quarantined, to_fix
from collector.intake.tables import Delivery
from collector.ledger import log
from collector.record_revisions import imports
from collector.revisions import record_frames
from config.errors import ConfigError
from tests.collector.intake.plant import GOOD, NOW_US, RecordsPlant, balanced, table

BATCHES = ("batch_id", "product", "quantity", "closed_at", "trial")
OPERATIONS = ("batch_id", "process_id", "device_id", "start", "end")


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


def codes(done: object) -> list[str]:
    return [f.code for r in done.quarantined for f in r.faults]  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_five_files_are_read_in_the_encodings_of_chinese_excel(plant: RecordsPlant, encoding: str) -> None:
    done = plant.take(*(Delivery(n, t.encode(encoding), "csv") for n, t in GOOD.items()))
    assert (done.rev, done.rows, done.total("accepted"), done.total("quarantined")) == (1, 8, 8, 0)
    batches = record_frames(plant.folder).frame("batches")
    assert batches["product"].to_list() == ["轴", "轴"]
    assert batches["quantity"].to_list() == [10_500_000, None]


def test_a_time_without_offset_is_plant_time_and_the_row_knows_where_it_came_from(plant: RecordsPlant) -> None:
    plant.good()
    frames = record_frames(plant.folder)
    assert frames.frame("batches")["closed_at"][0] == 1_789_891_200_000_000  # 2026-09-20T08:00Z
    assert frames.frame("operations")["end"].to_list() == [1_789_005_600_000_000, None]
    assert frames.frame("operations")["source_row"].to_list() == [2, 3]
    assert frames.frame("operations")["entered_us"].to_list() == [NOW_US, NOW_US]
    sources = {s["name"]: s for s in imports(plant.folder)[0].sources}
    assert frames.frame("operations")["source"][0] == sources["operations.csv"]["sha256"][:16]


def test_the_same_bytes_again_are_recognised_and_make_no_revision(plant: RecordsPlant) -> None:
    plant.good()
    size = len(log.read_lines(plant.folder.ledger))
    again = plant.good()
    assert (again.rev, again.total("duplicates"), sorted(again.recognised)) == (None, 8, sorted(GOOD))
    assert len(log.read_lines(plant.folder.ledger)) == size


def test_bytes_whose_rows_were_kept_aside_are_taken_when_what_was_missing_is_there(plant: RecordsPlant) -> None:
    lots = ("lots.csv", table(("batch_id", "item", "lot_id"), ("B01", "钢", "K1")))
    assert codes(plant.csv(lots)) == ["link"]
    plant.csv(("batches.csv", GOOD["batches.csv"]))
    assert plant.csv(lots).total("accepted") == 1
    assert record_frames(plant.folder).frame("lots").height == 1


def test_an_open_batch_is_completed_by_a_later_delivery(plant: RecordsPlant) -> None:
    plant.good()
    plant.clock.advance_to(NOW_US + 3_600_000_000)
    done = plant.csv(("批次.csv", table(("批次号", "完工时间"), ("B02", "2026/9/25 8:30"))))
    assert (done.rev, done.total("completed")) == (2, 1)
    row = record_frames(plant.folder).frame("batches").row(1, named=True)
    assert row["closed_at"] == 1_790_296_200_000_000
    assert (row["product"], row["entered_us"]) == ("轴", NOW_US)
    before = record_frames(plant.folder, len(log.read_lines(plant.folder.ledger)) - 1)
    assert before.frame("batches")["closed_at"].to_list()[1] is None


def test_a_changed_cell_goes_to_quarantine_unless_replaced_with_a_reason(plant: RecordsPlant) -> None:
    plant.good()
    changed = ("batches.csv", table(BATCHES, ("B01", "轴套", "10.5", "", "0")))
    done = plant.csv(changed)
    assert codes(done) == ["conflict"]
    assert record_frames(plant.folder).frame("batches")["product"][0] == "轴"
    done = plant.csv(changed, replace=True)
    assert done.total("completed") == 1
    assert record_frames(plant.folder).frame("batches")["product"][0] == "轴套"
    replaced = imports(plant.folder)[-1].read("replaced.csv").decode().splitlines()[1]
    assert replaced.startswith("batches,B01,product,轴,轴套,")


def test_impossible_rows_are_kept_aside_each_with_its_reason(plant: RecordsPlant) -> None:
    plant.csv(("batches.csv", GOOD["batches.csv"]))
    rows = [
        ("B02", "P1", "M1", "2026-09-10 08:00", "2026-09-10 07:00"),  # order
        ("B02", "P1", "M1", "2026-10-02 08:00", ""),  # future
        ("B02", "P1", "M1", "1999-10-02 08:00", ""),  # past
        ("B02", "P9", "M9", "2026-09-10 08:00", ""),  # two links
        ("B09", "P1", "M1", "2026-09-10 08:00", ""),  # link
        ("B01", "P1", "M1", "2026-09-21 08:00", ""),  # after the batch was closed
        ("B02", "P1", "", "2026-09-10 08:00", ""),  # empty
        ("B02", "P1", "M1", "2026-09-10", ""),  # value
    ]
    done = plant.csv(("operations.csv", table(OPERATIONS, *rows)))
    assert codes(done) == ["empty", "value", "order", "future", "past", "link", "link", "link", "after_close"]
    assert (done.rows, done.total("quarantined")) == (8, 8)
    assert not record_frames(plant.folder).frame("operations").height


def test_a_batch_closed_before_its_operations_end_takes_its_rows_with_it(plant: RecordsPlant) -> None:
    done = plant.csv(
        ("batches.csv", table(BATCHES, ("B01", "轴", "1", "2026-09-10 08:00", "否"), ("B02", "轴", "1", "", "否"))),
        ("operations.csv", table(OPERATIONS, ("B01", "P1", "M1", "2026-09-10 07:00", "2026-09-10 09:00"))),
        ("inspections.csv", table(("批次号", "工序", "检验时间", "结果"), ("B02", "P1", "2026-09-10 09:00", "合格"))),
    )
    assert codes(done) == ["closed_early", "link"]
    assert done.total("accepted") == 2


def test_an_inspection_before_its_batch_began_is_kept_aside(plant: RecordsPlant) -> None:
    plant.good()
    at = ("B01", "P1", "2026-09-09 08:00", "pass")
    assert codes(plant.csv(("inspections.csv", table(("batch_id", "process_id", "at", "result"), at)))) == [
        "before_batch"
    ]


def test_rows_of_one_key_that_contradict_are_all_kept_aside_and_equal_ones_count_once(plant: RecordsPlant) -> None:
    rows = [
        ("B1", "轴", "1", "", "0"),
        ("B1", "轴", "2", "", "0"),
        ("B2", "轴", "1", "", "0"),
        ("B2", "轴", "1", "", "0"),
    ]
    done = plant.csv(("batches.csv", table(BATCHES, *rows)))
    assert codes(done) == ["contradiction", "contradiction"]
    assert (done.total("accepted"), done.total("duplicates")) == (1, 1)


def test_a_workbook_as_plants_write_it_is_read(plant: RecordsPlant) -> None:
    book = Workbook()
    sheet = book.active
    sheet.title = "批次 9月"
    sheet.append(["兰州某某机械有限公司生产批次台账"])
    sheet.merge_cells("A1:E1")
    sheet.append(["编制：张三", "", "2026年9月"])
    sheet.append(["批号", "产品名称", "产量", "完成时间", "是否试制"])
    sheet.append(["Ｂ０１", "轴", 10.1, "2026年9月20日16时30分", "√"])
    sheet.append(["B02", "轴", "1,200", "2026.9.21 下午4:30", "×"])
    lots = book.create_sheet("物料批")
    lots.append(["批次号", "物料", "物料批号", "炉号"])
    lots.append(["B01", "45钢", "K1", "L1"])
    lots.append([None, "密封圈", "K2", "L2"])
    lots.merge_cells("A2:A3")
    book.create_sheet("说明").append(["随便写"])
    book.create_sheet("空表")
    out = io.BytesIO()
    book.save(out)
    done = plant.take(Delivery("九月.xlsx", out.getvalue(), "xlsx"))
    assert (done.rows, done.total("accepted")) == (4, 4), codes(done)
    batches = record_frames(plant.folder).frame("batches")
    assert batches["batch_id"].to_list() == ["B01", "B02"]
    assert batches["quantity"].to_list() == [10_100_000, 1_200_000_000]
    assert batches["closed_at"].to_list() == [1_789_893_000_000_000, 1_789_979_400_000_000]
    assert batches["trial"].to_list() == [True, False]
    assert record_frames(plant.folder).frame("lots")["batch_id"].to_list() == ["B01", "B01"]
    corrected = {(c.column, c.found, c.taken) for _, c in done.corrections}
    assert ("batch_id", "Ｂ０１", "B01") in corrected
    assert ("closed_at", "2026.9.21 下午4:30", "2026-09-21T08:30:00Z") in corrected
    assert ("", "标题行", "跳过") in corrected
    assert imports(plant.folder)[0].read("corrected.csv").decode().count("\n") == len(done.corrections) + 1


def test_an_empty_form_is_read_back_without_a_row(plant: RecordsPlant) -> None:
    done = plant.take(Delivery("空表.xlsx", template_xlsx(), "xlsx"))
    assert (done.rows, done.quarantined) == (0, ())


def test_one_refused_file_keeps_all_others_out(plant: RecordsPlant) -> None:
    plant.good()
    size = len(log.read_lines(plant.folder.ledger))
    with pytest.raises(ConfigError, match="不认识的列"):
        plant.csv(
            ("batches.csv", table(BATCHES, ("B9", "轴", "", "", "0"))), ("lots.csv", "batch_id,item,lot_id,颜色\n")
        )
    assert len(log.read_lines(plant.folder.ledger)) == size
    assert record_frames(plant.folder).frame("batches").height == 2
    assert sorted(p.name for p in plant.folder.records.iterdir()) == ["000001", "sources"]


def test_checking_only_writes_nothing(plant: RecordsPlant) -> None:
    done = plant.csv(*GOOD.items(), dry_run=True)
    assert (done.rev, done.total("accepted")) == (None, 8)
    assert not list(plant.folder.records.iterdir())


def test_a_changed_file_or_source_is_found_by_the_audit(plant: RecordsPlant) -> None:
    plant.good()
    assert audit(plant.folder.path).sound
    source = next((plant.folder.records / "sources").iterdir())
    source.write_bytes(source.read_bytes() + b" ")
    assert not audit(plant.folder.path).sound


def test_a_folder_of_files_is_imported_at_once(plant: RecordsPlant, tmp_path: Path) -> None:
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert import_records(plant.folder, tmp_path, "月度导入", plant.clock, "tester") == 1


def test_quarantined_rows_can_be_fixed_and_handed_in_again(plant: RecordsPlant) -> None:
    plant.csv(("batches.csv", table(BATCHES, ("B1", "=HYPERLINK(1)", "-5", "", "0"))))
    fix = to_fix(quarantined(plant.folder)).decode("utf-8-sig")
    assert "'=HYPERLINK(1)" in fix
    assert "不能为负" in fix
    done = plant.csv(("批次-隔离.csv", fix.replace("-5", "5")))
    assert done.total("accepted") == 1, codes(done)
    assert record_frames(plant.folder).frame("batches")["product"][0] == "=HYPERLINK(1)"


def test_the_file_of_a_batch_holds_its_relatives_in_both_directions(plant: RecordsPlant) -> None:
    rows = [(f"B{i}", "轴", "1", "", "0") for i in range(4)]
    links = [("B0", "B1", "split", "2026-09-01 08:00"), ("B1", "B2", "返工", "2026-09-02 08:00")]
    plant.csv(("batches.csv", table(BATCHES, *rows)), ("links.csv", table(("parent", "child", "kind", "at"), *links)))
    known = Known(plant.folder)
    known.catch_up()
    tz = __import__("datetime").timezone.utc
    found = dossier(known, "B1", tz)
    assert found is not None
    assert (found.before, found.after) == ((("B0", "分批"),), (("B2", "返工"),))
    middle = dossier(known, "B2", tz)
    assert middle is not None
    assert dict(middle.before).keys() == {"B0", "B1"}
    assert dossier(known, "B9", tz) is None


CELLS = st.sampled_from(
    ["", "B1", "B2", "轴", "1", "-1", "0", "x" * 501, "2026-09-10 08:00", "2026/9/9 7:00", "√", "P1", "M1", "=1", "\n"]
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS), max_size=6),
    st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS), max_size=6),
)
def test_every_row_delivered_is_in_exactly_one_place(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[str, ...]], operations: list[tuple[str, ...]]
) -> None:
    plant = RecordsPlant(tmp_path_factory.mktemp("p"))
    for _ in range(2):
        done = plant.csv(("batches.csv", table(BATCHES, *batches)), ("operations.csv", table(OPERATIONS, *operations)))
        given_rows = sum(any(c.strip() for c in row) for row in (*batches, *operations))
        assert done.rows == given_rows
        assert balanced(done)
    again = plant.csv(("batches.csv", table(BATCHES, *batches)), ("operations.csv", table(OPERATIONS, *operations)))
    assert again.total("accepted") + again.total("completed") == 0
    frames = record_frames(plant.folder)
    known = Known(plant.folder)
    known.catch_up()
    for name in ("batches", "operations"):
        kind = __import__("config.record_kinds").record_kinds.KINDS[name]
        assert frames.frame(name).height == len(known.of(kind))


def test_the_day_of_the_clock_is_not_in_the_future(plant: RecordsPlant) -> None:
    done = plant.csv(
        (
            "projects.csv",
            table(("project_id", "name", "began"), ("R1", "a", date(2026, 10, 1)), ("R2", "a", "2026-10-02")),
        )
    )
    assert codes(done) == ["future"]


DELIVERY = st.lists(
    st.tuples(
        st.sampled_from(["B1", "B2", "B3"]), st.sampled_from(["", "轴", "套"]), st.sampled_from(["", "1", "2.5"])
    ),
    max_size=4,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(DELIVERY, st.booleans()), min_size=1, max_size=4))
def test_what_is_read_is_the_last_cell_that_was_stated(
    tmp_path_factory: pytest.TempPathFactory, deliveries: list[tuple[list[tuple[str, str, str]], bool]]
) -> None:
    plant = RecordsPlant(tmp_path_factory.mktemp("p"))
    held: dict[str, list[str]] = {}
    for rows, replace in deliveries:
        done = plant.csv(("orders.csv", table(("order_id", "product", "quantity"), *rows)), replace=replace)
        for taken in [r for i, r in enumerate(rows, 2) if i not in {q.offered.row.number for q in done.quarantined}]:
            cells = held.setdefault(taken[0], ["", ""])
            held[taken[0]] = [new or old for old, new in zip(cells, taken[1:], strict=True)]
    orders = record_frames(plant.folder).frame("orders")
    found = {
        order: [product, "" if quantity is None else f"{quantity / 1_000_000:g}"]
        for order, product, quantity in orders.select("order_id", "product", "quantity").iter_rows()
    }
    assert found == held
