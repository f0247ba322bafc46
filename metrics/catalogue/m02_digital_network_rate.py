"""M02 数字化设备联网率 = networked digital production devices / digital production devices in service at T.

Numerator: as M01 (metrics/machines/networked.py). Denominator and members: devices with `production` and `digital` in
service at T: the other official-looking reading of 设备联网率 (catalogue §0.4), never mixed with M01. Excluded minutes: as M01.
Undetermined: no register, no digital device. Shown beside M01, which is the stated one. Source: catalogue §4.1 M02.
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.machines.networked import network_ratio
from metrics.result import MetricResult


def digital_network_rate(inputs: Inputs) -> list[MetricResult]:
    """M02 数字化设备联网率 over the digital production equipment of the plant."""
    return [network_ratio("M02", inputs, lambda d: d.production and d.digital)]
