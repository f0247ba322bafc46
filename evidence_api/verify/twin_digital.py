"""M04 生产设备数字化率 in plain integers: docs/metrics.md, M04.

In: `Obligation`. Out: one `Twin` over the plant. upper = digital on paper; value = and a sample at any time at hand; lower = and a sample
in 30 days, or a valid interface document that names the device.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from evidence_api.verify.evidence import Device
from evidence_api.verify.obligation import Obligation
from evidence_api.verify.twin_network import WINDOW_DAYS, denominators
from evidence_api.verify.twin_result import Twin, TwinMember, bounds, empty

MONTHS, LEAD_HOURS = 3, 168
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def digital_equipment(obligation: Obligation, simulated: bool) -> list[Twin]:
    """M04."""
    register, window = obligation.register, obligation.last_days(WINDOW_DAYS)
    if register is None:
        return [empty("M04", "plant", window, simulated)]
    devices = [d for d in obligation.members(register, window[1] - 1) if d.production]
    papers = _papers(obligation)
    members = tuple(_member(obligation, d, window, papers.get(d.id, [])) for d in devices)
    parameters: dict[str, int | str] = dict(denominators(obligation, window, lambda _, d: d.production))
    parameters["lower_by_document_only"] = sum(m.lower and (m.facts or {})["sample_h_30d"] == 0 for m in members)
    return [
        Twin(
            *("M04", "plant", window, *bounds(members), (sum(d.digital for d in devices), len(devices)), members),
            *(parameters, "ok" if members else "insufficient_data", simulated),
        )
    ]


def _member(obligation: Obligation, device: Device, window: tuple[int, int], papers: list[str]) -> TwinMember:
    lines = obligation.evidence.devices.get(device.id, {})
    good = {h for h, x in lines.items() if x.polls_ok > 0 and x.covered}
    recent = sum(h in good for h in obligation.hours(*window))
    months = obligation.hours(*obligation.last_months(MONTHS))
    ever = sum(h in good for h in range(months.start - LEAD_HOURS, months.stop))
    arrived = obligation.evidence.late.get(device.id, {}).values()
    late = any(hour < months.stop and minutes for found in arrived for hour, minutes in found)
    lower = device.digital and (recent > 0 or bool(papers))
    value = lower or (device.digital and (ever > 0 or late))
    why = "not_digital" if not device.digital else "ok" if lower else "old_sample" if value else "no_sample"
    facts: dict[str, int | str] = {"sample_h_30d": recent, "sample_h": ever, "late": int(late)}
    return TwinMember(device.id, lower, value, device.digital, why, facts | {"document": ",".join(papers)})


def _papers(obligation: Obligation) -> dict[str, list[str]]:
    """Device -> interface documents entered before T and valid on its last day, which name it."""
    day = last_day(obligation)
    found: dict[str, list[str]] = {}
    for document in obligation.evidence.documents:
        if document.kind == "interface" and document.entered_us < obligation.end_us and document.valid_on(day):
            for device in {*document.criteria, *_WORD.findall(document.name)}:
                found.setdefault(device, []).append(document.id)
    return found


def last_day(obligation: Obligation) -> date:
    """The local day that ends at T."""
    return datetime.fromtimestamp((obligation.end_us - 1) // 1_000_000, UTC).astimezone(obligation.tz).date()
