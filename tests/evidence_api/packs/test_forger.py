"""Whoever holds the key may rewrite everything; what contradicts itself even then is refused (docs/format/pack.md, Checks)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from collector.ledger.entry import Entry, canonical_json
from evidence_api.verify.findings import FAILED, Findings
from evidence_api.verify.history import REGISTERS
from evidence_api.verify.words import report_lines
from tests.evidence_api.packs.conftest import Made
from tests.evidence_api.packs.forger import Files, forged
from tests.evidence_api.packs.plant import HOUR_MS, MIDNIGHT_HOUR, Lines, reseal

FIRST = MIDNIGHT_HOUR - 3
Leaves = list[Entry]


def _failed(findings: Findings) -> set[str]:
    return {s.code for s in findings.steps if s.outcome == FAILED} - {"H-74"}


def _one_simulated_hour(lines: Lines) -> None:
    hour = min(lines)
    lines[hour] = [x.replace(b",live,", b",simulated,") if b",A1," in x else x for x in lines[hour]]


def _announced(leaves: Leaves, _: Files) -> None:
    at = next(i for i, e in enumerate(leaves) if e.t == "seal")
    body = {"device": "A1", "rev": 1, "facts": {}, "origin": "simulated"}
    leaves.insert(at, Entry("identity", leaves[at].at_ms, "collector", body))


def _exclusion_entered(entered_ms: int) -> Callable[[Leaves, Files], None]:
    """The recorded exclusion taken out and put behind the seals, with a time of the liar's choice."""

    def change(leaves: Leaves, files: Files) -> None:
        old = next(e for e in leaves if e.t == "records" and e.body["kind"] == "exclusion")
        name = f"data/records/{old.body['rev']:06d}/exclusion.json"
        body = json.loads(files[name]) | {"from_ms": FIRST * HOUR_MS, "to_ms": MIDNIGHT_HOUR * HOUR_MS}
        files[name] = canonical_json(body | {"entered_ms": entered_ms})
        leaf = old.body | {"files": {"exclusion.json": hashlib.sha256(files[name]).hexdigest()}}
        leaves.remove(old)
        leaves.append(Entry("records", entered_ms, old.actor, leaf))

    return change


def _register_applied(effective_ms: int, at_ms: int) -> Callable[[Leaves, Files], None]:
    """A second revision with a closure over the sealed hours, its leaf behind them."""

    def change(leaves: Leaves, files: Files) -> None:
        body = json.loads(files[f"{REGISTERS}000001.json"])
        span = {"start": "2026-11-21T21:00:00+08:00", "end": "2026-11-22T00:00:00+08:00"}
        body["calendar"] = {"closures": [{"id": "C1", "reason": "检修", "approver": "王", **span}]}
        raw = files[f"{REGISTERS}000002.json"] = canonical_json(body)
        leaf = {"rev": 2, "sha256": hashlib.sha256(raw).hexdigest(), "reason": "补记", "effective_ms": effective_ms}
        leaf |= {"devices": 2, "diff": {"added": [], "removed": [], "changed": []}}
        leaves.append(Entry("register", at_ms, "tester", leaf))

    return change


def test_the_forger_forges_well(live: Made) -> None:
    findings = live.plant.verify(forged(live.files))
    assert _failed(findings) == set()
    assert findings.exit_code == 0


@pytest.mark.parametrize("hours", [(FIRST + 1, MIDNIGHT_HOUR), (FIRST, MIDNIGHT_HOUR - 1), (FIRST - 9, MIDNIGHT_HOUR)])
def test_which_hours_are_opened_is_not_the_plants_choice(live: Made, hours: tuple[int, int]) -> None:
    assert _failed(live.plant.verify(forged(live.files, hours=hours))) == {"C-27"}


def test_a_simulated_hour_cannot_be_left_closed(live: Made) -> None:
    raw = forged(live.files, lines=_one_simulated_hour, entries=_announced, hours=(FIRST + 1, MIDNIGHT_HOUR))
    assert live.plant.verify(raw).exit_code == 6


def test_a_device_that_announced_itself_simulated_has_no_live_lines(live: Made) -> None:
    assert _failed(live.plant.verify(forged(live.files, entries=_announced))) == {"H-73"}


@pytest.mark.parametrize("entered_ms", [FIRST * HOUR_MS - 1, MIDNIGHT_HOUR * HOUR_MS - 1])
def test_an_exclusion_cannot_be_entered_before_hours_already_sealed(live: Made, entered_ms: int) -> None:
    findings = live.plant.verify(forged(live.files, entries=_exclusion_entered(entered_ms)))
    assert _failed(findings) == {"C-26"}


def test_an_exclusion_entered_after_the_seals_is_accepted(live: Made) -> None:
    raw = forged(live.files, entries=_exclusion_entered(MIDNIGHT_HOUR * HOUR_MS))
    assert _failed(live.plant.verify(raw)) == set()


@pytest.mark.parametrize(
    ("effective_ms", "at_ms"),
    [
        (FIRST * HOUR_MS + 1, MIDNIGHT_HOUR * HOUR_MS + 5),
        (MIDNIGHT_HOUR * HOUR_MS - 1, MIDNIGHT_HOUR * HOUR_MS - 1),
    ],
)
def test_a_register_cannot_take_effect_before_hours_already_sealed(live: Made, effective_ms: int, at_ms: int) -> None:
    findings = live.plant.verify(forged(live.files, entries=_register_applied(effective_ms, at_ms)))
    assert _failed(findings) == {"C-25"}


def _m12(**changes: Any) -> Callable[[Any], None]:
    return lambda report: [r.update(changes) for r in report["results"] if r["metric"] == "M12"].clear()


def _level(**changes: Any) -> Callable[[Any], None]:
    return lambda report: report["levels"][0].update(changes)


RESULTS: list[tuple[str, Callable[[Any], None]]] = [
    ("E-47", _m12(status="ok")),
    ("E-47", _m12(declared=[0, 3])),
    ("E-49", _m12(upper=[9, 9])),
    ("E-49", lambda r: r["results"][0].update(more=1)),
    ("E-49", lambda r: r["results"][0]["parameters"].insert(0, ["lower_at_80", 2])),
    ("E-41", lambda r: r["results"][0]["parameters"].append(["coverage_min", 1])),
    ("H-72", lambda r: r["verdicts"][0].update(distance=0)),
    ("H-72", lambda r: r["verdicts"][0].update(simulated=True)),
    ("H-72", lambda r: r.update(levels=[])),
    ("H-72", _level(met=1)),
    ("H-72", _level(title="卓越级")),
    ("H-72", lambda r: r["instrument"].update(title="别的办法")),
    ("H-72", lambda r: r.update(shown=[{"metric": "M01", "why": "本厂联网率 100 %"}])),
]


@pytest.mark.parametrize(("code", "change"), RESULTS, ids=[f"{i}-{c}" for i, (c, _) in enumerate(RESULTS)])
def test_nothing_in_the_results_stands_by_itself(live: Made, code: str, change: Callable[[Any], None]) -> None:
    assert _failed(live.plant.verify(forged(live.files, results=change))) == {code}


def test_a_level_that_the_rules_do_not_know_fails_h_72(live: Made) -> None:
    assert _failed(live.plant.verify(forged(live.files, stated=lambda b: b.update(level="领航级")))) == {"H-72"}


def test_a_name_in_the_pack_writes_nothing_of_its_own_on_the_readers_screen(live: Made) -> None:
    def renamed(leaves: Leaves, _: Files) -> None:
        old = leaves[0]
        leaves[0] = Entry(old.t, old.at_ms, old.actor, old.body | {"plant": "厂\x1b[2J\n结论 通过 (exit 0)\u202e"})

    findings = live.plant.verify(forged(live.files, entries=renamed))
    lines = list(report_lines(findings, "pack\n.zip"))
    assert not any(c in line for line in lines for c in "\x1b\n\u202e")
    assert sum(line.startswith("结论") for line in lines) == 1


def test_the_packs_own_words_about_a_verdict_are_not_repeated(live: Made) -> None:
    def praised(report: Any) -> None:
        report["verdicts"][0]["why"] = "已由省厅核定达标"

    findings = live.plant.verify(forged(live.files, results=praised))
    assert findings.exit_code == 0
    assert not any("省厅" in line for line in report_lines(findings, "p"))


def test_one_endless_line_is_refused_before_it_fills_the_memory(live: Made) -> None:
    files = live.files
    files["data/ledger/entries.ndjson"] = b"1" * (3 << 20)
    findings = live.plant.verify(reseal(files))
    assert "C-21" in _failed(findings)
    assert "一行超过" in (findings.step("C-21") or findings.steps[0]).found
