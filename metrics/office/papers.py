"""材料与单据: what the metrics from enterprise records share: rows in a fixed order, documents that are valid, amounts as results.

In: `Inputs`. Out: rows of a kind sorted by its key, documents valid on the window's last local day by id, `MetricResult`s whose bounds
are amounts (`unit` CNY in fen over 100, kgce per unit) and not counts of members. A document proves that a paper is held, not that
it is true. No records, or no row of the kind: `insufficient_data`, which never passes.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from config.documents import Document
from config.model import says
from config.record_kinds import KINDS
from metrics.inputs import Inputs
from metrics.members import VERSION, ratio_of_members
from metrics.result import Bound, Member, MetricResult, Pair, Status, Unit, Window
from metrics.window import local_day

NOTHING = Bound(0, 0)
FEN = 100  # amounts of money: fen over 100
Row = dict[str, Any]


def last_day(inputs: Inputs) -> date:
    """The local day that ends at T: papers are judged as of it."""
    return local_day(inputs.end_us - 1, inputs.tz)


def rows_of(inputs: Inputs, kind: str) -> list[Row]:
    """The accepted rows of a kind, ascending by its key; none without records."""
    if inputs.records is None:
        return []
    return list(inputs.records.frame(kind).sort(KINDS[kind].key).iter_rows(named=True))


def missing_rows(kind: str) -> str:
    """The note of a metric that found no row to count."""
    return f"窗口内没有“{KINDS[kind].zh}”记录，用 plantproof records import 导入 (no {kind} records for the window)"


def valid_documents(inputs: Inputs) -> dict[str, Document]:
    """Documents by id that are issued and not expired on the last day."""
    day = last_day(inputs)
    return {d.doc_id: d for d in inputs.documents if d.valid_on(day)}


def paper(documents: dict[str, Document], doc_id: str, kind: str) -> bool:
    """A valid document of that kind is held under the id of the cell."""
    found = documents.get(doc_id)
    return found is not None and found.kind == kind


def said(text: str) -> bool:
    """The cell says something: it is not empty, and not a word or mark that stands for nothing."""
    return says(text)


def undetermined(metric: str, scope: str, window: Window, inputs: Inputs, note: str) -> MetricResult:
    """Nothing to count, and why."""
    return ratio_of_members(metric, scope, window, inputs, (), notes=(note,))


def amount(
    metric: str,
    scope: str,
    window: Window,
    inputs: Inputs,
    bounds: tuple[Bound, Bound, Bound],
    *,
    unit: Unit,
    members: tuple[Member, ...] = (),
    exclusions: tuple[tuple[str, str], ...] = (),
    parameters: tuple[Pair, ...] = (),
    notes: tuple[str, ...] = (),
    status: Status = "ok",
) -> MetricResult:
    """A result whose bounds (lower, value, upper) are amounts; an empty one is `insufficient_data`."""
    lower, value, upper = bounds
    return MetricResult(
        metric=metric,
        version=VERSION,
        scope=scope,
        window=window,
        lower=lower,
        value=value,
        upper=upper,
        declared=None,
        members=members,
        exclusions=exclusions,
        parameters=parameters,
        inputs=inputs.digests(),
        simulated=inputs.simulated(window),
        status=status if value.denominator else "insufficient_data",
        notes=notes,
        unit=unit,
    )


def yuan(fen: int) -> str:
    """Amount in yuan with two places, exactly."""
    return f"{fen // FEN}.{fen % FEN:02d}"
