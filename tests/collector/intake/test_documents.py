"""Documents: the bytes once, statements that supersede each other, and what cannot be stated."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest

from collector.documents import Statement, add_document, damaged
from collector.ledger import log
from collector.revisions import documents
from config.documents import Document
from config.errors import ConfigError
from tests.collector.intake.plant import RecordsPlant

BAD = Path(__file__).parents[2] / "bad" / "documents"
SAID = Statement("maturity", "自评估报告", "某评估机构", "2025-06-30", "2027-06-29", 2, (2025,), ("GS25-12-3-1b",))


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


def add(plant: RecordsPlant, raw: bytes = b"%PDF", said: Statement = SAID) -> Document:
    file = plant.folder.path.parent / "report.pdf"
    file.write_bytes(raw)
    return add_document(plant.folder, file, said, clock=plant.clock, actor="t")


def test_a_document_is_kept_by_its_hash_and_known_as_of_a_ledger_size(plant: RecordsPlant) -> None:
    size = len(log.read_lines(plant.folder.ledger))
    found = add(plant)
    assert (found.doc_id, found.level, found.years, found.criteria) == ("D0001", 2, (2025,), ("GS25-12-3-1b",))
    assert found.valid_on(date(2027, 6, 29))
    assert not found.valid_on(date(2027, 6, 30))
    assert documents(plant.folder) == (found,)
    assert documents(plant.folder, size) == ()
    assert (plant.folder.documents / found.sha256).read_bytes() == b"%PDF"


def test_the_same_statement_again_is_no_new_leaf_and_another_one_supersedes(plant: RecordsPlant) -> None:
    first = add(plant)
    size = len(log.read_lines(plant.folder.ledger))
    assert add(plant) == first
    assert len(log.read_lines(plant.folder.ledger)) == size
    changed = add(plant, said=Statement("maturity", "自评估报告（二级）", level=3))
    assert changed.doc_id == "D0001"
    assert documents(plant.folder) == (changed,)
    assert documents(plant.folder, size) == (first,)
    assert len(list(plant.folder.documents.iterdir())) == 1


def test_other_bytes_under_an_id_supersede_and_others_take_the_next_number(plant: RecordsPlant) -> None:
    add(plant, b"one")
    assert add(plant, b"two").doc_id == "D0002"
    new = add(plant, b"three", Statement("contract", "合同", doc_id="D0001"))
    assert next(d.sha256 for d in documents(plant.folder)) == new.sha256


def test_changed_and_missing_bytes_are_found_and_the_same_file_again_repairs_them(plant: RecordsPlant) -> None:
    one, two = add(plant, b"one"), add(plant, b"two")
    (plant.folder.documents / one.sha256).write_bytes(b"0ne")
    (plant.folder.documents / two.sha256).unlink()
    assert [d.doc_id for d, _ in damaged(plant.folder)] == ["D0001", "D0002"]
    add(plant, b"one")
    assert [d.doc_id for d, _ in damaged(plant.folder)] == ["D0002"]


@pytest.mark.parametrize("case", sorted(p.stem for p in BAD.glob("*.toml")))
def test_a_statement_that_cannot_be_is_refused_with_every_problem(
    plant: RecordsPlant, tmp_path: Path, case: str
) -> None:
    body = tomllib.loads((BAD / f"{case}.toml").read_text(encoding="utf-8"))
    file = tmp_path / f"{case}.pdf"
    content, size_mib = body.pop("content", "%PDF"), body.pop("size_mib", 0)
    if content != "none":
        with file.open("wb") as out:
            out.write(content.encode())
            out.truncate(size_mib << 20 if size_mib else len(content))
    body["years"] = tuple(body.get("years", ()))
    size = len(log.read_lines(plant.folder.ledger))
    with pytest.raises(ConfigError) as refusal:
        add_document(plant.folder, file, Statement(**body), clock=plant.clock, actor="t")
    expected = (BAD / f"{case}.txt").read_text(encoding="utf-8").splitlines()
    for message in expected:
        assert message in str(refusal.value)
    assert len(refusal.value.problems) == len(expected)
    assert len(log.read_lines(plant.folder.ledger)) == size
    assert not list(plant.folder.documents.iterdir())
