"""The metrics there are: id -> function over `Inputs`. A newcomer adds one module of metrics/catalogue/ and one line here.

Each function returns one result per scope. Definitions: docs/metrics.md; ids: catalogue §4.1; names: config/metric_names.py.
"""

from __future__ import annotations

from collections.abc import Callable

from config.metric_names import MEMBERS, TITLES
from metrics.catalogue.fin_revenue import annual_revenue
from metrics.catalogue.m01_device_network_rate import device_network_rate
from metrics.catalogue.m02_digital_network_rate import digital_network_rate
from metrics.catalogue.m03_major_nc_networked import major_nc_networked
from metrics.catalogue.m04_digital_equipment_rate import digital_equipment_rate
from metrics.catalogue.m05_production_nc_rate import production_nc_rate
from metrics.catalogue.m06_key_process_nc_rate import key_process_nc_rate
from metrics.catalogue.m07_parameter_rate import parameter_rate
from metrics.catalogue.m08_automatic_collection import automatic_collection
from metrics.catalogue.m09_realtime_quality import realtime_quality
from metrics.catalogue.m10_network_dispatch_rate import network_dispatch_rate
from metrics.catalogue.m11_stable_running import stable_running
from metrics.catalogue.m12_history_traceable import history_traceable
from metrics.catalogue.m13_batch_traceability import batch_traceability
from metrics.catalogue.m14_inline_inspection import inline_inspection
from metrics.catalogue.m15_rd_tool_rate import rd_tool_rate
from metrics.catalogue.m15b_pdm_control_rate import pdm_control_rate
from metrics.catalogue.m16_resource_domains import resource_domains
from metrics.catalogue.m17_life_cycle_domains import life_cycle_domains
from metrics.catalogue.m18_effects import effects_improved
from metrics.catalogue.m19_ai_scenes import ai_scenes
from metrics.catalogue.m20_stage_coverage import stage_coverage
from metrics.catalogue.m21_line_investment import line_investment
from metrics.catalogue.m22_key_process_automation import key_process_automation
from metrics.catalogue.m23_equipment_classes import equipment_classes
from metrics.catalogue.m24_unit_energy import unit_energy
from metrics.catalogue.m25_interfaces import interfaces_connected
from metrics.catalogue.m26_precise_control import precise_control
from metrics.catalogue.m27_autonomous_decisions import autonomous_decisions
from metrics.inputs import Inputs
from metrics.result import MetricResult

__all__ = ["MEMBERS", "METRICS", "TITLES", "Metric"]

Metric = Callable[[Inputs], list[MetricResult]]

# in the order of config/metric_names.py; an id without a line here is known by name and not computed
METRICS: dict[str, Metric] = {
    "M01": device_network_rate,
    "M02": digital_network_rate,
    "M03": major_nc_networked,
    "M04": digital_equipment_rate,
    "M05": production_nc_rate,
    "M06": key_process_nc_rate,
    "M07": parameter_rate,
    "M08": automatic_collection,
    "M09": realtime_quality,
    "M10": network_dispatch_rate,
    "M11": stable_running,
    "M12": history_traceable,
    "M13": batch_traceability,
    "M14": inline_inspection,
    "M15": rd_tool_rate,
    "M15b": pdm_control_rate,
    "M16": resource_domains,
    "M17": life_cycle_domains,
    "M18": effects_improved,
    "M19": ai_scenes,
    "M20": stage_coverage,
    "M21": line_investment,
    "M22": key_process_automation,
    "M23": equipment_classes,
    "M24": unit_energy,
    "M25": interfaces_connected,
    "M26": precise_control,
    "M27": autonomous_decisions,
    "FIN": annual_revenue,
}
