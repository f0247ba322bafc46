"""疑点 as JSON: one builder for `plantproof findings --json` and for the report child, so that page, API and command line agree.

In: the inputs, the moment, the findings, whether raw readings were read. Out: `plantproof-findings/1` (docs/api.md): integers, strings,
booleans. `raw_read` false: the checks of drawn hours (identical values, stamps on a grid) were not made, which is not "nothing found".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from metrics.findings.finding import Finding
from metrics.report_json import FINDINGS_FORMAT

RAW_CHECKS = ("几台设备的原始读数是否相同", "时间戳是否落在整齐的间隔上")


def findings_json(found: Sequence[Finding], day: date, size: int, *, raw_read: bool) -> dict[str, Any]:
    """The body. size: ledger entries it was made from."""
    return {
        "format": FINDINGS_FORMAT,
        "day": day.isoformat(),
        "size": size,
        "raw_read": raw_read,
        "not_checked": [] if raw_read else list(RAW_CHECKS),
        "findings": [f.to_json() for f in found],
    }
