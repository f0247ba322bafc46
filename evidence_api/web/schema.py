"""Bodies of `/api/v1` (docs/api.md). Times are integers (`_us`, `_ms`), hours text such as `2026-11-22T03Z`, days plant days.

In: nothing. Out: pydantic models, which are also the OpenAPI document.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class AsOf(BaseModel):
    """Which state of the ledger the numbers hold. `behind`: a newer seal exists. `problem`: why the last run gave nothing."""

    origin: str
    ledger_size: int
    newest_seal_hour: str | None
    report_size: int
    behind: bool
    running: bool
    problem: str


class Health(BaseModel):
    """Is it alive? `collector_at_us`: when the collector last wrote down its state; `last_contact_us`: newest outcome of a device.

    status: ok, problem (see `problems`) or collector_stopped.
    """

    status: str
    origin: str
    now_ms: int
    collector_running: bool
    collector_at_us: int | None
    last_contact_us: int | None
    newest_seal_hour: str | None
    ledger_size: int
    checkpoint_origin: str | None
    register_rev: int
    disk_free_bytes: int
    problems: list[str]


class InstrumentRow(BaseModel):
    """An instrument that was judged. `name` carries 征求意见稿 or 已失效; verdicts: level -> word."""

    id: str
    name: str
    title: str
    standing: str
    doc_no: str | None
    sha256: str
    levels: list[dict[str, str]]
    verdicts: dict[str, str]
    href: str


class Instruments(BaseModel):
    """Every instrument, the site's own first."""

    as_of: AsOf
    instruments: list[InstrumentRow]


class Criteria(BaseModel):
    """Every criterion of one instrument as the report states it, each with its `verdict`."""

    as_of: AsOf
    instrument: str
    name: str
    standing: str
    criteria: list[dict[str, Any]]


class Ratios(BaseModel):
    """Results as `plantproof check --json` gave them."""

    as_of: AsOf
    ratios: list[dict[str, Any]]


class DayRow(BaseModel):
    """One plant day of one device."""

    day: str
    kind: str
    in_service_s: int
    gap_s: int
    planned_s: int
    cause: str


class Contact(BaseModel):
    """Newest outcome."""

    outcome: str
    at_us: int
    message: str


class DeviceRow(BaseModel):
    """A device of the newest register."""

    id: str
    name: str
    line: str
    protocol: str | None
    last: Contact | None
    days: list[DayRow]


class Devices(BaseModel):
    """Devices with their last 95 plant days."""

    as_of: AsOf
    register_rev: int
    devices: list[DeviceRow]


class PackRow(BaseModel):
    """A pack that can be downloaded."""

    name: str
    size_bytes: int
    built_ms: int
    demo: bool
    href: str


class Packs(BaseModel):
    """Packs, newest first."""

    packs: list[PackRow]
