"""Columns of D lines as arrays [device, hour], beside the masks of `metrics/machines/minutes.py`: placed once, asked for often.

In: D lines as a frame, devices, hours. Out: `Fields`: one int64 array per column, `ABSENT` where there is no line or the field is empty.
Rows are devices of the register of T in its order, columns are UTC hours from `first_hour`. Lines of other devices and hours are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

Counts = NDArray[np.int64]
ABSENT = -(1 << 40)  # below any figure a line can hold, and far from overflow


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Lines, and the row and column where each of them stands."""

    lines: pl.DataFrame
    rows: Counts
    columns: Counts

    def values(self, column: str) -> Counts:
        return self.lines[column].cast(pl.Int64).fill_null(ABSENT).to_numpy()


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """placed: the lines, some hours each. Arrays are views or kept: they are read, never written by who asks for them."""

    devices: tuple[str, ...]
    first_hour: int
    hours: int
    placed: tuple[Placed, ...]
    _made: dict[str, Counts] = field(default_factory=dict)

    def array(self, column: str) -> Counts:
        """All devices, all hours of one integer column."""
        if column not in self._made:
            out = np.full((len(self.devices), self.hours), ABSENT, np.int64)
            for part in self.placed:
                out[part.rows, part.columns] = part.values(column)
            self._made[column] = out
        return self._made[column]

    def part(self, column: str, devices: tuple[str, ...], first_hour: int, hours: int) -> Counts:
        """Some devices and some hours of it."""
        start = first_hour - self.first_hour
        found = self.array(column)[:, start : start + hours]
        if devices == self.devices:
            return found
        position = {name: i for i, name in enumerate(self.devices)}
        return found[[position[name] for name in devices]]


def place_pairs(
    lines: pl.DataFrame, pairs: Sequence[tuple[str, str]], first_hour: int, end_hour: int
) -> tuple[Counts, Counts]:
    """P lines of some (device, point) pairs and hours: where they stand in `lines`, and which pair each is of."""
    devices, points = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True)) if pairs else ([], [])
    table = np.full(
        (len(devices) + 1, len(points) + 1), -1, np.int64
    )  # last row and column: another device, another point
    row, column = {d: i for i, d in enumerate(devices)}, {p: i for i, p in enumerate(points)}
    for i, (device, point) in enumerate(pairs):
        table[row[device], column[point]] = i
    pair = table[_code(lines["device"], devices), _code(lines["point"], points)]
    hour = lines["hour"].to_numpy()
    places = np.flatnonzero((pair >= 0) & (hour >= first_hour) & (hour < end_hour))
    return places, pair[places]


def _code(names: pl.Series, known: list[str]) -> Counts:
    codes = names.cast(pl.Enum(known), strict=False).to_physical()
    return codes.cast(pl.Int64).fill_null(len(known)).to_numpy()


def extend_fields(known: Fields, new: pl.DataFrame) -> Fields:
    """`known` with lines of hours that had none before. Its arrays are taken over and written to: `known` is spent."""
    part = place(new, known.devices, known.first_hour, known.hours)
    for column, whole in known._made.items():
        whole[part.rows, part.columns] = part.values(column)
    return Fields(known.devices, known.first_hour, known.hours, (*known.placed, part), known._made)


def place_lines(lines: pl.DataFrame, devices: tuple[str, ...], first_hour: int, hours: int) -> Fields:
    """The fields of these lines."""
    return Fields(devices, first_hour, hours, (place(lines, devices, first_hour, hours),))


def place(lines: pl.DataFrame, devices: tuple[str, ...], first_hour: int, hours: int) -> Placed:
    """Find the row and the column of each line; those of other devices and hours are left out."""
    row = lines["device"].cast(pl.Enum(devices), strict=False).to_physical().cast(pl.Int64)  # null: another device
    hour = lines["hour"]
    placed = row.is_not_null() & (hour >= first_hour) & (hour < first_hour + hours)
    if not placed.all():
        lines, row, hour = lines.filter(placed), row.filter(placed), hour.filter(placed)
    return Placed(lines, row.to_numpy(), (hour - first_hour).to_numpy())
