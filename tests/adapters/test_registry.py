"""From a register to adapters: one per connection, only what is in service, and rows of the declared kind."""

from __future__ import annotations

import pytest

from adapters.batch import ValueType
from adapters.contract import Site
from adapters.registry import build
from adapters.template import template_of
from config.errors import ConfigError
from tests.adapters.plant import ModbusWire, OpcUaWire, WallClock, register_of


async def test_devices_behind_one_gateway_share_an_adapter_and_others_have_their_own() -> None:
    wire = ModbusWire()
    devices = [wire.device("m1", 502), wire.device("m2", 502), wire.device("m3", 503)]
    assert [a.devices for a in build(register_of(wire.points(), devices), Site(WallClock()))] == [("m1", "m2"), ("m3",)]


async def test_retired_devices_and_devices_without_a_connection_have_no_adapter() -> None:
    wire = ModbusWire()
    retired = {**wire.device("m1", 502), "retired_at": "2025-01-01"}
    bare = {k: v for k, v in wire.device("m2", 502).items() if k not in ("connection", "points")}
    assert build(register_of(wire.points(), [retired, bare]), Site(WallClock())) == []


def test_a_kind_that_does_not_fit_its_connection_is_refused_with_every_place() -> None:
    wire = OpcUaWire("subscribe")
    with pytest.raises(ConfigError, match="event") as caught:
        register_of(wire.points(), [wire.device("m1", 1), wire.device("m2", 1)], "wide")
    assert [p.where for p in caught.value.problems] == ["device[0].points", "device[1].points"]


def test_the_template_is_the_point_sets_kind_and_order() -> None:
    wire = ModbusWire()
    template = template_of(register_of(wire.points(), []).point_sets[0])
    assert (template.kind, [(p.name, p.type) for p in template.points][:2]) == (
        "wide",
        [("speed", ValueType.F64), ("count", ValueType.I64)],
    )
