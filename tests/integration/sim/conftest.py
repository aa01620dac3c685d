"""A simulated marketplace, and one rental in it that answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.sim.serve import SimServer
from keeper.sim.ssh_door import Sshd
from tests.integration.sim.rented import SHAPE, Rented, new_key, rent


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return new_key(tmp_path / "id")


@pytest.fixture
def sshd() -> Sshd:
    """What serves SSH on the hosts; a test that is for both kinds is parametrised with it."""
    return Sshd.BUILT_IN


@pytest.fixture
async def sim(sshd: Sshd) -> AsyncIterator[SimServer]:
    async with SimServer(seed=7, spacing_scale=0, shape=SHAPE, sshd=sshd) as server:
        yield server


@pytest.fixture
async def rented(sim: SimServer, key: Path) -> Rented:
    made = await rent(sim, key)
    await made.ready()
    return made
