"""The plain-integer twin: numbers once more, from the lines, the register and the records of the pack alone (docs/metrics.md).

In: `Obligation` (the evidence at a moment). Out: `Twin` per metric and scope. No polars, no code of `metrics/`: two hands that
must write the same integers, held to the same vectors (`tests/vectors/metrics/`).
M12 历史数据可追溯 needs raw rows, which a pack does not carry: `history_draw` gives only which device-hours had to be tried.
The other metrics of `KINDS` have no twin: the verifier says so of each and checks their form only (`recount.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from evidence_api.verify.evidence import HOUR_US, Evidence
from evidence_api.verify.lines import hour_text
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.twin_automatic import key_process_automation
from evidence_api.verify.twin_batches import batch_traceability
from evidence_api.verify.twin_control import key_process_control, machine_control
from evidence_api.verify.twin_digital import digital_equipment
from evidence_api.verify.twin_money import annual_revenue, line_investment
from evidence_api.verify.twin_network import networked
from evidence_api.verify.twin_parameters import parameter_rate, precise_control
from evidence_api.verify.twin_result import Twin
from evidence_api.verify.twin_running import stable_running

CHALLENGES, MONTHS = 50, 3
TWINS: dict[str, Callable[[Obligation, bool], list[Twin]]] = {
    "M01": lambda o, simulated: [networked(o, "M01", simulated)],
    "M02": lambda o, simulated: [networked(o, "M02", simulated)],
    "M03": lambda o, simulated: [networked(o, "M03", simulated)],
    "M04": digital_equipment,
    "M05": machine_control,
    "M06": key_process_control,
    "M07": parameter_rate,
    "M11": stable_running,
    "M13": lambda o, simulated: [batch_traceability(o, simulated)],
    "M21": line_investment,
    "M22": key_process_automation,
    "M26": precise_control,
    "FIN": annual_revenue,
}
_DAYS_30 = frozenset({"M01", "M02", "M03", "M04", "M05", "M06", "M22"})


def recompute(obligation: Obligation, metric: str) -> list[Twin]:
    """One metric, every scope. Errors: `ValueError`, `KeyError` where the register or the records cannot be read."""
    window = obligation.last_days(30) if metric in _DAYS_30 else obligation.last_months(MONTHS)
    return TWINS[metric](obligation, any_not_live(obligation.evidence, window))


def any_not_live(evidence: Evidence, window: tuple[int, int]) -> bool:
    """The folder, or some D line of the window's hours, is not live."""
    if evidence.origin_class != "live":
        return True
    first, end = window[0] // HOUR_US, -(-window[1] // HOUR_US)
    return any(x.origin != "live" for lines in evidence.devices.values() for h, x in lines.items() if first <= h < end)


def history_draw(obligation: Obligation) -> tuple[list[str], int, str]:
    """M12: (`<device>@<hour>` in the order drawn, how many were eligible, seed in hex)."""
    evidence, window = obligation.evidence, obligation.last_months(MONTHS)
    first, end = window[0] // HOUR_US, -(-window[1] // HOUR_US)
    left = sorted(
        (d, h) for d, lines in evidence.devices.items() for h, x in lines.items() if first <= h < end and x.covered
    )
    eligible, seed, drawn = len(left), hashlib.sha256(evidence.root).digest(), []
    for i in range(min(CHALLENGES, eligible)):
        digest = hashlib.sha256(seed + str(i).encode()).digest()
        device, hour = left.pop(int.from_bytes(digest[:8], "big") % len(left))
        drawn.append(f"{device}@{hour_text(hour)}")
    return drawn, eligible, seed.hex()
