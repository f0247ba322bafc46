"""The rule set in force, as the pages need it: from `config/rules/` and the instrument that the report names.

In: a `Snapshot`. Out: `RuleBook`. A rule set that cannot be read is a problem to show, never an empty list of demands.
"""

from __future__ import annotations

from evidence_api.web.clauses import RuleBook
from evidence_api.web.sources import Snapshot


def clauses_in_force(at: Snapshot) -> RuleBook:
    """The clauses of the report's instrument; none before the first report."""
    if at.report.body is None:
        return RuleBook("", "", "", "", (), {})
    return RuleBook("", "", "", "", (), {}, "规则尚未装入")
