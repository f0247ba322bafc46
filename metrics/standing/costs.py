"""材料到期的后果: which criteria of an instrument and which metrics rest on a document that ends.

In: an instrument, a document, a day. Out: words for its deadline. A criterion rests on it when it asks for that kind (of an event that
names no paper: 无事故证明 or 信用报告, as `metrics/verdicts/events.py` reads it) and the document does not name other criteria; a metric
when its definition counts such papers (docs/metrics.md). Where another valid document of the kind may stand in, the words say so.
"""

from __future__ import annotations

from datetime import date

from config.documents import DOCUMENT_KINDS, Document
from config.metric_names import TITLES
from config.ruleset import Criterion, RuleSet
from metrics.standing.facts import Facts
from metrics.verdicts.events import default_papers

# kind -> metrics that count papers of it (held by tests/metrics/standing/test_deadlines.py to what the metrics read)
METRICS: dict[str, tuple[str, ...]] = {
    "interface": ("M04",),
    "rd_tools": ("M15",),
    "effect": ("M18",),
    "scene": ("M20",),
    "contract": ("M21",),
    "invoice": ("M21",),
    "payment": ("M21",),
    "financial_statements": ("FIN", "M18"),
}


def cost_words(rules: RuleSet, document: Document, facts: Facts, day: date) -> str:
    """`到期后影响 M15 数字化研发设计工具普及率（第十二条(一)3）`; says so when nothing of this instrument rests on it."""
    metrics = METRICS.get(document.kind, ())
    criteria = rules.criteria_on(day)
    by_paper = [c for c in criteria if document.kind in _kinds(c) and _meant(c, document)]
    parts = [_metric_words(m, [c for c in criteria if c.metric == m]) for m in metrics]
    parts += [f"{c.article} {c.title}" for c in by_paper]
    if not parts:
        return "本办法没有条款用到这类材料"
    gone = document.valid_until is not None and document.valid_until < day
    words = f"{'已到期，影响' if gone else '到期后影响'} {'；'.join(dict.fromkeys(parts))}"
    others = [d for d in facts.documents if d.kind == document.kind and d.doc_id != document.doc_id and d.valid_on(day)]
    return (
        f"{words}（另有有效的{DOCUMENT_KINDS.get(document.kind, document.kind)} {len(others)} 份）" if others else words
    )


def _kinds(criterion: Criterion) -> set[str]:
    needs = criterion.documents
    if not needs and criterion.event is not None:
        needs = default_papers(criterion.event)
    return {need.kind for need in needs}


def _meant(criterion: Criterion, document: Document) -> bool:
    return not document.criteria or criterion.id in document.criteria


def _metric_words(metric: str, criteria: list[Criterion]) -> str:
    articles = "、".join(dict.fromkeys(c.article for c in criteria))
    return f"{metric} {TITLES[metric]}" + (f"（{articles}）" if articles else "")
