"""M15b PDM 受控率 = released technical documents under version and approval in PDM / technical documents released in 12 months.

Members and denominator: records `drawings` released in [T - 12 months, T), one per document number and version. Numerator: lower = in
PDM, a version, an approver, approved on or before the day of release; value = the same, an approval day not stated counted for;
upper = not known to be approved after its release. Excluded: releases outside the window. Undetermined: no register, no release.
Source: GS25 第十二条(三)2、(四)2 统一的产品数据管理平台(PDM)…可控、可追溯; catalogue §4.1 M15.
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.papers import Row, last_day, missing_rows, rows_of, said, undetermined
from metrics.result import Member, MetricResult, Pair
from metrics.window import last_months, local_day

MONTHS = 12


def pdm_control_rate(inputs: Inputs) -> list[MetricResult]:
    """M15b PDM 受控率; members are released versions of documents."""
    window = last_months(inputs.end_us, MONTHS, inputs.tz)
    if inputs.revision is None:
        return [without_register("M15b", "plant", window, inputs)]
    first, last = local_day(window.start_us, inputs.tz), last_day(inputs)
    members = tuple(_member(r) for r in rows_of(inputs, "drawings") if first <= r["released"] <= last)
    if not members:
        return [undetermined("M15b", "plant", window, inputs, missing_rows("drawings"))]
    return [ratio_of_members("M15b", "plant", window, inputs, members, parameters=(("window_months", MONTHS),))]


def _member(row: Row) -> Member:
    too_late = row["approved"] is not None and row["approved"] > row["released"]
    reasons = (
        ("approved_late", too_late),
        ("not_in_pdm", not row["in_pdm"]),
        ("no_version", not said(row["version"])),
        ("no_approver", not said(row["approver"])),
        ("no_approval_day", row["approved"] is None),
    )
    why = next((code for code, holds in reasons if holds), "ok")
    facts: tuple[Pair, ...] = (
        ("released", row["released"].isoformat()),
        ("approved", row["approved"].isoformat() if row["approved"] else ""),
        ("approver", row["approver"]),
    )
    name = f"{row['drawing_id']} {row['version']}".rstrip()
    return Member(name, name, why == "ok", why in ("ok", "no_approval_day"), not too_late, why, facts)
