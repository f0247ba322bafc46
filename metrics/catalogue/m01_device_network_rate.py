"""M01 设备联网率（总设备口径） = networked production devices / production devices in service at T.

Numerator: devices heard from over 30 days (metrics/machines/networked.py: 90/100 of the obligated minutes, 7 days, silent at most 24 h,
something changed). Denominator and members: `production` devices in service at T. Excluded minutes: closures and exclusions
entered within 72 h of their start. Undetermined: no register, no such device. No instrument here judges it: it is shown.
Source: catalogue §4.1 M01; the denominator "total production equipment" as the 2024 SME index has it (§0.4).
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.machines.networked import network_ratio
from metrics.result import MetricResult


def device_network_rate(inputs: Inputs) -> list[MetricResult]:
    """M01 设备联网率 over all production equipment of the plant."""
    return [network_ratio("M01", inputs, lambda d: d.production)]
