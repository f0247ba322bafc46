"""Fixtures over `plant_folder.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from evidence_api.web.app import create_app
from tests.evidence_api.web.plant_folder import Plant, browser, build_plant


@pytest.fixture
def make_plant(tmp_path: Path) -> Callable[..., Plant]:
    """A plant of an origin class."""
    return lambda origin_class="simulated", days=95: build_plant(tmp_path, origin_class, days)


@pytest.fixture
def plant(make_plant: Callable[..., Plant]) -> Plant:
    """The simulated plant with a report that is up to date."""
    built = make_plant()
    built.write_report()
    return built


@pytest.fixture
def app(plant: Plant) -> FastAPI:
    """The application over it; no child process."""
    return create_app(plant.folder.path, clock=plant.clock, command=())


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on the same machine."""
    async with browser(app) as found:
        yield found
