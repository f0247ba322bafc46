"""Commitments of device-hours and of late arrivals: both classes, salted, over canonical row bytes (docs/format/rows.md).

In: rows with their carried-in ones per template, the salt seed, the device-hours to commit to. Out: base64url digests.
A device-hour without rows commits to the constant empty hour.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from adapters.batch import Template
from collector import canonical
from collector.canonical import LATE, PRESENCE, PROCESS, RowBytes

Sections = dict[tuple[str, int], list[bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class HourBytes:
    """Canonical sections of each device-hour, by class."""

    presence: Sections
    process: Sections


def hour_bytes(rows: Mapping[Template, pl.DataFrame]) -> HourBytes:
    """Sections per device-hour, templates ascending by digest."""
    found = HourBytes({}, {})
    for template in sorted(rows, key=lambda t: t.digest):
        frame = rows[template]
        presence, process = canonical.presence_rows(frame), canonical.process_rows(frame, template)
        for device, hour, start, carried, end in _runs(frame):
            key = (device, hour)
            for sections, data in ((found.presence, presence), (found.process, process)):
                body = canonical.section(template.digest, carried, end - start - carried, data.rows(start, end))
                sections.setdefault(key, []).append(body)
    return found


def hour_commitments(found: HourBytes, seed: bytes, device: str, hour: int, hour_text: str) -> tuple[str, str]:
    """(presence, process) of one device-hour."""
    return (
        _commit(found.presence.get((device, hour), []), seed, device, hour_text, PRESENCE),
        _commit(found.process.get((device, hour), []), seed, device, hour_text, PROCESS),
    )


def late_commitment(
    rows: Mapping[Template, pl.DataFrame], seed: bytes, device: str, hour_text: str, is_late: pl.Expr
) -> str:
    """Over the late rows of one device, hour and source hour (`is_late` picks them)."""
    parts = []
    for template in sorted(rows, key=lambda t: t.digest):
        frame = rows[template].filter(is_late)
        if len(frame):
            data: RowBytes = canonical.process_rows(frame, template)
            parts.append(canonical.section(template.digest, 0, len(frame), data.data))
    return _commit(parts, seed, device, hour_text, LATE)


def _commit(sections: list[bytes], seed: bytes, device: str, hour_text: str, row_class: str) -> str:
    salt = canonical.salt(seed, device, hour_text, row_class)
    digest = canonical.commitment(salt, [canonical.header(row_class, device, hour_text), *sections])
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _runs(frame: pl.DataFrame) -> Iterable[tuple[str, int, int, int, int]]:
    """(device, hour, start, carried-in, end) of each run of a frame sorted by device, hour, ord."""
    runs = frame.group_by("device", "hour", maintain_order=True).agg(
        pl.len().alias("n"), pl.col("carried").sum().alias("carried")
    )
    start = 0
    for device, hour, n, carried in runs.iter_rows():
        yield device, hour, start, carried, start + n
        start += n
