"""A trial round (试采): each chosen device of a register is read once and nothing is stored. Does it answer, and with what?

In: a register, device ids, a site for the adapters (`plantproof test` gives it the data folder's certificates). Out: per device whether it
answered, the outcome, why not, and each point's value and quality. All connections are tried at the same time, and what goes
wrong with one says nothing of the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from adapters.batch import SEVERITY_BAD, Batch, Column, Outcome
from adapters.contract import DeviceState, Site
from adapters.registry import build
from config.register import Register


@dataclass(frozen=True, slots=True)
class Reading:
    """A point's value, None where there is none, and its quality (OPC UA StatusCode)."""

    value: bool | int | float | str | None
    quality: int

    @property
    def is_good(self) -> bool:
        """True for a value that is worth having."""
        return self.value is not None and not self.quality & SEVERITY_BAD


@dataclass(frozen=True, slots=True)
class Trial:
    """What one device said."""

    device: str
    name: str
    answered: bool
    outcome: str
    why: str  # empty when it answered
    values: dict[str, Reading]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


async def trial(register: Register, chosen: Collection[str], site: Site) -> list[Trial]:
    """One read of each chosen device, in the register's order. The log keeps quiet: what was found is in the result."""
    states: dict[str, DeviceState] = {}
    only = register.model_copy(update={"devices": tuple(d for d in register.devices if d.id in chosen)})
    found: dict[str, list[Batch]] = {d.id: [] for d in only.devices}
    faults: dict[str, str] = {}
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        adapters = build(only, replace(site, on_state=lambda state: states.__setitem__(state.device, state)))
        rounds = await asyncio.gather(*(a.read_once() for a in adapters), return_exceptions=True)
    finally:
        structlog.configure(**before)
    for adapter, batches in zip(adapters, rounds, strict=True):
        if isinstance(batches, BaseException):
            faults |= dict.fromkeys(adapter.devices, f"程序错误 (internal error): {batches!r}")
            continue
        for batch in batches:
            found[batch.device].append(batch)
    tried = {d for a in adapters for d in a.devices}
    return [
        _trial(d.id, d.name, found[d.id], faults.get(d.id) or (states[d.id].words if d.id in states else ""))
        for d in only.devices
        if d.id in tried
    ]


def _trial(device: str, name: str, batches: Sequence[Batch], why: str) -> Trial:
    outcomes = [Outcome(code) for batch in batches for code in batch.outcome.tolist()]
    outcome = next((o for o in outcomes if o.is_contact), next(iter(outcomes), Outcome.SILENT))
    values: dict[str, Reading] = {}
    for batch in batches:
        values |= {n: r for n, r in _readings(batch).items() if n not in values or not values[n].is_good}
    answered = outcome.is_contact and any(not r.quality & SEVERITY_BAD for r in values.values())
    return Trial(device, name, answered, outcome.name.lower(), "" if answered else why, values)


def _readings(batch: Batch) -> dict[str, Reading]:
    """Point -> its first value. Of a wide batch the first row; of an event batch each point's first row."""
    names = [p.name for p in batch.template.points]
    if batch.template.kind == "wide":
        return {name: Reading(_value(batch.columns[i], 0), _quality(batch, i, 0)) for i, name in enumerate(names)}
    found: dict[str, Reading] = {}
    for row in range(len(batch)):
        point = _value(batch.columns[0], row)
        if isinstance(point, int):
            column = batch.template.value_column[point]
            found.setdefault(names[point], Reading(_value(batch.columns[column], row), _quality(batch, column, row)))
    return found


def _value(column: Column, row: int) -> Any:
    if column.valid is not None and not column.valid[row]:
        return None
    value = column.values[row]
    return value if isinstance(value, str) else value.item()


def _quality(batch: Batch, column: int, row: int) -> int:
    own = batch.point_quality[column]
    return int(batch.quality[row] if own is None else own[row])
