"""What comes in parts, late, or is written again meanwhile: nothing is lost, and the first word stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.documents import Statement, add_document
from collector.intake import inbox as box
from collector.intake.follow import Intake
from collector.intake.known import Known
from collector.intake.queue import import_one, import_waiting
from collector.intake.tables import Delivery
from collector.intake.watched import Watched
from collector.revisions import record_frames
from config.settings import RecordsTable
from tests.collector.intake.plant import RecordsPlant

HEAD = "batch_id,product,trial\n"


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


def _put(plant: RecordsPlant, name: str, *rows: dict[str, object]) -> str:
    inbox = box.inbox_of(plant.folder.records)
    body = json.dumps({"rows": rows}).encode()
    box.put(inbox, box.Waiting(box.id_of(name), "json", "batches", name, "rest", body))
    return box.id_of(name)


def test_deliveries_that_waited_together_and_contradict_are_taken_in_the_order_they_came(plant: RecordsPlant) -> None:
    first = _put(plant, "1", {"batch_id": "B1", "product": "轴", "trial": False})
    second = _put(plant, "2", {"batch_id": "B1", "product": "套", "trial": False})
    import_waiting(plant.folder, plant.clock, Known(plant.folder), 0)
    assert record_frames(plant.folder).frame("batches")["product"].to_list() == ["轴"]
    inbox = box.inbox_of(plant.folder.records)
    told = [box.answered(inbox, one) or {} for one in (first, second)]
    assert [t["accepted"] for t in told] == [1, 0]
    assert told[1]["quarantine"][0]["code"] == ["conflict"]


def test_a_file_that_is_written_anew_while_it_is_imported_is_imported_again(
    plant: RecordsPlant, tmp_path: Path
) -> None:
    watch = tmp_path / "watch"
    watch.mkdir()
    file = watch / "batches.csv"
    file.write_text(HEAD + "B1,轴,0\n", encoding="utf-8")
    watched, known = Watched(watch), Known(plant.folder)

    def slow(delivery: Delivery) -> dict[str, object]:
        answer = import_one(plant.folder, delivery, plant.clock, known)
        if file.read_bytes() == delivery.raw and b"B2" not in delivery.raw:
            file.write_text(HEAD + "B1,轴,0\nB2,轴,0\n", encoding="utf-8")
        return answer

    assert watched.take(file, slow) == file
    assert watched.take(file, slow) != file
    assert record_frames(plant.folder).frame("batches")["batch_id"].to_list() == ["B1", "B2"]


def test_a_watched_folder_that_cannot_be_used_keeps_nobody_else_out(
    plant: RecordsPlant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> list[Path]:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Watched, "still", gone)
    one = _put(plant, "1", {"batch_id": "B1", "product": "轴", "trial": False})
    assert Intake(plant.folder, RecordsTable(watch=tmp_path), plant.clock).look(0.0) == 1
    assert box.answered(box.inbox_of(plant.folder.records), one)


def test_a_document_whose_name_is_not_utf_8_is_kept(plant: RecordsPlant, tmp_path: Path) -> None:
    file = tmp_path / b"\xba\xcf\xcd\xac.pdf".decode(errors="surrogateescape")
    file.write_bytes(b"%PDF")
    document = add_document(plant.folder, file, Statement("contract", "合同"), clock=plant.clock, actor="t")
    assert document.size_bytes == 4
