"""须先获得的称号: a title of a lower level that must be held on the day (先认定为…, 备案).

In: the levels of which one must be held, records of kind `titles`. Out: 仅申报 naming title and document, else 差距 of one title.
Held: granted on or before the day, not past its last valid day, neither revoked nor downgraded by then. A title without a last day ends
as the instrument's validity says (the day before the anniversary); where it says none, the title is taken as it stands, with a warning.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from config.ruleset import Criterion, RuleSet
from metrics.result import Verdict
from metrics.verdicts.evidence import Evidence, Need, on_paper
from metrics.window import months_before


def judge_title(criterion: Criterion, rules: RuleSet, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion that asks for a title."""
    mine = [row for row in evidence.rows("titles") if row["level"] in criterion.holds]
    mine = [row | {"valid_until": last_valid_day(row, rules)} for row in mine]
    held = [row for row in mine if held_on(row, evidence.day)]
    if held:
        title = max(held, key=lambda row: row["granted_on"])
        document = evidence.document(title["document"])
        paper = f"，凭“{document.name}”" if document is not None else ""
        warnings = () if title["valid_until"] else (f"{title['name']}没有写有效期",)
        why = f"{title['name']}（{title['granted_on']} 认定）{paper}；本系统不核实其内容"
        if document is None:
            warnings = (*warnings, f"{title['name']}没有附认定文件")
        return on_paper(criterion, "declared_only", why, required=required, warnings=warnings)
    names = {level.id: level.title for level in rules.levels}
    wanted = " 或 ".join(names.get(h, h) for h in criterion.holds)
    needs: tuple[Need, ...] = tuple((row["title_id"], row["name"], _why_not(row, evidence.day)) for row in mine)
    return on_paper(
        criterion,
        "short",
        f"没有有效的{wanted}称号" + (f"：{needs[0][1]}{needs[0][2]}" if needs else ""),
        required=required,
        distance=1,
        unit="title",
        needs=needs or (("", wanted, "没有这个称号"),),
    )


def last_valid_day(row: dict[str, Any], rules: RuleSet) -> date | None:
    """As stated, else what 有效期 of the instrument gives from the day of recognition on; None where neither says."""
    stated: date | None = row["valid_until"]
    if stated is not None:
        return stated
    validity = [p for p in rules.procedures if p.kind == "validity" and (not p.levels or row["level"] in p.levels)]
    years = next((v.years for p in validity for v in reversed(p.values) if v.years), None)
    return months_before(row["granted_on"], -12 * years) - timedelta(days=1) if years else None


def held_on(row: dict[str, Any], day: date) -> bool:
    """True when the title stood on that day; one that ended later stood until then."""
    if row["granted_on"] > day or (row["valid_until"] is not None and row["valid_until"] < day):
        return False
    if row["ended_on"] is not None:
        return bool(row["ended_on"] > day)
    return row["state"] in ("held", "filed")


def _why_not(row: dict[str, Any], day: date) -> str:
    if row["granted_on"] > day:
        return f"到 {row['granted_on']} 才认定"
    if row["valid_until"] is not None and row["valid_until"] < day:
        return f"有效期已于 {row['valid_until']} 结束"
    return "已降格" if row["state"] == "downgraded" else "已被取消或终止"
