"""M21 代表产线软硬件投资 = sum of equipment, software and integration of a representative line, in yuan; 土建 (civil, land) never counts.

Not a ratio: bounds are fen over 100 (unit CNY). Members: items of records `investments` of the line. lower = items with a valid contract,
invoice and payment voucher (documents of these kinds), an asset number, not paid after T; value = items with valid contract and
invoice; upper = all items. Items of one category, asset number, invoice and amount are one item: the best proven counts, the
others are in the upper only. Excluded: civil works, listed. Tax basis in the parameters, a note when it is mixed. Condition `commissioned`:
the line's commissioning day is given and has come (已建成投产). Undetermined: no register, no representative line, no item.
Source: GS25 第十二条(三)3 软硬件投资达1000万元(不包含土建投资)以上并已建成投产代表产线; catalogue §4.1 M21.
"""

from __future__ import annotations

from datetime import date

from config.documents import Document
from config.register import Line
from metrics.inputs import Inputs
from metrics.members import NO_REGISTER, NO_REPRESENTATIVE_LINE
from metrics.office.papers import (
    FEN,
    NOTHING,
    Row,
    amount,
    last_day,
    missing_rows,
    paper,
    rows_of,
    said,
    valid_documents,
    yuan,
)
from metrics.result import Bound, Member, MetricResult, Pair

MIXED_TAX = "含税与不含税的金额混在一起，未折算 (tax included and excluded are mixed, not converted)"


def line_investment(inputs: Inputs) -> list[MetricResult]:
    """M21 代表产线软硬件投资, one result per representative line; members are items."""
    if inputs.revision is None:
        return [_nothing("line:-", inputs, NO_REGISTER)]
    lines = [line for line in inputs.register.lines if line.representative]
    if not lines:
        return [_nothing("line:-", inputs, NO_REPRESENTATIVE_LINE)]
    rows = rows_of(inputs, "investments")
    return [_result(inputs, line, [r for r in rows if r["line_id"] == line.id]) for line in lines]


def _nothing(scope: str, inputs: Inputs, note: str) -> MetricResult:
    return amount("M21", scope, inputs.three_months, inputs, (NOTHING,) * 3, unit="CNY", notes=(note,))


def _result(inputs: Inputs, line: Line, rows: list[Row]) -> MetricResult:
    scope, day = f"line:{line.id}", last_day(inputs)
    counted = [r for r in rows if r["category"] != "civil"]
    civil = tuple((r["item_id"], f"土建、土地不计 {yuan(r['amount'])} 元") for r in rows if r["category"] == "civil")
    documents = valid_documents(inputs)
    assets = {d.asset_no: d.id for d in inputs.register.devices if d.asset_no}
    faults = [_fault(r, documents, day) for r in counted]
    reasons = ["repeated_item" if _again(i, counted, faults) else fault for i, fault in enumerate(faults)]
    members = tuple(_member(r, assets, why) for r, why in zip(counted, reasons, strict=True))
    lower, value, upper = _sums(counted, members)
    taxes = {t: sum(r["amount"] for r in counted if r["tax"] == t) for t in ("included", "excluded", "")}
    commissioned = line.commissioned is not None and line.commissioned <= day
    notes = [] if counted else [missing_rows("investments")]
    if sum(fen > 0 for fen in taxes.values()) > 1:
        notes.append(MIXED_TAX)
    return amount(
        "M21",
        scope,
        inputs.three_months,
        inputs,
        (lower, value, upper),
        unit="CNY",
        members=members,
        exclusions=civil,
        parameters=(
            ("tax_included_fen", taxes["included"]),
            ("tax_excluded_fen", taxes["excluded"]),
            ("tax_unstated_fen", taxes[""]),
            *((f"{c}_fen", sum(r["amount"] for r in rows if r["category"] == c)) for c in _CATEGORIES),
            ("commissioned", line.commissioned.isoformat() if line.commissioned else ""),
            ("condition.commissioned", int(commissioned)),
        ),
        notes=tuple(notes),
    )


_CATEGORIES = ("equipment", "software", "integration", "civil")


def _sums(rows: list[Row], members: tuple[Member, ...]) -> tuple[Bound, Bound, Bound]:
    if not rows:
        return NOTHING, NOTHING, NOTHING
    items = [(int(r["amount"]), m) for r, m in zip(rows, members, strict=True)]
    return (
        Bound(sum(fen for fen, m in items if m.lower), FEN),
        Bound(sum(fen for fen, m in items if m.value), FEN),
        Bound(sum(fen for fen, m in items if m.upper), FEN),
    )


def _again(i: int, rows: list[Row], faults: list[str]) -> bool:
    """The same asset on the same invoice at the same price stands in another row that is proven better, or as well and earlier.

    The best one counts, so that taking a row away never proves more.
    """
    same = ("category", "asset_no", "invoice", "amount")
    if not said(rows[i]["asset_no"]):
        return False
    twins = [j for j, r in enumerate(rows) if all(r[c] == rows[i][c] for c in same)]
    return i != min(twins, key=lambda j: (faults[j] != "ok", faults[j] in _UNSEEN, j))


_UNSEEN = ("repeated_item", "no_contract", "no_invoice")  # in the upper only


def _fault(row: Row, documents: dict[str, Document], day: date) -> str:
    """What a voucher check finds first; `ok`."""
    reasons = (
        ("no_contract", not paper(documents, row["contract"], "contract")),
        ("no_invoice", not paper(documents, row["invoice"], "invoice")),
        ("no_payment", not paper(documents, row["payment"], "payment")),
        ("not_paid_yet", row["paid_on"] is not None and row["paid_on"] > day),
        ("no_asset_no", not said(row["asset_no"])),
    )
    return next((code for code, holds in reasons if holds), "ok")


def _member(row: Row, assets: dict[str, str], why: str) -> Member:
    facts: tuple[Pair, ...] = (
        ("amount_fen", row["amount"]),
        ("category", row["category"]),
        ("tax", row["tax"]),
        ("asset_no", row["asset_no"]),
        ("device", assets.get(row["asset_no"], "")),
    )
    return Member(row["item_id"], row["name"], why == "ok", why not in _UNSEEN, True, why, facts)
