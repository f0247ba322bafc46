"""From a data folder to a report: read what was fixed at one ledger size, count, judge. Reads only.

In: a data folder, rules, a moment, a ledger size (None: the newest checkpoint). Out: `Report`, a pure function of those.
Hours without a seal among the first `size` entries do not exist for it, nor do revisions or records entered later.
Raw rows are read for M12 only (`raw=False` leaves that metric undetermined).

Errors: `FolderError`, `LedgerError` (from collector), `ConfigError`.
"""

from __future__ import annotations

from datetime import timezone
from functools import partial

import polars as pl

from collector.folder import DataFolder
from collector.ledger.entry import Entry
from collector.ledger.log import read_lines
from collector.ledger.merkle import leaf_hash, root
from collector.recompute import recompute_hour
from collector.revisions import exclusions, record_set, registers
from collector.store.lines import HourLines, read_hours
from config.ruleset import RuleSet
from metrics.hours import hour_number
from metrics.inputs import Inputs, Revision
from metrics.registry import METRICS
from metrics.report import Report, summarise
from metrics.stable_running import device_days
from metrics.verdict import judge
from metrics.window import cut_off_us, hours_of, local_day

DEFAULT_OFFSET_H = 8  # China, while no register says otherwise


def evaluate(
    folder: DataFolder, rules: RuleSet, at_us: int, size: int | None = None, *, level: str | None = None, raw: bool = True
) -> Report:
    """Every metric, every criterion in force on the day of `at_us` (of one level, where given)."""
    inputs = read_inputs(folder, at_us, size, raw=raw)
    results = tuple(r for compute in METRICS.values() for r in compute(inputs))
    day = local_day(at_us, inputs.tz)
    criteria = rules.criteria_on(day, level)
    verdicts = tuple(judge(c, c.value_on(day), results) for c in criteria)
    strips: tuple[tuple[str, str], ...] = ()
    if inputs.revision is not None:
        devices = [d.id for d in inputs.register.devices]
        strips = tuple(zip(devices, device_days(inputs, devices)[0], strict=True))
    return Report(
        at_us=at_us,
        end_us=inputs.end_us,
        rules=rules,
        results=results,
        criteria=criteria,
        verdicts=verdicts,
        levels=summarise(rules, criteria, verdicts),
        strips=strips,
        origin_class=inputs.origin_class,
        size=inputs.ledger_size,
        root=inputs.ledger_root.hex(),
    )


def read_inputs(folder: DataFolder, at_us: int, size: int | None = None, *, raw: bool = True) -> Inputs:
    """All that the metrics need, as of one ledger size."""
    leaves = read_lines(folder.ledger)[:size]
    entries = [Entry.parse(line) for line in leaves]
    revisions = tuple(registers(folder, len(leaves)))
    tz = _offset(revisions, at_us)
    bare = Inputs(cut_off_us(at_us, tz), tz, _NO_LINES, revisions)
    first, end = hours_of(bare.reading)
    return Inputs(
        end_us=bare.end_us,
        tz=tz,
        lines=_sealed_only(read_hours(folder, first, end), entries),
        revisions=revisions,
        exclusions=tuple(exclusions(folder, len(leaves))),
        records=record_set(folder, len(leaves)),
        down=_down(entries),
        origin_class=folder.origin_class,
        ledger_size=len(leaves),
        ledger_root=root([leaf_hash(line) for line in leaves]),
        recompute=partial(recompute_hour, folder) if raw else None,
    )
