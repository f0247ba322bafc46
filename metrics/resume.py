"""接着算: the inputs of now from those of a moment ago, when nothing but sealed hours came since: the new hours alone are read.

In: `Inputs`, the folder they were read from, a moment. Out: `Inputs` that give the numbers `read_inputs` would give. `known` is spent:
its arrays are taken over and written to. Whatever else the ledger has since (a register, records, documents, exclusions, a span of
missed hours), another day, a ledger that is not the old one continued: everything is read anew. For a process that stays;
`plantproof check` is one that ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from collector.folder import DataFolder
from collector.ledger.entry import Entry
from collector.ledger.log import read_lines
from collector.ledger.merkle import leaf_hash, root
from collector.store.lines import HourLines, read_hours
from metrics.batches.operation_coverage import write_key_masks
from metrics.evaluate import UNREAD, downtime, read_inputs
from metrics.inputs import Inputs
from metrics.machines.fields import extend_fields
from metrics.machines.minutes import extend_minutes, hours_not_live
from metrics.window import cut_off_us, hour_number, hours_of

KEPT = ("revision", "excusing", "_services", "_service_turns", "batch_rows")  # do not depend on the lines


def resume(known: Inputs, folder: DataFolder, at_us: int) -> Inputs:
    """The inputs as of the folder's newest ledger entry. Errors: as `read_inputs`."""
    lines = read_lines(folder.ledger)
    leaves = [leaf_hash(line) for line in lines]
    new = [Entry.parse(line) for line in lines[known.ledger_size :]]
    hours = _only_hours(new)
    same = known.ledger_size <= len(lines) and root(leaves[: known.ledger_size]) == known.ledger_root
    later = hours is not None and (not hours or hours[0] > _newest(known))
    if not same or hours is None or not later or cut_off_us(at_us, known.tz) != known.end_us or known.revision is None:
        return replace(read_inputs(folder, at_us), recompute=known.recompute, scenes=known.scenes)
    first, end = hours_of(known.reading)
    inputs = replace(known, down=known.down + downtime(new), ledger_size=len(lines), ledger_root=root(leaves))
    return _with_hours(known, inputs, folder, [hour for hour in hours if first <= hour < end])


def _with_hours(known: Inputs, inputs: Inputs, folder: DataFolder, hours: Sequence[int]) -> Inputs:
    kept = {name: known.__dict__[name] for name in KEPT if name in known.__dict__}
    if hours:
        first, end = hours[0], hours[-1] + 1
        new = read_hours(folder, first, end, without=UNREAD)
        old = known.lines
        pairs = ((old.device, new.device), (old.parameter, new.parameter), (old.late, new.late))
        inputs = replace(inputs, lines=HourLines(*(pl.concat(pair) for pair in pairs)))
        if "_hours_not_live" in known.__dict__:
            kept["_hours_not_live"] = known._hours_not_live | hours_not_live(new.device)
        if "minutes" in known.__dict__:
            kept["fields"] = extend_fields(known.fields, new.device)
            kept["minutes"] = extend_minutes(known.minutes, inputs, new, first, end - first)
        if "key_masks" in known.__dict__:
            write_key_masks(known.key_masks, known, new.parameter)
            kept["key_masks"] = known.key_masks
    else:
        kept |= {
            name: known.__dict__[name]
            for name in ("fields", "minutes", "key_masks", "_hours_not_live")
            if name in known.__dict__
        }
    inputs.__dict__.update(kept)
    return inputs


def _only_hours(new: Sequence[Entry]) -> list[int] | None:
    """Consecutive hours that these entries seal; None when they are anything else."""
    if any(e.t != "seal" or "span" in e.body for e in new):
        return None
    hours = [hour_number(e.body["hour"]) for e in new]
    return hours if not hours or hours == list(range(hours[0], hours[0] + len(hours))) else None


def _newest(inputs: Inputs) -> int:
    newest = inputs.lines.device["hour"].max()
    return newest if isinstance(newest, int) else -1
