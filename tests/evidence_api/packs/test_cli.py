"""The command line of packs: exit codes, words, and nothing but JSON on stdout when JSON was asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evidence_api.cli import app
from tests.evidence_api.packs.conftest import Made
from tests.evidence_api.packs.plant import make_plant

BAD = Path(__file__).parents[2] / "bad" / "packs"


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize("case", sorted(BAD.iterdir()), ids=lambda p: p.name)
def test_what_is_not_a_pack_is_refused_in_words_with_exit_6(case: Path) -> None:
    before = (case / "pack.zip").read_bytes()
    done = _run("verify", case / "pack.zip")
    assert done.exit_code == 6
    assert (case / "message.txt").read_text(encoding="utf-8").strip() in done.stdout
    assert "结论  包被改动、损坏、自相矛盾，或不是证据包 (exit 6)" in done.stdout
    assert (case / "pack.zip").read_bytes() == before


def test_build_verify_rebuild_and_list_go_together(tmp_path: Path) -> None:
    plant = make_plant(tmp_path, "simulated")
    data = plant.folder.path
    built = _run("pack", "build", "--level", "scene", "--data", data, "--json")
    assert built.exit_code == 0, built.stderr
    facts = json.loads(built.stdout)
    assert facts["path"].endswith("-DEMO.zip")
    assert facts["mark"] == "模拟数据·不得用于申报"

    checked = _run("verify", facts["path"], "--json")
    assert checked.exit_code == 8
    findings = json.loads(checked.stdout)
    assert (findings["exit_code"], findings["grade"], findings["origin"]) == (8, "E0", "simulated")
    assert findings["facts"]["check_code"] == facts["check_code"]

    again = _run("pack", "rebuild", facts["path"], "--data", data)
    assert again.exit_code == 0
    assert "逐字节相同" in again.stdout
    assert [p.name for p in data.glob("packs/*.zip*")] == [Path(facts["path"]).name]

    listed = json.loads(_run("pack", "list", "--data", data, "--json").stdout)
    assert [(x["pack_id"], x["built"], x["file"]) for x in listed] == [
        (facts["pack_id"], True, Path(facts["path"]).name)
    ]


def test_verify_prints_nine_parts_and_never_a_bare_ok(live: Made, tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    path.write_bytes(live.raw)
    done = _run("verify", path, "--key", live.plant.public_key.hex())
    parts = [line for line in done.stdout.splitlines() if line[:1] in "一二三四五六七八九" and line[1:2] == "、"]
    assert [p[0] for p in parts] == list("一二三四五六七八九")
    assert "设备联网率" in done.stdout
    assert "未开封" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("结论")


def test_verify_without_a_key_says_what_is_missing(live: Made, tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    path.write_bytes(live.raw)
    done = _run("verify", path)
    assert done.exit_code == 7
    assert "--key" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["verify", "nowhere.zip"], 5, "打不开"),
        (["verify", "nowhere.zip", "--key", "abc"], 2, "--key"),
        (["pack", "build", "--data", "nowhere"], 5, "找不到数据目录"),
        (["pack", "list", "--data", "nowhere"], 5, "找不到数据目录"),
        (["pack", "rebuild", "nowhere.zip", "--data", "nowhere"], 5, "找不到数据目录"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _run(*arguments)
    assert done.exit_code == code
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_build_refuses_words_it_does_not_know(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    for arguments, words in (
        (["--level", "gold"], "basic"),
        (["--rules", "XX"], "GS25"),
        (["--at", "gestern"], "--at"),
    ):
        done = _run("pack", "build", "--data", plant.folder.path, *arguments)
        assert done.exit_code == 2
        assert words in done.stderr
    assert list(plant.folder.packs.glob("*.zip")) == []


def test_rebuild_never_writes_over_a_file(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    path = json.loads(_run("pack", "build", "--data", plant.folder.path, "--json").stdout)["path"]
    other = tmp_path / "other.zip"
    shutil.copy(path, other)
    done = _run("pack", "rebuild", path, "--out", other, "--data", plant.folder.path)
    assert done.exit_code == 2
    assert "不覆盖" in done.stderr
    assert other.read_bytes() == Path(path).read_bytes()
