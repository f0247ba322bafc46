"""试制须事先标明: when a batch counts as flagged, whatever the order in which flag and closing are handed in (M13)."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.revisions import record_frames
from tests.collector.intake.plant import NOW_US, RecordsPlant, table

HOUR_US = 3_600_000_000
HEADS = ("batch_id", "product", "closed_at", "trial")
SOON, LATER = "2026-10-01T01:00:00Z", "2026-10-01T03:30:00Z"  # the clock begins at 00:00Z


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


def _hand_in(plant: RecordsPlant, hours: int, closed: str, trial: str) -> None:
    plant.clock.advance_to(NOW_US + hours * HOUR_US)
    done = plant.csv(("batches.csv", table(HEADS, ("B1", "轴", closed, trial))), replace=True)
    assert done.total("quarantined") == 0


@pytest.mark.parametrize(
    ("said", "entered_h"),
    [
        ([(0, "", "1"), (2, SOON, "1")], 0),  # flagged, then closed
        ([(0, "", "0"), (2, SOON, "0"), (3, "", "1")], 3),  # replaced after closing
        ([(0, "", "0"), (1, "", "1"), (2, SOON, "")], 1),  # changed one's mind before closing
        ([(0, "", "1"), (2, SOON, ""), (3, "", "0"), (4, "", "1")], 4),  # taken away and back
        ([(2, SOON, "1"), (4, LATER, "")], 4),  # the closing moved behind the flag
        ([(0, "", "1"), (2, SOON, ""), (3, SOON, "1"), (4, "", "")], 0),  # said again
    ],
)
def test_a_batch_is_flagged_when_its_flag_became_what_it_is(
    plant: RecordsPlant, said: list[tuple[int, str, str]], entered_h: int
) -> None:
    for hours, closed, trial in said:
        _hand_in(plant, hours, closed, trial)
    assert record_frames(plant.folder).frame("batches")["entered_us"].to_list() == [NOW_US + entered_h * HOUR_US]


def test_a_trial_batch_is_not_closed_minutes_ahead_of_the_clock(plant: RecordsPlant) -> None:
    ahead = "2026-10-01T00:04:00Z"
    done = plant.csv(("batches.csv", table(HEADS, ("B1", "轴", ahead, "1"), ("B2", "轴", ahead, "0"))))
    assert [(r.offered.row.cells[0], r.faults[0].code) for r in done.quarantined] == [("B1", "future")]
    later = plant.csv(("batches.csv", table(HEADS, ("B2", "", "", "1"))), replace=True)
    assert [r.faults[0].code for r in later.quarantined] == ["future"]
