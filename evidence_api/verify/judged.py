"""Rules, verdicts, marks. Steps, each a `PackRefused` with its code:

H-71 the rules are a file the reader has too (hint: the reader brought none; unknown: his copies are others)
H-72 each verdict and distance, and each level's summary, follow from rules and results; each criterion in force is there once
H-73 the mark is the same everywhere: genesis, identity entries, every line, every result and verdict, pack.json; what is not live
     is met nowhere
H-74 the grade follows from the steps (given by the walk)

In: rules.json, results.json, lines' origins. Out: text to print, verdicts, the origin of the whole.
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
from evidence_api.verify.judgement import bar, chosen, distance, judge, level_verdict
from evidence_api.verify.sealed import Opened

TITLES = {
    "H-71": "规则是否您手中的那一份",
    "H-72": "判定由规则与下限推出",
    "H-73": "数据来源标记处处一致",
    "H-74": "证明等级",
}
EVALUATED = ("met", "short", "insufficient_data")
NOT_RECOUNTED = ("M12",)  # its raw rows stay with the plant
CONDITIONS = {
    "condition.longest_stop": "最长停机不超过 24 小时",
    "condition.unknown_days": "状态不明不超过 5 %",
    "condition.excused_days": "免计不超过 20 %",
    "condition.commissioned": "窗口前已投产",
}
VERDICT_KEYS = {"criterion", "distance", "distance_unit", "numbers", "simulated", "verdict", "why"}


def check_known(pack: Container, stated: bag.PackJson, known: Mapping[str, str] | None) -> tuple[str, str]:
    """H-71. Out: the step's outcome, text."""
    digest = stated.text("rules_sha256")
    rules = bag.read_json(pack, bag.RULES, "H-71", TITLES["H-71"])
    name = f"{rules['id']} {rules['doc_no']} 第 {rules['edition']} 版"
    if rules["id"] != stated.text("instrument"):
        raise PackRefused("H-71", TITLES["H-71"], f"rules.json 是 {rules['id']}，包按 {stated.text('instrument')} 申报")
    if known is None:
        return HINT, f"{name}: 手头没有规则文件可比，请与主管部门公布的条文核对"
    if digest not in known:
        return UNKNOWN, f"{name}: 与手头的规则文件都不同 (SHA-256 {digest[:16]}…)"
    if hashlib.sha256(canonical_json(rules)).hexdigest() != known[digest]:
        raise PackRefused("H-71", TITLES["H-71"], "rules.json 与 rules.yaml 说的不是同一套规则")
    return OK, f"{name}，与手头文件逐字节相同"


def check_verdicts(
    pack: Container, stated: bag.PackJson, report: dict[str, Any]
) -> tuple[list[tuple[str, str, str]], str]:
    """H-72. Out: (criterion, verdict, why) of those that numbers decide."""
    rules = bag.read_json(pack, bag.RULES, "H-72", TITLES["H-72"])
    day = date.fromisoformat(report["day"])
    words = judge(rules, report["results"], day)
    given = {v["criterion"]: (v["verdict"], v["numbers"]) for v in report["verdicts"]}
    wrong = sorted(i for i in set(words) | set(given) if words.get(i) != given.get(i))
    if wrong or len(given) != len(report["verdicts"]):
        first = wrong[0] if wrong else "?"
        raise PackRefused("H-72", TITLES["H-72"], f"{first}: 包内 {given.get(first)}, 推得 {words.get(first)}")
    _check_head(rules, stated, report)
    _check_levels(rules, report, words)
    by_id = {c["id"]: c for c in rules["criteria"]}
    for v in report["verdicts"]:
        c, (_, numbers) = by_id[v["criterion"]], words[v["criterion"]]
        measured = c["judged_by"] == "metric"
        expected = (
            any(r["simulated"] for r in chosen(c, report["results"])) if measured else False,
            distance(c, day, report["results"], numbers) if measured else None,
        )
        if set(v) != VERDICT_KEYS or (v["simulated"], v["distance"]) != expected:
            found = (v.get("simulated"), v.get("distance"))
            raise _unfit(f"{c['id']}: 包内 (非实采, 差距) {found}, 推得 {expected}")
    decided = [v for v in report["verdicts"] if v["verdict"] in EVALUATED]
    shown = []
    for v in decided:
        c = by_id[v["criterion"]]
        shown.append((f"{c['id']} {c['article']} {c['title']}", v["verdict"], _words(c, day, report["results"])))
    met = sum(v["verdict"] == "met" for v in decided)
    return shown, f"{len(words)} 条，其中由数据判定 {len(decided)} 条，达标 {met} 条"


def _check_head(rules: dict[str, Any], stated: bag.PackJson, report: dict[str, Any]) -> None:
    """What the results call the rules, and the level applied for, are the rules' own."""
    named = {k: rules[k] for k in ("id", "title", "doc_no", "edition")}
    if report["instrument"] != named | {"sha256": stated.text("rules_sha256")}:
        raise _unfit("结果文件所写的办法名称、文号或版次与规则不同")
    if report["shown"] != rules.get("shown", []):
        raise _unfit("只作展示的指标与规则所列不同")
    if stated.text("level") not in [level["id"] for level in rules["levels"]]:
        raise _unfit(f"规则里没有申报梯次 {stated.text('level')!r}")


def _check_levels(rules: dict[str, Any], report: dict[str, Any], words: dict[str, tuple[str, str]]) -> None:
    expected = []
    for level in rules["levels"]:
        mine = [c["id"] for c in rules["criteria"] if level["id"] in c["levels"] and c["id"] in words]
        if mine:
            said = [words[i][0] for i in mine]
            summary = {"id": level["id"], "title": level["title"], "verdict": level_verdict(rules, level["id"], words)}
            counts = {"total": len(mine), "evaluated": sum(w in EVALUATED for w in said), "met": said.count("met")}
            expected.append(summary | counts | {"criteria": mine})
    if report["levels"] != expected:
        wrong = next((e["id"] for e, g in zip(expected, report["levels"], strict=False) if e != g), "缺少或多出")
        raise _unfit(f"梯次 {wrong}: 包内所写与各条判定不合")


def _words(criterion: dict[str, Any], day: date, results: list[dict[str, Any]]) -> str:
    """In the verifier's own words, from numbers it has recomputed: a pack's text is not repeated here."""
    parts = []
    for r in chosen(criterion, results):
        place = "" if r["scope"] == "plant" else f"{r['scope'].partition(':')[2]} "
        unmet = [CONDITIONS.get(k, k) for k, v in r["parameters"] if k.startswith("condition.") and v != 1]
        text = f"{place}下限 {r['lower'][0]}/{r['lower'][1]}" + (f"，条件未满足 {'、'.join(unmet)}" if unmet else "")
        text += "" if r["status"] == "ok" else "，数据不足"
        text += "，非实采" if r["simulated"] else ""
        parts.append(text + ("，企业自报、未复算" if r["metric"] in NOT_RECOUNTED else ""))
    return f"要求 {bar(criterion, day)}；" + ("；".join(parts) or "没有结果")


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
    for verdict in report["verdicts"]:
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
