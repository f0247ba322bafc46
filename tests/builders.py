"""Builders that tests share: a small plant's register, rows as plain values, batches, a data folder that is driven by hand.

A `Row` holds one row as plain Python values, so that a test can say by itself what the product must make of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from adapters.batch import NO_TIME, NUMPY_TYPE, Batch, Column, Outcome, Template, TemplatePoint, ValueType
from collector.capture import DRIVEN, Capture, Cutting
from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.revisions import apply_register
from config.settings import PlantTable

SECOND_US, MINUTE_US, HOUR_US = 1_000_000, 60_000_000, 3_600_000_000
FIRST_HOUR = 498_600  # 2026-11-18T00Z
PLANT = PlantTable(name="测试机械厂", credit_code="91620100MA0000000X", site="一厂")
SEEDS = (b"\x01" * 32, b"\x02" * 32)

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Row:
    """One row of one device as plain values. `values` and `qualities` by column name; absent = none."""

    device: str
    template: Template
    source_us: int
    lag_us: int = 0
    outcome: int = 0
    quality: int = 0
    values: Mapping[str, Value] = field(default_factory=dict)
    qualities: Mapping[str, int] = field(default_factory=dict)
    server_us: int | None = None
    hour: int = 0  # of its journal position; a driver fills in this and the next
    frame: int = 0


def wide(*points: tuple[str, str] | tuple[str, str, str]) -> Template:
    """A wide template of (name, type[, unit])."""
    return Template("wide", tuple(TemplatePoint(p[0], ValueType(p[1]), *p[2:]) for p in points))


def event(*points: tuple[str, str]) -> Template:
    """An event template of (name, type)."""
    return Template("event", tuple(TemplatePoint(n, ValueType(t)) for n, t in points))


def batch_of(rows: Sequence[Row]) -> Batch:
    """One batch of rows of one device and template, in order."""
    template = rows[0].template
    columns, qualities = [], []
    for name, kind in template.columns:
        given = [r.values.get(name) for r in rows]
        valid = np.array([v is not None for v in given])
        if kind is ValueType.STR:
            columns.append(Column(["" if v is None else str(v) for v in given], None if valid.all() else valid))
        else:
            numbers = np.array([0 if v is None else v for v in given], NUMPY_TYPE[kind])
            columns.append(Column(numbers, None if valid.all() else valid))
        own = any(name in r.qualities for r in rows)
        qualities.append(np.array([r.qualities.get(name, r.quality) for r in rows], np.uint32) if own else None)
    return Batch(
        rows[0].device,
        template,
        np.array([r.source_us for r in rows], np.int64),
        np.array([r.lag_us for r in rows], np.int64),
        np.array([r.outcome for r in rows], np.uint8),
        np.array([r.quality for r in rows], np.uint32),
        tuple(columns),
        tuple(qualities),
        None if all(r.server_us is None for r in rows) else np.array([_stamp(r.server_us) for r in rows], np.int64),
    )


def _stamp(at_us: int | None) -> int:
    return NO_TIME if at_us is None else at_us


def ok_row(device: str, template: Template, at_us: int, **values: Value) -> Row:
    """A good poll."""
    return Row(device, template, at_us, values=values)


def failed_row(device: str, template: Template, at_us: int, outcome: Outcome = Outcome.TIMEOUT) -> Row:
    """A failed poll."""
    return Row(device, template, at_us, outcome=int(outcome), quality=0x800A_0000)


class MovableClock(DrivenClock):
    """A driven clock that can also be set back, as a machine's clock can."""

    def set_back(self, us: int) -> None:
        """An operator or NTP steps the clock."""
        self._now_us = us


class Driver:
    """A data folder with a collector that is driven by hand; remembers every acknowledged row with its journal hour."""

    def __init__(
        self,
        path: Path,
        start_us: int,
        origin_class: str = "simulated",
        cutting: Cutting = DRIVEN,
        *,
        seeds: bool = True,
    ) -> None:
        self.clock = MovableClock(start_us)
        self.folder: DataFolder = create_folder(
            path / "data", PLANT, origin_class, self.clock, seeds=SEEDS if seeds else None
        )
        self.cutting = cutting
        self.rows: list[Row] = []
        self.down: list[tuple[int, int]] = []  # [from, to) in which no collector ran
        self._path, self._hour = path, 0
        self._last_us = 0
        self.capture: Capture | None = None

    def register(self, text: str) -> int:
        """Apply a register; its revision."""
        file = self._path / "register.toml"
        file.write_text(text, encoding="utf-8")
        return apply_register(self.folder, file, "test", self.clock, "tester").rev

    async def start(self) -> None:
        """Start a collector."""
        self.capture = Capture(self.folder, self.clock, self.cutting)
        await self.capture.start("test")
        self.down.append((self._last_us, self.clock.now_us()))
        self._seen()

    async def emit(self, rows: Iterable[Sequence[Row]]) -> None:
        """Emit several batches at once, as adapters do; returns when all are acknowledged."""
        assert self.capture is not None
        batches = [list(r) for r in rows]
        await asyncio.gather(*(self.capture.emit(batch_of(b)) for b in batches))
        self._seen()
        self.rows += [replace(r, hour=self._hour, frame=self.capture._journal.seq) for batch in batches for r in batch]

    async def tick(self) -> None:
        """The collector shows that it is alive."""
        assert self.capture is not None
        await self.capture.tick()
        self._last_us = self.capture._newest_us
        self._hour = max(self._hour, self._last_us // HOUR_US)

    async def stop(self) -> None:
        """Stop the collector in order."""
        assert self.capture is not None
        await self.capture.stop("test")
        self._seen()
        self.capture = None

    def crash(self) -> None:
        """The process is gone; what was acknowledged is on disk."""
        assert self.capture is not None
        self.capture._journal.close()
        self.capture = None

    def _seen(self) -> None:
        self._last_us = self.clock.now_us()
        self._hour = max(self._hour, self._last_us // HOUR_US)


def simple_register(*devices: str, interval_s: int = 60, rest: str = "") -> str:
    """One line, one wide point set `m`, these devices."""
    text = """
format = "plantproof-register/1"
[[line]]
id = "L1"
name = "一线"
[[points]]
id = "m"
state_map = { "1" = "run", "0" = "stop" }
[[points.point]]
name = "state"
type = "i64"
role = "state"
node = "ns=2;s={device}.State"
[[points.point]]
name = "speed"
type = "f64"
key_parameter = true
low = 0
high = 100
node = "ns=2;s={device}.Speed"
"""
    for device in devices:
        text += f"""
[[device]]
id = "{device}"
name = "{device}"
line = "L1"
in_service_from = 2026-01-01
interval_s = {interval_s}
points = "m"
connection = {{ protocol = "opcua", endpoint = "opc.tcp://127.0.0.1:4840" }}
"""
    return text + rest


SIMPLE = wide(("state", "i64"), ("speed", "f64"))


async def drive_hours(driver: Driver, devices: Sequence[str], hours: int, every_s: int = 60) -> None:
    """Whole hours from the clock's: every device polled each `every_s`, one frame an hour."""
    first = -(-driver.clock.now_us() // HOUR_US)
    for hour in range(first, first + hours):
        driver.clock.advance_to((hour + 1) * HOUR_US - 1)
        stamps = range(hour * HOUR_US, (hour + 1) * HOUR_US, every_s * SECOND_US)
        await driver.emit(
            [
                [ok_row(d, SIMPLE, t, state=(t // HOUR_US + i) % 2, speed=float((t // MINUTE_US) % 7)) for t in stamps]
                for i, d in enumerate(devices)
            ]
        )
