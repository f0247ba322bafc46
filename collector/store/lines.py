"""Hour lines at rest: one CSV per UTC day, the exact bytes that the seals commit to; and back as polars frames.

In: sealed hours, or an hour range. Out: `HourLines`. Files are derived: deleted, they are made again from the segments.
Beside each CSV lies a copy in columns (`line_columns.py`); without one the CSV itself is read, to the same frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import polars as pl

from collector.durable import write_durably
from collector.folder import DataFolder
from collector.hours import hour_text, parse_hour
from collector.ledger.entry import LedgerError
from collector.store.line_columns import COLUMNS, Frames, copied, digests, read_columns, write_columns

DEVICE_FIELDS = (
    "device hour register_rev origin in_service_s covered polls_ok polls_failed values_bad losses late gap_s cause "
    "run_s stop_s unknown_s output_delta auto_s points_changed identity_rev presence_commit process_commit"
).split()
PARAMETER_FIELDS = "device hour point covered ok bad run_ok_s run_in_s".split()
LATE_FIELDS = "device hour source_hour minutes count commit".split()
COMMITS = ("presence_commit", "process_commit")  # a third of the bytes; few ask for them
_FIELDS = (DEVICE_FIELDS, PARAMETER_FIELDS, LATE_FIELDS)
_TEXT = {"device", "point", "origin", "cause", "presence_commit", "process_commit", "commit"}
_MASK = {"covered", "minutes"}
_HOUR = {"hour", "source_hour"}


@dataclass(frozen=True, slots=True, eq=False)
class HourLines:
    """Lines of some hours as frames: hours as integers, masks as 60-bit integers, empty numbers null, empty cause ""."""

    device: pl.DataFrame
    parameter: pl.DataFrame
    late: pl.DataFrame


def write_hours(folder: DataFolder, hours: Iterable[tuple[int, Sequence[bytes]]]) -> None:
    """Put the lines of sealed hours into their day files, each file replaced whole. Repeating it changes nothing."""
    days: dict[Path, dict[int, Sequence[bytes]]] = {}
    for hour, lines in hours:
        days.setdefault(day_file(folder, hour), {})[hour] = lines
    for path, new in days.items():
        kept = {h: ls for h, ls in _hours_in(path).items() if h not in new}
        together = {**kept, **new}
        body = b"".join(line + b"\n" for h in sorted(together) for line in together[h])
        write_durably(path, body)
        try:
            frames = _parsed(body)
        except (LedgerError, pl.exceptions.PolarsError):
            continue  # whoever reads it will say what is wrong
        write_columns(folder.hours.parent / COLUMNS, path, frames)


def read_lines(folder: DataFolder, hour: int) -> list[bytes]:
    """The exact lines of one hour, in order; empty when there are none."""
    return list(_hours_in(day_file(folder, hour)).get(hour, []))


def read_hours(folder: DataFolder, first_hour: int, end_hour: int, *, without: Sequence[str] = ()) -> HourLines:
    """Lines of hours [first_hour, end_hour), D lines `without` some columns. Errors: `LedgerError`."""
    days = [day_file(folder, day * 24) for day in range(first_hour // 24, (end_hour + 23) // 24)]
    within = pl.col("hour").is_between(first_hour, end_hour - 1)
    device, parameter, late = _rows(folder, days, within, without)
    return HourLines(device, parameter, late)


def read_commits(folder: DataFolder, hours: Sequence[int]) -> pl.DataFrame:
    """Device, hour and commitments of the D lines of these hours. Errors: `LedgerError`."""
    days = sorted({day_file(folder, hour) for hour in hours})
    others = [name for name in DEVICE_FIELDS if name not in ("device", "hour", *COMMITS)]
    return _rows(folder, days, pl.col("hour").is_in(list(hours)), others, kinds=1)[0]


def day_file(folder: DataFolder, hour: int) -> Path:
    """`rollup/hours/<yyyy>/<mm>/<dd>.csv` of the hour's UTC day."""
    year, month, day = hour_text(hour)[:10].split("-")
    return folder.hours / year / month / f"{day}.csv"


def _rows(folder: DataFolder, days: Sequence[Path], within: pl.Expr, without: Sequence[str], kinds: int = 3) -> Frames:
    """The rows `within` of some day files in their order, of the first `kinds` kinds, from the copies where there are any."""
    columns = folder.hours.parent / COLUMNS
    there = [path for path in days if path.exists()]
    known = dict(zip(there, digests(there), strict=True))
    parts = [tuple(_frame([], names).drop(without, strict=False) for names in _FIELDS[:kinds])]
    for quick, run in groupby(there, lambda path: copied(columns, path, known[path])):
        paths = list(run)
        copies = {path: known[path] for path in paths if quick}
        frames = read_columns(columns, copies, within, without, kinds) if quick else None
        if frames is None:
            parsed = (_parsed(path.read_bytes())[:kinds] for path in paths)
            parts += [tuple(f.filter(within).drop(without, strict=False) for f in of_day) for of_day in parsed]
        else:
            parts.append(frames)
    return tuple(pl.concat(of_kind) for of_kind in zip(*parts, strict=True))


def _parsed(body: bytes) -> Frames:
    """The lines of one file by kind."""
    raw: dict[int, list[bytes]] = {kind: [] for kind in b"DPL"}
    for line in body.splitlines():
        if line[:1] not in (b"D", b"P", b"L"):
            raise LedgerError(f"rollup/hours: 小时行应以 D、P 或 L 开头，发现 {line[:60]!r} (not an hour line)")
        raw[line[0]].append(line)
    return tuple(_frame(lines, names) for lines, names in zip(raw.values(), _FIELDS, strict=True))


def _hours_in(path: Path) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    if path.exists():
        for line in path.read_bytes().splitlines():
            found.setdefault(_hour_of(path, line), []).append(line)
    return found


def _hour_of(path: Path, line: bytes) -> int:
    try:
        return parse_hour(line.split(b",", 3)[2].decode())
    except (IndexError, ValueError) as err:
        raise LedgerError(f"{path}: expected hour lines, found {line[:60]!r}: the file was changed") from err


def _frame(lines: list[bytes], names: list[str]) -> pl.DataFrame:
    schema = {"kind": pl.String} | dict.fromkeys(names, pl.String)
    text = pl.DataFrame(schema=schema)
    if lines:
        try:
            text = pl.read_csv(b"\n".join(lines), has_header=False, schema=schema)
        except pl.exceptions.PolarsError as err:
            wrong = next((x for x in lines if x.count(b",") != len(names)), lines[0])
            raise LedgerError(
                f"rollup/hours: 小时行应有 {len(names) + 1} 个字段，发现 {wrong[:80].decode('latin-1')}\n"
                "    → 文件被改动，或由旧版本写成；删去该日文件并重建 (plantproof store rebuild)，"
                "旧版本封存的小时请用新的数据目录 (lines of another format, or changed)"
            ) from err
    return text.select([_typed(n).alias(n) for n in names])


def _typed(name: str) -> pl.Expr:
    column = pl.col(name)
    if name in _TEXT:
        return column.fill_null("")
    if name in _MASK:
        return column.str.to_integer(base=16, dtype=pl.UInt64)
    if name in _HOUR:
        at = (column.str.strip_suffix("Z") + ":00").str.to_datetime("%Y-%m-%dT%H:%M", time_unit="us")
        return at.dt.epoch("s") // 3600
    return column.cast(pl.Int64)
