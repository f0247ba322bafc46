"""Deliveries made to break the intake: every one is answered, and what was accepted can be read again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.styles import Font

from collector.intake import inbox as box
from collector.intake.known import Known
from collector.intake.queue import import_waiting
from collector.intake.tables import Delivery
from collector.revisions import record_frames
from config.errors import ConfigError
from tests.collector.intake.plant import RecordsPlant, table

BATCHES = ("batch_id", "product", "quantity", "trial")


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


def _posted(plant: RecordsPlant, body: object) -> dict[str, object]:
    """What a sender over REST is told."""
    inbox, id_ = box.inbox_of(plant.folder.records), box.id_of("key-0001")
    box.put(inbox, box.Waiting(id_, "json", "batches", "batches key-0001", "rest", json.dumps(body).encode()))
    import_waiting(plant.folder, plant.clock, Known(plant.folder), 0)
    answer = box.answered(inbox, id_)
    assert answer is not None
    return answer


def test_a_cell_longer_than_the_csv_module_reads_is_answered_like_any_other(plant: RecordsPlant) -> None:
    answer = _posted(plant, {"rows": [{"batch_id": "B1", "product": "长" * 200_000, "trial": False}]})
    assert (answer["quarantined"], answer["accepted"]) == (1, 0)


def test_a_key_that_is_half_a_character_is_refused_and_answered(plant: RecordsPlant) -> None:
    answer = _posted(plant, {"rows": [{"\ud800": "B1", "product": "轴"}]})
    assert answer["refused"]
    assert not box.waiting(box.inbox_of(plant.folder.records), "rest")


@pytest.mark.parametrize("digits", ["٣", "३", "𝟛\u0663", "1٣.5"])
def test_digits_of_other_scripts_are_kept_aside_and_break_no_reader(plant: RecordsPlant, digits: str) -> None:
    done = plant.csv(("batches.csv", table(BATCHES, ("B1", "轴", digits, 0), ("B2", "轴", "３", 0))))
    assert [(r.offered.row.cells[0], r.faults[0].code) for r in done.quarantined] == [("B1", "value")]
    assert record_frames(plant.folder).frame("batches")["quantity"].to_list() == [3_000_000]


def _workbook(far: str, *, empty: bool) -> Delivery:
    """A good sheet with one cell far out: bold and empty, or with a letter in it."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "批次"
    sheet.append(["批次号", "产品", "试制"])
    sheet.append(["B1", "轴", "否"])
    sheet[far].font = Font(bold=True)
    if not empty:
        sheet[far] = "z"
    out = io.BytesIO()
    book.save(out)
    return Delivery("批次.xlsx", out.getvalue(), "xlsx")


@pytest.mark.parametrize("far", ["XFD1048576", "GQ60000", "A600000"])
def test_one_stray_cell_far_out_is_refused_before_the_sheet_is_laid_out(plant: RecordsPlant, far: str) -> None:
    with pytest.raises(ConfigError, match="表太大"):
        plant.take(_workbook(far, empty=False))


def test_a_format_far_out_is_no_cell(plant: RecordsPlant) -> None:
    assert plant.take(_workbook("XFD1048576", empty=True)).total("accepted") == 1


def test_a_table_of_more_columns_than_any_kind_has_is_refused_at_once(plant: RecordsPlant) -> None:
    with pytest.raises(ConfigError, match="应不超过 200 列") as refused:
        plant.csv(("batches.csv", ",".join(f"x{i}" for i in range(50_000)) + ",batch_id,product\n1\n"))
    assert len(refused.value.problems) == 1
