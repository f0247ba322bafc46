"""docs/register.md names every key of the register's points and connections; a key without its line fails here."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from config.connections import Modbus, Mqtt, OpcUa, Sparkplug
from config.points import Point, PointSet

PAGE = (Path(__file__).parents[2] / "docs/register.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [Point, PointSet, OpcUa, Modbus, Mqtt, Sparkplug])
def test_the_page_names_every_key(model: type[BaseModel]) -> None:
    assert [k for k in model.model_fields if k not in ("protocol", "points") and f"`{k}`" not in PAGE] == []
