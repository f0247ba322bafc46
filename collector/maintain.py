"""Everything right of the journal, made from it and nothing else: segments, seals with their lines, day files. Safe to repeat.

 1 put in order what a crash left            2 each closed journal file becomes segments (one per template), one catalog transaction
 3 each closed hour whose rows are all in segments is sealed: lines written, then the leaf    4 finished days are merged, a device at a time
 5 journal files whose rows are in segments and whose hours are sealed are removed
If the process dies anywhere, the next call repeats the step with the same content (seals are dropped by (type, hour) in the ledger).
In live operation the collector starts it as a child (`plantproof store maintain`); a driven history calls it once a day.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from collector import journal
from collector.folder import DataFolder
from collector.frame import CONTROL, ROWS, Frame
from collector.hours import HourFacts, facts_of, hour_text, parse_hour
from collector.ledger import log
from collector.ledger.entry import Entry, canonical_json
from collector.revisions import registers
from collector.seal import Identities, SealedHour, seal_hours
from collector.store.catalog import Catalog, open_catalog
from collector.store.lines import write_hours
from collector.store.merge import columns_in, merged
from collector.store.portions import row_groups
from collector.store.rows import ROWS_AT_ONCE, device_ranges, rows_of_hours
from collector.store.segment import write_segment

DAY_HOURS = 24
MAX_FACT_BYTES = 32_768  # of an identity leaf: an entry holds 65,535 bytes
SPAN_HOURS = 72  # more missed hours than this become one leaf


@dataclass(frozen=True, slots=True)
class MaintainReport:
    """What one call did."""

    segments: int
    sealed: int
    merged: int
    removed: int
    quarantined: tuple[str, ...]


def maintain(folder: DataFolder) -> MaintainReport:
    """Bring segments, seals and day files up to the journal. One at a time per folder."""
    with _alone(folder), open_catalog(folder, repair=True) as catalog:
        quarantined = catalog.sweep()  # 1
        paths = journal.files(folder.journal)
        frames = _read(paths)
        made = _make_segments(folder, catalog, paths, frames)  # 2
        sealed = _seal(folder, catalog, frames)  # 3
        days = _merge(folder, catalog)  # 4
        removed = _remove_done(folder, catalog, paths, frames)  # 5
        return MaintainReport(made, sealed, days, removed, tuple(quarantined))


def _read(paths: Sequence[Path]) -> list[list[Frame]]:
    """Frames by file, without their rows."""
    return [list(journal.read_file(p, tail=p == paths[-1], rows=False)) for p in paths]


def _make_segments(
    folder: DataFolder, catalog: Catalog, paths: Sequence[Path], files: Sequence[Sequence[Frame]]
) -> int:
    made = 0
    for i, frames in enumerate(files[:-1]):  # the newest file is still being written
        rows = [f for f in frames if f.kind == ROWS]
        if not rows or frames[-1].seq <= catalog.last_seq():
            continue
        days = {f.hour // DAY_HOURS for f in rows}
        later = next((fs[0].hour for fs in files[i + 1 :] if fs), 0)
        whole_day = (
            len(days) == 1
            and later // DAY_HOURS > max(days)
            and not catalog.segments(min(days) * DAY_HOURS, (max(days) + 1) * DAY_HOURS)
        )
        about = {"level": "day" if whole_day else "open", "first_seq": frames[0].seq, "last_seq": frames[-1].seq}
        new = []
        for found in row_groups(_row_frames(paths[i]), folder.segments / "open", per_device=whole_day):
            name = found.template.id
            path = _day_path(max(days), name) if whole_day else f"open/{frames[0].seq:016d}-{name}.parquet"
            segment = write_segment(folder.segments, path, found.template, found.tables, about, found.columns)
            new.append((segment, found.template))
        catalog.replace(new)
        made += len(new)
    return made


def _row_frames(path: Path) -> Iterator[Frame]:
    return (f for f in journal.read_file(path) if f.kind == ROWS)


def _seal(folder: DataFolder, catalog: Catalog, files: Sequence[Sequence[Frame]]) -> int:
    facts = facts_of(f for frames in files for f in frames)
    done = catalog.last_seq()
    last_sealed = _sealed_until(folder)
    newest_row = {f.hour: f.seq for frames in files for f in frames if f.kind == ROWS}
    due = [f for h, f in sorted(facts.items()) if f.closed_seq and h >= last_sealed and newest_row.get(h, 0) <= done]
    each: list[HourFacts] = []
    due = _unbroken(due, last_sealed)
    for missed, run in groupby(due, key=lambda f: bool(f.cause)):
        hours = list(run)
        if missed and len(hours) > SPAN_HOURS:
            _seal_each(folder, catalog, each)
            _seal_span(folder, hours)
            each = []
        else:
            each += hours
    _seal_each(folder, catalog, each)
    return len(due)


def _seal_each(folder: DataFolder, catalog: Catalog, due: Sequence[HourFacts]) -> None:
    revisions, seed = registers(folder), folder.salt_seed
    for part in _portions(catalog, due):
        known, before = _identities(folder)
        leaves: list[list[Entry]] = []
        identities = []
        for facts in part:
            new = _identity_leaves(facts, known, before)
            leaves.append(new)
            identities.append(Identities(folder.origin_class, {d: (r, o) for d, (r, o, _) in known.items()}))
        ranges = device_ranges(folder, catalog, part[0].hour - 1, part[-1].hour + 1, ROWS_AT_ONCE)
        read = partial(rows_of_hours, folder, catalog)
        sealed = seal_hours(part, revisions, read, identities, seed, ranges)
        _record(folder, sealed, leaves)


def _portions(catalog: Catalog, due: Sequence[HourFacts]) -> Iterator[list[HourFacts]]:
    """Consecutive hours in portions of about ROWS_AT_ONCE rows, one hour at least."""
    part: list[HourFacts] = []
    rows = 0
    for facts in due:
        here = sum(s.rows // (s.hour_end - s.hour_min) for s in catalog.segments(facts.hour, facts.hour + 1))
        if part and rows + here > ROWS_AT_ONCE:
            yield part
            part, rows = [], 0
        part.append(facts)
        rows += here
    if part:
        yield part


def _record(folder: DataFolder, sealed: Sequence[SealedHour], leaves: Sequence[Sequence[Entry]]) -> None:
    """Lines first, then the leaf: a leaf never names lines that are not on disk."""
    write_hours(folder, ((s.hour, s.lines) for s in sealed))
    folder.append(*(e for new, s in zip(leaves, sealed, strict=True) for e in (*new, s.entry)))


def _seal_span(folder: DataFolder, missed: Sequence[HourFacts]) -> None:
    """More than three days on end without the collector: one leaf that lists the devices, no lines."""
    first, end = missed[0].hour, missed[-1].hour + 1
    revision = registers(folder)
    devices = sorted(revision[-1].register.device) if revision else []
    body = {
        "hour": hour_text(first),
        "span": [hour_text(first), hour_text(end)],
        "register": revision[-1].rev if revision else 0,
        "devices": devices,
        "cause": "collector_down",
    }
    folder.append(Entry("seal", missed[-1].closed_us // 1000, "collector", body))


def _sealed_until(folder: DataFolder) -> int:
    """The hour after the last one that a seal covers; 0 before the first."""
    newest = log.last_of(folder.ledger, "seal")
    if newest is None:
        return 0
    span = newest.body.get("span")
    return parse_hour(span[1]) if span else parse_hour(newest.body["hour"]) + 1


def _unbroken(due: list[HourFacts], last_sealed: int) -> list[HourFacts]:
    """Hours that follow each other: a seal never skips one."""
    found: list[HourFacts] = []
    for facts in due:
        expected = found[-1].hour + 1 if found else (last_sealed or facts.hour)
        if facts.hour != expected:
            break
        found.append(facts)
    return found


Known = dict[str, tuple[int, str, tuple[tuple[str, str], ...]]]


def _identities(folder: DataFolder) -> tuple[Known, set[tuple[str, int]]]:
    """Newest identity of each device among the ledger's leaves, and which (device, time) are there already."""
    known: Known = {}
    there = set()
    for entry in log.read_of(folder.ledger, "identity"):
        body = entry.body
        known[body["device"]] = (body["rev"], body["origin"], tuple(sorted(body["facts"].items())))
        there.add((body["device"], entry.at_ms))
    return known, there


def _identity_leaves(facts: HourFacts, known: Known, there: set[tuple[str, int]]) -> list[Entry]:
    """Leaves for identities that this hour saw first or changed; updates `known`."""
    new = []
    for clock_us, control in facts.identities:
        device, announced = control["device"], _bounded(control["facts"])
        rev, origin, before = known.get(device, (0, "", ()))
        if (origin, before) == (control["origin"], announced) or (device, clock_us // 1000) in there:
            continue
        known[device] = (rev + 1, control["origin"], announced)
        body = {"device": device, "rev": rev + 1, "facts": dict(announced), "origin": control["origin"]}
        new.append(Entry("identity", clock_us // 1000, "collector", body))
    return new


def _bounded(facts: Sequence[Sequence[object]]) -> tuple[tuple[str, str], ...]:
    """Facts that fit an entry: a peer that says too much of itself never stops the sealing; how many were left out is said."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in sorted((str(a), str(b)) for a, b in facts):
        size += len(canonical_json([name, value]))
        if size <= MAX_FACT_BYTES:
            kept[name] = value
    left_out = len(facts) - len(kept)
    return tuple(sorted((kept | {"facts_left_out": str(left_out)} if left_out else kept).items()))


def _merge(folder: DataFolder, catalog: Catalog) -> int:
    """Open segments of days that are sealed to their end become one file per template and day."""
    sealed = _sealed_until(folder)
    ready = [s for s in catalog.segments() if s.level == "open" and (s.hour_end - 1) // DAY_HOURS < sealed // DAY_HOURS]
    done = 0
    templates = catalog.templates()
    for (day, template_id), group in groupby(
        sorted(ready, key=lambda s: (s.hour_min // DAY_HOURS, s.template, s.first_seq)),
        key=lambda s: (s.hour_min // DAY_HOURS, s.template),
    ):
        parents = list(group)
        paths = [folder.segments / s.path for s in parents]
        template = templates[template_id]
        about = {
            "level": "day",
            "first_seq": parents[0].first_seq,
            "last_seq": parents[-1].last_seq,
            "parents": [s.path for s in parents],
        }
        columns = columns_in(paths, template)
        groups = merged(paths, template, columns)
        segment = write_segment(folder.segments, _day_path(day, template_id), template, groups, about, columns)
        catalog.replace([(segment, template)], [s.path for s in parents])
        for path in paths:
            path.unlink(missing_ok=True)
        done += 1
    return done


def _remove_done(folder: DataFolder, catalog: Catalog, paths: Sequence[Path], files: Sequence[Sequence[Frame]]) -> int:
    if not files or not files[-1]:
        return 0  # the newest file holds no whole frame yet: the one before it still carries the chain
    done = catalog.last_seq()
    sealed = _sealed_until(folder)
    removed = 0
    for path, frames in zip(paths[:-1], files[:-1], strict=True):
        rows = [f.seq for f in frames if f.kind == ROWS]
        closes = [c for f in frames if f.kind == CONTROL and (c := (f.control or {}).get("close"))]
        open_hours = [f.hour for f in frames if f.hour >= sealed] + [c for c in closes if c[1] > sealed]
        if open_hours or max(rows, default=0) > done:
            break
        path.unlink()
        removed += 1
    return removed


def _day_path(day: int, template_id: str) -> str:
    year, month, date = hour_text(day * DAY_HOURS)[:10].split("-")
    return f"{year}/{month}/{date}/{template_id}.parquet"


@contextmanager
def _alone(folder: DataFolder) -> Iterator[None]:
    folder.state.mkdir(exist_ok=True)
    with (folder.state / "maintain.lock").open("ab") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield
