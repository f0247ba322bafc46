"""M05 生产装备数控化率 = NC production devices / production devices of a representative line, in service at T.

Numerator: lower = `nc`, a controller on paper and run-time proof in 30 days; value = `nc` and the proof; upper = declared = `nc`
(metrics/machines/nc_rate.py). Denominator and members: `production` devices of the line. Exclusions: none, a machine is there or not.
Undetermined: no register, no representative line, no device. Source: GS25 第十二条(三)3 在70%以上; catalogue §4.1 M05.
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.machines.nc_rate import nc_proof, nc_ratio
from metrics.members import without_register, without_representative_line
from metrics.result import MetricResult


def production_nc_rate(inputs: Inputs) -> list[MetricResult]:
    """M05 生产装备数控化率, one result per representative line."""
    if inputs.revision is None:
        return [without_register("M05", "line:-", inputs.thirty_days, inputs)]
    lines = [line for line in inputs.register.lines if line.representative]
    if not lines:
        return [without_representative_line("M05", inputs.thirty_days, inputs)]
    proof = nc_proof(inputs)
    return [nc_ratio("M05", f"line:{line.id}", inputs, proof, {line.id}, key_only=False) for line in lines]
