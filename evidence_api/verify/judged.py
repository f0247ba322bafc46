"""Rules, verdicts, marks. Steps, each a `PackRefused` with its code:

H-71 the rules are a file the reader has too (hint: the reader brought none; unknown: his copies are others)
H-72 each verdict, and each level's, follows from rules and results; each criterion in force is there once
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
from evidence_api.verify.judgement import judge, level_verdict
from evidence_api.verify.sealed import Opened

TITLES = {
    "H-71": "规则是否您手中的那一份",
    "H-72": "判定由规则与下限推出",
    "H-73": "数据来源标记处处一致",
    "H-74": "证明等级",
}
EVALUATED = ("met", "short", "insufficient_data")


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


def check_verdicts(pack: Container, report: dict[str, Any]) -> tuple[list[tuple[str, str, str]], str]:
    """H-72. Out: (criterion, verdict, why) of those that numbers decide."""
    rules = bag.read_json(pack, bag.RULES, "H-72", TITLES["H-72"])
    words = judge(rules, report["results"], date.fromisoformat(report["day"]))
    given = {v["criterion"]: (v["verdict"], v["numbers"]) for v in report["verdicts"]}
    wrong = sorted(i for i in set(words) | set(given) if words.get(i) != given.get(i))
    if wrong or len(given) != len(report["verdicts"]):
        first = wrong[0] if wrong else "?"
        raise PackRefused("H-72", TITLES["H-72"], f"{first}: 包内 {given.get(first)}, 推得 {words.get(first)}")
    for level in report["levels"]:
        if level["verdict"] != level_verdict(rules, level["id"], words):
            raise PackRefused("H-72", TITLES["H-72"], f"梯次 {level['id']}: 包内 {level['verdict']} 与各条判定不合")
    titles = {c["id"]: f"{c['article']} {c['title']}" for c in rules["criteria"]}
    decided = [v for v in report["verdicts"] if v["verdict"] in EVALUATED]
    shown = [(f"{v['criterion']} {titles[v['criterion']]}", v["verdict"], v["why"]) for v in decided]
    met = sum(v["verdict"] == "met" for v in decided)
    return shown, f"{len(words)} 条，其中由数据判定 {len(decided)} 条，达标 {met} 条"


def check_origin(stated: bag.PackJson, ledger: Ledger, opened: Opened, report: dict[str, Any]) -> tuple[str, str]:
    """H-73. Out: the origin of the whole: simulated, replay or live."""
    genesis = ledger.genesis["origin_class"]
    announced = {(e.body["device"], e.body["origin"]) for _, e in ledger.of("identity")}
    if genesis not in bag.MARKS:
        raise _refused(f"创世条目的来源 {genesis!r} 不认识")
    if genesis != "live" and set(opened.origins) - {genesis}:
        raise _refused(f"创世条目为 {genesis}，行里却有 {sorted(set(opened.origins) - {genesis})}")
    if genesis == "live" and not opened.not_live_devices <= announced:
        raise _refused(f"没有自报登记而标为非实采: {sorted(opened.not_live_devices - announced)[:3]}")
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


def _refused(found: str) -> PackRefused:
    return PackRefused("H-73", TITLES["H-73"], found)
