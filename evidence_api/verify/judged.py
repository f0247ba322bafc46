"""Rules, verdicts, marks. Steps, each a `PackRefused` with its code:

H-71 each set of rules is a file the reader has too (hint: the reader brought none; unknown: his copies are others), named by its own id
H-72 each verdict, distance and figure judged, each level's summary, each criterion's row and the instrument's name follow from rules,
     results, records, documents and register, for the instrument and for all it adopts; what it adopts is in the pack, and nothing else
H-73 the mark is the same everywhere: genesis, identity entries, every line, every result and verdict, pack.json; what is not live
     is met nowhere
H-74 the grade follows from the steps (given by the walk)

Texts for people (why, required, needs, warnings) are not made again. In: the rules as JSON, results.json, the evidence, lines' origins.
Out: text to print, verdicts, the origin of the whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

from collector.ledger.entry import canonical_json
from evidence_api.verify import bag
from evidence_api.verify.container import Container
from evidence_api.verify.findings import HINT, OK, UNKNOWN, PackRefused
from evidence_api.verify.history import Ledger
from evidence_api.verify.instruments import NotOnShelf, Rules, criterion_row, instrument_row, name_on, value_of
from evidence_api.verify.judgement import EVALUATED, Judged, judge_all
from evidence_api.verify.measured import chosen, unmet
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.recount import NOT_RECOUNTED
from evidence_api.verify.sealed import Opened
from evidence_api.verify.word import Ground

TITLES = {
    "H-71": "规则是否您手中的那一份",
    "H-72": "判定由规则、下限、记录与材料推出",
    "H-73": "数据来源标记处处一致",
    "H-74": "证明等级",
}
CONDITIONS = {
    "condition.longest_stop": "最长停机不超过 24 小时",
    "condition.unknown_days": "状态不明不超过 5 %",
    "condition.excused_days": "免计不超过 20 %",
    "condition.commissioned": "窗口前已投产",
}
_TEXTS = ("criterion", "why", "required", "needs", "warnings")  # of a verdict: what it is about, and words for people
_JUDGED_BY = {
    "document": "凭材料登记",
    "event": "凭重大事项记录与材料",
    "title": "凭称号记录",
    "benchmark": "凭成效与行业水平记录",
    "scene": "凭台账场景",
    "reference": "凭引用文件的逐条判定",
}
_PARTS = ("instrument", "adopted", "criteria", "verdicts", "levels")


def check_known(pack: Container, stated: bag.PackJson, known: Mapping[str, str] | None) -> tuple[str, str]:
    """H-71. Out: the step's outcome, text."""
    own, unknown = stated.text("instrument"), []
    shelf = read_shelf(pack, stated, "H-71")
    name = f"{own} {shelf[own]['doc_no'] or ''} 第 {shelf[own]['edition']} 版".replace("  ", " ")
    for instrument, digest in stated.body["rules"].items():
        if known is not None and digest not in known:
            unknown.append(f"{instrument} (SHA-256 {digest[:16]}…)")
        elif known is not None and hashlib.sha256(canonical_json(shelf[instrument])).hexdigest() != known[digest]:
            raise PackRefused("H-71", TITLES["H-71"], f"{instrument}: JSON 与 YAML 说的不是同一套规则")
    if known is None:
        return HINT, f"{name}: 手头没有规则文件可比，请与主管部门公布的条文核对"
    if unknown:
        return UNKNOWN, f"{name}: 与手头的规则文件都不同: {', '.join(unknown[:3])}"
    others = f"，连同所引用的 {len(shelf) - 1} 份" if len(shelf) > 1 else ""
    return OK, f"{name}{others}，与手头文件逐字节相同"


def read_shelf(pack: Container, stated: bag.PackJson, code: str) -> dict[str, Rules]:
    """Every instrument in the pack by its id. Errors: `PackRefused` with the code of the step that asks."""
    shelf = {}
    for instrument in stated.body["rules"]:
        rules = bag.read_json(pack, bag.rules_file(instrument, "json"), code, TITLES[code])
        if rules["id"] != instrument:
            raise PackRefused(code, TITLES[code], f"{instrument}: 文件里写的是 {rules['id']}")
        shelf[instrument] = rules
    return shelf


def ground_of(report: dict[str, Any], obligation: Obligation) -> Ground:
    """What verdicts rest on: the results, and records, documents and scenes as the pack holds them."""
    evidence, register = obligation.evidence, obligation.register
    return Ground(
        date.fromisoformat(obligation.day),
        report["results"],
        evidence.records or {},
        tuple(evidence.documents),
        tuple(register.body.get("scene", [])) if register else (),
    )


def check_verdicts(
    pack: Container, stated: bag.PackJson, report: dict[str, Any], obligation: Obligation
) -> tuple[list[tuple[str, str, str]], str]:
    """H-72. Out: (criterion, verdict, why) of those of the instrument itself that were decided."""
    shelf, own = read_shelf(pack, stated, "H-72"), stated.text("instrument")
    ground = ground_of(report, obligation)
    try:
        judged = judge_all(own, shelf, ground)
    except NotOnShelf as err:
        raise _unfit(f"规则所引用的 {err} 不在包内") from err
    if set(judged) != set(shelf):
        raise _unfit(f"包内有用不上的规则: {', '.join(sorted(set(shelf) - set(judged)))}")
    if report["shown"] != shelf[own]["shown"]:
        raise _unfit("只作展示的指标与规则所列不同")
    if stated.text("level") not in [level["id"] for level in shelf[own]["levels"]]:
        raise _unfit(f"规则里没有申报梯次 {stated.text('level')!r}")
    others = [i for i in sorted(judged) if i != own]
    if [r["instrument"]["id"] for r in report["references"]] != others:
        raise _unfit(f"应逐条判定所引用的 {', '.join(others) or '（无）'}，一份一次")
    for part, instrument in zip([report, *report["references"]], [own, *others], strict=True):
        _compare(part, judged[instrument], ground, stated.body["rules"][instrument])
        if part is not report and set(part) != set(_PARTS):
            raise _unfit(f"{instrument}: 字段不符")
    words, by_id = judged[own].words, {c["id"]: c for c in shelf[own]["criteria"]}
    decided = [i for i, w in words.items() if w.verdict in EVALUATED]
    met = sum(words[i].verdict == "met" for i in decided)
    shown = [
        (f"{i} {by_id[i]['article']} {by_id[i]['title']}", words[i].verdict, _words(by_id[i], shelf[own], ground))
        for i in decided
    ]
    total = sum(len(j.words) for j in judged.values())
    name = name_on(shelf[own], ground.day)
    return shown, f"{name}: {len(words)} 条，有结论 {len(decided)} 条，达标 {met} 条；连同引用文件共 {total} 条逐条推出"


def _compare(part: dict[str, Any], judged: Judged, ground: Ground, sha256: str) -> None:
    """One instrument's part of the report against what follows."""
    rules, name = judged.rules, judged.rules["id"]
    if part["instrument"] != instrument_row(rules, ground.day, sha256):
        raise _unfit(f"{name}: 结果文件所写的办法名称、效力、文号或版次与规则不同")
    if part["adopted"] != judged.adopted:
        raise _unfit(f"{name}: 引用的版本: 包内 {part['adopted']}, 推得 {judged.adopted}")
    if [v["criterion"] for v in part["verdicts"]] != list(judged.words):
        raise _unfit(f"{name}: 条款缺少、多出、重复或次序不同")
    rows = [criterion_row(c, rules, ground.day) for c in rules["criteria"] if c["id"] in judged.words]
    if [{k: v for k, v in row.items() if k != "required"} for row in part["criteria"]] != rows:
        raise _unfit(f"{name}: 结果文件所写的条款与规则不同")
    for verdict in part["verdicts"]:
        expected = judged.words[verdict["criterion"]].to_json()
        found = {k: v for k, v in verdict.items() if k not in _TEXTS}
        if found != expected or not set(_TEXTS) <= set(verdict):
            names = (
                [k for k in expected if found.get(k) != expected[k]] or sorted(set(found) ^ set(expected)) or ["文字"]
            )
            told, follows = found.get(names[0]), expected.get(names[0])
            raise _unfit(f"{verdict['criterion']} {names[0]}: 包内 {told}, 推得 {follows}")
    if part["levels"] != judged.levels:
        level = next((e["id"] for e, g in zip(judged.levels, part["levels"], strict=False) if e != g), "缺少或多出")
        raise _unfit(f"{name} 梯次 {level}: 包内所写与各条判定不合")


def _words(criterion: dict[str, Any], rules: Rules, ground: Ground) -> str:
    """In the verifier's own words: a pack's text is not repeated here."""
    if criterion["judged_by"] != "metric":
        return _JUDGED_BY.get(criterion["judged_by"], "")
    parts = []
    for r in chosen(criterion, ground.results):
        place = "" if r["scope"] == "plant" else f"{r['scope'].partition(':')[2]} "
        conditions = [CONDITIONS.get(k, k) for k in unmet(r)]
        which, bound = ("上限", r["upper"]) if criterion["op"] in ("<=", "<") else ("下限", r["lower"])
        text = f"{place}{which} {bound[0]}/{bound[1]}"
        text += f"，条件未满足 {'、'.join(conditions)}" if conditions else ""
        text += "" if r["status"] == "ok" else "，数据不足"
        text += "，非实采" if r["simulated"] else ""
        parts.append(text + ("，企业计算、未复算" if r["metric"] in NOT_RECOUNTED else ""))
    value = value_of(rules, criterion, ground.day) or {}
    return f"要求 {criterion['op']} {value.get('threshold', '')}；" + ("；".join(parts) or "没有结果")


def check_origin(stated: bag.PackJson, ledger: Ledger, opened: Opened, report: dict[str, Any]) -> tuple[str, str]:
    """H-73. Out: the origin of the whole: simulated, replay or live."""
    genesis = ledger.genesis["origin_class"]
    if genesis not in bag.MARKS:
        raise _refused(f"创世条目的来源 {genesis!r} 不认识")
    if genesis != "live" and set(opened.origins) - {genesis}:
        raise _refused(f"创世条目为 {genesis}，行里却有 {sorted(set(opened.origins) - {genesis})}")
    unfit = _unfit_identities(genesis, ledger, opened)
    if unfit:
        raise _refused(f"行里的来源或身份版次与设备自报的登记不符: {unfit[:3]}")
    present = {genesis, *(name for name, n in opened.origins.items() if n)}
    whole = next(name for name in ("simulated", "replay", "live") if name in present)
    if stated.text("mark") != bag.MARKS[whole] or stated.body["origins"] != {n: opened.origins[n] for n in bag.MARKS}:
        raise _refused("pack.json 的标记或来源计数与行不同")
    marked = [r["simulated"] for r in report["results"]]
    if genesis != "live" and not (all(marked) and report["simulated"]):
        raise _refused("创世条目为非实采，结果却未标明")
    for verdict in [v for part in (report, *report["references"]) for v in part["verdicts"]]:
        if verdict["simulated"] and verdict["verdict"] == "met":
            raise _refused(f"{verdict['criterion']}: 非实采数据判了达标")
    if report["simulated"] != (genesis != "live" or any(marked)):
        raise _refused("结果文件的标记与各项结果不同")
    total = sum(opened.origins.values())
    return (
        whole,
        f"{'全部' if len(present) == 1 else '创世'} {genesis}；台时 {total:,}，{bag.MARKS[whole] or '均为实采'}",
    )


def _unfit_identities(genesis: str, ledger: Ledger, opened: Opened) -> list[tuple[str, int, str]]:
    """Lines whose origin is not what genesis and the newest identity leaf before their seal say."""
    leaves: dict[str, list[tuple[int, str]]] = {}
    for index, entry in ledger.of("identity"):
        known = leaves.setdefault(entry.body["device"], [])
        known.append((index, entry.body["origin"] if entry.body["rev"] == len(known) + 1 else ""))
    unfit = []
    for (device, rev, origin), (first, last) in opened.identified.items():
        known = leaves.get(device, [])
        begin, said = known[rev - 1] if 0 < rev <= len(known) else (0, "" if rev else "live")
        until = known[rev][0] if rev < len(known) else len(ledger.entries)
        if not (begin < first and last < until) or origin != (said if genesis == "live" else genesis):
            unfit.append((device, rev, origin))
    return sorted(unfit)


def _unfit(found: str) -> PackRefused:
    return PackRefused("H-72", TITLES["H-72"], found)


def _refused(found: str) -> PackRefused:
    return PackRefused("H-73", TITLES["H-73"], found)
