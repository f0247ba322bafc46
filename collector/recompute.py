"""One sealed hour again, from raw rows: the lines that must equal the sealed ones, commitments included.

In: a data folder and hours that are sealed. Out: their lines, made by the sealing functions from segments, registers and the facts that
the seal leaf states (when the collector was down). Used by M12 历史数据可追溯, by tests, and to make deleted line files again.
Refuses (`StoreError`): an hour that no seal covers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from collector.folder import DataFolder
from collector.hours import HourFacts, hour_text, parse_hour
from collector.ledger import log, merkle
from collector.ledger.entry import Entry
from collector.revisions import registers
from collector.seal import Identities, SealedHour, seal_hours
from collector.store.catalog import open_catalog
from collector.store.errors import StoreError
from collector.store.lines import write_hours
from collector.store.rows import ROWS_AT_ONCE, device_ranges, rows_of_hours


def recompute_hours(folder: DataFolder, hours: Iterable[int]) -> dict[int, SealedHour]:
    """Lines and leaf of each hour, from raw rows."""
    wanted = sorted(set(hours))
    facts = sealed_facts(folder, wanted)
    revisions, seed = registers(folder), folder.salt_seed
    found = {}
    with open_catalog(folder) as catalog:
        for hour in wanted:
            if hour not in facts:
                raise StoreError(f"{hour_text(hour)}: expected a sealed hour, found no seal for it")
            part, identities = facts[hour]
            ranges = device_ranges(folder, catalog, hour - 1, hour + 1, ROWS_AT_ONCE)
            read = partial(rows_of_hours, folder, catalog)
            (found[hour],) = seal_hours([part], revisions, read, [identities], seed, ranges)
    return found


def recompute_hour(folder: DataFolder, hour: int) -> list[str]:
    """All lines of one sealed hour, from raw rows."""
    return [line.decode() for line in recompute_hours(folder, [hour])[hour].lines]


def restore_lines(folder: DataFolder) -> tuple[int, list[str]]:
    """Make every line file again from rows; (hours written, hours whose root is not the sealed one)."""
    roots = {
        parse_hour(e.body["hour"]): e.body["root"] for e in log.read_of(folder.ledger, "seal") if "span" not in e.body
    }
    wrong = []
    for hour in sorted(roots):
        sealed = recompute_hours(folder, [hour])[hour]
        if merkle.root([merkle.leaf_hash(line) for line in sealed.lines]).hex() != roots[hour]:
            wrong.append(hour_text(hour))
            continue
        write_hours(folder, [(hour, sealed.lines)])
    return len(roots) - len(wrong), wrong


def sealed_facts(folder: DataFolder, hours: Iterable[int]) -> dict[int, tuple[HourFacts, Identities]]:
    """What the ledger says of sealed hours: facts of the seal, identities known before it."""
    wanted = {hour_text(h): h for h in hours}
    known: dict[str, tuple[int, str]] = {}
    found = {}
    for entry in log.read_of(folder.ledger, "seal", "identity"):
        if entry.t == "identity":
            known[entry.body["device"]] = (entry.body["rev"], entry.body["origin"])
        elif "span" not in entry.body and entry.body["hour"] in wanted:
            hour = wanted[entry.body["hour"]]
            found[hour] = (_facts(hour, entry), Identities(folder.origin_class, dict(known)))
    return found


def _facts(hour: int, entry: Entry) -> HourFacts:
    body = entry.body
    return HourFacts(
        hour,
        first_seq=body["frames"][0],
        last_seq=body["frames"][1],
        head=body["head"],
        down=body["down"],
        clock=body["clock"],
        closed_us=entry.at_ms * 1000,
        cause=body["cause"],
    )
