"""From a data folder to a report: read what was fixed at one ledger size, count, judge. Reads only.

In: a data folder, rules, a moment, a ledger size (None: the newest checkpoint). Out: `Report`, a pure function of those.
Hours without a seal among the first `size` entries do not exist for it, nor do revisions or records entered later.
Raw rows are read for M12 only, through `recompute` (without it that metric stays undetermined).

Errors: `FolderError`, `LedgerError` (from collector), `ConfigError`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from functools import partial

import polars as pl

from collector.folder import DataFolder
from collector.ledger.entry import Entry
from collector.ledger.log import read_lines
from collector.ledger.merkle import leaf_hash, root
from collector.register_revisions import registers
from collector.revisions import documents, exclusions, import_facts, record_frames
from collector.store.lines import COMMITS, HourLines, read_commits, read_hours
from config.metric_names import TITLES
from config.rulebook import adopted, load_shelf
from config.ruleset import RuleSet
from metrics.inputs import Inputs, Revision
from metrics.machines.stable_running import device_days
from metrics.registry import METRICS
from metrics.report import Report
from metrics.result import MetricResult
from metrics.verdicts.assess import assess
from metrics.verdicts.evidence import evidence_of
from metrics.window import HOUR_US, cut_off_us, hour_number, hours_of, local_day

Recompute = Callable[[DataFolder, Sequence[int]], dict[int, list[str]]]
BY_GUIDE = ("M20",)  # counts 环节 as the adopted scene guide assigns scenes to them
UNREAD = (*COMMITS, "identity_rev")  # no metric asks for these columns of every hour
CHINA = timezone(timedelta(hours=8))  # while no register says otherwise


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """Everything that does not depend on the instrument, computed once: several instruments are judged by the same numbers."""

    at_us: int
    inputs: Inputs
    results: tuple[MetricResult, ...]
    strips: tuple[tuple[str, str], ...]


def evaluate(
    folder: DataFolder,
    rules: RuleSet,
    at_us: int,
    size: int | None = None,
    *,
    level: str | None = None,
    recompute: Recompute | None = None,
    shelf: Mapping[str, RuleSet] | None = None,
) -> Report:
    """Every metric, and every criterion on the day of `at_us` (of one level, where given). shelf: None for the shipped instruments."""
    computed = compute(folder, at_us, size, recompute=recompute)
    return report_of(computed, rules, load_shelf(TITLES) if shelf is None else shelf).at_level(level)


def compute(folder: DataFolder, at_us: int, size: int | None = None, *, recompute: Recompute | None = None) -> Computed:
    """The numbers of one moment and ledger size."""
    with fewer_collections():
        inputs = read_inputs(folder, at_us, size, recompute=recompute)
        return Computed(at_us, inputs, compute_all(inputs), _strips(inputs))


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Members are made by the hundred thousand, and none of them lies on a cycle: looking for cycles took a tenth of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def with_guide(computed: Computed, rules: RuleSet, shelf: Mapping[str, RuleSet]) -> Computed:
    """The same numbers, those that count scenes by the guide which this instrument adopts on the day."""
    day = local_day(computed.at_us, computed.inputs.tz)
    guides = [adopted(rules, adoption.family, day, shelf) for adoption in rules.adopts]
    scenes = {scene.no: scene for guide in guides if guide is not None for scene in guide.scenes}
    if not scenes:
        return computed
    inputs = replace(computed.inputs, scenes=scenes)
    known = ("minutes", "excusing", "revision")  # do not depend on the guide
    inputs.__dict__.update({k: v for k, v in computed.inputs.__dict__.items() if k in known})
    anew = {metric: METRICS[metric](inputs) for metric in BY_GUIDE if metric in METRICS}
    names = dict.fromkeys(r.metric for r in computed.results)
    of = {name: anew.get(name) or [r for r in computed.results if r.metric == name] for name in names}
    return replace(computed, inputs=inputs, results=tuple(r for name in names for r in of[name]))


def report_of(computed: Computed, rules: RuleSet, shelf: Mapping[str, RuleSet]) -> Report:
    """One instrument, and those it adopts from the shelf, judged by these numbers."""
    computed = with_guide(computed, rules, shelf)
    inputs = computed.inputs
    day = local_day(computed.at_us, inputs.tz)
    own, *references = assess(rules, evidence_of(inputs, computed.results, day, {}), shelf).values()
    return Report(
        at_us=computed.at_us,
        day=day,
        end_us=inputs.end_us,
        own=own,
        references=tuple(references),
        results=computed.results,
        strips=computed.strips,
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
    records = record_frames(folder, len(leaves))
    without_lines = Inputs(end_us, tz, _no_lines(folder), revisions)
    return replace(
        without_lines,
        lines=_sealed(read_hours(folder, *hours_of(without_lines.reading), without=UNREAD), entries),
        exclusions=tuple(exclusions(folder, len(leaves))),
        records=records if records.rev else None,
        import_facts=import_facts(folder, len(leaves)),
        documents=documents(folder, len(leaves)),
        down=downtime(entries),
        origin_class=folder.origin_class,
        ledger_size=len(leaves),
        ledger_root=root([leaf_hash(line) for line in leaves]),
        recompute=partial(recompute, folder) if recompute else None,
        commits=partial(read_commits, folder),
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
    sealed = pl.Series(hours, dtype=pl.Int64).implode()

    def only_sealed(frame: pl.DataFrame) -> pl.DataFrame:
        known = frame["hour"].is_in(sealed)
        return frame if known.all() else frame.filter(known)

    return HourLines(only_sealed(lines.device), only_sealed(lines.parameter), only_sealed(lines.late))


def downtime(entries: Sequence[Entry]) -> tuple[tuple[int, int], ...]:
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
