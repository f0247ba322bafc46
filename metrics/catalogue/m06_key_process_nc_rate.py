"""M06 关键工序数控化率 = NC production devices in key processes / production devices in key processes, in service at T (reading A).

Numerator: NC as in M05 (metrics/machines/nc_rate.py). Denominator and members: `production` devices whose process is a
关键工序. The words are ambiguous, so B (same numerator / all production devices of the scope) and C (key processes with
an NC device / key processes) stand in the parameters. Exclusions: none. Undetermined: no register, no representative
line, no device in a key process. Source: GS25 第十二条(三)3, (四)3 在60%以上; catalogue §0.6, §4.1 M06.
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.machines.nc_rate import nc_proof, nc_ratio
from metrics.members import without_register, without_representative_line
from metrics.result import MetricResult


def key_process_nc_rate(inputs: Inputs) -> list[MetricResult]:
    """M06 关键工序数控化率: one result per representative line, and one over the plant."""
    if inputs.revision is None:
        return [without_register("M06", s, inputs.thirty_days, inputs) for s in ("line:-", "plant")]
    proof = nc_proof(inputs)
    lines = inputs.register.lines
    results = [
        nc_ratio("M06", f"line:{line.id}", inputs, proof, {line.id}, key_only=True)
        for line in lines
        if line.representative
    ]
    if not results:
        results = [without_representative_line("M06", inputs.thirty_days, inputs)]
    return [*results, nc_ratio("M06", "plant", inputs, proof, {x.id for x in lines}, key_only=True)]
