"""Each outcome of a contact reaches the device-hour line: as a poll, a failure or a loss, with its gap and its cause.

By hand: one poll a minute, so a minute is covered while the newest contact is at most 120 s old at its end (docs/format/hour-lines.md).
Good until minute 29 and not from minute 30 on: minutes 0 to 30 are covered, 29 are not, 1740 s.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.batch import SEVERITY_BAD, Outcome
from adapters.rows import FAILURE_QUALITY, failed_batch
from collector.maintain import maintain
from collector.store.lines import DEVICE_FIELDS, read_lines
from tests.builders import FIRST_HOUR, HOUR_US, MINUTE_US, SIMPLE, Driver, Row, failed_row, ok_row, simple_register

T0 = FIRST_HOUR * HOUR_US
FAILURES = [o for o in Outcome if not o.is_contact and not o.is_loss]
LOSSES = [o for o in Outcome if o.is_loss]


async def line_of(tmp_path: Path, rows: list[Row]) -> dict[str, str]:
    """The sealed device-hour line of device A over these rows."""
    driver = Driver(tmp_path, T0 - MINUTE_US)
    driver.register(simple_register("A"))
    await driver.start()
    driver.clock.advance_to(T0 + HOUR_US - 1)
    await driver.emit([rows])
    driver.clock.advance_to(T0 + HOUR_US)
    await driver.stop()
    await driver.start()  # a new file: the one before it is closed now
    await driver.stop()
    maintain(driver.folder)
    (line,) = [text.decode() for text in read_lines(driver.folder, FIRST_HOUR) if text.startswith(b"D,")]
    return dict(zip(DEVICE_FIELDS, line.split(",")[1:], strict=True))


def good(first: int, end: int) -> list[Row]:
    """A good poll at the start of each minute."""
    return [ok_row("A", SIMPLE, T0 + m * MINUTE_US, state=1, speed=2.0) for m in range(first, end)]


def told(line: dict[str, str]) -> tuple[int, int, int, int, str]:
    """polls_ok, polls_failed, losses, gap_s, cause."""
    return (
        int(line["polls_ok"]),
        int(line["polls_failed"]),
        int(line["losses"]),
        int(line["gap_s"]),
        line["cause"],
    )


@pytest.mark.parametrize("outcome", FAILURES, ids=lambda o: o.name.lower())
async def test_a_device_that_fails_for_half_an_hour_has_its_gap_and_its_cause(tmp_path: Path, outcome: Outcome) -> None:
    failed = [failed_row("A", SIMPLE, T0 + m * MINUTE_US, outcome) for m in range(30, 60)]
    line = await line_of(tmp_path, good(0, 30) + failed)
    assert told(line) == (30, 30, 0, 29 * 60, outcome.name.lower())
    assert line["covered"] == f"{(2**31 - 1) << 29:015x}"


@pytest.mark.parametrize("outcome", LOSSES, ids=lambda o: o.name.lower())
async def test_losses_are_counted_and_are_no_contact(tmp_path: Path, outcome: Outcome) -> None:
    lost = [failed_row("A", SIMPLE, T0 + m * MINUTE_US, outcome) for m in range(30, 60)]
    assert told(await line_of(tmp_path, good(0, 30) + lost)) == (30, 0, 30, 29 * 60, "silent")


@pytest.mark.parametrize("outcome", LOSSES, ids=lambda o: o.name.lower())
async def test_losses_between_values_are_counted_and_make_no_gap(tmp_path: Path, outcome: Outcome) -> None:
    lost = [failed_row("A", SIMPLE, T0 + m * MINUTE_US + 5, outcome) for m in range(30, 60, 10)]
    assert told(await line_of(tmp_path, good(0, 60) + lost)) == (60, 0, 3, 0, "")


async def test_confirmations_are_contacts_and_keep_the_device_covered(tmp_path: Path) -> None:
    stood = [
        Row("A", SIMPLE, T0, m * MINUTE_US, int(Outcome.CONFIRMED), values={"state": 1, "speed": 2.0})
        for m in range(30, 60)
    ]
    assert told(await line_of(tmp_path, good(0, 30) + stood)) == (60, 0, 0, 0, "")


async def test_values_of_bad_quality_are_polls_and_no_cover(tmp_path: Path) -> None:
    bad = [
        Row("A", SIMPLE, T0 + m * MINUTE_US, quality=SEVERITY_BAD, values={"state": 1, "speed": 2.0})
        for m in range(30, 60)
    ]
    line = await line_of(tmp_path, good(0, 30) + bad)
    assert told(line) == (60, 0, 0, 29 * 60, "bad_quality")
    assert line["values_bad"] == "60"


@pytest.mark.parametrize("outcome", FAILURES + LOSSES, ids=lambda o: o.name.lower())
def test_a_row_without_values_has_a_bad_quality_of_its_own_outcome(outcome: Outcome) -> None:
    batch = failed_batch("A", SIMPLE, T0, outcome)
    assert batch.newest == (outcome, T0)
    assert int(batch.quality[0]) == FAILURE_QUALITY[outcome] >= SEVERITY_BAD
