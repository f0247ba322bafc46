"""Hour seals: the lines of every device in force, their Merkle root, the ledger leaf. Pure; the same bytes each time.

 1 plan each hour from the register revisions in force      2 rows of the hours and, carried in, of the hour before
 3 reduce rows to counts and masks                           4 commit to both classes of every device-hour
 5 write the lines, sorted                                   6 root and counts make the leaf
In: journal facts, revisions, rows, identities. Out: `SealedHour` per hour. Nothing sealed is reopened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from adapters.batch import Template
from collector.carried import with_carried
from collector.commit import hour_bytes, hour_commitments, late_commitment
from collector.hourlines import CAUSES, Down, Reduced, reduce_hours
from collector.hours import HourFacts, hour_text
from collector.ledger import merkle
from collector.ledger.entry import Entry
from collector.plan import HOUR_US, HourPlan, plan_hour
from collector.readings import Readings, contact_time, read_rows
from collector.revisions import RegisterRevision
from collector.store.lines import PARAMETER_FIELDS
from collector.store.rows import ALL, DeviceRange
from config.points import PointSet

Rows = Mapping[Template, pl.DataFrame]
RowsOf = Callable[
    [int, int, DeviceRange], Rows
]  # hours [first, end), devices -> rows by template, in journal order per device


@dataclass(frozen=True, slots=True)
class Identities:
    """Identity leaves before an hour's seal: device -> (how many, announced origin)."""

    origin_class: str
    known: dict[str, tuple[int, str]]

    def of(self, device: str) -> tuple[int, str]:
        """(identity revision, origin) of a device-hour."""
        rev, announced = self.known.get(device, (0, "live"))
        return rev, self.origin_class if self.origin_class != "live" else announced


@dataclass(frozen=True, slots=True)
class SealedHour:
    """Lines (sorted, without newline) and the leaf that commits to them."""

    hour: int
    lines: tuple[bytes, ...]
    entry: Entry


def seal_hours(
    facts: Sequence[HourFacts],
    revisions: Sequence[RegisterRevision],
    rows_of: RowsOf,
    identities: Sequence[Identities],
    salt_seed: bytes,
    ranges: Sequence[DeviceRange] = (ALL,),
) -> list[SealedHour]:
    """Consecutive hours, each with its own facts and identities. Errors: none of its own.

    A line depends on its own device only, so devices are taken in `ranges`, and only one range's rows are held at a time.
    """
    plans = [plan_hour(revisions, f.hour) for f in facts]  # 1
    first, end = facts[0].hour, facts[-1].hour + 1
    down = [
        Down(f.hour, f.hour * HOUR_US + a * 1_000_000, f.hour * HOUR_US + b * 1_000_000)
        for f in facts
        for a, b in f.down
    ]
    who = {f.hour: i for f, i in zip(facts, identities, strict=True)}
    by_hour: dict[int, list[bytes]] = {f.hour: [] for f in facts}
    for devices in ranges:
        raw = rows_of(first - 1, end, devices)
        rows = {t: with_carried(f, t, first, end) for t, f in raw.items() if len(f)}  # 2
        part = [p.only(devices) for p in plans]
        reduced = reduce_hours(_readings(rows, part), part, down)  # 3
        for hour, made in _lines(reduced, rows, who, salt_seed).items():  # 4
            by_hour[hour] += made
    return [
        SealedHour(f.hour, lines := tuple(sorted(by_hour[f.hour])), _leaf(f, p, lines))  # 5, 6
        for f, p in zip(facts, plans, strict=True)
    ]


def _readings(rows: Rows, plans: Sequence[HourPlan]) -> list[Readings]:
    """Rows grouped by what the register says of them: template and point set may change from hour to hour."""
    owners: dict[int, tuple[PointSet, list[tuple[str, int]]]] = {}
    for plan in plans:
        for d in plan.devices:
            if d.point_set:  # by object, not by id: who is removed in mid-hour keeps the set of its own revision
                owner = owners.setdefault(id(d.point_set), (d.point_set, []))
                owner[1].append((d.device.id, plan.hour))
    found = []
    for points, keys in owners.values():
        mine = pl.DataFrame(keys, schema={"device": pl.String, "hour": pl.Int32}, orient="row")
        for template, frame in sorted(rows.items(), key=lambda item: item[0].digest):
            part = frame.join(mine, on=["device", "hour"], how="semi", maintain_order="left")
            if len(part):
                found.append(read_rows(part, template, points))
    return found


def _lines(reduced: Reduced, rows: Rows, identities: dict[int, Identities], salt_seed: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {hour: [] for hour in identities}
    sections = hour_bytes(rows)
    for r in reduced.device.iter_rows(named=True):
        device, hour, text = r["device"], r["hour"], hour_text(r["hour"])
        rev, origin = identities[hour].of(device)
        presence, process = hour_commitments(sections, salt_seed, device, hour, text)
        cause = CAUSES[r["cause"]] if r["gap_s"] else ""
        fields = ["D", device, text, r["register_rev"], origin, r["in_service_s"], f"{r['covered']:015x}"]
        fields += [r[k] for k in ("polls_ok", "polls_failed", "values_bad", "losses", "late", "gap_s")]
        fields += [cause, *(r[k] for k in ("run_s", "stop_s", "unknown_s", "output_delta", "auto_s", "points_changed"))]
        fields += [rev, presence, process]
        found[hour].append(_csv(fields))
    for device, hour, point, covered, *rest in reduced.parameter.select(PARAMETER_FIELDS).iter_rows():
        found[hour].append(_csv(["P", device, hour_text(hour), point, f"{covered:015x}", *rest]))
    for device, hour, source_hour, minutes, count in reduced.late.iter_rows():
        text = f"{hour_text(hour)}/{hour_text(source_hour)}"
        commit = late_commitment(rows, salt_seed, device, text, _late_rows(device, hour, source_hour))
        found[hour].append(
            _csv(["L", device, hour_text(hour), hour_text(source_hour), f"{minutes:015x}", count, commit])
        )
    return found


def _late_rows(device: str, hour: int, source_hour: int) -> pl.Expr:
    """The rows `reduce_hours` counted as late for this line: outcome ok, not carried in, of that source hour."""
    same = (pl.col("device") == device) & (pl.col("hour") == hour) & ~pl.col("carried")
    late = (pl.col("outcome") == 0) & (pl.col("source_us") // HOUR_US < hour)
    return same & late & (contact_time() // HOUR_US == source_hour)


def _csv(fields: Sequence[str | int | None]) -> bytes:
    return ",".join("" if f is None else str(f) for f in fields).encode("ascii")


def _leaf(facts: HourFacts, plan: HourPlan, lines: tuple[bytes, ...]) -> Entry:
    kinds = [line[:1] for line in lines]
    device_lines = [line.decode().split(",") for line in lines if line.startswith(b"D")]
    body = {
        "hour": hour_text(facts.hour),
        "register": plan.register_rev,
        "n": kinds.count(b"D"),
        "parameters": kinds.count(b"P"),
        "late": kinds.count(b"L"),
        "root": merkle.root([merkle.leaf_hash(line) for line in lines]).hex(),
        "frames": [facts.first_seq, facts.last_seq],
        "head": facts.head,
        "down": facts.down,
        "clock": facts.clock,
        "cause": facts.cause,
        "sums": {
            "ok": sum(int(f[7]) for f in device_lines),
            "failed": sum(int(f[8]) for f in device_lines),
            "losses": sum(int(f[10]) for f in device_lines),
            "late": sum(int(f[11]) for f in device_lines),
        },
    }
    return Entry("seal", facts.closed_us // 1000, "collector", body)
