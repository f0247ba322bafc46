"""results.json before any number is looked at. One step:

E-49 it is about this ledger, moment, register, records and rules; each known metric is there once for each of its scopes, in its window
     and unit, marked as its lines are; its keys are the known ones; lower <= value <= upper, no ratio exceeds 1, and bounds that count
     members are the counts of their flags

In: results.json, pack.json, `Obligation`, `Ledger`. Out: text to print. Whether a number is right is asked in recount.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from evidence_api.verify.bag import PackJson
from evidence_api.verify.catalogue import DAYS_30, KINDS, MONTHS_3, MONTHS_12
from evidence_api.verify.findings import PackRefused
from evidence_api.verify.history import Ledger
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.twin import MONTHS, any_not_live

FORMAT, HEAD = "plantproof-report/2", "结果文件属于本账本、本时刻、本规则"
_HEAD_KEYS = set(
    "format at_us day end_us size root origin_class simulated shown results references strips "
    "instrument adopted criteria verdicts levels".split()
)
_RESULT_KEYS = set(
    "declared exclusions inputs lower members metric notes parameters scope simulated status unit upper value version window".split()
)
_MEMBER_KEYS = {"facts", "id", "lower", "name", "upper", "value", "why"}
_STATUS = ("ok", "insufficient_data", "not_applicable")
BOUNDS = ("lower", "value", "upper")


def check_head(report: Any, stated: PackJson, obligation: Obligation, ledger: Ledger) -> str:
    """E-49."""
    if not isinstance(report, dict) or set(report) != _HEAD_KEYS or report["format"] != FORMAT:
        raise _refused("字段不符")
    body, instrument = stated.body, report["instrument"]
    start_us, end_us = obligation.last_months(MONTHS)
    same = (
        report["at_us"] == body["at_ms"] * 1000
        and report["day"] == obligation.day
        and report["end_us"] == end_us
        and body["window"] == [start_us // 1000, end_us // 1000]
        and (report["size"], report["root"]) == (body["ledger"]["size"], body["ledger"]["root"])
        and report["origin_class"] == body["origin_class"]
        and (instrument["id"], instrument["sha256"]) == (body["instrument"], body["rules"][body["instrument"]])
    )
    if not same:
        raise _refused("时刻、窗口、账本、来源或规则与 pack.json 不同")
    expected = digests(stated, obligation, ledger)
    windows = windows_of(obligation)
    simulated = {name: any_not_live(obligation.evidence, window) for name, window in windows.items()}
    seen: set[tuple[str, str]] = set()
    for r in report["results"]:
        key = (r["metric"], r["scope"])
        if dict(r["inputs"]) != expected or len(r["inputs"]) != len(expected):
            raise _refused(f"{r['metric']} {r['scope']}: 所据台账版次、记录版次或账本与包内不同")
        if key in seen or r["metric"] not in KINDS or not well_formed(r):
            raise _refused(f"{key}: 重复、未知、字段不符、上下限颠倒或与成员不合")
        window, name = windows[KINDS[r["metric"]].window], KINDS[r["metric"]].window
        if r["window"] != {"start_us": window[0], "end_us": window[1]} or r["simulated"] is not simulated[name]:
            raise _refused(f"{key}: 窗口或数据来源标记不符")
        seen.add(key)
    missing = _scopes(obligation) ^ seen
    if missing:
        raise _refused(f"缺少或多出 {', '.join(' '.join(x) for x in sorted(missing)[:3])}")
    return f"{len(seen)} 项结果，均有下限 ≤ 实测 ≤ 上限"


def windows_of(obligation: Obligation) -> dict[str, tuple[int, int]]:
    """[start, end) in µs of each kind of window."""
    end = datetime.fromtimestamp(obligation.end_us // 1_000_000, UTC).astimezone(obligation.tz)
    of_month = Obligation.months_to(end.date().replace(day=1), 1, obligation.tz)
    return {
        DAYS_30: obligation.last_days(30),
        MONTHS_3: obligation.last_months(MONTHS),
        MONTHS_12: obligation.last_months(12),
        "last whole month": of_month,
    }


def digests(stated: PackJson, obligation: Obligation, ledger: Ledger) -> dict[str, str]:
    """What each result says it rests on."""
    register = obligation.register
    leaves = {e.body["rev"]: e.body["sha256"] for _, e in ledger.of("register")}
    imports = [e.body["rev"] for _, e in ledger.of("records") if e.body["kind"] == "import"]
    return {
        "register_rev": str(register.rev) if register else "",
        "register_sha256": leaves[register.rev] if register else "",
        "records_rev": str(imports[-1]) if imports else "",
        "ledger_size": str(stated.body["ledger"]["size"]),
        "ledger_root": stated.body["ledger"]["root"],
    }


def well_formed(result: dict[str, Any]) -> bool:
    """Exactly the known keys; no parameter and no member twice; bounds in order, and what their members add up to."""
    kind, members = KINDS[result["metric"]], result["members"]
    names = [p[0] for p in result["parameters"]]
    sound = set(result) == _RESULT_KEYS and result["version"] == 1 and result["unit"] == kind.unit
    if not sound or result["status"] not in _STATUS or len(set(names)) != len(names):
        return False
    if len({m["id"] for m in members}) != len(members) or not all(_is_member(m) for m in members):
        return False
    if kind.counted and [result[b] for b in BOUNDS] != [[sum(m[b] for m in members), len(members)] for b in BOUNDS]:
        return False
    empty = result["value"][1] == 0
    return _ordered(result) and not (empty and result["status"] == "ok")


def _is_member(m: dict[str, Any]) -> bool:
    flags = [m[b] for b in BOUNDS]
    once = len({f[0] for f in m["facts"]}) == len(m["facts"])
    return set(m) == _MEMBER_KEYS and once and all(type(f) is bool for f in flags) and flags == sorted(flags)


def _ordered(result: dict[str, Any]) -> bool:
    pairs = [result[b] for b in BOUNDS] + ([result["declared"]] if result["declared"] is not None else [])
    if any(len(p) != 2 or any(type(n) is not int or n < 0 for n in p) for p in pairs):
        return False
    if result["unit"] == "ratio" and any(n > d for n, d in pairs):
        return False
    (a, b), (c, d), (e, f) = pairs[:3]
    if 0 in (b, d, f):
        return bool(b == d == f)
    return bool(a * d <= c * b and c * f <= e * d)


def _scopes(obligation: Obligation) -> set[tuple[str, str]]:
    """Every (metric, scope) there has to be."""
    register = obligation.register
    lines = [f"line:{x['id']}" for x in register.lines if x.get("representative")] if register else []
    names = {"plant": ["plant"], "line": lines or ["line:-"]}
    return {(metric, scope) for metric, kind in KINDS.items() for part in kind.scopes for scope in names[part]}


def _refused(found: str) -> PackRefused:
    return PackRefused("E-49", HEAD, found)
