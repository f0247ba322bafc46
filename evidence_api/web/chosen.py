"""Which instrument somebody looks at: `?rules=CN-SD/SD25` or `SD25`, the site's own without it.

In: `Sources` and a name. Out: `Snapshot` with that instrument's report. Refuses an unknown name with 404: never another's numbers.
"""

from __future__ import annotations

from evidence_api.web.problems import ApiError
from evidence_api.web.sources import Snapshot, Sources

NAME_MOST = 97


def chosen(sources: Sources, rules: str) -> Snapshot:
    """The snapshot of an instrument. Errors: `ApiError`."""
    at = sources.snapshot(rules)
    if rules and at.report.instruments and at.report.find(rules) is None:
        known = "、".join(i["id"] for i in at.report.instruments)
        raise ApiError(404, "no_such_instrument", "没有这部办法 (no such instrument)", rules, f"现有 {known}")
    return at
