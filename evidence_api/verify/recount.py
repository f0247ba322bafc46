"""The numbers in the pack against the twin's. Steps, each a `PackRefused` with its code:

E-41 … E-46 M01, M03, M05, M06, M11, M13: every field of docs/metrics.md that follows from lines, register and records is equal
E-47 M12: the device-hours that were drawn are those that the ledger's root draws, and its figures are the sums of what the
     plant says of each; their raw rows are not in the pack
E-48 the four derived tables are what register, ledger and lines say
E-50 the days of each device shown as strips are those of M11's device-days
E-49 results.json is about this ledger, moment, register, records and rules, holds known metrics once per scope, and lower <= value <= upper

In: results.json, `Obligation`. Out: text to print, `Number`s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evidence_api.verify.bag import CHANGES, DEVICES, GAPS, PACKS, PackJson
from evidence_api.verify.container import Container
from evidence_api.verify.evidence import Register
from evidence_api.verify.findings import Number, PackRefused
from evidence_api.verify.history import Ledger
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.tables import Gaps, changes_table, devices_table, packs_table
from evidence_api.verify.twin import CHALLENGES, MONTHS, any_not_live, history_draw, recompute
from evidence_api.verify.twin_running import device_strips

STEP_OF = {"M01": "E-41", "M03": "E-42", "M05": "E-43", "M06": "E-44", "M11": "E-45", "M13": "E-46"}
TITLE_OF = {
    "M01": "设备联网率",
    "M03": "主要数控设备联网率",
    "M05": "生产装备数控化率",
    "M06": "关键工序数控化率",
    "M11": "稳定运行",
    "M12": "历史数据可追溯",
    "M13": "批次追溯率",
}
STRIPS = "各设备逐日状态"
TABLES, HEAD = "派生表与设备台账、行一致", "结果文件属于本账本、本时刻、本规则"
_HEAD_KEYS = (
    "format at_us day end_us instrument size root origin_class simulated shown results verdicts levels strips".split()
)

_RESULT_KEYS = set(
    "declared exclusions inputs lower members metric notes parameters scope simulated status upper value version window".split()
)
_MEMBER_KEYS = {"facts", "id", "lower", "name", "upper", "value", "why"}


def check_head(report: Any, stated: PackJson, obligation: Obligation, ledger: Ledger) -> str:
    """E-49."""
    if not isinstance(report, dict) or set(report) != set(_HEAD_KEYS) or report["format"] != "plantproof-report/1":
        raise PackRefused("E-49", HEAD, "字段不符")
    body, instrument = stated.body, report["instrument"]
    start_us, end_us = obligation.last_months(MONTHS)
    same = (
        report["at_us"] == body["at_ms"] * 1000
        and report["day"] == obligation.day
        and report["end_us"] == end_us
        and body["window"] == [start_us // 1000, end_us // 1000]
        and (report["size"], report["root"]) == (body["ledger"]["size"], body["ledger"]["root"])
        and report["origin_class"] == body["origin_class"]
        and (instrument["id"], instrument["sha256"]) == (body["instrument"], body["rules_sha256"])
    )
    if not same:
        raise PackRefused("E-49", HEAD, "时刻、窗口、账本、来源或规则与 pack.json 不同")
    seen: set[tuple[str, str]] = set()
    digests = _digests(stated, obligation, ledger)
    for r in report["results"]:
        if dict(r["inputs"]) != digests:
            raise PackRefused("E-49", HEAD, f"{r['metric']} {r['scope']}: 所据台账版次、记录版次或账本与包内不同")
        key = (r["metric"], r["scope"])
        if key in seen or r["metric"] not in TITLE_OF or not _ordered(r) or not _well_formed(r):
            raise PackRefused("E-49", HEAD, f"{key}: 重复、未知、字段不符或上下限颠倒")
        seen.add(key)
    return f"{len(seen)} 项结果，均有下限 ≤ 实测 ≤ 上限"


def check_metric(report: dict[str, Any], obligation: Obligation, metric: str) -> tuple[list[Number], str]:
    """E-41 … E-46, one metric. Out: numbers, text."""
    code, title = STEP_OF[metric], f"{metric} {TITLE_OF[metric]}"
    given = {r["scope"]: r for r in report["results"] if r["metric"] == metric}
    twins = recompute(obligation, metric)
    if set(given) != {t.scope for t in twins}:
        raise PackRefused(code, title, f"范围不符：包内 {sorted(given)}, 复算 {sorted(t.scope for t in twins)}")
    for twin in twins:
        different = twin.differences(given[twin.scope])
        if different:
            raise PackRefused(code, title, f"{twin.scope}: " + "; ".join(different[:3]))
    numbers = [Number(metric, t.scope, t.status, t.lower, t.value, t.upper) for t in twins]
    return numbers, "; ".join(shown(n) + _denominators(t.parameters) for n, t in zip(numbers, twins, strict=True))


def check_strips(report: dict[str, Any], obligation: Obligation) -> str:
    """E-50."""
    expected = device_strips(obligation)
    if report["strips"] != expected:
        theirs = {s[0]: s[1] for s in report["strips"]}
        wrong = [i for i, letters in expected if theirs.get(i) != letters]
        raise PackRefused("E-50", STRIPS, f"与复算不符: {', '.join(wrong[:5]) or '次序或多出的设备'}")
    return f"{len(expected)} 台设备，每台 {len(expected[0][1]) if expected else 0} 天"


def check_draw(report: dict[str, Any], obligation: Obligation) -> str:
    """E-47."""
    title = f"M12 {TITLE_OF['M12']}"
    found = [r for r in report["results"] if r["metric"] == "M12"]
    drawn, eligible, seed = history_draw(obligation)
    if len(found) != 1 or [m["id"] for m in found[0]["members"]] != drawn:
        raise PackRefused("E-47", title, "抽取的台时不是账本根所决定的那些")
    given = dict(found[0]["parameters"])
    if given.get("seed") != seed or given.get("eligible") != eligible:
        raise PackRefused("E-47", title, "抽样种子或可抽取数不符")
    members, window = found[0]["members"], obligation.last_months(MONTHS)
    sums = [[sum(m[k] is True for m in members), len(members)] for k in ("lower", "value", "upper")]
    expected: dict[str, Any] = {"window": {"start_us": window[0], "end_us": window[1]}, "declared": None}
    expected |= {
        "lower": sums[0],
        "value": sums[1],
        "upper": sums[2],
        "simulated": any_not_live(obligation.evidence, window),
    }
    wrong = [k for k, v in expected.items() if found[0][k] != v]
    if wrong or (found[0]["status"] == "ok" and len(members) < CHALLENGES):
        raise PackRefused(
            "E-47", title, f"{', '.join(wrong) or 'status'}: 与所抽各台时的合计不符，或不足 {CHALLENGES} 个而未标明"
        )
    n, d = found[0]["lower"]
    return f"抽样 {len(drawn)} 个台时与账本根所定相同；企业称 {n}/{d} 核对相符，原始数据不在包内，未复算"


def check_tables(pack: Container, ledger: Ledger, registers: Sequence[Register], gaps: Gaps, end_us: int) -> str:
    """E-48."""
    tz = registers[-1].tz
    expected = {
        DEVICES: devices_table(registers, end_us),
        CHANGES: changes_table(ledger.entries, tz),
        PACKS: packs_table(ledger.entries, tz),
        GAPS: gaps.table(),
    }
    wrong = [name for name, raw in expected.items() if pack.read(name) != raw]
    if wrong:
        raise PackRefused("E-48", TABLES, f"与设备台账或行不符: {', '.join(wrong)}")
    return "设备清单、台账变更、断档、导出记录"


def shown(number: Number) -> str:
    """`全厂 8/24 33.3 %（下限 7/24, 上限 9/24）`; percents are cut, never rounded up."""
    scope = "全厂" if number.scope == "plant" else number.scope.replace("line:", "产线 ")
    value = f"{number.value[0]}/{number.value[1]} {percent(number.value)}"
    return f"{scope} {value}（下限 {_fraction(number.lower)}，上限 {_fraction(number.upper)}）"


def _denominators(parameters: Mapping[str, int | str]) -> str:
    """A list that was shortened in the window shows here."""
    least, most = parameters.get("denominator_min"), parameters.get("denominator_max")
    return f"，窗口内分母 {least}–{most}" if least != most else ""


def percent(pair: tuple[int, int]) -> str:
    """Truncated to one decimal; an empty denominator has none."""
    if pair[1] == 0:
        return "—"
    tenths = pair[0] * 1000 // pair[1]
    return f"{tenths // 10}.{tenths % 10} %"


def _digests(stated: PackJson, obligation: Obligation, ledger: Ledger) -> dict[str, str]:
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


def _fraction(pair: tuple[int, int]) -> str:
    return f"{pair[0]}/{pair[1]}"


def _well_formed(result: dict[str, Any]) -> bool:
    """Exactly the known keys; no parameter twice; members with exactly theirs."""
    names = [p[0] for p in result["parameters"]]
    members = result["members"]
    sound = all(set(m) == _MEMBER_KEYS and len({f[0] for f in m["facts"]}) == len(m["facts"]) for m in members)
    return set(result) == _RESULT_KEYS and len(set(names)) == len(names) and sound and result["version"] == 1


def _ordered(result: dict[str, Any]) -> bool:
    (a, b), (c, d), (e, f) = result["lower"], result["value"], result["upper"]
    numbers = (a, b, c, d, e, f)
    if any(type(n) is not int or n < 0 for n in numbers) or a > b or c > d or e > f:
        return False
    return bool(a * d <= c * b and c * f <= e * d)
