"""凭材料: a criterion that a paper decides. We can say that the paper is held, valid and high enough; never that it is true.

In: a criterion's documents and, where it has one, the level they must certify; `Evidence`. Out: 仅申报 naming the paper, 差距 when it
certifies too little, 数据不足 naming what is missing (distance: one document), 不适用 when every paper it names is for other sizes of
enterprise. One of several papers suffices. 近 n 年: n different years, none older than n years before the day.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.documents import DOCUMENT_KINDS, Document
from config.ruleset import Criterion, DatedValue, DocumentNeed
from metrics.result import Verdict
from metrics.verdicts.evidence import Evidence, Need, on_paper
from metrics.verdicts.required import SIZE_ZH, need_words


def judge_document(criterion: Criterion, value: DatedValue | None, evidence: Evidence, required: str) -> Verdict:
    """The verdict on a criterion that a document decides."""
    size = size_of(evidence)
    open_to_us = [need for need in criterion.documents if not need.only_for or size in need.only_for]
    if not open_to_us and size:
        why = f"条款只对{'、'.join(SIZE_ZH[s] for n in criterion.documents for s in n.only_for)}企业有要求，本企业为{SIZE_ZH[size]}"
        return on_paper(criterion, "not_applicable", why, required=required)
    found = {need.kind: held(evidence, criterion, need) for need in open_to_us}
    papers = [d for documents in found.values() for d in documents]
    if not papers:
        return _nothing(criterion, open_to_us or list(criterion.documents), evidence, required, size)
    if value is None:
        return on_paper(criterion, "declared_only", f"凭{_named(papers)}，本系统不核实其内容", required=required)
    return _by_level(criterion, value, papers, required)


def size_of(evidence: Evidence) -> str:
    """企业规模 of the profile: large, medium, small, micro; empty when nobody stated it."""
    stated = {row["name"]: row["value"] for row in evidence.rows("profile")}
    size = str(stated.get("size", ""))
    return size if size in SIZE_ZH else ""


def held(evidence: Evidence, criterion: Criterion, need: DocumentNeed) -> list[Document]:
    """The papers that fill a need on the day: of the kind, for this criterion, valid, and of enough years together."""
    papers = [d for d in serving(evidence, criterion, need.kind) if d.valid_on(evidence.day)]
    if need.years == 1:
        return papers
    first = evidence.day.year - need.years
    years = {y for d in papers for y in d.years if first <= y <= evidence.day.year}
    return papers if len(years) >= need.years else []


def serving(evidence: Evidence, criterion: Criterion, kind: str) -> list[Document]:
    """All papers of a kind that serve this criterion, valid or not."""
    return [d for d in evidence.documents if d.kind == kind and (not d.criteria or criterion.id in d.criteria)]


def lacking(evidence: Evidence, criterion: Criterion, need: DocumentNeed) -> Need:
    """What to fetch for a need, and why what is there does not do."""
    papers = serving(evidence, criterion, need.kind)
    if not papers:
        why = "没有这份材料"
    elif not any(d.valid_on(evidence.day) for d in papers):
        why = f"现有“{papers[-1].name}”在 {evidence.day} 不在有效期内"
    else:
        first = evidence.day.year - need.years
        years = sorted(
            {y for d in papers if d.valid_on(evidence.day) for y in d.years if first <= y <= evidence.day.year}
        )
        why = f"近 {need.years} 年只有 {'、'.join(map(str, years)) or '未注明年份的'}"
    return need.kind, need_words(need), why


def _by_level(criterion: Criterion, value: DatedValue, papers: Sequence[Document], required: str) -> Verdict:
    numerator, denominator = value.fraction
    needed = -(-numerator // denominator)
    graded = [d for d in papers if d.level is not None]
    if not graded:
        kinds = DOCUMENT_KINDS.get(papers[0].kind, papers[0].kind)
        needs = ((papers[0].doc_id, papers[0].name, f"没有注明等级，应为 {needed} 级及以上"),)
        why = f"{kinds}没有注明等级"
        return on_paper(
            criterion, "insufficient_data", why, required=required, distance=1, unit="document", needs=needs
        )
    best = max(graded, key=lambda d: d.level or 0)
    level = best.level or 0
    if level >= needed:
        why = f"凭{_named([best])}（{level} 级），本系统不核实其内容"
        return on_paper(criterion, "declared_only", why, required=required)
    return on_paper(
        criterion,
        "short",
        f"“{best.name}”为 {level} 级，应为 {needed} 级及以上",
        required=required,
        distance=needed - level,
        unit="level",
        needs=((best.doc_id, best.name, f"{level} 级，差 {needed - level} 级"),),
    )


def _nothing(
    criterion: Criterion, needs: Sequence[DocumentNeed], evidence: Evidence, required: str, size: str
) -> Verdict:
    missing = tuple(lacking(evidence, criterion, need) for need in needs)
    words = " 或 ".join(need_words(need) for need in needs)
    why = f"没有有效的{words}" if words else "条款没有写明材料"
    if not size and any(n.only_for for n in criterion.documents):
        why += "；企业规模没有填写（records 的 profile：size）"
    return on_paper(criterion, "insufficient_data", why, required=required, distance=1, unit="document", needs=missing)


def _named(papers: Sequence[Document]) -> str:
    words = "、".join(f"“{d.name}”" for d in papers[:3])
    return f"{words} 等 {len(papers)} 份材料" if len(papers) > 3 else words
