"""Revisions of register, exclusions: a file and its leaf, one after the other however many ask, never before what is sealed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.audit import audit
from collector.ledger import log
from collector.maintain import maintain
from collector.revisions import add_exclusion, apply_register, exclusions, registers
from config.errors import ConfigError
from tests.builders import FIRST_HOUR, HOUR_US, Driver, drive_hours, simple_register

T0 = FIRST_HOUR * HOUR_US


def test_an_unchanged_register_is_no_new_revision(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    assert [driver.register(simple_register("A")) for _ in range(2)] == [1, 1]
    assert driver.register("# 备注\n" + simple_register("A")) == 1
    assert driver.register(simple_register("A", "B")) == 2
    assert [r.rev for r in registers(driver.folder)] == [1, 2]
    (_, second) = log.read_of(driver.folder.ledger, "register")
    assert second.body["diff"] == {"added": ["B"], "changed": [], "removed": []}


def test_a_refused_register_leaves_no_trace(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    before = (driver.folder.ledger / "entries.ndjson").read_bytes()
    with pytest.raises(ConfigError):
        driver.register(simple_register("A", "A"))
    assert (driver.folder.ledger / "entries.ndjson").read_bytes() == before
    assert sorted(p.name for p in driver.folder.register.iterdir()) == ["000001.json", "000001.toml"]


def test_several_who_apply_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    files = []
    for i in range(8):
        files.append(tmp_path / f"{i}.toml")
        files[-1].write_text(simple_register(f"D{i}"), encoding="utf-8")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda f: apply_register(driver.folder, f, "test", driver.clock, "x").rev, files))
    assert sorted(found) == list(range(1, 9))
    assert [r.rev for r in registers(driver.folder)] == list(range(1, 9))
    assert audit(driver.folder.path).sound


def test_a_file_without_a_leaf_counts_for_nothing_and_its_number_is_used_again(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    (driver.folder.register / "000002.json").write_text("half of somethi")  # the process died before the leaf
    assert [r.rev for r in registers(driver.folder)] == [1]
    assert driver.register(simple_register("B")) == 2
    assert audit(driver.folder.path).sound


async def test_nothing_is_entered_into_hours_that_are_sealed_when_the_clock_is_set_back(tmp_path: Path) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    await driver.start()
    await drive_hours(driver, "A", 3)
    await driver.stop()
    driver.clock.advance_to(T0 + 3 * HOUR_US + 1)
    await driver.start()
    await driver.stop()
    maintain(driver.folder)
    driver.clock.set_back(T0 + HOUR_US)
    driver.register(simple_register("A", "B"))
    driver.register(simple_register("A", "C"))
    effective = [r.effective_us for r in registers(driver.folder)]
    assert effective[1] == T0 + 3 * HOUR_US
    assert effective == sorted(set(effective))
    found = add_exclusion(
        driver.folder, ("A",), T0, T0 + HOUR_US, reason="检修", approver="王", clock=driver.clock, actor="x"
    )
    assert found.entered_us >= T0 + 3 * HOUR_US
    assert exclusions(driver.folder) == [found]


@pytest.mark.parametrize(
    ("devices", "end", "message"),
    [
        (("Z",), HOUR_US, "expected a device of the register, found 'Z'"),
        ((), HOUR_US, "one device at least"),
        (("A",), 0, "after --from"),
    ],
)
def test_an_exclusion_of_nothing_or_of_no_length_is_refused(
    tmp_path: Path, devices: tuple[str, ...], end: int, message: str
) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    with pytest.raises(ConfigError, match=message):
        add_exclusion(driver.folder, devices, T0, T0 + end, reason="r", approver="w", clock=driver.clock, actor="x")
    assert not list(driver.folder.records.iterdir())


async def test_derived_folders_may_be_deleted(tmp_path: Path) -> None:
    import shutil

    from collector.recompute import restore_lines

    driver = Driver(tmp_path, T0)
    driver.register(simple_register("A"))
    await driver.start()
    await drive_hours(driver, "A", 3)
    await driver.stop()
    for derived in (driver.folder.state, driver.folder.path / "rollup", driver.folder.ledger / "tree"):
        shutil.rmtree(derived)
    driver.clock.advance_to(T0 + 3 * HOUR_US + 1)
    await driver.start()
    await driver.stop()
    assert maintain(driver.folder).sealed == 3
    shutil.rmtree(driver.folder.path / "rollup")
    assert restore_lines(driver.folder) == (3, [])
    assert audit(driver.folder.path).sound
