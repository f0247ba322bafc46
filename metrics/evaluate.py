"""From a data folder to a report: read what was fixed at one ledger size, count, judge. Reads only.

In: a data folder, rules, a moment, a ledger size (None: the newest checkpoint). Out: `Report`, a pure function of those.
Hours without a seal among the first `size` entries do not exist for it, nor do revisions or records entered later.
Raw rows are read for M12 only, through `recompute` (without it that metric stays undetermined).

Errors: `FolderError`, `LedgerError` (from collector), `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta, timezone
from functools import partial

import polars as pl

from collector.folder import DataFolder
from collector.ledger.entry import Entry
from collector.ledger.log import read_lines
from collector.ledger.merkle import leaf_hash, root
from collector.revisions import exclusions, record_revision, record_set, registers
from collector.store.lines import HourLines, read_hours
from config.ruleset import RuleSet
from metrics.inputs import Inputs, Revision
from metrics.registry import METRICS
from metrics.report import Report, summarise
from metrics.result import MetricResult
from metrics.stable_running import device_days
from metrics.verdict import judge
from metrics.window import HOUR_US, cut_off_us, hour_number, hours_of, local_day

Recompute = Callable[[DataFolder, Sequence[int]], dict[int, list[str]]]
CHINA = timezone(timedelta(hours=8))  # while no register says otherwise


def evaluate(
    folder: DataFolder,
    rules: RuleSet,
    at_us: int,
    size: int | None = None,
    *,
    level: str | None = None,
    recompute: Recompute | None = None,
) -> Report:
    """Every metric, and every criterion in force on the day of `at_us` (of one level, where given)."""
    inputs = read_inputs(folder, at_us, size, recompute=recompute)
    results = compute_all(inputs)
    day = local_day(at_us, inputs.tz)
    criteria = rules.criteria_on(day, level)
    verdicts = tuple(judge(c, c.value_on(day), results) for c in criteria)
    return Report(
        at_us=at_us,
        day=day,
        end_us=inputs.end_us,
        rules=rules,
        results=results,
        criteria=criteria,
        verdicts=verdicts,
        levels=summarise(rules, criteria, verdicts),
        strips=_strips(inputs),
        origin_class=inputs.origin_class,
        size=inputs.ledger_size,
        root=inputs.ledger_root.hex(),
    )


def compute_all(inputs: Inputs) -> tuple[MetricResult, ...]:
    """Every metric there is, in the order of its id."""
    return tuple(result for compute in METRICS.values() for result in compute(inputs))


def read_inputs(
    folder: DataFolder, at_us: int, size: int | None = None, *, recompute: Recompute | None = None
) -> Inputs:
    """All that the metrics need, as of one ledger size."""
    leaves = read_lines(folder.ledger)[:size]
    entries = [Entry.parse(line) for line in leaves]
    revisions = tuple(registers(folder, len(leaves)))
    tz = _offset(revisions, at_us)
    end_us = cut_off_us(at_us, tz)
    records, newest = record_set(folder, len(leaves)), record_revision(folder, len(leaves))
    without_lines = Inputs(end_us, tz, _no_lines(folder), revisions)
    return replace(
        without_lines,
        lines=_sealed(read_hours(folder, *hours_of(without_lines.reading)), entries),
        exclusions=tuple(exclusions(folder, len(leaves))),
        records=replace(records, rev=newest[0]) if records and newest else None,
        down=_down(entries),
        origin_class=folder.origin_class,
        ledger_size=len(leaves),
        ledger_root=root([leaf_hash(line) for line in leaves]),
        recompute=partial(recompute, folder) if recompute else None,
    )


def _no_lines(folder: DataFolder) -> HourLines:
    return read_hours(folder, 0, 0)


def _offset(revisions: Sequence[Revision], at_us: int) -> timezone:
    """The plant's offset by the newest revision at that moment, else by the first."""
    in_force = [r for r in revisions if r.effective_us <= at_us] or list(revisions[:1])
    return in_force[-1].register.calendar.tz if in_force else CHINA


def _sealed(lines: HourLines, entries: Sequence[Entry]) -> HourLines:
    """Lines of the hours that have a seal among these entries."""
    hours = [hour_number(e.body["hour"]) for e in entries if e.t == "seal" and "span" not in e.body]
    sealed = pl.col("hour").is_in(pl.Series(hours, dtype=pl.Int64).implode())
    return HourLines(lines.device.filter(sealed), lines.parameter.filter(sealed), lines.late.filter(sealed))


def _down(entries: Sequence[Entry]) -> tuple[tuple[int, int], ...]:
    """[from, to) in microseconds in which the collector did not run, from the seals (seconds of their hour)."""
    found = []
    for entry in entries:
        if entry.t == "seal" and "span" not in entry.body:  # a span has no lines: every minute is unseen
            start_us = hour_number(entry.body["hour"]) * HOUR_US
            found += [(start_us + a * 1_000_000, start_us + b * 1_000_000) for a, b in entry.body["down"]]
    return tuple(found)


def _strips(inputs: Inputs) -> tuple[tuple[str, str], ...]:
    if inputs.revision is None:
        return ()
    devices = [d.id for d in inputs.register.devices]
    return tuple(zip(devices, device_days(inputs, devices)[0], strict=True))
