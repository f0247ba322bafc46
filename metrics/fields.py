"""Columns of D lines as arrays [device, hour], beside the masks of `metrics/minutes.py`: placed once, asked for often.

In: D lines as a frame, devices, hours. Out: `Fields`: one int64 array per column, `ABSENT` where there is no line or the field is empty.
Rows are devices of the register of T in its order, columns are UTC hours from `first_hour`. Lines of other devices and hours are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

Counts = NDArray[np.int64]
ABSENT = -(1 << 40)  # below any figure a line can hold, and far from overflow


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """lines: those placed; rows, columns: where each of them stands."""

    devices: tuple[str, ...]
    first_hour: int
    hours: int
    lines: pl.DataFrame
    rows: Counts
    columns: Counts
    _made: dict[str, Counts] = field(default_factory=dict)

    def array(self, column: str) -> Counts:
        """All devices, all hours of one integer column."""
        if column not in self._made:
            out = np.full((len(self.devices), self.hours), ABSENT, np.int64)
            out[self.rows, self.columns] = self.lines[column].cast(pl.Int64).fill_null(ABSENT).to_numpy()
            self._made[column] = out
        return self._made[column]

    def part(self, column: str, devices: tuple[str, ...], first_hour: int, hours: int) -> Counts:
        """Some devices and some hours of it."""
        position = {name: i for i, name in enumerate(self.devices)}
        start = first_hour - self.first_hour
        return self.array(column)[:, start : start + hours][[position[name] for name in devices]]


def place_lines(lines: pl.DataFrame, devices: tuple[str, ...], first_hour: int, hours: int) -> Fields:
    """Find the row and the column of each line."""
    row = lines["device"].cast(pl.Enum(devices), strict=False).to_physical().cast(pl.Int64)  # null: another device
    hour = lines["hour"]
    placed = row.is_not_null() & (hour >= first_hour) & (hour < first_hour + hours)
    if not placed.all():
        lines, row, hour = lines.filter(placed), row.filter(placed), hour.filter(placed)
    return Fields(devices, first_hour, hours, lines, row.to_numpy(), (hour - first_hour).to_numpy())
