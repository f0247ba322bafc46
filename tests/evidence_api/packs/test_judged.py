"""Whoever holds the key changes one verdict, or what one rests on, and signs everything again: exactly the step concerned says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from collector.ledger.entry import Entry
from evidence_api.verify import bag
from evidence_api.verify.findings import FAILED, Findings
from evidence_api.verify.records import read_table
from tests.evidence_api.packs.conftest import Made
from tests.evidence_api.packs.forger import Files, forged
from tests.evidence_api.packs.judged_plant import judged_plant
from tests.evidence_api.packs.plant import FIRST_HOUR_MS, files_of, make_plant, reseal

Report = dict[str, Any]
Leaves = list[Entry]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Made:
    plant = judged_plant(tmp_path_factory.mktemp("judged"))
    return Made(plant, plant.build().path.read_bytes())


def _failed(findings: Findings) -> set[str]:
    return {s.code for s in findings.steps if s.outcome == FAILED} - {"H-74"}


def _found(findings: Findings, code: str) -> str:
    step = findings.step(code)
    return step.found if step else ""


def test_every_kind_of_criterion_follows_again(judged: Made) -> None:
    findings = judged.plant.verify(judged.raw)
    assert (_failed(findings), findings.exit_code) == (set(), 0)
    assert "连同引用文件共 17 条" in _found(findings, "H-72")
    assert "导入 2 次" in _found(findings, "C-26")
    assert "--replace 改动 2 处" in _found(findings, "C-26")
    words = {v["criterion"]: v["verdict"] for v in json.loads(judged.files[bag.RESULTS])["verdicts"]}
    assert words == {
        **{"J-metric": "short", "J-members": "insufficient_data", "J-money": "met", "J-small": "not_applicable"},
        **dict.fromkeys(
            ("J-paper", "J-years", "J-level", "J-event", "J-clean", "J-title", "J-renewed"), "declared_only"
        ),
        **dict.fromkeys(("J-better", "J-scene"), "declared_only"),
        **{"J-same": "short", "J-annex": "needs_judgement", "J-person": "needs_judgement"},
    }
    assert _failed(judged.plant.verify(forged(judged.files))) == set()


def test_a_trial_flag_set_after_closing_does_not_excuse_in_the_verifier_either(judged: Made) -> None:
    (m13,) = (r for r in json.loads(judged.files[bag.RESULTS])["results"] if r["metric"] == "M13")
    assert dict(m13["parameters"]) | {"trial_late": 1, "trial_batches": 0} == dict(m13["parameters"])
    assert {m["id"] for m in m13["members"]} == {"B1", "B2", "B3"}


def test_what_rests_on_numbers_nobody_counted_again_says_so(judged: Made) -> None:
    verdicts = {c.split()[0]: why for c, _, why in judged.plant.verify(judged.raw).verdicts}
    assert "企业计算、未复算" in verdicts["J-members"]
    assert "未复算" not in verdicts["J-metric"] + verdicts["J-money"]


def test_a_revenue_that_the_records_do_not_show_is_caught(judged: Made) -> None:
    def more(report: Report) -> None:
        fin = next(r for r in report["results"] if r["metric"] == "FIN")
        fin.update({k: [9_000_000_000, 100] for k in ("lower", "value", "upper")})

    assert _failed(judged.plant.verify(forged(judged.files, numbers=more))) == {"E-58"}


def _verdict(criterion: str, **changes: Any) -> Callable[[Report], None]:
    def change(report: Report) -> None:
        parts = [report, *report["references"]]
        (verdict,) = (v for part in parts for v in part["verdicts"] if v["criterion"] == criterion)
        assert all(verdict[k] != v for k, v in changes.items()), verdict
        verdict.update(changes)

    return change


def _reference(**changes: Any) -> Callable[[Report], None]:
    return lambda report: report["references"][0].update(changes)


OUTRIGHT: list[Callable[[Report], None]] = [
    _verdict("J-metric", verdict="met"),
    _verdict("J-metric", distance=0),
    _verdict("J-metric", judged=[]),
    _verdict("J-members", verdict="met"),
    _verdict("J-members", numbers="met"),
    _verdict("J-money", distance_unit="machine"),
    _verdict("J-paper", verdict="met"),
    _verdict("J-years", verdict="met"),
    _verdict("J-level", verdict="met"),
    _verdict("J-small", verdict="met"),
    _verdict("J-event", verdict="met"),
    _verdict("J-clean", verdict="not_applicable"),
    _verdict("J-title", verdict="met"),
    _verdict("J-better", verdict="met"),
    _verdict("J-scene", verdict="met"),
    _verdict("J-same", verdict="met"),
    _verdict("J-same", by_level=[]),
    _verdict("J-annex", verdict="declared_only"),
    _verdict("J-person", verdict="met"),
    _verdict("G-1", verdict="met"),
    _reference(levels=[]),
    _reference(adopted={"CN/G": None}),
    lambda r: r.update(references=[]),
    lambda r: r["references"].append(r["references"][0]),
    lambda r: r.update(adopted={"CN/G": None}),
    lambda r: r["verdicts"].pop(),
    lambda r: r["verdicts"].reverse(),
    lambda r: r["verdicts"].append(r["verdicts"][0]),
    lambda r: r["verdicts"][0].update(praise="好"),
    lambda r: r["criteria"][0].update(quote="部分联网"),
    lambda r: r["criteria"][0].update(threshold=[1, 2]),
    lambda r: r["criteria"][0].update(gate="soft"),
    lambda r: r["instrument"].update(standing="draft"),
    lambda r: r["levels"][0].update(verdict="met"),
    lambda r: r["levels"][1].update(evaluated=9),
]


@pytest.mark.parametrize("change", OUTRIGHT, ids=[str(i) for i in range(len(OUTRIGHT))])
def test_a_verdict_that_does_not_follow_is_caught(judged: Made, change: Callable[[Report], None]) -> None:
    assert _failed(judged.plant.verify(forged(judged.files, results=change))) == {"H-72"}


def _without_document(kind: str) -> Callable[[Leaves, Files], None]:
    def change(leaves: Leaves, _: Files) -> None:
        leaves[:] = [e for e in leaves if not (e.t == "document" and e.body["kind"] == kind)]

    return change


def _document(kind: str, **changes: Any) -> Callable[[Leaves, Files], None]:
    def change(leaves: Leaves, _: Files) -> None:
        at = next(i for i, e in enumerate(leaves) if e.t == "document" and e.body["kind"] == kind)
        old = leaves[at]
        leaves[at] = Entry(old.t, old.at_ms, old.actor, old.body | changes)

    return change


def _record(rev: int, kind: str, old: str, new: str) -> Callable[[Leaves, Files], None]:
    """Another text in a file of records, its SHA-256 in the leaf with it."""

    def change(leaves: Leaves, files: Files) -> None:
        name = f"data/records/{rev:06d}/{kind}.csv"
        assert old.encode() in files[name]
        files[name] = files[name].replace(old.encode(), new.encode(), 1)
        _name_again(leaves, rev, {f"{kind}.csv": hashlib.sha256(files[name]).hexdigest()})

    return change


def _name_again(leaves: Leaves, rev: int, digests: dict[str, str | None]) -> None:
    at = next(i for i, e in enumerate(leaves) if e.t == "records" and e.body["rev"] == rev)
    old = leaves[at]
    files = {k: v for k, v in (old.body["files"] | digests).items() if v is not None}
    leaves[at] = Entry(old.t, old.at_ms, old.actor, old.body | {"files": files})


# what the verdict rests on is taken away, and the verdict kept as it was: (change, criterion)
UNDERMINED: list[tuple[Callable[[Leaves, Files], None], str]] = [
    (_without_document("commitment"), "J-paper"),
    (_document("commitment", issued="2026-11-23"), "J-paper"),
    (_document("commitment", valid_until="2026-11-20"), "J-paper"),
    (_document("commitment", criteria=["J-other"]), "J-paper"),
    (_document("financial_statements", years=[2021, 2024, 2025]), "J-years"),
    (_document("maturity", level=2), "J-level"),
    (_document("maturity", level=None), "J-level"),
    (_without_document("accident_free"), "J-event"),
    (_record(1, "incidents", "一般", "重大"), "J-event"),
    (_record(1, "incidents", "accident", "dishonesty"), "J-clean"),
    (_record(1, "titles", "held", "revoked"), "J-title"),
    (_record(1, "titles", "basic", "scene"), "J-title"),
    (_record(1, "applications", "granted", "refused"), "J-renewed"),
    (_record(1, "effects", "82.5", "79.5"), "J-better"),
    (_record(1, "benchmarks", "province_mean", "national_lead"), "J-better"),
    (_record(1, "profile", "large", "small"), "J-small"),
]


@pytest.mark.parametrize(("change", "criterion"), UNDERMINED, ids=[f"{i}-{c}" for i, (_, c) in enumerate(UNDERMINED)])
def test_a_verdict_kept_though_its_ground_is_gone_is_caught(
    judged: Made, change: Callable[[Leaves, Files], None], criterion: str
) -> None:
    then = next(v for v in json.loads(judged.files[bag.RESULTS])["verdicts"] if v["criterion"] == criterion)

    def kept(report: Report) -> None:
        at = next(i for i, v in enumerate(report["verdicts"]) if v["criterion"] == criterion)
        assert report["verdicts"][at]["verdict"] != then["verdict"]  # it would have followed otherwise
        report["verdicts"][at] = then

    assert _failed(judged.plant.verify(forged(judged.files, entries=change))) == set()
    assert _failed(judged.plant.verify(forged(judged.files, entries=change, results=kept))) == {"H-72"}


def test_a_scene_that_left_the_register_no_longer_decides(judged: Made) -> None:
    def not_yet(leaves: Leaves, files: Files) -> None:
        name = "data/inventory/register/000001.json"
        files[name] = files[name].replace(b"2026-05-01", b"2027-05-01")
        at = next(i for i, e in enumerate(leaves) if e.t == "register")
        old, digest = leaves[at], hashlib.sha256(files[name]).hexdigest()
        leaves[at] = Entry(old.t, old.at_ms, old.actor, old.body | {"sha256": digest})

    findings = judged.plant.verify(
        forged(judged.files, entries=not_yet, results=_verdict("J-scene", verdict="declared_only"))
    )
    assert _failed(findings) == {"H-72"}


def _unsaid(leaves: Leaves, files: Files) -> None:
    del files["data/records/000002/replaced.csv"]
    _name_again(leaves, 2, {"replaced.csv": None})


def _back_dated(leaves: Leaves, _: Files) -> None:
    at = next(i for i, e in enumerate(leaves) if e.t == "records" and e.body["rev"] == 1)
    old = leaves[at]
    leaves[at] = Entry(old.t, FIRST_HOUR_MS, old.actor, old.body)


def _document_back_dated(leaves: Leaves, _: Files) -> None:
    at = next(i for i, e in enumerate(leaves) if e.t == "document")
    old = leaves[at]
    leaves[at] = Entry(old.t, FIRST_HOUR_MS, old.actor, old.body)


def _one_row_less(leaves: Leaves, files: Files) -> None:
    name = "data/records/000001/batches.csv"
    files[name] = b"".join(files[name].splitlines(keepends=True)[:-1])
    _name_again(leaves, 1, {"batches.csv": hashlib.sha256(files[name]).hexdigest()})


def _entered_long_ago(leaves: Leaves, files: Files) -> None:
    """A column that claims when a row was entered."""
    name = "data/records/000001/batches.csv"
    head, *rows = files[name].splitlines()
    files[name] = b"".join(x + b"\n" for x in (head + b",entered_us", *(r + b",0" for r in rows)))
    _name_again(leaves, 1, {"batches.csv": hashlib.sha256(files[name]).hexdigest()})


RECORDS: list[Callable[[Leaves, Files], None]] = [
    _unsaid,
    _back_dated,
    _document_back_dated,
    _one_row_less,
    _entered_long_ago,
    _record(2, "finance", "30000000.00", "40000000.00"),
    lambda leaves, files: files.update({"data/records/000001/quarantine.csv": b"x\n"}),
    lambda leaves, files: files.update({"data/records/000009/batches.csv": b"x\n"}),
    lambda leaves, files: files.pop("data/records/000001/titles.csv") and None,
]


@pytest.mark.parametrize("change", RECORDS, ids=[str(i) for i in range(len(RECORDS))])
def test_records_that_contradict_their_leaves_or_themselves_fail_c_26(
    judged: Made, change: Callable[[Leaves, Files], None]
) -> None:
    """Whatever else no longer follows: the first thing said is that records are not what was entered."""

    def both(leaves: Leaves, files: Files) -> None:
        change(leaves, files)

    assert "C-26" in _failed(judged.plant.verify(forged(judged.files, entries=both)))


@pytest.mark.parametrize(
    "raw", [b'a\n"b"\n', b"a,a\nb,c\n", b"a,b\nc\n", b"a\r\nb\r\n", b"", b"a\nb", b"\xef\xbb\xbfa\nb\n\xff"]
)
def test_a_file_of_records_has_one_spelling(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what is wrong with it does not matter
        read_table(raw)


def test_an_adopted_instrument_cannot_be_left_out(judged: Made) -> None:
    files = {n: c for n, c in judged.files.items() if not n.startswith("data/rules/CN/")}
    body = json.loads(files[bag.PACK_JSON])
    del body["rules"]["CN/G1"]
    files[bag.PACK_JSON] = json.dumps(body, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    findings = judged.plant.verify(reseal(files))
    assert _failed(findings) == {"H-72"}
    assert "CN/G1" in _found(findings, "H-72")


def test_rules_that_nothing_adopts_are_no_part_of_a_pack(judged: Made) -> None:
    def more(leaves: Leaves, files: Files) -> None:
        for form in ("yaml", "json"):
            raw = files[f"data/rules/CN/G1.{form}"]
            files[f"data/rules/CN/G2.{form}"] = raw.replace(b"CN/G1", b"CN/G2")
        digest = hashlib.sha256(files["data/rules/CN/G2.yaml"]).hexdigest()
        body = {"instrument": "CN/G2", "sha256": digest, "edition": 1}
        leaves.append(Entry("rules", leaves[-1].at_ms, "plantproof", body))

    def stated(body: Any) -> None:
        raw = judged.files["data/rules/CN/G1.yaml"].replace(b"CN/G1", b"CN/G2")
        body["rules"]["CN/G2"] = hashlib.sha256(raw).hexdigest()

    findings = judged.plant.verify(forged(judged.files, entries=more, stated=stated))
    assert _failed(findings) == {"H-72"}
    assert "用不上" in _found(findings, "H-72")


def test_adopted_rules_that_the_reader_does_not_know_are_said(judged: Made) -> None:
    import io

    from evidence_api.verify.verifier import verify_pack

    digest = hashlib.sha256(judged.files["data/rules/CN/G1.yaml"]).hexdigest()
    known = {k: v for k, v in judged.plant.known.items() if k != digest}
    findings = verify_pack(io.BytesIO(judged.raw), judged.plant.public_key, known)
    assert findings.exit_code == 7
    assert "CN/G1" in _found(findings, "H-71")


@pytest.mark.parametrize(
    ("dates", "standing", "shown"),
    [
        ("status: draft\nin_force: {from: null, until: null}", "draft", "征求意见稿，未施行"),
        ("status: expired\nin_force: {from: 2022-04-30, until: 2025-12-31}", "expired", "已于 2025-12-31 失效"),
    ],
)
def test_what_binds_nobody_is_marked_and_met_by_nobody(tmp_path: Any, dates: str, standing: str, shown: str) -> None:
    from tests.evidence_api.packs.plant import RULES

    rules = RULES.replace("status: in_force\nin_force: {from: 2025-08-06, until: null}", dates)
    first = {"draft": "from: null", "expired": "from: 2022-04-30"}[standing]
    rules = rules.replace("- {from: 2025-08-06, until: null, threshold", f"- {{{first}, until: null, threshold")
    plant = make_plant(tmp_path, rules=rules.replace("until: null, threshold", _until(standing)))
    raw = plant.build().path.read_bytes()
    findings = plant.verify(raw)
    assert _failed(findings) == set()
    assert shown in _found(findings, "H-72")
    files = files_of(raw)
    assert json.loads(files[bag.RESULTS])["instrument"]["standing"] == standing
    for name in ("READ-ME-FIRST.txt", "data/report/report.html"):
        assert shown in files[name].decode("utf-8-sig")
    changed = forged(files, results=lambda r: r["levels"][0].update(verdict="met"))
    assert _failed(plant.verify(changed)) == {"H-72"}


def _until(standing: str) -> str:
    return "until: 2025-12-31, threshold" if standing == "expired" else "until: null, threshold"


def test_the_verifiers_own_copies_of_words_are_the_programs() -> None:
    from config.metric_names import MEMBERS, TITLES
    from config.procedures import SEVERITIES
    from config.record_kinds import KINDS as RECORD_KINDS
    from evidence_api.verify import papers
    from evidence_api.verify.catalogue import KINDS
    from evidence_api.verify.records import KEYS
    from metrics.office.effect_periods import DOWN, UP

    assert {m: k.title for m, k in KINDS.items()} == TITLES
    assert {m: k.member for m, k in KINDS.items()} == MEMBERS
    assert {name: kind.key for name, kind in RECORD_KINDS.items()} == KEYS
    assert papers.SEVERITIES == SEVERITIES
    words = RECORD_KINDS["effects"].column["indicator"].words
    assert {code: zh for code, (_, zh) in papers.INDICATORS.items()} == {w[0]: w[1] for w in words}
    assert {code for code, (sense, _) in papers.INDICATORS.items() if sense > 0} == UP
    assert {code for code, (sense, _) in papers.INDICATORS.items() if sense < 0} == DOWN
