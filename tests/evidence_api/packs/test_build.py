"""Building and building again: the order of events, equal bytes, nothing half-written, a bag for everybody's tools."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from collector.folder import open_folder
from collector.ledger import log
from collector.revisions import apply_register
from evidence_api.pack import build, writer
from evidence_api.pack.inputs import PackError
from evidence_api.pack.rules import known_rules
from evidence_api.verify.signature import read_key
from evidence_api.verify.verifier import verify_file
from tests.evidence_api.packs.conftest import Made
from tests.evidence_api.packs.plant import REGISTER, RULES, Plant, make_plant

ROOT = Path(__file__).parents[3]


def _pack(plant: Plant, level: str = "basic", instrument: str = "GS25") -> writer.BuiltPack:
    return build.build_pack(
        plant.folder, instrument=instrument, level=level, at_ms=None, clock=plant.clock, actor="tester"
    )


def test_a_live_pack_with_the_right_key_ends_with_exit_0_at_grade_e0(tmp_path: Path) -> None:
    plant = make_plant(tmp_path, "live", records=True)
    built = _pack(plant)
    findings = verify_file(built.path, bytes.fromhex(built.public_key), known_rules())
    assert [s for s in findings.steps if s.outcome in ("failed", "skipped", "unknown")] == []
    assert (findings.exit_code, findings.grade) == (0, "E0")
    assert built.path.name == f"91620100MA0000000X-basic-20261122-{built.pack_id[:8]}.zip"


@pytest.mark.parametrize(
    ("instrument", "level", "shown"),
    [
        ("CN-TJ/TJ", "basic", "天津市"),
        ("CN-SD/SD25", "advanced", "征求意见稿"),
        ("CN-SD/SD22", "workshop", "已于 2025-12-31 失效"),
        ("GS25", "excellent", "甘肃省"),
    ],
)
def test_every_instrument_makes_a_pack_that_says_whether_it_binds(
    tmp_path: Path, instrument: str, level: str, shown: str
) -> None:
    plant = make_plant(tmp_path, "live", records=True)
    built = _pack(plant, level, instrument)
    findings = verify_file(built.path, bytes.fromhex(built.public_key), known_rules())
    assert [s for s in findings.steps if s.outcome in ("failed", "skipped", "unknown")] == []
    assert findings.exit_code == 0
    assert shown in (findings.step("H-72") or findings.steps[0]).found
    with zipfile.ZipFile(built.path) as pack:
        assert shown in pack.read("READ-ME-FIRST.txt").decode("utf-8-sig")
        assert shown in pack.read("data/report/report.html").decode()
    again = build.rebuild_pack(plant.folder, built.path, tmp_path / "again.zip")
    assert again.path.read_bytes() == built.path.read_bytes()


def test_rules_of_the_factorys_own_make_a_pack_that_nobody_else_can_tell(tmp_path: Path) -> None:
    (tmp_path / "CN-XX").mkdir()
    own = tmp_path / "CN-XX" / "T1.yaml"
    own.write_text(RULES, encoding="utf-8")
    plant = make_plant(tmp_path)
    built = _pack(plant, "basic", str(own))
    findings = verify_file(built.path, bytes.fromhex(built.public_key), known_rules())
    assert findings.exit_code == 7
    assert [s.code for s in findings.steps if s.outcome == "unknown"] == ["H-71"]
    again = build.rebuild_pack(plant.folder, built.path, tmp_path / "again.zip", own)
    assert again.path.read_bytes() == built.path.read_bytes()
    with pytest.raises(PackError, match="CN-XX/T1"):
        build.rebuild_pack(plant.folder, built.path, tmp_path / "more.zip")


@pytest.mark.parametrize(("origin", "suffix"), [("simulated", "-DEMO.zip"), ("replay", "-REPLAY.zip")])
def test_what_is_not_live_says_so_in_its_name_and_ends_with_exit_8(tmp_path: Path, origin: str, suffix: str) -> None:
    plant = make_plant(tmp_path, origin)
    built = _pack(plant)
    assert built.path.name.endswith(suffix)
    assert "不得用于申报" in built.mark
    findings = verify_file(built.path, None, known_rules())
    assert findings.exit_code == 8
    assert not [v for v in findings.verdicts if v[1] == "met"]
    with zipfile.ZipFile(built.path) as pack:
        assert built.mark in pack.read("READ-ME-FIRST.txt").decode("utf-8-sig")
        assert built.mark in pack.read("data/report/report.html").decode()


def test_intent_stands_before_the_pack_and_the_pack_leaf_after_it(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    built = _pack(plant)
    entries = log.read_entries(plant.folder.ledger)
    assert [e.t for e in entries[-3:]] == ["rules", "pack_intent", "pack"]
    named = {e.body["instrument"] for e in entries if e.t == "rules"}
    assert "CN-GS/GS25" in named
    assert {"CN/ELEMENTS25", "CN/SCENES25"} <= named
    assert entries[-1].body["manifest_sha256"] == built.manifest_sha256
    assert entries[-1].body["size_bytes"] == built.path.stat().st_size
    with zipfile.ZipFile(built.path) as pack:
        assert len(pack.read("data/ledger/entries.ndjson").splitlines()) == len(entries) - 1


def test_a_second_pack_knows_of_the_first_and_needs_no_new_rules_leaf(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    first, second = _pack(plant), _pack(plant, "scene")
    assert first.path != second.path
    rules = [e.body["instrument"] for e in log.read_entries(plant.folder.ledger) if e.t == "rules"]
    assert len(rules) == len(set(rules)) == 5
    with zipfile.ZipFile(second.path) as pack:
        packs = pack.read("data/accounting/packs.csv").decode("utf-8-sig")
    assert first.manifest_sha256 in packs
    assert verify_file(second.path, bytes.fromhex(second.public_key), known_rules()).exit_code == 0


def test_rebuilding_gives_equal_bytes_although_the_ledger_went_on(tmp_path: Path) -> None:
    plant = make_plant(tmp_path, records=True)
    built = _pack(plant)
    (tmp_path / "register.toml").write_text(REGISTER.replace("钻床", "台钻"), encoding="utf-8")
    apply_register(plant.folder, tmp_path / "register.toml", "改名", plant.clock, "tester")
    _pack(plant)
    before = log.read_lines(plant.folder.ledger)
    again = build.rebuild_pack(plant.folder, built.path, tmp_path / "again.zip")
    assert again.path.read_bytes() == built.path.read_bytes()
    assert log.read_lines(plant.folder.ledger) == before


def test_rebuilding_from_a_copy_of_the_folder_elsewhere_gives_equal_bytes(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    built = _pack(plant)
    shutil.copytree(plant.folder.path, tmp_path / "copy")
    again = build.rebuild_pack(open_folder(tmp_path / "copy"), built.path, tmp_path / "again.zip")
    assert again.path.read_bytes() == built.path.read_bytes()


def test_rebuilding_from_another_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    built = _pack(make_plant(tmp_path / "a"))
    with pytest.raises(PackError, match="not from this ledger") as refused:
        build.rebuild_pack(make_plant(tmp_path / "b").folder, built.path, tmp_path / "again.zip")
    assert refused.value.exit_code == 6
    assert not (tmp_path / "again.zip").exists()


def test_changed_hour_lines_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    (day,) = plant.folder.hours.rglob("*.csv")
    day.write_bytes(day.read_bytes().replace(b",60,0,0", b",61,0,0", 1))
    with pytest.raises(PackError, match="sealed root") as refused:
        _pack(plant)
    assert refused.value.exit_code == 6
    assert [p.name for p in plant.folder.packs.iterdir()] == [".lock"]


def test_a_build_that_dies_leaves_an_intent_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = make_plant(tmp_path)

    def power_cut(*_: object) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(writer, "write_zip", power_cut)
    with pytest.raises(OSError, match="no space"):
        _pack(plant)
    monkeypatch.undo()
    assert [p.name for p in plant.folder.packs.iterdir()] == [".lock"]
    (plant.folder.packs / ".deadbeef.stage").mkdir()
    built = _pack(plant)
    assert sorted(p.name for p in plant.folder.packs.iterdir()) == sorted([".lock", built.path.name])
    findings = verify_file(built.path, bytes.fromhex(built.public_key), known_rules())
    assert dict(findings.facts)["number"] == 2
    assert findings.exit_code == 0


def test_nothing_sealed_yet_means_no_pack(tmp_path: Path) -> None:
    plant = make_plant(tmp_path, hours=0)
    size = len(log.read_lines(plant.folder.ledger))
    with pytest.raises(PackError, match="no sealed hour") as refused:
        _pack(plant)
    assert refused.value.exit_code == 3
    assert len(log.read_lines(plant.folder.ledger)) == size


def test_unknown_level_and_rules_are_named(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    with pytest.raises(PackError, match="scene"):
        _pack(plant, "gold")
    with pytest.raises(PackError, match="GS25"):
        build.build_pack(plant.folder, instrument="XX99", level="basic", at_ms=None, clock=plant.clock, actor="tester")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_everybodys_tools_check_the_bag(live: Made, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(live.raw)) as pack:
        pack.extractall(tmp_path)
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        done = subprocess.run(["sha256sum", "-c", "--strict", manifest], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_the_page_verify_by_hand_works_word_for_word(live: Made, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(live.raw)) as pack:
        pack.extractall(tmp_path)
    page = (ROOT / "docs/verify-by-hand.md").read_text(encoding="utf-8")
    scripts = [block.split("\n", 1)[1] for block in page.split("```")[1::2] if block.startswith("sh\n")]
    assert len(scripts) >= 3
    environment = os.environ | {"PUBLIC_KEY": live.plant.public_key.hex()}
    for script in scripts:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
    (tmp_path / "data/report/report.html").write_bytes(b"changed")
    assert subprocess.run(
        ["sha256sum", "-c", "manifest-sha256.txt"], cwd=tmp_path, capture_output=True, check=False
    ).returncode


BLOCKED = """
import sys, io
ALLOWED = set(sys.stdlib_module_names) | {"cryptography", "cffi", "_cffi_backend", "collector", "evidence_api"}
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Only())
from pathlib import Path
from evidence_api.verify.signature import read_key
from evidence_api.verify.verifier import verify_file
from evidence_api.verify.words import report_lines
findings = verify_file(Path(sys.argv[1]), read_key(sys.argv[2]), None)
sys.stdout.buffer.write("\\n".join(report_lines(findings, "x.zip")).encode())
outside = sorted(n for n in sys.modules if n.startswith(("evidence_api.", "collector.")))
bad = [n for n in outside if not n.startswith(("evidence_api.verify", "collector.ledger"))]
sys.exit(99 if bad else findings.exit_code)
"""


def test_verifier_runs_with_the_standard_library_and_cryptography_only(live: Made, tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    path.write_bytes(live.raw)
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(path), live.plant.public_key.hex()],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "九、本核验不能证明" in done.stdout.decode()


def test_a_key_may_be_hex_base64_a_vkey_or_a_file(tmp_path: Path) -> None:
    from base64 import b64encode

    from collector.ledger.checkpoint import vkey

    key = hashlib.sha256(b"key").digest()
    (tmp_path / "key.txt").write_text(key.hex() + "\n")
    for text in (
        key.hex(),
        b64encode(key).decode(),
        vkey("plantproof/0123456789abcdef", key),
        str(tmp_path / "key.txt"),
    ):
        assert read_key(text) == key
    with pytest.raises(ValueError, match="--key"):
        read_key("abc")
