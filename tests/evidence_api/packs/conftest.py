"""One small live pack, built once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.evidence_api.packs.plant import Plant, files_of, make_plant


@dataclass(frozen=True)
class Made:
    """A plant and its pack."""

    plant: Plant
    raw: bytes

    @property
    def files(self) -> dict[str, bytes]:
        """A fresh copy of the pack's files."""
        return files_of(self.raw)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A pack of a live plant, with records and an exclusion."""
    plant = make_plant(tmp_path_factory.mktemp("live"), "live", records=True)
    return Made(plant, plant.build().path.read_bytes())


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A pack of a simulated plant."""
    plant = make_plant(tmp_path_factory.mktemp("simulated"), "simulated")
    return Made(plant, plant.build().path.read_bytes())
