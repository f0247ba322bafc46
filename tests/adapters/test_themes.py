"""The twenty things that users of other gateways complain about most: each has an acceptance test that bears its number.

Where a theme belongs to one protocol, its test stands in that protocol's file; here is the list, and what no file has.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.batch import Outcome
from tests.adapters.plant import ModbusWire, Recorder, Running, free_port, register_of
from tests.adapters.proxy import proxied
from tests.adapters.test_read_only import modbus_said

THEMES = {
    1: "connected after a server's restart, and no data",
    2: "node ids or namespace indices change on restart",
    3: "a storm of reconnections against a weak server",
    4: "server limits ignored",
    5: "changes lost between publishes",
    6: "the gap after an outage is not filled from history",
    7: "one bad node or register blocks the rest",
    8: "one register per request",
    9: "a device that takes fewer than 125 registers, or refuses holes",
    10: "one silent unit stalls all others",
    11: "a late reply taken for the next request",
    12: "a connection dead after a gateway's restart",
    13: "a busy or failed unit stored as 0",
    14: "an MQTT consumer connected but silent after the broker's restart",
    15: "times: gathered, repeated, retained messages that look new",
    16: "unchanged value or dead line",
    17: "the buffer lost or corrupt after a restart",
    18: "memory grows over days",
    19: "structures not decodable; a type change breaks the store",
    20: "a reload of the configuration restarts everything",
}
TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("number", THEMES)
def test_every_theme_has_its_test(number: int) -> None:
    found = [p.name for p in TESTS.rglob("test_*.py") if re.search(rf"def test_theme_{number}_", p.read_text("utf-8"))]
    assert found, THEMES[number]


async def test_theme_8_scattered_points_are_read_in_one_request_a_table() -> None:
    wire = ModbusWire()
    port = free_port()
    await wire.start(port)
    try:
        async with proxied(port) as proxy:
            register = register_of(wire.points(), [wire.device("m1", proxy.port)], wire.kind)
            async with Running(register, Recorder()) as seen:
                await seen.until(lambda: seen.outcomes("m1").count(Outcome.OK) >= 2, "two polls")
                begun = seen.outcomes("m1").count(Outcome.OK)
                proxy.said_up.clear()
                await seen.until(lambda: seen.outcomes("m1").count(Outcome.OK) >= begun + 3, "three more polls")
                polls, asked = seen.outcomes("m1").count(Outcome.OK) - begun, list(modbus_said(bytes(proxy.said_up)))
    finally:
        await wire.stop()
    tables = {p["table"] for p in wire.points()}
    assert len(asked) in (polls * len(tables), (polls + 1) * len(tables))  # one poll may be under way
    assert set(asked) == {1, 3}
