"""One tamper per verifier step: somebody who holds the key changes one thing, signs again, and exactly that step says so.

Steps that need what the failed one should have given are skipped; no other one fails.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.ledger.entry import Entry, canonical_json
from evidence_api.verify.catalogue import KINDS
from evidence_api.verify.findings import FAILED, OK, UNKNOWN, Findings
from evidence_api.verify.lines import hour_number, hour_text
from evidence_api.verify.twin import TWINS
from evidence_api.verify.verifier import verify_pack
from tests.evidence_api.packs.conftest import Made
from tests.evidence_api.packs.plant import SEEDS, Lines, make_plant, reseal, zipped

Files = dict[str, bytes]


def _failed(findings: Findings) -> set[str]:
    return {s.code for s in findings.steps if s.outcome == FAILED} - {"H-74"}


def _edit(files: Files, name: str, change: Callable[[Any], None]) -> Files:
    """Change a JSON file and keep it canonical."""
    body = json.loads(files[name])
    change(body)
    return files | {name: canonical_json(body) + b"\n"}


def _pack_json(change: Callable[[Any], None]) -> Callable[[Files], Files]:
    return lambda files: _edit(files, "data/pack.json", change)


def _result(metric: str, change: Callable[[Any], None]) -> Callable[[Files], Files]:
    def edit(report: Any) -> None:
        change([r for r in report["results"] if r["metric"] == metric][-1])

    return lambda files: _edit(files, "data/metrics/results.json", edit)


def _bytes(name: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        assert old in files[name]
        return files | {name: files[name].replace(old, new, 1)}

    return change


def _later(key: str) -> Callable[[Any], None]:
    def change(result: Any) -> None:
        result["window"][key] += 1

    return change


def _parameter(name: str, value: int) -> Callable[[Any], None]:
    """One parameter of the plant's (the last) result of a metric."""

    def change(result: Any) -> None:
        given = dict(result["parameters"])
        assert given.get(name) not in (None, value), (name, given)
        result["parameters"] = [list(x) for x in (given | {name: value}).items()]

    return change


def _report(change: Callable[[Any], None]) -> Callable[[Files], Files]:
    return lambda files: _edit(files, "data/metrics/results.json", change)


RESEALED: list[tuple[str, Callable[[Files], Files]]] = [
    ("A-06", lambda f: f | {"data/extra.txt": b"x"}),
    ("A-06", lambda f: f | {"data/inventory/more.csv": b"x"}),
    ("A-07", _pack_json(lambda b: b.update(more=1))),
    ("A-07", _pack_json(lambda b: b.pop("mark"))),
    ("A-07", _pack_json(lambda b: b.update(at_ms="1"))),
    ("A-07", _bytes("data/pack.json", b'"at_ms":', b'"at_ms": ')),
    ("A-07", _bytes("data/pack.json", b'{"at_ms":', b'{"at_ms":1,"at_ms":')),
    ("A-07", _bytes("data/pack.json", b'"number":1', b'"number":1.0')),
    ("A-07", _bytes("data/pack.json", b"{", b"[" * 5000)),
    ("C-21", _bytes("data/ledger/entries.ndjson", b'{"actor":', b'{"actor": ')),
    ("C-21", lambda f: f | {"data/ledger/entries.ndjson": f["data/ledger/entries.ndjson"][:-1]}),
    ("C-21", _pack_json(lambda b: b.update(origin_class="simulated"))),
    ("C-21", _pack_json(lambda b: b["plant"].update(name="别的厂"))),
    (
        "B-13",
        lambda f: f | {"data/ledger/checkpoint": re.sub(rb"\n\d+\n", b"\n77\n", f["data/ledger/checkpoint"], count=1)},
    ),
    (
        "C-22",
        _bytes(
            "data/ledger/entries.ndjson",
            b'"actor":"tester","at_ms":1795276800000,"body":{"pack_id"',
            b'"actor":"other_","at_ms":1795276800000,"body":{"pack_id"',
        ),
    ),
    ("C-23", _pack_json(lambda b: b.update(number=2))),
    (
        "C-25",
        _bytes("data/inventory/register/000001.json", "一线".encode("unicode_escape"), "二线".encode("unicode_escape")),
    ),
    ("C-26", _bytes("data/records/000001/lots.csv", b"S7", b"S8")),
    ("C-26", lambda f: {n: c for n, c in f.items() if not n.endswith("exclusion.json")}),
    ("C-27", _bytes("data/rollups/device-hours.csv", b",1,0,", b",2,0,")),
    (
        "C-27",
        _bytes(
            "data/rollups/late-hours.csv",
            b"\n",
            b"\nL,A1,2026-11-21T14Z,2026-11-21T13Z," + b"0" * 15 + b",1," + b"A" * 43 + b"\n",
        ),
    ),
    ("C-27", _bytes("data/rollups/parameter-hours.csv", b"P,device", b"P,machine")),
    ("C-27", _pack_json(lambda b: b["counts"].update(device_hours=7))),
    ("C-29", _bytes("data/rules/CN-XX/T1.yaml", b"edition: 1", b"edition: 2")),
    ("E-41", _result("M01", lambda r: r["members"][0].update(why="ok"))),
    ("E-41", _result("M01", _parameter("denominator_start", 9))),
    ("E-42", _result("M03", _parameter("denominator_start", 9))),
    ("E-43", _result("M05", lambda r: r.update(declared=[0, 0]))),
    ("E-44", _result("M06", lambda r: r.update(declared=[0, 0]))),
    ("E-45", _result("M11", lambda r: r.update(declared=[0, 0]))),
    ("E-46", _result("M13", lambda r: r["members"][0].update(why="no_lot"))),
    ("E-47", _result("M12", lambda r: r["members"].reverse())),
    ("E-49", _result("M01", lambda r: r.update(value=[1, 2], upper=[2, 2]))),
    ("E-49", _result("M11", _later("start_us"))),
    ("E-49", _result("M08", _later("end_us"))),
    ("E-49", _result("M16", lambda r: r.update(lower=[9, 8], value=[9, 8], upper=[9, 8]))),
    ("E-49", _result("M16", lambda r: r.update(upper=[7, 8]))),
    ("E-49", _result("M16", lambda r: r["members"][0].update(lower=True))),
    ("E-49", _result("FIN", lambda r: r.update(lower=[2, 100], value=[1, 100], upper=[2, 100]))),
    ("E-49", _result("FIN", lambda r: r.update(unit="ratio"))),
    ("E-49", _result("M25", lambda r: r.update(simulated=True))),
    ("E-49", _result("M25", lambda r: r["inputs"].clear())),
    ("E-49", _report(lambda r: r["results"].pop())),
    ("E-49", _report(lambda r: r["results"][-1].update(scope="line:L9"))),
    ("E-51", _result("M02", _parameter("denominator_sum", 9))),
    ("E-52", _result("M04", lambda r: r["members"][0].update(why="ok"))),
    ("E-53", _result("M07", lambda r: r.update(declared=None))),
    ("E-54", _result("M22", lambda r: r["members"][0].update(why="ok"))),
    ("E-57", _result("M21", lambda r: r.update(declared=[0, 0]))),
    ("E-58", _result("FIN", _parameter("year", 2024))),
    ("E-55", _result("M26", _parameter("possible_s", 3600))),
    ("E-48", _bytes("data/inventory/devices.csv", "铣床".encode(), "车床".encode())),
    ("E-48", _bytes("data/accounting/gaps.csv", b"B2", b"B3")),
    ("E-49", lambda f: _edit(f, "data/metrics/results.json", lambda r: r.update(at_us=r["at_us"] + 1))),
    ("E-49", lambda f: _edit(f, "data/metrics/results.json", lambda r: r.update(more=1))),
    (
        "H-71",
        _bytes("data/rules/CN-XX/T1.json", b'"effective_by":"stated"', b'"effective_by":"issue"'),
    ),
    ("H-72", lambda f: _edit(f, "data/metrics/results.json", lambda r: r["verdicts"][0].update(verdict="met"))),
    ("H-72", lambda f: _edit(f, "data/metrics/results.json", lambda r: r["levels"][0].update(verdict="met"))),
    ("H-73", _pack_json(lambda b: b.update(mark="模拟数据·不得用于申报"))),
    ("H-73", _pack_json(lambda b: b["origins"].update(live=0))),
]


@pytest.mark.parametrize(("code", "change"), RESEALED, ids=[f"{i}-{c}" for i, (c, _) in enumerate(RESEALED)])
def test_a_change_signed_again_fails_exactly_its_step(live: Made, code: str, change: Callable[[Files], Files]) -> None:
    findings = live.plant.verify(reseal(change(live.files), stated=json.loads(live.files["data/pack.json"])))
    assert _failed(findings) == {code}
    assert findings.exit_code == 6
    assert findings.grade == ""


def test_nothing_changed_fails_nothing_at_grade_e0(live: Made) -> None:
    assert reseal(live.files) == live.raw
    findings = live.plant.verify(live.raw)
    assert _failed(findings) == set()
    assert (findings.exit_code, findings.grade, findings.origin) == (0, "E0", "live")
    assert [s.code for s in findings.steps] == sorted(s.code for s in findings.steps)
    assert len(findings.steps) == 44


def test_a_changed_crc_of_a_file_fails_a_01_and_its_manifest(live: Made) -> None:
    raw = live.raw.replace("铣床".encode(), "车床".encode(), 1)
    findings = live.plant.verify(raw)
    assert {"A-01", "A-05"} <= _failed(findings)
    assert "data/inventory/devices.csv" in (findings.step("A-01") or findings.steps[0]).found


def test_a_wrong_payload_count_fails_a_03(live: Made) -> None:
    files = live.files | {"bag-info.txt": b"Bag-Software-Agent: plantproof\nPayload-Oxum: 1.1\n"}
    assert _failed(live.plant.verify(reseal(files, bag=False))) == {"A-03"}


def test_a_tag_file_not_in_its_manifest_fails_a_04(live: Made) -> None:
    files = live.files
    files["READ-ME-FIRST.txt"] = files["READ-ME-FIRST.txt"].replace(b"PlantProof", b"PlantProog", 1)
    assert _failed(live.plant.verify(zipped(files))) == {"A-04"}


def test_a_file_not_in_the_manifest_fails_a_05(live: Made) -> None:
    files = live.files
    files["data/report/report.html"] = files["data/report/report.html"].replace(b"E0", b"E1")
    files["data/report/report.html"] = files["data/report/report.html"].replace(b"<h1>", b"<h2>", 1)
    assert _failed(live.plant.verify(zipped(files))) == {"A-05"}


@pytest.mark.parametrize(
    "missing", ["data/pack.json", "data/rollups/device-hours.csv", "bagit.txt", "attest/pack.dsse.json"]
)
def test_a_missing_file_is_named(live: Made, missing: str) -> None:
    findings = live.plant.verify(zipped({n: c for n, c in live.files.items() if n != missing}))
    assert findings.exit_code == 6
    assert missing in (findings.step("A-06") or findings.steps[0]).found


def test_another_signature_fails_b_11(live: Made) -> None:
    files = live.files
    body = json.loads(files["attest/pack.dsse.json"])
    signature = bytearray(base64.b64decode(body["signatures"][0]["sig"]))
    signature[0] ^= 1
    body["signatures"][0]["sig"] = base64.b64encode(bytes(signature)).decode()
    files["attest/pack.dsse.json"] = canonical_json(body) + b"\n"
    assert _failed(live.plant.verify(zipped(files))) == {"B-11"}


def test_a_statement_about_another_pack_fails_b_12(live: Made) -> None:
    assert _failed(live.plant.verify(reseal(live.files, pack_id="0" * 20))) == {"B-12"}


def test_another_key_is_not_known_and_says_so(live: Made) -> None:
    findings = live.plant.verify(live.raw, b"\x07" * 32)
    assert findings.exit_code == 7
    assert [s.code for s in findings.steps if s.outcome == UNKNOWN] == ["B-14"]
    assert verify_pack(io.BytesIO(live.raw), None, live.plant.known).exit_code == 7


def test_rules_nobody_knows_are_not_judged(live: Made) -> None:
    findings = verify_pack(io.BytesIO(live.raw), live.plant.public_key, {"00" * 32: "11" * 32})
    assert [s.code for s in findings.steps if s.outcome == UNKNOWN] == ["H-71"]
    assert findings.exit_code == 7
    without = verify_pack(io.BytesIO(live.raw), live.plant.public_key, None)
    assert (without.exit_code, (without.step("H-71") or without.steps[0]).outcome) == (0, "hint")


def test_hours_sealed_out_of_order_fail_c_24(tmp_path: Path) -> None:
    def swapped(leaves: list[Any]) -> None:
        leaves[1], leaves[2] = leaves[2], leaves[1]

    plant = make_plant(tmp_path, seals=swapped)
    assert _failed(plant.verify(plant.build().path.read_bytes())) == {"C-24"}


def test_an_hour_left_out_fails_c_24(tmp_path: Path) -> None:
    def hole(leaves: list[Any]) -> None:
        del leaves[1]

    plant = make_plant(tmp_path, seals=hole)
    assert _failed(plant.verify(plant.build().path.read_bytes())) == {"C-24"}


def test_a_span_of_missed_hours_stands_for_them(tmp_path: Path) -> None:
    """docs/format/ledger.md: more than three days without the collector are one leaf, without lines."""

    def missed(lines: Lines) -> None:
        for hour in sorted(lines)[1:4]:
            del lines[hour]

    def spanned(leaves: list[Any]) -> None:
        first = leaves[0].body["hour"]
        end = leaves[1].body["hour"]
        body = {
            "hour": hour_text(hour_number(first) + 1),
            "span": [hour_text(hour_number(first) + 1), end],
            "register": 1,
            "devices": ["A1", "B2"],
            "cause": "collector_down",
        }
        leaves.insert(1, Entry("seal", leaves[0].at_ms, "collector", body))

    plant = make_plant(tmp_path, hours=6, lines=missed, seals=spanned)
    findings = plant.verify(plant.build().path.read_bytes())
    assert _failed(findings) == set()
    assert "3 小时以跨段登记" in (findings.step("C-24") or findings.steps[0]).found
    assert findings.exit_code == 0


def test_a_device_left_out_of_an_hour_fails_c_28(tmp_path: Path) -> None:
    def without_b2(lines: Lines) -> None:
        hour = min(lines)
        lines[hour] = [x for x in lines[hour] if b",B2," not in x]

    plant = make_plant(tmp_path, lines=without_b2)
    findings = plant.verify(plant.build().path.read_bytes())
    assert _failed(findings) == {"C-28"}
    assert "B2" in (findings.step("C-28") or findings.steps[0]).found


def test_a_device_that_never_was_in_the_register_fails_c_28(tmp_path: Path) -> None:
    def with_z9(lines: Lines) -> None:
        hour = min(lines)
        lines[hour] = sorted([*lines[hour], lines[hour][0].replace(b",A1,", b",Z9,")])

    plant = make_plant(tmp_path, lines=with_z9)
    assert _failed(plant.verify(plant.build().path.read_bytes())) == {"C-28"}


RUNNING_TIMES = [  # run_s of the D line, run_ok_s and run_in_s of the P line; the register gives `speed` no limits
    ("", "60", "", "run_ok_s"),  # known running time of a machine whose state nobody knows
    ("1200", "", "", "run_ok_s"),
    ("1200", "1201", "", "run_ok_s"),
    ("1200", "1200", "0", "run_in_s"),
]


@pytest.mark.parametrize(("run_s", "known_s", "inside_s", "named"), RUNNING_TIMES)
def test_a_parameters_running_time_that_cannot_be_fails_c_28(
    tmp_path: Path, run_s: str, known_s: str, inside_s: str, named: str
) -> None:
    def changed(lines: Lines) -> None:
        hour = min(lines)
        lines[hour] = [_with_running_time(x, run_s, known_s, inside_s) for x in lines[hour]]

    plant = make_plant(tmp_path, lines=changed)
    findings = plant.verify(plant.build().path.read_bytes())
    assert _failed(findings) == {"C-28"}
    assert f"A1 speed: {named}" in (findings.step("C-28") or findings.steps[0]).found


def test_a_parameters_running_time_within_its_devices_passes(tmp_path: Path) -> None:
    def changed(lines: Lines) -> None:
        hour = min(lines)
        lines[hour] = [_with_running_time(x, "1200", "1200", "") for x in lines[hour]]

    plant = make_plant(tmp_path, lines=changed)
    assert _failed(plant.verify(plant.build().path.read_bytes())) == set()


def _with_running_time(line: bytes, run_s: str, known_s: str, inside_s: str) -> bytes:
    """Device A1's D and P line with these running times."""
    fields = line.decode().split(",")
    if fields[:2] == ["D", "A1"] and run_s:
        fields[14:17] = [run_s, str(3600 - int(run_s)), "0"]
    elif fields[:2] == ["P", "A1"]:
        fields[-2:] = [known_s, inside_s]
    return ",".join(fields).encode()


def test_a_simulated_line_in_a_live_ledger_without_identity_fails_h_73(tmp_path: Path) -> None:
    def one_simulated(lines: Lines) -> None:
        hour = min(lines)
        lines[hour] = [x.replace(b",live,", b",simulated,") if b",A1," in x else x for x in lines[hour]]

    plant = make_plant(tmp_path, lines=one_simulated)
    assert _failed(plant.verify(plant.build().path.read_bytes())) == {"H-73"}


def test_a_live_line_in_a_simulated_ledger_fails_h_73(tmp_path: Path) -> None:
    def one_live(lines: Lines) -> None:
        hour = min(lines)
        lines[hour] = [x.replace(b",simulated,", b",live,") if b",A1," in x else x for x in lines[hour]]

    plant = make_plant(tmp_path, "simulated", lines=one_live)
    assert _failed(plant.verify(plant.build().path.read_bytes())) == {"H-73"}


def _all_live(report: Any) -> None:
    for result in report["results"]:
        result["simulated"] = False


CLEARED: list[Callable[[Files], Files]] = [
    _pack_json(lambda b: b.update(mark="")),
    _pack_json(lambda b: b.update(origin_class="live")),
    _pack_json(lambda b: b.update(mark="", origin_class="live", origins={"live": 6, "replay": 0, "simulated": 0})),
    lambda f: _edit(f, "data/metrics/results.json", lambda r: r.update(simulated=False)),
    lambda f: _edit(f, "data/metrics/results.json", _all_live),
    lambda f: f | {"data/rollups/device-hours.csv": f["data/rollups/device-hours.csv"].replace(b"simulated", b"live")},
    lambda f: f | {"data/ledger/entries.ndjson": f["data/ledger/entries.ndjson"].replace(b"simulated", b"live")},
    lambda f: {n: c.replace(b':"simulated"', b':"live"') for n, c in f.items() if n != "attest/pack.dsse.json"},
]


@pytest.mark.parametrize("change", CLEARED)
@pytest.mark.parametrize("again", [reseal, zipped], ids=["signed again", "left as signed"])
def test_clearing_the_simulated_mark_gives_6(
    simulated: Made, change: Callable[[Files], Files], again: Callable[[Files], bytes]
) -> None:
    files = simulated.files
    assert simulated.plant.verify(simulated.raw).exit_code == 8
    assert simulated.plant.verify(again({**files, **change(files)})).exit_code == 6


def test_a_simulated_pack_needs_no_key_but_refuses_a_wrong_one(simulated: Made) -> None:
    assert verify_pack(io.BytesIO(simulated.raw), None, simulated.plant.known).exit_code == 8
    assert simulated.plant.verify(simulated.raw, b"\x07" * 32).exit_code == 7


def test_what_is_added_under_attest_is_listed_and_not_covered(live: Made) -> None:
    findings = live.plant.verify(zipped(live.files | {"attest/receipt.json": b"{}"}))
    assert findings.exit_code == 0
    step = findings.step("A-06")
    assert step is not None
    assert step.outcome == OK
    assert "attest/receipt.json" in step.found
    assert live.plant.verify(zipped(live.files | {"attest/deep/er.json": b"{}"})).exit_code == 6


def test_what_the_pack_says_is_recomputed_and_what_stays_closed_is_said(live: Made) -> None:
    findings = live.plant.verify(live.raw)
    assert {n.metric for n in findings.recomputed} == set(TWINS)
    assert {n.metric for n in findings.not_recomputed} == set(KINDS) - set(TWINS) - {"M12"}
    assert any("未开封" in text for text in findings.unopened)
    assert findings.not_proven
    assert SEEDS[0].hex() not in json.dumps(findings.to_json())
