"""审核员会问什么: all checks over one set of inputs, in the order of the catalogue. A newcomer adds a function and a line here.

In: `Inputs`, results, raw readings where the store is at hand. Out: findings. Nothing here is an input of any metric or verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metrics.findings.finding import Finding
from metrics.findings.output import beyond_capacity, energy_without_output, output_without_energy
from metrics.findings.paper import (
    data_before_service,
    declared_differs,
    denominator_shrank,
    exclusion_late,
    register_edited,
    register_weakened,
)
from metrics.findings.records import batches_shipped_open, rows_quarantined, rows_replaced
from metrics.findings.streams import Raw, coverage_rose, identical_hours, same_address, sampled
from metrics.inputs import Inputs
from metrics.result import MetricResult

Check = Callable[[Inputs, Sequence[MetricResult]], list[Finding]]
CHECKS: tuple[Check, ...] = (
    register_edited,
    register_weakened,
    denominator_shrank,
    coverage_rose,
    same_address,
    identical_hours,
    data_before_service,
    output_without_energy,
    energy_without_output,
    beyond_capacity,
    declared_differs,
    exclusion_late,
    rows_quarantined,
    rows_replaced,
    batches_shipped_open,
)


def findings(inputs: Inputs, results: Sequence[MetricResult], raw: Raw | None = None) -> tuple[Finding, ...]:
    """Every question the data raises by itself."""
    found = [f for check in CHECKS for f in check(inputs, results)]
    return (*found, *sampled(inputs, raw))
