"""M21 代表产线软硬件投资, FIN 年营业收入 in plain integers: docs/metrics.md, M21 and FIN.

In: `Obligation` with merged records and documents. Out: one `Twin` per representative line (M21), one over the plant (FIN). Amounts are fen
over 100. What a lower rests on is that vouchers and statements are held, never that they are true.
"""

from __future__ import annotations

from typing import Any

from evidence_api.verify.evidence import Document
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.papers import text_day
from evidence_api.verify.records import Row
from evidence_api.verify.twin_digital import last_day
from evidence_api.verify.twin_result import Pair, Twin, TwinMember, empty

MONTHS, FEN = 3, 100
_CATEGORIES = ("equipment", "software", "integration", "civil")
_SAYS_NOTHING = frozenset(
    "无 没有 暂无 未填 不详 未知 待补 待定 空 / \\ - -- — —— n/a na none null".split()
)  # docs/metrics.md: a cell that is *given*
_UPPER_ONLY = ("repeated_item", "no_contract", "no_invoice")


def line_investment(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M21: one result per representative line."""
    register, window = obligation.register, obligation.last_months(MONTHS)
    lines = [x for x in register.lines if x.get("representative")] if register else []
    if not lines:
        return [empty("M21", "line:-", window, simulated)]
    rows = sorted((obligation.evidence.records or {}).get("investments", []), key=lambda r: r["item_id"])
    return [_line(obligation, x, [r for r in rows if r["line_id"] == x["id"]], simulated) for x in lines]


def annual_revenue(obligation: Obligation, simulated: bool) -> list[Twin]:
    """FIN: the local year before T's."""
    window = obligation.last_months(MONTHS)
    year = int(obligation.day[:4]) - 1
    rows = sorted((obligation.evidence.records or {}).get("finance", []), key=lambda r: int(r["year"]))
    parameters: dict[str, int | str] = {"year": year, "years_with_rows": ",".join(r["year"] for r in rows)}
    row = next((r for r in rows if int(r["year"]) == year), None)
    if obligation.register is None or row is None:
        none = (0, 0)
        shape = ("FIN", "plant", window, none, none, none, None, tuple[TwinMember, ...]())
        return [Twin(*shape, parameters, "insufficient_data", simulated)]
    proof = [d.id for d in _valid(obligation).values() if d.kind == "financial_statements" and year in d.years]
    named = [i for i in proof if row["document"] in ("", i)]
    revenue = fen(row["revenue"])
    facts: dict[str, int | str] = {"revenue_fen": revenue, "document": named[0] if named else ""}
    why = "ok" if named else "no_financial_statements"
    members = (TwinMember(str(year), bool(named), True, True, why, facts),)
    bounds = ((revenue if named else 0, FEN), (revenue, FEN), (revenue, FEN))
    return [Twin("FIN", "plant", window, *bounds, None, members, parameters, "ok", simulated)]


def fen(text: str) -> int:
    """Yuan with two places -> fen, exactly. Errors: `ValueError`."""
    whole, _, rest = text.partition(".")
    if len(rest) > 2 or not rest.isdigit():
        raise ValueError(f"expected yuan with two places, found {text!r}")
    return int(whole + rest.ljust(2, "0"))


def _line(obligation: Obligation, line: dict[str, Any], rows: list[Row], simulated: bool) -> Twin:
    day, documents, window = last_day(obligation), _valid(obligation), obligation.last_months(MONTHS)
    counted = [r for r in rows if r["category"] != "civil"]
    faults = [_fault(r, documents, day.isoformat()) for r in counted]
    reasons = ["repeated_item" if _repeated(i, counted, faults) else fault for i, fault in enumerate(faults)]
    register = obligation.registers[-1]
    assets = {d["asset_no"]: d["id"] for d in register.body.get("device", []) if d.get("asset_no")}
    members = tuple(_item(r, why, assets) for r, why in zip(counted, reasons, strict=True))
    bounds: list[Pair] = [
        (sum(fen(r["amount"]) for r, m in zip(counted, members, strict=True) if getattr(m, name)), FEN)
        for name in ("lower", "value", "upper")
    ]
    taxes = {
        f"tax_{name}_fen": tax for name, tax in (("included", "included"), ("excluded", "excluded"), ("unstated", ""))
    }
    since = line.get("commissioned") or ""
    parameters: dict[str, int | str] = {
        **{name: sum(fen(r["amount"]) for r in counted if r["tax"] == tax) for name, tax in taxes.items()},
        **{f"{c}_fen": sum(fen(r["amount"]) for r in rows if r["category"] == c) for c in _CATEGORIES},
        "commissioned": since,
        "condition.commissioned": int(since != "" and text_day(since) <= day),
    }
    lower, value, upper = bounds if counted else [(0, 0)] * 3
    status = "ok" if counted else "insufficient_data"
    scope = f"line:{line['id']}"
    return Twin("M21", scope, window, lower, value, upper, None, members, parameters, status, simulated)


def _item(row: Row, why: str, assets: dict[str, str]) -> TwinMember:
    facts: dict[str, int | str] = {"amount_fen": fen(row["amount"]), "device": assets.get(row["asset_no"], "")}
    facts |= {k: row[k] for k in ("category", "tax", "asset_no")}
    return TwinMember(row["item_id"], why == "ok", why not in _UPPER_ONLY, True, why, facts)


def _fault(row: Row, documents: dict[str, Document], day: str) -> str:
    """The first thing a voucher check finds."""
    for kind in ("contract", "invoice", "payment"):
        held = documents.get(row[kind])
        if held is None or held.kind != kind:
            return f"no_{kind}"
    if row["paid_on"] and row["paid_on"] > day:
        return "not_paid_yet"
    return "ok" if _given(row["asset_no"]) else "no_asset_no"


def _repeated(i: int, rows: list[Row], faults: list[str]) -> bool:
    """The same asset on the same invoice at the same price counts once: its best row, of equal ones the first."""

    def key(row: Row) -> list[str]:
        return [row[c] for c in ("category", "asset_no", "invoice", "amount")]

    if not _given(rows[i]["asset_no"]):
        return False
    same = [j for j, r in enumerate(rows) if key(r) == key(rows[i])]
    return i != min(same, key=lambda j: (faults[j] != "ok", faults[j] in _UPPER_ONLY, j))


def _given(text: str) -> bool:
    word = text.strip().casefold()
    return word != "" and word not in _SAYS_NOTHING


def _valid(obligation: Obligation) -> dict[str, Document]:
    """Documents valid on the last local day before T, by id."""
    day = last_day(obligation)
    return {d.id: d for d in obligation.evidence.documents if d.valid_on(day)}
