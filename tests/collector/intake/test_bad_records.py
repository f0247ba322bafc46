"""Every bad record file of tests/bad/records, handed in beside good ones: refused as a whole (message.txt) or row by row
(quarantine.txt)."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.intake.imports import Imported
from collector.intake.tables import Delivery, delivery_of_file
from collector.ledger import log
from config.errors import ConfigError
from tests.collector.intake.plant import GOOD, RecordsPlant, balanced

BAD = Path(__file__).parents[2] / "bad" / "records"
CASES = sorted(p.name for p in BAD.iterdir())


def deliveries(case: str) -> list[Delivery]:
    """The good files, with the case's in their place or beside them."""
    bad = {p.name: delivery_of_file(p) for p in sorted((BAD / case).iterdir()) if p.suffix != ".txt"}
    good = {n: Delivery(n, t.encode(), "csv") for n, t in GOOD.items()}
    return list((good | bad).values())


def lines_of(done: Imported) -> list[str]:
    """The quarantine as the case's quarantine.txt says it."""
    return [
        f"{r.offered.name}:{r.offered.row.number} [{';'.join(f.code for f in r.faults)}] {'；'.join(f.words for f in r.faults)}"
        for r in done.quarantined
    ]


@pytest.mark.parametrize("case", [c for c in CASES if (BAD / c / "message.txt").exists()])
def test_a_file_that_is_no_table_is_refused_with_every_problem_and_nothing_half_applies(
    tmp_path: Path, case: str
) -> None:
    plant = RecordsPlant(tmp_path)
    size = len(log.read_lines(plant.folder.ledger))
    with pytest.raises(ConfigError) as refusal:
        plant.take(*deliveries(case))
    for message in (BAD / case / "message.txt").read_text(encoding="utf-8").splitlines():
        assert message in str(refusal.value)
    assert len(log.read_lines(plant.folder.ledger)) == size
    assert not list(plant.folder.records.iterdir())


@pytest.mark.parametrize("case", [c for c in CASES if (BAD / c / "quarantine.txt").exists()])
def test_a_row_that_cannot_be_taken_is_kept_aside_with_its_reason(tmp_path: Path, case: str) -> None:
    plant = RecordsPlant(tmp_path)
    done = plant.take(*deliveries(case))
    assert lines_of(done) == (BAD / case / "quarantine.txt").read_text(encoding="utf-8").splitlines()
    assert balanced(done)


def test_every_case_says_what_is_expected_of_it() -> None:
    for case in CASES:
        assert (BAD / case / "message.txt").exists() != (BAD / case / "quarantine.txt").exists(), case
    assert len(CASES) >= 30
