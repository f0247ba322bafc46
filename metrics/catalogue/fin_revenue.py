"""FIN 年营业收入 = revenue of the newest complete calendar year before T, in yuan.

Not a ratio: bounds are fen over 100 (unit CNY). Member: the year. lower = the row of records `finance` when a valid document
`financial_statements` (财务报表) that covers the year is held, else 0; value = upper = the row as stated. Exclusions: none.
Undetermined: no register, no row for that very year (an older year does not stand in for it).
Source: SD25 第九条(一)1、TJ 第六条 规模以上工业企业 (the number 2000万元 is the statistical definition, not in the texts); catalogue §1.
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.members import NO_REGISTER
from metrics.office.papers import FEN, NOTHING, amount, rows_of, valid_documents
from metrics.result import Bound, Member, MetricResult, Pair
from metrics.window import local_day


def annual_revenue(inputs: Inputs) -> list[MetricResult]:
    """FIN 年营业收入; one member, the year."""
    year = local_day(inputs.end_us, inputs.tz).year - 1
    rows = rows_of(inputs, "finance")
    row = next((r for r in rows if r["year"] == year), None)
    parameters: tuple[Pair, ...] = (("year", year), ("years_with_rows", ",".join(str(r["year"]) for r in rows)))
    if inputs.revision is None or row is None:
        note = NO_REGISTER if inputs.revision is None else f"没有 {year} 年的财务记录 (no finance record for {year})"
        nothing = (NOTHING,) * 3
        return [_amount(inputs, nothing, parameters=parameters, notes=(note,))]
    proof = [d for d in valid_documents(inputs).values() if d.kind == "financial_statements" and year in d.years]
    named = [d.doc_id for d in proof if row["document"] in ("", d.doc_id)]
    facts: tuple[Pair, ...] = (("revenue_fen", row["revenue"]), ("document", named[0] if named else ""))
    why = "ok" if named else "no_financial_statements"
    revenue = Bound(row["revenue"], FEN)
    return [
        _amount(
            inputs,
            (revenue if named else Bound(0, FEN), revenue, revenue),
            members=(Member(str(year), f"{year} 年", bool(named), True, True, why, facts),),
            parameters=parameters,
        )
    ]


def _amount(
    inputs: Inputs,
    bounds: tuple[Bound, Bound, Bound],
    *,
    members: tuple[Member, ...] = (),
    parameters: tuple[Pair, ...],
    notes: tuple[str, ...] = (),
) -> MetricResult:
    return amount(
        "FIN",
        "plant",
        inputs.three_months,
        inputs,
        bounds,
        unit="CNY",
        members=members,
        parameters=parameters,
        notes=notes,
    )
