"""M18 成效改善 = indicators that improved / all twelve indicators of records `effects`, per scope.

improvement = (after - before) / before of indicators where more is better, (before - after) / before where less is; > 0 exactly, by
cross-multiplied integers. Both periods: at least 3 calendar months, ended before T, in order, apart, the same formula, before > 0.
Members: always all twelve, so that an indicator left out is an unknown and no smaller denominator; criteria choose theirs by name.
Numerator: lower = improved, and beside both periods a source and a valid document (成效证明 or 财务报表); value = improved; upper = value,
or a period missing, unfinished or without a meaning (before = 0). Scopes: plant, each representative line; each from its own rows only.
Exclusions: none. Undetermined: no register, no row of the scope.
Source: GS25 第十二条(二)、(三)3、(四)2; TJ, SD22 likewise; catalogue §4.1 M18.
"""

from __future__ import annotations

from datetime import date

from config.documents import Document
from config.record_kinds import KINDS
from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register, without_representative_line
from metrics.office.effect_periods import EffectPeriod, between, judged, months_of
from metrics.office.papers import last_day, missing_rows, paper, rows_of, said, undetermined, valid_documents
from metrics.result import Member, MetricResult, Pair

INDICATORS: dict[str, str] = {word[0]: word[1] for word in KINDS["effects"].column["indicator"].words}
PROOFS = ("effect", "financial_statements")  # kinds of document that can say how things went
BASELINE = "基线和成效来自导入的记录，不是实测 (imported, not measured)"


def effects_improved(inputs: Inputs) -> list[MetricResult]:
    """M18 成效改善: the plant, and each representative line; members are indicators."""
    window = inputs.three_months
    if inputs.revision is None:
        return [without_register("M18", s, window, inputs) for s in ("line:-", "plant")]
    periods: dict[str, dict[tuple[str, str], EffectPeriod]] = {}
    for row in rows_of(inputs, "effects"):
        periods.setdefault(row["scope"], {})[row["indicator"], row["period"]] = EffectPeriod.of(row)
    lines = [line.id for line in inputs.register.lines if line.representative]
    results = [_result(inputs, f"line:{line}", periods.get(line, {})) for line in lines]
    if not results:
        results = [without_representative_line("M18", window, inputs)]
    strange = sorted(set(periods) - {"plant"} - {line.id for line in inputs.register.lines})
    notes = (f"范围不是产线编号，也不是 plant：{'、'.join(strange)} (no such scope)",) if strange else ()
    return [*results, _result(inputs, "plant", periods.get("plant", {}), notes)]


def _result(
    inputs: Inputs, scope: str, periods: dict[tuple[str, str], EffectPeriod], extra: tuple[str, ...] = ()
) -> MetricResult:
    window = inputs.three_months
    if not periods:
        return undetermined("M18", scope, window, inputs, "；".join((missing_rows("effects"), *extra)))
    documents = valid_documents(inputs)
    day = last_day(inputs)
    pairs = {i: (periods.get((i, "before")), periods.get((i, "after"))) for i in INDICATORS}
    members = tuple(_member(i, before, after, documents, day) for i, (before, after) in pairs.items())
    seasons = [INDICATORS[i] for i, (b, a) in pairs.items() if b and a and months_of(b) != months_of(a)]
    notes = [BASELINE, *extra]
    if seasons:
        notes.append(f"前后月份不同，有季节影响的须按同月比较：{'、'.join(seasons)} (months differ)")
    return ratio_of_members(
        "M18",
        scope,
        window,
        inputs,
        members,
        parameters=(("period_months", 3), ("indicators_with_rows", len({i for i, _ in periods}))),
        notes=tuple(notes),
    )


def _member(
    indicator: str,
    before: EffectPeriod | None,
    after: EffectPeriod | None,
    documents: dict[str, Document],
    day: date,
) -> Member:
    why, possible = judged(indicator, before, after, day)
    improved = why == "ok"
    if improved and before and after:
        why = _unproven(before, after, documents) or "ok"
    facts: list[Pair] = []
    for name, period in (("before", before), ("after", after)):
        if period is not None:
            facts += [(name, period.fraction), (f"{name}_days", f"{period.first} .. {period.last}")]
    if before and after:
        facts += [("formula", after.formula), *between(indicator, before, after)]
    return Member(indicator, INDICATORS[indicator], why == "ok", improved, improved or possible, why, tuple(facts))


def _unproven(before: EffectPeriod, after: EffectPeriod, documents: dict[str, Document]) -> str:
    """Why an improvement is only said and not proven; empty when it is."""
    if not (said(before.source) and said(after.source)):
        return "no_source"
    held = all(any(paper(documents, period.document, kind) for kind in PROOFS) for period in (before, after))
    return "" if held else "no_document"
