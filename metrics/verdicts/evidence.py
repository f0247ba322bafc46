"""What judging looks at: results of the metrics, records, documents, scenes of the register, adopted instruments. No clock, no disk.

In: `Inputs` and what was computed from them. Out: `Evidence`, and the small `Verdict` of criteria that no number decides.
Days are plant days; `day` is the one on which everything is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from config.documents import Document
from config.plan import SceneInstance
from config.ruleset import Criterion, RuleSet
from metrics.inputs import Inputs, Records
from metrics.result import MetricResult, Verdict, VerdictWord
from metrics.window import DAY_US, local_day

Need = tuple[str, str, str]  # id, name, what is missing, in words
RECENT_DAYS = 30  # catalogue §4, gaming checks: a register edited within 30 days before T


@dataclass(frozen=True, slots=True, eq=False)
class Referred:
    """An adopted instrument as it was judged. levels: level -> word; simulated: some number of it is not live."""

    rules: RuleSet
    name: str
    levels: Mapping[str, VerdictWord]
    simulated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Everything a verdict may rest on. changed: (revision, day) of register revisions in the 30 days before T, the first one apart.

    adopted: family -> the edition meant on the day, or None where nobody knows it.
    """

    day: date
    results: tuple[MetricResult, ...] = ()
    records: Records | None = None
    documents: tuple[Document, ...] = ()
    scenes: tuple[SceneInstance, ...] = ()
    changed: tuple[tuple[int, date], ...] = ()
    adopted: Mapping[str, Referred | None] = field(default_factory=dict)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Accepted rows of a kind of record; none before the first import."""
        return list(self.records.frame(kind).iter_rows(named=True)) if self.records is not None else []

    def document(self, doc_id: str) -> Document | None:
        """A document by its id."""
        return next((d for d in self.documents if d.doc_id == doc_id), None)


def evidence_of(
    inputs: Inputs, results: tuple[MetricResult, ...], day: date, adopted: Mapping[str, Referred | None]
) -> Evidence:
    """The evidence in one set of inputs."""
    recent_us = inputs.end_us - RECENT_DAYS * DAY_US
    return Evidence(
        day=day,
        results=results,
        records=inputs.records,
        documents=inputs.documents,
        scenes=inputs.register.scenes if inputs.revision is not None else (),
        changed=tuple(
            (r.rev, local_day(r.effective_us, inputs.tz))
            for r in sorted(inputs.revisions, key=lambda r: r.rev)[1:]
            if recent_us <= r.effective_us < inputs.end_us
        ),
        adopted=adopted,
    )


def on_paper(
    criterion: Criterion,
    word: VerdictWord,
    why: str,
    *,
    required: str,
    distance: int | None = None,
    unit: str = "",
    needs: tuple[Need, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Verdict:
    """A verdict that rests on no measured number."""
    return Verdict(criterion.id, word, False, distance, unit, why, word, required, needs, warnings)
