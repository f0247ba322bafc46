"""The numbers in the pack against the twin's. Steps, each a `PackRefused` with its code:

E-41 … E-46 M01 M03 M05 M06 M11 M13, E-51 … E-55 M02 M04 M07 M22 M26, E-57 E-58 M21 FIN: every field of docs/metrics.md that
     follows from lines, register, records and documents is equal
E-47 M12: the device-hours that were drawn are those that the ledger's root draws, and its figures are the sums of what the
     plant says of each; their raw rows are not in the pack
E-48 the five derived tables are what register, ledger and lines say
E-50 the days of each device shown as strips are those of M11's device-days
E-56 the metrics without a twin: named with their numbers, as what the plant computed and nobody here has (hint)

In: results.json, `Obligation`. Out: text to print, `Number`s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evidence_api.verify.bag import CHANGES, DEVICES, DOCUMENTS, GAPS, PACKS
from evidence_api.verify.catalogue import KINDS
from evidence_api.verify.container import Container
from evidence_api.verify.evidence import Register
from evidence_api.verify.findings import Number, PackRefused
from evidence_api.verify.history import Ledger
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.tables import Gaps, changes_table, devices_table, documents_table, packs_table
from evidence_api.verify.twin import CHALLENGES, MONTHS, TWINS, any_not_live, history_draw, recompute
from evidence_api.verify.twin_running import device_strips

STEP_OF = {"M01": "E-41", "M03": "E-42", "M05": "E-43", "M06": "E-44", "M11": "E-45", "M13": "E-46"}
STEP_OF |= {"M02": "E-51", "M04": "E-52", "M07": "E-53", "M22": "E-54", "M26": "E-55", "M21": "E-57", "FIN": "E-58"}
DRAWN = "M12"
NOT_RECOUNTED = tuple(m for m in KINDS if m not in TWINS)  # the plant's word
TITLE_OF = {metric: kind.title for metric, kind in KINDS.items()}
STRIPS = "各设备逐日状态"
TABLES, OTHERS = "派生表与设备台账、行一致", "企业计算，本核验未复算"


def check_metric(report: dict[str, Any], obligation: Obligation, metric: str) -> tuple[list[Number], str]:
    """E-41 … E-46, E-51 … E-55, E-57, E-58, one metric. Out: numbers, text."""
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


def not_recounted(report: dict[str, Any]) -> tuple[list[Number], str]:
    """E-56. Out: what the plant computed and no step above has (M12's draw is E-47), text."""
    mine = [r for r in report["results"] if r["metric"] in NOT_RECOUNTED and r["metric"] != DRAWN]
    numbers = [
        Number(r["metric"], r["scope"], r["status"], tuple(r["lower"]), tuple(r["value"]), tuple(r["upper"]))
        for r in mine
    ]
    names = "、".join(dict.fromkeys(f"{n.metric} {TITLE_OF[n.metric]}" for n in numbers))
    return numbers, f"只查了写法、窗口、来源与上下限次序: {names}"


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
        DOCUMENTS: documents_table(ledger.entries, tz),
        GAPS: gaps.table(),
    }
    wrong = [name for name, raw in expected.items() if pack.read(name) != raw]
    if wrong:
        raise PackRefused("E-48", TABLES, f"与设备台账或行不符: {', '.join(wrong)}")
    return "设备清单、台账变更、材料清单、断档、导出记录"


def shown(number: Number) -> str:
    """`全厂 8/24 33.3 %（下限 7/24, 上限 9/24）`; percents are cut, never rounded up."""
    scope = "全厂" if number.scope == "plant" else number.scope.replace("line:", "产线 ")
    unit = KINDS[number.metric].unit
    if unit != "ratio":
        value, lower, upper = (amount(p, unit) for p in (number.value, number.lower, number.upper))
        return f"{scope} {value}（下限 {lower}，上限 {upper}）"
    value = f"{number.value[0]}/{number.value[1]} {percent(number.value)}"
    return f"{scope} {value}（下限 {_fraction(number.lower)}，上限 {_fraction(number.upper)}）"


def amount(pair: tuple[int, int], unit: str) -> str:
    """What is no ratio: whole yuan, cut; another unit exactly, `8.91282 kgce`, or the fraction, `1/3 kgce（0.333…）`."""
    n, d = pair
    if d == 0:
        return "—"
    if unit == "CNY":
        return f"{n // d:,} 元"
    places = next((p for p in range(d.bit_length()) if n * 10**p % d == 0), None)
    if places is None:
        return f"{n}/{d} {unit}（{n // d}.{n * 1000 // d % 1000:03d}…）"
    whole, rest = divmod(n * 10**places // d, 10**places)
    return (f"{whole}.{rest:0{places}d}" if places else str(whole)) + f" {unit}"


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


def _fraction(pair: tuple[int, int]) -> str:
    return f"{pair[0]}/{pair[1]}"
