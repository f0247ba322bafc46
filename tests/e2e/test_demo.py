"""The demo, end to end: one set of numbers in CLI, API, page and pack, equal to what the truth log implies; a pack that verifies with 8."""

from __future__ import annotations

import json
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from collector.folder import open_folder
from collector.hours import hour_text, parse_hour
from collector.ledger import log
from collector.recompute import recompute_hours
from collector.store.lines import read_lines
from tests.e2e.conftest import Demo, plantproof, served
from tests.e2e.oracle import expect

pytestmark = pytest.mark.timeout(600)
Numbers = dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def report(demo: Demo) -> dict[str, Any]:
    done = plantproof("check", "--json", "--data", str(demo.folder))
    assert done.returncode == 3, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def numbers(results: list[dict[str, Any]]) -> Numbers:
    return {f"{r['metric']} {r['scope']}": tuple(r["lower"]) for r in results}


def test_the_demo_says_what_it_does_and_what_to_do_next(demo: Demo) -> None:
    assert "模拟" in demo.talk
    assert re.search(r"http://127\.0\.0\.1:\d+/", demo.talk)
    assert sum(line.startswith("  .venv/bin/plantproof ") for line in demo.talk.splitlines()) == 3


def test_numbers_are_those_the_truth_log_implies(demo: Demo, report: dict[str, Any]) -> None:
    newest = sorted(demo.folder.glob("register/*.toml"))[-1]
    expected = expect(demo.folder / "truth.jsonl", newest, demo.folder / "records")
    found = {f"{r['metric']} {r['scope']}": r for r in report["results"]}
    assert len(expected) == 9
    for key, want in expected.items():
        assert found[key]["lower"] == [want["numerator"], want["denominator"]], key
        if not key.startswith("M10"):  # one program was answered late, one operation names none: seen, not proven
            assert found[key]["value"] == [want["numerator"], want["denominator"]], key
        if "missing" in want:
            assert sorted(m["id"] for m in found[key]["members"] if not m["lower"]) == want["missing"], key
        if "declared" in want:
            assert found[key]["declared"] == [want["declared"], want["denominator"]], key


def test_cli_api_page_and_pack_show_the_same_numbers(demo: Demo, report: dict[str, Any]) -> None:
    cli = numbers(report["results"])
    with zipfile.ZipFile(demo.pack) as archive:
        packed = numbers(json.loads(archive.read("data/metrics/results.json"))["results"])
        printed = archive.read("data/report/report.html").decode()
    with served(demo.folder) as get:
        api = numbers(json.loads(get("api/v1/ratios"))["ratios"])
        page = get("")
    assert cli == packed == api
    money = {f"{r['metric']} {r['scope']}" for r in report["results"] if r["unit"] == "CNY"}
    for key, (n, d) in cli.items():
        shown = {f"{n // d:,} 元", f"{n}/{d}"} if key in money else {f"{n}/{d}"}
        assert any(text in page for text in shown), key
        assert any(text in printed for text in shown), key


def test_sealed_lines_agree_with_the_truth_log(demo: Demo) -> None:
    """Covered minutes, machine seconds, output and cause of every machine and hour."""
    folder = open_folder(demo.folder)
    truth: dict[tuple[str, int], dict[str, Any]] = {}
    for line in (demo.folder / "truth.jsonl").read_text().splitlines():
        fact = json.loads(line)
        if fact["fact"] == "hours":
            for row in fact["hours"]:
                truth[fact["device"], row[0]] = dict(zip(fact["columns"], row, strict=False))
    compared = 0
    for hour in sorted({h for _, h in truth}):
        for raw in read_lines(folder, hour):
            f = raw.decode().split(",")
            want = truth.get((f[1], hour))
            if f[0] != "D" or want is None:
                continue
            cause = want.get("cause") or ""
            assert (f[6], f[13]) == (want["covered"], cause), (f[1], hour_text(hour))
            assert int(f[14]) == want["run_s"], (f[1], hour_text(hour))
            compared += 1
    assert compared > 50_000


def test_simulated_is_marked_at_the_origin_in_lines_on_pages_and_in_the_pack(demo: Demo) -> None:
    folder = open_folder(demo.folder)
    assert folder.origin_class == "simulated"
    seal = log.last_of(folder.ledger, "seal")
    assert seal is not None
    lines = read_lines(folder, parse_hour(seal.body["hour"]))
    assert {x.split(b",")[4] for x in lines if x.startswith(b"D")} == {b"simulated"}
    with served(demo.folder) as get:
        assert "不得用于申报" in get("")
    with zipfile.ZipFile(demo.pack) as archive:
        about = json.loads(archive.read("data/pack.json"))
        assert about["origin_class"] == "simulated"
        assert {name for name, lines in about["origins"].items() if lines} == {"simulated"}
        assert "不得用于申报" in about["mark"]
        assert "不得用于申报" in archive.read("data/report/report.html").decode()
        assert "不得用于申报" in archive.read("READ-ME-FIRST.txt").decode()


def test_the_pack_verifies_with_exit_8_and_never_a_bare_ok(demo: Demo) -> None:
    done = plantproof("verify", str(demo.pack))
    assert done.returncode == 8, done.stdout
    assert "本核验不能证明" in done.stdout
    assert "不得用于申报" in done.stdout


def test_clearing_the_simulated_mark_gives_6(demo: Demo, tmp_path: Path) -> None:
    cleared = tmp_path / "cleared.zip"
    cleared.write_bytes(demo.pack.read_bytes().replace(b"simulated", b"livelived"))
    assert plantproof("verify", str(cleared)).returncode == 6


def test_a_pack_rewritten_as_live_with_fresh_hashes_still_gives_6(demo: Demo, tmp_path: Path) -> None:
    """The plant holds the key's folder, not the reviewer's: even with manifests made anew the seals contradict the mark."""
    cleared = tmp_path / "rewritten.zip"
    with zipfile.ZipFile(demo.pack) as old, zipfile.ZipFile(cleared, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            body = old.read(info.filename)
            if info.filename == "data/pack.json":
                body = body.replace(b'"simulated"', b'"live"')
            new.writestr(info, body)
    assert plantproof("verify", str(cleared)).returncode == 6


def test_rebuilding_the_pack_gives_equal_bytes(demo: Demo, tmp_path: Path) -> None:
    before = len(log.read_lines(demo.folder / "ledger"))
    again = tmp_path / "again.zip"
    done = plantproof("pack", "rebuild", str(demo.pack), "--out", str(again), "--data", str(demo.folder))
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == demo.pack.read_bytes()
    assert len(log.read_lines(demo.folder / "ledger")) == before


def test_fifty_random_device_hours_recomputed_from_raw_rows_equal_their_sealed_lines(demo: Demo) -> None:
    folder = open_folder(demo.folder)
    hours = [parse_hour(e.body["hour"]) for e in log.read_of(folder.ledger, "seal")]
    pick = random.Random(20261122)
    chosen = pick.sample(hours, 50)
    again = recompute_hours(folder, chosen)
    for hour in chosen:
        sealed = read_lines(folder, hour)
        line = pick.choice([x for x in sealed if x.startswith(b"D")])
        assert line in again[hour].lines
        assert list(again[hour].lines) == sealed


def test_the_ledger_verifies_and_every_hour_of_the_history_is_sealed_once(demo: Demo) -> None:
    done = plantproof("ledger", "verify", "--data", str(demo.folder))
    assert done.returncode == 0, done.stdout
    hours = [e.body["hour"] for e in log.read_of(demo.folder / "ledger", "seal")]
    assert len(hours) == len(set(hours)) >= 95 * 24
