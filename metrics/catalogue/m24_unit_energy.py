"""M24 单位产品综合能耗 = energy of the last whole calendar month in kgce / output quantity of batches closed in it.

Energy: counts of the register's meters (`meter`: output_delta of their D lines, in the factor's unit) and records `energy` of media
without a live meter, times the factor of the register (electricity without one: 0.1229 kgce/kWh). Output: closed batches, no trial ones.
Less is better, so the bounds are plain numbers: lower = least possible, upper = most possible; the *conservative* one is `upper`
(parameter `conservative`). lower: bills wholly in the month, batches without a quantity taken as the largest; value: bills across its
ends by days; upper: those bills whole, each meter-hour without a count as that meter's largest hour. Undetermined: no register, no
output, a medium without a factor, a meter never read, a day of a medium (read, or with a factor in the register)
without meter or bill. No instrument judges it.
Members: meters and bills. Exclusions: bills of a medium that is metered live. Source: catalogue §4.1 M24; GB/T 2589-2020 (grade K).
"""

from __future__ import annotations

from math import gcd

from metrics.inputs import Inputs
from metrics.members import NO_REGISTER
from metrics.office.energy_month import FACTOR_SCALE, EnergyMonth, MonthOutput
from metrics.office.papers import NOTHING, amount
from metrics.result import Bound, MetricResult, Pair
from metrics.window import last_whole_month

DEFAULT_NOTE = (
    "电力按 0.1229 kgce/kWh 折算（GB/T 2589-2020 当量值，未核对原文）；台账写上系数后以台账为准 (default factor)"
)


def unit_energy(inputs: Inputs) -> list[MetricResult]:
    """M24 单位产品综合能耗; members are meters and bills."""
    window = last_whole_month(inputs.end_us, inputs.tz)
    if inputs.revision is None:
        return [amount("M24", "plant", window, inputs, (NOTHING,) * 3, unit="kgce", notes=(NO_REGISTER,))]
    energy = EnergyMonth.read(inputs, window)
    output = MonthOutput.read(inputs, window)
    problems = energy.problems()
    if not output.batches:
        problems.append("本月没有完工批次的数量 (no output quantity in the month)")
    bounds = (NOTHING,) * 3
    if output.quantity > 0 and energy.members:
        lower, value, upper = energy.sums()
        bounds = (
            _per_unit(lower, output.quantity + output.unstated * output.largest),
            _per_unit(value, output.quantity),
            _per_unit(upper, output.quantity),
        )
    parameters: tuple[Pair, ...] = (
        ("conservative", "upper"),
        ("output_millionths", output.quantity),
        ("batches", output.batches),
        ("batches_without_quantity", output.unstated),
        ("trial_batches", output.trials),
        *((f"kgce_per_{f.unit}_{m}", f.text) for m, f in sorted(energy.factors.items())),
    )
    return [
        amount(
            "M24",
            "plant",
            window,
            inputs,
            bounds,
            unit="kgce",
            members=energy.members,
            exclusions=energy.left_out,
            parameters=parameters,
            notes=(*problems, *((DEFAULT_NOTE,) if energy.default_used else ())),
            status="insufficient_data" if problems else "ok",
        )
    ]


def _per_unit(energy: int, quantity: int) -> Bound:
    """Energy in kgce / 10^10 over a quantity in millionths: a reduced fraction of kgce per unit."""
    denominator = quantity * FACTOR_SCALE
    common = gcd(energy, denominator)
    return Bound(energy // common, denominator // common)
