"""Broken journals and ledgers (tests/bad/journal, tests/bad/ledger): each has its message, its exit code, and stays as it was found."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import plantproof
from collector.journal import Journal, JournalError
from collector.ledger import log
from collector.ledger.entry import LedgerError
from collector.maintain import maintain
from tests.builders import FIRST_HOUR, HOUR_US, Driver, drive_hours, simple_register

BAD = Path(__file__).parents[1] / "bad"


def snapshot(path: Path) -> dict[str, bytes]:
    """Every file of a folder but locks."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "lock"}


async def a_plant(tmp_path: Path, hours: int = 2) -> Driver:
    """A folder with some sealed hours, its collector stopped."""
    driver = Driver(tmp_path, FIRST_HOUR * HOUR_US)
    driver.register(simple_register("A"))
    await driver.start()
    await drive_hours(driver, "A", hours)
    await driver.stop()
    driver.clock.advance_to((FIRST_HOUR + hours) * HOUR_US)
    await driver.start()
    await driver.stop()
    maintain(driver.folder)
    return driver


@pytest.mark.parametrize("case", sorted(p.stem for p in (BAD / "journal").glob("*.jrn")))
def test_a_broken_journal_is_cut_or_refused_with_its_message(tmp_path: Path, case: str) -> None:
    (tmp_path / "journal").mkdir()
    file = tmp_path / "journal" / f"{1:016d}.jrn"
    shutil.copy(BAD / "journal" / f"{case}.jrn", file)
    before = snapshot(tmp_path)
    expected = (BAD / "journal" / f"{case}.txt").read_text(encoding="utf-8").strip()
    if "nothing was changed" in expected:
        with pytest.raises(JournalError) as refused:
            Journal(tmp_path / "journal", tmp_path / "quarantine")
        assert str(refused.value).replace(str(tmp_path), "data") == expected
        assert snapshot(tmp_path) == before
        return
    journal = Journal(tmp_path / "journal", tmp_path / "quarantine")
    found = journal.recovery
    journal.close()
    assert f"cut {found.cut_bytes} bytes after frame {found.last_seq}: {found.reason}" == expected
    kept = snapshot(tmp_path)
    assert b"".join(kept[name] for name in sorted(kept)) == b"".join(before.values())  # cut off, not thrown away


@pytest.mark.parametrize("case", sorted(p.stem for p in (BAD / "ledger").glob("*.txt")))
def test_a_tampered_ledger_fails_with_its_message(case: str) -> None:
    ledger = BAD / "ledger" / case
    before = snapshot(ledger)
    with pytest.raises(LedgerError) as refused:
        log.verify_log(ledger)
    assert str(refused.value).replace(str(ledger), "ledger") == (BAD / "ledger" / f"{case}.txt").read_text().strip()
    assert snapshot(ledger) == before


async def test_ledger_verify_says_0_when_all_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    driver = await a_plant(tmp_path)
    assert plantproof.run(["ledger", "verify", "--data", str(driver.folder.path)]) == 0
    told = capsys.readouterr().out
    assert "2 个封存小时的行与根一致" in told
    assert "✘" not in told
    assert "不能证明" in told
    assert plantproof.run(["ledger", "verify", "--json", "--data", str(driver.folder.path)]) == 0
    assert json.loads(capsys.readouterr().out)["sound"] is True


def _lines(data: Path) -> Path:
    return next((data / "rollup/hours").rglob("*.csv"))


def _edit(path: Path, old: bytes, new: bytes) -> None:
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new, 1))


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "a covered minute added": (lambda d: _edit(_lines(d), b",60,0,0,", b",61,0,0,"), "小时行与封存的根不符"),
    "a line removed": (
        lambda d: _lines(d).write_bytes(b"\n".join(_lines(d).read_bytes().split(b"\n")[1:])),
        "小时行与封存的根不符",
    ),
    "a line that is none": (lambda d: _lines(d).write_bytes(b"D,A,yesterday\n"), "expected hour lines"),
    "lines deleted": (lambda d: _lines(d).unlink(), "小时行与封存的根不符"),
    "an entry changed": (
        lambda d: _edit(d / "ledger/entries.ndjson", b'"reason":"test"', b'"reason":"best"'),
        "do not have the root",
    ),
    "a seal removed": (
        lambda d: (d / "ledger/entries.ndjson").write_bytes(
            b"".join(x + b"\n" for x in (d / "ledger/entries.ndjson").read_bytes().splitlines() if b"T00Z" not in x)
        ),
        "the checkpoint covers",
    ),
    "a register revision changed": (
        lambda d: _edit(d / "register/000001.json", b"L1", b"L2"),
        "changed after its leaf was written",
    ),
    "a register revision deleted": (
        lambda d: (d / "register/000001.json").unlink(),
        "expected the revision its leaf names",
    ),
    "the checkpoint deleted": (lambda d: (d / "ledger/checkpoint").unlink(), "expected a checkpoint, found none"),
    "the genesis changed": (lambda d: _edit(d / "genesis.json", b"simulated", b"replay!!!"), "one of them was changed"),
}


@pytest.mark.parametrize("what", TAMPERING)
async def test_ledger_verify_says_6_and_what_was_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    driver = await a_plant(tmp_path)
    change, message = TAMPERING[what]
    change(driver.folder.path)
    before = snapshot(driver.folder.path)
    assert plantproof.run(["ledger", "verify", "--data", str(driver.folder.path)]) == 6
    assert message in " ".join(capsys.readouterr().out.split())
    assert snapshot(driver.folder.path) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ledger", "verify", "--data", "nowhere"], 5, "找不到数据目录"),
        (["status", "--data", "nowhere"], 5, "找不到数据目录"),
        (["store", "maintain", "--data", "nowhere"], 5, "找不到数据目录"),
        (["ledger", "verify", "--colour"], 2, "--colour"),
        (["register", "apply", "nowhere.toml", "--reason", "x", "--data", "DATA"], 4, "expected a file, found none"),
        (
            ["register", "apply", "BAD/register/unknown-key.toml", "--reason", "x", "--data", "DATA"],
            4,
            "您是不是要写 in_service_from?",
        ),
        (
            ["register", "apply", "BAD/register/several-at-once.toml", "--reason", "x", "--data", "DATA"],
            4,
            "device[0].process",
        ),
        (["register", "apply", "GOOD", "--reason", "  ", "--data", "DATA"], 4, "expected the reason"),
        (["register", "apply", "GOOD", "--data", "DATA"], 2, "--reason"),
        (["collect", "--data", "EMPTY"], 4, "还没有设备台账"),
        (["collect", "--data", "DATA", "--config", "BAD/settings/flush-too-quick.toml"], 4, "store.flush_ms"),
        (
            [
                "records",
                "exclusion",
                "add",
                "--device",
                "X",
                "--from",
                "gestern",
                "--to",
                "x",
                "--reason",
                "r",
                "--approver",
                "w",
                "--data",
                "DATA",
            ],
            4,
            "expected a time with its offset",
        ),
        (
            ["init", "--name", "厂", "--credit-code", "123", "--config", "NEW/p.toml", "--data", "NEW/d"],
            4,
            "plant.credit_code",
        ),
    ],
    ids=lambda x: " ".join(x[:2]) if isinstance(x, list) else None,
)
def test_wrong_input_has_its_exit_code_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    driver = asyncio.run(a_plant(tmp_path, 1))
    empty = tmp_path / "empty"
    empty.mkdir()
    other = Driver(empty, FIRST_HOUR * HOUR_US)
    good = tmp_path / "good.toml"
    good.write_text(simple_register("A", "B"), encoding="utf-8")
    names = {"DATA": driver.folder.path, "EMPTY": other.folder.path, "GOOD": good, "BAD": BAD, "NEW": tmp_path / "new"}
    words = ["/".join(str(names.get(part, part)) for part in x.split("/", 1)) for x in arguments]
    before = snapshot(tmp_path)
    assert plantproof.run(words) == code
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert snapshot(tmp_path) == before


def test_a_collector_refuses_a_damaged_journal_with_5_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    driver = asyncio.run(a_plant(tmp_path, 1))
    journal = driver.folder.journal
    newest = sorted(journal.glob("*.jrn"))[-1]
    newest.write_bytes((BAD / "journal/damage-in-the-middle.jrn").read_bytes())
    before = snapshot(driver.folder.path)
    process = subprocess.run(
        [sys.executable, "-m", "plantproof", "collect", "--data", str(driver.folder.path)],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        timeout=120,
        check=False,
    )
    assert process.returncode == 5, process.stderr.decode()
    assert "this is damage, not a torn tail; nothing was changed" in process.stderr.decode()
    assert snapshot(driver.folder.path) == before


async def test_a_folder_that_cannot_be_written_is_an_error_of_the_environment(tmp_path: Path) -> None:
    driver = await a_plant(tmp_path, 1)
    if os.access("/proc/1/mem", os.W_OK) and os.geteuid() == 0:
        file = driver.folder.state / "maintain.lock"
        file.unlink(missing_ok=True)
        file.mkdir()  # root may write anywhere: a folder in the lock's place cannot be opened even so
    else:
        os.chmod(driver.folder.state, 0o500)
    assert plantproof.run(["store", "maintain", "--data", str(driver.folder.path)]) == 5


async def test_restore_lines_makes_deleted_lines_again_and_says_6_when_rows_were_changed(tmp_path: Path) -> None:
    driver = await a_plant(tmp_path)
    data = driver.folder.path
    lines = _lines(data)
    good = lines.read_bytes()
    lines.unlink()
    assert plantproof.run(["store", "restore-lines", "--data", str(data)]) == 0
    assert lines.read_bytes() == good
    (data / "keys/salt.key").write_text("00" * 32)
    lines.unlink()
    assert plantproof.run(["store", "restore-lines", "--data", str(data)]) == 6
    assert not lines.exists()
