"""M04 生产设备数字化率 = digital production devices / production devices in service at T.

Numerator: lower = `digital` and proof: a good sample in the 30 days before T, or a valid `interface` document that names the device;
value = lower, or `digital` and a good sample at any time at hand (three months and a week, late data included); upper = declared =
`digital`. Denominator and members: `production` devices. Exclusions: none, a machine is there or not.
Undetermined: no register, no production device. Source: catalogue §4.1 M04; GB/T 37393-2019 §6.1 (70%); SME index 2024.
"""

from __future__ import annotations

import re

import polars as pl

from config.register import Device, Register
from metrics.inputs import Inputs, in_service_at_end
from metrics.members import ratio_of_members, without_register
from metrics.result import Member, MetricResult, Pair, Window
from metrics.window import hours_of, local_day

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def digital_equipment_rate(inputs: Inputs) -> list[MetricResult]:
    """M04 生产设备数字化率 over the plant."""
    window = inputs.thirty_days
    if inputs.revision is None:
        return [without_register("M04", "plant", window, inputs)]

    def chosen(register: Register, end_us: int) -> list[Device]:
        return [d for d in register.devices if d.production and in_service_at_end(register, d.id, end_us)]

    devices = chosen(inputs.register, window.end_us)
    recent, ever = _sample_hours(inputs, window), _sample_hours(inputs, inputs.reading)
    late, papers = _late_devices(inputs), _papers(inputs)
    members = tuple(
        _member(d, recent.get(d.id, 0), ever.get(d.id, 0), d.id in late, papers.get(d.id, ())) for d in devices
    )
    on_paper = sum(m.lower and dict(m.facts)["sample_h_30d"] == 0 for m in members)
    return [
        ratio_of_members(
            "M04",
            "plant",
            window,
            inputs,
            members,
            declared=sum(d.digital for d in devices),
            parameters=(
                ("lower_by_document_only", on_paper),
                *inputs.denominators(window, lambda r, at: len(chosen(r, at))),
            ),
        )
    ]


def _member(device: Device, recent: int, ever: int, late: bool, papers: tuple[str, ...]) -> Member:
    lower = device.digital and (recent > 0 or bool(papers))
    value = lower or (device.digital and (ever > 0 or late))
    why = "not_digital" if not device.digital else "ok" if lower else "old_sample" if value else "no_sample"
    facts: tuple[Pair, ...] = (
        ("sample_h_30d", recent),
        ("sample_h", ever),
        ("late", int(late)),
        ("document", ",".join(papers)),
    )
    return Member(device.id, device.name, lower, value, device.digital, why, facts)


def _sample_hours(inputs: Inputs, window: Window) -> dict[str, int]:
    """Hours with a good sample per device: a row of outcome ok or confirmed, and contact that is not Bad."""
    first, end = hours_of(window)
    good = (pl.col("hour") >= first) & (pl.col("hour") < end) & (pl.col("polls_ok") > 0) & (pl.col("covered") != 0)
    hours = inputs.lines.device.lazy().filter(good).group_by("device").len().collect(engine="streaming")
    return dict(zip(hours["device"].to_list(), hours["len"].to_list(), strict=True))


def _late_devices(inputs: Inputs) -> set[str]:
    """Devices with a good sample that arrived after its hour and before T."""
    _, end = hours_of(inputs.reading)
    found = inputs.lines.late.filter((pl.col("hour") < end) & (pl.col("minutes") != 0))
    return set(found["device"].to_list())


def _papers(inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """Device -> `interface` documents held before T and valid on its last day, which name it: in `criteria`, or as a word of the name."""
    day = local_day(inputs.end_us - 1, inputs.tz)
    found: dict[str, tuple[str, ...]] = {}
    for document in sorted(inputs.documents, key=lambda d: d.doc_id):
        if document.kind == "interface" and document.entered_us < inputs.end_us and document.valid_on(day):
            for device in {*document.criteria, *WORD.findall(document.name)}:
                found[device] = (*found.get(device, ()), document.doc_id)
    return found
