"""Sealed hour lines against a plain-Python reading of docs/format/hour-lines.md, over random plants: every field and commitment."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from collector.folder import DataFolder
from collector.hours import parse_hour
from collector.ledger import log
from collector.maintain import maintain
from collector.store.lines import read_lines
from tests.builders import FIRST_HOUR, HOUR_US, Driver
from tests.collector.plain_lines import down_of_hour, hour_name, lines_of_hour
from tests.collector.random_plant import RandomPlant, differences


def seals_of(folder: DataFolder) -> dict[int, dict[str, Any]]:
    """Bodies of the seals that have lines."""
    return {parse_hour(e.body["hour"]): e.body for e in log.read_of(folder.ledger, "seal") if "span" not in e.body}


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as written there."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0]).digest() if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


@pytest.mark.parametrize("seed", range(8))
async def test_every_line_equals_the_plain_reading_of_its_format_page(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed > 4:  # a plant that is too much at once: many portions of rows and devices, the same lines
        monkeypatch.setattr("collector.store.portions.PORTION_ROWS", 100)
        monkeypatch.setattr("collector.maintain.ROWS_AT_ONCE", 60)
    start_us = (FIRST_HOUR + 34) * HOUR_US + seed * 611_111_111  # 10:00 UTC and later: a device retires at 16:00
    driver = Driver(tmp_path, start_us, "live" if seed % 2 else "simulated")
    plant = RandomPlant(driver, seed)
    await plant.run(8)
    maintain(driver.folder)
    seals = seals_of(driver.folder)
    assert sorted(seals) == list(range(plant.first_hour, plant.first_hour + 8))
    wrong = []
    for hour, seal in seals.items():
        expected = lines_of_hour(plant.world(), hour)
        found = [line.decode() for line in read_lines(driver.folder, hour)]
        wrong += differences(expected, found)
        assert found == sorted(found, key=str.encode)
        assert seal["hour"] == hour_name(hour)
        assert seal["root"] == mth([line.encode() for line in found]).hex()
        assert [seal["n"], seal["parameters"], seal["late"]] == [sum(x[0] == k for x in found) for k in "DPL"]
        down = [
            [(a - hour * HOUR_US) // 1_000_000, (b - hour * HOUR_US) // 1_000_000]
            for a, b in down_of_hour(driver.down, hour)
        ]
        assert seal["down"] == down, hour_name(hour)
    assert not wrong, "\n".join(wrong[:40])
