"""M03 主要数控设备和大型加工中心联网率 = networked ones / major NC devices and machining centres in service at T.

Numerator: as M01 (metrics/machines/networked.py). Denominator and members: devices with `major_nc` or
`machining_centre`, `production` or not. Excluded minutes: as M01; a unit in repair stays in the denominator.
Undetermined: no register, no such device. Source: GS25 第十二条(三)3 主要数控设备和大型加工中心全部联网 (全部: 100/100, and at least one);
catalogue §4.1 M03.
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.machines.networked import network_ratio
from metrics.result import MetricResult


def major_nc_networked(inputs: Inputs) -> list[MetricResult]:
    """M03: met only when all are networked and there is at least one."""
    return [network_ratio("M03", inputs, lambda d: d.major_nc or d.machining_centre)]
