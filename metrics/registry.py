"""The metrics there are: id -> function over `Inputs`. A newcomer adds one module and one line here.

Each function returns one result per scope. Definitions: docs/metrics.md; ids: catalogue §4.1.
"""

from __future__ import annotations

from collections.abc import Callable

from metrics.batch_trace import batch_traceability
from metrics.history import history_traceable
from metrics.inputs import Inputs
from metrics.nc_rate import key_process_nc_rate, production_equipment_nc_rate
from metrics.networked import device_network_ratio, major_nc_networked
from metrics.result import MetricResult
from metrics.stable_running import stable_running

METRICS: dict[str, Callable[[Inputs], list[MetricResult]]] = {
    "M01": device_network_ratio,
    "M03": major_nc_networked,
    "M05": production_equipment_nc_rate,
    "M06": key_process_nc_rate,
    "M11": stable_running,
    "M12": history_traceable,
    "M13": batch_traceability,
}

TITLES: dict[str, str] = {
    "M01": "设备联网率",
    "M03": "主要数控设备联网率",
    "M05": "生产装备数控化率",
    "M06": "关键工序数控化率",
    "M11": "稳定运行",
    "M12": "历史数据可追溯",
    "M13": "批次追溯率",
}

# What one member is, for "how many more" (design: distance in machines, days, challenges, batches).
UNITS: dict[str, str] = {
    "M01": "machine",
    "M03": "machine",
    "M05": "machine",
    "M06": "machine",
    "M11": "day",
    "M12": "challenge",
    "M13": "batch",
}
